package jwt

import (
	"encoding/base64"
	"strings"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/internal/object"
)

// token is a token whose form is right; nothing of it is verified.
type token struct {
	alg, kid, typ string
	named         bool // there is a kid
	claims        map[string]any
}

// Errors of parseToken.
var (
	errParts     = auth.Refuse(auth.Malformed, "not three parts")
	errEncrypted = auth.Refuse(auth.Malformed, "an encrypted token")
	errBase64    = auth.Refuse(auth.Malformed, "a part is empty or not canonical base64url")
	errHeader    = auth.Refuse(auth.Malformed, "the header is not a JSON object without duplicates")
	errClaims    = auth.Refuse(auth.Malformed, "the claims are not a JSON object without duplicates")
	errMember    = auth.Refuse(auth.Malformed, "a header member is not a string")
	errForbidden = auth.Refuse(auth.Malformed, "the header has a member that is not accepted: a key, a link to one, crit, b64, zip or enc")
	errNested    = auth.Refuse(auth.Malformed, "a token within a token")
	errUnsigned  = auth.Refuse(auth.WrongAlgorithm, "the token has no signature")
)

// forbidden header members: those by which a token brings its own key, and
// those that change how it is processed.
var forbidden = []string{
	"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc", "epk", "apu", "apv", "iv", "tag", "p2s", "p2c",
}

// parseToken takes a compact JWS apart. There is exactly one way to write what
// it accepts.
func parseToken(s string) (*token, error) {
	parts := strings.SplitN(s, ".", 6)
	if len(parts) == 5 {
		return nil, errEncrypted
	}
	if len(parts) != 3 {
		return nil, errParts
	}
	header, err := decodePart(parts[0])
	if err != nil {
		return nil, err
	}
	members, err := object.Decode(header)
	if err != nil {
		return nil, errHeader
	}
	t := &token{}
	if err := t.header(members); err != nil {
		return nil, err
	}
	if strings.EqualFold(t.alg, "none") || parts[2] == "" {
		return nil, errUnsigned
	}
	if _, err := decodePart(parts[2]); err != nil {
		return nil, err
	}
	claims, err := decodePart(parts[1])
	if err != nil {
		return nil, err
	}
	if t.claims, err = object.Decode(claims); err != nil {
		return nil, errClaims
	}
	return t, nil
}

// header reads the members of a header.
func (t *token) header(members map[string]any) error {
	for _, name := range forbidden {
		if _, ok := members[name]; ok {
			return errForbidden
		}
	}
	for name, to := range map[string]*string{"alg": &t.alg, "kid": &t.kid, "typ": &t.typ} {
		v, ok := members[name]
		if !ok {
			continue
		}
		if *to, ok = v.(string); !ok {
			return errMember
		}
	}
	_, t.named = members["kid"]
	if cty, ok := members["cty"]; ok {
		text, ok := cty.(string)
		if !ok {
			return errMember
		}
		if strings.HasSuffix(mediaType(text), "jwt") {
			return errNested
		}
	}
	return nil
}

// decodePart decodes base64url without padding, and only its canonical form.
func decodePart(s string) ([]byte, error) {
	if s == "" || strings.ContainsAny(s, "\r\n") { // the decoder skips those
		return nil, errBase64
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, errBase64
	}
	return b, nil
}

// mediaType normalises a typ header (RFC 7515, 4.1.9).
func mediaType(typ string) string {
	typ = strings.ToLower(typ)
	if rest, ok := strings.CutPrefix(typ, "application/"); ok && !strings.Contains(rest, "/") {
		return rest
	}
	return typ
}
