package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/testsvc/gen/shop"
)

// do serves one request and returns its answer.
func (r *rig) do(req *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, req)
	return w
}

// decoded reads a JSON answer.
func decoded(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	m := map[string]any{}
	if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil {
		t.Fatalf("answer %d: %v: %q", w.Code, err, w.Body)
	}
	return m
}

func TestAnswers(t *testing.T) {
	r := newRig(t, nil)
	w := r.do(request("POST", "/orders", r.token, order))
	if w.Code != http.StatusCreated || decoded(t, w)["total_cents"] != 2599.0 {
		t.Fatalf("create: %d %s", w.Code, w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	if w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("X-Request-Id") == "" || w.Header().Get("Server") != "" {
		t.Errorf("header = %v", w.Header())
	}
	line := r.log.last(t)
	for key, want := range map[string]any{
		"service": "shop", "method": "create", "http.request.method": "POST", "http.route": "/orders", "http.response.status_code": 201.0,
		"enduser.id": "ann", "auth.scheme": "jwt", "http.request.body.size": float64(len(order)), "level": "INFO",
		"request_id": w.Header().Get("X-Request-Id"),
	} {
		if line[key] != want {
			t.Errorf("log: %s = %v, want %v", key, line[key], want)
		}
	}
	if line["http.response.body.size"] != float64(w.Body.Len()) {
		t.Errorf("log: %v bytes written, want %d", line["http.response.body.size"], w.Body.Len())
	}
	goaAnswer := httptest.NewRecorder()
	bareGoa().ServeHTTP(goaAnswer, request("POST", "/orders", r.token, order))
	if goaAnswer.Body.String() != w.Body.String() {
		t.Errorf("body %q, Goa's %q", w.Body, goaAnswer.Body)
	}
	if w := r.do(request("POST", "/orders/7:cancel", r.token, "")); w.Code != http.StatusNoContent {
		t.Errorf("cancel: %d %s", w.Code, w.Body)
	}
	if w := r.do(request("GET", "/page", "", "")); w.Code != http.StatusOK || w.Body.String() != "<p>hello</p>" || w.Header().Get("Content-Type") != "text/html" {
		t.Errorf("page: %d %q %v", w.Code, w.Body, w.Header())
	}
	if w := r.do(request("GET", "/download", "", "")); w.Code != http.StatusOK || w.Body.String() != "data" {
		t.Errorf("download: %d %q", w.Code, w.Body)
	}
	if w := r.do(request("POST", "/upload", r.token, "raw data")); w.Code != http.StatusOK || w.Body.String() != "8\n" {
		t.Errorf("upload: %d %q", w.Code, w.Body)
	}
}

func TestAuthentication(t *testing.T) {
	r := newRig(t, nil)
	tests := []struct {
		name      string
		req       *http.Request
		change    func(*http.Request)
		status    int
		challenge string
		reason    string
		user      any
	}{
		{"none", request("POST", "/orders", "", order), nil, 401, `Bearer realm="shop", scope="api:write"`, "missing", nil},
		{"other scheme", request("POST", "/orders", "", order), func(r *http.Request) { r.SetBasicAuth("a", "b") }, 401, `Bearer realm="shop", scope="api:write"`, "missing", nil},
		{"bad token", request("POST", "/orders", "x.y.z", order), nil, 401, `Bearer realm="shop", error="invalid_token", scope="api:write"`, "", nil},
		{"twice", request("POST", "/orders", r.token, order), func(req *http.Request) { req.Header.Add("Authorization", "Bearer "+r.token) }, 401, "Bearer", "duplicate", nil},
		{"no scope", request("POST", "/orders", r.reader, order), nil, 403, `Bearer realm="shop", error="insufficient_scope", scope="api:write"`, "insufficient_scope", "rob"},
	}
	for _, test := range tests {
		if test.change != nil {
			test.change(test.req)
		}
		source := &counting{r: strings.NewReader(order)}
		test.req.Body = source
		w := r.do(test.req)
		if w.Code != test.status {
			t.Errorf("%s: status %d: %s", test.name, w.Code, w.Body)
		}
		if got := w.Header().Get("Www-Authenticate"); !strings.HasPrefix(got, test.challenge) {
			t.Errorf("%s: challenge %q", test.name, got)
		}
		if w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: header %v", test.name, w.Header())
		}
		if source.n > 0 {
			t.Errorf("%s: %d bytes of the body read", test.name, source.n)
		}
		line := r.log.last(t)
		if test.reason != "" && line["error.type"] != test.reason || line["enduser.id"] != test.user {
			t.Errorf("%s: line %v", test.name, line)
		}
		if strings.Contains(r.log.String(), r.token) || strings.Contains(w.Body.String(), "eyJ") {
			t.Errorf("%s: a token is in the log or the answer", test.name)
		}
	}
}

// counting is a body that counts what is read of it.
type counting struct {
	r io.Reader
	n int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func (*counting) Close() error { return nil }

func TestCredentialInTheBody(t *testing.T) {
	r := newRig(t, nil)
	w := r.do(request("POST", "/login", "", `{"secret":"`+r.key+`"}`))
	if w.Code != http.StatusOK || w.Body.String() != "\"hello kim\"\n" {
		t.Errorf("login: %d %s", w.Code, w.Body)
	}
	r.shop.login = func(context.Context, *shop.LoginPayload) (string, error) {
		t.Error("called without authentication")
		return "", nil
	}
	for _, secret := range []string{"wrong", "", r.key + "x"} {
		w := r.do(request("POST", "/login", "", `{"secret":"`+secret+`"}`))
		if w.Code != http.StatusUnauthorized || w.Header().Get("Www-Authenticate") == "" || decoded(t, w)["name"] != "unauthorized" {
			t.Errorf("secret %q: %d %s %v", secret, w.Code, w.Body, w.Header())
		}
	}
	if strings.Contains(r.log.String(), r.key) {
		t.Error("the key is in the log")
	}
}

func TestUnmatched(t *testing.T) {
	r := newRig(t, nil)
	long := "/no/" + strings.Repeat("x", 300)
	for _, test := range []struct {
		verb, target string
		status       int
		allow, name  string
	}{
		{"GET", long + "?token=secret", 404, "", "not_found"},
		{"PATCH", "/orders", 405, "POST", "method_not_allowed"},
		{"HEAD", "/orders/7", 405, "GET", "method_not_allowed"},
		{"OPTIONS", "/find", 405, "GET", "method_not_allowed"},
		{"POST", "/files/a.txt", 405, "GET, HEAD", "method_not_allowed"},
	} {
		for _, accept := range []string{"", "application/problem+json"} {
			req := request(test.verb, test.target, "", "")
			want := "application/json"
			if accept != "" {
				req.Header.Set("Accept", accept)
				want = accept
			}
			w := r.do(req)
			if w.Code != test.status || w.Header().Get("Allow") != test.allow || w.Header().Get("Content-Type") != want {
				t.Errorf("%s %.20s: %d %v", test.verb, test.target, w.Code, w.Header())
			}
			m := decoded(t, w)
			if m["name"] != test.name {
				t.Errorf("%s %.20s: %v", test.verb, test.target, m)
			}
			if accept != "" && (m["status"] != float64(test.status) || m["title"] != http.StatusText(test.status) || m["type"] != "about:blank") {
				t.Errorf("%s %.20s: %v", test.verb, test.target, m)
			}
		}
		line := r.log.last(t)
		if path, _ := line["url.path"].(string); len(path) > maxPath || path == "" || strings.Contains(r.log.String(), "secret") {
			t.Errorf("line = %v", line)
		}
	}
}

func TestFiles(t *testing.T) {
	r := newRig(t, nil)
	for _, verb := range []string{"GET", "HEAD"} {
		if w := r.do(request(verb, "/files/nothing.txt", "", "")); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d %s", verb, w.Code, w.Body)
		}
		if w := r.do(request(verb, "/old", "", "")); w.Code != http.StatusMovedPermanently {
			t.Errorf("%s: %d %s", verb, w.Code, w.Body)
		}
	}
}

func TestRequestID(t *testing.T) {
	r := newRig(t, nil)
	for _, test := range []struct {
		sent string
		kept bool
	}{
		{"abc-1.2_X", true}, {strings.Repeat("a", 64), true}, {strings.Repeat("a", 65), false}, {"a b", false}, {"a\"b", false}, {"", false}, {"\u00e9", false},
	} {
		req := request("GET", "/find", "", "")
		req.Header["X-Request-Id"] = []string{test.sent}
		var inside string
		r.shop.find = func(ctx context.Context, _ *shop.FindPayload) (any, error) { inside = RequestID(ctx); return 1, nil }
		got := r.do(req).Header().Get("X-Request-Id")
		if (got == test.sent) != test.kept || got == "" || got != inside || !saneID(got) {
			t.Errorf("%q: got %q, inside %q", test.sent, got, inside)
		}
	}
	if a, b := newID(), newID(); a == b || len(a) != 24 {
		t.Errorf("ids %q %q", a, b)
	}
}

func TestNegotiation(t *testing.T) {
	r := newRig(t, nil)
	for accept, want := range map[string]string{
		"": "application/json", "*/*": "application/json", "application/xml": "application/xml", "text/csv": "application/json",
		"application/xml;q=0.5, application/json": "application/json", "application/json;q=0.2, application/xml;q=0.9": "application/xml",
		"application/*": "application/json", "application/gob": "application/gob", "application/json;q=0, */*": "application/xml", ";;q=x,,": "application/json",
	} {
		req := request("GET", "/orders/1", r.token, "")
		req.Header.Set("Accept", accept)
		w := r.do(req)
		if got := w.Header().Get("Content-Type"); got != want || w.Code != 200 || w.Body.Len() == 0 {
			t.Errorf("accept %q: %q %d", accept, got, w.Code)
		}
		if want == "application/xml" {
			if err := xml.Unmarshal(w.Body.Bytes(), &struct{ XMLName xml.Name }{}); err != nil {
				t.Errorf("accept %q: %v: %s", accept, err, w.Body)
			}
		}
	}
	r.shop.show = func(context.Context, *shop.ShowPayload) (*shop.Order, error) { return nil, errors.New("secret") }
	req := request("GET", "/orders/1", r.token, "")
	req.Header.Set("Accept", "application/xml")
	if w := r.do(req); w.Code != 500 || !strings.HasPrefix(w.Body.String(), "<error>") || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("error in XML: %d %s", w.Code, w.Body)
	}
}

