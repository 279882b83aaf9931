package idp_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/aguada-dev/aguada/auth/jwt"
	"github.com/aguada-dev/aguada/prove/idp"
)

func TestForgeriesAreRefused(t *testing.T) {
	for name, audience := range map[string]string{"a named service": audience, "a service without a name": ""} {
		t.Run(name, func(t *testing.T) {
			p := start(t, idp.Config{Audience: audience})
			keys := fetching(t, p)
			lenient, strict := verifier(t, p, keys, jwt.Config{}), verifier(t, p, keys, jwt.Config{Types: []string{"at+jwt"}})
			for _, alg := range []string{idp.RS256, idp.ES256, idp.EdDSA} {
				good := idp.Claims{Subject: "ann", Scopes: []string{"a"}, Algorithm: alg}
				for _, f := range p.Forgeries() {
					token := forge(t, p, f.Name, good)
					if !regexp.MustCompile(`^[!-~]*$`).MatchString(token) {
						t.Errorf("%s cannot be sent", f.Name)
					}
					for range 2 { // no refusal is remembered as a success
						if got := verify(t, strict, token); !strings.HasPrefix(got, "!") || got == "!unavailable" {
							t.Errorf("%s by %s: got %q", f.Name, alg, got)
						}
					}
					if got := verify(t, lenient, token); f.Must && !strings.HasPrefix(got, "!") {
						t.Errorf("%s by %s, which nobody may accept: got %q", f.Name, alg, got)
					}
				}
				if got := verify(t, strict, sign(t, p, good)); got != "ann" {
					t.Errorf("the good one by %s: got %q", alg, got)
				}
			}
			if got := p.Fetched(); len(got) != 0 {
				t.Errorf("fetched %v", got)
			}
		})
	}
}

// reasons are why our verifier refuses: a forgery shall have the fault that it
// says, and no other that is found first.
func TestForgeriesAreWhatTheySay(t *testing.T) {
	p := start(t, idp.Config{Audience: audience})
	v := verifier(t, p, fetching(t, p), jwt.Config{Types: []string{"at+jwt"}})
	for reason, names := range map[string]string{
		"expired":         "expired expiry-zero",
		"not_yet_valid":   "not-yet-valid issued-later",
		"wrong_audience":  "wrong-audience wrong-audiences audience-longer audience-part no-audience empty-audience",
		"wrong_issuer":    "wrong-issuer issuer-slash issuer-longer no-issuer issuer-own-keys",
		"bad_signature":   "wrong-key changed-claims changed-header signature-cut signature-longer signature-bit zero-signature alg-of-another-key",
		"unknown_key":     "unknown-kid kid-url kid-newline kid-nul kid-long",
		"wrong_type":      "id-token id-token-for-service logout-token event-token proof bound",
		"wrong_algorithm": "alg-none alg-none-mixed-signed hs256-rsa-pem hs256-rsa-modulus hs256-ed25519 kid-path kid-sql no-signature",
		"malformed": "no-expiry expiry-text expiry-huge expiry-overflow expiry-nan expiry-negative not-before-text audience-object crit-unknown crit-b64 jku x5u embedded-jwk embedded-x5c " +
			"empty two-parts five-parts huge deep padded not-base64 claims-utf8 claims-nul duplicate-expiry duplicate-subject duplicate-alg signature-spare-bits kid-number no-subject",
	} {
		for _, name := range strings.Fields(names) {
			if got := verify(t, v, forge(t, p, name, idp.Claims{})); got != "!"+reason {
				t.Errorf("%s: got %q, want %q", name, got, reason)
			}
		}
	}
}

