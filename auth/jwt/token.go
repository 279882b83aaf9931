package jwt

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/aguada-dev/aguada/auth"
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
	parts := strings.Split(s, ".")
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
	members, err := decodeObject(header)
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
	if t.claims, err = decodeObject(claims); err != nil {
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

// maxDepth is how deeply JSON may be nested.
const maxDepth = 16

var errJSON = errors.New("not one JSON object without duplicate members")

// decodeObject decodes one JSON object. It refuses what readers may understand
// in different ways: duplicate members at any depth, text that is not UTF-8.
func decodeObject(data []byte) (map[string]any, error) {
	if !utf8.Valid(data) || !json.Valid(data) {
		return nil, errJSON
	}
	v, err := decodeValue(json.NewDecoder(bytes.NewReader(data)), 0)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errJSON
	}
	return m, nil
}

func decodeValue(dec *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errJSON
	}
	t, err := dec.Token()
	if err != nil {
		return nil, errJSON
	}
	switch t {
	case json.Delim('{'):
		return decodeMembers(dec, depth)
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := decodeValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = dec.Token()
		return list, err
	}
	return t, nil
}

func decodeMembers(dec *json.Decoder, depth int) (any, error) {
	m := map[string]any{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, errJSON
		}
		name, _ := t.(string)
		if _, ok := m[name]; ok {
			return nil, errJSON
		}
		if m[name], err = decodeValue(dec, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := dec.Token()
	return m, err
}

// mediaType normalises a typ header (RFC 7515, 4.1.9).
func mediaType(typ string) string {
	typ = strings.ToLower(typ)
	if rest, ok := strings.CutPrefix(typ, "application/"); ok && !strings.Contains(rest, "/") {
		return rest
	}
	return typ
}
