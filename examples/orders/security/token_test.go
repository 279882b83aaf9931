package security

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

// signer is a key that signs tokens, and those that no library would sign.
type signer struct {
	id  string
	alg string
	key crypto.Signer
}

func newSigner(t testing.TB, alg, id string) *signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch alg {
	case "RS256":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &signer{id: id, alg: alg, key: key}
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// jwk returns the public key as a member of a key set.
func (s *signer) jwk() map[string]any {
	m := map[string]any{"kid": s.id, "alg": s.alg, "use": "sig"}
	switch key := s.key.Public().(type) {
	case *rsa.PublicKey:
		m["kty"], m["n"], m["e"] = "RSA", b64(key.N.Bytes()), b64(big.NewInt(int64(key.E)).Bytes())
	case *ecdsa.PublicKey:
		point, _ := key.Bytes()
		m["kty"], m["crv"], m["x"], m["y"] = "EC", "P-256", b64(point[1:33]), b64(point[33:])
	case ed25519.PublicKey:
		m["kty"], m["crv"], m["x"] = "OKP", "Ed25519", b64(key)
	}
	return m
}

// set returns a key set.
func set(keys ...*signer) []byte {
	all := []any{}
	for _, k := range keys {
		all = append(all, k.jwk())
	}
	data, _ := json.Marshal(map[string]any{"keys": all})
	return data
}

// pem returns the public key as it is often published: whoever takes it for
// the secret of HS256 can be told anything.
func (s *signer) pem() []byte {
	der, _ := x509.MarshalPKIXPublicKey(s.key.Public())
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// sign signs by an algorithm, whatever the header says of it.
func (s *signer) sign(alg, input string) []byte {
	var sig []byte
	switch alg {
	case "RS256":
		sum := sha256.Sum256([]byte(input))
		sig, _ = s.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	case "RS384":
		sum := sha512.Sum384([]byte(input))
		sig, _ = s.key.Sign(rand.Reader, sum[:], crypto.SHA384)
	case "PS256":
		sum := sha256.Sum256([]byte(input))
		sig, _ = rsa.SignPSS(rand.Reader, s.key.(*rsa.PrivateKey), crypto.SHA256, sum[:], nil)
	case "ES256":
		sum := sha256.Sum256([]byte(input))
		r, v, _ := ecdsa.Sign(rand.Reader, s.key.(*ecdsa.PrivateKey), sum[:])
		sig = append(r.FillBytes(make([]byte, 32)), v.FillBytes(make([]byte, 32))...)
	case "EdDSA":
		sig, _ = s.key.Sign(rand.Reader, []byte(input), crypto.Hash(0))
	case "HS256":
		mac := hmac.New(sha256.New, s.pem())
		mac.Write([]byte(input))
		sig = mac.Sum(nil)
	}
	return sig
}

// members are those of a header or of claims; nil takes one away.
type members map[string]any

func (m members) json() string {
	for name, value := range m {
		if value == nil {
			delete(m, name)
		}
	}
	data, _ := json.Marshal(m)
	return string(data)
}

// with returns the members with others.
func (m members) with(others members) members {
	all := members{}
	for _, from := range []members{m, others} {
		for name, value := range from {
			all[name] = value
		}
	}
	return all
}

// token is a token in the making.
type token struct {
	by     *signer
	alg    string  // by which it is signed; the header's if empty
	header members // beside alg, kid and typ
	claims members // beside those of a good token
	// rawHeader and rawClaims are JSON texts in their place.
	rawHeader, rawClaims string
}

// fine are the claims of a token that is accepted, for an hour.
func fine() members {
	now := time.Now()
	return members{
		"iss": issuer, "sub": "mallory", "aud": audience, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"jti": rand.Text(), "scope": "api:read",
	}
}

// String returns the compact serialisation.
func (k token) String() string {
	header := members{"alg": k.by.alg, "kid": k.by.id, "typ": "at+jwt"}.with(k.header)
	alg := k.alg
	if alg == "" {
		alg, _ = header["alg"].(string)
	}
	head, claims := k.rawHeader, k.rawClaims
	if head == "" {
		head = header.json()
	}
	if claims == "" {
		claims = fine().with(k.claims).json()
	}
	input := b64([]byte(head)) + "." + b64([]byte(claims))
	return input + "." + b64(k.by.sign(alg, input))
}

// insert puts a text behind the first brace of a JSON object: a member in front
// of the others, also one that is there already.
func insert(object, member string) string { return strings.Replace(object, "{", "{"+member+",", 1) }
