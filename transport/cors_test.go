package transport

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/telemetry"
	"github.com/aguada-dev/aguada/transport/internal/testsvc/gen/shop"
)

const page = "https://shop.example"

// pages gives methods origins; no names mean all methods.
func pages(c policy.CORS, names ...string) func(*rig) {
	return func(r *rig) {
		for i := range r.contract.Services[0].Methods {
			if m := &r.contract.Services[0].Methods[i]; len(names) == 0 || slices.Contains(names, m.Name) {
				m.CORS = &c
			}
		}
	}
}

var shopPage = policy.CORS{Origins: []string{page, "http://localhost:3000"}}

// asking is a preflight.
func asking(path, verb, origin string) *http.Request {
	r := request("OPTIONS", path, "", "")
	r.Header.Set("Origin", origin)
	r.Header.Set("Access-Control-Request-Method", verb)
	r.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
	return r
}

// from is a request that a page makes.
func from(r *http.Request, origin string) *http.Request {
	r.Header.Set("Origin", origin)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	return r
}

// corsHeader returns what a browser reads of an answer.
func corsHeader(w *httptest.ResponseRecorder) map[string]string {
	got := map[string]string{}
	for name, values := range w.Header() {
		if short, ok := strings.CutPrefix(name, "Access-Control-"); ok {
			got[short] = strings.Join(values, "|")
		}
	}
	return got
}

