package transport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/telemetry"
	"github.com/aguada-dev/aguada/transport/internal/testsvc/gen/shop"
)

// one serves a contract of one public method, without Goa.
func one(t *testing.T, p policy.Method, f http.HandlerFunc) *rig {
	t.Helper()
	p.Service, p.Access = "one", policy.Public
	log := &logBuffer{}
	r := &rig{log: log, cfg: Config{
		Logger: slog.New(telemetry.NewHandler(log, telemetry.JSON, nil)), ReadTimeout: 30 * time.Second, WriteTimeout: 60 * time.Second,
		Contract: &policy.Contract{Services: []policy.Service{{Name: "one", Methods: []policy.Method{p}}}},
	}}
	r.h = must(New(r.cfg))(t)
	r.h.Handle(p.Routes[0].Verb, p.Routes[0].Pattern, f)
	if err := r.h.Ready(); err != nil {
		t.Fatal(err)
	}
	return r
}

// A stream that got past the check for draining does not begin after
// CloseStreams.
func TestStreamAfterCloseStreams(t *testing.T) {
	r := newRig(t, nil)
	begun := false
	r.shop.watch = func(context.Context, shop.WatchServerStream) error { begun = true; return nil }
	r.shop.echo = func(context.Context, shop.EchoServerStream) error { begun = true; return nil }
	r.h.CloseStreams()
	if w := r.do(request("GET", "/watch", "", "")); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("events: %d %v", w.Code, w.Header())
	}
	if _, resp, err := r.dial(t, r.bearer()); err == nil || resp == nil || resp.StatusCode != 503 {
		t.Errorf("WebSocket: %v %v", resp, err)
	}
	if begun {
		t.Error("the method was called")
	}
}

// A method that opens its WebSocket while the server stops does not wait for
// messages until the end of the budget.
func TestUpgradeDuringCloseStreams(t *testing.T) {
	r := newRig(t, nil)
	ended := make(chan error, 1)
	r.shop.echo = func(ctx context.Context, s shop.EchoServerStream) error {
		r.h.CloseStreams()
		<-ctx.Done()
		_, err := s.Recv()
		ended <- err
		return err
	}
	conn, _, err := r.dial(t, r.bearer())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, _, err := conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseGoingAway) {
		t.Errorf("ended by %v", err)
	}
	if err := <-ended; err == nil {
		t.Error("the method got a message")
	}
}

