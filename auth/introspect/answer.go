package introspect

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/internal/object"
)

// answer is what the issuer says about a token. Its form is right; nothing of
// it is judged.
type answer struct {
	members map[string]any
	active  bool
	// The members of RFC 7662, 2.2, and what known servers add to tell access
	// tokens from others. Those that are not there are empty.
	sub, username, clientID, iss, jti, tokenType, use, typ string
	aud, scope                                             []string
	exp, nbf, iat                                          time.Time
}

// parseAnswer reads an answer. What is not understood is an error, rather than
// not there.
func parseAnswer(data []byte) (*answer, error) {
	m, err := object.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("the answer is %w", err)
	}
	a := &answer{members: m}
	var ok bool
	if a.active, ok = m["active"].(bool); !ok {
		return nil, errors.New("the answer does not say whether the token is active")
	}
	if !a.active { // the rest says nothing (RFC 7662, 2.2)
		return a, nil
	}
	for name, to := range map[string]*string{
		"sub": &a.sub, "username": &a.username, "client_id": &a.clientID, "iss": &a.iss, "jti": &a.jti,
		"token_type": &a.tokenType, "token_use": &a.use, "typ": &a.typ,
	} {
		v, there := m[name]
		if !there || v == nil {
			continue
		}
		if *to, ok = v.(string); !ok || strings.ContainsRune(*to, utf8.RuneError) {
			return nil, fmt.Errorf("%s is not a string of whole characters", name)
		}
	}
	for name, to := range map[string]*time.Time{"exp": &a.exp, "nbf": &a.nbf, "iat": &a.iat} {
		if *to, ok = numericDate(m[name]); !ok {
			return nil, fmt.Errorf("%s is not a time", name)
		}
	}
	if a.aud, ok = list(m["aud"], false); !ok {
		return nil, errors.New("aud is neither a string nor a list of strings")
	}
	if a.scope, ok = list(m["scope"], true); !ok {
		return nil, errors.New("scope is neither a string nor a list of strings")
	}
	slices.Sort(a.scope)
	a.scope = slices.Compact(a.scope)
	return a, nil
}

// maxDate is the last second of the year 9999.
const maxDate = 253402300799

// numericDate reads a NumericDate (RFC 7519, 2); the zero time if there is none.
func numericDate(v any) (time.Time, bool) {
	if v == nil {
		return time.Time{}, true
	}
	seconds, ok := v.(float64)
	if !ok || !(seconds >= 0 && seconds <= maxDate) {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), true
}

// list reads a string, split at spaces where that is asked for, or a list of
// strings.
func list(v any, split bool) ([]string, bool) {
	switch v := v.(type) {
	case nil:
		return nil, true
	case string:
		if split {
			return strings.FieldsFunc(v, func(r rune) bool { return r == ' ' }), true
		}
		return []string{v}, true
	case []any:
		words := make([]string, len(v))
		for i := range v {
			s, ok := v[i].(string)
			if !ok {
				return nil, false
			}
			words[i] = s
		}
		return words, true
	default:
		return nil, false
	}
}

// Errors of principal.
var (
	errInactive = auth.Refuse(auth.Unknown, "the issuer says that the token is not active")
	errEnded    = auth.Refuse(auth.Expired, "the issuer says that the token is not active any more")
	errExpired  = auth.Refuse(auth.Expired, "the token expired")
	errOld      = auth.Refuse(auth.Expired, "the token is older than the maximum age")
	errNoIssue  = auth.Refuse(auth.Malformed, "there is no iat, which a maximum age needs")
	errNotYet   = auth.Refuse(auth.NotYetValid, "nbf or iat lies in the future")
	errIssuer   = auth.Refuse(auth.WrongIssuer, "iss is not a configured issuer")
	errAudience = auth.Refuse(auth.WrongAudience, "aud does not name this service")
	errType     = auth.Refuse(auth.WrongType, "it is not a bearer access token")
	errBound    = auth.Refuse(auth.WrongType, "the token is bound to a key of its holder (cnf), which a bearer does not prove")
	errSubject  = auth.Refuse(auth.Malformed, "there is neither sub nor username")
)

// principal judges an answer and returns the caller and when the token ends,
// leeway included; never, if that is the zero time.
func (v *Verifier) principal(a *answer, now time.Time) (*auth.Principal, time.Time, error) {
	var none time.Time
	switch {
	case !a.active:
		return nil, none, errInactive
	case a.iss != "" && len(v.cfg.Issuers) > 0 && !slices.Contains(v.cfg.Issuers, a.iss):
		return nil, none, errIssuer
	case !a.bearer():
		return nil, none, errType
	case a.members["cnf"] != nil:
		return nil, none, errBound
	case !v.cfg.AnyAudience && !slices.ContainsFunc(a.aud, func(s string) bool { return slices.Contains(v.cfg.Audience, s) }):
		return nil, none, errAudience
	}
	ends, err := v.times(a, now)
	if err != nil {
		return nil, none, err
	}
	p := &auth.Principal{
		Subject: a.sub, Scheme: v.cfg.Scheme, Issuer: a.iss, ClientID: a.clientID, CredentialID: a.jti,
		Scopes: a.scope, Claims: a.members, ExpiresAt: ends,
	}
	if p.Subject == "" {
		p.Subject = a.username
	}
	if p.Subject == "" {
		return nil, none, errSubject
	}
	if ends.IsZero() {
		return p, none, nil
	}
	return p, ends.Add(v.cfg.Leeway), nil
}

// bearer reports whether the token is an access token for whoever bears it. The
// standard has no member for that: token_type is to be Bearer, and servers that
// answer for refresh and identity tokens too say so in token_use or typ.
func (a *answer) bearer() bool {
	in := func(s string, names ...string) bool {
		return s == "" || slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(s, n) })
	}
	return in(a.tokenType, "bearer", "access_token") && in(a.use, "access_token", "access") &&
		in(a.typ, "bearer", "jwt", "at+jwt", "application/at+jwt")
}

// times checks exp, nbf and iat where they are, and returns when the token
// ends; the zero time if it does not.
func (v *Verifier) times(a *answer, now time.Time) (time.Time, error) {
	ends := a.exp
	latest := now.Add(v.cfg.Leeway)
	switch {
	case !a.exp.IsZero() && !now.Before(a.exp.Add(v.cfg.Leeway)):
		return ends, errExpired
	case latest.Before(a.nbf) || latest.Before(a.iat):
		return ends, errNotYet
	case v.cfg.MaxAge == 0:
		return ends, nil
	case a.iat.IsZero():
		return ends, errNoIssue
	}
	oldest := a.iat.Add(v.cfg.MaxAge)
	if !now.Before(oldest.Add(v.cfg.Leeway)) {
		return ends, errOld
	}
	if ends.IsZero() || oldest.Before(ends) {
		ends = oldest
	}
	return ends, nil
}
