package admin

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aguada-dev/aguada/config"
	"github.com/aguada-dev/aguada/policy"
)

// On loopback without a token, what a web page can make a browser send is
// refused.
func TestForeignRequests(t *testing.T) {
	g := newRig(t, func(c *Config) { c.Hosts = []string{"Admin.Test"} })
	_, port, _ := net.SplitHostPort(g.addr)
	own := "http://" + g.addr
	lease := `{"kind":"log-level","level":"debug","duration":"1m","reason":"test"}`
	for _, c := range []struct {
		name, method string
		header       []string
		status       int
	}{
		{"plain", "GET", nil, 200},
		{"localhost", "GET", []string{"Host", "localhost:" + port}, 200},
		{"localhost without port", "GET", []string{"Host", "LOCALHOST"}, 200},
		{"rooted", "GET", []string{"Host", "localhost.:" + port}, 200},
		{"IPv6", "GET", []string{"Host", "[::1]:" + port}, 200},
		{"IPv6 without port", "GET", []string{"Host", "[::1]"}, 200},
		{"configured", "GET", []string{"Host", "admin.test:" + port}, 200},
		{"rebinding", "GET", []string{"Host", "evil.example:" + port}, 403},
		{"rebinding without port", "GET", []string{"Host", "evil.example"}, 403},
		{"rebinding, subdomain", "GET", []string{"Host", "localhost.evil.example"}, 403},
		{"rebinding, user", "GET", []string{"Host", "127.0.0.1@evil.example"}, 403},
		{"rebinding, address in a name", "GET", []string{"Host", "127.0.0.1.nip.io"}, 403},
		{"any address", "GET", []string{"Host", "0.0.0.0:" + port}, 403},
		{"any IPv6 address", "GET", []string{"Host", "[::]:" + port}, 403},
		{"another machine's address", "GET", []string{"Host", "203.0.113.5"}, 403},
		{"bad port", "GET", []string{"Host", "localhost:x"}, 403},
		{"own origin", "GET", []string{"Origin", own}, 200},
		{"foreign origin", "GET", []string{"Origin", "https://evil.example"}, 403},
		{"another port is another origin", "GET", []string{"Origin", "http://127.0.0.1:1"}, 403},
		{"null origin", "GET", []string{"Origin", "null"}, 403},
		{"two origins", "GET", []string{"Origin", own, "Origin", "https://evil.example"}, 403},
		{"own page", "GET", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"typed", "GET", []string{"Sec-Fetch-Site", "none"}, 200},
		{"image of another site", "GET", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"same site, another origin", "GET", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"twice", "GET", []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Site", "cross-site"}, 403},
		{"through a proxy", "GET", []string{"X-Forwarded-For", "203.0.113.7"}, 403},
		{"through a proxy that says Via", "GET", []string{"Via", "1.1 edge"}, 403},
		{"through a proxy that ends TLS", "GET", []string{"X-Forwarded-Proto", "https"}, 403},
		{"through a modern proxy", "GET", []string{"Forwarded", "for=203.0.113.7"}, 403},
		{"post", "POST", []string{"Content-Type", "application/json"}, 201},
		{"post of a foreign page", "POST", []string{"Content-Type", "application/json", "Origin", "https://evil.example"}, 403},
		{"post of a foreign page, no origin", "POST", []string{"Content-Type", "application/json", "Sec-Fetch-Site", "cross-site"}, 403},
		{"post of a form", "POST", []string{"Content-Type", "text/plain"}, 415},
		{"post of a form with JSON in its type", "POST", []string{"Content-Type", "text/plain; x=application/json"}, 415},
		{"post without type", "POST", nil, 415},
		{"preflight", "OPTIONS", []string{"Access-Control-Request-Method", "POST"}, 405},
		{"preflight of a foreign page", "OPTIONS", []string{"Origin", "https://evil.example", "Access-Control-Request-Method", "DELETE"}, 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := ""
			if c.method == "POST" {
				body = lease
			}
			a := g.do(c.method, "/debug/leases", body, c.header...)
			if a.status != c.status {
				t.Errorf("%d, want %d: %s", a.status, c.status, a.body)
			}
			hardened(t, a)
		})
	}
	if n := len(g.s.cfg.Leases.List()); n != 1 {
		t.Errorf("%d leases", n)
	}
	if !strings.Contains(g.actions(), "admin.access denied") {
		t.Errorf("not audited:\n%s", g.actions())
	}
}

