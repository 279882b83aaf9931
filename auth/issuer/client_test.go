package issuer_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/issuer"
	"github.com/aguada-dev/aguada/auth/issuer/state"
	"github.com/aguada-dev/aguada/auth/jwt"
	"github.com/aguada-dev/aguada/policy"
)

func base64URL(s string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(s) }

// serve puts the rig on a real socket.
func (g *rig) serve() {
	g.t.Helper()
	l, err := issuer.Listen(context.Background(), "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	g.url = "http://" + l.Addr().String()
	cfg := config(g.url, g.log)
	if g.issuer, err = issuer.New(g.state, cfg); err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- issuer.Serve(ctx, l, g.issuer, cfg.Logger) }()
	g.http.Transport = &http.Transport{}
	g.t.Cleanup(func() {
		g.http.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			g.t.Error(err)
		}
	})
}

// Other people's clients log in, verify the id token, refresh, and the service's
// own verifier accepts the access token.
func TestIndependentClients(t *testing.T) {
	for _, algorithm := range []string{state.ES256, state.RS256, state.EdDSA} {
		t.Run(algorithm, func(t *testing.T) {
			g := newRig(t)
			g.serve()
			g.update(func(tx *state.Tx) error { _, err := tx.RotateKey(algorithm, true, time.Now()); return err })
			ctx := oidc.ClientContext(context.Background(), g.http)
			provider, err := oidc.NewProvider(ctx, g.url)
			if err != nil {
				t.Fatal(err)
			}
			c := g.client("browser", "openid", "email", "api:read")
			c.Endpoint = provider.Endpoint()
			code, verifier := g.login(c, oidc.Nonce("n-1"))
			token, err := c.Exchange(ctx, code, oauth2.VerifierOption(verifier))
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := token.Extra("id_token").(string)
			id, err := provider.Verifier(&oidc.Config{ClientID: "browser"}).Verify(ctx, raw)
			if err != nil {
				t.Fatal(err)
			}
			if id.Nonce != "n-1" || id.Subject != "alice" {
				t.Errorf("id token %+v", id)
			}
			if algorithm != state.EdDSA {
				if err := id.VerifyAccessToken(token.AccessToken); err != nil {
					t.Error(err)
				}
			}
			info, err := provider.UserInfo(ctx, c.TokenSource(ctx, token))
			if err != nil || info.Email != "alice@example.com" || !info.EmailVerified {
				t.Errorf("user info %+v: %v", info, err)
			}
			accepts(t, g, token.AccessToken, raw)
			stale := *token
			stale.Expiry = time.Now().Add(-time.Hour)
			next, err := c.TokenSource(ctx, &stale).Token()
			if err != nil || next.AccessToken == token.AccessToken || next.RefreshToken == token.RefreshToken {
				t.Errorf("refreshed: %v", err)
			}
			machine := clientcredentials.Config{ClientID: "machine", ClientSecret: g.secret, TokenURL: provider.Endpoint().TokenURL, Scopes: []string{"api:write"}}
			own, err := machine.Token(ctx)
			if err != nil {
				t.Fatal(err)
			}
			accepts(t, g, own.AccessToken, "")
		})
	}
}

