package state

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Algorithms that a signing key may be for (RFC 7518, RFC 8037).
const (
	ES256 = "ES256"
	RS256 = "RS256"
	EdDSA = "EdDSA"
)

// KeyLead is how long a new key is published before it signs: whoever fetched
// the key set too recently to look again for an unknown key has it by then.
const KeyLead = 15 * time.Second

// Key is a signing key.
type Key struct {
	ID        string
	Algorithm string
	Private   crypto.Signer
	Created   time.Time
	// Signs is from when the key signs, until a later one does.
	Signs time.Time
	// TokensUntil is when the last token that the key signed ends.
	TokensUntil time.Time
}

// newKey makes a key and its PKCS #8 form.
func newKey(algorithm string) (k Key, private []byte, err error) {
	k = Key{ID: rand.Text(), Algorithm: algorithm}
	switch algorithm {
	case ES256:
		k.Private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RS256:
		k.Private, err = rsa.GenerateKey(rand.Reader, 2048)
	case EdDSA:
		_, k.Private, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("algorithm %q is not one of ES256, RS256, EdDSA", algorithm)
	}
	if err != nil {
		return Key{}, nil, err
	}
	private, err = x509.MarshalPKCS8PrivateKey(k.Private)
	return k, private, err
}

// RotateKey makes a new key, which is published at once and signs after
// KeyLead. The former keys are published until their last tokens end. With
// drop the new key signs at once, the former ones go, and what they signed
// counts as revoked.
func (t *Tx) RotateKey(algorithm string, drop bool, now time.Time) (Key, error) {
	k, private, err := newKey(algorithm)
	if err != nil {
		return Key{}, fmt.Errorf("rotate key: %w", err)
	}
	k.Created, k.Signs = now, now.Add(KeyLead)
	if drop {
		k.Signs = now
		err = errors.Join(
			t.exec(`DELETE FROM signing_keys`),
			t.exec(`UPDATE access_tokens SET revoked = 1 WHERE key_id <> ''`))
	} else {
		err = t.exec(`DELETE FROM signing_keys WHERE tokens_until <= ?1
			AND signs < (SELECT max(signs) FROM signing_keys WHERE signs <= ?1)`, now.Unix())
	}
	if err == nil {
		err = t.exec(`INSERT INTO signing_keys VALUES (?, ?, ?, ?, ?, 0)`, k.ID, k.Algorithm, private, now.Unix(), k.Signs.Unix())
	}
	if err != nil {
		return Key{}, fmt.Errorf("rotate key: %w", err)
	}
	return k, nil
}

// Keys returns the keys that are published: the one that signs first, then
// those that will, then those that have tokens at the time now.
func (t *Tx) Keys(now time.Time) (keys []Key, err error) {
	rows, err := t.tx.QueryContext(t.ctx, `SELECT id, algorithm, private, created, signs, tokens_until FROM signing_keys
		WHERE signs > ?1 OR tokens_until > ?1 OR signs = (SELECT max(signs) FROM signing_keys WHERE signs <= ?1)
		ORDER BY signs = (SELECT max(signs) FROM signing_keys WHERE signs <= ?1) DESC, signs DESC, created DESC, id`, now.Unix())
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var k Key
		var private []byte
		var created, signs, until int64
		if err := rows.Scan(&k.ID, &k.Algorithm, &private, &created, &signs, &until); err != nil {
			return nil, fmt.Errorf("read keys: %w", err)
		}
		parsed, err := x509.ParsePKCS8PrivateKey(private)
		if err != nil {
			return nil, fmt.Errorf("read key %s: %w", k.ID, err)
		}
		signer, ok := parsed.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("read key %s: it cannot sign", k.ID)
		}
		k.Private, k.Created, k.Signs, k.TokensUntil = signer, time.Unix(created, 0), time.Unix(signs, 0), time.Unix(until, 0)
		keys = append(keys, k)
	}
	return keys, rows.Err()
}

// SigningKey returns the key that signs now, and remembers that it signs a
// token which ends at until.
func (t *Tx) SigningKey(now, until time.Time) (Key, error) {
	keys, err := t.Keys(now)
	if err != nil {
		return Key{}, err
	}
	if len(keys) == 0 || keys[0].Signs.After(now) {
		return Key{}, errors.New("read keys: none signs")
	}
	// A token is good for the second in which it ends, and for a clock's error.
	const margin = 5 * time.Minute
	if err := t.exec(`UPDATE signing_keys SET tokens_until = max(tokens_until, ?) WHERE id = ?`, until.Add(margin).Unix(), keys[0].ID); err != nil {
		return Key{}, fmt.Errorf("use key: %w", err)
	}
	return keys[0], nil
}
