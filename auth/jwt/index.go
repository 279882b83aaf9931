package jwt

import (
	"context"
	"hash/maphash"
	"math/bits"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aguada-dev/aguada/auth"
)

// index stands in front of a cache and holds the tokens that were presented
// lately: to hash a token anew with SHA-256 costs more than all else that a
// remembered one needs. The digest stays its identity.
//
// An index is exact. A slot answers only for a token that equals its own byte
// for byte, so that no collision lets anybody in. The comparison stops at the
// first difference, of which a caller could make use only by guesses that share
// the 64 bits of a hash whose seed is secret and this index's own. Only tokens
// that were verified get into a slot, so that strangers displace none.
//
// It holds the tokens themselves, at most maxSlots of them and none longer than
// maxIndexed: 4 MiB. Those of requests under way are in memory in any case; here
// they may outlive their request, until they are displaced or presented again
// after their end. Nothing prints them. The zero value holds nothing.
type index struct {
	seed  maphash.Seed
	slots []atomic.Pointer[recent] // a power of two, or none
}

// recent is a token that was presented lately.
type recent struct {
	hash  uint64
	token string
	v     *verified
}

// Bounds of an index.
const (
	maxSlots   = 2048
	maxIndexed = 2 << 10
)

// newIndex returns the index of a cache of at most the given size.
func newIndex(most int) index {
	if most <= 0 {
		return index{}
	}
	n := 1 << (bits.Len64(uint64(min(most, maxSlots))) - 1)
	return index{seed: maphash.MakeSeed(), slots: make([]atomic.Pointer[recent], n)}
}

// slot returns the place of a token and its hash; nil where it has none.
func (x *index) slot(token string) (*atomic.Pointer[recent], uint64) {
	if len(x.slots) == 0 || len(token) > maxIndexed {
		return nil, 0
	}
	hash := maphash.String(x.seed, token)
	return &x.slots[hash&uint64(len(x.slots)-1)], hash
}

// find returns a token of the index, or nil.
func (x *index) find(token string) *verified {
	slot, hash := x.slot(token)
	if slot == nil {
		return nil
	}
	r := slot.Load()
	if r == nil || r.hash != hash || r.token != token {
		return nil
	}
	return r.v
}

// store puts a verified token into its slot. The copy of the token keeps
// nothing else of its request.
func (x *index) store(token string, v *verified) {
	if slot, hash := x.slot(token); slot != nil {
		slot.Store(&recent{hash: hash, token: strings.Clone(token), v: v})
	}
}

// remove empties the slot of a token that is not good any more.
func (x *index) remove(token string, v *verified) {
	if slot, _ := x.slot(token); slot != nil {
		if r := slot.Load(); r != nil && r.v == v {
			slot.CompareAndSwap(r, nil)
		}
	}
}

var _ auth.Recaller = (*Verifier)(nil)

// Recall implements [auth.Recaller]: it returns the principal of a token that
// Verify accepted lately and would accept now, else nil.
func (v *Verifier) Recall(_ context.Context, token string) *auth.Principal {
	known := v.cache.recall(token)
	if known == nil {
		return nil
	}
	set := known.from.Keys.now()
	if set == nil || !known.good(set, time.Now()) {
		return nil // Verify says why
	}
	return known.principal
}