// accepts fails the test unless the service accepts the access token, and the
// id token not.
func accepts(t *testing.T, g *rig, access, id string) {
	t.Helper()
	keys, err := jwt.NewURLKeySet(g.url+"/jwks.json", jwt.KeySetConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = keys.Close() }()
	v, err := jwt.New([]jwt.Issuer{{Name: g.url, Keys: keys}}, jwt.Config{Audience: []string{"shop"}, Types: []string{"at+jwt"}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := v.Verify(context.Background(), auth.Credential{Token: access})
	if err != nil {
		t.Fatal(err)
	}
	if p.ClientID == "" || len(p.Scopes) == 0 || p.CredentialID == "" {
		t.Errorf("principal %+v", p)
	}
	if id == "" {
		return
	}
	lax, err := jwt.New([]jwt.Issuer{{Name: g.url, Keys: keys}}, jwt.Config{Audience: []string{"shop"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lax.Verify(context.Background(), auth.Credential{Token: id}); err == nil {
		t.Error("an id token passes for an access token")
	}
}

// What RFC 9068 asks of an access token.
func TestAccessTokenClaims(t *testing.T) {
	g := newRig(t)
	c := g.client("browser", "api:read", "openid")
	code, verifier := g.login(c)
	token, err := c.Exchange(g.ctx(), code, oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	header, payload := claims(t, token.AccessToken)
	if header["typ"] != "at+jwt" || header["alg"] != "ES256" || header["kid"] == "" || header["jwk"] != nil {
		t.Errorf("header %v", header)
	}
	for name, want := range map[string]any{"iss": g.url, "sub": "alice", "client_id": "browser", "scope": "api:read openid"} {
		if payload[name] != want {
			t.Errorf("%s is %v, want %v", name, payload[name], want)
		}
	}
	if aud, _ := payload["aud"].([]any); len(aud) != 1 || aud[0] != "shop" {
		t.Errorf("aud %v", payload["aud"])
	}
	iat, _ := payload["iat"].(float64)
	exp, _ := payload["exp"].(float64)
	if exp-iat != issuer.AccessLifetime.Seconds() || payload["auth_time"] != iat || payload["jti"] == "" {
		t.Errorf("times %v", payload)
	}
}

// The endpoints answer at the design's paths as well.
func TestFlowsOfTheDesign(t *testing.T) {
	g := newRig(t)
	c := g.client("browser", "api:read")
	c.Endpoint.AuthURL, c.Endpoint.TokenURL = g.url+"/oauth/start", g.url+"/oauth/token"
	code, verifier := g.login(c)
	token, err := c.Exchange(g.ctx(), code, oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	status, _, said := g.post("/refresh", "", url.Values{"grant_type": {"refresh_token"}, "client_id": {"browser"}, "refresh_token": {token.RefreshToken}})
	if status != http.StatusOK || said["access_token"] == nil {
		t.Errorf("refresh: %d %v", status, said)
	}
}

func TestFlowThatClashes(t *testing.T) {
	g := newRig(t)
	for _, bad := range []string{"/jwks.json", "/authorize", "/", "https://id.example"} {
		cfg := config(g.url, g.log)
		cfg.Flows[0].TokenURL = bad
		if _, err := issuer.New(g.state, cfg); err == nil || !strings.Contains(err.Error(), "another endpoint") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	// These answer to the same methods as what they would hide.
	for path, flow := range map[string]policy.Flow{
		"/":          {AuthorizationURL: "https://id.example/"},
		"/style.css": {AuthorizationURL: "/style.css"},
		"/revoke":    {TokenURL: "/revoke"},
		"/same":      {AuthorizationURL: "/same", TokenURL: "/same"},
	} {
		cfg := config(g.url, g.log)
		cfg.Flows = []policy.Flow{flow}
		if _, err := issuer.New(g.state, cfg); err == nil || !strings.Contains(err.Error(), "another endpoint") {
			t.Errorf("%s: %v", path, err)
		}
	}
	cfg := config(g.url, g.log)
	cfg.Flows = []policy.Flow{{AuthorizationURL: "/authorize", TokenURL: "/t"}, {AuthorizationURL: "/authorize", TokenURL: "/t", RefreshURL: "/token"}}
	if _, err := issuer.New(g.state, cfg); err != nil {
		t.Errorf("two flows that share their endpoints: %v", err)
	}
}

// Opaque tokens say nothing, and introspection all.
func TestOpaqueTokens(t *testing.T) {
	g := newRig(t)
	_, _, said := g.post("/token", "opaque:"+g.secret, url.Values{"grant_type": {"client_credentials"}, "scope": {"api:read"}})
	token, _ := said["access_token"].(string)
	if token == "" || strings.Contains(token, ".") {
		t.Fatalf("answer %v", said)
	}
	status, _, about := g.post("/introspect", "machine:"+g.secret, url.Values{"token": {token}})
	if status != http.StatusOK || about["active"] != true || about["client_id"] != "opaque" || about["scope"] != "api:read" || about["iss"] != g.url {
		t.Errorf("introspection %d %v", status, about)
	}
}

// Tokens of a command line need no server and are known to introspection.
func TestTokenWithoutTheProtocol(t *testing.T) {
	g := newRig(t)
	token, err := g.issuer.Token(context.Background(), issuer.Claims{Subject: "eve", ClientID: "cli", Scopes: []string{"api:read"}, Lifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, about := g.post("/introspect", "machine:"+g.secret, url.Values{"token": {token}}); about["active"] != true || about["sub"] != "eve" {
		t.Errorf("introspection %v", about)
	}
	for _, bad := range []issuer.Claims{{}, {Subject: "a"}, {ClientID: "b"}, {Subject: "a", ClientID: "b", Lifetime: -1}} {
		if _, err := g.issuer.Token(context.Background(), bad); err == nil {
			t.Errorf("%+v was signed", bad)
		}
	}
}

// A service that fetched the keys just before they were rotated accepts every
// token after it, without looking again.
func TestRotationIsSeenInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		keys, err := jwt.NewURLKeySet(g.url+"/jwks.json", jwt.KeySetConfig{Transport: direct{g.issuer}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = keys.Close() }()
		v, err := jwt.New([]jwt.Issuer{{Name: g.url, Keys: keys}}, jwt.Config{Audience: []string{"shop"}})
		if err != nil {
			t.Fatal(err)
		}
		for second := range 120 {
			if second%7 == 0 {
				g.update(func(tx *state.Tx) error { _, err := tx.RotateKey(state.ES256, false, time.Now()); return err })
			}
			token, err := g.issuer.Token(context.Background(), issuer.Claims{Subject: "alice", ClientID: "cli"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := v.Verify(context.Background(), auth.Credential{Token: token}); err != nil {
				t.Fatalf("after %d s: %v", second, err)
			}
			time.Sleep(time.Second)
		}
	})
}
