package issuer_test

import (
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"
	"pgregory.net/rapid"

	"github.com/aguada-dev/aguada/auth/issuer"
	"github.com/aguada-dev/aguada/auth/issuer/state"
)

var testChallenge = oauth2.S256ChallengeFromVerifier(strings.Repeat("v", 43))

// request is a good authorization request.
func request() url.Values {
	return url.Values{
		"response_type": {"code"}, "client_id": {"browser"}, "redirect_uri": {callback}, "scope": {"api:read"},
		"state": {"s t&a=te"}, "code_challenge": {testChallenge}, "code_challenge_method": {"S256"},
	}
}

// Mistakes about who asks are told to the user, and nobody is sent anywhere.
func TestAuthorizeNeverRedirectsBlindly(t *testing.T) {
	g := newRig(t)
	for name, change := range map[string]func(url.Values){
		"unknown client":    func(f url.Values) { f.Set("client_id", "<script>alert(1)</script>") },
		"no client":         func(f url.Values) { f.Del("client_id") },
		"two clients":       func(f url.Values) { f.Add("client_id", "other") },
		"no redirect URI":   func(f url.Values) { f.Del("redirect_uri") },
		"two redirect URIs": func(f url.Values) { f.Add("redirect_uri", callback) },
		"other path":        func(f url.Values) { f.Set("redirect_uri", callback+"/") },
		"other host":        func(f url.Values) { f.Set("redirect_uri", "http://evil.example/callback") },
		"host as user":      func(f url.Values) { f.Set("redirect_uri", "http://127.0.0.1@evil.example/callback") },
		"port as password":  func(f url.Values) { f.Set("redirect_uri", "http://127.0.0.1:80@evil.example/callback") },
		"localhost for IP":  func(f url.Values) { f.Set("redirect_uri", "http://localhost:5555/callback") },
		"https for http":    func(f url.Values) { f.Set("redirect_uri", "https://127.0.0.1:5555/callback") },
		"fragment":          func(f url.Values) { f.Set("redirect_uri", callback+"#x") },
		"query":             func(f url.Values) { f.Set("redirect_uri", callback+"?x=1") },
		"backslash":         func(f url.Values) { f.Set("redirect_uri", `http://127.0.0.1:5555\@evil.example/callback`) },
		"dots":              func(f url.Values) { f.Set("redirect_uri", "http://127.0.0.1:5555/x/../callback") },
		"line break":        func(f url.Values) { f.Set("redirect_uri", callback+"\r\nX: y") },
		"script":            func(f url.Values) { f.Set("redirect_uri", "javascript:alert(1)") },
		"port of others": func(f url.Values) {
			f.Set("client_id", "web")
			f.Set("redirect_uri", "https://web.example:444/cb?fixed=1")
		},
		"impossible port":    func(f url.Values) { f.Set("redirect_uri", "http://127.0.0.1:99999/callback") },
		"client of machines": func(f url.Values) { f.Set("client_id", "machine") },
		"registered with end": func(f url.Values) {
			f.Set("client_id", "web")
			f.Set("redirect_uri", "https://web.example/cb?fixed=1&more=2")
		},
	} {
		f := request()
		change(f)
		status, header, body := g.get(g.url + "/authorize?" + f.Encode())
		if status != http.StatusBadRequest || header.Get("Location") != "" || !strings.Contains(body, "loopback only") {
			t.Errorf("%s: %d %v", name, status, header)
		}
		if strings.Contains(body, "<script") || strings.Contains(body, "evil.example") {
			t.Errorf("%s: the page repeats the request", name)
		}
	}
}

// Who mistyped an address sees those that would do.
func TestAuthorizeSaysWhatIsRegistered(t *testing.T) {
	g := newRig(t)
	f := request()
	f.Set("redirect_uri", "http://127.0.0.1:5555/cb")
	_, _, body := g.get(g.url + "/authorize?" + f.Encode())
	for _, want := range []string{"http://127.0.0.1/callback", "the port may be any", "aguada issuer clients add"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q: %s", want, body)
		}
	}
}

