package jwt

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/aguada-dev/aguada/auth/internal/endpoint"
	"github.com/aguada-dev/aguada/auth/internal/object"
)

// Bounds of a key set.
const (
	maxSet  = 1 << 20 // bytes
	maxKeys = 100
	minRSA  = 2048 // bits
	maxRSA  = 8192
)

// key is a public key that may verify tokens.
type key struct {
	id         digest // tells it from all others: material, key id and algorithms
	kid        string
	named      bool // it has a key id
	algorithms []string
	public     any
}

// keySet is one version of a key set. It is immutable.
type keySet struct {
	sum     digest
	keys    []*key
	ids     map[digest]struct{}
	skipped []string // why keys of the set are not used
}

// candidates returns the keys that may have signed a token.
func (s *keySet) candidates(kid string, named bool, alg string) ([]*key, error) {
	var fit []*key
	known := false
	for _, k := range s.keys {
		if named && (!k.named || k.kid != kid) {
			continue
		}
		known = true
		if slices.Contains(k.algorithms, alg) {
			fit = append(fit, k)
		}
	}
	switch {
	case named && !known:
		return nil, errKeyID
	case named && len(fit) == 0:
		return nil, errKeyFit
	case !named && len(fit) != 1:
		return nil, errNoKeyID
	}
	return fit, nil
}

// parseSet reads a JSON Web Key Set. A private or a symmetric key in it is an
// error; keys that are not for signatures, or that this package cannot use,
// are skipped; a set that has keys but none to use is an error.
func parseSet(data []byte) (*keySet, error) {
	if len(data) > maxSet {
		return nil, fmt.Errorf("the key set is larger than %d bytes", maxSet)
	}
	members, err := object.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("the key set is %w", err)
	}
	list, ok := members["keys"].([]any)
	if !ok {
		return nil, errors.New(`the key set has no list "keys"`)
	}
	if len(list) > maxKeys {
		return nil, fmt.Errorf("the key set has more than %d keys", maxKeys)
	}
	s := &keySet{sum: sha256.Sum256(data), ids: map[digest]struct{}{}}
	for i, v := range list {
		jwk, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("key %d is not an object", i+1)
		}
		if secret(jwk) {
			return nil, fmt.Errorf("key %d is private or symmetric: publish only its public half, and replace the key where others could read it", i+1)
		}
		k, err := parseKey(jwk)
		if err != nil {
			s.skipped = append(s.skipped, fmt.Sprintf("key %d: %v", i+1, err))
			continue
		}
		s.keys = append(s.keys, k)
		s.ids[k.id] = struct{}{}
	}
	if len(list) > 0 && len(s.keys) == 0 {
		return nil, fmt.Errorf("the key set has no key to use: %s", strings.Join(s.skipped, "; "))
	}
	return s, nil
}

// secret reports whether a key has members that must not be published.
func secret(jwk map[string]any) bool {
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv", "seed"} {
		if _, ok := jwk[name]; ok {
			return true
		}
	}
	return jwk["kty"] == "oct"
}

// parseKey reads one public key.
func parseKey(jwk map[string]any) (*key, error) {
	if use, ok := jwk["use"]; ok && use != "sig" {
		return nil, errors.New("its use is not sig")
	}
	if ops, ok := jwk["key_ops"]; ok {
		if list, ok := ops.([]any); !ok || !slices.Contains(list, any("verify")) {
			return nil, errors.New("its key_ops do not hold verify")
		}
	}
	material := map[string]any{}
	for _, name := range []string{"kty", "crv", "n", "e", "x", "y"} {
		if v, ok := jwk[name]; ok {
			material[name] = v
		}
	}
	text, err := json.Marshal(material)
	if err != nil {
		return nil, fmt.Errorf("encode it: %w", err)
	}
	var parsed jose.JSONWebKey
	if err := parsed.UnmarshalJSON(text); err != nil {
		return nil, fmt.Errorf("it is not a key: %w", endpoint.Brief(err))
	}
	k := &key{public: parsed.Key}
	if k.algorithms, err = algorithms(parsed.Key); err != nil {
		return nil, err
	}
	if alg, ok := jwk["alg"]; ok {
		only, _ := alg.(string)
		if !slices.Contains(k.algorithms, only) {
			return nil, errors.New("its alg is not one that it can verify")
		}
		k.algorithms = []string{only}
	}
	if kid, ok := jwk["kid"]; ok {
		if k.kid, k.named = kid.(string); !k.named {
			return nil, errors.New("its kid is not a string")
		}
	}
	k.id = sha256.Sum256(fmt.Appendf(nil, "%s\n%q %t\n%q", text, k.kid, k.named, k.algorithms))
	return k, nil
}

// algorithms returns what a public key can verify.
func algorithms(public any) ([]string, error) {
	switch public := public.(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < minRSA || bits > maxRSA {
			return nil, fmt.Errorf("its modulus is not within %d and %d bits", minRSA, maxRSA)
		}
		if public.E < 3 || public.E%2 == 0 {
			return nil, errors.New("its exponent is not an odd number from 3")
		}
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, nil
	case *ecdsa.PublicKey:
		switch public.Curve {
		case elliptic.P256():
			return []string{"ES256"}, nil
		case elliptic.P384():
			return []string{"ES384"}, nil
		case elliptic.P521():
			return []string{"ES512"}, nil
		}
	case ed25519.PublicKey:
		return []string{"EdDSA"}, nil
	}
	return nil, errors.New("its type is not one for signatures")
}
