package auth

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/aguada-dev/aguada/auth/internal/text"
	"github.com/aguada-dev/aguada/policy"
)

// Errors of ParseAuthorization are shared: the request path does not allocate
// to refuse.
var (
	errOtherScheme = &Error{Reason: Missing, Err: errors.New("the Authorization header has another scheme")}
	errToken       = &Error{Reason: Malformed, Err: errors.New("not one token")}
	errBasic       = &Error{Reason: Malformed, Err: errors.New("not the base64 of a user name and a password")}
	errKind        = &Error{Reason: Unavailable, Err: errors.New("unknown kind of scheme")}
)

// maxBasic bounds the base64 of Basic credentials, in bytes.
const maxBasic = 4 << 10

// ParseAuthorization returns the credential in the value of a header;
// authorization says that the header is Authorization, whose value begins with
// the name of a scheme (RFC 9110, 11.6.2). It is meant for raw tokens from
// queries, cookies and paths too, with authorization false.
//
//   - Basic takes the Basic scheme only (RFC 7617): strict base64 of
//     user:password, in UTF-8 and without control characters.
//   - JWT, OAuth2 and Bearer take exactly one token68 after the Bearer scheme
//     (RFC 6750); outside of Authorization the scheme may be left out.
//   - An API key stands alone or after one word, whatever that is; a Basic
//     credential is never an API key.
//
// Scheme names are case-insensitive. An empty value, and an Authorization
// header of another scheme, is Missing; all else that does not fit is
// Malformed. Tokens are not copied: nothing is allocated for them.
func ParseAuthorization(kind policy.SchemeKind, value string, authorization bool) (Credential, error) {
	c, err := CutAuthorization(kind, value, authorization)
	if c.unjudged && !token68(c.Token) {
		return Credential{}, errToken
	}
	c.unjudged = false
	return c, err
}

// CutAuthorization is ParseAuthorization for a [Source], except that the form
// of a bearer token is left for [Guard.Check] to judge, which need not look at
// a token that its verifier accepted before. Give what it returns to no one
// else.
func CutAuthorization(kind policy.SchemeKind, value string, authorization bool) (Credential, error) {
	if value == "" {
		return Credential{}, ErrMissing
	}
	word, rest, spaced := strings.Cut(value, " ")
	rest = strings.TrimLeft(rest, " ")
	switch kind {
	case policy.Basic:
		if !named(word, "basic") {
			return Credential{}, errOtherScheme
		}
		return parseBasic(rest)
	case policy.JWT, policy.OAuth2, policy.Bearer:
		isBearer := named(word, "bearer")
		if authorization && !isBearer {
			return Credential{}, errOtherScheme
		}
		if !authorization && (!isBearer || !spaced) {
			rest = value
		}
		return Credential{Token: rest, unjudged: true}, nil
	case policy.APIKey:
		if named(word, "basic") && spaced {
			return Credential{}, errOtherScheme
		}
		if !spaced {
			rest = value
		} else if !text.Visible(word) {
			return Credential{}, errToken
		}
		if !text.Visible(rest) {
			return Credential{}, errToken
		}
		return Credential{Token: rest}, nil
	default:
		return Credential{}, errKind
	}
}

// parseBasic reads the token68 of the Basic scheme.
func parseBasic(s string) (Credential, error) {
	if s == "" || len(s) > maxBasic || strings.ContainsAny(s, "\r\n") {
		return Credential{}, errBasic
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || !text.Printable(string(raw)) {
		return Credential{}, errBasic
	}
	user, password, ok := strings.Cut(string(raw), ":")
	if !ok {
		return Credential{}, errBasic
	}
	return Credential{Username: user, Password: password}, nil
}

// named reports whether a word is the name of a scheme, given in lower case.
// Only ASCII letters fold: strings.EqualFold would take "Baſic" for Basic.
func named(word, scheme string) bool {
	if len(word) != len(scheme) {
		return false
	}
	for i := range len(word) {
		if word[i]|0x20 != scheme[i] {
			return false
		}
	}
	return true
}

// token68 reports whether s is one token68 of RFC 9110, 11.2. It looks at every
// byte of every token, hence the table, and eight bytes without a branch.
func token68(s string) bool {
	t := strings.TrimRight(s, "=")
	if t == "" {
		return false
	}
	bad := uint8(0)
	for ; len(t) >= 8; t = t[8:] {
		bad |= offToken68[t[0]] | offToken68[t[1]] | offToken68[t[2]] | offToken68[t[3]] |
			offToken68[t[4]] | offToken68[t[5]] | offToken68[t[6]] | offToken68[t[7]]
	}
	for i := range len(t) {
		bad |= offToken68[t[i]]
	}
	return bad == 0
}

// offToken68 is 1 for every byte that a token68 does not hold before its end.
var offToken68 = func() (off [256]uint8) {
	for i := range off {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/", rune(i)) {
			off[i] = 1
		}
	}
	return off
}()
