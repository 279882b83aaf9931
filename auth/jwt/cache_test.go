package jwt_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/jwt"
	"github.com/aguada-dev/aguada/policy"
)

func TestCacheExpires(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jwks.json")
	write(t, path, set(t, "ec"))
	synctest.Test(t, func(t *testing.T) {
		ks, err := jwt.NewFileKeySet(path, jwt.KeySetConfig{})
		if err != nil {
			t.Fatal(err)
		}
		v, err := jwt.New([]jwt.Issuer{{Name: issuer, Keys: ks}}, jwt.Config{Audience: []string{audience}, Leeway: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		token := good(nil)
		if got := verify(v, token); got != "ann" {
			t.Fatalf("got %q", got)
		}
		time.Sleep(61*time.Second - 1)
		if got := verify(v, token); got != "ann" {
			t.Errorf("just before its end: got %q", got)
		}
		time.Sleep(time.Nanosecond)
		for range 2 {
			if got := verify(v, token); got != "!expired" {
				t.Errorf("at its end: got %q", got)
			}
		}
	})
}

func TestCacheDropsKey(t *testing.T) {
	v, path := verifier(t, jwt.Config{}, "ec", "rsa")
	token := good(nil)
	expect := func(want string) {
		t.Helper()
		for range 2 {
			if got := verify(v, token); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	}
	expect("ann")
	write(t, path, set(t, "rsa"))
	expect("!unknown_key")
	write(t, path, set(t, "rsa", "ec"))
	expect("ann")
	write(t, path, strings.Replace(set(t, "ec"), `"kid":"ec"`, `"kid":"new"`, 1)) // same key, another id
	expect("!unknown_key")
	write(t, path, set(t, "ec"))
	expect("ann")
	write(t, path, "{")
	expect("ann")
	write(t, path, `{"keys":[]}`)
	expect("!unknown_key")
}

func TestCacheIsBounded(t *testing.T) {
	v, _ := verifier(t, jwt.Config{Cache: 4}, "ed")
	for range 2 {
		for i := range 50 {
			token := sign("ed", "EdDSA", object{"alg": "EdDSA", "kid": "ed"}, with(object{"jti": fmt.Sprint(i)}))
			if got := verify(v, token); got != "ann" {
				t.Fatalf("token %d: got %q", i, got)
			}
		}
	}
	if n := jwt.CacheLen(v); n != 4 {
		t.Errorf("%d tokens are remembered, want 4", n)
	}
	off, _ := verifier(t, jwt.Config{Cache: -1}, "ec")
	if got := verify(off, good(nil)); got != "ann" || jwt.CacheLen(off) != 0 {
		t.Errorf("without a cache: got %q, %d remembered", got, jwt.CacheLen(off))
	}
}

func TestVerifyConcurrently(t *testing.T) {
	v, path := verifier(t, jwt.Config{Cache: 2}, "ec", "rsa")
	var wg sync.WaitGroup
	for i := range 4 {
		token, want := good(object{"sub": fmt.Sprint(i)}), fmt.Sprint(i)
		wg.Go(func() {
			for range 50 {
				if got := verify(v, token); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
		})
	}
	for range 5 {
		write(t, path, set(t, "rsa", "ec"))
		write(t, path, set(t, "ec", "rsa"))
	}
	wg.Wait()
}

// bearer is a Source of one Authorization header.
type bearer string

func (b bearer) Credential(_ *policy.Use, kind policy.SchemeKind) (auth.Credential, error) {
	return auth.ParseAuthorization(kind, string(b), true)
}

// warm returns a guard of one scheme, and a source of a token that it knows.
func warm(t testing.TB) (*auth.Guard, auth.Source) {
	path := filepath.Join(t.TempDir(), "jwks.json")
	write(t, path, set(t, "ec"))
	ks, err := jwt.NewFileKeySet(path, jwt.KeySetConfig{Interval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	v, err := jwt.New([]jwt.Issuer{{Name: issuer, Keys: ks}}, jwt.Config{Scheme: "jwt", Audience: []string{audience}})
	if err != nil {
		t.Fatal(err)
	}
	m := &policy.Method{Access: policy.Secured, Requirements: []policy.Requirement{{
		Schemes: []policy.Use{{Scheme: "jwt", In: policy.InHeader, Name: "Authorization"}}, Scopes: []string{"api:write"},
	}}}
	schemes := []policy.Scheme{{Name: "jwt", Kind: policy.JWT, Scopes: []string{"api:read", "api:write"}}}
	g, err := auth.NewGuard("shop", m, schemes, auth.Verifiers{"jwt": v})
	if err != nil {
		t.Fatal(err)
	}
	var src auth.Source = bearer("Bearer " + good(object{"scope": "api:read api:write", "jti": "0123456789abcdef"}))
	if _, err := g.Check(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	return g, src
}

func TestWarmCheckAllocates(t *testing.T) {
	g, src := warm(t)
	ctx := t.Context()
	n := testing.AllocsPerRun(100, func() {
		if _, err := g.Check(ctx, src); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkGuardWarm(b *testing.B) {
	g, src := warm(b)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.Check(ctx, src); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyCold(b *testing.B) {
	v, _ := verifier(b, jwt.Config{Cache: -1}, "ec")
	token := good(nil)
	b.ReportAllocs()
	for b.Loop() {
		if got := verify(v, token); got != "ann" {
			b.Fatal(got)
		}
	}
}
