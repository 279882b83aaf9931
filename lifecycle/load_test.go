package lifecycle_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/lifecycle"
)

// tally is what clients saw of a shutdown under load.
type tally struct {
	sent, answered, closing atomic.Int64 // closing: answers that said Connection: close
	refused                 atomic.Int64 // could not connect: never accepted
	lostNew, lostReused     atomic.Int64 // no answer, on a new or a reused connection
	handled, unread         atomic.Int64 // requests that reached the handler; whose body failed
	firstLoss               atomic.Pointer[error]
}

// errLeaving is the error of a dialer that opens no more connections.
var errLeaving = errors.New("the service is leaving")

// post sends one request. It returns false when the port is closed.
func (c *tally) post(client *http.Client, url string) bool {
	const order = `{"sku":"a"}`
	// A body without GetBody: net/http must not retry it in secret.
	body := struct{ io.Reader }{strings.NewReader(order)}
	req, err := http.NewRequest(http.MethodPost, url, body)
	if err != nil {
		panic(err)
	}
	if client.Transport.(*http.Transport).ForceAttemptHTTP2 {
		// HTTP/2 says which requests were not begun (RFC 9113, section 6.8):
		// clients send those again, on a new connection.
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(order)), nil }
	}
	var reused atomic.Bool
	req = req.WithContext(traceReuse(req.Context(), &reused))
	c.sent.Add(1)
	resp, err := client.Do(req)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	var opError *net.OpError
	switch {
	case errors.Is(err, errLeaving):
		c.sent.Add(-1)
		return false
	case err == nil && resp.StatusCode == http.StatusOK:
		c.answered.Add(1)
		if resp.Close {
			c.closing.Add(1)
		}
		return true
	case errors.As(err, &opError) && opError.Op == "dial" && (errors.Is(err, syscall.ECONNREFUSED) || opError.Timeout()):
		c.refused.Add(1)
		return false
	case reused.Load():
		c.lostReused.Add(1)
	default:
		c.lostNew.Add(1)
	}
	c.firstLoss.CompareAndSwap(nil, &err)
	return true
}

// load starts clients, half of them with a connection per request, that post
// without pause until the port is closed.
func (c *tally) load(clients int, url string, secure *tls.Config, h2 bool) *sync.WaitGroup {
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			tr := &http.Transport{
				DisableKeepAlives: i%2 == 0,
				TLSClientConfig:   secure.Clone(), // each transport writes to its own
				ForceAttemptHTTP2: h2,
				DialContext:       (&net.Dialer{Timeout: 500 * time.Millisecond}).DialContext,
			}
			defer tr.CloseIdleConnections()
			client := &http.Client{Transport: tr}
			for c.post(client, url) {
			}
		})
	}
	return &wg
}

// TestStopUnderLoad is the promise of the package: whatever was accepted is
// answered, on new connections and on reused ones.
func TestStopUnderLoad(t *testing.T) {
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	defer cert.Close()
	pool := cert.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs

	for _, test := range []struct {
		name   string
		secure bool
		h2     bool
	}{{"http", false, false}, {"https", true, false}, {"http2", true, true}} {
		t.Run(test.name, func(t *testing.T) {
			var c tally
			srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c.handled.Add(1)
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					c.unread.Add(1)
				}
				_, _ = io.WriteString(w, "ok")
			})}
			url, secure := "http://", (*tls.Config)(nil)
			if test.secure {
				srv.TLSConfig = &tls.Config{Certificates: cert.TLS.Certificates}
				url, secure = "https://", &tls.Config{RootCAs: pool}
			}
			r := run(t, lifecycle.Config{ShutdownTimeout: 20 * time.Second}, srv)
			wg := c.load(24, url+r.addr, secure, test.h2)
			await(t, "load", func() bool { return c.answered.Load() > 500 })
			r.stop()
			if err := r.wait(); err != nil {
				t.Errorf("Run: %v", err)
			}
			wg.Wait()
			t.Logf("sent %d, handled %d, answered %d (%d said close), refused %d, lost on new %d, on reused %d",
				c.sent.Load(), c.handled.Load(), c.answered.Load(), c.closing.Load(), c.refused.Load(), c.lostNew.Load(), c.lostReused.Load())
			if h, a := c.handled.Load(), c.answered.Load(); h != a {
				t.Errorf("%d requests reached the handler, %d were answered", h, a)
			}
			if n := c.unread.Load(); n > 0 {
				t.Errorf("%d bodies could not be read", n)
			}
			if err := c.firstLoss.Load(); err != nil {
				t.Errorf("lost %d requests on new and %d on reused connections, first: %v", c.lostNew.Load(), c.lostReused.Load(), *err)
			}
		})
	}
}

// TestStopAtPace is the load of a service that is not saturated: 500 requests
// per second on connections that are idle most of the time.
func TestStopAtPace(t *testing.T) {
	var c tally
	r := run(t, lifecycle.Config{}, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c.handled.Add(1)
		_, _ = io.WriteString(w, "ok")
	})})
	var wg sync.WaitGroup
	const clients = 50
	for range clients {
		wg.Go(func() {
			tr := &http.Transport{}
			defer tr.CloseIdleConnections()
			client := &http.Client{Transport: tr}
			tick := time.NewTicker(clients * time.Second / 500)
			defer tick.Stop()
			for c.post(client, "http://"+r.addr) {
				<-tick.C
			}
		})
	}
	await(t, "load", func() bool { return c.answered.Load() > 250 })
	r.stop()
	if err := r.wait(); err != nil {
		t.Errorf("Run: %v", err)
	}
	wg.Wait()
	t.Logf("sent %d, handled %d, answered %d (%d said close), refused %d", c.sent.Load(), c.handled.Load(), c.answered.Load(), c.closing.Load(), c.refused.Load())
	if err := c.firstLoss.Load(); err != nil {
		t.Errorf("lost %d requests on new and %d on reused connections, first: %v", c.lostNew.Load(), c.lostReused.Load(), *err)
	}
	if h, a := c.handled.Load(), c.answered.Load(); h != a {
		t.Errorf("%d requests reached the handler, %d were answered", h, a)
	}
}

// TestBacklogIsServed opens connections, with their requests written,
// that the process has not accepted when the group begins to stop.
func TestBacklogIsServed(t *testing.T) {
	ln, err := lifecycle.Listen(t.Context(), "127.0.0.1:0", "HTTP_ADDR")
	if err != nil {
		t.Fatal(err)
	}
	const n = 64
	conns := make([]net.Conn, n)
	for i := range conns {
		if conns[i], err = net.Dial("tcp", ln.Addr().String()); err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close()
		if _, err := io.WriteString(conns[i], "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"); err != nil {
			t.Fatal(err)
		}
	}
	g := lifecycle.New(lifecycle.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// The group is stopped at the moment it starts to serve.
	err = g.Run(ctx, t.Context(), func(context.Context) error {
		return g.Serve("http", ln, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "ok")
		})})
	})
	if err != nil {
		t.Errorf("Run: %v", err)
	}
	answered := 0
	for _, c := range conns {
		if b, _ := io.ReadAll(c); bytes.HasPrefix(b, []byte("HTTP/1.1 200 OK\r\n")) {
			answered++
		}
	}
	if answered != n {
		t.Errorf("%d of %d connections in the backlog were answered", answered, n)
	}
}
