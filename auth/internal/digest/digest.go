// Package digest makes keyed digests of credentials.
package digest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
)

// Digest is HMAC-SHA256 (RFC 2104) with a fixed key. Unlike crypto/hmac it
// does not allocate, and it is safe for concurrent use.
type Digest struct {
	inner, outer [sha256.BlockSize]byte // the key XORed with ipad and opad
}

// New returns the digest with a key.
func New(key []byte) *Digest {
	if len(key) > sha256.BlockSize {
		sum := sha256.Sum256(key)
		key = sum[:]
	}
	d := &Digest{}
	copy(d.inner[:], key)
	copy(d.outer[:], key)
	for i := range d.inner {
		d.inner[i] ^= 0x36
		d.outer[i] ^= 0x5c
	}
	return d
}

// Random returns a digest whose key lives and dies with the process.
func Random() (*Digest, error) {
	var key [sha256.Size]byte
	if _, err := rand.Read(key[:]); err != nil {
		return nil, err
	}
	return New(key[:]), nil
}

// Text returns the HMAC of s.
func (d *Digest) Text(s string) [sha256.Size]byte {
	var buf [sha256.BlockSize + 192]byte
	return d.finish(append(append(buf[:0], d.inner[:]...), s...))
}

// Pair returns the HMAC of a and b, told apart by the length of a.
func (d *Digest) Pair(a, b string) [sha256.Size]byte {
	var buf [sha256.BlockSize + 192]byte
	m := append(buf[:0], d.inner[:]...)
	m = binary.BigEndian.AppendUint64(m, uint64(len(a)))
	return d.finish(append(append(m, a...), b...))
}

// finish hashes a message that begins with the inner key, and erases it.
func (d *Digest) finish(message []byte) [sha256.Size]byte {
	sum := sha256.Sum256(message)
	clear(message)
	var buf [sha256.BlockSize + sha256.Size]byte
	m := append(buf[:0], d.outer[:]...)
	return sha256.Sum256(append(m, sum[:]...))
}
