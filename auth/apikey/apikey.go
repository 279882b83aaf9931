// Package apikey makes, keeps and verifies API keys, of which only a keyed
// digest is stored.
//
//	keys, err := apikey.Open("keys.json", apikey.Peppers{Current: pepper}, apikey.Config{Scheme: "api_key"})
//	...
//	principal, err := keys.Verify(ctx, auth.Credential{Token: token})
//
// A key has a life: it is made for an owner with scopes and an end
// ([Registry.Create]), rotated ([Registry.Rotate]: its successor is good at
// once, and it stays good for a grace period), and revoked
// ([Registry.Revoke]). Keys are kept in a file ([FileStore]), in an SQL
// database (package sqlkeys), or wherever a team's own [Store] has them.
//
// # What is stored
//
// A [Record] holds the HMAC-SHA256 of the whole key by a pepper, a secret that
// the store does not have. Whoever reads the store can neither make a key nor
// guess one. The record also says by which pepper ([PepperID]), so that the
// pepper can be replaced (see [Peppers]) and no key is tried against two.
//
// # How soon a revocation counts
//
// A [Verifier] of a file follows it within [Config.Interval], 1 s by default. A
// Verifier of a [Store] never accepts a key by what it learned more than
// [Limit], 10 s, ago: a revocation counts everywhere after that time, whichever
// replica made it and also if this replica cannot reach the database. Then it
// refuses every key as [auth.Unavailable]: it fails closed.
//
// The package never prints, logs or stores a key, nor any part of one but its
// id, which is not secret.
package apikey

import (
	"encoding/base32"
	"errors"
	"hash/crc32"
	"strings"
)

// Prefix begins every API key, so that scanners for leaked secrets find it.
const Prefix = "agd_"

// The grammar of an API key is
//
//	agd_ID_SECRETCHECK
//
// with an ID of 1 to 32 characters a-z and 0-9, 160 random bits as 32
// characters of lower-case base32 (RFC 4648), and the CRC-32 (IEEE) of all that
// stands before it as 7 such characters.
const (
	maxKeyID  = 32
	keySecret = 32
	keyCheck  = 7
)

const keyAlphabet = "abcdefghijklmnopqrstuvwxyz234567"

var keyEncoding = base32.NewEncoding(keyAlphabet).WithPadding(base32.NoPadding)

var errForm = errors.New("not in the form of an API key")

// ID returns the id of a key that is in the form of one, with the right check
// characters. The id is not secret; it names the key's [Record].
func ID(key string) (string, error) {
	id, ok := keyID(key)
	if !ok {
		return "", errForm
	}
	return strings.Clone(id), nil
}

// keySum returns the check characters of what stands before them.
func keySum(s string) [keyCheck]byte {
	crc := ^uint32(0)
	for i := range len(s) { // as crc32.ChecksumIEEE, which would need a copy
		crc = crc32.IEEETable[byte(crc)^s[i]] ^ crc>>8
	}
	var out [keyCheck]byte
	for i := range out {
		out[keyCheck-1-i] = keyAlphabet[^crc>>(5*i)&31]
	}
	return out
}

// keyID returns the id of a key that is in the form of one. The id shares the
// key's memory: clone it to keep it.
func keyID(key string) (string, bool) {
	rest, ok := strings.CutPrefix(key, Prefix)
	if !ok {
		return "", false
	}
	if len(rest) > maxKeyID+1+keySecret+keyCheck {
		return "", false
	}
	id, secret, ok := strings.Cut(rest, "_")
	if !ok || !validKeyID(id) || len(secret) != keySecret+keyCheck {
		return "", false
	}
	for i := range len(secret) {
		if c := secret[i]; (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return "", false
		}
	}
	check := keySum(key[:len(key)-keyCheck])
	return id, string(check[:]) == key[len(key)-keyCheck:]
}

func validKeyID(id string) bool {
	for i := range len(id) {
		if c := id[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return id != "" && len(id) <= maxKeyID
}
