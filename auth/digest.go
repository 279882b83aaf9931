package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
)

// digest is HMAC-SHA256 (RFC 2104) with a fixed key. Unlike crypto/hmac it
// does not allocate, and it is safe for concurrent use.
type digest struct {
	inner, outer [sha256.BlockSize]byte // the key XORed with ipad and opad
}

func newDigest(key []byte) *digest {
	if len(key) > sha256.BlockSize {
		sum := sha256.Sum256(key)
		key = sum[:]
	}
	d := &digest{}
	copy(d.inner[:], key)
	copy(d.outer[:], key)
	for i := range d.inner {
		d.inner[i] ^= 0x36
		d.outer[i] ^= 0x5c
	}
	return d
}

// randomDigest returns a digest whose key lives and dies with the process.
func randomDigest() (*digest, error) {
	var key [sha256.Size]byte
	if _, err := rand.Read(key[:]); err != nil {
		return nil, err
	}
	return newDigest(key[:]), nil
}

// text returns the HMAC of s.
func (d *digest) text(s string) [sha256.Size]byte {
	var buf [sha256.BlockSize + 192]byte
	return d.finish(append(append(buf[:0], d.inner[:]...), s...))
}

// pair returns the HMAC of a and b, told apart by the length of a.
func (d *digest) pair(a, b string) [sha256.Size]byte {
	var buf [sha256.BlockSize + 192]byte
	m := append(buf[:0], d.inner[:]...)
	m = binary.BigEndian.AppendUint64(m, uint64(len(a)))
	return d.finish(append(append(m, a...), b...))
}

// finish hashes a message that begins with the inner key, and erases it.
func (d *digest) finish(message []byte) [sha256.Size]byte {
	sum := sha256.Sum256(message)
	clear(message)
	var buf [sha256.BlockSize + sha256.Size]byte
	m := append(buf[:0], d.outer[:]...)
	return sha256.Sum256(append(m, sum[:]...))
}
