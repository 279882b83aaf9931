package transport

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/policy"
)

// askRPC asks as a browser does before a page's call.
func (r *deskRig) askRPC(path, origin, header string) *httptest.ResponseRecorder {
	req := httptest.NewRequest("OPTIONS", path, nil)
	req.Header.Set("Origin", origin)
	req.Header.Set("Access-Control-Request-Method", "POST")
	if header != "" {
		req.Header.Set("Access-Control-Request-Headers", header)
	}
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, req)
	return w
}

// A route's methods have their origins in common, and refusals are as readable to
// a page as answers are.
func TestJSONRPCOrigins(t *testing.T) {
	const shop, evil = "https://shop.example.com", "https://evil.example.com"
	r := newDesk(t, func(m *policy.Method) {
		if m.Service == "desk" || m.Service == "feed" {
			m.CORS = &policy.CORS{Origins: []string{shop}}
		}
	})
	w := r.askRPC("/rpc", shop, "authorization,content-type,x-trace")
	if w.Code != 204 || w.Header().Get("Access-Control-Allow-Origin") != shop || w.Header().Get("Access-Control-Allow-Credentials") != "" ||
		!strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), "X-Trace") || w.Header().Get("Access-Control-Allow-Methods") != "POST" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	for _, origin := range []string{evil, "null", shop + ".evil.example.com"} {
		if w := r.askRPC("/rpc", origin, ""); w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %v", origin, w.Code, w.Header())
		}
	}
	if w := r.askRPC("/tape", shop, ""); w.Code < 400 || w.Header().Get("Access-Control-Allow-Methods") != "" {
		t.Errorf("a route without origins: %v", w.Header())
	}
	ping, tail := `{"jsonrpc":"2.0","method":"ping","id":1}`, `{"jsonrpc":"2.0","method":"tail","params":{"count":"x"},"id":1}`
	for _, c := range []struct{ path, body string }{
		{"/rpc", ping}, {"/rpc", "[" + ping + "]"}, {"/rpc", putNote}, {"/rpc", `{`}, {"/rpc", `{"jsonrpc":"2.0","method":"ping"}`}, {"/feed", tail},
	} {
		w := r.post(c.path, "", c.body, "Origin", shop)
		if w.Header().Get("Access-Control-Allow-Origin") != shop || !strings.Contains(w.Header().Get("Vary"), "Origin") || w.Header().Get("Access-Control-Expose-Headers") == "" {
			t.Errorf("%s: %d %v", c.body, w.Code, w.Header())
		}
		w = r.post(c.path, "", c.body, "Origin", evil)
		if w.Header().Get("Access-Control-Allow-Origin") != "" || !strings.Contains(w.Header().Get("Vary"), "Origin") {
			t.Errorf("%s: %d %v", c.body, w.Code, w.Header())
		}
	}
}

// Pages of different origins cannot share a route: New refuses.
func TestJSONRPCDifferentOrigins(t *testing.T) {
	for name, other := range map[string]*policy.CORS{
		"none": nil, "others": {Origins: []string{"https://b.example.com"}}, "credentials": {Origins: []string{"https://a.example.com"}, Credentials: true},
	} {
		contract := deskContract()
		for i := range contract.Services[0].Methods {
			m := &contract.Services[0].Methods[i]
			if m.CORS = (&policy.CORS{Origins: []string{"https://a.example.com"}}); m.Name == "ping" {
				m.CORS = other
			}
		}
		if _, err := New(Config{Contract: contract}); err == nil || !strings.Contains(err.Error(), "pages of different origins") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A page of another origin cannot use a credential that its browser adds.
func TestJSONRPCForeignPage(t *testing.T) {
	r := newDesk(t, func(m *policy.Method) {
		if m.Name == "get" {
			m.JSONRPC.Requirements = []policy.Requirement{{Schemes: []policy.Use{{Scheme: "key", In: policy.InCookie, Name: "session"}}}}
		}
	})
	get := `{"jsonrpc":"2.0","method":"get","params":{"id":"abc"},"id":2}`
	for _, body := range []string{get, "[" + get + "]", `{"jsonrpc":"2.0","method":"get","params":{"id":"abc"}}`} {
		w := r.post("/rpc", "", body, "Cookie", "session="+r.key, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example.com")
		if w.Code != 403 || r.count() != 0 {
			t.Errorf("%d %s, called %v", w.Code, w.Body, r.calls)
		}
	}
	if w := r.post("/rpc", "", get, "Cookie", "session="+r.key, "Authorization", "Bearer x"); w.Code != 200 || r.count() != 1 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
