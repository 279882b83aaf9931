package issuer_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"
	"pgregory.net/rapid"

	"github.com/aguada-dev/aguada/auth/issuer"
	"github.com/aguada-dev/aguada/auth/issuer/state"
)

// exchangeForm is what a client sends to exchange a code.
func exchangeForm(client, code, verifier string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "client_id": {client}, "code": {code},
		"code_verifier": {verifier}, "redirect_uri": {callback},
	}
}

// refusedWith fails the test unless the token endpoint answered with the error.
func refusedWith(t testing.TB, what string, status int, said map[string]any, want string) {
	t.Helper()
	if status < 400 || status > 401 || said["error"] != want || said["access_token"] != nil {
		t.Errorf("%s: %d %v, want %s", what, status, said, want)
	}
}

// active asks the issuer about a token.
func (g *rig) active(token any) bool {
	g.t.Helper()
	_, _, said := g.post("/introspect", "machine:"+g.secret, url.Values{"token": {fmt.Sprint(token)}})
	return said["active"] == true
}

// Whatever is wrong with an exchange, there is no token; and after its own
// client's mistake the code is of no use.
func TestExchangeRefuses(t *testing.T) {
	sum := sha256.Sum256([]byte(strings.Repeat("v", 43)))
	for _, test := range []struct {
		name, want string
		change     func(url.Values)
		lasts      bool // the code still works for its client
	}{
		{"wrong verifier", "invalid_grant", func(f url.Values) { f.Set("code_verifier", strings.Repeat("x", 43)) }, false},
		{"challenge as verifier", "invalid_grant", func(f url.Values) {
			f.Set("code_verifier", base64.RawURLEncoding.EncodeToString(sum[:]))
		}, false},
		{"no verifier", "invalid_request", func(f url.Values) { f.Del("code_verifier") }, true},
		{"other redirect URI", "invalid_grant", func(f url.Values) { f.Set("redirect_uri", "http://127.0.0.1:5556/callback") }, false},
		{"no redirect URI", "invalid_grant", func(f url.Values) { f.Del("redirect_uri") }, false},
		{"other client", "invalid_grant", func(f url.Values) { f.Set("client_id", "other") }, true},
		{"unknown client", "invalid_client", func(f url.Values) { f.Set("client_id", "nobody") }, true},
		{"no client", "invalid_client", func(f url.Values) { f.Del("client_id") }, true},
		{"confidential client without secret", "invalid_client", func(f url.Values) { f.Set("client_id", "web") }, true},
		{"public client with a secret", "invalid_client", func(f url.Values) { f.Set("client_secret", "x") }, true},
		{"client of another grant", "invalid_client", func(f url.Values) { f.Set("client_id", "machine") }, true},
		{"no code", "invalid_request", func(f url.Values) { f.Del("code") }, true},
		{"unknown code", "invalid_grant", func(f url.Values) { f.Set("code", "AAAAAAAAAAAAAAAAAAAAAAAAAA") }, true},
		{"no grant type", "invalid_request", func(f url.Values) { f.Del("grant_type") }, true},
		{"password grant", "unsupported_grant_type", func(f url.Values) { f.Set("grant_type", "password") }, true},
		{"code twice", "invalid_request", func(f url.Values) { f.Add("code", "x") }, true},
		{"foreign audience", "invalid_target", func(f url.Values) { f.Set("resource", "https://elsewhere.example") }, true},
		{"audience not asked for", "invalid_target", func(f url.Values) { f.Set("resource", "https://shop.example/api") }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newRig(t)
			code, verifier := g.login(g.client("browser", "api:read"))
			good := exchangeForm("browser", code, verifier)
			bad := exchangeForm("browser", code, verifier)
			test.change(bad)
			status, _, said := g.post("/token", "", bad)
			refusedWith(t, "exchange", status, said, test.want)
			status, _, said = g.post("/token", "", good)
			if ok := status == http.StatusOK; ok != test.lasts {
				t.Errorf("afterwards: %d %v", status, said)
			}
			for _, secret := range []string{code, verifier, g.secret} {
				if strings.Contains(g.log.String(), secret) {
					t.Error("the log has a secret")
				}
			}
		})
	}
}

// A code that is used again takes back what it gave.
func TestReplayedCode(t *testing.T) {
	g := newRig(t)
	code, verifier := g.login(g.client("browser", "api:read", "openid"))
	_, _, first := g.post("/token", "", exchangeForm("browser", code, verifier))
	if !g.active(first["access_token"]) {
		t.Fatalf("answer %v", first)
	}
	status, _, said := g.post("/token", "", exchangeForm("other", code, verifier))
	refusedWith(t, "another client's replay", status, said, "invalid_grant")
	if !g.active(first["access_token"]) {
		t.Error("another client can revoke")
	}
	status, _, said = g.post("/token", "", exchangeForm("browser", code, verifier))
	refusedWith(t, "replay", status, said, "invalid_grant")
	if g.active(first["access_token"]) {
		t.Error("the token is still active")
	}
	status, _, said = g.post("/token", "", refreshForm("browser", first["refresh_token"]))
	refusedWith(t, "refresh", status, said, "invalid_grant")
	if !strings.Contains(g.log.String(), "a code was used again") {
		t.Error("the log does not say so")
	}
}

