package guard_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/console/guard"
)

const token = "a token of this console"

var pages = fstest.MapFS{
	"index.html":          {Data: []byte("<!doctype html>" + strings.Repeat("page ", 200))},
	"main.js":             {Data: []byte("main")},
	"traces-ABCD2345.js":  {Data: []byte("chunk")},
	"deep/secret-key.txt": {Data: []byte("not linked")},
}

// api stands for the API: it answers with the credential that reached it.
var api = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = w.Write([]byte(strings.Join(r.Header.Values("Authorization"), "|")))
})

func open(t testing.TB, cfg guard.Config) (*guard.Guard, http.Handler) {
	t.Helper()
	cfg.Pages, cfg.OpenAPI = pages, []byte("{}")
	g, err := guard.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g, g.Wrap(api)
}

// ask makes a request from this machine; headers are pairs of name and value.
func ask(h http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.Host, r.RemoteAddr = "127.0.0.1:7070", "127.0.0.1:50000"
	for i := 0; i < len(header); i += 2 {
		switch header[i] {
		case "Host":
			r.Host = header[i+1]
		case "From":
			r.RemoteAddr = header[i+1]
		default:
			r.Header.Add(header[i], header[i+1])
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func secured(token string) guard.Config { return guard.Config{Token: func() string { return token }} }

func TestForeignersStayOut(t *testing.T) {
	_, loopback := open(t, guard.Config{})
	_, tokened := open(t, secured(token))
	for _, test := range []struct {
		name, method, path string
		header             []string
		loopback, tokened  int
	}{
		{"a program", "GET", "/api/overview", nil, 200, 200},
		{"a page of the console", "GET", "/api/overview", []string{"Origin", "http://127.0.0.1:7070", "Sec-Fetch-Site", "same-origin"}, 200, 200},
		{"typed into the address bar", "GET", "/", []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate"}, 200, 200},
		{"a link from elsewhere", "GET", "/traces", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 200, 200},
		{"localhost", "GET", "/api/overview", []string{"Host", "LOCALHOST:7070"}, 200, 200},
		{"the other family", "GET", "/api/overview", []string{"Host", "[::1]:7070", "From", "[::1]:50000"}, 200, 200},
		{"a frame of somebody else", "GET", "/", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 403, 403},
		{"a link to the API", "GET", "/api/logs", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 403, 403},
		{"an image of somebody else's page", "GET", "/api/overview", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, 403, 403},
		{"another port of this machine", "GET", "/api/overview", []string{"Sec-Fetch-Site", "same-site"}, 403, 403},
		{"another origin", "POST", "/api/services/shop/leases", []string{"Origin", "https://evil.example"}, 403, 403},
		{"an origin without a name", "POST", "/api/services/shop/leases", []string{"Origin", "null"}, 403, 403},
		{"two origins", "GET", "/api/overview", []string{"Origin", "http://127.0.0.1:7070", "Origin", "https://evil.example"}, 403, 403},
		{"a name that resolves to this machine", "GET", "/api/overview", []string{"Host", "evil.example:7070"}, 403, 200},
		{"a name that begins like an address", "GET", "/api/overview", []string{"Host", "127.0.0.1.evil.example"}, 403, 200},
		{"no name", "GET", "/api/overview", []string{"Host", ""}, 403, 200},
		{"an address with a zone", "GET", "/api/overview", []string{"Host", "[fe80::1%25lo]:7070"}, 403, 200},
		{"another machine", "GET", "/api/overview", []string{"From", "192.0.2.1:50000"}, 403, 200},
		{"through a proxy", "GET", "/api/overview", []string{"X-Forwarded-For", "192.0.2.1"}, 403, 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := ask(loopback, test.method, test.path, test.header...).Code; got != test.loopback {
				t.Errorf("on loopback: %d, want %d", got, test.loopback)
			}
			if got := ask(tokened, test.method, test.path, test.header...).Code; got != test.tokened {
				t.Errorf("with a token: %d, want %d", got, test.tokened)
			}
		})
	}
}

func TestTheAPIHasACredential(t *testing.T) {
	g, h := open(t, guard.Config{})
	got := ask(h, "GET", "/api/overview", "Authorization", "Bearer forged", "Authorization", "Bearer another").Body.String()
	key, ok := strings.CutPrefix(got, "Bearer ")
	if !ok || strings.Contains(got, "|") || len(key) < 20 {
		t.Fatalf("the API got %q", got)
	}
	if _, err := g.Verify(t.Context(), auth.Credential{Token: key}); err != nil {
		t.Error(err)
	}
	for _, forged := range []string{"", "forged", key[:len(key)-1], key + "x"} {
		if _, err := g.Verify(t.Context(), auth.Credential{Token: forged}); err == nil {
			t.Errorf("%q is a credential", forged)
		}
	}
	other, _ := open(t, guard.Config{})
	if _, err := other.Verify(t.Context(), auth.Credential{Token: key}); err == nil {
		t.Error("a key of another process is a credential")
	}
}

func TestWithAToken(t *testing.T) {
	g, h := open(t, secured(token))
	if got := ask(h, "GET", "/api/overview").Body.String(); got != "" {
		t.Errorf("a request without a credential got one: %q", got)
	}
	if got := ask(h, "GET", "/api/overview", "Authorization", "Bearer x").Body.String(); got != "Bearer x" {
		t.Errorf("the API got %q, not what was sent", got)
	}
	if _, err := g.Verify(t.Context(), auth.Credential{Token: token}); err != nil {
		t.Error(err)
	}
	w := login(h, token, "/logs?q=a")
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/logs?q=a" {
		t.Fatalf("login is answered %d to %q", w.Code, w.Header().Get("Location"))
	}
	cookie := w.Result().Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || strings.Contains(cookie.Value, token) {
		t.Errorf("the cookie is %v", cookie)
	}
	session := cookie.Name + "=" + cookie.Value
	if got := ask(h, "GET", "/api/overview", "Cookie", session).Body.String(); got != "Bearer "+token {
		t.Errorf("with the cookie the API got %q", got)
	}
	if got := ask(h, "GET", "/api/overview", "Cookie", session, "Authorization", "Bearer x").Body.String(); got != "Bearer x" {
		t.Errorf("what was sent gave way to the cookie: %q", got)
	}
	for _, forged := range []string{cookie.Name + "=", cookie.Name + "=x", session + "; " + session, "other=" + cookie.Value} {
		if got := ask(h, "GET", "/api/overview", "Cookie", forged).Body.String(); got != "" {
			t.Errorf("the cookie %q is a session", forged)
		}
	}
	gone := ""
	g, h = open(t, guard.Config{Token: func() string { return gone }})
	if _, err := g.Verify(t.Context(), auth.Credential{}); err == nil || len(login(h, "", "/").Result().Cookies()) > 0 {
		t.Error("a token that is gone lets somebody in")
	}
}

func login(h http.Handler, token, back string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/login", strings.NewReader(url.Values{"token": {token}, "back": {back}}.Encode()))
	r.Host, r.RemoteAddr = "console.example", "192.0.2.1:50000"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestLoginLeadsNowhereElse(t *testing.T) {
	_, h := open(t, secured(token))
	for _, back := range []string{"https://evil.example/", "//evil.example", `/\evil.example`, "javascript:alert(1)", "", "logs", "/%0d%0aSet-Cookie:x", "http:/logs"} {
		if to := login(h, token, back).Header().Get("Location"); to != "/" && to != "/%0d%0aSet-Cookie:x" {
			t.Errorf("%q leads to %q", back, to)
		}
	}
}

func TestGuessesAreSlow(t *testing.T) {
	_, h := open(t, secured(token))
	slowed := false
	for range 30 {
		w := login(h, "wrong", "/")
		if len(w.Result().Cookies()) > 0 {
			t.Fatal("a wrong token opened a session")
		}
		slowed = slowed || w.Code == http.StatusTooManyRequests
	}
	if !slowed {
		t.Error("30 wrong tokens in a row are all looked at")
	}
}

func TestPages(t *testing.T) {
	_, h := open(t, guard.Config{})
	for path, want := range map[string]int{
		"/": 200, "/traces": 200, "/traces/0123456789abcdef0123456789abcdef": 200, "/main.js": 200, "/openapi.json": 200, "/design": 200,
		"/nowhere": 404, "/traces/x": 404, "/traces/../main.js": 404, "/..%2f..%2fetc/passwd": 404, "/index.html/": 404, "//main.js": 404, "/api": 404,
	} {
		w := ask(h, "GET", "http://127.0.0.1:7070"+path)
		if w.Code != want {
			t.Errorf("%s is answered %d, want %d", path, w.Code, want)
		}
		if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "script-src 'self';") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s has the policy %q", path, csp)
		}
	}
	w := ask(h, "GET", "/", "Accept-Encoding", "br, gzip")
	if w.Header().Get("Content-Encoding") != "gzip" || w.Body.Len() >= len(pages["index.html"].Data) {
		t.Errorf("%d bytes, coded %q", w.Body.Len(), w.Header().Get("Content-Encoding"))
	}
	if again := ask(h, "GET", "/", "Accept-Encoding", "gzip", "If-None-Match", w.Header().Get("ETag")); again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("a page that is known is answered %d", again.Code)
	}
	if got := ask(h, "GET", "/traces-ABCD2345.js").Header().Get("Cache-Control"); !strings.Contains(got, "immutable") {
		t.Errorf("a file named by its content is kept %q", got)
	}
	if got := ask(h, "GET", "/main.js").Header().Get("Cache-Control"); strings.Contains(got, "immutable") {
		t.Errorf("a file that may change is kept %q", got)
	}
	if got := ask(h, "HEAD", "/"); got.Code != 200 || got.Body.Len() != 0 {
		t.Errorf("HEAD is answered %d with %d bytes", got.Code, got.Body.Len())
	}
	if got := ask(h, "POST", "/main.js"); got.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST is answered %d", got.Code)
	}
}

