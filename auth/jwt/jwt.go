// Package jwt verifies access tokens: signed JSON Web Tokens (RFC 7519)
// against a set of public keys (RFC 7517), with the advice of RFC 8725.
//
//	keys, err := jwt.NewURLKeySet("https://issuer.example/jwks.json", jwt.KeySetConfig{})
//	...
//	defer keys.Close()
//	v, err := jwt.New(keys, "https://issuer.example/", jwt.Config{
//		Scheme: "jwt", Audience: []string{"orders"},
//	})
//
// It accepts asymmetric signatures only and has no switch for others. It
// refuses tokens that bring their own key, unsecured and encrypted tokens,
// ambiguous ones (duplicate members, base64 that is not canonical), and any
// without expiry. What it cannot decide it does not accept: without a key set
// every token is refused as unavailable.
package jwt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/aguada-dev/aguada/auth"
)

// MaxToken is the longest token that is looked at, in bytes.
const MaxToken = 8 << 10

// maxLeeway bounds the configured leeway.
const maxLeeway = 5 * time.Minute

// DefaultAlgorithms are accepted where Config names none.
func DefaultAlgorithms() []string { return []string{"RS256", "PS256", "ES256", "ES384", "EdDSA"} }

// asymmetric holds every algorithm that may be configured.
var asymmetric = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

// Config tunes a [Verifier]. The zero value works.
type Config struct {
	// Scheme is the design's name of the scheme. Without it an [auth.Guard]
	// fills it into each principal, at the price of an allocation per call.
	Scheme string
	// Audience lists the names of this service, one of which the token's aud
	// must hold. Where it is empty, a token that has an aud is refused
	// (RFC 7519, 4.1.3).
	Audience []string
	// Algorithms are those that are accepted; DefaultAlgorithms if empty.
	Algorithms []string
	// Types are the accepted values of the typ header, without the prefix
	// "application/" and regardless of case. Where it is empty, typ may be
	// absent, "JWT" or "at+jwt" (RFC 9068).
	Types []string
	// Leeway is how far the issuer's clock may be off, for exp, nbf and iat;
	// at most 5 min.
	Leeway time.Duration
	// Cache is how many verified tokens are remembered; 10,000 if 0, none if
	// negative.
	Cache int
}

// Verifier verifies access tokens of one issuer. It is safe for concurrent
// use.
//
// Verified tokens are remembered under their SHA-256 until they expire or
// their key leaves the set; a remembered one costs no allocation.
type Verifier struct {
	cfg    Config
	keys   *KeySet
	issuer string
	cache  *cache
}

var _ auth.Verifier = (*Verifier)(nil)

// New returns a verifier of the issuer's tokens: its iss claim must be equal
// to issuer. Several verifiers may share a key set; the caller closes it.
func New(keys *KeySet, issuer string, cfg Config) (*Verifier, error) {
	var errs []error
	if keys == nil || (keys.file == nil && keys.remote == nil) {
		errs = append(errs, errors.New("there is no key set"))
	}
	if issuer == "" {
		errs = append(errs, errors.New("there is no issuer"))
	}
	if slices.Contains(cfg.Audience, "") {
		errs = append(errs, errors.New("an audience is empty"))
	}
	if cfg.Leeway < 0 || cfg.Leeway > maxLeeway {
		errs = append(errs, fmt.Errorf("the leeway is not within 0 and %s", maxLeeway))
	}
	cfg.Audience, cfg.Types = slices.Clone(cfg.Audience), slices.Clone(cfg.Types)
	for i := range cfg.Types {
		cfg.Types[i] = mediaType(cfg.Types[i])
	}
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = DefaultAlgorithms()
	}
	cfg.Algorithms = slices.Clone(cfg.Algorithms)
	for _, a := range cfg.Algorithms {
		if !slices.Contains(asymmetric, a) {
			errs = append(errs, fmt.Errorf("algorithm %q is not one of %v; symmetric and absent signatures are never accepted", a, asymmetric))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("make token verifier: %w", err)
	}
	if cfg.Cache == 0 {
		cfg.Cache = 10_000
	}
	return &Verifier{cfg: cfg, keys: keys, issuer: issuer, cache: newCache(cfg.Cache)}, nil
}

// Errors of Verify. Like all of this package they hold no part of the token.
var (
	errLong      = auth.Refuse(auth.Malformed, "the token is longer than 8 KiB")
	errAlgorithm = auth.Refuse(auth.WrongAlgorithm, "the algorithm is not allowed")
	errKeyFit    = auth.Refuse(auth.WrongAlgorithm, "the algorithm does not fit the key")
	errType      = auth.Refuse(auth.WrongType, "typ is not that of an access token")
	errSignature = auth.Refuse(auth.BadSignature, "the signature does not verify")
	errKeyID     = auth.Refuse(auth.Unknown, "no key of the set has the token's key id")
	errNoKeyID   = auth.Refuse(auth.Unknown, "the token names no key id and the set does not have exactly one key that fits")
	errExpired   = auth.Refuse(auth.Expired, "the token expired")
)

// Verify implements [auth.Verifier] by c's Token. The principal's Subject is
// the sub claim, CredentialID is jti, ClientID is client_id or else azp, and
// Scopes come from scope or else scp, each a list or words in one string.
func (v *Verifier) Verify(ctx context.Context, c auth.Credential) (*auth.Principal, error) {
	if len(c.Token) > MaxToken {
		return nil, errLong
	}
	set, err := v.keys.current(ctx)
	if err != nil {
		return nil, err
	}
	id := sum(c.Token)
	if p, err := v.cache.find(id, set, time.Now()); p != nil || err != nil {
		return p, err
	}
	t, err := parseToken(c.Token)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(v.cfg.Algorithms, t.alg) {
		return nil, errAlgorithm
	}
	if !v.typed(t.typ) {
		return nil, errType
	}
	if iss, ok := t.claims["iss"].(string); !ok || iss != v.issuer { // another issuer's keys are not ours to look for
		return nil, errIssuer
	}
	k, err := v.signer(ctx, set, t, c.Token)
	if err != nil {
		return nil, err
	}
	now := time.Now() // after what may have waited for a key
	p, until, err := v.principal(t.claims, now)
	if err != nil {
		return nil, err
	}
	v.cache.store(id, &verified{principal: p, key: k.id, until: until}, now)
	return p, nil
}

// signer returns the key that made the token's signature.
func (v *Verifier) signer(ctx context.Context, set *keySet, t *token, compact string) (*key, error) {
	candidates, err := set.candidates(t.kid, t.named, t.alg)
	if err == errKeyID { //nolint:errorlint // a sentinel of this package, never wrapped
		if set, err = v.keys.newer(ctx, set); err == nil {
			candidates, err = set.candidates(t.kid, t.named, t.alg)
		}
	}
	if err != nil {
		return nil, err
	}
	jws, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(t.alg)})
	if err != nil {
		return nil, errSignature
	}
	for _, k := range candidates {
		if _, err := jws.Verify(k.public); err == nil {
			return k, nil
		}
	}
	return nil, errSignature
}

// typed reports whether a typ header is accepted.
func (v *Verifier) typed(typ string) bool {
	typ = mediaType(typ)
	if len(v.cfg.Types) > 0 {
		return slices.Contains(v.cfg.Types, typ)
	}
	return typ == "" || typ == "jwt" || typ == "at+jwt"
}