func refreshForm(client string, token any) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "client_id": {client}, "refresh_token": {fmt.Sprint(token)}}
}

// Of many exchanges of one code, or one refresh token, at once exactly one wins.
func TestExchangeAtOnce(t *testing.T) {
	g := newRig(t)
	race := func(form url.Values) map[string]any {
		t.Helper()
		type result struct {
			status int
			said   map[string]any
		}
		results := make([]result, 16)
		var wait sync.WaitGroup
		for i := range results {
			wait.Go(func() { results[i].status, _, results[i].said = g.post("/token", "", form) })
		}
		wait.Wait()
		var won map[string]any
		wins := 0
		for _, r := range results {
			if r.status == http.StatusOK {
				wins, won = wins+1, r.said
			} else if r.said["error"] != "invalid_grant" {
				t.Errorf("answer %v", r)
			}
		}
		if wins != 1 {
			t.Fatalf("%d exchanges succeeded", wins)
		}
		return won
	}
	code, verifier := g.login(g.client("browser", "api:read"))
	won := race(exchangeForm("browser", code, verifier))
	if g.active(won["access_token"]) {
		t.Error("a raced code's token is not revoked")
	}
	code, verifier = g.login(g.client("browser", "api:read"))
	_, _, said := g.post("/token", "", exchangeForm("browser", code, verifier))
	won = race(refreshForm("browser", said["refresh_token"]))
	if g.active(won["access_token"]) || g.active(said["access_token"]) {
		t.Error("a raced refresh token's family is not revoked")
	}
}

// A refresh token that is used again revokes its family, whoever is late.
func TestRefreshReuse(t *testing.T) {
	g := newRig(t)
	code, verifier := g.login(g.client("browser", "api:read"))
	_, _, first := g.post("/token", "", exchangeForm("browser", code, verifier))
	_, _, second := g.post("/token", "", refreshForm("browser", first["refresh_token"]))
	_, _, third := g.post("/token", "", refreshForm("browser", second["refresh_token"]))
	code, verifier = g.login(g.client("browser", "api:read"))
	_, _, unrelated := g.post("/token", "", exchangeForm("browser", code, verifier))
	if !g.active(third["access_token"]) {
		t.Fatalf("answer %v", third)
	}
	status, _, said := g.post("/token", "", refreshForm("other", first["refresh_token"]))
	refusedWith(t, "another client's", status, said, "invalid_grant")
	if !g.active(third["access_token"]) {
		t.Error("another client can revoke")
	}
	status, _, said = g.post("/token", "", refreshForm("browser", first["refresh_token"]))
	refusedWith(t, "reuse", status, said, "invalid_grant")
	for n, token := range []any{first["access_token"], second["access_token"], third["access_token"]} {
		if g.active(token) {
			t.Errorf("token %d is still active", n)
		}
	}
	status, _, said = g.post("/token", "", refreshForm("browser", third["refresh_token"]))
	refusedWith(t, "the newest", status, said, "invalid_grant")
	if !g.active(unrelated["access_token"]) {
		t.Error("another consent went too")
	}
}

// Scopes may shrink at a refresh, never grow, and come back at the next.
func TestRefreshScopes(t *testing.T) {
	g := newRig(t)
	code, verifier := g.login(g.client("browser", "api:read"))
	_, _, said := g.post("/token", "", exchangeForm("browser", code, verifier))
	form := refreshForm("browser", said["refresh_token"])
	form.Set("scope", "api:read api:write")
	status, _, refused := g.post("/token", "", form)
	refusedWith(t, "more scopes", status, refused, "invalid_scope")
	form.Del("scope")
	status, _, said = g.post("/token", "", form)
	if status != http.StatusOK || said["scope"] != "api:read" {
		t.Errorf("after the mistake: %d %v", status, said)
	}
}

