package introspect

import (
	"time"

	"github.com/aguada-dev/aguada/auth"
)

// Remembered returns how many active and how many refused tokens are known.
func Remembered(v *Verifier) (active, refused int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.active.len(), v.refused.len()
}

// Signed reports whether a token looks like a JWS.
func Signed(token string) bool { return signed(token) }

// Judge reads and judges an answer.
func Judge(v *Verifier, data []byte, now time.Time) (*auth.Principal, time.Time, error) {
	a, err := parseAnswer(data)
	if err != nil {
		return nil, time.Time{}, err
	}
	return v.principal(a, now)
}
