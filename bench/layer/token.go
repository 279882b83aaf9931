package layer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

const (
	issuer   = "https://issuer.bench.test"
	audience = "bench"
	keySet   = "jwks.json"
	secret   = "HS256.key"

	// callers is how many subjects take turns, each with a token of its own.
	callers = 16
)

// scopes are written in one string, as RFC 8693 does.
type scopes []string

// UnmarshalJSON implements json.Unmarshaler.
func (s *scopes) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	*s = strings.Fields(text)
	return nil
}

// Prepare makes keys and tokens for all algorithms in dir, readable by the
// owner only.
func Prepare(dir string) error {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("make keys: %w", err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make keys: %w", err)
	}
	shared := make([]byte, 32)
	_, _ = rand.Read(shared) // never fails
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: &rsaKey.PublicKey, KeyID: "RS256", Algorithm: "RS256", Use: "sig"},
		{Key: &ecKey.PublicKey, KeyID: "ES256", Algorithm: "ES256", Use: "sig"},
	}}
	jwks, err := json.Marshal(set)
	if err != nil {
		return fmt.Errorf("make key set: %w", err)
	}
	errs := []error{write(dir, keySet, jwks), write(dir, secret, shared)}
	for _, k := range []struct {
		method jwt.SigningMethod
		key    any
	}{{jwt.SigningMethodRS256, rsaKey}, {jwt.SigningMethodES256, ecKey}, {jwt.SigningMethodHS256, shared}} {
		errs = append(errs, mint(dir, k.method, k.key))
		if private, ok := k.key.(crypto.Signer); ok {
			der, err := x509.MarshalPKIXPublicKey(private.Public())
			errs = append(errs, err, write(dir, k.method.Alg()+".pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
		}
	}
	return errors.Join(errs...)
}

func write(dir, name string, data []byte) error {
	return os.WriteFile(filepath.Join(dir, name), data, 0o600)
}

// mint writes the callers' tokens, one per line.
func mint(dir string, method jwt.SigningMethod, key any) error {
	var lines strings.Builder
	now := time.Now()
	for i := range callers {
		t := jwt.NewWithClaims(method, jwt.MapClaims{
			"iss": issuer, "aud": audience, "sub": "caller-" + strconv.Itoa(i), "jti": rand.Text(),
			"iat": now.Unix(), "exp": now.Add(2 * time.Hour).Unix(), "scope": "api:read api:write",
		})
		t.Header["kid"] = method.Alg()
		text, err := t.SignedString(key)
		if err != nil {
			return fmt.Errorf("sign token: %w", err)
		}
		lines.WriteString(text + "\n")
	}
	return write(dir, method.Alg()+".tokens", []byte(lines.String()))
}

// loadTokens reads the callers' tokens. Layers that do not look at them get
// those of RS256.
func loadTokens(spec Spec) ([]string, error) {
	name := spec.Algorithm
	if name == "" {
		name = "RS256"
	}
	text, err := os.ReadFile(filepath.Join(spec.Dir, name+".tokens"))
	if err != nil {
		return nil, fmt.Errorf("load tokens: %w", err)
	}
	return strings.Fields(string(text)), nil
}

// loadKey reads the key that verifies the spec's tokens.
func loadKey(spec Spec) (any, error) {
	if spec.Algorithm == "HS256" {
		return os.ReadFile(filepath.Join(spec.Dir, secret))
	}
	text, err := os.ReadFile(filepath.Join(spec.Dir, spec.Algorithm+".pem"))
	if err != nil {
		return nil, fmt.Errorf("load key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("load key: %s holds none", spec.Algorithm+".pem")
	}
	return x509.ParsePKIXPublicKey(block.Bytes)
}
