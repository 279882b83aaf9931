package basic

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/basic/internal/password"
)

// spent returns what a call allocates: the memory of argon2id, if that was
// spent, and little else.
func spent(call func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	call()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A wrong password costs one hash, whether there is such a user or not.
func TestUnknownUserCostsAHash(t *testing.T) {
	hash, err := HashPassword("x")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte("ann:"+hash+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	u, err := Open(path, Config{})
	if err != nil {
		t.Fatal(err)
	}
	const once = 19 << 20
	for _, name := range []string{"ann", "eve", "bob"} {
		got := spent(func() {
			if _, err := u.Verify(t.Context(), auth.Credential{Username: name, Password: "wrong"}); refusal(err) != auth.Unknown {
				t.Errorf("%s: %v", name, err)
			}
		})
		if got < once || got > once+1<<20 {
			t.Errorf("%s costs %d bytes, want %d", name, got, once)
		}
	}
}

// Where users have different recipes, unknown ones have them in the same
// proportion, and each always the same.
func TestUnknownUsersCostWhatUsersDo(t *testing.T) {
	old, err := bcrypt.GenerateFromPassword([]byte("x"), 10)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := HashPassword("x")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	stored := map[string]string{}
	for i := range 100 {
		h := hash
		switch {
		case i%4 == 0:
			h = string(old)
		case i%10 == 1:
			h = strings.Replace(hash, "m=19456,t=2", "m=12288,t=3", 1)
		}
		name := fmt.Sprint("user", i)
		stored[name] = h
		fmt.Fprintf(&text, "%s:%s\n", name, h)
	}
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(path, FileConfig{Interval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		store Store
		want  map[string][2]int // of 1000
	}{
		{"file", f, map[string][2]int{"cost=10": {180, 320}, "m=12288,t=3,p=1": {60, 140}, "m=19456,t=2,p=1": {560, 740}}},
		{"other", table(stored), map[string][2]int{"cost=10": {260, 410}, "m=12288,t=3,p=1": {260, 410}, "m=19456,t=2,p=1": {260, 410}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u, err := New(tt.store, Config{})
			if err != nil {
				t.Fatal(err)
			}
			recipe := func(name string) password.Recipe {
				h, _, known, err := u.find(t.Context(), name, u.digest.Text(name))
				if err != nil || known != (stored[name] != "") {
					t.Fatalf("%s: %v, %v", name, known, err)
				}
				return h.Recipe()
			}
			for name := range stored {
				recipe(name) // as logins do
			}
			got := map[string]int{}
			for i := range 1000 {
				name := fmt.Sprint("nobody", i)
				r := recipe(name)
				if again := recipe(name); again != r {
					t.Errorf("%s costs %v, then %v", name, r, again)
				}
				got[r.Cost()]++
			}
			for cost, n := range got {
				if w := tt.want[cost]; n < w[0] || n > w[1] {
					t.Errorf("%d of 1000 cost %s, want %d to %d", n, cost, w[0], w[1])
				}
			}
		})
	}
}

// table is a store that is not a file.
type table map[string]string

func (s table) Lookup(_ context.Context, name string) (string, bool, error) {
	hash, ok := s[name]
	return hash, ok, nil
}

// A guesser who tries many accounts, as many as this machine can hash, holds up
// few others, and frees none that was guessed before.
func TestManyAccounts(t *testing.T) {
	var d delays
	d.init(1)
	account := func(i int) [sha256.Size]byte { return sha256.Sum256(fmt.Append(nil, i)) }
	now := time.Duration(0)
	held, n := 0, 0
	for i := range 200_000 {
		d.failed(account(i), now)
		if i%10 == 0 { // one of them is guessed without pause
			d.failed(account(-1), now)
		}
		if i > 10 && d.delay(account(-1), now) == 0 {
			t.Fatal("a guessed account is free")
		}
		if i%100 == 0 {
			n++
			if d.delay(account(-2-i), now) > 0 {
				held++
			}
		}
		now += time.Second / 64
	}
	if held > n/50 {
		t.Errorf("%d of %d accounts are held up because of others", held, n)
	}
}

func TestRememberedAllocatesNothing(t *testing.T) {
	hash, err := HashPassword("x")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte("ann:"+hash), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(path, FileConfig{Interval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]Store{"file": f, "other": table{"ann": hash}} {
		u, err := New(s, Config{Scheme: "basic"})
		if err != nil {
			t.Fatal(err)
		}
		c, ctx := auth.Credential{Username: "ann", Password: "x"}, t.Context()
		n := testing.AllocsPerRun(100, func() {
			if _, err := u.Verify(ctx, c); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

func BenchmarkRemembered(b *testing.B) {
	hash, err := HashPassword("correct horse")
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(b.TempDir(), "users")
	if err := os.WriteFile(path, []byte("ann:"+hash+"\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	f, err := OpenFile(path, FileConfig{})
	if err != nil {
		b.Fatal(err)
	}
	for name, s := range map[string]Store{"file": f, "other": table{"ann": hash}} {
		b.Run(name, func(b *testing.B) {
			u, err := New(s, Config{Scheme: "basic"})
			if err != nil {
				b.Fatal(err)
			}
			c := auth.Credential{Username: "ann", Password: "correct horse"}
			for b.Loop() {
				if _, err := u.Verify(b.Context(), c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
