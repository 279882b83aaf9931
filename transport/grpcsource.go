package transport

import (
	"strings"
	"unicode/utf8"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/policy"
)

// metadataSource is a gRPC call as the source of its credentials.
type metadataSource rpc

var _ auth.Source = (*metadataSource)(nil)

// Credential finds a credential in the metadata. A key that is there twice is
// refused: who reads which of the two would be anybody's guess.
func (s *metadataSource) Credential(u *policy.Use, kind policy.SchemeKind) (auth.Credential, error) {
	if u.In != policy.InMetadata {
		return auth.Credential{}, auth.Refuse(auth.Unavailable, "unknown place of a credential")
	}
	if kind == policy.Basic && u.Password != "" {
		return s.pair(u)
	}
	value, err := single(s.from.md[u.Name])
	if err != nil {
		return auth.Credential{}, err
	}
	// Goa's own clients send the bare token.
	return auth.CutAuthorization(kind, value, u.Name == "authorization" && strings.Contains(value, " "))
}

// maxPair bounds a user name, and a password, in bytes.
const maxPair = 4 << 10

// pair finds a user name and its password, each under its key.
func (s *metadataSource) pair(u *policy.Use) (auth.Credential, error) {
	names, passwords := s.from.md[u.Name], s.from.md[u.Password]
	switch {
	case len(names) > 1 || len(passwords) > 1:
		return auth.Credential{}, auth.ErrDuplicate
	case len(names) == 0 && len(passwords) == 0:
		return auth.Credential{}, auth.ErrMissing
	case len(names) == 0 || len(passwords) == 0 || names[0] == "":
		return auth.Credential{}, errHalf
	case !printable(names[0]) || !printable(passwords[0]) || strings.Contains(names[0], ":"): // as RFC 7617 has it
		return auth.Credential{}, errPair
	}
	return auth.Credential{Username: names[0], Password: passwords[0]}, nil
}

var (
	errHalf = auth.Refuse(auth.Malformed, "a user name or a password without the other")
	errPair = auth.Refuse(auth.Malformed, "not a user name and a password")
)

// printable reports whether s is UTF-8 without control characters, of a length
// that a user name or a password has.
func printable(s string) bool {
	return len(s) <= maxPair && utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) < 0
}