// Clients that do not read hold up neither their methods nor those of others.
func TestCloseStreamsOfIdleReaders(t *testing.T) {
	r := newRig(t, func(r *rig) { r.auther = open{} }) // no token is valid at the time of a test's clock
	var ended chan time.Time
	flood := &shop.Item{Sku: "AB-123"}
	r.shop.echo = func(_ context.Context, s shop.EchoServerStream) error {
		for s.Send(flood) == nil {
		}
		ended <- time.Now()
		return nil
	}
	r.shop.watch = func(ctx context.Context, s shop.WatchServerStream) error {
		for ctx.Err() == nil && s.Send(flood) == nil { // Goa's Send does not tell of a write that failed
		}
		ended <- time.Now()
		return nil
	}
	synctest.Test(t, func(t *testing.T) {
		ended = make(chan time.Time, 10)
		for range 5 {
			conn, _, err := r.dial(t, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			p, _ := r.serve(t)
			events, err := p.dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer events.Close()
			_, _ = io.WriteString(events, "GET /watch HTTP/1.1\r\nHost: x\r\n\r\n")
		}
		synctest.Wait()
		begun := time.Now()
		r.h.CloseStreams()
		for range 10 {
			if took := (<-ended).Sub(begun); took > closing {
				t.Errorf("a stream ended after %v", took)
			}
		}
	})
}

// What a stream is asked by may not trickle in for ever.
func TestSlowBodyOfStream(t *testing.T) {
	var h *HTTP
	r := one(t, policy.Method{
		Name: "feed", Kind: policy.EventStream, HasBody: true, Routes: []policy.Route{{Verb: "POST", Pattern: "/feed"}},
	}, func(w http.ResponseWriter, r *http.Request) {
		var body any
		if err := h.Decoder(r).Decode(&body); err != nil {
			w.WriteHeader(h.Formatter(r.Context(), err).StatusCode())
			return
		}
		time.Sleep(time.Hour) // longer than any timeout
		_, _ = io.WriteString(w, "data: 1\n\n")
	})
	h = r.h
	synctest.Test(t, func(t *testing.T) {
		for sent, want := range map[string]int{"{": 408, "{}": 200} {
			p, _ := r.serve(t)
			conn, err := p.dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			_, _ = fmt.Fprintf(conn, "POST /feed HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n%s", sent)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != want || want == 408 && time.Since(begun) != 30*time.Second {
				t.Errorf("%q: %d after %v", sent, resp.StatusCode, time.Since(begun))
			}
			_ = conn.Close()
		}
	})
}

// Whatever a handler does with its writer, the call ends and is counted out.
func TestInvalidStatus(t *testing.T) {
	for _, status := range []int{-1, 0, 99, 1000} {
		r := one(t, policy.Method{
			Name: "bad", Kind: policy.Unary, MaxInFlight: 1, Routes: []policy.Route{{Verb: "GET", Pattern: "/bad"}},
		}, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		for range 2 {
			if w := r.do(request("GET", "/bad", "", "")); w.Code != 500 || !strings.Contains(w.Body.String(), policy.InternalFault.Message) {
				t.Errorf("%d: %d %s", status, w.Code, w.Body)
			}
		}
		if n := r.h.InFlight(); n != 0 {
			t.Errorf("%d: %d in flight", status, n)
		}
	}
}

func TestLogIsBounded(t *testing.T) {
	r := newRig(t, nil)
	long := strings.Repeat("A", 100_000)
	for _, req := range []*http.Request{
		request(long, "/find", "", ""), request("GET", "/"+long, "", ""), request("GET", "/orders/"+long, r.token, ""),
		request("GET", "/find?"+long, "", ""), request("POST", "/login", long, `{"secret":"`+long+`"}`),
	} {
		req.Header.Set("X-Request-Id", long)
		req.Header.Set("Accept", long)
		r.log.reset()
		r.do(req)
		if n := len(r.log.String()); n == 0 || n > 2000 {
			t.Errorf("%.20s %.20s: a line of %d bytes", req.Method, req.URL, n)
		}
	}
}

// A stream that failed after its status is no success.
func TestAuditOfStreams(t *testing.T) {
	r := newRig(t, func(r *rig) { r.policyOf("watch").Audit, r.policyOf("echo").Audit = true, true })
	outcome := func() any {
		events := r.log.lines(t, "audit")
		r.log.reset()
		if len(events) != 1 {
			t.Fatalf("%d events", len(events))
		}
		return events[0]["outcome"]
	}
	for want, ending := range map[string]func() error{
		"success": func() error { return nil }, "failure": func() error { return errors.New("secret") },
	} {
		r.shop.watch = func(_ context.Context, s shop.WatchServerStream) error {
			_ = s.Send(&shop.Item{Sku: "AB-123"})
			return ending()
		}
		if r.do(request("GET", "/watch", "", "")); outcome() != want {
			t.Errorf("events, %s: audited otherwise", want)
		}
		r.shop.echo = func(_ context.Context, s shop.EchoServerStream) error {
			_ = s.Send(&shop.Item{Sku: "AB-123"})
			return ending()
		}
		conn, _, err := r.dial(t, r.bearer())
		if err != nil {
			t.Fatal(err)
		}
		_, _, _ = conn.ReadMessage()
		_, _, _ = conn.ReadMessage()
		_ = conn.Close()
		for end := time.Now().Add(10 * time.Second); r.h.InFlight() > 0 && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		if outcome() != want {
			t.Errorf("WebSocket, %s: audited otherwise", want)
		}
	}
}

// Caches are told what an answer depends on.
func TestVary(t *testing.T) {
	r := newRig(t, nil)
	for target, want := range map[string]string{"/orders/1": "Accept", "/find": "", "/find?limit=x": "Accept", "/nope": "Accept"} {
		if got := r.do(request("GET", target, r.token, "")).Header().Get("Vary"); got != want {
			t.Errorf("%s: %q", target, got)
		}
	}
	r.shop.show = func(context.Context, *shop.ShowPayload) (*shop.Order, error) { return nil, errors.New("x") }
	w := httptest.NewRecorder()
	w.Header().Set("Vary", "Origin")
	r.h.ServeHTTP(w, request("GET", "/orders/1", r.token, ""))
	if got := w.Header()["Vary"]; strings.Join(got, ",") != "Origin,Accept" {
		t.Errorf("with another: %q", got)
	}
}

// A file server's refusals look like all others.
func TestFileErrors(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := one(t, policy.Method{
		Name: "files", Kind: policy.Files, Routes: []policy.Route{{Verb: "GET", Pattern: "/{*path}"}},
	}, http.FileServer(http.Dir(dir)).ServeHTTP)
	for target, want := range map[string]int{"/nothing": 404, "/..%2f..%2fetc%2fpasswd": 404, "/a%00.txt": 404, "/a.txt": 416} {
		req := request("GET", target, "", "")
		req.Header.Set("Range", "bytes=100-")
		w := r.do(req)
		if w.Code != want || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %v", target, w.Code, w.Header())
			continue
		}
		if m, line := decoded(t, w), r.log.last(t); m["id"] != line["error.id"] || m["name"] != line["error.type"] {
			t.Errorf("%s: %v, log %v", target, m, line)
		}
	}
}

// A refused body costs the stream of HTTP/2, not the connection of others.
func TestHTTP2KeepsItsConnection(t *testing.T) {
	r := newRig(t, nil)
	server := httptest.NewUnstartedServer(r.h)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	dials := 0
	client := server.Client()
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials++
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	for range 3 {
		for _, token := range []string{"", r.token} {
			req, err := http.NewRequest("POST", server.URL+"/orders", io.LimitReader(zeros{}, 8<<20))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	}
	if dials != 1 {
		t.Errorf("%d connections", dials)
	}
}

// A page of another site cannot make calls with what its visitor's browser
// adds by itself, and anyone else is not bothered.
func TestForeignPages(t *testing.T) {
	cookie := func(r *rig) {
		r.policyOf("cancel").Requirements = []policy.Requirement{{Schemes: []policy.Use{{Scheme: "jwt", In: policy.InCookie, Name: "session"}}}}
	}
	preflight := func(r *rig) {
		cookie(r)
		s := &r.contract.Services[0]
		s.Methods = append(s.Methods, policy.Method{
			Service: "shop", Name: "cors", Kind: policy.Preflight, Access: policy.Public,
			Routes: []policy.Route{{Verb: "OPTIONS", Pattern: "/orders/{id}:cancel"}},
		})
	}
	for _, test := range []struct {
		name   string
		change func(*rig)
		header http.Header
		want   int
	}{
		{"foreign site", cookie, http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403},
		{"foreign origin, old browser", cookie, http.Header{"Origin": {"https://evil.test"}}, 403},
		{"no origin at all", cookie, http.Header{"Origin": {"null"}}, 403},
		{"own page", cookie, http.Header{"Sec-Fetch-Site": {"same-origin"}}, 204},
		{"no browser", cookie, nil, 204},
		{"the design answers preflights", preflight, http.Header{"Sec-Fetch-Site": {"cross-site"}}, 204},
		{"a token that no browser adds", nil, http.Header{"Sec-Fetch-Site": {"cross-site"}}, 204},
	} {
		r := newRig(t, test.change)
		req := request("POST", "/orders/7:cancel", r.token, "")
		if test.change != nil {
			req.Header.Del("Authorization")
			req.AddCookie(&http.Cookie{Name: "session", Value: r.token})
		}
		for key, values := range test.header {
			req.Header[key] = values
		}
		if w := r.do(req); w.Code != test.want {
			t.Errorf("%s: %d %s", test.name, w.Code, w.Body)
		}
	}
}

// An answer that breaks off in the middle does not look whole.
func TestHalfAnswer(t *testing.T) {
	r := newRig(t, nil)
	r.shop.download = func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat("x", 5000)), errReader{})), nil
	}
	_, client := r.serve(t)
	resp, err := client.Get("http://shop.test/download")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err == nil || strings.Contains(string(text), "broken") {
		t.Errorf("a half answer looks whole, or tells why: %v", err)
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, os.ErrClosed }

// A credential in the body is verified by the wrapped endpoint, and by nothing
// else: a handler without one would be open to everybody.
func TestLateCredentialNeedsItsEndpoint(t *testing.T) {
	for _, wrapped := range []bool{false, true} {
		c := shopContract()
		methods := &c.Services[0].Methods
		*methods = slices.DeleteFunc(*methods, func(m policy.Method) bool { return m.Name != "login" })
		r := newRig(t, nil)
		h := must(New(Config{Contract: c, Verifiers: r.cfg.Verifiers}))(t)
		h.Late("shop", "login", func(any, string) (auth.Credential, bool) { return auth.Credential{}, false })
		h.Handle("POST", "/login", func(http.ResponseWriter, *http.Request) {})
		if wrapped {
			h.Endpoint("shop", "login", nil)
		}
		if err := h.Ready(); (err == nil) != wrapped || !wrapped && !strings.Contains(err.Error(), "shop.login") {
			t.Errorf("wrapped %t: %v", wrapped, err)
		}
	}
}
