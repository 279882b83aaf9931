package layer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Direct calls a layer's handler without a connection. It is not safe for
// concurrent use.
type Direct struct {
	handler http.Handler
	status  int
	calls   []call
	next    int
	current http.Request
	body    strings.Reader
	w       writer
}

// call is the request of one caller.
type call struct {
	r    http.Request
	body string
}

// Verbs are the requests that layers are measured with: one places an order,
// one shows it.
var Verbs = []string{http.MethodPost, http.MethodGet}

// Direct returns what calls the handler as the HTTP server would, with the
// requests of all callers in turn. The context is the one that the server
// gives to a connection's requests.
func (l *Layer) Direct(verb string) (*Direct, error) {
	ctx, err := l.connection()
	if err != nil {
		return nil, err
	}
	d := &Direct{handler: l.server.Handler, status: Status(verb), w: writer{header: http.Header{}}}
	for _, token := range l.tokens {
		r := &http.Request{
			Method: verb, URL: &url.URL{Path: Path(verb)}, RequestURI: Path(verb),
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: l.Addr, RemoteAddr: "127.0.0.1:4711",
			Header: http.Header{
				"Accept": {"*/*"}, "Accept-Encoding": {"gzip"}, "Authorization": {"Bearer " + token}, "User-Agent": {agent},
			},
			Body: http.NoBody,
		}
		c := call{}
		if verb == http.MethodPost {
			c.body = Body
			r.Header["Content-Type"] = []string{"application/json"}
			r.Header["Content-Length"] = []string{fmt.Sprint(len(Body))}
			r.ContentLength = int64(len(Body))
			r.Body = io.NopCloser(&d.body)
		}
		c.r = *r.WithContext(ctx)
		d.calls = append(d.calls, c)
	}
	return d, nil
}

const agent = "bench/1"

// Path is what a verb asks for, Status the answer to expect.
func Path(verb string) string {
	if verb == http.MethodPost {
		return "/orders"
	}
	return "/orders/" + OrderID
}

// Status is the answer to expect.
func Status(verb string) int {
	if verb == http.MethodPost {
		return http.StatusCreated
	}
	return http.StatusOK
}

// connection returns the context that net/http makes for a connection.
func (l *Layer) connection() (context.Context, error) {
	addr, err := net.ResolveTCPAddr("tcp", l.Addr)
	if err != nil {
		return nil, fmt.Errorf("call handler: %w", err)
	}
	ctx := context.Background()
	if l.server.BaseContext != nil {
		ctx = l.server.BaseContext(&net.TCPListener{})
	}
	ctx = context.WithValue(ctx, http.ServerContextKey, l.server)
	if l.server.ConnContext != nil {
		return nil, errors.New("call handler: the server makes a context of each connection, and there is none")
	}
	return context.WithValue(ctx, http.LocalAddrContextKey, addr), nil
}

// Serve makes one call and reports an answer that is not the expected one.
func (d *Direct) Serve() error {
	c := &d.calls[d.next]
	if d.next++; d.next == len(d.calls) {
		d.next = 0
	}
	clear(d.w.header)
	d.w.status, d.w.n = 0, 0
	d.body.Reset(c.body)
	d.current = c.r // a fresh one, as the server makes it
	d.handler.ServeHTTP(&d.w, &d.current)
	if d.w.status != d.status {
		return fmt.Errorf("call handler: the answer is %d, not %d", d.w.status, d.status)
	}
	return nil
}

// Answer makes one call and returns what it is answered with.
func (d *Direct) Answer() (status int, contentType string, body []byte) {
	var kept bytes.Buffer
	d.w.keep = &kept
	_ = d.Serve() // the caller judges the status
	d.w.keep = nil
	return d.w.status, d.w.header.Get("Content-Type"), kept.Bytes()
}

// writer is a response writer that is as cheap as one can be, with the
// abilities of the server's that matter.
type writer struct {
	header http.Header
	status int
	n      int
	keep   *bytes.Buffer
}

func (w *writer) Header() http.Header { return w.header }

func (w *writer) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *writer) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.n += len(p)
	if w.keep != nil {
		w.keep.Write(p)
	}
	return len(p), nil
}

func (w *writer) Flush() {}

func (w *writer) SetReadDeadline(time.Time) error  { return nil }
func (w *writer) SetWriteDeadline(time.Time) error { return nil }