// A middleware of the user's may wrap the writer, which then gets the answer.
func TestWrappedWriter(t *testing.T) {
	r := newRig(t, nil)
	for path, want := range map[string]int{"/find": 200, "/bad": 500} {
		req := request("GET", path, "", "")
		r.h.Plain("GET", path+"/wrapped", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			upper := &shouting{ResponseWriter: w}
			enc := r.h.Encoder(req.Context(), upper)
			upper.WriteHeader(http.StatusOK)
			var v any = "quiet"
			if path == "/bad" {
				v = make(chan int)
			}
			if err := enc.Encode(v); err != nil {
				r.h.ErrorHandler(req.Context(), upper, err)
			}
		}))
		req.URL.Path += "/wrapped"
		w := r.do(req)
		if w.Code != want || want == 200 && w.Body.String() != "\"QUIET\"\n" {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

type shouting struct{ http.ResponseWriter }

func (s *shouting) Write(p []byte) (int, error) { return s.ResponseWriter.Write(bytes.ToUpper(p)) }

func TestMaxInFlight(t *testing.T) {
	r := newRig(t, func(r *rig) { r.policyOf("find").MaxInFlight = 1 })
	inside, leave := make(chan struct{}), make(chan struct{})
	r.shop.find = func(context.Context, *shop.FindPayload) (any, error) {
		close(inside)
		<-leave
		return 1, nil
	}
	first := make(chan int)
	go func() { first <- r.do(request("GET", "/find", "", "")).Code }()
	<-inside
	w := r.do(request("GET", "/find", "", ""))
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || decoded(t, w)["temporary"] != true || r.h.InFlight() != 1 {
		t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
	}
	close(leave)
	if code := <-first; code != 200 {
		t.Errorf("the first: %d", code)
	}
	r.shop.find = nil
	if w := r.do(request("GET", "/find", "", "")); w.Code != 200 {
		t.Errorf("afterwards: %d", w.Code)
	}
}

func TestDraining(t *testing.T) {
	draining := true
	r := newRig(t, func(r *rig) { r.cfg.Draining = func() bool { return draining } })
	if w := r.do(request("GET", "/find", "", "")); w.Code != 200 || w.Header().Get("Connection") != "close" {
		t.Errorf("unary: %d %v", w.Code, w.Header())
	}
	if w := r.do(request("GET", "/watch", "", "")); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("stream: %d %v", w.Code, w.Header())
	}
}