func basic(password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte("x:"+password))
}

func TestToken(t *testing.T) {
	right := "Bearer " + goodToken
	for _, c := range []struct {
		name   string
		header []string
		status int
	}{
		{"right", []string{"Authorization", right}, 200},
		{"lower case", []string{"Authorization", "bearer " + goodToken}, 200},
		{"as a password", []string{"Authorization", basic(goodToken)}, 200},
		{"right, any Host", []string{"Authorization", right, "Host", "orders-admin:8082"}, 200},
		{"right, behind a proxy", []string{"Authorization", right, "X-Forwarded-For", "203.0.113.7"}, 200},
		{"right, from a foreign page", []string{"Authorization", right, "Origin", "https://evil.example"}, 403},
		{"missing", nil, 401},
		{"in the query", nil, 401},
		{"wrong", []string{"Authorization", "Bearer " + goodToken[1:] + "x"}, 401},
		{"shorter", []string{"Authorization", "Bearer " + goodToken[:20]}, 401},
		{"longer", []string{"Authorization", right + "x"}, 401},
		{"empty", []string{"Authorization", "Bearer "}, 401},
		{"alone", []string{"Authorization", goodToken}, 401},
		{"another scheme", []string{"Authorization", "Token " + goodToken}, 401},
		{"wrong password", []string{"Authorization", basic("x")}, 401},
		{"as the user", []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(goodToken+":"))}, 401},
		{"twice", []string{"Authorization", right, "Authorization", right}, 401},
		{"twice, one wrong", []string{"Authorization", "Bearer x", "Authorization", right}, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, func(c *Config) { c.Token = fixed(goodToken) })
			path := "/methods"
			if c.name == "in the query" {
				path += "?token=" + goodToken + "&access_token=" + goodToken
			}
			a := g.get(path, c.header...)
			if a.status != c.status {
				t.Errorf("%d, want %d: %s", a.status, c.status, a.body)
			}
			if a.status == 401 && !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
				t.Error("no challenge")
			}
			if a.status != 200 && len(c.header) > 0 && g.actions() != "admin.access denied -" {
				t.Errorf("audited: %s", g.actions())
			}
			if all := a.body + g.log.String() + fmt.Sprint(g.ring.Events(0, 0)); strings.Contains(all, goodToken[:20]) {
				t.Error("the token was told")
			}
			hardened(t, a)
		})
	}
}

// Every page is behind the token, those that do not exist too.
func TestTokenGuardsEverything(t *testing.T) {
	g := newRig(t, func(c *Config) { c.Token = fixed(goodToken) })
	for _, p := range append(g.s.pages, page{path: "/nope"}) {
		for _, method := range []string{"GET", "HEAD", "POST", "DELETE", "OPTIONS"} {
			if a := g.do(method, p.path, ""); a.status != 401 {
				t.Errorf("%s %s: %d", method, p.path, a.status)
			}
		}
	}
}

// Wrong tokens have to wait and are audited within bounds; the right one from
// the same address never waits.
func TestGuessing(t *testing.T) {
	g := newRig(t, func(c *Config) { c.Token = fixed(goodToken) })
	for i := range 100 {
		want := 401
		if i >= guessBurst {
			want = 429
		}
		a := g.get("/", "Authorization", fmt.Sprint("Bearer guess-", i))
		if a.status != want {
			t.Fatalf("guess %d: %d, want %d", i, a.status, want)
		}
		if want == 429 && (a.header.Get("Retry-After") == "" || !a.closed) {
			t.Error("no Retry-After, or the connection stays open")
		}
		if a := g.get("/", "Authorization", "Bearer "+goodToken); a.status != 200 {
			t.Fatalf("the right token after %d guesses: %d", i+1, a.status)
		}
	}
	if a := g.get("/"); a.status != 401 {
		t.Errorf("no token: %d", a.status)
	}
	if n := g.ring.Total(); n < guessBurst || n > refusalBurst+10 {
		t.Errorf("%d events", n)
	}
}

