package lockout

import (
	"hash/maphash"

	"github.com/aguada-dev/aguada/auth"
)

// The set of fingerprints: eight slots, one cache line, for each place. It is no
// more than a hint, so that nothing needs to be in order.
const (
	knownSlots = 1 << 16
	knownWays  = 8
)

// Fingerprint returns a number that stands for a credential, in this Lockout
// and nowhere else. It says nothing about the credential to whoever does not
// know the seed, which is random and never leaves the process. A nil *Lockout
// returns 0.
func (l *Lockout) Fingerprint(c auth.Credential) uint64 {
	if l == nil {
		return 0
	}
	parts := [3]string{c.Token, c.Username, c.Password}
	return max(maphash.Comparable(l.seed, parts), 1) // 0 is an empty slot
}

// Known reports whether a fingerprint is remembered, so that its credential was good
// once. It only skips the lock-out: the credential must be verified all the
// same. Of several credentials of one call, all must be known: whoever has one
// that is good would else guess the others.
//
// A wrong credential is taken for a known one with a chance of 8 in 2^64.
func (l *Lockout) Known(fp uint64) bool {
	if l == nil || fp == 0 {
		return false
	}
	at := fp % (knownSlots / knownWays) * knownWays
	for i := range uint64(knownWays) {
		if l.known[at+i].Load() == fp {
			return true
		}
	}
	return false
}

// Remember remembers the fingerprint of a credential that was verified, until
// others need the room: there is some for 65,536. It takes no lock and
// allocates nothing.
func (l *Lockout) Remember(fp uint64) {
	if l == nil || fp == 0 || l.Known(fp) {
		return
	}
	at := fp % (knownSlots / knownWays) * knownWays
	for i := range uint64(knownWays) {
		if l.known[at+i].CompareAndSwap(0, fp) {
			return
		}
	}
	l.known[at+uint64(l.turn.Add(1))%knownWays].Store(fp)
}
