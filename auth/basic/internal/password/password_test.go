package password_test

import (
	"crypto/sha256"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/aguada-dev/aguada/auth/basic/internal/password"
)

// Hashes that others made: jBCrypt's test vectors, and one of argon2's reference
// implementation.
func TestMatches(t *testing.T) {
	for _, tt := range []struct{ hash, right string }{
		{"$2a$10$k1wbIrmNyFAPwPVPSVa/zecw2BCEnBwVS2GbrmgzxFUOqW9dk4TCW", ""},
		{"$2a$10$k87L/MF28Q673VKh8/cPi.SUl7MU/rWuSiIDDFayrKk/1tBsSQu4u", "a"},
		{"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password"},
	} {
		h, err := password.Parse(tt.hash)
		if err != nil {
			t.Fatal(err)
		}
		if !h.Matches(tt.right) || h.Matches(tt.right+"x") {
			t.Errorf("%s does not match %q alone", tt.hash, tt.right)
		}
	}
}

func TestNew(t *testing.T) {
	text, err := password.New("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	h, err := password.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if !h.Matches("correct horse") || h.Matches("correct horse ") || h.Outdated() || h.Recipe() != password.Standard() {
		t.Error("a new hash is not a good one")
	}
}

// What OWASP recommends is accepted, to the point.
func TestFloor(t *testing.T) {
	for costs, good := range map[string]bool{
		"m=47104,t=1": true, "m=19456,t=2": true, "m=12288,t=3": true, "m=9216,t=4": true, "m=7168,t=5": true, "m=65536,t=3": true,
		"m=47103,t=1": false, "m=19455,t=2": false, "m=12287,t=3": false, "m=9215,t=4": false, "m=7167,t=5": false, "m=7167,t=16": false,
		"m=46080,t=1": false, "m=19456,t=1": false, "m=0,t=1": false,
	} {
		_, err := password.Parse("$argon2id$v=19$" + costs + ",p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
		if (err == nil) != good {
			t.Errorf("%s: got %v", costs, err)
		}
	}
}

// A decoy costs what its recipe does, and is nobody's.
func TestDecoy(t *testing.T) {
	old, err := bcrypt.GenerateFromPassword([]byte("x"), 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(old), "$argon2id$v=19$m=12288,t=3,p=2$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"} {
		h, err := password.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		d := password.Decoy(h.Recipe(), sha256.Sum256([]byte("ann")))
		if d.Recipe() != h.Recipe() || d.Matches("x") {
			t.Errorf("%s: a decoy by %v", text, d.Recipe())
		}
	}
}

// What is accepted is bounded in cost, and what is refused is not repeated.
func FuzzParse(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=4294967295,t=4294967295,p=255$$")
	f.Add("$2y$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy")
	f.Add("$2b$31$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWz")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := password.Parse(s)
		if err != nil {
			if secret := s[strings.LastIndex(s, "$")+1:]; h != nil || len(secret) > 15 && strings.Contains(err.Error(), secret) {
				t.Errorf("%q: got %v, %v", s, h, err)
			}
			return
		}
		cost := h.Recipe().Cost()
		if h.Recipe().Algorithm() == "bcrypt" {
			n, err := bcrypt.Cost([]byte(s))
			if err != nil || n < 10 || n > 14 || cost != "cost="+s[4:6] || !h.Outdated() {
				t.Errorf("%q: %s, %v", s, cost, err)
			}
			return
		}
		if !strings.HasPrefix(s, "$argon2id$v=19$"+cost+"$") || strings.Count(s, "$") != 5 || h.Outdated() {
			t.Errorf("%q is taken for %s", s, cost)
		}
	})
}
