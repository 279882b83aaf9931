package idp

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"
)

// Claims is what a token shall hold. What is left empty is as in
// Config.Claims, and else as said here.
type Claims struct {
	// Subject is sub; "prover" if empty.
	Subject string
	// Scopes are the words of scope, which is not there if they are nil.
	Scopes []string
	// ClientID is client_id; "prover" if empty.
	ClientID string
	// Lifetime is how long after now exp is; 1 h if 0.
	Lifetime time.Duration
	// Algorithm signs the token: RS256 if empty, or HS256 where there is
	// Config.HMACSecret, which allows no other.
	Algorithm string
	// Type is the typ of the header; "at+jwt" (RFC 9068) if empty.
	Type string
	// Extra are further claims, which win over all others; nil takes a claim
	// away.
	Extra map[string]any
}

// or returns c, completed from d.
func (c Claims) or(d Claims) Claims {
	for _, s := range []struct {
		to   *string
		from string
	}{{&c.Subject, d.Subject}, {&c.ClientID, d.ClientID}, {&c.Algorithm, d.Algorithm}, {&c.Type, d.Type}} {
		if *s.to == "" {
			*s.to = s.from
		}
	}
	if c.Scopes == nil {
		c.Scopes = d.Scopes
	}
	if c.Lifetime == 0 {
		c.Lifetime = d.Lifetime
	}
	extra := maps.Clone(d.Extra)
	if extra == nil {
		extra = map[string]any{}
	}
	maps.Copy(extra, c.Extra)
	c.Extra = extra
	return c
}

// complete returns the claims as they are for a token.
func (p *Provider) complete(c Claims) Claims {
	usual := Claims{Subject: "prover", ClientID: "prover", Lifetime: time.Hour, Algorithm: RS256, Type: "at+jwt"}
	if len(p.cfg.HMACSecret) > 0 {
		usual.Algorithm = HS256
	}
	return c.or(p.cfg.Claims).or(usual)
}

// members returns the claims as members of a JSON object.
func (p *Provider) members(c Claims) map[string]any {
	now := time.Now()
	m := map[string]any{
		"iss": p.Issuer(), "sub": c.Subject, "client_id": c.ClientID, "jti": random(16),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(c.Lifetime).Unix(),
	}
	if p.cfg.Audience != "" {
		m["aud"] = p.cfg.Audience
	}
	if p.cfg.Name != "" {
		m["iss"] = p.cfg.Name
	}
	p.scopes(m, c.Scopes)
	maps.Copy(m, c.Extra)
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	return m
}

// scopes puts scopes where the service looks for them.
func (p *Provider) scopes(m map[string]any, scopes []string) {
	name := p.cfg.ScopeClaim
	if name == "" {
		name = "scope"
	}
	switch {
	case scopes == nil:
	case p.cfg.ScopeList:
		m[name] = append([]string{}, scopes...)
	default:
		m[name] = strings.Join(scopes, " ")
	}
}

// Sign returns a token that the service should accept, by the profile of
// RFC 9068: with iss, aud, sub, client_id, iat, nbf, exp, jti and the scope.
// Introspection calls it active until it expires or is revoked.
func (p *Provider) Sign(c Claims) (string, error) {
	d, err := p.draft(c)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	token, err := d.token()
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	if p.cfg.Introspection {
		p.remember(token, issued)
	}
	return token, nil
}

// draft is a token before it is signed: a good one, for who does not change it.
type draft struct {
	header, claims         map[string]any
	headerText, claimsText string      // in their place, unless empty
	issuing                *generation // the keys that sign good tokens
	alg                    string      // what signs; header says it too, or something else
	key                    any
}

func (p *Provider) draft(c Claims) (*draft, error) {
	c = p.complete(c)
	g := p.current()
	d := &draft{header: map[string]any{"alg": c.Algorithm, "typ": c.Type}, claims: p.members(c), issuing: g, alg: c.Algorithm}
	if len(p.cfg.HMACSecret) > 0 {
		if c.Algorithm != HS256 {
			return nil, fmt.Errorf("algorithm %q is not that of the service's secret", c.Algorithm)
		}
		d.key = p.cfg.HMACSecret
		return d, nil
	}
	key, ok := g.keys[c.Algorithm]
	if !ok {
		return nil, fmt.Errorf("algorithm %q is not one of %v", c.Algorithm, algorithms)
	}
	d.header["kid"], d.key = g.kid(c.Algorithm), key
	return d, nil
}

// input returns what is signed: two parts of the three.
func (d *draft) input() (string, error) {
	header, err := part(d.header, d.headerText)
	if err != nil {
		return "", fmt.Errorf("encode header: %w", err)
	}
	claims, err := part(d.claims, d.claimsText)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	return header + "." + claims, nil
}

// token returns the signed token in its compact form (RFC 7515, 7.1).
func (d *draft) token() (string, error) {
	input, err := d.input()
	if err != nil {
		return "", err
	}
	return d.signed(input)
}

// signed returns the input and the signature of it.
func (d *draft) signed(input string) (string, error) {
	s, err := signature(d.alg, d.key, []byte(input))
	if err != nil {
		return "", err
	}
	return input + "." + encode(s), nil
}

// part encodes a part of a token: the text, unless it is empty, or the members.
func part(members map[string]any, text string) (string, error) {
	if text != "" {
		return encode([]byte(text)), nil
	}
	b, err := json.Marshal(members)
	return encode(b), err
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
