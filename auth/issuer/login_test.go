package issuer_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/auth/issuer"
)

// loginRig is an issuer whose page /login works.
func loginRig(t *testing.T) *rig {
	t.Helper()
	g := newRig(t)
	cfg := config(g.url, g.log)
	cfg.Login = "browser"
	i, err := issuer.New(g.state, cfg)
	if err != nil {
		t.Fatal(err)
	}
	g.issuer, g.http.Transport = i, direct{i}
	return g
}

// begin follows /login to the consent page, answers it, and returns where the
// browser is sent.
func (g *rig) begin(answer url.Values) string {
	g.t.Helper()
	status, header, _ := g.get(g.url + "/login")
	to := header.Get("Location")
	if status != http.StatusSeeOther || !strings.HasPrefix(to, g.url+"/authorize?") {
		g.t.Fatalf("/login sends to %d %q", status, to)
	}
	return g.url + "/callback?" + g.answer(to, answer).Encode()
}

var shown = regexp.MustCompile(`(?s)<textarea id="token"[^>]*>([^<]+)</textarea>`)

// A person gets a token by clicking; the code works once and only with the
// state that it was made for.
func TestLoginPage(t *testing.T) {
	g := loginRig(t)
	if _, _, body := g.get(g.url + "/"); !strings.Contains(body, `href="/login"`) {
		t.Error("the home page does not lead to /login")
	}
	callback := g.begin(allowed("bob", "api:read"))
	status, header, body := g.get(callback)
	found := shown.FindStringSubmatch(body)
	if status != http.StatusOK || found == nil {
		t.Fatalf("no token: %d %s", status, body)
	}
	_, payload := claims(t, found[1])
	if payload["sub"] != "bob" || payload["scope"] != "api:read" || payload["client_id"] != "browser" {
		t.Errorf("claims %v", payload)
	}
	if !g.active(found[1]) {
		t.Error("the token is of no use")
	}
	if !strings.Contains(html.UnescapeString(body), `"sub": "bob"`) || header.Get("Cache-Control") != "no-store" {
		t.Error("the page does not say whose it is, or is kept")
	}
	if strings.Contains(g.log.String(), found[1]) {
		t.Error("the log has a token")
	}
	if status, _, body := g.get(callback); status != http.StatusBadRequest || shown.MatchString(body) || g.active(found[1]) {
		t.Errorf("the code twice: %d", status)
	}

	mixed, _ := url.Parse(g.begin(allowed("bob", "api:read")))
	f := mixed.Query()
	f.Set("state", "another")
	if status, _, body := g.get(g.url + "/callback?" + f.Encode()); status != http.StatusBadRequest || shown.MatchString(body) {
		t.Errorf("a code with another's state: %d", status)
	}
	if status, _, body := g.get(g.begin(url.Values{"user": {"bob"}, "decision": {"deny"}})); status != http.StatusBadRequest || shown.MatchString(body) {
		t.Errorf("denied: %d", status)
	}
	if status, _, _ := g.get(g.url + "/callback"); status != http.StatusBadRequest {
		t.Errorf("nothing: %d", status)
	}
	code, _ := g.login(g.client("browser", "api:read"))
	if status, _, _ := g.get(g.url + "/callback?" + url.Values{"code": {code}, "state": {"st"}}.Encode()); status != http.StatusBadRequest {
		t.Errorf("a program's code: %d", status)
	}
}

// Without a client for it there is no such page.
func TestNoLoginPage(t *testing.T) {
	g := newRig(t)
	for _, path := range []string{"/login", "/callback?code=x"} {
		if status, _, _ := g.get(g.url + path); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
}
