package jwt_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/jwt"
)

const (
	issuer   = "https://issuer.example/"
	audience = "orders"
)

// The keys of the tests, by key id.
var keys = func() map[string]crypto.Signer {
	r, err1 := rsa.GenerateKey(rand.Reader, 2048)
	e, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	e384, err3 := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, ed, err4 := ed25519.GenerateKey(rand.Reader)
	other, err5 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		panic(err)
	}
	return map[string]crypto.Signer{"rsa": r, "ec": e, "ec384": e384, "ed": ed, "other": other}
}()

// set returns a key set of some keys.
func set(t testing.TB, kids ...string) string {
	t.Helper()
	s := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, kid := range kids {
		s.Keys = append(s.Keys, jose.JSONWebKey{Key: keys[kid].Public(), KeyID: kid})
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// verifier returns a verifier against a file with some keys, and the file.
func verifier(t testing.TB, cfg jwt.Config, kids ...string) (*jwt.Verifier, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jwks.json")
	write(t, path, set(t, kids...))
	ks, err := jwt.NewFileKeySet(path, jwt.KeySetConfig{Interval: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ks.Close() })
	if cfg.Audience == nil {
		cfg.Audience = []string{audience}
	}
	v, err := jwt.New([]jwt.Issuer{{Name: issuer, Keys: ks}}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v, path
}

type object = map[string]any

// with returns the claims of a good token with some changed; nil removes one.
func with(change object) object {
	now := time.Now().Unix()
	c := object{"iss": issuer, "sub": "ann", "aud": audience, "iat": now, "exp": now + 60}
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

var b64 = base64.RawURLEncoding.EncodeToString

func encode(v any) string {
	if s, ok := v.(string); ok {
		return b64([]byte(s))
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b64(text)
}

// sign writes a token by hand; header and claims are objects or JSON.
func sign(kid, alg string, header, claims any) string {
	input := encode(header) + "." + encode(claims)
	sum := sha256.Sum256([]byte(input))
	var sig []byte
	var err error
	switch k := keys[kid].(type) {
	case *rsa.PrivateKey:
		if alg == "PS256" {
			sig, err = rsa.SignPSS(rand.Reader, k, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: 32})
		} else {
			sig, err = rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:])
		}
	case *ecdsa.PrivateKey:
		digest, size := sum[:], (k.Params().BitSize+7)/8
		if alg == "ES384" {
			h := crypto.SHA384.New()
			h.Write([]byte(input))
			digest = h.Sum(nil)
		}
		r, s, e := ecdsa.Sign(rand.Reader, k, digest)
		err = e
		sig = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	case ed25519.PrivateKey:
		sig = ed25519.Sign(k, []byte(input))
	}
	if err != nil {
		panic(err)
	}
	return input + "." + b64(sig)
}

// good signs claims with the ec key.
func good(change object) string {
	return sign("ec", "ES256", object{"alg": "ES256", "kid": "ec"}, with(change))
}

func reason(p *auth.Principal, err error) string {
	if err == nil {
		return p.Subject
	}
	e, ok := errors.AsType[*auth.Error](err)
	if !ok || p != nil {
		return fmt.Sprintf("principal %v, error %v", p, err)
	}
	return "!" + string(e.Reason)
}

func verify(v *jwt.Verifier, token string) string {
	return reason(v.Verify(context.Background(), auth.Credential{Token: token}))
}

func TestAlgorithms(t *testing.T) {
	v, _ := verifier(t, jwt.Config{}, "rsa", "ec", "ec384", "ed")
	for alg, kid := range map[string]string{"RS256": "rsa", "PS256": "rsa", "ES256": "ec", "ES384": "ec384", "EdDSA": "ed"} {
		token := sign(kid, alg, object{"alg": alg, "kid": kid}, with(nil))
		for range 2 { // verified, then remembered
			if got := verify(v, token); got != "ann" {
				t.Errorf("%s: got %q", alg, got)
			}
		}
	}
	only, _ := verifier(t, jwt.Config{Algorithms: []string{"RS256"}}, "rsa", "ec")
	if got := verify(only, good(nil)); got != "!wrong_algorithm" {
		t.Errorf("ES256 where only RS256 is allowed: got %q", got)
	}
}

func TestPrincipal(t *testing.T) {
	v, _ := verifier(t, jwt.Config{Scheme: "jwt"}, "ec")
	claims := with(object{"jti": "1", "azp": "app", "scope": "write read read", "tenant": "t"})
	p, err := v.Verify(t.Context(), auth.Credential{Token: sign("ec", "ES256", object{"alg": "ES256", "kid": "ec"}, claims)})
	if err != nil {
		t.Fatal(err)
	}
	exp, iat := claims["exp"].(int64), claims["iat"].(int64)
	claims["exp"], claims["iat"] = float64(exp), float64(iat)
	want := &auth.Principal{
		Subject: "ann", Scheme: "jwt", Issuer: issuer, ClientID: "app", CredentialID: "1",
		Scopes: []string{"read", "write"}, Claims: claims, ExpiresAt: time.Unix(exp, 0),
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("principal (-want +got):\n%s", diff)
	}
}

func TestClaims(t *testing.T) {
	now := time.Now().Unix()
	v, _ := verifier(t, jwt.Config{Leeway: 10 * time.Second}, "ec")
	for name, tt := range map[string]struct {
		change object
		want   string
	}{
		"good":                    {nil, "ann"},
		"audience list":           {object{"aud": []string{"x", audience}}, "ann"},
		"no issuer":               {object{"iss": nil}, "!wrong_issuer"},
		"another issuer":          {object{"iss": issuer + "x"}, "!wrong_issuer"},
		"issuer list":             {object{"iss": []string{issuer}}, "!wrong_issuer"},
		"no audience":             {object{"aud": nil}, "!wrong_audience"},
		"another audience":        {object{"aud": "users"}, "!wrong_audience"},
		"other audiences":         {object{"aud": []string{"users", "orders2"}}, "!wrong_audience"},
		"empty audience list":     {object{"aud": []string{}}, "!wrong_audience"},
		"audience number":         {object{"aud": 1}, "!malformed"},
		"audience of numbers":     {object{"aud": []any{audience, 1}}, "!malformed"},
		"no expiry":               {object{"exp": nil}, "!malformed"},
		"expiry null":             {object{"exp": json.RawMessage("null")}, "!malformed"},
		"expiry text":             {object{"exp": "4000000000"}, "!malformed"},
		"expiry negative":         {object{"exp": -1}, "!malformed"},
		"expiry beyond time":      {object{"exp": 1e18}, "!malformed"},
		"expiry beyond numbers":   {object{"exp": json.RawMessage("1e999")}, "!malformed"},
		"expired":                 {object{"exp": now - 11}, "!expired"},
		"expired within leeway":   {object{"exp": now - 5}, "ann"},
		"fraction":                {object{"exp": float64(now) + 60.5}, "ann"},
		"not yet":                 {object{"nbf": now + 60}, "!not_yet_valid"},
		"not yet, within leeway":  {object{"nbf": now + 5}, "ann"},
		"nbf text":                {object{"nbf": "0"}, "!malformed"},
		"issued later":            {object{"iat": now + 60}, "!not_yet_valid"},
		"no issue time":           {object{"iat": nil}, "ann"},
		"no subject":              {object{"sub": nil}, "!malformed"},
		"empty subject":           {object{"sub": ""}, "!malformed"},
		"subject number":          {object{"sub": 7}, "!malformed"},
		"half a character":        {object{"sub": json.RawMessage(`"\ud800"`)}, "!malformed"}, // else the same as "\ud801"
		"half a client":           {object{"azp": json.RawMessage(`"\ud800"`)}, "!malformed"},
		"half a name":             {object{"name": json.RawMessage(`"ann \ud83d"`)}, "ann"},
		"jti number":              {object{"jti": 7}, "!malformed"},
		"scope list":              {object{"scope": []string{"a"}}, "ann"},
		"scope number":            {object{"scope": 7}, "!malformed"},
		"scope of numbers":        {object{"scp": []int{7}}, "!malformed"},
		"scope null":              {object{"scope": json.RawMessage("null")}, "!malformed"},
		"scope beside other scp":  {object{"scope": "a", "scp": "a b"}, "!malformed"},
		"scope beside empty scp":  {object{"scope": "a", "scp": ""}, "!malformed"},
		"scope beside scp number": {object{"scope": "a", "scp": 7}, "!malformed"},
		"bound to a key":          {object{"cnf": object{"jkt": "x"}}, "!wrong_type"},
		"bound to null":           {object{"cnf": json.RawMessage("null")}, "!wrong_type"},
		"claims of another shape": {object{"scope": object{"a": 1}}, "!malformed"},
	} {
		if got := verify(v, good(tt.change)); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

func TestScopes(t *testing.T) {
	v, _ := verifier(t, jwt.Config{}, "ec")
	for name, tt := range map[string]struct {
		change object
		want   []string
	}{
		"none":          {nil, nil},
		"scope text":    {object{"scope": "b  a"}, []string{"a", "b"}},
		"scope list":    {object{"scope": []string{"b", "a"}}, []string{"a", "b"}},
		"scp text":      {object{"scp": "a"}, []string{"a"}},
		"scp list":      {object{"scp": []string{"a b"}}, []string{"a b"}}, // one strange scope, not two
		"scope and scp": {object{"scope": "b a", "scp": []string{"a", "b", "a"}}, []string{"a", "b"}},
		"empty":         {object{"scope": ""}, []string{}},
		"other blanks":  {object{"scope": "a\u00a0admin a\tb"}, []string{"a\tb", "a\u00a0admin"}}, // the issuer granted no "admin"
	} {
		p, err := v.Verify(t.Context(), auth.Credential{Token: good(tt.change)})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, p.Scopes); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAudienceWithoutOneConfigured(t *testing.T) {
	v, _ := verifier(t, jwt.Config{Audience: []string{}}, "ec")
	if got := verify(v, good(nil)); got != "!wrong_audience" {
		t.Errorf("a token for somebody else: got %q", got)
	}
	if got := verify(v, good(object{"aud": nil})); got != "ann" {
		t.Errorf("a token for nobody: got %q", got)
	}
}

func TestTypes(t *testing.T) {
	usual, _ := verifier(t, jwt.Config{}, "ec")
	access, _ := verifier(t, jwt.Config{Types: []string{"AT+jwt"}}, "ec")
	for typ, want := range map[string][2]string{
		"":                   {"ann", "!wrong_type"},
		"JWT":                {"ann", "!wrong_type"},
		"at+jwt":             {"ann", "ann"},
		"application/at+JWT": {"ann", "ann"},
		"logout+jwt":         {"!wrong_type", "!wrong_type"},
		"dpop+jwt":           {"!wrong_type", "!wrong_type"},
	} {
		header := object{"alg": "ES256", "kid": "ec", "typ": typ}
		if typ == "" {
			delete(header, "typ")
		}
		token := sign("ec", "ES256", header, with(nil))
		if got := [2]string{verify(usual, token), verify(access, token)}; got != want {
			t.Errorf("typ %q: got %q, want %q", typ, got, want)
		}
	}
}

func TestNoKeyID(t *testing.T) {
	token := sign("ec", "ES256", object{"alg": "ES256"}, with(nil))
	one, _ := verifier(t, jwt.Config{}, "ec", "rsa")
	if got := verify(one, token); got != "ann" {
		t.Errorf("one key fits: got %q", got)
	}
	two, _ := verifier(t, jwt.Config{}, "ec", "other")
	if got := verify(two, token); got != "!unknown_key" {
		t.Errorf("two keys fit: got %q", got)
	}
	none, _ := verifier(t, jwt.Config{}, "rsa")
	if got := verify(none, token); got != "!unknown_key" {
		t.Errorf("no key fits: got %q", got)
	}
}

func TestNewRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jwks.json")
	write(t, path, set(t, "ec"))
	ks, err := jwt.NewFileKeySet(path, jwt.KeySetConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func() (*jwt.Verifier, error){
		"no key set": func() (*jwt.Verifier, error) { return jwt.New([]jwt.Issuer{{Name: issuer}}, jwt.Config{}) },
		"zero key set": func() (*jwt.Verifier, error) {
			return jwt.New([]jwt.Issuer{{Name: issuer, Keys: &jwt.KeySet{}}}, jwt.Config{})
		},
		"no issuer": func() (*jwt.Verifier, error) { return jwt.New([]jwt.Issuer{{Keys: ks}}, jwt.Config{}) },
		"HS256": func() (*jwt.Verifier, error) {
			return jwt.New([]jwt.Issuer{{Name: issuer, Keys: ks}}, jwt.Config{Algorithms: []string{"HS256"}})
		},
		"none": func() (*jwt.Verifier, error) {
			return jwt.New([]jwt.Issuer{{Name: issuer, Keys: ks}}, jwt.Config{Algorithms: []string{"none"}})
		},
		"lower case": func() (*jwt.Verifier, error) {
			return jwt.New([]jwt.Issuer{{Name: issuer, Keys: ks}}, jwt.Config{Algorithms: []string{"rs256"}})
		},
		"empty audience": func() (*jwt.Verifier, error) {
			return jwt.New([]jwt.Issuer{{Name: issuer, Keys: ks}}, jwt.Config{Audience: []string{""}})
		},
		"negative leeway": func() (*jwt.Verifier, error) {
			return jwt.New([]jwt.Issuer{{Name: issuer, Keys: ks}}, jwt.Config{Leeway: -1})
		},
		"endless leeway": func() (*jwt.Verifier, error) {
			return jwt.New([]jwt.Issuer{{Name: issuer, Keys: ks}}, jwt.Config{Leeway: time.Hour})
		},
	} {
		if v, err := f(); err == nil || v != nil {
			t.Errorf("%s: got %v, %v", name, v, err)
		}
	}
}