// A verifier that believes forged tokens in one point, and else is right, must
// accept those of that point: else they would show nothing.
func TestForgeriesWouldWork(t *testing.T) {
	p := start(t, idp.Config{Audience: audience})
	_, body := get(t, p.KeysURL())
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		t.Fatal(err)
	}
	all := []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA, jose.HS256}
	parse := func(t *testing.T, name string) *jose.JSONWebSignature {
		t.Helper()
		jws, err := jose.ParseSignedCompact(forge(t, p, name, idp.Claims{}), all)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return jws
	}
	t.Run("embedded key", func(t *testing.T) {
		jws := parse(t, "embedded-jwk")
		if _, err := jws.Verify(jws.Signatures[0].Header.JSONWebKey); err != nil {
			t.Error(err)
		}
	})
	t.Run("keys at an address", func(t *testing.T) {
		for _, name := range []string{"jku", "jku-own-kid", "kid-url", "issuer-own-keys"} {
			jws := parse(t, name)
			h := jws.Signatures[0].Header
			var claims struct{ Iss string }
			if err := json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &claims); err != nil {
				t.Fatal(err)
			}
			address := map[string]string{"kid-url": h.KeyID, "issuer-own-keys": claims.Iss + "/keys"}[name]
			if address == "" {
				address, _ = h.ExtraHeaders["jku"].(string)
			}
			_, body := get(t, address)
			var theirs jose.JSONWebKeySet
			if err := json.Unmarshal([]byte(body), &theirs); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			found := theirs.Key(h.KeyID)
			if name == "kid-url" {
				found = theirs.Keys
			}
			works := false
			for _, k := range found {
				_, err := jws.Verify(k)
				works = works || err == nil
			}
			if !works {
				t.Errorf("%s: no key of %s verifies it", name, address)
			}
		}
		if n := len(p.Fetched()); n != 4 {
			t.Errorf("%d fetches: %v", n, p.Fetched())
		}
	})
	t.Run("another issuer", func(t *testing.T) {
		token := forge(t, p, "issuer-own-keys", idp.Claims{Subject: "eve"})
		b, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		var claims struct{ Iss string }
		if err := json.Unmarshal(b, &claims); err != nil {
			t.Fatal(err)
		}
		keys, err := jwt.NewIssuerKeySet(claims.Iss, jwt.KeySetConfig{})
		if err != nil {
			t.Fatal(err)
		}
		defer keys.Close()
		v, err := jwt.New([]jwt.Issuer{{Name: claims.Iss, Keys: keys}}, jwt.Config{Audience: []string{audience}})
		if err != nil {
			t.Fatal(err)
		}
		if got := verify(t, v, token); got != "eve" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("certificates", func(t *testing.T) {
		x5u := parse(t, "x5u")
		address, _ := x5u.Signatures[0].Header.ExtraHeaders["x5u"].(string)
		_, chain := get(t, address)
		block, _ := pem.Decode([]byte(chain))
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		for _, jws := range []*jose.JSONWebSignature{x5u, parse(t, "embedded-x5c")} {
			if _, err := jws.Verify(cert.PublicKey); err != nil {
				t.Error(err)
			}
		}
		if got := p.Fetched(); got[len(got)-1].Forgery != "x5u" {
			t.Errorf("fetched %v", got)
		}
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if status, _ := get(t, "http://"+u.Host+"/nothing"); status != http.StatusNotFound {
			t.Errorf("where no forgery points to: got %d", status)
		}
	})
	t.Run("public keys as secrets", func(t *testing.T) {
		jws := parse(t, "hs256-rsa-jwk")
		text, err := json.Marshal(set.Keys[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jws.Verify(text); err != nil {
			t.Error(err)
		}
	})
}

func TestNamesAndWords(t *testing.T) {
	p := start(t, idp.Config{Audience: audience, Introspection: true})
	secret := start(t, idp.Config{Audience: audience, HMACSecret: []byte("s3cret")})
	seen := map[string]string{}
	for _, list := range [][]idp.Forgery{p.Forgeries(), p.OpaqueForgeries(), secret.Forgeries()} {
		names := map[string]bool{}
		for _, f := range list {
			if !regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`).MatchString(f.Name) || names[f.Name] {
				t.Errorf("name %q", f.Name)
			}
			names[f.Name] = true
			if f.Description == "" || strings.ContainsAny(f.Description, "\n") || len(f.References) == 0 {
				t.Errorf("%s: %q %q", f.Name, f.Description, f.References)
			}
			if other := seen[f.Description]; other != "" && other != f.Name {
				t.Errorf("%s and %s are described alike", f.Name, other)
			}
			seen[f.Description] = f.Name
		}
	}
	if n := len(p.Forgeries()); n < 80 {
		t.Errorf("%d forgeries", n)
	}
	if _, err := p.Forge("nonsense", idp.Claims{}); err == nil {
		t.Error("forged by an unknown name")
	}
	if _, err := secret.Forge("hs256-rsa-pem", idp.Claims{}); err == nil {
		t.Error("forged a public key for a service that has none")
	}
	if secret.OpaqueForgeries() != nil {
		t.Error("opaque tokens without introspection")
	}
}

// With a secret, forgeries are judged by go-jose, as a service would.
func TestSecret(t *testing.T) {
	secret := bytes.Repeat([]byte("s3cret! "), 4)
	p := start(t, idp.Config{Audience: audience, HMACSecret: secret, Introspection: true})
	accepts := func(token string) bool {
		jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.HS256})
		if err != nil {
			return false
		}
		_, err = jws.Verify(secret)
		return err == nil
	}
	good := sign(t, p, idp.Claims{Subject: "ann"})
	if !accepts(good) {
		t.Error("the good token is refused")
	}
	if got := verify(t, asking(t, p, p.ClientSecret()), good); got != "ann" {
		t.Errorf("introspected: got %q", got)
	}
	forged := map[string]bool{}
	for _, f := range p.Forgeries() {
		forged[f.Name] = accepts(forge(t, p, f.Name, idp.Claims{}))
	}
	for _, name := range strings.Fields("wrong-key unknown-kid no-kid alg-none alg-none-upper-signed alg-asymmetric hs256-empty-secret hs256-common-secret " +
		"kid-path kid-sql changed-claims no-signature signature-bit huge deep two-parts crit-unknown crit-b64") {
		if accepted, there := forged[name]; accepted || !there {
			t.Errorf("%s: there %t, accepted %t", name, there, accepted)
		}
	}
	for _, name := range strings.Fields("expired no-expiry wrong-audience wrong-issuer claims-utf8 logout-token") { // for the claims to tell
		if !forged[name] {
			t.Errorf("%s: the signature is not good", name)
		}
	}
	if err := p.Rotate(); err == nil {
		t.Error("rotated a secret that is the service's")
	}
	if _, err := p.Sign(idp.Claims{Algorithm: idp.RS256}); err == nil {
		t.Error("signed with a key that the service does not know")
	}
}