// What has expired is of no use.
func TestLifetimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		code, verifier := g.login(g.client("browser", "api:read"))
		time.Sleep(issuer.CodeLifetime)
		status, _, said := g.post("/token", "", exchangeForm("browser", code, verifier))
		refusedWith(t, "expired code", status, said, "invalid_grant")

		code, verifier = g.login(g.client("browser", "api:read"))
		time.Sleep(issuer.CodeLifetime - time.Second)
		_, _, said = g.post("/token", "", exchangeForm("browser", code, verifier))
		access := said["access_token"]
		time.Sleep(issuer.AccessLifetime - time.Second)
		if !g.active(access) {
			t.Error("an access token ended early")
		}
		time.Sleep(time.Second)
		if g.active(access) {
			t.Error("an access token did not end")
		}
		time.Sleep(issuer.RefreshLifetime / 2)
		_, _, said = g.post("/token", "", refreshForm("browser", said["refresh_token"]))
		if said["refresh_token"] == nil {
			t.Fatalf("after half of its life: %v", said)
		}
		time.Sleep(issuer.RefreshLifetime / 2)
		status, _, said = g.post("/token", "", refreshForm("browser", said["refresh_token"]))
		refusedWith(t, "expired refresh token", status, said, "invalid_grant")
	})
}

// A rotated key stays published for as long as its tokens live.
func TestKeyRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		kids := func() (ids []string) {
			g.update(func(tx *state.Tx) error {
				keys, err := tx.Keys(time.Now())
				for _, k := range keys {
					ids = append(ids, k.ID)
				}
				return err
			})
			return ids
		}
		machine := func() string {
			_, _, said := g.post("/token", "machine:"+g.secret, url.Values{"grant_type": {"client_credentials"}})
			return fmt.Sprint(said["access_token"])
		}
		rotate := func(drop bool) {
			g.update(func(tx *state.Tx) error { _, err := tx.RotateKey(state.ES256, drop, time.Now()); return err })
		}
		old, token := kids(), machine()
		rotate(false)
		if header, _ := claims(t, machine()); len(kids()) != 2 || header["kid"] != old[0] {
			t.Errorf("%v signs, of %v", header["kid"], kids())
		}
		time.Sleep(state.KeyLead)
		now := kids()
		if len(now) != 2 || now[1] != old[0] || !g.active(token) {
			t.Errorf("keys %v after %v", now, old)
		}
		if header, _ := claims(t, machine()); header["kid"] != now[0] {
			t.Error("the old key still signs")
		}
		time.Sleep(issuer.AccessLifetime)
		if !slices.Contains(kids(), old[0]) {
			t.Error("the old key went with its last token, without a margin for clocks")
		}
		time.Sleep(time.Hour)
		if slices.Contains(kids(), old[0]) {
			t.Error("the old key stays")
		}
		token = machine()
		rotate(true)
		if ids := kids(); len(ids) != 1 || ids[0] == now[0] || g.active(token) {
			t.Errorf("keys %v, token active %t", ids, g.active(token))
		}
	})
}

// Client credentials.
func TestClientCredentials(t *testing.T) {
	g := newRig(t)
	form := func(more ...string) url.Values {
		f := url.Values{"grant_type": {"client_credentials"}}
		for i := 0; i < len(more); i += 2 {
			f.Add(more[i], more[i+1])
		}
		return f
	}
	status, header, said := g.post("/token", "machine:"+g.secret, form())
	if status != http.StatusOK || said["scope"] != "api:read api:write" || said["refresh_token"] != nil || said["id_token"] != nil || said["expires_in"] != 900.0 {
		t.Errorf("answer %d %v", status, said)
	}
	if header.Get("Cache-Control") != "no-store" {
		t.Errorf("header %v", header)
	}
	if _, payload := claims(t, fmt.Sprint(said["access_token"])); payload["sub"] != "machine" || payload["auth_time"] != nil {
		t.Errorf("claims %v", payload)
	}
	status, _, said = g.post("/token", "machine:"+g.secret, form("resource", "https://shop.example/api", "audience", "shop"))
	if _, payload := claims(t, fmt.Sprint(said["access_token"])); status != 200 || fmt.Sprint(payload["aud"]) != "[https://shop.example/api shop]" {
		t.Errorf("audience %v", payload["aud"])
	}
	for _, test := range []struct {
		name, credentials, want string
		form                    url.Values
	}{
		{"wrong secret", "machine:nope", "invalid_client", form()},
		{"no secret", "machine:", "invalid_client", form()},
		{"nothing", "", "invalid_client", form()},
		{"another's secret in the body", "", "invalid_client", form("client_id", "browser", "client_secret", g.secret)},
		{"two ways", "machine:" + g.secret, "invalid_request", form("client_secret", g.secret)},
		{"two clients", "machine:" + g.secret, "invalid_request", form("client_id", "web")},
		{"public client", "", "unauthorized_client", form("client_id", "browser")},
		{"unknown scope", "machine:" + g.secret, "invalid_scope", form("scope", "api:root")},
		{"scope of users", "machine:" + g.secret, "invalid_scope", form("scope", "openid")},
		{"relative resource", "machine:" + g.secret, "invalid_target", form("resource", "shop")},
		{"fragment", "machine:" + g.secret, "invalid_target", form("resource", "https://shop.example/api#x")},
	} {
		status, header, said := g.post("/token", test.credentials, test.form)
		refusedWith(t, test.name, status, said, test.want)
		if wants := test.want == "invalid_client" && test.credentials != ""; wants != strings.HasPrefix(header.Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("%s: challenge %q", test.name, header.Get("WWW-Authenticate"))
		}
	}
}

