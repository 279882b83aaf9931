package idempotency

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// MinSecret is the least length of a secret, in bytes. It should be random:
// openssl rand -base64 32 makes a good one.
const MinSecret = 16

// SecretOverlap is how long a secret that was replaced still opens replies
// without being the old one: the files of the two may change in any order.
const SecretOverlap = 10 * time.Second

// Secrets are the keys that stored replies are sealed with, by AES-256-GCM, each
// bound to its record. Any text will do: keys are derived from it by HKDF
// (RFC 5869). The functions are called for every reply, from many goroutines, and
// must be quick; what they return is followed without a restart, as that of a
// secret which follows its file does.
//
// To replace the secret, make the present one Old and another one Current, on
// all replicas, and remove the old one when the replies that were sealed with it
// have expired. A reply that cannot be opened is refused as unavailable, and its
// method does not run again.
//
// A change to a secret that is too short is not taken: it is reported, and what
// was in force stays.
type Secrets struct {
	// Current seals and opens. Required; at least MinSecret bytes.
	Current func() string
	// Old opens what was sealed with it. Nil, or a function that returns
	// nothing, if no secret is being replaced.
	Old func() string
}

// A sealed reply is a version, the id of its key, a nonce, and what AES-GCM
// makes of it.
const (
	sealVersion = 1
	keyIDSize   = 8
)

// sealKey is a secret that is ready for use.
type sealKey struct {
	id  []byte
	key []byte
}

func newSealKey(secret string) (*sealKey, error) {
	if len(secret) < MinSecret {
		return nil, fmt.Errorf("the secret of stored replies is shorter than %d bytes", MinSecret)
	}
	id, err := hkdf.Key(sha256.New, []byte(secret), nil, "aguada: id of a key of stored replies", keyIDSize)
	if err != nil {
		return nil, err
	}
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "aguada: key of stored replies", sha256.Size)
	if err != nil {
		return nil, err
	}
	return &sealKey{id, key}, nil
}

// cipher returns the cipher of one record: with a key of its own, no number of
// replies makes nonces meet.
func (k *sealKey) cipher(t *Ticket) (cipher.AEAD, error) {
	mac := hmac.New(sha256.New, k.key)
	mac.Write(t.ID[:])
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// bound returns what a sealed reply belongs to: a record and a request.
func bound(head []byte, t *Ticket) []byte {
	b := make([]byte, 0, len(head)+len(t.ID)+len(t.Fingerprint))
	return append(append(append(b, head...), t.ID[:]...), t.Fingerprint[:]...)
}

// rack holds the secrets and follows them.
type rack struct {
	source Secrets
	report func(error)
	keys   atomic.Pointer[sealKeys]
	mu     sync.Mutex // held while the keys are replaced
}

// sealKeys are never modified.
type sealKeys struct {
	currentText, oldText string // as last seen, also if they were not taken
	current, old         *sealKey
	replaced             *sealKey // the last current one
	until                time.Time
}

func newRack(source Secrets, report func(error)) (*rack, error) {
	if source.Current == nil {
		return nil, errors.New("there is no secret to seal stored replies with")
	}
	if source.Old == nil {
		source.Old = func() string { return "" }
	}
	r := &rack{source: source, report: report}
	keys, err := newSealKeys(source.Current(), source.Old())
	if err != nil {
		return nil, err
	}
	r.keys.Store(keys)
	return r, nil
}

func newSealKeys(current, old string) (_ *sealKeys, err error) {
	s := &sealKeys{currentText: current, oldText: old}
	if s.current, err = newSealKey(current); err != nil {
		return nil, err
	}
	if old == "" {
		return s, nil
	}
	if s.old, err = newSealKey(old); err != nil {
		return nil, fmt.Errorf("old: %w", err)
	}
	return s, nil
}

func (r *rack) now() *sealKeys {
	s := r.keys.Load()
	if current, old := r.source.Current(), r.source.Old(); current != s.currentText || old != s.oldText {
		return r.change(current, old)
	}
	return s
}

// change takes other secrets if they are good.
func (r *rack) change(current, old string) *sealKeys {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.keys.Load()
	if current == was.currentText && old == was.oldText {
		return was // somebody else did it
	}
	s, err := newSealKeys(current, old)
	if err != nil {
		kept := *was
		kept.currentText, kept.oldText = current, old
		r.keys.Store(&kept)
		r.report(fmt.Errorf("change secret, keep what was in force: %w", err))
		return &kept
	}
	s.replaced, s.until = was.replaced, was.until
	if !bytes.Equal(s.current.id, was.current.id) {
		s.replaced, s.until = was.current, time.Now().Add(SecretOverlap)
	}
	r.keys.Store(s)
	return s
}

// seal makes of a reply what the store may see.
func (r *rack) seal(t *Ticket, plain []byte) ([]byte, error) {
	k := r.now().current
	aead, err := k.cipher(t)
	if err != nil {
		return nil, fmt.Errorf("seal reply: %w", err)
	}
	head := make([]byte, 0, 1+keyIDSize+len(plain)+aead.Overhead())
	head = append(append(head, sealVersion), k.id...)
	return aead.Seal(head, nil, plain, bound(head, t)), nil //nolint:gosec // the nonce is the cipher's to make, at random
}

var errSeal = errors.New("the stored reply cannot be opened: its secret is gone, or somebody changed it")

// open returns a reply as it was before it was sealed for the same record and
// request.
func (r *rack) open(t *Ticket, sealed []byte) ([]byte, error) {
	if len(sealed) < 1+keyIDSize || sealed[0] != sealVersion {
		return nil, errSeal
	}
	head, rest := sealed[:1+keyIDSize], sealed[1+keyIDSize:]
	s := r.now()
	for _, k := range []*sealKey{s.current, s.old, s.replaced} {
		if k == nil || !bytes.Equal(k.id, head[1:]) || k == s.replaced && time.Now().After(s.until) {
			continue
		}
		aead, err := k.cipher(t)
		if err != nil {
			return nil, fmt.Errorf("open reply: %w", err)
		}
		plain, err := aead.Open(nil, nil, rest, bound(head, t))
		if err != nil {
			return nil, errSeal
		}
		return plain, nil
	}
	return nil, errSeal
}
