// Package password makes and checks the hashes of passwords: argon2id, and
// bcrypt as others made it.
//
//	text, err := password.New("correct horse")
//	...
//	h, err := password.Parse(text)
//	ok := h.Matches("correct horse")
//
// It refuses hashes that are too weak to be worth having, and those that cost
// more than a login may. Its errors never hold the text of a hash.
package password

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"golang.org/x/crypto/bcrypt"
)

// The costs of bcrypt that are read: OWASP's least, and about a second.
const (
	minBcrypt = 10
	maxBcrypt = 14
)

// bcryptMost is how many bytes of a password bcrypt looks at. What follows would
// not count, and is refused.
const bcryptMost = 72

// recipe says how to hash: by bcrypt if its cost is not 0.
type recipe struct {
	argon2id
	bcrypt int
}

// Recipe is an algorithm and its costs. It is comparable.
type Recipe struct{ r recipe }

// Standard is the recipe of [New].
func Standard() Recipe { return Recipe{recipe{argon2id: standard}} }

// Algorithm returns "argon2id" or "bcrypt".
func (r Recipe) Algorithm() string {
	if r.r.bcrypt > 0 {
		return "bcrypt"
	}
	return "argon2id"
}

// Cost returns the parameters: "m=19456,t=2,p=1" with m in KiB, or "cost=10".
func (r Recipe) Cost() string {
	if r.r.bcrypt > 0 {
		return "cost=" + strconv.Itoa(r.r.bcrypt)
	}
	return r.r.argon2id.String()
}

// Hash is the parsed hash of a password. It is immutable.
type Hash struct {
	recipe
	salt, sum []byte // of argon2id
	text      []byte // of bcrypt
}

// Recipe returns how the hash was made.
func (h *Hash) Recipe() Recipe { return Recipe{h.recipe} }

// Outdated reports whether a new hash should take the place of this one.
func (h *Hash) Outdated() bool { return h.bcrypt > 0 }

var (
	bcryptForm     = regexp.MustCompile(`^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{22}([./A-Za-z0-9]{31})$`)
	bcryptEncoding = base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").
			WithPadding(base64.NoPadding).Strict()
)

// Parse reads the PHC string of an argon2id hash, or a bcrypt hash ($2a$, $2b$
// or $2y$).
func Parse(s string) (*Hash, error) {
	if len(s) < 2 || s[:2] != "$2" {
		return parseArgon2id(s)
	}
	m := bcryptForm.FindStringSubmatch(s)
	if m == nil {
		return nil, errors.New("not a hash of bcrypt in the form $2a$, $2b$ or $2y$")
	}
	cost, err := strconv.Atoi(m[1])
	if err != nil || cost < minBcrypt || cost > maxBcrypt {
		return nil, fmt.Errorf("the cost of bcrypt is not within %d and %d", minBcrypt, maxBcrypt)
	}
	if _, err := bcryptEncoding.DecodeString(m[2]); err != nil {
		return nil, errors.New("not a hash that bcrypt makes")
	}
	return &Hash{recipe: recipe{bcrypt: cost}, text: []byte(s)}, nil
}

// Matches spends what the hash costs and reports whether it is that of the
// password. By bcrypt, a password of more than 72 bytes never is, at the same
// cost: others that begin with the same 72 bytes would match as well.
func (h *Hash) Matches(text string) bool {
	if h.bcrypt == 0 {
		return h.matchesArgon2id(text)
	}
	b := []byte(text)
	err := bcrypt.CompareHashAndPassword(h.text, b[:min(len(b), bcryptMost)])
	return err == nil && len(b) <= bcryptMost
}

// Decoy returns a hash by the recipe that nobody knows the password of. Equal
// seeds give equal hashes.
func Decoy(r Recipe, seed [32]byte) *Hash {
	h := &Hash{recipe: r.r}
	if h.bcrypt == 0 {
		h.salt, h.sum = seed[:16], make([]byte, 32)
		return h
	}
	var sum [23]byte
	h.text = fmt.Appendf(nil, "$2b$%02d$%s%s", h.bcrypt, bcryptEncoding.EncodeToString(seed[:16]), bcryptEncoding.EncodeToString(sum[:]))
	return h
}
