package jwt

import (
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aguada-dev/aguada/auth"
)

// Errors of claims.
var (
	errIssuer     = auth.Refuse(auth.WrongIssuer, "iss is not the configured issuer")
	errAudience   = auth.Refuse(auth.WrongAudience, "aud does not name this service")
	errUnexpected = auth.Refuse(auth.WrongAudience, "the token has an aud and no audience is configured")
	errNoExpiry   = auth.Refuse(auth.Malformed, "there is no exp")
	errTime       = auth.Refuse(auth.Malformed, "exp, nbf or iat is not a time")
	errNotYet     = auth.Refuse(auth.NotYetValid, "nbf or iat lies in the future")
	errSubject    = auth.Refuse(auth.Malformed, "there is no sub")
	errText       = auth.Refuse(auth.Malformed, "sub, jti, client_id or azp is not a string of whole characters")
	errScope      = auth.Refuse(auth.Malformed, "scope or scp is neither a string nor a list of strings")
	errAudForm    = auth.Refuse(auth.Malformed, "aud is neither a string nor a list of strings")
)

// principal checks the claims of a token whose signature and issuer are, and
// returns its caller and when the token ends, leeway included.
func (v *Verifier) principal(claims map[string]any, now time.Time) (*auth.Principal, time.Time, error) {
	var none time.Time
	if err := v.audience(claims); err != nil {
		return nil, none, err
	}
	expires, err := v.times(claims, now)
	if err != nil {
		return nil, none, err
	}
	p := &auth.Principal{Scheme: v.cfg.Scheme, Issuer: v.issuer, Claims: claims, ExpiresAt: expires}
	texts := []struct {
		claim string
		to    *string
	}{{"sub", &p.Subject}, {"jti", &p.CredentialID}, {"azp", &p.ClientID}, {"client_id", &p.ClientID}}
	for _, t := range texts {
		value, there := claims[t.claim]
		if !there {
			continue
		}
		text, ok := value.(string)
		if !ok || strings.ContainsRune(text, utf8.RuneError) { // half a surrogate pair decodes to it: two names would be one
			return nil, none, errText
		}
		*t.to = text
	}
	if p.Subject == "" {
		return nil, none, errSubject
	}
	if p.Scopes, err = scopes(claims); err != nil {
		return nil, none, err
	}
	return p, expires.Add(v.cfg.Leeway), nil
}

// audience checks aud.
func (v *Verifier) audience(claims map[string]any) error {
	value, there := claims["aud"]
	if len(v.cfg.Audience) == 0 {
		if there {
			return errUnexpected
		}
		return nil
	}
	names, ok := words(value, false)
	if there && !ok {
		return errAudForm
	}
	for _, name := range names {
		if slices.Contains(v.cfg.Audience, name) {
			return nil
		}
	}
	return errAudience
}

// times checks exp, nbf and iat, and returns exp.
func (v *Verifier) times(claims map[string]any, now time.Time) (time.Time, error) {
	expires, there, err := numericDate(claims, "exp")
	if err != nil {
		return time.Time{}, err
	}
	if !there {
		return time.Time{}, errNoExpiry
	}
	if !now.Before(expires.Add(v.cfg.Leeway)) {
		return time.Time{}, errExpired
	}
	for _, name := range [2]string{"nbf", "iat"} {
		t, there, err := numericDate(claims, name)
		if err != nil {
			return time.Time{}, err
		}
		if there && now.Add(v.cfg.Leeway).Before(t) {
			return time.Time{}, errNotYet
		}
	}
	return expires, nil
}

// maxDate is the last second of the year 9999.
const maxDate = 253402300799

// numericDate reads a NumericDate (RFC 7519, 2).
func numericDate(claims map[string]any, name string) (time.Time, bool, error) {
	value, there := claims[name]
	if !there {
		return time.Time{}, false, nil
	}
	seconds, ok := value.(float64)
	if !ok || !(seconds >= 0 && seconds <= maxDate) {
		return time.Time{}, false, errTime
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), true, nil
}

// scopes reads the scopes that a token carries, sorted.
func scopes(claims map[string]any) ([]string, error) {
	for _, name := range [2]string{"scope", "scp"} {
		value, there := claims[name]
		if !there {
			continue
		}
		list, ok := words(value, true)
		if !ok {
			return nil, errScope
		}
		slices.Sort(list)
		return slices.Compact(list), nil
	}
	return nil, nil
}

// words reads a string or a list of strings. A string is split at spaces
// where that is asked for, and at nothing else that Unicode takes for one: an
// issuer that does not would have granted "read\u00a0admin" as one scope.
func words(value any, split bool) ([]string, bool) {
	switch value := value.(type) {
	case string:
		if split {
			return strings.FieldsFunc(value, func(r rune) bool { return r == ' ' }), true
		}
		return []string{value}, true
	case []any:
		list := make([]string, len(value))
		for i, v := range value {
			s, ok := v.(string)
			if !ok {
				return nil, false
			}
			list[i] = s
		}
		return list, true
	default:
		return nil, false
	}
}
