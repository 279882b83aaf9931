// Package jwt verifies access tokens: signed JSON Web Tokens (RFC 7519)
// against the public keys (RFC 7517) of their issuers, with the advice of
// RFC 8725.
//
//	keys, err := jwt.NewIssuerKeySet("https://issuer.example/", jwt.KeySetConfig{})
//	...
//	defer keys.Close()
//	v, err := jwt.New([]jwt.Issuer{{Name: "https://issuer.example/", Keys: keys}}, jwt.Config{
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
	// must hold, for issuers that have no list of their own. Where it is
	// empty, a token that has an aud is refused (RFC 7519, 4.1.3).
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
	// MaxAge is how long after its iat a token is good, leeway included, even
	// where exp lies later; iat is required then. There is no such bound if 0.
	MaxAge time.Duration
	// Cache is how many verified tokens are remembered; 10,000 if 0, none if
	// negative, and else 2 at least. The older half is forgotten when there are
	// more.
	Cache int
}

// Issuer is one whose tokens a [Verifier] accepts.
type Issuer struct {
	// Name is what iss must be equal to, byte by byte.
	Name string
	// Keys verify the tokens of this issuer, and only of this one. Issuers may
	// share a key set where they are names of one party.
	Keys *KeySet
	// Audience lists this service's names in tokens of this issuer;
	// Config.Audience if nil. It is empty, not nil, where tokens have no aud.
	Audience []string
}

// Verifier verifies access tokens. It is safe for concurrent use.
//
// Verified tokens are remembered under their SHA-256 until they expire or
// their key leaves its issuer's set; a remembered one costs no allocation.
// Tokens that are refused are not remembered.
type Verifier struct {
	cfg     Config
	issuers map[string]*Issuer
	cache   *cache
}

var _ auth.Verifier = (*Verifier)(nil)

// New returns a verifier of the tokens of some issuers. The iss claim says
// whose keys and audience are asked; a key of one issuer never verifies a token
// of another. The caller closes the key sets.
func New(issuers []Issuer, cfg Config) (*Verifier, error) {
	v := &Verifier{issuers: make(map[string]*Issuer, len(issuers))}
	var errs []error
	if len(issuers) == 0 {
		errs = append(errs, errors.New("there is no issuer"))
	}
	for i, from := range issuers {
		if from.Name == "" {
			errs = append(errs, fmt.Errorf("issuer %d has no name", i+1))
		}
		if from.Keys == nil || (from.Keys.file == nil && from.Keys.remote == nil) {
			errs = append(errs, fmt.Errorf("issuer %q has no key set", from.Name))
		}
		if v.issuers[from.Name] != nil {
			errs = append(errs, fmt.Errorf("issuer %q is there twice", from.Name))
		}
		if from.Audience == nil {
			from.Audience = cfg.Audience
		}
		if slices.Contains(from.Audience, "") {
			errs = append(errs, fmt.Errorf("an audience of issuer %q is empty", from.Name))
		}
		from.Audience = slices.Clone(from.Audience)
		v.issuers[from.Name] = &from
	}
	var err error
	v.cfg, err = cfg.complete()
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, fmt.Errorf("make token verifier: %w", err)
	}
	v.cache = newCache(v.cfg.Cache)
	return v, nil
}

// complete checks a configuration and fills in what is usual.
func (cfg Config) complete() (Config, error) {
	var errs []error
	if cfg.Leeway < 0 || cfg.Leeway > maxLeeway {
		errs = append(errs, fmt.Errorf("the leeway is not within 0 and %s", maxLeeway))
	}
	if cfg.MaxAge < 0 {
		errs = append(errs, errors.New("the maximum age is negative"))
	}
	cfg.Types = slices.Clone(cfg.Types)
	for i := range cfg.Types {
		if cfg.Types[i] = mediaType(cfg.Types[i]); cfg.Types[i] == "" {
			errs = append(errs, errors.New("a type is empty"))
		}
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
	if cfg.Cache == 0 {
		cfg.Cache = 10_000
	}
	return cfg, errors.Join(errs...)
}

// Errors of Verify. Like all of this package they hold no part of the token.
var (
	errLong      = auth.Refuse(auth.Malformed, "the token is longer than 8 KiB")
	errAlgorithm = auth.Refuse(auth.WrongAlgorithm, "the algorithm is not allowed")
	errKeyFit    = auth.Refuse(auth.WrongAlgorithm, "the algorithm does not fit the key")
	errType      = auth.Refuse(auth.WrongType, "typ is not that of an access token")
	errSignature = auth.Refuse(auth.BadSignature, "the signature does not verify")
	errKeyID     = auth.Refuse(auth.UnknownKey, "no key of the set has the token's key id")
	errNoKeyID   = auth.Refuse(auth.UnknownKey, "the token names no key id and the set does not have exactly one key that fits")
	errExpired   = auth.Refuse(auth.Expired, "the token expired")
)

// Verify implements [auth.Verifier] by c's Token. The principal's Subject is
// the sub claim, CredentialID is jti, ClientID is client_id or else azp, and
// Scopes come from scope or else scp, each a list or words in one string.
func (v *Verifier) Verify(ctx context.Context, c auth.Credential) (*auth.Principal, error) {
	if len(c.Token) > MaxToken {
		return nil, errLong
	}
	p, id, err := v.remembered(ctx, c.Token)
	if p != nil || err != nil {
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
	iss, _ := t.claims["iss"].(string)
	from := v.issuers[iss] // none has the name ""
	if from == nil {       // another issuer's keys are not ours to look for
		return nil, errIssuer
	}
	k, err := from.Keys.signer(ctx, t, c.Token)
	if err != nil {
		return nil, err
	}
	now := time.Now() // after what may have waited for a key
	p, until, err := v.principal(from, t.claims, now)
	if err != nil {
		return nil, err
	}
	e := &verified{principal: p, from: from, key: k.id, until: until}
	v.cache.store(id, e)
	v.cache.index(c.Token, e)
	return p, nil
}

// remembered returns the principal of a token that was verified before, or the
// token's digest where it must be verified.
func (v *Verifier) remembered(ctx context.Context, token string) (*auth.Principal, digest, error) {
	var id digest
	e := v.cache.recall(token)
	indexed := e != nil
	if !indexed {
		id = sum(token)
		if e = v.cache.find(id); e == nil {
			return nil, id, nil
		}
	}
	set, err := e.from.Keys.current(ctx)
	if err != nil {
		return nil, id, err
	}
	now := time.Now()
	if e.good(set, now) {
		if !indexed {
			v.cache.index(token, e)
		}
		return e.principal, id, nil
	}
	if indexed {
		id = sum(token)
	}
	v.cache.forget(token, id, e)
	if !now.Before(e.until) {
		return nil, id, errExpired
	}
	return nil, id, nil // its key left
}

// signer returns the key of the set that made the token's signature.
func (k *KeySet) signer(ctx context.Context, t *token, compact string) (*key, error) {
	set, err := k.current(ctx)
	if err != nil {
		return nil, err
	}
	candidates, err := set.candidates(t.kid, t.named, t.alg)
	if err == errKeyID { //nolint:errorlint // a sentinel of this package, never wrapped
		if set, err = k.newer(ctx, set); err == nil {
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
