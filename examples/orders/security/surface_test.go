package security

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// surfaceAttacks are about what there is to reach at all.
func surfaceAttacks() []attack {
	absent := refusal{status: http.StatusNotFound, name: "not_found"}
	path := func(name, defence, path string) attack {
		return attack{name: name, defence: defence, make: func(s *shop) request { return bearing(path, token{by: s.rsa}) }, want: absent}
	}
	all := []attack{
		path("surface_undeclared", "what the design does not have is not there", "/internal"),
		path("surface_slash", "paths are exact", "/orders/"),
		path("surface_double_slash", "paths are exact", "//orders"),
		path("surface_case", "paths are exact", "/Orders"),
		path("surface_dots", "paths are not cleaned", "/users/../orders"),
		path("surface_escaped_dots", "paths are not cleaned", "/users/%2e%2e/orders"),
		path("surface_escaped_slash", "an escaped slash separates nothing", "/users%2fadmin"),
		path("surface_semicolon", "paths have no parameters", "/users/public;/admin"),
		path("surface_extension", "paths are exact", "/users/admin.json"),
		{name: "surface_verb", defence: "verbs are those of the design", run: func(t *testing.T, s *shop) {
			for _, verb := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodTrace, http.MethodHead, "LIST", "get"} {
				a := s.send(t, request{verb: verb, path: "/users/admin"})
				if a.StatusCode != http.StatusMethodNotAllowed || a.Header.Get("Allow") == "" {
					t.Errorf("%s: %d", verb, a.StatusCode)
				}
			}
		}},
		{name: "surface_verb_override", defence: "the verb is the request's", run: func(t *testing.T, s *shop) {
			a := s.send(t, request{verb: http.MethodGet, path: "/orders", header: [][2]string{
				{"X-HTTP-Method-Override", "POST"}, {"X-Method-Override", "POST"}, bearer(token{by: s.rsa})}})
			if a.StatusCode != http.StatusOK || a.log.text("method") != "list" {
				t.Errorf("%d %s", a.StatusCode, a.log.text("raw"))
			}
		}},
		{name: "surface_rewritten_path", defence: "the path is the request's", make: func(*shop) request {
			return get("/users/admin", [2]string{"X-Original-URL", "/users/public"}, [2]string{"X-Rewrite-URL", "/users/public"})
		}, want: refusal{http.StatusUnauthorized, `Bearer realm="shop", scope="api:admin"`, "unauthorized", "jwt", "missing"}},
		{name: "surface_huge_header", defence: "headers are bounded in size", run: func(t *testing.T, s *shop) {
			req, err := http.NewRequest(http.MethodGet, s.scheme+"://"+s.addr+"/users/public", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Huge", strings.Repeat("x", 2<<20))
			res, err := s.client.Do(req)
			if err != nil {
				return // the connection is closed before all of it is sent
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("%s", res.Status)
			}
		}},
		{name: "surface_smuggling", defence: "a request has one length", run: smuggling},
		{name: "surface_request_id", defence: "ids of callers are letters and digits", run: func(t *testing.T, s *shop) {
			req, err := http.NewRequest(http.MethodGet, s.scheme+"://"+s.addr+"/users/public", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Request-Id", `x","level":"error","msg":"forged`)
			res, err := s.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if id := res.Header.Get("X-Request-Id"); strings.ContainsAny(id, `",`) || strings.Contains(id, "forged") {
				t.Errorf("the id is %q", id)
			}
		}},
		{name: "surface_proxied_jwks", defence: "nobody makes the service fetch", run: func(t *testing.T, s *shop) {
			asked := false
			trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
			for _, header := range []members{{"jku": trap.URL}, {"x5u": trap.URL}, {"kid": trap.URL}} {
				r := bearing("/orders", token{by: s.stranger, header: header})
				for _, r := range append(everywhere(r), r) {
					s.send(t, r)
				}
			}
			s.send(t, bearing("/orders", token{by: s.stranger, claims: members{"iss": trap.URL}}))
			trap.Close() // waits for what is under way
			if asked {
				t.Error("it fetched")
			}
		}},
		{name: "surface_probes", defence: "probes say nothing of what the service depends on", run: func(t *testing.T, s *shop) {
			for _, path := range []string{"/livez", "/readyz", "/startupz", "/healthz"} {
				if a := s.send(t, get(path)); a.StatusCode != http.StatusOK || strings.Contains(a.text, "database") || strings.Contains(a.text, "auth") {
					t.Errorf("%s: %d %s", path, a.StatusCode, a.text)
				}
			}
		}},
		{name: "surface_sniffing", defence: "answers have one type", run: func(t *testing.T, s *shop) {
			for _, r := range []request{get("/users/public"), get("/orders"), get("/none")} {
				if a := s.send(t, r); a.Header.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(a.Header.Get("Content-Type"), "application/json") {
					t.Errorf("%s: %v", r.path, a.Header)
				}
			}
		}},
	}
	for name, at := range map[string]string{
		"pprof": "/debug/pprof/", "vars": "/debug/vars", "leases": "/debug/leases", "metrics": "/metrics", "audit": "/audit",
		"config": "/config", "methods": "/methods", "index": "/", "openapi": "/openapi.json", "git": "/.git/config", "env": "/.env",
	} {
		all = append(all, path("surface_no_"+name, "operators have a port of their own", at))
	}
	slices.SortFunc(all, func(a, b attack) int { return strings.Compare(a.name, b.name) })
	return all
}

// smuggling sends requests whose end two readers may see at different places.
func smuggling(t *testing.T, s *shop) {
	const second = "GET /users/public HTTP/1.1\r\nHost: x\r\nX-Request-Id: smuggled\r\n\r\n"
	for _, header := range []string{
		"Content-Length: 4\r\nContent-Length: 60\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
		"Transfer-Encoding: xchunked\r\n", "Content-Length: +4\r\n", "Transfer-Encoding : chunked\r\n",
	} {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, "POST /users/public HTTP/1.1\r\nHost: x\r\n"+header+"\r\n0\r\n\r\n"+second)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if (res.StatusCode != http.StatusBadRequest && res.StatusCode != http.StatusNotImplemented) || !res.Close {
			t.Errorf("%q: %s", header, res.Status)
		}
		_ = conn.Close()
	}
	if l, _ := s.out.find(func(l line) bool { return l.text("request_id") == "smuggled" }); l != nil {
		t.Errorf("the second request was served: %s", l.text("raw"))
	}
}
