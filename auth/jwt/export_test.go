package jwt

import (
	"strconv"
	"time"

	"github.com/aguada-dev/aguada/auth"
)

// CacheLen returns how many tokens a verifier remembers.
func CacheLen(v *Verifier) int {
	v.cache.mu.RLock()
	defer v.cache.mu.RUnlock()
	return len(v.cache.young) + len(v.cache.old)
}

// ParseSet reads a key set and returns how many keys are used and skipped.
func ParseSet(data []byte) (used, skipped int, err error) {
	s, err := parseSet(data)
	if err != nil {
		return 0, 0, err
	}
	return len(s.keys), len(s.skipped), nil
}

// ParseDocument reads an issuer's discovery document.
func ParseDocument(data []byte, issuer string) (keys, introspect string, err error) {
	d, err := parseDocument(data, issuer)
	if err != nil {
		return "", "", err
	}
	return d.keys, d.introspect, nil
}

// Header reads a token's header and reports its algorithm and key id.
func Header(part string) (alg, kid string, named bool, err error) {
	t, err := parseToken(part + ".e30.YQ")
	if err != nil {
		return "", "", false, err
	}
	return t.alg, t.kid, t.named, nil
}

// Judge judges claims whose signature and issuer are right.
func Judge(v *Verifier, issuer string, claims map[string]any, now time.Time) (*auth.Principal, time.Time, error) {
	return v.principal(v.issuers[issuer], claims, now)
}

// Churn has a verifier remember one token after the other.
func Churn(v *Verifier, from, to int) {
	for i := from; i < to; i++ {
		id := sum(strconv.Itoa(i))
		v.cache.store(id, &verified{key: id})
	}
}
