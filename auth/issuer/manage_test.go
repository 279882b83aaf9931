package issuer_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Revocation: a refresh token takes its consent along, an access token nothing;
// another client's stays.
func TestRevocation(t *testing.T) {
	g := newRig(t)
	login := func() map[string]any {
		code, verifier := g.login(g.client("browser", "api:read"))
		_, _, said := g.post("/token", "", exchangeForm("browser", code, verifier))
		return said
	}
	revoke := func(client string, token any) (int, map[string]any) {
		text, _ := token.(string)
		status, _, said := g.post("/revoke", "", url.Values{"client_id": {client}, "token": {text}})
		return status, said
	}
	said := login()
	if status, refused := revoke("other", said["access_token"]); status != http.StatusBadRequest || !g.active(said["access_token"]) {
		t.Errorf("another client: %d %v", status, refused)
	}
	if status, refused := revoke("other", said["refresh_token"]); status != http.StatusBadRequest || !g.active(said["access_token"]) {
		t.Errorf("another client: %d %v", status, refused)
	}
	if status, _ := revoke("browser", said["access_token"]); status != http.StatusOK || g.active(said["access_token"]) {
		t.Errorf("access token: %d", status)
	}
	if status, _, next := g.post("/token", "", refreshForm("browser", said["refresh_token"])); status != http.StatusOK {
		t.Errorf("the refresh token went too: %v", next)
	}
	said = login()
	if status, _ := revoke("browser", said["refresh_token"]); status != http.StatusOK || g.active(said["access_token"]) {
		t.Errorf("refresh token: %d", status)
	}
	if status, _ := revoke("browser", "unknown"); status != http.StatusOK {
		t.Errorf("unknown token: %d", status)
	}
	if status, _ := revoke("browser", ""); status != http.StatusBadRequest {
		t.Errorf("no token: %d", status)
	}
	if status, _ := revoke("nobody", "x"); status != http.StatusUnauthorized {
		t.Errorf("no client: %d", status)
	}
}

// Introspection needs a client with a secret, and tells a client of its own
// refresh tokens only.
func TestIntrospection(t *testing.T) {
	g := newRig(t)
	c := g.client("web", "api:read")
	code, verifier := g.login(c)
	_, _, said := g.post("/token", "web:"+g.secret, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier}, "redirect_uri": {c.RedirectURL},
	})
	access, refresh := said["access_token"].(string), said["refresh_token"].(string)
	ask := func(credentials, token string) (int, map[string]any) {
		status, _, said := g.post("/introspect", credentials, url.Values{"token": {token}})
		return status, said
	}
	if status, said := ask("machine:"+g.secret, access); status != http.StatusOK || said["active"] != true || said["username"] != "alice" || said["token_type"] != "Bearer" {
		t.Errorf("access token: %d %v", status, said)
	}
	if _, said := ask("web:"+g.secret, refresh); said["active"] != true || said["token_type"] != nil {
		t.Errorf("refresh token: %v", said)
	}
	for name, token := range map[string]string{"another's refresh token": refresh, "unknown": "x", "tampered": access + "x", "code": code} {
		if status, said := ask("machine:"+g.secret, token); status != http.StatusOK || said["active"] != false || len(said) != 1 {
			t.Errorf("%s: %d %v", name, status, said)
		}
	}
	for _, credentials := range []string{"", "machine:x", "browser:"} {
		if status, said := ask(credentials, access); status != http.StatusUnauthorized || said["active"] != nil {
			t.Errorf("%q: %d %v", credentials, status, said)
		}
	}
}

func TestUserInfo(t *testing.T) {
	g := newRig(t)
	get := func(header string) (int, http.Header, string) {
		req, _ := http.NewRequest(http.MethodGet, g.url+"/userinfo", nil)
		if header != "" {
			req.Header.Set("Authorization", header)
		}
		res, err := g.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return read(t, res)
	}
	login := func(scopes ...string) string {
		code, verifier := g.login(g.client("browser", scopes...))
		_, _, said := g.post("/token", "", exchangeForm("browser", code, verifier))
		return said["access_token"].(string)
	}
	status, _, body := get("Bearer " + login("openid", "profile"))
	if status != http.StatusOK || !strings.Contains(body, `"name":"Alice Example"`) || strings.Contains(body, "email") {
		t.Errorf("answer %d %s", status, body)
	}
	if status, header, _ := get("Bearer " + login("api:read")); status != http.StatusForbidden || !strings.Contains(header.Get("WWW-Authenticate"), "insufficient_scope") {
		t.Errorf("without openid: %d %v", status, header)
	}
	for _, bad := range []string{"", "Bearer", "Bearer x", "Basic eDp5"} {
		if status, header, _ := get(bad); status != http.StatusUnauthorized || header.Get("WWW-Authenticate") == "" {
			t.Errorf("%q: %d", bad, status)
		}
	}
}

// What discovery names is there.
func TestDiscovery(t *testing.T) {
	g := newRig(t)
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		status, header, body := g.get(g.url + path)
		var doc map[string]any
		if err := json.Unmarshal([]byte(body), &doc); err != nil || status != http.StatusOK || header.Get("Content-Type") != "application/json" {
			t.Fatalf("%s: %d %v %s", path, status, err, body)
		}
		if doc["issuer"] != g.url || doc["authorization_response_iss_parameter_supported"] != true {
			t.Errorf("document %v", doc)
		}
		for name, v := range doc {
			address, ok := v.(string)
			if !ok || name == "issuer" {
				continue
			}
			res, err := g.http.Head(address)
			if err != nil {
				t.Fatal(err)
			}
			if status, _, _ := read(t, res); status == http.StatusNotFound {
				t.Errorf("%s: %s is not there", name, address)
			}
		}
	}
	_, _, body := g.get(g.url + "/jwks.json")
	for _, private := range []string{`"d"`, `"p"`, `"q"`, `"dp"`} {
		if strings.Contains(body, private) {
			t.Errorf("the key set has a private part: %s", private)
		}
	}
}

func TestHome(t *testing.T) {
	g := newRig(t)
	status, header, body := g.get(g.url + "/")
	for _, want := range []string{"/authorize", "browser", "Read access", "never use in production", "ES256"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if status != http.StatusOK || !strings.Contains(header.Get("Content-Security-Policy"), "form-action 'none'") || strings.Contains(body, g.secret) {
		t.Errorf("page %d %v", status, header)
	}
	if status, _, body := g.get(g.url + "/nothing"); status != http.StatusNotFound || !strings.Contains(body, "never use in production") {
		t.Errorf("missing page: %d", status)
	}
	req, _ := http.NewRequest(http.MethodDelete, g.url+"/authorize", nil)
	res, err := g.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if status, header, _ := read(t, res); status != http.StatusMethodNotAllowed || header.Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("DELETE: %d %v", status, header)
	}
}
