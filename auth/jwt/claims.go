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
	errIssuer     = auth.Refuse(auth.WrongIssuer, "iss is not a configured issuer")
	errAudience   = auth.Refuse(auth.WrongAudience, "aud does not name this service")
	errUnexpected = auth.Refuse(auth.WrongAudience, "the token has an aud and no audience is configured")
	errNoExpiry   = auth.Refuse(auth.Malformed, "there is no exp")
	errTime       = auth.Refuse(auth.Malformed, "exp, nbf or iat is not a time")
	errNotYet     = auth.Refuse(auth.NotYetValid, "nbf or iat lies in the future")
	errSubject    = auth.Refuse(auth.Malformed, "there is no sub")
	errText       = auth.Refuse(auth.Malformed, "sub, jti, client_id or azp is not a string of whole characters")
	errScope      = auth.Refuse(auth.Malformed, "scope or scp is neither a string nor a list of strings")
	errScopes     = auth.Refuse(auth.Malformed, "scope and scp name different scopes")
	errNoIssue    = auth.Refuse(auth.Malformed, "there is no iat, which a maximum age needs")
	errOld        = auth.Refuse(auth.Expired, "the token is older than the maximum age")
	errBound      = auth.Refuse(auth.WrongType, "the token is bound to a key of its holder (cnf), which a bearer does not prove")
	errAudForm    = auth.Refuse(auth.Malformed, "aud is neither a string nor a list of strings")
)

// principal checks the claims of a token whose signature and issuer are, and
// returns its caller and when the token ends, leeway included.
func (v *Verifier) principal(from *Issuer, claims map[string]any, now time.Time) (*auth.Principal, time.Time, error) {
	var none time.Time
	if err := audience(from.Audience, claims); err != nil {
		return nil, none, err
	}
	if _, there := claims["cnf"]; there {
		return nil, none, errBound
	}
	expires, err := v.times(claims, now)
	if err != nil {
		return nil, none, err
	}
	p := &auth.Principal{Scheme: v.cfg.Scheme, Issuer: from.Name, Claims: claims, ExpiresAt: expires}
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

// audience checks aud against the names of this service.
func audience(ours []string, claims map[string]any) error {
	value, there := claims["aud"]
	if len(ours) == 0 {
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
		if slices.Contains(ours, name) {
			return nil
		}
	}
	return errAudience
}

// times checks exp, nbf and iat, and returns when the token ends: at exp, or
// earlier where it reaches the maximum age.
func (v *Verifier) times(claims map[string]any, now time.Time) (time.Time, error) {
	var none time.Time
	ends, there, err := numericDate(claims, "exp")
	if err != nil {
		return none, err
	}
	if !there {
		return none, errNoExpiry
	}
	if !now.Before(ends.Add(v.cfg.Leeway)) {
		return none, errExpired
	}
	for _, name := range [2]string{"nbf", "iat"} {
		t, there, err := numericDate(claims, name)
		if err != nil {
			return none, err
		}
		if there && now.Add(v.cfg.Leeway).Before(t) {
			return none, errNotYet
		}
		if name != "iat" || v.cfg.MaxAge == 0 {
			continue
		}
		if !there {
			return none, errNoIssue
		}
		oldest := t.Add(v.cfg.MaxAge)
		if !now.Before(oldest.Add(v.cfg.Leeway)) {
			return none, errOld
		}
		if oldest.Before(ends) {
			ends = oldest
		}
	}
	return ends, nil
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

// scopes reads the scopes that a token carries, sorted: those of scope
// (RFC 8693, 9068) or of scp, as some issuers call it. Where both are there
// they must agree: else the token would mean one thing here and another to the
// next reader.
func scopes(claims map[string]any) ([]string, error) {
	var found []string
	said := false
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
		list = slices.Compact(list)
		if said && !slices.Equal(list, found) {
			return nil, errScopes
		}
		found, said = list, true
	}
	return found, nil
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