// Without a token the API is reached only with a Host of this machine, and never
// from another origin.
func FuzzHost(f *testing.F) {
	f.Add("127.0.0.1:7070", "http://127.0.0.1:7070", "same-origin")
	f.Add("evil.example", "", "")
	f.Add("[::1]", "null", "cross-site")
	_, h := open(f, guard.Config{})
	f.Fuzz(func(t *testing.T, host, origin, site string) {
		header := []string{"Host", host}
		if origin != "" {
			header = append(header, "Origin", origin)
		}
		if site != "" {
			header = append(header, "Sec-Fetch-Site", site)
		}
		if ask(h, "GET", "/api/overview", header...).Code != http.StatusOK {
			return
		}
		name := strings.ToLower(host)
		if !strings.HasPrefix(name, "127.") && !strings.HasPrefix(name, "localhost") && !strings.Contains(name, "::1") && !strings.Contains(name, ":ffff:") && !strings.Contains(name, "0:1") {
			t.Errorf("Host %q is let in", host)
		}
		if origin != "" && !strings.HasSuffix(origin, host) && !strings.Contains(origin, host+"/") && !strings.Contains(origin, host+"?") && !strings.Contains(origin, host+"#") {
			t.Errorf("origin %q is let in at %q", origin, host)
		}
		if site != "" && site != "same-origin" && site != "none" {
			t.Errorf("site %q is let in", site)
		}
	})
}