func TestAudit(t *testing.T) {
	r := newRig(t, nil)
	r.do(request("POST", "/orders/7:cancel", r.token, ""))
	r.do(request("POST", "/orders/7:cancel", r.reader, ""))
	r.do(request("POST", "/orders/7:cancel", "", ""))
	r.shop.cancel = func(context.Context, *shop.CancelPayload) error { return shop.MakeConflict(errors.New("shipped")) }
	r.do(request("POST", "/orders/7:cancel", r.token, ""))
	events := r.log.lines(t, "audit")
	if len(events) != 4 {
		t.Fatalf("%d events: %s", len(events), r.log)
	}
	for i, want := range []struct{ user, outcome string }{{"ann", "success"}, {"rob", "denied"}, {"", "denied"}, {"ann", "failure"}} {
		if e := events[i]; e["enduser.id"] != want.user || e["outcome"] != want.outcome || e["method"] != "cancel" || e["request_id"] == "" {
			t.Errorf("event %d = %v", i, e)
		}
	}
}

func TestOwnAuther(t *testing.T) {
	r := newRig(t, func(r *rig) { r.auther = open{}; r.cfg.Verifiers = nil })
	r.shop.show = func(ctx context.Context, _ *shop.ShowPayload) (*shop.Order, error) {
		if _, ok := auth.FromContext(ctx); ok || Confirm(ctx) == nil {
			t.Error("there is a principal that nobody proved")
		}
		return stored, nil
	}
	if w := r.do(request("GET", "/orders/1", "", "")); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestEndpointOutsideOfItsRequest(t *testing.T) {
	r := newRig(t, nil)
	called := r.h.Endpoint("shop", "create", func(context.Context, any) (any, error) { return 1, nil })
	if _, err := called(context.Background(), nil); err == nil {
		t.Error("called without a request")
	}
	during(t, r, request("GET", "/orders/1", r.reader, ""), func(ctx context.Context) error {
		if _, err := called(ctx, nil); err == nil {
			t.Error("called within a request for another method")
		}
		return nil
	})
}

func TestReadyRefuses(t *testing.T) {
	contract := shopContract()
	contract.Services[0].Methods[1].Requirements[0].Schemes[0].Scheme = "none"
	h, err := New(Config{Contract: contract, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	nothing := func(http.ResponseWriter, *http.Request) {}
	h.Handle("GET", "/unknown", nothing)
	h.Handle("GET", "/find", nothing)
	h.Handle("GET", "/find", nothing)
	h.Plain("GET", "/page", http.HandlerFunc(nothing))
	h.Plain("GET", "/livez", http.HandlerFunc(nothing))
	h.Endpoint("shop", "unknown", nil)
	h.OwnAuther("unknown")
	err = h.Ready()
	for _, want := range []string{
		"GET /unknown is not in the contract", `"GET /find" is mounted twice`, "shop.unknown is not in the contract", "service unknown",
		"route POST /orders of shop.create is not mounted", "GET /page of shop.page is not mounted", "none", "login",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	w := httptest.NewRecorder()
	h.Handle("GET", "/orders/{id}", func(http.ResponseWriter, *http.Request) { t.Error("served without a guard") })
	h.ServeHTTP(w, request("GET", "/orders/1", "", ""))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("before Ready: %d", w.Code)
	}
	if _, err := New(Config{}); err == nil {
		t.Error("no contract is accepted")
	}
	contract.Services[0].Methods[2].Access = "open"
	contract.Services[0].Methods[3].Routes[0] = policy.Route{Verb: "POST", Pattern: "/orders"}
	if _, err := New(Config{Contract: contract}); err == nil || !strings.Contains(err.Error(), `"open"`) || !strings.Contains(err.Error(), "shop.cancel") {
		t.Errorf("err = %v", err)
	}
}

func TestPlainIsQuiet(t *testing.T) {
	r := newRig(t, nil)
	r.h.Plain("GET", "/livez", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	if w := r.do(request("GET", "/livez", "", "")); w.Code != 200 || w.Body.String() != "ok" || r.log.String() != "" {
		t.Errorf("%d %s, log %s", w.Code, w.Body, r.log)
	}
}

func TestLogThroughAnotherHandler(t *testing.T) {
	r := newRig(t, nil)
	r.h.log = slog.New(slog.NewJSONHandler(r.log, nil))
	r.do(request("GET", "/orders/1", r.token, ""))
	if line := r.log.last(t); line["http.route"] != "/orders/{id}" || line["enduser.id"] != "ann" {
		t.Errorf("line = %v", line)
	}
}