// Any other mistake goes to the client, with its state and the issuer's name.
func TestAuthorizeRefuses(t *testing.T) {
	g := newRig(t)
	for name, test := range map[string]struct {
		change func(url.Values)
		want   string
	}{
		"no PKCE":             {func(f url.Values) { f.Del("code_challenge"); f.Del("code_challenge_method") }, "invalid_request"},
		"plain PKCE":          {func(f url.Values) { f.Set("code_challenge_method", "plain") }, "invalid_request"},
		"PKCE without method": {func(f url.Values) { f.Del("code_challenge_method") }, "invalid_request"},
		"short challenge":     {func(f url.Values) { f.Set("code_challenge", "abc") }, "invalid_request"},
		"implicit":            {func(f url.Values) { f.Set("response_type", "token") }, "unsupported_response_type"},
		"hybrid":              {func(f url.Values) { f.Set("response_type", "code id_token") }, "unsupported_response_type"},
		"no response type":    {func(f url.Values) { f.Del("response_type") }, "invalid_request"},
		"fragment mode":       {func(f url.Values) { f.Set("response_mode", "fragment") }, "invalid_request"},
		"unknown scope":       {func(f url.Values) { f.Set("scope", "api:read api:root") }, "invalid_scope"},
		"scope twice":         {func(f url.Values) { f.Add("scope", "api:write") }, "invalid_request"},
		"request object":      {func(f url.Values) { f.Set("request", "x") }, "request_not_supported"},
		"request URI":         {func(f url.Values) { f.Set("request_uri", "x") }, "request_uri_not_supported"},
		"no prompt":           {func(f url.Values) { f.Set("prompt", "none") }, "login_required"},
		"foreign audience":    {func(f url.Values) { f.Set("audience", "bank") }, "invalid_target"},
		"long nonce":          {func(f url.Values) { f.Set("nonce", strings.Repeat("x", 5000)) }, "invalid_request"},
	} {
		f := request()
		test.change(f)
		status, header, _ := g.get(g.url + "/authorize?" + f.Encode())
		to, err := url.Parse(header.Get("Location"))
		if err != nil || status != http.StatusSeeOther || !strings.HasPrefix(to.String(), callback+"?") {
			t.Errorf("%s: %d %v", name, status, header)
			continue
		}
		q := to.Query()
		if q.Get("error") != test.want || q.Get("state") != "s t&a=te" || q.Get("iss") != g.url || q.Has("code") {
			t.Errorf("%s: %v", name, q)
		}
	}
	f := request()
	f.Add("state", "two")
	if _, header, _ := g.get(g.url + "/authorize?" + f.Encode()); strings.Contains(header.Get("Location"), "state=") {
		t.Errorf("two states: %v", header)
	}
}

