package admin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/policy"
)

func TestRefusesToOpen(t *testing.T) {
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}
	everywhere := &net.TCPAddr{IP: net.IPv6unspecified, Port: 1}
	lan := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1}
	pool := x509.NewCertPool()
	for name, c := range map[string]struct {
		addr net.Addr
		cfg  Config
		want string
	}{
		"loopback":                       {addr: local},
		"loopback, IPv6":                 {addr: &net.TCPAddr{IP: net.IPv6loopback}},
		"everywhere":                     {addr: everywhere, want: "ADMIN_TOKEN"},
		"lan":                            {addr: lan, want: "ADMIN_TOKEN"},
		"unknown":                        {addr: &net.UnixAddr{Name: "x"}, want: "ADMIN_TOKEN"},
		"none":                           {want: "ADMIN_TOKEN"},
		"lan with token":                 {addr: lan, cfg: Config{Token: fixed(goodToken)}},
		"lan with short token":           {addr: lan, cfg: Config{Token: fixed("123456789012345")}, want: "at least 16 bytes"},
		"short token on loopback":        {addr: local, cfg: Config{Token: fixed("x")}, want: "at least 16 bytes"},
		"token with spaces":              {addr: lan, cfg: Config{Token: fixed(token)}, want: "visible ASCII"},
		"a token that is none":           {addr: lan, cfg: Config{Token: fixed("")}, want: "ADMIN_TOKEN"},
		"TLS alone":                      {addr: lan, cfg: Config{TLS: &tls.Config{}}, want: "ADMIN_TOKEN"},
		"certificates unverified":        {addr: lan, cfg: Config{TLS: &tls.Config{ClientCAs: pool, ClientAuth: tls.RequireAnyClientCert}}, want: "ADMIN_TOKEN"},
		"certificates of any authority":  {addr: lan, cfg: Config{TLS: &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert}}, want: "ADMIN_TOKEN"},
		"certificates of one authority":  {addr: lan, cfg: Config{TLS: &tls.Config{ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}}},
		"certificates if they are given": {addr: lan, cfg: Config{TLS: &tls.Config{ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(c.addr, contract, c.cfg)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("err = %v, want %q", err, c.want)
			case err != nil && c.cfg.Token != nil && len(c.cfg.Token()) > 1 && strings.Contains(err.Error(), c.cfg.Token()):
				t.Error("the error tells the token")
			}
		})
	}
	if _, err := New(local, nil, Config{}); err == nil {
		t.Error("opened without a contract")
	}
}

