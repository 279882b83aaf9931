package transport

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"github.com/aguada-dev/aguada/transport/internal/streamsvc/gen/tape"
)

// A stream of events that panics is not whole for its client, and one that
// returns is; a client that leaves cancels the method's context.
func TestEventsOnTheirOwnConnection(t *testing.T) {
	r := newTape(t, nil)
	left := make(chan error, 1)
	method := func(context.Context) {}
	r.svc.ticks = func(ctx context.Context, _ *tape.TicksPayload, s tape.TicksServerStream) error {
		_ = s.Send(&tape.Tick{Text: "x"})
		method(ctx)
		return nil
	}
	addr := r.listen(t)
	get := func(ctx context.Context) *http.Response {
		req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+addr+"/ticks", nil)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	resp := get(t.Context())
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "data: x\n\n" || !resp.Close || resp.Header.Get("Date") == "" {
		t.Errorf("%q %v %v", body, err, resp.Header)
	}
	method = func(context.Context) { panic("secret") }
	resp = get(t.Context())
	if body, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) || string(body) != "data: x\n\n" {
		t.Errorf("%q %v", body, err)
	}
	if line := r.last(t); line["error.type"] != "panic" {
		t.Errorf("%v", line)
	}
	method = func(ctx context.Context) { left <- until(ctx) }
	ctx, cancel := context.WithCancel(t.Context())
	_ = get(ctx)
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("left with %v", err)
	}
	r.ended(t)
}

// hoarder does not let go of its connection: it panics, or refuses.
type hoarder struct {
	http.ResponseWriter
	err error
}

func (h hoarder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if h.err == nil {
		panic("mine")
	}
	return nil, nil, h.err
}

func (h hoarder) Flush() { _ = http.NewResponseController(h.ResponseWriter).Flush() }

// Where the connection is not let go, the stream goes on on the server's; a panic
// of who has it is the call's, and ends no more than that.
func TestConnectionIsNotLetGo(t *testing.T) {
	r := newTape(t, nil)
	r.svc.ticks = func(_ context.Context, _ *tape.TicksPayload, s tape.TicksServerStream) error {
		return s.Send(&tape.Tick{Text: "x"})
	}
	refusal := errors.New("no")
	r.wrap = func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.Header.Get("X-Panic") != "" {
				h.ServeHTTP(hoarder{ResponseWriter: w}, req)
				return
			}
			h.ServeHTTP(hoarder{w, refusal}, req)
		})
	}
	addr := r.listen(t)
	get := func(panics string) (string, error) {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+addr+"/ticks", nil)
		if panics != "" {
			req.Header.Set("X-Panic", panics)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return string(body), err
	}
	if body, err := get("yes"); err == nil {
		t.Errorf("a panic reads as %q", body)
	}
	if line := r.last(t); line["error.type"] != "panic" {
		t.Errorf("%v", line)
	}
	if body, err := get(""); err != nil || body != "data: x\n\n" {
		t.Errorf("%q %v", body, err)
	}
	r.ended(t)
}

// A stream that has begun does not keep its caller's credential, nor any other
// header, and its line still has the client's address.
func TestHeadersAreLetGo(t *testing.T) {
	r := newTape(t, nil, func(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	r.svc.ticks = func(ctx context.Context, _ *tape.TicksPayload, s tape.TicksServerStream) error {
		c := callOf(ctx)
		if c.req.Header.Get("Authorization") == "" {
			t.Error("the request has no headers")
		}
		err := s.Send(&tape.Tick{Text: "x"})
		if len(c.req.Header) > 0 || len(c.Header()) > 0 || c.head != nil {
			t.Errorf("the stream keeps %v and %v", c.req.Header, c.Header())
		}
		c.Header().Set("X-Late", "no effect")
		return err
	}
	req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+r.listen(t)+"/ticks", nil)
	req.Header = http.Header{"Authorization": {"Bearer secret"}, "X-Forwarded-For": {"192.0.2.7"}}
	resp := must(http.DefaultClient.Do(req))(t)
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "data: x\n\n" {
		t.Errorf("%q %v", body, err)
	}
	if line := r.last(t); line["client.address"] != "192.0.2.7" || line["error.type"] != nil {
		t.Errorf("%v", line)
	}
}