// The consent page shows what is asked, and is protected from other pages.
func TestConsentPage(t *testing.T) {
	g := newRig(t)
	f := request()
	f.Set("scope", "openid api:read")
	f.Set("login_hint", "bob")
	status, header, body := g.get(g.url + "/authorize?" + f.Encode())
	text := html.UnescapeString(body)
	for _, want := range []string{"Browser", "Shop", "Read access", "api:read", "alice", callback, "loopback only", "never use in production", `value="bob" checked`} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if status != http.StatusOK || strings.Contains(body, "<script") || strings.Contains(body, "style=") {
		t.Errorf("page: %d %s", status, body)
	}
	csp := header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self' http://127.0.0.1:5555"} {
		if !strings.Contains(csp, want) {
			t.Errorf("the policy %q lacks %q", csp, want)
		}
	}
	if header.Get("X-Frame-Options") != "DENY" || header.Get("Cache-Control") != "no-store" {
		t.Errorf("header %v", header)
	}
	found := hidden.FindStringSubmatch(body)
	answer := allowed("bob", "api:read")
	answer.Set("transaction", found[1])
	send := func(form url.Values, header map[string]string) int {
		req, _ := http.NewRequest(http.MethodPost, g.url+"/consent", strings.NewReader(form.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for name, v := range header {
			req.Header.Set(name, v)
		}
		res, err := g.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		status, got, _ := read(t, res)
		if status != http.StatusSeeOther && got.Get("Location") != "" {
			t.Errorf("redirected by %d", status)
		}
		return status
	}
	for name, header := range map[string]map[string]string{
		"another site":      {"Sec-Fetch-Site": "cross-site"},
		"another port":      {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:1"},
		"an old browser":    {"Origin": "http://evil.example"},
		"a page of no name": {"Origin": "null"},
		// A proxy that rewrites Host and adds nothing, as nginx does.
		"a hidden proxy": {"Sec-Fetch-Site": "same-origin", "Origin": "https://dev.example"},
	} {
		if status := send(answer, header); status != http.StatusForbidden {
			t.Errorf("%s: %d", name, status)
		}
	}
	for name, change := range map[string]func(url.Values){
		"no secret":    func(f url.Values) { f.Del("transaction") },
		"wrong secret": func(f url.Values) { f.Set("transaction", "AAAA") },
	} {
		form := url.Values{}
		for k, v := range answer {
			form[k] = v
		}
		change(form)
		if status := send(form, map[string]string{"Sec-Fetch-Site": "same-origin"}); status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, status)
		}
	}
	if status := send(answer, map[string]string{"Sec-Fetch-Site": "same-origin"}); status != http.StatusSeeOther {
		t.Errorf("the right answer: %d", status)
	}
	if status := send(answer, map[string]string{"Sec-Fetch-Site": "same-origin"}); status != http.StatusBadRequest {
		t.Errorf("twice: %d", status)
	}
}

// The user may say no, may allow less, and must exist.
func TestConsent(t *testing.T) {
	g := newRig(t)
	deny := g.answer(g.url+"/authorize?"+request().Encode(), url.Values{"user": {"alice"}, "decision": {"deny"}})
	if deny.Get("error") != "access_denied" || deny.Has("code") || deny.Get("state") != "s t&a=te" || deny.Get("iss") != g.url {
		t.Errorf("denied: %v", deny)
	}
	f := request()
	f.Set("scope", "openid api:read api:write")
	less := g.answer(g.url+"/authorize?"+f.Encode(), allowed("alice", "api:write", "api:root"))
	_, _, said := g.post("/token", "", exchangeForm("browser", less.Get("code"), strings.Repeat("v", 43)))
	if said["scope"] != "openid api:write" {
		t.Errorf("allowed less: %v", said)
	}
	_, _, page := g.get(g.url + "/authorize?" + request().Encode())
	form := allowed("mallory", "api:read")
	form.Set("transaction", hidden.FindStringSubmatch(page)[1])
	req, _ := http.NewRequest(http.MethodPost, g.url+"/consent", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := g.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if status, header, _ := read(t, res); status != http.StatusBadRequest || header.Get("Location") != "" {
		t.Errorf("unknown user: %d", status)
	}
}

// A question stays open for ten minutes.
func TestConsentExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		_, _, page := g.get(g.url + "/authorize?" + request().Encode())
		form := allowed("alice", "api:read")
		form.Set("transaction", hidden.FindStringSubmatch(page)[1])
		time.Sleep(10 * time.Minute)
		req, _ := http.NewRequest(http.MethodPost, g.url+"/consent", strings.NewReader(form.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, err := g.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if status, _, _ := read(t, res); status != http.StatusBadRequest {
			t.Errorf("after ten minutes: %d", status)
		}
	})
}

// Whatever a client calls its state comes back unchanged, and its redirect
// URI's own query stays.
func TestStatePassesThrough(t *testing.T) {
	g := newRig(t)
	rapid.Check(t, func(rt *rapid.T) {
		given := rapid.StringN(1, 100, 400).Draw(rt, "state")
		f := request()
		f.Set("state", given)
		f.Set("client_id", "web")
		f.Set("redirect_uri", "https://web.example/cb?fixed=1")
		to := g.answer(g.url+"/authorize?"+f.Encode(), allowed("alice", "api:read"))
		if to.Get("state") != given || to.Get("fixed") != "1" || to.Get("code") == "" {
			rt.Fatalf("answer %q", to)
		}
	})
}

