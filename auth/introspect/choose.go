package introspect

import (
	"bytes"
	"context"
	"encoding/base64"
	"strings"

	"github.com/aguada-dev/aguada/auth"
)

// Choose returns a verifier for schemes whose tokens may be signed or opaque
// (OAuth2 and Bearer): a token that looks like a JWS is verified by tokens, and
// by nothing else, and any other by opaque. Where one of the two is nil, it is
// the other one. What looks like a JWS is what consists of three parts of which
// the first is the base64url of a JSON object with an "alg"; an encrypted token
// has five and is opaque to all but its issuer.
func Choose(tokens, opaque auth.Verifier) auth.Verifier {
	switch {
	case tokens == nil:
		return opaque
	case opaque == nil:
		return tokens
	}
	c := &chooser{tokens: tokens, opaque: opaque}
	c.recaller, _ = tokens.(auth.Recaller)
	return c
}

type chooser struct {
	tokens, opaque auth.Verifier
	recaller       auth.Recaller // tokens, if it is one
}

// Verify implements [auth.Verifier].
func (c *chooser) Verify(ctx context.Context, credential auth.Credential) (*auth.Principal, error) {
	if signed(credential.Token) {
		return c.tokens.Verify(ctx, credential)
	}
	return c.opaque.Verify(ctx, credential)
}

// Recall implements [auth.Recaller] by the verifier of signed tokens.
func (c *chooser) Recall(ctx context.Context, token string) *auth.Principal {
	if c.recaller == nil {
		return nil
	}
	return c.recaller.Recall(ctx, token)
}

// signed reports whether a token looks like a JWS.
func signed(token string) bool {
	if len(token) > maxToken {
		return false
	}
	head, rest, ok := strings.Cut(token, ".")
	if !ok || strings.Count(rest, ".") != 1 ||
		strings.IndexByte(head, '\n') >= 0 || strings.IndexByte(head, '\r') >= 0 { // the decoder skips those
		return false
	}
	var in, out [512]byte // no allocation for headers of usual size
	header, err := base64.RawURLEncoding.AppendDecode(out[:0], append(in[:0], head...))
	if err != nil {
		return false
	}
	header = bytes.TrimLeft(header, " \t\r\n")
	return bytes.HasPrefix(header, []byte("{")) && bytes.Contains(header, []byte(`"alg"`))
}