// Secrets with any characters survive both ways of authentication.
func TestClientAuthentication(t *testing.T) {
	g := newRig(t)
	rapid.Check(t, func(rt *rapid.T) {
		secret := rapid.StringN(1, 40, 200).Draw(rt, "secret")
		c := state.Client{ID: "drawn", Grants: []string{state.ClientCredentials}}
		c.SetSecret(secret)
		g.update(func(tx *state.Tx) error { return tx.PutClient(c) })
		form := url.Values{"grant_type": {"client_credentials"}}
		if status, _, said := g.post("/token", "drawn:"+url.QueryEscape(secret), form); status != http.StatusOK {
			rt.Fatalf("Basic: %d %v", status, said)
		}
		form.Set("client_id", "drawn")
		form.Set("client_secret", secret)
		if status, _, said := g.post("/token", "", form); status != http.StatusOK {
			rt.Fatalf("form: %d %v", status, said)
		}
		form.Set("client_secret", secret+"x")
		if status, _, _ := g.post("/token", "", form); status != http.StatusUnauthorized {
			rt.Fatalf("wrong secret: %d", status)
		}
	})
}

// Any change of a good exchange is refused or says the same: no order or form
// of parameters gives a token for a wrong verifier.
func TestExchangeProperty(t *testing.T) {
	g := newRig(t)
	rapid.Check(t, func(rt *rapid.T) {
		code, verifier := g.login(g.client("browser", "api:read"))
		form := exchangeForm("browser", code, verifier)
		name := rapid.SampledFrom([]string{"code", "code_verifier", "redirect_uri", "client_id", "grant_type"}).Draw(rt, "name")
		was := form.Get(name)
		now := rapid.OneOf(
			rapid.StringN(0, 50, 200),
			rapid.Map(rapid.IntRange(0, len(was)-1), func(n int) string { return was[:n] + "~" + was[n+1:] }),
			rapid.Map(rapid.IntRange(0, len(was)-1), func(n int) string { return was[:n] }),
			rapid.Just(was+" "), rapid.Just(strings.ToUpper(was)+"x"),
		).Draw(rt, "value")
		form.Set(name, now)
		status, _, said := g.post("/token", "", form)
		if now != was && (status == http.StatusOK || said["access_token"] != nil) {
			rt.Fatalf("%s changed, and there is a token", name)
		}
	})
}

// A client that may not refresh gets no refresh token, and fewer scopes.
func TestClientLimits(t *testing.T) {
	g := newRig(t)
	c := g.client("once")
	code, verifier := g.login(c)
	_, _, said := g.post("/token", "", exchangeForm("once", code, verifier))
	if said["refresh_token"] != nil || said["access_token"] == nil || said["scope"] != "" {
		t.Errorf("answer %v", said)
	}
	to, err := url.Parse(g.client("once", "api:write").AuthCodeURL("st", oauth2.S256ChallengeOption(verifier)))
	if err != nil {
		t.Fatal(err)
	}
	if _, header, _ := g.get(to.String()); !strings.Contains(header.Get("Location"), "error=invalid_scope") {
		t.Errorf("answer %v", header)
	}
}

// The token endpoint takes forms alone, in the body.
func TestTokenRequestForm(t *testing.T) {
	g := newRig(t)
	good := url.Values{"grant_type": {"client_credentials"}, "client_id": {"machine"}, "client_secret": {g.secret}}
	for name, make := range map[string]func() *http.Request{
		"JSON": func() *http.Request {
			r, _ := http.NewRequest(http.MethodPost, g.url+"/token", strings.NewReader(`{"grant_type":"client_credentials"}`))
			r.Header.Set("Content-Type", "application/json")
			return r
		},
		"query": func() *http.Request {
			r, _ := http.NewRequest(http.MethodPost, g.url+"/token?"+good.Encode(), http.NoBody)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			return r
		},
		"too large": func() *http.Request {
			r, _ := http.NewRequest(http.MethodPost, g.url+"/token", strings.NewReader(good.Encode()+"&x="+strings.Repeat("x", 1<<20)))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			return r
		},
		"semicolons": func() *http.Request {
			r, _ := http.NewRequest(http.MethodPost, g.url+"/token", strings.NewReader(good.Encode()+";x=1"))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			return r
		},
	} {
		res, err := g.http.Do(make())
		if err != nil {
			t.Fatal(err)
		}
		if status, _, body := read(t, res); status != http.StatusBadRequest || !strings.Contains(body, "invalid_request") {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}