// Only a person's browser gets a consent page: nothing that another page loads.
func TestAuthorizeIsForPeople(t *testing.T) {
	g := newRig(t)
	for mode, want := range map[string]int{"navigate": 200, "no-cors": 400, "cors": 400, "same-origin": 400, "websocket": 400} {
		req, _ := http.NewRequest(http.MethodGet, g.url+"/authorize?"+request().Encode(), nil)
		req.Header.Set("Sec-Fetch-Mode", mode)
		res, err := g.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if status, _, _ := read(t, res); status != want {
			t.Errorf("%s: %d", mode, status)
		}
	}
}

// A foreign page that loads thousands of consent pages into hidden frames does
// not push out the one that a person is reading.
func TestFramesPushNothingOut(t *testing.T) {
	g := newRig(t)
	_, _, page := g.get(g.url + "/authorize?" + request().Encode())
	for range state.MaxRequests + 1 {
		req, _ := http.NewRequest(http.MethodGet, g.url+"/authorize?"+request().Encode(), nil)
		req.Header.Set("Sec-Fetch-Mode", "navigate")
		req.Header.Set("Sec-Fetch-Dest", "iframe")
		res, err := g.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if status, _, _ := read(t, res); status != http.StatusBadRequest {
			t.Fatalf("a frame is answered %d", status)
		}
	}
	answer := allowed("alice", "api:read")
	answer.Set("transaction", hidden.FindStringSubmatch(page)[1])
	if got := g.sent(answer); got.Get("code") == "" {
		t.Errorf("the person's own answer: %v", got)
	}
}

// A request may be sent as a form, too (OpenID Connect Core 1.0, 3.1.2.1).
func TestAuthorizeByForm(t *testing.T) {
	g := newRig(t)
	res, err := g.http.PostForm(g.url+"/authorize", request())
	if err != nil {
		t.Fatal(err)
	}
	if status, _, body := read(t, res); status != http.StatusOK || !hidden.MatchString(body) {
		t.Errorf("answer %d %s", status, body)
	}
}

// A client named like an audience could pass its id tokens for access tokens,
// one named like a user its own tokens for the user's.
func TestClientsThatImpersonate(t *testing.T) {
	g := newRig(t)
	for _, id := range []string{"shop", "alice"} {
		c := state.Client{ID: id, Grants: []string{state.AuthorizationCode, state.ClientCredentials}, RedirectURIs: []string{callback}}
		secret := c.NewSecret()
		g.update(func(tx *state.Tx) error { return tx.PutClient(c) })
		f := request()
		f.Set("client_id", id)
		if status, header, _ := g.get(g.url + "/authorize?" + f.Encode()); status != http.StatusBadRequest || header.Get("Location") != "" {
			t.Errorf("%s: %d", id, status)
		}
		status, _, said := g.post("/token", id+":"+secret, url.Values{"grant_type": {"client_credentials"}})
		refusedWith(t, id, status, said, "invalid_client")
	}
}

