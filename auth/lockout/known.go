package lockout

import (
	"hash/maphash"
	"net/netip"

	"github.com/aguada-dev/aguada/auth"
)

// The set of marks: eight slots, one cache line, for each place. It is no more
// than a hint, so that nothing needs to be in order.
const (
	knownSlots = 1 << 16
	knownWays  = 8
)

// A mark has tagBits of its account's hash above those of its credential's.
const (
	tagBits    = 24
	accountTag = (1<<tagBits - 1) << (64 - tagBits)
)

// mark stands for a credential as one client presents it, in this Lockout and
// nowhere else. It says nothing about the credential to whoever does not know
// the seed, which is random and never leaves the process.
type mark struct {
	place uint64 // of the client's account: where it is kept
	bits  uint64 // of the account and the credential; 0 is none
}

// account is what a client claims to be to one guarded verifier: a user name, or
// all of a token.
type account struct {
	client
	guard           uint32
	token, username string
}

func (l *Lockout) mark(guard uint32, addr netip.Addr, c auth.Credential) mark {
	from, ok := clientOf(addr)
	if !ok {
		from = client{bits: 1 << 32} // all whose address is not known are one
	}
	a := account{from, guard, c.Token, c.Username}
	hash := maphash.Comparable(l.seed, a)
	m := mark{place: hash % (knownSlots / knownWays) * knownWays, bits: hash}
	if c.Username != "" || c.Password != "" {
		whole := maphash.Comparable(l.seed, struct {
			account
			password string
		}{a, c.Password})
		m.bits = hash&accountTag | whole&^accountTag
	}
	m.bits = max(m.bits, 1)
	return m
}

// knows reports whether the client presented this very credential before, and
// it was good. It only skips the lock-out: the credential must be verified all
// the same. Of several credentials of one call, all must be known: whoever has
// one that is good would else guess the others.
//
// Whoever presents another password for a user whom the client is known as is
// no longer known as that user. A client that is locked out could otherwise
// find out passwords of those who share its address, by which of them is not
// refused.
//
// A wrong token is taken for a known one with a chance of 1 in 2^48, and a wrong
// password for that of a known user of the same client with one of 1 in 2^40.
func (l *Lockout) knows(m mark) bool {
	for i := range uint64(knownWays) {
		slot := &l.known[m.place+i]
		switch have := slot.Load(); {
		case have == m.bits:
			return true
		case have != 0 && (have^m.bits)&accountTag == 0:
			slot.CompareAndSwap(have, 0)
		}
	}
	return false
}

// remember remembers a credential that was verified for this client, until
// others need the room: there is some for 65,536. It takes no lock and allocates
// nothing.
func (l *Lockout) remember(m mark) {
	if l.knows(m) {
		return
	}
	for i := range uint64(knownWays) {
		if l.known[m.place+i].CompareAndSwap(0, m.bits) {
			return
		}
	}
	l.known[m.place+uint64(l.turn.Add(1))%knownWays].Store(m.bits)
}

// forget forgets a credential that is not good any more.
func (l *Lockout) forget(m mark) {
	for i := range uint64(knownWays) {
		l.known[m.place+i].CompareAndSwap(m.bits, 0)
	}
}
