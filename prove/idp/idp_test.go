package idp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/jwt"
	"github.com/aguada-dev/aguada/prove/idp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const audience = "orders"

func start(t *testing.T, cfg idp.Config) *idp.Provider {
	t.Helper()
	p, err := idp.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// fetching is a key set that is asked again for every unknown key.
func fetching(t *testing.T, p *idp.Provider) *jwt.KeySet {
	t.Helper()
	keys, err := jwt.NewURLKeySet(p.KeysURL(), jwt.KeySetConfig{
		Throttle: time.Nanosecond, Timeout: 2 * time.Second, Logger: slog.New(slog.DiscardHandler),
		Transport: &http.Transport{DisableKeepAlives: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keys.Close() })
	return keys
}

func verifier(t *testing.T, p *idp.Provider, keys *jwt.KeySet, cfg jwt.Config) *jwt.Verifier {
	t.Helper()
	if p.Audience() != "" {
		cfg.Audience = []string{p.Audience()}
	}
	v, err := jwt.New([]jwt.Issuer{{Name: p.Issuer(), Keys: keys}}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func sign(t *testing.T, p *idp.Provider, c idp.Claims) string {
	t.Helper()
	token, err := p.Sign(c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func forge(t *testing.T, p *idp.Provider, name string, c idp.Claims) string {
	t.Helper()
	token, err := p.Forge(name, c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// verify returns the subject, or the reason of the refusal behind "!".
func verify(t *testing.T, v auth.Verifier, token string) string {
	t.Helper()
	p, err := v.Verify(t.Context(), auth.Credential{Token: token})
	var refused *auth.Error
	switch {
	case err == nil:
		return p.Subject
	case errors.As(err, &refused):
		return "!" + string(refused.Reason)
	}
	return err.Error()
}

// get returns the status and body of an answer.
func get(t *testing.T, address string) (int, string) {
	t.Helper()
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestGoodTokens(t *testing.T) {
	p := start(t, idp.Config{Audience: audience, Claims: idp.Claims{ClientID: "shop", Extra: map[string]any{"tier": "gold", "beta": true}}})
	v := verifier(t, p, fetching(t, p), jwt.Config{Types: []string{"at+jwt"}})
	for _, alg := range []string{"", idp.RS256, idp.ES256, idp.EdDSA} {
		token := sign(t, p, idp.Claims{Subject: "ann", Scopes: []string{"a", "b"}, Algorithm: alg, Extra: map[string]any{"beta": nil}})
		got, err := v.Verify(t.Context(), auth.Credential{Token: token})
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		left := time.Until(got.ExpiresAt)
		if got.Subject != "ann" || got.ClientID != "shop" || fmt.Sprint(got.Scopes) != "[a b]" || got.CredentialID == "" ||
			got.Claims["tier"] != "gold" || got.Claims["beta"] != nil || left > time.Hour || left < 59*time.Minute {
			t.Errorf("%s: got %+v", alg, got)
		}
	}
	if got := verify(t, v, sign(t, p, idp.Claims{})); got != "prover" {
		t.Errorf("without any claims: got %q", got)
	}
	for _, alg := range []string{idp.HS256, "none", "RS512"} {
		if _, err := p.Sign(idp.Claims{Algorithm: alg}); err == nil {
			t.Errorf("signed with %s", alg)
		}
	}
}

// A service that finds keys by discovery meets the same provider; one without a
// name gets tokens for nobody in particular.
func TestDiscovery(t *testing.T) {
	p := start(t, idp.Config{Introspection: true})
	keys, err := jwt.NewIssuerKeySet(p.Issuer(), jwt.KeySetConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	v := verifier(t, p, keys, jwt.Config{})
	if got := verify(t, v, sign(t, p, idp.Claims{})); got != "prover" {
		t.Errorf("got %q", got)
	}
	if got := keys.IntrospectionEndpoint(); got != p.IntrospectionURL() || got == "" {
		t.Errorf("introspection at %q", got)
	}
	if n := p.Requests(); n.Discovery != 1 || n.Keys != 1 || n.Other != 0 {
		t.Errorf("requests: %+v", n)
	}
	if status, body := get(t, p.DiscoveryURL()); status != http.StatusOK || !strings.Contains(body, `"jwks_uri":"`+p.KeysURL()+`"`) {
		t.Errorf("%d %s", status, body)
	}
	for _, f := range p.Forgeries() {
		if strings.Contains(f.Name, "audience") && f.Name != "wrong-audience" && f.Name != "wrong-audiences" {
			t.Errorf("%s, and the service has no name", f.Name)
		}
	}
}

// What is published holds nothing private.
func TestKeysArePublic(t *testing.T) {
	p := start(t, idp.Config{})
	if err := p.Rotate(); err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	_, body := get(t, p.KeysURL())
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, k := range set.Keys {
		if !k.IsPublic() || !k.Valid() || k.Use != "sig" || k.Algorithm == "" || ids[k.KeyID] {
			t.Errorf("key %s: public %t, valid %t, use %q, alg %q", k.KeyID, k.IsPublic(), k.Valid(), k.Use, k.Algorithm)
		}
		ids[k.KeyID] = true
	}
	if len(ids) != 6 {
		t.Errorf("%d keys", len(ids))
	}
}

func TestRotation(t *testing.T) {
	p := start(t, idp.Config{Audience: audience})
	v := verifier(t, p, fetching(t, p), jwt.Config{Cache: -1})
	old := sign(t, p, idp.Claims{Subject: "old"})
	if got := verify(t, v, old); got != "old" {
		t.Fatalf("got %q", got)
	}
	before := p.Requests().Keys
	if err := p.Rotate(); err != nil {
		t.Fatal(err)
	}
	if got := verify(t, v, old); got != "old" || p.Requests().Keys != before {
		t.Errorf("the old key right after: got %q after %d fetches", got, p.Requests().Keys-before)
	}
	if got := verify(t, v, sign(t, p, idp.Claims{Subject: "new"})); got != "new" || p.Requests().Keys != before+1 {
		t.Errorf("the new key: got %q after %d fetches", got, p.Requests().Keys-before)
	}
	if got := verify(t, v, old); got != "old" {
		t.Errorf("the old key while it is published: got %q", got)
	}
	p.Retire()
	if got := verify(t, v, forge(t, p, "unknown-kid", idp.Claims{})); got != "!unknown_key" { // has the set fetched
		t.Errorf("an unknown key: got %q", got)
	}
	if got := verify(t, v, old); got != "!unknown_key" {
		t.Errorf("the old key that was withdrawn: got %q", got)
	}
	if got := verify(t, v, sign(t, p, idp.Claims{Subject: "new"})); got != "new" {
		t.Errorf("the new key when it is alone: got %q", got)
	}
}

func TestOutage(t *testing.T) {
	p := start(t, idp.Config{Audience: audience})
	v := verifier(t, p, fetching(t, p), jwt.Config{Cache: -1})
	known := sign(t, p, idp.Claims{Subject: "ann"})
	if got := verify(t, v, known); got != "ann" {
		t.Fatalf("got %q", got)
	}
	for _, how := range []idp.Outage{idp.Fail, idp.Drop, idp.Garbage, idp.Hang} {
		if err := p.Rotate(); err != nil {
			t.Fatal(err)
		}
		p.Outage(how)
		before := p.Requests().Keys
		fresh := sign(t, p, idp.Claims{Subject: "bob"})
		if got := verify(t, v, known); got != "ann" {
			t.Errorf("outage %d, known key: got %q", how, got)
		}
		if how == idp.Hang { // who waits is answered when it is over
			got := make(chan string)
			go func() { got <- verify(t, v, fresh) }()
			for p.Requests().Keys == before {
				time.Sleep(time.Millisecond)
			}
			p.Outage(idp.None)
			if got := <-got; got != "bob" {
				t.Errorf("after it hung: got %q", got)
			}
			continue
		}
		if got := verify(t, v, fresh); got != "!unavailable" || p.Requests().Keys == before {
			t.Errorf("outage %d, unknown key: got %q after %d fetches", how, got, p.Requests().Keys-before)
		}
		p.Outage(idp.None)
		if got := verify(t, v, fresh); got != "bob" {
			t.Errorf("outage %d is over: got %q", how, got)
		}
	}
}

// Close ends requests that hang.
func TestCloseWhileHanging(t *testing.T) {
	p := start(t, idp.Config{})
	p.Outage(idp.Hang)
	failed := make(chan error)
	go func() {
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(p.KeysURL())
		if err == nil {
			res.Body.Close()
		}
		failed <- err
	}()
	for p.Requests().Keys == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := errors.Join(p.Close(), p.Close()); err != nil {
		t.Error(err)
	}
	if err := <-failed; err == nil {
		t.Error("it was answered")
	}
}

// The provider does as it is told by many at once.
func TestConcurrently(t *testing.T) {
	p := start(t, idp.Config{Audience: audience})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			p.Outage(idp.Fail)
			p.Retire()
			p.Outage(idp.None)
			_ = p.Fetched()
		}
	}()
	v := verifier(t, p, fetching(t, p), jwt.Config{})
	if err := p.Rotate(); err != nil {
		t.Error(err)
	}
	for _, f := range p.Forgeries() {
		if got := verify(t, v, forge(t, p, f.Name, idp.Claims{})); f.Must && !strings.HasPrefix(got, "!") {
			t.Errorf("%s: got %q", f.Name, got)
		}
	}
	cancel()
	<-done
}
