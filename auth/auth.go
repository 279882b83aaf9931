// Package auth decides who is calling.
//
// A [Verifier] proves one credential and yields a [Principal]. A [Guard], made
// at start-up from a method's policy, evaluates the method's security
// alternatives (an OR of ANDs) exactly once per call:
//
//	guard, err := auth.NewGuard(contract.API.Name, method, contract.Schemes, verifiers)
//	...
//	principal, err := guard.Check(ctx, source)
//
// Nothing fails open: a scheme without a verifier refuses to start, and an
// error of any kind is never a principal.
package auth

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Principal is an authenticated caller. It is immutable and may be shared by
// calls that present the same credential; do not modify what it holds.
type Principal struct {
	// Subject identifies the caller: the user name of Basic, the owner of an
	// API key, the sub claim of a token.
	Subject string
	// Scheme is the design's name of the scheme that proved the caller.
	Scheme string
	// Issuer is the iss claim of a token; empty for other schemes.
	Issuer string
	// ClientID is the client_id or azp claim of a token, if any.
	ClientID string
	// CredentialID tells credentials of one subject apart: the identifier of
	// an API key, the jti claim of a token. It is not secret.
	CredentialID string
	// Scopes are those that the credential carries, sorted.
	Scopes []string
	// Claims are a token's claims as decoded from JSON; nil for others. Numbers
	// are float64: beyond 2^53 different ones become equal.
	Claims map[string]any
	// ExpiresAt is when the credential expires; zero if it does not.
	ExpiresAt time.Time
	// With holds the principals of the other schemes where a requirement
	// asks for several at once.
	With []*Principal
}

// HasScope reports whether the principal's own credential carries the scope.
func (p *Principal) HasScope(scope string) bool {
	for _, s := range p.Scopes {
		if s == scope {
			return true
		}
	}
	return false
}

// ContextKey is the key under which a request's context holds its *Principal.
type ContextKey struct{}

// FromContext returns the caller of the request that ctx belongs to, or false
// for an anonymous call.
func FromContext(ctx context.Context) (*Principal, bool) {
	p, ok := ctx.Value(ContextKey{}).(*Principal)
	return p, ok && p != nil
}

// NewContext returns a context that carries p, for tests and for work done on
// a caller's behalf.
func NewContext(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, ContextKey{}, p)
}

// Credential is what a request presents for one scheme: a token, or a user
// name and password.
type Credential struct {
	Token              string
	Username, Password string
	// Stranger says that this client is not known to have presented the
	// credential before, for verifiers that answer sooner for what they
	// remember: whoever guesses would learn by that what is right. Package
	// lockout sets it.
	Stranger bool

	unjudged bool // the form of Token is for the guard to judge
}

// Format implements [fmt.Formatter]: no verb prints what a credential holds.
func (Credential) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[credential]") }

// MarshalText implements [encoding.TextMarshaler] likewise, for what encodes a
// value that a credential is part of.
func (Credential) MarshalText() ([]byte, error) { return []byte("[credential]"), nil }

// LogValue implements [slog.LogValuer] likewise.
func (Credential) LogValue() slog.Value { return slog.StringValue("[credential]") }

// Verifier proves credentials of one scheme. It is safe for concurrent use.
type Verifier interface {
	// Verify returns the principal that the credential proves, or an *Error.
	// The principal's Scheme is set by the caller's configuration, never by
	// the credential.
	Verify(ctx context.Context, c Credential) (*Principal, error)
}

// Recaller is a [Verifier] of tokens that remembers those it accepted.
type Recaller interface {
	// Recall returns the principal of a token that Verify accepted before and
	// would accept now, and nil for any other: what it returns for is equal,
	// byte for byte, to a token whose form and proof were judged. It does not
	// wait and does not allocate.
	Recall(ctx context.Context, token string) *Principal
}

// Verifiers holds a verifier by the design's name of its scheme.
type Verifiers map[string]Verifier
