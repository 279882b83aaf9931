package password

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// argon2id is what one hash of that algorithm (RFC 9106) costs.
type argon2id struct {
	memory uint32 // KiB
	passes uint32
	lanes  uint8
}

// standard is the cost of new hashes: OWASP's first choice for a server that
// should not spend more than 19 MiB on a login.
var standard = argon2id{memory: 19456, passes: 2, lanes: 1}

// weakest are the costs that OWASP's Password Storage Cheat Sheet still
// recommends, equal in strength; a hash must reach one of them in memory and
// passes. Below, it is not worth having.
var weakest = [...]argon2id{
	{memory: 47104, passes: 1}, {memory: 19456, passes: 2}, {memory: 12288, passes: 3}, {memory: 9216, passes: 4}, {memory: 7168, passes: 5},
}

// Above these, a hostile or mistaken store could exhaust the machine.
const (
	maxMemory = 128 << 10 // KiB
	maxPasses = 16
	maxLanes  = 8
	maxWork   = 1024 << 10 // memory × passes, KiB
)

// String returns the parameters as a PHC string has them.
func (a argon2id) String() string {
	return fmt.Sprintf("m=%d,t=%d,p=%d", a.memory, a.passes, a.lanes)
}

// New returns the PHC string of a password by argon2id with 19 MiB, two
// passes, one lane and a random salt. What a password may be is the caller's to
// say.
func New(text string) (string, error) {
	h := &Hash{recipe: recipe{argon2id: standard}, salt: make([]byte, 16)}
	if _, err := rand.Read(h.salt); err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	h.sum = h.derive(text, 32)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$%s$%s$%s", argon2.Version, h.argon2id,
		b64.EncodeToString(h.salt), b64.EncodeToString(h.sum)), nil
}

// derive spends what the hash costs.
func (h *Hash) derive(text string, size uint32) []byte {
	return argon2.IDKey([]byte(text), h.salt, h.passes, h.memory, h.lanes, size)
}

// parseArgon2id reads a PHC string.
func parseArgon2id(s string) (*Hash, error) {
	fields := strings.Split(s, "$")
	if len(fields) != 6 || fields[0] != "" || fields[1] != "argon2id" {
		return nil, errors.New("not a PHC string of argon2id, nor a hash of bcrypt")
	}
	if fields[2] != "v="+strconv.Itoa(argon2.Version) {
		return nil, fmt.Errorf("not version %d of argon2id", argon2.Version)
	}
	a, err := parseCosts(fields[3])
	if err != nil {
		return nil, err
	}
	h := &Hash{recipe: recipe{argon2id: a}}
	if h.salt, err = parseBytes(fields[4], 8, 64); err != nil {
		return nil, fmt.Errorf("salt: %w", err)
	}
	if h.sum, err = parseBytes(fields[5], 16, 64); err != nil {
		return nil, fmt.Errorf("hash: %w", err)
	}
	return h, nil
}

// parseCosts reads "m=19456,t=2,p=1" and refuses what is out of bounds.
func parseCosts(s string) (argon2id, error) {
	fields := strings.Split(s, ",")
	if len(fields) != 3 {
		return argon2id{}, errors.New("parameters are not m, t and p")
	}
	var n [3]uint64
	for i, name := range [3]string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(fields[i], name)
		v, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil || strconv.FormatUint(v, 10) != digits {
			return argon2id{}, fmt.Errorf("parameter %d is not %sNUMBER", i+1, name)
		}
		n[i] = v
	}
	m, t, p := n[0], n[1], n[2]
	switch {
	case m > maxMemory:
		return argon2id{}, fmt.Errorf("m is over %d KiB", maxMemory)
	case t > maxPasses:
		return argon2id{}, fmt.Errorf("t is over %d", maxPasses)
	case p < 1 || p > maxLanes:
		return argon2id{}, fmt.Errorf("p is not within 1 and %d", maxLanes)
	case m*t > maxWork:
		return argon2id{}, fmt.Errorf("m × t is over %d KiB", maxWork)
	}
	for _, w := range weakest {
		if m >= uint64(w.memory) && t >= uint64(w.passes) {
			return argon2id{memory: uint32(m), passes: uint32(t), lanes: uint8(p)}, nil
		}
	}
	return argon2id{}, fmt.Errorf("m=%d,t=%d is weaker than OWASP recommends (m=19456,t=2 or its like)", m, t)
}

// parseBytes reads canonical base64 without padding.
func parseBytes(s string, least, most int) ([]byte, error) {
	b, err := base64.RawStdEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("not base64 without padding")
	}
	if len(b) < least || len(b) > most {
		return nil, fmt.Errorf("not within %d and %d bytes", least, most)
	}
	return b, nil
}

// matches compares in constant time.
func (h *Hash) matchesArgon2id(text string) bool {
	return subtle.ConstantTimeCompare(h.derive(text, uint32(len(h.sum))), h.sum) == 1
}
