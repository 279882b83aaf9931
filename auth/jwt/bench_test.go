package jwt_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"

	"github.com/aguada-dev/aguada/auth/jwt"
)

// BenchmarkCold compares a token that is verified anew with what go-jose alone
// does for the same one: parse, verify, decode the claims and judge the times,
// the issuer and the audience.
func BenchmarkCold(b *testing.B) {
	header := object{"alg": "RS256", "kid": "rsa", "typ": "at+jwt"}
	claims := with(object{"scope": "api:read api:write", "jti": "0123456789abcdef", "client_id": "app", "tenant": "t"})
	token := sign("rsa", "RS256", header, claims)
	b.Run("aguada", func(b *testing.B) {
		path := filepath.Join(b.TempDir(), "jwks.json")
		write(b, path, set(b, "rsa", "ec"))
		ks, err := jwt.NewFileKeySet(path, jwt.KeySetConfig{Interval: time.Hour})
		if err != nil {
			b.Fatal(err)
		}
		v, err := jwt.New([]jwt.Issuer{{Name: issuer, Keys: ks}}, jwt.Config{Cache: -1, Audience: []string{audience}})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if got := verify(v, token); got != "ann" {
				b.Fatal(got)
			}
		}
	})
	b.Run("go-jose", func(b *testing.B) {
		public := keys["rsa"].Public()
		want := josejwt.Expected{Issuer: issuer, AnyAudience: josejwt.Audience{audience}}
		b.ReportAllocs()
		for b.Loop() {
			parsed, err := josejwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
			if err != nil {
				b.Fatal(err)
			}
			var registered josejwt.Claims
			all := map[string]any{}
			if err := parsed.Claims(public, &registered, &all); err != nil {
				b.Fatal(err)
			}
			want.Time = time.Now()
			if err := registered.ValidateWithLeeway(want, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
}