func TestPreflight(t *testing.T) {
	r := newRig(t, func(r *rig) {
		pages(shopPage, "create", "check", "cancel")(r)
		pages(policy.CORS{Origins: []string{page}, Credentials: true}, "show")(r)
		r.policyOf("create").RequestHeaders = []string{"Authorization", "If-Match"}
	})
	headers := "Accept, Content-Type, Traceparent, Tracestate, X-Request-Id"
	// What no route matches is for the pages of any method to read.
	unmatched := map[string]string{"Allow-Origin": page, "Expose-Headers": exposed(), "Allow-Credentials": "true"}
	for name, tt := range map[string]struct {
		req    *http.Request
		status int
		want   map[string]string
	}{
		"create": {asking("/orders", "POST", page), 204, map[string]string{
			"Allow-Origin": page, "Allow-Methods": "POST", "Max-Age": "600",
			"Allow-Headers": "Accept, Authorization, Content-Type, If-Match, Traceparent, Tracestate, X-Request-Id",
		}},
		"other origin of the list": {asking("/check/1", "POST", "http://localhost:3000"), 204, map[string]string{
			"Allow-Origin": "http://localhost:3000", "Allow-Methods": "POST", "Max-Age": "600",
			"Allow-Headers": "Accept, Content-Type, Traceparent, Tracestate, X-Kind, X-Level, X-Pin, X-Request-Id",
		}},
		"credentials": {asking("/orders/1", "GET", page), 204, map[string]string{
			"Allow-Origin": page, "Allow-Methods": "GET", "Max-Age": "600", "Allow-Headers": headers, "Allow-Credentials": "true",
		}},
		"origin of another method": {asking("/orders/1", "GET", "http://localhost:3000"), 403, map[string]string{}},
		"foreign":                  {asking("/orders", "POST", "https://evil.example"), 403, map[string]string{}},
		"no origins":               {asking("/login", "POST", page), 405, unmatched},
		"no such verb":             {asking("/orders", "PATCH", page), 405, unmatched},
		"no such path":             {asking("/none", "POST", page), 404, unmatched},
	} {
		r.shop.create = func(context.Context, *shop.CreatePayload) (*shop.Order, error) { t.Error("called"); return nil, nil }
		w := r.do(tt.req)
		if w.Code != tt.status {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if diff := cmp.Diff(tt.want, corsHeader(w)); diff != "" {
			t.Errorf("%s (-want +got): %s", name, diff)
		}
		if got := w.Header()["Vary"]; !slices.Contains(got, "Origin") || w.Code == 204 && len(got) != 3 {
			t.Errorf("%s: Vary %q", name, got)
		}
		if w.Code == 204 && (w.Body.Len() > 0 || w.Header().Get("Www-Authenticate") != "") {
			t.Errorf("%s: %v %s", name, w.Header(), w.Body)
		}
	}
}

// exposed are the headers that pages may see, as the browser is told.
func exposed(more ...string) string {
	names := append(more, "Allow", "Ratelimit", "Ratelimit-Limit", "Ratelimit-Policy", "Ratelimit-Remaining", "Ratelimit-Reset",
		"Retry-After", "Www-Authenticate", "X-Request-Id")
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// A preflight that allows a path's other verbs names only those that the page
// may use: browsers remember them all.
func TestPreflightOfSeveralVerbs(t *testing.T) {
	add := func(r *rig, name, verb string, c *policy.CORS) {
		s := &r.contract.Services[0]
		s.Methods = append(s.Methods, policy.Method{
			Service: "shop", Name: name, Kind: policy.Redirect, Access: policy.Public, Routes: []policy.Route{{Verb: verb, Pattern: "/many"}}, CORS: c,
		})
	}
	log := &logBuffer{}
	r := &rig{log: log, contract: &policy.Contract{Services: []policy.Service{{Name: "shop"}}}}
	add(r, "a", "PUT", &shopPage)
	add(r, "b", "DELETE", &policy.CORS{Origins: []string{page}})
	add(r, "c", "PATCH", nil)
	add(r, "d", "OPTIONS", &shopPage)
	r.h = must(New(Config{Contract: r.contract, Logger: slog.New(telemetry.NewHandler(log, telemetry.JSON, nil))}))(t)
	for _, verb := range []string{"PUT", "DELETE", "PATCH", "OPTIONS"} {
		r.h.Handle(verb, "/many", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	}
	if err := r.h.Ready(); err != nil {
		t.Fatal(err)
	}
	for origin, want := range map[string]string{page: "DELETE, OPTIONS, PUT", "http://localhost:3000": "OPTIONS, PUT"} {
		if w := r.do(asking("/many", "PUT", origin)); w.Code != 204 || w.Header().Get("Access-Control-Allow-Methods") != want {
			t.Errorf("%s: %d %q, want %q", origin, w.Code, w.Header().Get("Access-Control-Allow-Methods"), want)
		}
	}
	for name, req := range map[string]*http.Request{
		"about a method without origins": asking("/many", "PATCH", page), "no preflight": request("OPTIONS", "/many", "", ""),
	} {
		if w := r.do(req); w.Code != http.StatusTeapot {
			t.Errorf("%s: the design's own OPTIONS is not reached: %d", name, w.Code)
		}
	}
}

// All ways to look like an origin that is allowed, and not to be it.
func TestOriginsAreExact(t *testing.T) {
	r := newRig(t, pages(shopPage))
	for name, origins := range map[string][]string{
		"suffix": {page + ".evil"}, "prefix": {"https://evilshop.example"}, "subdomain": {"https://a.shop.example"}, "superdomain": {"https://example"},
		"case": {"https://Shop.example"}, "scheme's case": {"HTTPS://shop.example"}, "scheme": {"http://shop.example"}, "port": {page + ":8443"},
		"its own port": {page + ":443"}, "slash": {page + "/"}, "dot": {page + "."}, "null": {"null"}, "empty": {""}, "star": {"*"}, "space": {" " + page},
		"two in one": {page + " https://evil.example"}, "list": {page + ",https://evil.example"}, "two": {page, "https://evil.example"},
		"the same twice": {page, page}, "user": {"https://shop.example@evil.example"}, "other user": {"https://evil@shop.example"}, "NUL": {page + "\x00"},
		"no scheme": {"shop.example"}, "path": {page + "/x"}, "other port": {"http://localhost:30000"}, "less of the port": {"http://localhost:300"},
		"percent": {"https://shop%2eexample"}, "line": {page + "\r\nX: y"}, "pattern": {"https://shopxexample"},
	} {
		req := request("GET", "/orders/1", r.token, "")
		req.Header["Origin"] = origins
		w := r.do(req)
		if got := corsHeader(w); len(got) > 0 || w.Header().Get("Vary") == "" {
			t.Errorf("%s: %v", name, w.Header())
		}
		req = asking("/orders/1", "GET", "")
		req.Header["Origin"] = origins
		if w := r.do(req); w.Code != http.StatusForbidden || len(corsHeader(w)) > 0 {
			t.Errorf("%s: preflight %d %v", name, w.Code, w.Header())
		}
	}
	for _, origin := range shopPage.Origins {
		w := r.do(from(request("GET", "/orders/1", r.token, ""), origin))
		if diff := cmp.Diff(map[string]string{"Allow-Origin": origin, "Expose-Headers": exposed()}, corsHeader(w)); w.Code != 200 || diff != "" {
			t.Errorf("%s: %d %s", origin, w.Code, diff)
		}
	}
}

func TestAnyOrigin(t *testing.T) {
	r := newRig(t, pages(policy.CORS{Origins: []string{"*"}}, "page"))
	for origin, want := range map[string]string{"https://whoever.example": "*", page: "*", "null": ""} {
		w := r.do(from(request("GET", "/page", "", ""), origin))
		if got := w.Header().Get("Access-Control-Allow-Origin"); got != want || w.Header().Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %v", origin, w.Header())
		}
	}
	if w := r.do(from(request("GET", "/orders/1", r.token, ""), page)); len(corsHeader(w)) > 0 {
		t.Errorf("another method: %v", w.Header())
	}
}

// Whatever the answer is, the page may read it, and what it is told of limits
// and challenges.
func TestEveryAnswerIsShared(t *testing.T) {
	draining := false
	r := newRig(t, func(r *rig) {
		pages(shopPage)(r)
		r.policyOf("create").MaxInFlight = 1
		r.policyOf("check").ResponseHeaders = []string{"X-Seen"}
		r.cfg.Draining = func() bool { return draining }
	})
	running := &r.h.methods[methodKey{"shop", "create"}].running
	fails := func(err error) func(context.Context, *shop.FindPayload) (any, error) {
		return func(context.Context, *shop.FindPayload) (any, error) { return nil, err }
	}
	large := request("POST", "/orders", r.token, order)
	large.ContentLength = 1 << 30
	media := request("POST", "/orders", r.token, order)
	media.Header.Set("Content-Type", "text/plain")
	for _, tt := range []struct {
		name   string
		status int
		req    *http.Request
		before func()
	}{
		{"success", 200, checkRequest(`{"name":"bob"}`), nil},
		{"invalid", 400, checkRequest(`{"name":"0"}`), nil},
		{"unauthorized", 401, request("POST", "/orders", "", order), nil},
		{"bad token", 401, request("POST", "/orders", "x.y.z", order), nil},
		{"forbidden", 403, request("POST", "/orders", r.reader, order), nil},
		{"no route", 404, request("GET", "/none", "", ""), nil},
		{"no verb", 405, request("DELETE", "/orders", "", ""), nil},
		{"no file", 404, request("GET", "/files/none", "", ""), nil},
		{"too large", 413, large, nil},
		{"media type", 415, media, nil},
		{"fault", 500, request("GET", "/find", "", ""), func() { r.shop.find = fails(errors.New("no")) }},
		{"panic", 500, request("GET", "/find", "", ""), func() {
			r.shop.find = func(context.Context, *shop.FindPayload) (any, error) { panic("no") }
		}},
		{"late", 504, request("GET", "/find", "", ""), func() { r.shop.find = fails(context.DeadlineExceeded) }},
		{"too many", 503, request("POST", "/orders", r.token, order), func() { running.Store(1) }},
		{"stopping", 503, request("GET", "/watch", "", ""), func() { draining = true }},
	} {
		if tt.before != nil {
			tt.before()
		}
		w := r.do(from(tt.req, page))
		if w.Code != tt.status {
			t.Errorf("%s: %d %s", tt.name, w.Code, w.Body)
		}
		want := map[string]string{"Allow-Origin": page, "Expose-Headers": exposed()}
		if tt.name == "success" || tt.name == "invalid" {
			want["Expose-Headers"] = exposed("X-Seen")
		}
		if diff := cmp.Diff(want, corsHeader(w)); diff != "" {
			t.Errorf("%s (-want +got): %s", tt.name, diff)
		}
		if !slices.Contains(w.Header()["Vary"], "Origin") {
			t.Errorf("%s: Vary %q", tt.name, w.Header()["Vary"])
		}
	}
	// Whoever is not a page gets nothing of it but the note for caches.
	w := r.do(request("GET", "/orders/1", r.token, ""))
	if got := corsHeader(w); len(got) > 0 || !slices.Contains(w.Header()["Vary"], "Origin") {
		t.Errorf("without Origin: %v", w.Header())
	}
	xml := request("GET", "/orders/1", r.token, "")
	if w := r.do(from(xml, page)); !slices.Equal(w.Header()["Vary"], []string{"Origin", "Accept"}) {
		t.Errorf("negotiated: Vary %q", w.Header()["Vary"])
	}
}

// A page may act with what its visitor's browser adds only where its origin
// has credentials.
func TestPagesWithAmbientCredentials(t *testing.T) {
	cookie := func(c *policy.CORS) func(*rig) {
		return func(r *rig) {
			m := r.policyOf("cancel")
			m.CORS = c
			m.Requirements = []policy.Requirement{{Schemes: []policy.Use{{Scheme: "jwt", In: policy.InCookie, Name: "session"}}}}
		}
	}
	with := &policy.CORS{Origins: []string{page}, Credentials: true}
	for _, tt := range []struct {
		name   string
		cors   *policy.CORS
		origin string
		status int
	}{
		{"named, with credentials", with, page, 204},
		{"named, without", &shopPage, page, 403},
		{"another", with, "https://evil.example", 403},
		{"null", with, "null", 403},
		{"none named", nil, page, 403},
	} {
		r := newRig(t, cookie(tt.cors))
		req := from(request("POST", "/orders/7:cancel", "", ""), tt.origin)
		req.AddCookie(&http.Cookie{Name: "session", Value: r.token})
		w := r.do(req)
		if w.Code != tt.status {
			t.Errorf("%s: %d %s", tt.name, w.Code, w.Body)
		}
		if got := w.Header().Get("Access-Control-Allow-Credentials"); (got == "true") != (tt.status == 204) {
			t.Errorf("%s: credentials %q", tt.name, got)
		}
	}
	// Services that authenticate by themselves are guarded too.
	r := newRig(t, func(r *rig) { cookie(nil)(r); r.auther = open{} })
	if w := r.do(from(request("POST", "/orders/7:cancel", r.token, ""), page)); w.Code != 403 {
		t.Errorf("own auther: %d", w.Code)
	}
}

func TestWebSocketOfPages(t *testing.T) {
	for origin, want := range map[string]bool{page: true, "https://evil.example": false, "null": false} {
		r := newRig(t, pages(shopPage, "echo"))
		r.shop.echo = func(_ context.Context, s shop.EchoServerStream) error {
			return s.Send(&shop.Item{Sku: "AB-123", Quantity: 1})
		}
		header := r.bearer()
		header.Set("Origin", origin)
		conn, resp, err := r.dial(t, header)
		if (err == nil) != want {
			t.Errorf("%s: %v %v", origin, resp, err)
		}
		if err == nil {
			_ = conn.Close()
		}
	}
}

func TestRefusedCORS(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*rig)
		want   string
	}{
		"any with credentials":            {pages(policy.CORS{Origins: []string{"*"}, Credentials: true}), "credentials for any page"},
		"any and others":                  {pages(policy.CORS{Origins: []string{page, "*"}}), "leave the others out"},
		"none":                            {pages(policy.CORS{}), "no origins"},
		"pattern":                         {pages(policy.CORS{Origins: []string{"https://*.shop.example"}}), "pattern"},
		"null":                            {pages(policy.CORS{Origins: []string{"null"}}), "sandboxed"},
		"slash":                           {pages(policy.CORS{Origins: []string{page + "/"}}), `write "` + page + `"`},
		"configured any with credentials": {func(r *rig) { r.cfg.CORS = &policy.CORS{Origins: []string{"*"}, Credentials: true} }, "credentials for any page"},
		"configured any over a cookie": {func(r *rig) {
			r.cfg.CORS = &policy.CORS{Origins: []string{"*"}}
			r.policyOf("show").Requirements = []policy.Requirement{{Schemes: []policy.Use{{Scheme: "jwt", In: policy.InCookie, Name: "session"}}}}
		}, "shop.show takes a credential that browsers send by themselves"},
		"beside Goa's plugin": {func(r *rig) {
			r.cfg.CORS = &shopPage
			plugin(r)
		}, "Goa's CORS plugin"},
	} {
		r := &rig{log: &logBuffer{}, contract: shopContract()}
		r.cfg.Contract = r.contract
		tt.change(r)
		if _, err := New(r.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The configuration takes the place of all that the contract says.
func TestConfiguredOrigins(t *testing.T) {
	r := newRig(t, func(r *rig) {
		pages(shopPage, "show")(r)
		r.cfg.CORS = &policy.CORS{Origins: []string{"https://staging.example"}, Credentials: true}
	})
	for origin, want := range map[string]string{page: "", "https://staging.example": "https://staging.example"} {
		for _, path := range []string{"/orders/1", "/find"} {
			if w := r.do(from(request("GET", path, r.token, ""), origin)); w.Header().Get("Access-Control-Allow-Origin") != want {
				t.Errorf("%s from %s: %v", path, origin, w.Header())
			}
		}
	}
}

// plugin adds what Goa's CORS plugin adds to a contract.
func plugin(r *rig) {
	s := &r.contract.Services[0]
	s.Methods = append(s.Methods, policy.Method{
		Service: "shop", Name: "CORS", Kind: policy.Preflight, Access: policy.Public,
		Routes: []policy.Route{{Verb: "OPTIONS", Pattern: "/orders"}, {Verb: "OPTIONS", Pattern: "/orders/{order}"}},
	})
}

// pluginHandler is what Goa's CORS plugin mounts for preflights.
func pluginHandler(w http.ResponseWriter, r *http.Request) {
	if origin := r.Header.Get("Origin"); origin == page {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Vary", "Origin")
		w.Header().Set("Access-Control-Expose-Headers", "X-Time")
		w.Header().Set("X-Time", "now")
		if r.Header.Get("Access-Control-Request-Method") != "" {
			w.Header().Set("Access-Control-Allow-Methods", "GET, POST")
		}
	}
	w.WriteHeader(http.StatusNoContent)
	_, _ = io.WriteString(w, "")
}

// Goa's plugin wraps a handler that a refused request does not reach: the
// refusal gets its headers all the same.
func TestRefusalsOfGoasPlugin(t *testing.T) {
	r := newRig(t, plugin)
	for _, p := range []string{"/orders", "/orders/{order}"} {
		r.h.Handle("OPTIONS", p, pluginHandler)
	}
	want := map[string]string{"Allow-Origin": page, "Expose-Headers": "X-Time"}
	for name, req := range map[string]*http.Request{
		"401": request("POST", "/orders", "", order), "403": request("POST", "/orders", r.reader, order), "parameter": request("GET", "/orders/7", "", ""),
	} {
		w := r.do(from(req, page))
		if diff := cmp.Diff(want, corsHeader(w)); diff != "" || w.Code < 401 || w.Code > 403 {
			t.Errorf("%s: %d %s", name, w.Code, diff)
		}
		if w.Header().Get("X-Time") != "" {
			t.Errorf("%s: more than the page's headers: %v", name, w.Header())
		}
	}
	if w := r.do(from(request("POST", "/orders", "", order), "https://evil.example")); len(corsHeader(w)) > 0 || w.Code != 401 {
		t.Errorf("foreign: %d %v", w.Code, w.Header())
	}
	if w := r.do(asking("/orders", "POST", page)); w.Code != 204 || w.Header().Get("Access-Control-Allow-Methods") != "GET, POST" {
		t.Errorf("preflight: %d %v", w.Code, w.Header())
	}
}

// Requests of pages cost no allocation more, and those of others neither.
func TestCORSAllocations(t *testing.T) {
	quiet := func(r *rig) { r.cfg.Logger = slog.New(telemetry.NewHandler(io.Discard, telemetry.JSON, nil)) }
	plain := newRig(t, quiet)
	shared := newRig(t, func(r *rig) { quiet(r); pages(shopPage)(r) })
	w := &discard{header: http.Header{}}
	measure := func(r *rig, origin string) float64 {
		p := newReplay("GET", "/orders/o1", r.token, "")
		if origin != "" {
			p.r.Header["Origin"] = []string{origin}
		}
		p.serve(r.h, w)
		least := math.Inf(1)
		for range 200 { // pools lose what they hold now and then, often under the race detector
			least = min(least, testing.AllocsPerRun(1, func() { p.serve(r.h, w) }))
		}
		return least
	}
	before := measure(plain, "")
	for _, origin := range []string{"", page, "https://evil.example"} {
		if after := measure(shared, origin); after > before {
			t.Errorf("origin %q: %v allocations, %v without CORS", origin, after, before)
		}
	}
}
