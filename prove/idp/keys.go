package idp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// The algorithms of good tokens (RFC 7518, 3.1; RFC 8037, 3.1).
const (
	RS256 = "RS256" // RSA with 2048 bits
	ES256 = "ES256"
	EdDSA = "EdDSA" // Ed25519
	HS256 = "HS256" // only with Config.HMACSecret
)

// algorithms are those that every generation of keys has one for.
var algorithms = []string{RS256, ES256, EdDSA}

// generation is a set of keys that came into use together. It is immutable.
type generation struct {
	name string
	keys map[string]crypto.Signer // by algorithm
}

func newGeneration(name string) (*generation, error) {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make RSA key: %w", err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make EC key: %w", err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make Ed25519 key: %w", err)
	}
	return &generation{name: name, keys: map[string]crypto.Signer{RS256: r, ES256: e, EdDSA: ed}}, nil
}

// kid returns the id of the generation's key for an algorithm.
func (g *generation) kid(alg string) string { return strings.ToLower(alg) + "-" + g.name }

// jwk returns the public key for an algorithm, under the id that the key of
// another generation has.
func (g *generation) jwk(alg string, ids *generation) jose.JSONWebKey {
	return jose.JSONWebKey{Key: g.keys[alg].Public(), KeyID: ids.kid(alg), Algorithm: alg, Use: "sig"}
}

// jwks returns all public keys under the ids of another generation.
func (g *generation) jwks(ids *generation) []jose.JSONWebKey {
	var list []jose.JSONWebKey
	for _, alg := range algorithms {
		list = append(list, g.jwk(alg, ids))
	}
	return list
}

// rsa returns the generation's public RSA key.
func (g *generation) rsa() *rsa.PublicKey {
	return &g.keys[RS256].(*rsa.PrivateKey).PublicKey
}

// Rotate brings new keys into use: they sign from now on, and are published
// beside the old ones. It is an error where tokens are signed with a secret of
// the service's, which the provider cannot change.
func (p *Provider) Rotate() error {
	if !p.Rotates() {
		return errors.New("rotate keys: tokens are signed with the service's secret")
	}
	if err := p.add(); err != nil {
		return fmt.Errorf("rotate keys: %w", err)
	}
	return nil
}

// Rotates reports whether the provider has keys of its own, which can be changed.
func (p *Provider) Rotates() bool { return len(p.cfg.HMACSecret) == 0 }

// Retire withdraws all keys but those that sign. Tokens that the others signed
// are bad as soon as the service knows it.
func (p *Provider) Retire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.published = []*generation{p.published[len(p.published)-1]}
}

// add makes keys and has them sign.
func (p *Provider) add() error {
	p.mu.Lock()
	p.made++
	n := p.made
	p.mu.Unlock()
	g, err := newGeneration(fmt.Sprint(n)) // takes a while: not under the lock
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.published = append(p.published[:len(p.published):len(p.published)], g)
	return nil
}

// generations returns the published keys, those that sign last.
func (p *Provider) generations() []*generation {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.published
}

// current returns the keys that sign.
func (p *Provider) current() *generation {
	all := p.generations()
	return all[len(all)-1]
}

// signature signs bytes. It does what a signer of go-jose would, but for any
// header and any secret, also those that go-jose refuses.
func signature(alg string, key any, input []byte) ([]byte, error) {
	sum := sha256.Sum256(input)
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if alg == RS256 {
			return rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		}
	case *ecdsa.PrivateKey:
		if alg == ES256 {
			r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
			if err != nil {
				return nil, err
			}
			return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), nil
		}
	case ed25519.PrivateKey:
		if alg == EdDSA {
			return ed25519.Sign(key, input), nil
		}
	case []byte:
		if alg == HS256 {
			mac := hmac.New(sha256.New, key)
			mac.Write(input)
			return mac.Sum(nil), nil
		}
	}
	return nil, fmt.Errorf("no key signs with %q", alg)
}

// certificate returns one for a key, signed by itself.
func certificate(key crypto.Signer) ([]byte, error) {
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "issuer"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	return der, nil
}