func TestGuessesRecover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g guesses
		a, b := netip.MustParsePrefix("10.0.0.1/32"), netip.MustParsePrefix("10.0.0.2/32")
		for range guessBurst {
			if retry := g.wrong(a); retry != 0 {
				t.Fatal(retry)
			}
		}
		if retry := g.wrong(a); retry != guessEvery {
			t.Error(retry)
		}
		if retry := g.wrong(b); retry != 0 {
			t.Error("somebody else has to wait")
		}
		time.Sleep(guessEvery)
		if retry := g.wrong(a); retry != 0 {
			t.Error("still waiting")
		}
		for i := range 10 * maxClients {
			g.wrong(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 32))
		}
		if len(g.until) > maxClients {
			t.Errorf("%d clients are remembered", len(g.until))
		}
	})
}

// A token that is replaced is in force at once, and alone; without a usable
// one nobody is let in, on loopback neither.
func TestTokenIsReplaced(t *testing.T) {
	var token atomic.Value
	token.Store(goodToken)
	g := newRig(t, func(c *Config) { c.Token = func() string { return token.Load().(string) } })
	next := "another-token-of-enough-bytes"
	try := func(with string, want int) {
		t.Helper()
		if a := g.get("/methods", "Authorization", "Bearer "+with); a.status != want {
			t.Errorf("%d, want %d: %s", a.status, want, a.body)
		}
	}
	try(goodToken, 200)
	try(next, 401)
	token.Store(next)
	try(goodToken, 401)
	try(next, 200)
	for _, broken := range []string{"", "short", token.Load().(string) + " x", "eighteen-bytes-\u00e9!"} {
		token.Store(broken)
		try(broken, 503)
		try(next, 503)
		if a := g.get("/methods"); a.status != 401 {
			t.Errorf("without a token: %d", a.status)
		}
	}
	token.Store(next)
	try(next, 200)
}

// The whole way from the file of ADMIN_TOKEN_FILE to an open port.
func TestTokenFileIsFollowed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write(goodToken + "\n")
	cfg, err := config.Load([]string{"HTTP_ADDR=127.0.0.1:0", "ADMIN_TOKEN_FILE=" + file}, config.Needs{})
	if err != nil {
		t.Fatal(err)
	}
	g := newRig(t, func(c *Config) { c.Token = cfg.AdminToken.Reveal })
	status := func(with string) int { t.Helper(); return g.get("/livez", "Authorization", "Bearer "+with).status }
	if got := status(goodToken); got != 200 {
		t.Fatal(got)
	}
	next := "the-next-token-0123456789"
	write(next)
	begun := time.Now()
	for status(next) != 200 {
		if time.Since(begun) > 2*time.Second {
			t.Fatal("the new token is not in force after 2 s")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if got := status(goodToken); got == 200 {
		t.Error("the former token is still in force")
	}
	write("") // config keeps what was good
	for begun = time.Now(); time.Since(begun) < 1200*time.Millisecond; time.Sleep(100 * time.Millisecond) {
		if got := status(next); got != 200 {
			t.Errorf("an empty file: %d", got)
		}
	}
	if a := g.get("/livez"); a.status != 401 {
		t.Errorf("an empty file lets anybody in: %d", a.status)
	}
}

func TestRefusalsAreBounded(t *testing.T) {
	m := meter{burst: refusalBurst, every: refusalEvery}
	now, reported := time.Now(), 0
	for range 1000 {
		if ok, _ := m.take(now); ok {
			reported++
		}
	}
	ok, dropped := m.take(now.Add(refusalEvery))
	if reported != refusalBurst || !ok || dropped != 1000-refusalBurst {
		t.Errorf("%d reported, then %v and %d dropped", reported, ok, dropped)
	}
}

func TestClientIsANetwork(t *testing.T) {
	for addr, want := range map[string]string{
		"10.1.2.3:5": "10.1.2.3/32", "[::ffff:10.1.2.3]:5": "10.1.2.3/32", "[2001:db8:1:2:3::4]:5": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:5": "fe80::/64", "@": "invalid Prefix",
	} {
		if got := client(&http.Request{RemoteAddr: addr}).String(); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}

// Whoever the headers claim to be: without a credential only this machine is
// let in, even on a listener that New did not see.
func TestForeignPeer(t *testing.T) {
	s, err := New(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &policy.Contract{}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	for peer, want := range map[string]int{"127.0.0.1:4711": 200, "[::1]:4711": 200, "203.0.113.9:4711": 403, "@": 403} {
		r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/livez", nil)
		r.RemoteAddr = peer
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: %d, want %d", peer, w.Code, want)
		}
	}
}
