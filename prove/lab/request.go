package lab

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/target"
)

// Request is what is sent to the public listener.
type Request struct {
	Verb string
	// Path is as it goes over the wire, with its query.
	Path   string
	Header http.Header
	// Body is sent with its length; Stream, if not nil, in chunks instead.
	Body   []byte
	Stream io.Reader
}

// Clone returns a copy whose header can be changed.
func (r Request) Clone() Request {
	r.Header = r.Header.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	return r
}

// With returns a copy with one header set; an empty value takes it away.
func (r Request) With(name, value string) Request {
	r = r.Clone()
	if value == "" {
		r.Header.Del(name)
	} else {
		r.Header.Set(name, value)
	}
	return r
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	// Body holds at most maxBody bytes; More says that there were others.
	Body []byte
	More bool
	Took time.Duration
	// Trace is the trace id that was sent along.
	Trace string
	// Err is why there was no answer, or only a part of one.
	Err error
}

// maxBody is how much of an answer is read.
const maxBody = 4 << 20

// Client sends requests from one address of its own, so that no limit and no
// lock-out that one probe meets reaches another. It is safe for concurrent use.
type Client struct {
	lab  *Lab
	base string
	http *http.Client
	// From is the address, empty where the system has only one on loopback or
	// the service is not on it.
	From string
}

// NewClient returns a client of the process with an address of its own. It is
// closed with the lab.
func (l *Lab) NewClient(in *target.Instance) *Client {
	c := &Client{lab: l, base: in.URL("")}
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	if ip := l.address(); ip != nil {
		dialer.LocalAddr, c.From = &net.TCPAddr{IP: ip}, ip.String()
	}
	transport := &http.Transport{
		DialContext: dialer.DialContext, TLSClientConfig: l.trust(), DisableCompression: true,
		MaxIdleConnsPerHost: 32, IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: false,
	}
	c.http = &http.Client{Transport: l.guarded(transport), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	l.onClose(transport.CloseIdleConnections)
	return c
}

// Do sends a request and reads the answer; of a stream only its beginning, which
// also ends it. A context without deadline gets one
// of 10 s.
func (c *Client) Do(ctx context.Context, r Request) *Answer {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
	}
	a := &Answer{}
	began := time.Now()
	defer func() { a.Took = time.Since(began) }()
	res, err := c.open(ctx, r, a)
	if err != nil {
		a.Err = err
		return a
	}
	defer func() { _ = res.Body.Close() }()
	a.Status, a.Header = res.StatusCode, res.Header
	if endless(res) {
		return a // a stream, which ends here
	}
	a.Body, a.Err = io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if len(a.Body) > maxBody {
		a.Body, a.More = a.Body[:maxBody], true
	}
	return a
}

// endless reports whether an answer goes on until somebody ends it.
func endless(res *http.Response) bool {
	return res.StatusCode == http.StatusSwitchingProtocols || strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream")
}

// Open sends a request and leaves the answer's body to the caller, who closes
// it: for streams.
func (c *Client) Open(ctx context.Context, r Request) (*http.Response, error) {
	return c.open(ctx, r, &Answer{})
}

func (c *Client) open(ctx context.Context, r Request, a *Answer) (*http.Response, error) {
	var body io.Reader
	switch {
	case r.Stream != nil:
		body = r.Stream
	case r.Body != nil:
		body = bytes.NewReader(r.Body)
	}
	req, err := http.NewRequestWithContext(ctx, r.Verb, c.base+r.Path, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	for name, values := range r.Header {
		req.Header[name] = values
	}
	if host := r.Header.Get("Host"); host != "" {
		req.Host = host
		req.Header.Del("Host")
	}
	if req.Header.Get("Traceparent") == "" {
		a.Trace = NewTrace()
		req.Header.Set("Traceparent", "00-"+a.Trace+"-"+a.Trace[:16]+"-01")
	}
	return c.http.Do(req)
}

// NewTrace returns a random trace id in hexadecimal.
func NewTrace() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails
	raw[0] |= 1              // neither the id nor the first half, a span's, is zero
	return hex.EncodeToString(raw[:])
}

// Refused reports that the answer is a client error, or that the connection was
// ended before an answer, which refuses as well.
func (a *Answer) Refused() bool { return a.Err != nil || a.Status >= 400 && a.Status < 500 }

// String says in a few words what came back.
func (a *Answer) String() string {
	var timeout net.Error
	switch {
	case a.Status != 0 && a.Err != nil:
		return fmt.Sprintf("%d, then %s", a.Status, cause(a.Err))
	case errors.As(a.Err, &timeout) && timeout.Timeout():
		return "no answer after " + a.Took.Round(time.Millisecond).String()
	case a.Err != nil:
		return "no answer: " + cause(a.Err)
	}
	return fmt.Sprintf("%d %s", a.Status, http.StatusText(a.Status))
}

// cause leaves the URL, which may hold a credential, out of an error.
func cause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// Show returns request and answer as evidence, without credentials.
func (c *Client) Show(r Request, a *Answer) []finding.Evidence {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", r.Verb, r.Path)
	_ = r.Header.Write(&b)
	fmt.Fprintf(&b, "\n%s", excerpt(c.lab.Mask(string(r.Body))))
	shown := []finding.Evidence{{Label: "request", Text: c.lab.Mask(b.String())}}
	if a == nil {
		return shown
	}
	text := a.String()
	if a.Status != 0 {
		res := &http.Response{StatusCode: a.Status, ProtoMajor: 1, ProtoMinor: 1, Header: a.Header, ContentLength: -1}
		head, _ := httputil.DumpResponse(res, false)
		text = string(head) + excerpt(c.lab.Mask(string(a.Body)))
	}
	return append(shown, finding.Evidence{Label: "answer", Text: c.lab.Mask(text)})
}

// excerpt returns the beginning of a body, which is masked already: half of a
// secret would not be recognized.
func excerpt(body string) string {
	const most = 600
	if len(body) <= most {
		return strings.ToValidUTF8(body, "\uFFFD")
	}
	return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(body[:most], "\uFFFD"), len(body))
}