// Only callers on this machine that mean this issuer are answered.
func TestLoopbackOnly(t *testing.T) {
	g := newRig(t)
	for name, test := range map[string]struct {
		change func(*http.Request)
		want   int
	}{
		"itself":             {func(*http.Request) {}, http.StatusOK},
		"localhost":          {func(r *http.Request) { r.Host = "LocalHost:9096" }, http.StatusOK},
		"IPv6":               {func(r *http.Request) { r.Host, r.RemoteAddr = "[::1]:9096", "[::1]:1" }, http.StatusOK},
		"IPv4 in IPv6":       {func(r *http.Request) { r.RemoteAddr = "[::ffff:127.0.0.1]:1" }, http.StatusOK},
		"rebound name":       {func(r *http.Request) { r.Host = "evil.example:9096" }, http.StatusMisdirectedRequest},
		"name with loopback": {func(r *http.Request) { r.Host = "127.0.0.1.evil.example:9096" }, http.StatusMisdirectedRequest},
		"other port":         {func(r *http.Request) { r.Host = "127.0.0.1:9097" }, http.StatusMisdirectedRequest},
		"no port":            {func(r *http.Request) { r.Host = "127.0.0.1" }, http.StatusMisdirectedRequest},
		"no host":            {func(r *http.Request) { r.Host = "" }, http.StatusMisdirectedRequest},
		"other machine":      {func(r *http.Request) { r.RemoteAddr = "192.0.2.1:1" }, http.StatusForbidden},
		"unknown caller":     {func(r *http.Request) { r.RemoteAddr = "@" }, http.StatusForbidden},
		"proxy":              {func(r *http.Request) { r.Header.Set("X-Forwarded-For", "127.0.0.1") }, http.StatusForbidden},
		"other proxy":        {func(r *http.Request) { r.Header.Set("Forwarded", "for=127.0.0.1") }, http.StatusForbidden},
		"proxy's protocol":   {func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "https") }, http.StatusForbidden},
		"caching proxy":      {func(r *http.Request) { r.Header.Set("Via", "1.1 proxy") }, http.StatusForbidden},
		"tunnel":             {func(r *http.Request) { r.Header.Set("CF-Connecting-IP", "192.0.2.1") }, http.StatusForbidden},
	} {
		for _, path := range []string{"/", "/jwks.json", "/.well-known/openid-configuration"} {
			r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:9096"+path, nil)
			r.RemoteAddr = "127.0.0.1:1"
			test.change(r)
			w := httptest.NewRecorder()
			g.issuer.ServeHTTP(w, r)
			if w.Code != test.want {
				t.Errorf("%s: %s answers %d, want %d", name, path, w.Code, test.want)
			}
		}
	}
}

func TestListenRefusesOtherAddresses(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.com:0", "127.0.0.1", "127.0.0.1.evil.example:0"} {
		l, err := issuer.Listen(t.Context(), addr)
		if err == nil {
			_ = l.Close()
			t.Errorf("%s was bound", addr)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	g := newRig(t)
	for name, change := range map[string]func(*issuer.Config){
		"no URL":         func(c *issuer.Config) { c.URL = "" },
		"https":          func(c *issuer.Config) { c.URL = "https://127.0.0.1:1" },
		"public":         func(c *issuer.Config) { c.URL = "http://id.example:1" },
		"path":           func(c *issuer.Config) { c.URL = "http://127.0.0.1:1/" },
		"no port":        func(c *issuer.Config) { c.URL = "http://127.0.0.1" },
		"user":           func(c *issuer.Config) { c.URL = "http://a@127.0.0.1:1" },
		"no audience":    func(c *issuer.Config) { c.Audience = nil },
		"empty audience": func(c *issuer.Config) { c.Audience = []string{""} },
		"scope":          func(c *issuer.Config) { c.Scopes = []issuer.Scope{{Name: "a b"}} },
		"user's name":    func(c *issuer.Config) { c.Users = []issuer.User{{}} },
	} {
		cfg := config(g.url, io.Discard)
		change(&cfg)
		if _, err := issuer.New(g.state, cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Pages of other loopback origins may call what Swagger UI needs, and no page
// of the network anything.
func TestOtherOrigins(t *testing.T) {
	g := newRig(t)
	for origin, want := range map[string]bool{
		"http://127.0.0.1:8080": true, "http://localhost:3000": true, "http://[::1]:8080": true,
		"https://evil.example": false, "null": false, "http://127.0.0.1.evil.example": false, "http://localhost:3000/": false,
	} {
		for _, path := range []string{"/token", "/jwks.json", "/oauth/token", "/introspect", "/consent", "/authorize"} {
			req, _ := http.NewRequest(http.MethodOptions, g.url+path, nil)
			req.Header.Set("Origin", origin)
			req.Header.Set("Access-Control-Request-Method", "POST")
			res, err := g.http.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_, header, _ := read(t, res)
			shared := want && !slices.Contains([]string{"/introspect", "/consent", "/authorize"}, path)
			if got := header.Get("Access-Control-Allow-Origin"); (got != "") != shared || got == "*" || header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s at %s: %v", origin, path, header)
			}
		}
	}
}
