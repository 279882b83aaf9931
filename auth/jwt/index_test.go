package jwt_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/jwt"
	"github.com/aguada-dev/aguada/policy"
)

// recalled returns the subject that a verifier remembers for a token, or "".
func recalled(v *jwt.Verifier, token string) string {
	if p := v.Recall(context.Background(), token); p != nil {
		return p.Subject
	}
	return ""
}

// Tokens that share a place of the index are told apart, and none but a
// verified one is in it, however little a forgery differs.
func TestIndexIsExact(t *testing.T) {
	v, _ := verifier(t, jwt.Config{Cache: 1}, "ec") // one slot for all
	ann, bob := good(object{"sub": "ann"}), good(object{"sub": "bob"})
	for range 3 {
		for token, want := range map[string]string{ann: "ann", bob: "bob"} {
			if got := verify(v, token); got != want || recalled(v, token) != want {
				t.Fatalf("got %q, recalled %q, want %q", got, recalled(v, token), want)
			}
		}
	}
	verify(v, ann)
	for i := range len(ann) {
		for _, c := range []byte{'A', 'z', '.', '\x00', ann[i] ^ 1} {
			forged := ann[:i] + string(c) + ann[i+1:]
			if forged == ann {
				continue
			}
			if got := recalled(v, forged); got != "" {
				t.Fatalf("byte %d changed: recalled %q", i, got)
			}
			if c != 'A' {
				continue
			}
			if got := verify(v, forged); !strings.HasPrefix(got, "!") || recalled(v, forged) != "" {
				t.Fatalf("byte %d changed: got %q, recalled %q", i, got, recalled(v, forged))
			}
		}
	}
	if got := recalled(v, ann); got != "ann" {
		t.Errorf("forgeries displaced a token: recalled %q", got)
	}
	for _, other := range []string{"", ann[:len(ann)-1], ann + "A", strings.Repeat("A", 3000)} {
		if got := recalled(v, other); got != "" {
			t.Errorf("recalled %q for another token", got)
		}
	}
}

func TestIndexForgets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jwks.json")
	write(t, path, set(t, "ec"))
	synctest.Test(t, func(t *testing.T) {
		keys, err := jwt.NewFileKeySet(path, jwt.KeySetConfig{})
		if err != nil {
			t.Fatal(err)
		}
		v, err := jwt.New([]jwt.Issuer{{Name: issuer, Keys: keys}}, jwt.Config{Audience: []string{audience}})
		if err != nil {
			t.Fatal(err)
		}
		token := good(nil)
		if verify(v, token) != "ann" || recalled(v, token) != "ann" {
			t.Fatal("a token is not remembered")
		}
		time.Sleep(time.Minute) // its life
		if got := recalled(v, token); got != "" {
			t.Errorf("expired: recalled %q", got)
		}
		if got := verify(v, token); got != "!expired" {
			t.Errorf("expired: got %q", got)
		}
	})
	v, path := verifier(t, jwt.Config{}, "ec", "rsa")
	token := good(nil)
	verify(v, token)
	write(t, path, set(t, "rsa"))
	if got := recalled(v, token); got != "" {
		t.Errorf("its key left: recalled %q", got)
	}
	if got := verify(v, token); got != "!unknown_key" {
		t.Errorf("its key left: got %q", got)
	}
	off, _ := verifier(t, jwt.Config{Cache: -1}, "ec")
	long, _ := verifier(t, jwt.Config{}, "ec")
	big := good(object{"padding": strings.Repeat("x", 2500)})
	if verify(off, token) != "ann" || recalled(off, token) != "" || verify(long, big) != "ann" || recalled(long, big) != "" || verify(long, big) != "ann" {
		t.Error("without a cache, or beyond the longest token, a token is in the index, or refused")
	}
}

// cut is a Source that leaves the form of a token to the guard, as the
// transport is one.
type cut string

func (c cut) Credential(_ *policy.Use, kind policy.SchemeKind) (auth.Credential, error) {
	return auth.CutAuthorization(kind, string(c), true)
}

// That the guard judges the form of a token last changes nothing of what it
// says.
func TestFormIsJudgedAllTheSame(t *testing.T) {
	g, src := warm(t)
	known := string(src.(bearer))
	verdict := func(src auth.Source) string {
		p, err := g.Check(t.Context(), src)
		if err != nil {
			e, _ := errors.AsType[*auth.Error](err)
			return fmt.Sprint(e.Reason, e.Status())
		}
		return p.Subject
	}
	rapid.Check(t, func(t *rapid.T) {
		header := known
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			at := rapid.IntRange(0, len(known)).Draw(t, "at")
			header = known[:at] + rapid.StringN(0, 2, 4).Draw(t, "insert") + known[at:]
		case 1:
			header = "Bearer " + rapid.StringMatching(`[A-Za-z0-9._~+/=\- ,"\x00]{0,40}`).Draw(t, "token")
		case 2:
			header = rapid.String().Draw(t, "header")
		}
		if a, b := verdict(bearer(header)), verdict(cut(header)); a != b {
			t.Fatalf("%q is %s where its form is judged first, %s where last", header, a, b)
		}
	})
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		if p, err := g.Check(ctx, cut(known)); err != nil || p == nil {
			t.Fatal(err)
		}
	}); n > 1 { // the source
		t.Errorf("%v allocations", n)
	}
}