// Every page answers text and JSON, by Accept and by ?format=, with its
// headers; and only to its methods.
func TestPages(t *testing.T) {
	g := newRig(t, nil)
	for _, c := range []struct {
		path, text, json, allow string
		usual                   format
	}{
		{"/", "ok: ready, up 1m0s", `"path": "/methods"`, "GET, HEAD", asText},
		{"/livez", "ok: ready, up 1m0s", `"status": "ok"`, "GET, HEAD", asJSON},
		{"/startupz", "ok: ready", `"status": "ok"`, "GET, HEAD", asJSON},
		{"/readyz", "database", `"duration_ms": 1.5`, "GET, HEAD", asJSON},
		{"/healthz", "database", `"database": "OK"`, "GET, HEAD", asJSON},
		{"/config", "DATABASE_URL", `"source": "file /run/db"`, "GET, HEAD", asText},
		{"/methods", "jwt[orders:write]", `"max_in_flight": 200`, "GET, HEAD", asText},
		{"/audit", "No such event since the start", `"events": []`, "GET, HEAD", asText},
		{"/build", "abc123", `"generator": "0.1.0"`, "GET, HEAD", asText},
		{"/debug/leases", "No lease is open", `"leases": []`, "GET, HEAD, POST", asText},
		{"/debug/pprof/", "goroutine", `"name": "heap"`, "GET", asText},
		{"/debug/pprof", "goroutine", `"name": "heap"`, "GET", asText},
	} {
		t.Run(c.path, func(t *testing.T) {
			usual := map[format]string{asText: c.text, asJSON: c.json}[c.usual]
			for _, try := range []struct{ path, accept, want, media string }{
				{c.path, "", usual, ""},
				{c.path, "*/*", usual, ""},
				{c.path, "application/json", c.json, "application/json"},
				{c.path, "application/json;q=0, text/plain", c.text, "text/plain; charset=utf-8"},
				{c.path, "text/html,application/xhtml+xml,*/*;q=0.8", c.text, "text/plain; charset=utf-8"},
				{c.path + "?format=json", "text/plain", c.json, "application/json"},
				{c.path + "?format=text", "application/json", c.text, "text/plain; charset=utf-8"},
			} {
				a := g.get(try.path, "Accept", try.accept)
				if a.status != 200 || !strings.Contains(a.body, try.want) || !strings.Contains(a.header.Get("Content-Type"), try.media) {
					t.Errorf("%s, %q: %d %s, want %q\n%s", try.path, try.accept, a.status, a.header.Get("Content-Type"), try.want, a.body)
				}
				hardened(t, a)
			}
			if a := g.get(c.path + "?format=html"); a.status != 400 {
				t.Errorf("unknown format: %d", a.status)
			}
			for _, method := range []string{"PUT", "PATCH", "OPTIONS", "TRACE", "BREW"} {
				a := g.do(method, c.path, "")
				if a.status != 405 || a.header.Get("Allow") != c.allow || !strings.Contains(a.body, `"error"`) {
					t.Errorf("%s: %d, Allow %q, want %q: %s", method, a.status, a.header.Get("Allow"), c.allow, a.body)
				}
				hardened(t, a)
			}
			if strings.Contains(c.allow, "HEAD") {
				if a := g.do("HEAD", c.path, ""); a.status != 200 || a.body != "" || a.header.Get("Content-Length") == "" {
					t.Errorf("HEAD: %d %q", a.status, a.body)
				}
			}
		})
	}
	if a := g.get("/metrics"); a.status != 200 || a.body != "up 1\n" {
		t.Errorf("/metrics: %d %s", a.status, a.body)
	}
	for _, path := range []string{"/nope", "/livez/", "//livez", "/debug", "/debug/leases/x/y/", "/../config", "/%2e%2e/config", "/debug/vars"} {
		if a := g.get(path); a.status != 404 && a.status != 405 || !strings.Contains(a.body, `"error"`) {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

func hardened(t *testing.T, a answer) {
	t.Helper()
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		"Access-Control-Allow-Origin": "", "Access-Control-Allow-Methods": "",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if !strings.HasPrefix(a.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Error("no policy for content")
	}
}

// As JSON, /methods is the contract itself.
func TestMethodsIsTheContract(t *testing.T) {
	var got policy.Contract
	newRig(t, nil).get("/methods?format=json").into(t, &got)
	if diff := cmp.Diff(contract, &got); diff != "" {
		t.Errorf("contract (-want +got):\n%s", diff)
	}
}

// What has no source is not there.
func TestZeroConfig(t *testing.T) {
	g := newRig(t, func(c *Config) { *c = Config{} })
	index := g.get("/").body
	for _, path := range []string{"/metrics", "/config", "/debug/leases"} {
		if a := g.get(path); a.status != 404 || strings.Contains(index, path+" ") {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	for _, path := range []string{"/livez", "/readyz", "/startupz", "/healthz"} {
		if a := g.get(path); a.status != 200 {
			t.Errorf("%s: %d", path, a.status)
		}
	}
}

func TestProbes(t *testing.T) {
	state, broken := State{Name: "starting", Version: "1.2.3", Uptime: time.Hour}, true
	g := newRig(t, func(c *Config) {
		c.State = func() State { return state }
		c.Checks = func(context.Context) []Check {
			return []Check{{Name: "database", OK: !broken, LastError: "connection refused"}, {Name: "database", OK: true}, {Name: "keys", OK: true}}
		}
	})
	statuses := func(live, started, ready int) {
		t.Helper()
		for path, want := range map[string]int{"/livez": live, "/startupz": started, "/readyz": ready, "/healthz": ready} {
			if a := g.get(path); a.status != want {
				t.Errorf("%s while %s: %d, want %d", path, state.Name, a.status, want)
			}
		}
	}
	statuses(200, 503, 503)
	state.Name, state.Started, state.Ready = "ready", true, true
	statuses(200, 200, 503)
	a := g.get("/healthz")
	var clue struct {
		Uptime  int64
		Version string
		Status  map[string]string
	}
	a.into(t, &clue)
	if diff := cmp.Diff(map[string]string{"database": "NOT OK", "keys": "OK"}, clue.Status); diff != "" || clue.Uptime != 3600 || clue.Version != "1.2.3" {
		t.Errorf("%+v", clue)
	}
	if !strings.Contains(a.body, "connection refused") || !strings.Contains(g.get("/readyz?format=text").body, "connection refused") {
		t.Error("the cause is not told")
	}
	broken = false
	statuses(200, 200, 200)
	state.Name, state.Ready = "draining", false
	statuses(200, 200, 503)
}

// A check that hangs does not hold the liveness probe.
func TestLiveAsksNoCheck(t *testing.T) {
	g := newRig(t, func(c *Config) {
		c.Checks = func(context.Context) []Check { t.Error("a check was asked"); return nil }
	})
	g.get("/livez")
	g.get("/startupz")
}

// A page that panics is answered for, and the next one works.
func TestPanic(t *testing.T) {
	g := newRig(t, func(c *Config) {
		c.Settings = func() []Setting { panic("secret") }
		c.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write(make([]byte, 1<<16))
			panic("late")
		})
	})
	if a := g.get("/config"); a.status != 500 || strings.Contains(a.body, "secret") || !strings.Contains(g.log.String(), "secret") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if res, err := g.http.Get(g.url + "/metrics"); err == nil {
		n, err := res.Body.Read(make([]byte, 1<<20))
		for err == nil {
			n, err = res.Body.Read(make([]byte, 1<<20))
		}
		if err.Error() == "EOF" {
			t.Errorf("a broken answer looks whole, %d", n)
		}
		res.Body.Close()
	}
	if a := g.get("/livez"); a.status != 200 {
		t.Error(a.status)
	}
}

// What others wrote cannot command a terminal.
func TestTextIsPrintable(t *testing.T) {
	g := newRig(t, func(c *Config) {
		c.Settings = func() []Setting { return []Setting{{Name: "X", Value: "\x1b[2J\tx\ny\u202e"}} }
	})
	g.ring.Add(Event{Action: "call", User: "\x1b]0;evil\x07", Detail: "a\nb"})
	for path, lines := range map[string]int{"/config": 6, "/audit": 2} {
		if body := g.get(path).body; strings.ContainsAny(body, "\x1b\x07\t\u202e") || strings.Count(body, "\n") != lines {
			t.Errorf("%s: %q", path, body)
		}
	}
}

func TestBuildShowsNoFlags(t *testing.T) {
	var b Build
	newRig(t, nil).get("/build?format=json").into(t, &b)
	if b.Go == "" || b.PID == 0 || b.API != contract.API || b.Chassis != "0.1.0-dev" {
		t.Errorf("%+v", b)
	}
	for _, s := range b.Settings {
		if strings.Contains(s.Name, "flags") || strings.Contains(s.Name, "FLAGS") {
			t.Errorf("%s is shown", s.Name)
		}
	}
}

// Nothing of the port, nor of what it imports, is on the mux that is everybody's.
func TestDefaultServeMuxIsEmpty(t *testing.T) {
	newRig(t, nil)
	for _, path := range []string{"/", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/vars", "/debug/requests", "/debug/events", "/metrics", "/livez"} {
		for _, method := range []string{"GET", "POST"} {
			if _, pattern := http.DefaultServeMux.Handler(&http.Request{Method: method, Host: "localhost", URL: &url.URL{Path: path}}); pattern != "" {
				t.Errorf("%s %s is served by %q", method, path, pattern)
			}
		}
	}
}

// The first page says what somebody who is woken asks first.
func TestIndexSaysWhatIsWrong(t *testing.T) {
	g := newRig(t, func(c *Config) {
		c.Checks = func(context.Context) []Check {
			return []Check{{Name: "keys", OK: true}, {Name: "database", LastError: "connection refused\x1b[2J", Since: time.Unix(1e9, 0)}}
		}
	})
	if a := g.do("POST", "/debug/leases", `{"kind":"log-level","level":"debug","duration":"1m","reason":"r"}`, jsonType...); a.status != 201 {
		t.Fatal(a.body)
	}
	a := g.get("/")
	for _, want := range []string{"shop 1.2.3", "unavailable: ready, up 1m0s", "check database fails since 2001-09-09T01:46:40Z: \"connection refused", "leases that are open: 1"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("not %q in:\n%s", want, a.body)
		}
	}
	if a.status != 200 || strings.Contains(a.body, "keys") || strings.Contains(a.body, "\x1b") {
		t.Errorf("%d:\n%s", a.status, a.body)
	}
}

// What is set stands first.
func TestConfigShowsWhatIsSet(t *testing.T) {
	g := newRig(t, func(c *Config) {
		c.Settings = func() []Setting {
			return []Setting{{Name: "A", Value: "1", Default: "1", Source: "default"}, {Name: "B", Value: "2", Default: "3", Source: "environment"}}
		}
	})
	body := g.get("/config").body
	if b, a := strings.Index(body, "\nB "), strings.Index(body, "\nA "); !strings.HasPrefix(body, "1 settings are set, 1 have") || b < 0 || a < b {
		t.Error(body)
	}
}
