package introspect_test

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/introspect"
)

// named is a verifier that says who it is, and remembers one token.
type named string

func (n named) Verify(context.Context, auth.Credential) (*auth.Principal, error) {
	return &auth.Principal{Subject: string(n)}, nil
}

func (n named) Recall(_ context.Context, token string) *auth.Principal {
	if token != "known" {
		return nil
	}
	return &auth.Principal{Subject: string(n)}
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestChoose(t *testing.T) {
	v := introspect.Choose(named("tokens"), named("opaque"))
	jws := b64(`{"alg":"ES256","typ":"at+jwt"}`)
	long := b64(`{"x5c":["` + strings.Repeat("x", 2000) + `"],"alg":"ES256"}`)
	for token, want := range map[string]string{
		jws + "." + b64(`{}`) + ".c2ln":             "tokens",
		b64(" \r\n\t{ \"alg\" : \"none\" }") + "..": "tokens",
		long + ".e30.c2ln":                          "tokens",
		b64(`{"alg":"`) + ".x.y":                    "tokens", // broken, and nobody else's to read
		"":                                          "opaque",
		"opaque":                                    "opaque",
		"x.y.z":                                     "opaque",
		"2YotnFZFEjr1zCsicMWpAA":                    "opaque",
		jws + ".e30":                                "opaque",
		jws + ".e30.c2ln.c2ln":                      "opaque",
		jws + ".a.b.c.d":                            "opaque", // encrypted
		"." + jws + ".e30":                          "opaque",
		jws + "=.e30.c2ln":                          "opaque",
		jws[:8] + "\n" + jws[8:] + ".e30.c2ln":      "opaque",
		b64(`{"typ":"JWT"}`) + ".e30.c2ln":          "opaque",
		b64(`["alg"]`) + ".e30.c2ln":                "opaque",
		b64(`"alg"`) + ".e30.c2ln":                  "opaque",
		strings.Repeat("a.", 1<<20):                 "opaque",
	} {
		if got := verify(v, token); got != want {
			t.Errorf("%.40q: got %s, want %s", token, got, want)
		}
	}
	recaller, ok := v.(auth.Recaller)
	if !ok || recaller.Recall(t.Context(), "known") == nil || recaller.Recall(t.Context(), "unknown") != nil {
		t.Error("it does not recall what the verifier of tokens does")
	}
	for want, v := range map[string]auth.Verifier{"tokens": introspect.Choose(named("tokens"), nil), "opaque": introspect.Choose(nil, named("opaque"))} {
		for _, token := range []string{"opaque", jws + ".e30.c2ln"} {
			if got := verify(v, token); got != want {
				t.Errorf("%s alone: got %s", want, got)
			}
		}
	}
	if v := introspect.Choose(nil, nil); v != nil {
		t.Errorf("got %v of nothing", v)
	}
}

func TestChoosingAllocatesNothing(t *testing.T) {
	token := b64(`{"alg":"RS256","kid":"0123456789abcdef","typ":"at+jwt"}`) + "." + strings.Repeat("a", 400) + "." + strings.Repeat("b", 342)
	if n := testing.AllocsPerRun(100, func() {
		if !introspect.Signed(token) {
			t.Fatal("not signed")
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkChoose(b *testing.B) {
	token := b64(`{"alg":"RS256","kid":"0123456789abcdef","typ":"at+jwt"}`) + "." + strings.Repeat("a", 400) + "." + strings.Repeat("b", 342)
	b.ReportAllocs()
	for b.Loop() {
		if !introspect.Signed(token) {
			b.Fatal("not signed")
		}
	}
}
