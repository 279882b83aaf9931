package basic

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/aguada-dev/aguada/auth/internal/text"
)

// Bounds of what is accepted from outside.
const (
	maxPassword = 1024 // bytes
	maxUsername = 256  // bytes
)

// cost is what argon2id is asked to spend. The default is OWASP's: 19 MiB, two
// passes, one lane.
type cost struct {
	memory uint32 // KiB
	passes uint32
	lanes  uint8
}

var defaultCost = cost{memory: 19456, passes: 2, lanes: 1}

// Bounds of the costs in a users file. Below, a hash is too weak to be worth
// having; above, a hostile or mistaken file could exhaust the machine.
const (
	minMemory = 7168      // KiB
	maxMemory = 128 << 10 // KiB
	maxPasses = 16
	maxLanes  = 8
	maxWork   = 1024 << 10 // memory × passes, KiB
)

// hash is a parsed PHC string of argon2id.
type hash struct {
	cost
	salt, sum []byte
}

// HashPassword returns the PHC string of a password by argon2id with 19 MiB,
// two passes, one lane and a random salt, as a users file holds it. A password
// is 1 to 1024 bytes of UTF-8 without control characters; its bytes are taken
// as they are.
func HashPassword(password string) (string, error) {
	if password == "" || len(password) > maxPassword || !text.Printable(password) {
		return "", errors.New("hash password: it must be 1 to 1024 bytes of UTF-8 without control characters")
	}
	h := hash{cost: defaultCost, salt: make([]byte, 16)}
	if _, err := rand.Read(h.salt); err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	h.sum = h.derive(password, 32)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.passes, h.lanes,
		b64.EncodeToString(h.salt), b64.EncodeToString(h.sum)), nil
}

func (h *hash) derive(password string, size uint32) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.passes, h.memory, h.lanes, size)
}

// matches spends the hash's cost and compares in constant time.
func (h *hash) matches(password string) bool {
	return subtle.ConstantTimeCompare(h.derive(password, uint32(len(h.sum))), h.sum) == 1
}

// parseHash reads a PHC string. Its errors never hold the text.
func parseHash(s string) (*hash, error) {
	fields := strings.Split(s, "$")
	if len(fields) != 6 || fields[0] != "" || fields[1] != "argon2id" {
		return nil, errors.New("not a PHC string of argon2id")
	}
	if fields[2] != "v="+strconv.Itoa(argon2.Version) {
		return nil, fmt.Errorf("not version %d of argon2id", argon2.Version)
	}
	c, err := parseCost(fields[3])
	if err != nil {
		return nil, err
	}
	h := &hash{cost: c}
	if h.salt, err = parseBytes(fields[4], 8, 64); err != nil {
		return nil, fmt.Errorf("salt: %w", err)
	}
	if h.sum, err = parseBytes(fields[5], 16, 64); err != nil {
		return nil, fmt.Errorf("hash: %w", err)
	}
	return h, nil
}

// parseCost reads "m=19456,t=2,p=1" and refuses what is out of bounds.
func parseCost(s string) (cost, error) {
	fields := strings.Split(s, ",")
	if len(fields) != 3 {
		return cost{}, errors.New("parameters are not m, t and p")
	}
	var n [3]uint64
	for i, name := range [3]string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(fields[i], name)
		v, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil || strconv.FormatUint(v, 10) != digits {
			return cost{}, fmt.Errorf("parameter %d is not %sNUMBER", i+1, name)
		}
		n[i] = v
	}
	m, t, p := n[0], n[1], n[2]
	switch {
	case m < minMemory || m > maxMemory:
		return cost{}, fmt.Errorf("m is not within %d and %d KiB", minMemory, maxMemory)
	case t < 1 || t > maxPasses:
		return cost{}, fmt.Errorf("t is not within 1 and %d", maxPasses)
	case p < 1 || p > maxLanes:
		return cost{}, fmt.Errorf("p is not within 1 and %d", maxLanes)
	case m*t > maxWork:
		return cost{}, fmt.Errorf("m × t is over %d KiB", maxWork)
	}
	return cost{memory: uint32(m), passes: uint32(t), lanes: uint8(p)}, nil
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
