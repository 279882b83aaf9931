package idp_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/introspect"
	"github.com/aguada-dev/aguada/prove/idp"
)

func asking(t *testing.T, p *idp.Provider, secret string) *introspect.Verifier {
	t.Helper()
	say := func(s string) func() string { return func() string { return s } }
	v, err := introspect.New(say(p.IntrospectionURL()), say(p.ClientID()), say(secret), introspect.Config{
		Audience: []string{audience}, Issuers: []string{p.Issuer()}, Keep: -1, Logger: slog.New(slog.DiscardHandler),
		Transport: &http.Transport{DisableKeepAlives: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

func TestIntrospection(t *testing.T) {
	p := start(t, idp.Config{Audience: audience, Introspection: true, ClientID: "the service", ClientSecret: "a +%:ü secret"})
	v := asking(t, p, p.ClientSecret())
	opaque, err := p.Opaque(idp.Claims{Subject: "ann", Scopes: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	signed := sign(t, p, idp.Claims{Subject: "bob"})
	if got := verify(t, v, opaque) + " " + verify(t, v, signed); got != "ann bob" {
		t.Errorf("got %q", got)
	}
	for _, f := range p.OpaqueForgeries() {
		got := verify(t, v, forge(t, p, f.Name, idp.Claims{}))
		if f.Name == "opaque-signed" { // who asks about it is told that all is well
			if got != "prover" {
				t.Errorf("%s: got %q", f.Name, got)
			}
		} else if !strings.HasPrefix(got, "!") {
			t.Errorf("%s: got %q", f.Name, got)
		}
	}
	for _, name := range []string{"expired", "not-yet-valid", "wrong-key", "wrong-audience", "claims-utf8", "logout-token", "hs256-rsa-pem"} {
		if got := verify(t, v, forge(t, p, name, idp.Claims{})); got != "!unknown" {
			t.Errorf("%s: got %q", name, got)
		}
	}
	p.Revoke(opaque)
	p.Revoke(signed)
	if got := verify(t, v, opaque) + " " + verify(t, v, signed); got != "!expired !expired" {
		t.Errorf("revoked: got %q", got)
	}
	for i, asked := range p.Introspections() {
		if asked.Authentication != "client_secret_basic" || !asked.Accepted || (i < 2 && !asked.Active) {
			t.Errorf("question %d: %+v", i, asked)
		}
	}
	if n := p.Requests().Introspection; n != int64(len(p.Introspections())) {
		t.Errorf("%d requests, %d questions", n, len(p.Introspections()))
	}
}

// Wherever tokens hold scopes, an answer has them in scope.
func TestIntrospectedScopes(t *testing.T) {
	for _, cfg := range []idp.Config{{}, {ScopeClaim: "scopes", ScopeList: true}, {ScopeClaim: "permissions"}, {ScopeClaim: "scope", ScopeList: true}} {
		cfg.Audience, cfg.Introspection = audience, true
		p := start(t, cfg)
		token, err := p.Opaque(idp.Claims{Scopes: []string{"a", "b"}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := asking(t, p, p.ClientSecret()).Verify(t.Context(), auth.Credential{Token: token})
		if err != nil || !slices.Equal(got.Scopes, []string{"a", "b"}) {
			t.Errorf("%q %t: %v, %v", cfg.ScopeClaim, cfg.ScopeList, got, err)
		}
	}
}

func TestIntrospectionAsksWhoAsks(t *testing.T) {
	p := start(t, idp.Config{Audience: audience, Introspection: true})
	opaque, err := p.Opaque(idp.Claims{Subject: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	if got := verify(t, asking(t, p, "wrong"), opaque); got != "!unavailable" {
		t.Errorf("with a wrong secret: got %q", got)
	}
	post := func(form url.Values) int {
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).PostForm(p.IntrospectionURL(), form)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	if got := post(url.Values{"token": {opaque}}); got != http.StatusUnauthorized {
		t.Errorf("nobody: got %d", got)
	}
	if got := post(url.Values{"token": {opaque}, "client_id": {p.ClientID()}, "client_secret": {p.ClientSecret()}}); got != http.StatusOK {
		t.Errorf("by form: got %d", got)
	}
	var said []string
	for _, asked := range p.Introspections() {
		said = append(said, fmt.Sprint(asked.Authentication, " ", asked.Accepted, " ", asked.Active))
	}
	if got, want := strings.Join(said, ", "), "client_secret_basic false false, none false false, client_secret_post true true"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, err := start(t, idp.Config{}).Opaque(idp.Claims{}); err == nil {
		t.Error("an opaque token that nobody can ask about")
	}
}
