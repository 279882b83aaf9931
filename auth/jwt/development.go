package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// DevelopmentKey signs tokens for development and tests. It is no issuer:
// nothing protects it but the mode of its file.
type DevelopmentKey struct {
	private *ecdsa.PrivateKey
	id      string
}

// NewDevelopmentKey makes an ES256 key whose id is its thumbprint (RFC 7638).
func NewDevelopmentKey() (*DevelopmentKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make development key: %w", err)
	}
	return developmentKey(private)
}

func developmentKey(private *ecdsa.PrivateKey) (*DevelopmentKey, error) {
	jwk := jose.JSONWebKey{Key: &private.PublicKey}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("make development key: %w", err)
	}
	return &DevelopmentKey{private: private, id: base64.RawURLEncoding.EncodeToString(sum)}, nil
}

// LoadDevelopmentKey reads a key that Save wrote. A file that others may read
// is an error.
func LoadDevelopmentKey(path string) (*DevelopmentKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("load development key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("load development key: others may read %s: chmod 600 it, or delete it for a new one", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load development key: %w", err)
	}
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(data); err != nil {
		return nil, fmt.Errorf("load development key: %s is not a key", path)
	}
	private, ok := jwk.Key.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return nil, fmt.Errorf("load development key: %s is not a private key for ES256", path)
	}
	return developmentKey(private)
}

// Save writes the key, readable by its owner only, and the key set with its
// public half, for [NewFileKeySet]. Each file is replaced whole.
func (k *DevelopmentKey) Save(privatePath, setPath string) error {
	private, err := json.Marshal(k.jwk(k.private))
	if err != nil {
		return fmt.Errorf("save development key: %w", err)
	}
	set, err := json.MarshalIndent(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{k.jwk(&k.private.PublicKey)}}, "", "  ")
	if err != nil {
		return fmt.Errorf("save development key: %w", err)
	}
	if err := replace(privatePath, private, 0o600); err != nil {
		return fmt.Errorf("save development key: %w", err)
	}
	if err := replace(setPath, append(set, '\n'), 0o644); err != nil {
		return fmt.Errorf("save development key set: %w", err)
	}
	return nil
}

func (k *DevelopmentKey) jwk(key any) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key, KeyID: k.id, Algorithm: "ES256", Use: "sig"}
}

// replace writes a file under another name and renames it.
func replace(path string, data []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // fails once renamed
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Claims are what a development token says.
type Claims struct {
	Issuer   string
	Subject  string
	Audience []string
	Scopes   []string
	// Lifetime is how long the token is good from now; 1 h if 0.
	Lifetime time.Duration
}

// Mint signs a token with a random jti. Issuer and Subject are required.
func (k *DevelopmentKey) Mint(c Claims) (string, error) {
	if c.Issuer == "" || c.Subject == "" || c.Lifetime < 0 {
		return "", errors.New("mint token: it needs an issuer, a subject and a lifetime that is not negative")
	}
	if c.Lifetime == 0 {
		c.Lifetime = time.Hour
	}
	now := time.Now()
	claims := map[string]any{
		"iss": c.Issuer, "sub": c.Subject, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(c.Lifetime).Unix(),
	}
	if len(c.Audience) > 0 {
		claims["aud"] = c.Audience
	}
	if len(c.Scopes) > 0 {
		claims["scope"] = strings.Join(c.Scopes, " ")
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	opts := (&jose.SignerOptions{}).WithType("JWT")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: k.jwk(k.private)}, opts)
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	return token, nil
}
