package jwt_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/jwt"
)

const issuerB = "https://b.example/realm"

// fileSet returns a key set from a file with some keys, and the file.
func fileSet(t testing.TB, kids ...string) (*jwt.KeySet, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jwks.json")
	write(t, path, set(t, kids...))
	ks, err := jwt.NewFileKeySet(path, jwt.KeySetConfig{Interval: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return ks, path
}

// by signs a token of an issuer with a key under a key id.
func by(iss, key, kid string, change object) string {
	claims := with(object{"iss": iss})
	for name, v := range change {
		claims[name] = v
	}
	return sign(key, "ES256", object{"alg": "ES256", "kid": kid}, claims)
}

func TestIssuers(t *testing.T) {
	a, fileA := fileSet(t, "ec")
	b, _ := fileSet(t, "other")
	v, err := jwt.New([]jwt.Issuer{
		{Name: issuer, Keys: a},
		{Name: issuerB, Keys: b, Audience: []string{"orders-b"}},
	}, jwt.Config{Audience: []string{audience}})
	if err != nil {
		t.Fatal(err)
	}
	good := by(issuerB, "other", "other", object{"aud": "orders-b", "jti": "1"})
	p, err := v.Verify(t.Context(), auth.Credential{Token: good})
	if err != nil || p.Issuer != issuerB {
		t.Fatalf("got %+v, %v", p, err)
	}
	for name, tt := range map[string]struct{ token, want string }{
		"A":                         {by(issuer, "ec", "ec", nil), "ann"},
		"B":                         {good, "ann"},
		"A's key for B":             {by(issuerB, "ec", "ec", object{"aud": "orders-b"}), "!unknown_key"},
		"A's key for B, B's key id": {by(issuerB, "ec", "other", object{"aud": "orders-b"}), "!bad_signature"},
		"B's key for A":             {by(issuer, "other", "other", nil), "!unknown_key"},
		"B's key for A, A's key id": {by(issuer, "other", "ec", nil), "!bad_signature"},
		"B's key for A, no key id":  {sign("other", "ES256", object{"alg": "ES256"}, with(nil)), "!bad_signature"},
		"A's audience from B":       {by(issuerB, "other", "other", nil), "!wrong_audience"},
		"B's audience from A":       {by(issuer, "ec", "ec", object{"aud": "orders-b"}), "!wrong_audience"},
		"neither":                   {by("https://evil.example/", "ec", "ec", nil), "!wrong_issuer"},
		"without the slash":         {by(strings.TrimSuffix(issuer, "/"), "ec", "ec", nil), "!wrong_issuer"},
		"another case":              {by("https://Issuer.example/", "ec", "ec", nil), "!wrong_issuer"},
		"none":                      {by("", "ec", "ec", nil), "!wrong_issuer"},
		"both":                      {by("", "ec", "ec", object{"iss": []string{issuer, issuerB}}), "!wrong_issuer"},
		"number":                    {by("", "ec", "ec", object{"iss": 1}), "!wrong_issuer"},
	} {
		for range 2 {
			if got := verify(v, tt.token); got != tt.want {
				t.Errorf("%s: got %q, want %q", name, got, tt.want)
			}
		}
	}
	write(t, fileA, set(t, "ec384")) // A rotates; B's tokens stay remembered
	if got := [2]string{verify(v, by(issuer, "ec", "ec", nil)), verify(v, good)}; got != [2]string{"!unknown_key", "ann"} {
		t.Errorf("after A rotated: got %q", got)
	}
	write(t, fileA, set(t, "other")) // a key that B has does not keep A's
	if got := verify(v, good); got != "ann" {
		t.Errorf("got %q", got)
	}
}

// The same token is one for a verifier that takes its audience, and none for
// another, whatever the first one remembers.
func TestCachesAreApart(t *testing.T) {
	ks, _ := fileSet(t, "ec")
	one := func(cfg jwt.Config, iss string) *jwt.Verifier {
		v, err := jwt.New([]jwt.Issuer{{Name: iss, Keys: ks}}, cfg)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	token := good(nil)
	ours := one(jwt.Config{Audience: []string{audience}}, issuer)
	others := map[string]*jwt.Verifier{
		"!wrong_audience":  one(jwt.Config{Audience: []string{"users"}}, issuer),
		"!wrong_issuer":    one(jwt.Config{Audience: []string{audience}}, issuerB),
		"!wrong_type":      one(jwt.Config{Audience: []string{audience}, Types: []string{"at+jwt"}}, issuer),
		"!wrong_algorithm": one(jwt.Config{Audience: []string{audience}, Algorithms: []string{"RS256"}}, issuer),
	}
	for range 2 {
		if got := verify(ours, token); got != "ann" {
			t.Errorf("got %q", got)
		}
		for want, v := range others {
			if got := verify(v, token); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	}
}

// An issuer that cannot be reached is no reason to refuse another's tokens,
// nor to answer for what can be judged without it.
func TestIssuerDown(t *testing.T) {
	w := &web{status: 503}
	synctest.Test(t, func(t *testing.T) {
		a, _ := fileSet(t, "ec")
		b, err := jwt.NewURLKeySet(address, jwt.KeySetConfig{Transport: w, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = b.Close() }()
		v, err := jwt.New([]jwt.Issuer{{Name: issuer, Keys: a}, {Name: issuerB, Keys: b}}, jwt.Config{Audience: []string{audience}})
		if err != nil {
			t.Fatal(err)
		}
		for name, tt := range map[string]struct{ token, want string }{
			"the one that is up":   {by(issuer, "ec", "ec", nil), "ann"},
			"the one that is down": {by(issuerB, "other", "other", nil), "!unavailable"},
			"no token":             {"x.y.z", "!malformed"},
		} {
			if got := verify(v, tt.token); got != tt.want {
				t.Errorf("%s: got %q, want %q", name, got, tt.want)
			}
		}
	})
}

func TestNewRefusesIssuers(t *testing.T) {
	ks, _ := fileSet(t, "ec")
	for want, issuers := range map[string][]jwt.Issuer{
		"there is no issuer":            nil,
		"issuer 2 has no name":          {{Name: issuer, Keys: ks}, {Keys: ks}},
		"is there twice":                {{Name: issuer, Keys: ks}, {Name: issuer, Keys: ks}},
		"has no key set":                {{Name: issuer}},
		`audience of issuer "` + issuer: {{Name: issuer, Keys: ks, Audience: []string{""}}},
	} {
		if v, err := jwt.New(issuers, jwt.Config{}); err == nil || v != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	for name, cfg := range map[string]jwt.Config{
		"negative age": {MaxAge: -1}, "empty type": {Types: []string{""}}, "empty media type": {Types: []string{"application/"}},
	} {
		if _, err := jwt.New([]jwt.Issuer{{Name: issuer, Keys: ks}}, cfg); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestMaximumAge(t *testing.T) {
	ks, _ := fileSet(t, "ec")
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().Unix()
		v, err := jwt.New([]jwt.Issuer{{Name: issuer, Keys: ks}}, jwt.Config{
			Audience: []string{audience}, MaxAge: time.Minute, Leeway: 5 * time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		for name, tt := range map[string]struct {
			change object
			want   string
		}{
			"young":           {object{"iat": now - 59, "exp": now + 3600}, "ann"},
			"within leeway":   {object{"iat": now - 64, "exp": now + 3600}, "ann"},
			"old":             {object{"iat": now - 65, "exp": now + 3600}, "!expired"},
			"without iat":     {object{"iat": nil, "exp": now + 3600}, "!malformed"},
			"iat text":        {object{"iat": "0", "exp": now + 3600}, "!malformed"},
			"from the future": {object{"iat": now + 6, "exp": now + 3600}, "!not_yet_valid"},
			"expired anyway":  {object{"iat": now - 30, "exp": now - 5}, "!expired"},
		} {
			if got := verify(v, good(tt.change)); got != tt.want {
				t.Errorf("%s: got %q, want %q", name, got, tt.want)
			}
		}
		token := good(object{"iat": now, "exp": now + 3600})
		p, err := v.Verify(t.Context(), auth.Credential{Token: token})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(time.Unix(now+60, 0), p.ExpiresAt); diff != "" {
			t.Errorf("it expires (-want +got):\n%s", diff)
		}
		time.Sleep(65*time.Second - 1)
		if got := verify(v, token); got != "ann" {
			t.Errorf("at its last moment: got %q", got)
		}
		time.Sleep(time.Nanosecond)
		for range 2 { // though it was remembered
			if got := verify(v, token); got != "!expired" {
				t.Errorf("too old: got %q", got)
			}
		}
	})
}

// Tokens that are refused leave nothing behind.
func TestBadTokensLeaveNothing(t *testing.T) {
	const bound = 1 << 20
	n := 1_000_000
	if testing.Short() {
		n = 50_000
	}
	ks, _ := fileSet(t, "ed")
	v, err := jwt.New([]jwt.Issuer{{Name: issuer, Keys: ks}}, jwt.Config{Audience: []string{audience}})
	if err != nil {
		t.Fatal(err)
	}
	ok := sign("ed", "EdDSA", object{"alg": "EdDSA", "kid": "ed"}, with(nil))
	if got := verify(v, ok); got != "ann" {
		t.Fatalf("got %q", got)
	}
	parts := strings.Split(ok, ".")
	foreign := encode(with(object{"iss": "https://evil.example/"}))
	bad := func(i int) (token, want string) {
		switch i % 100 {
		case 0: // one that costs a verification
			return parts[0] + "." + encode(with(object{"jti": fmt.Sprint(i)})) + "." + parts[2], "!bad_signature"
		case 1:
			return encode(object{"alg": "EdDSA", "kid": fmt.Sprint(i)}) + "." + parts[1] + "." + parts[2], "!unknown_key"
		case 2:
			return encode(object{"alg": "EdDSA", "x": i}) + "." + foreign + "." + parts[2], "!wrong_issuer"
		default:
			return b64(fmt.Appendf(nil, "%d", i)) + "." + parts[1] + "." + parts[2], "!malformed"
		}
	}
	before := heap()
	for i := range n {
		token, want := bad(i)
		if got := verify(v, token); got != want {
			t.Fatalf("token %d: got %q, want %q", i, got, want)
		}
	}
	if grown := heap() - before; grown > bound {
		t.Errorf("%d bad tokens left %d bytes, want at most %d", n, grown, bound)
	}
	if n := jwt.CacheLen(v); n != 1 {
		t.Errorf("%d tokens are remembered, want the good one", n)
	}
	if got := verify(v, ok); got != "ann" {
		t.Errorf("the good one: got %q", got)
	}
}

// heap returns the bytes in use.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
