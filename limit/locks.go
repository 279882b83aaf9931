package limit

import (
	"net/netip"
	"time"
)

// Locks is a table of clients that are locked out, which a [LockSharer] keeps in
// step with the tables of other replicas. *lockout.Lockout of package
// auth/lockout is one. It is safe for concurrent use, and none of its methods
// waits for anything but its own memory.
//
// A client is the /32 of an IPv4 address or the /64 of an IPv6 address. The level
// of a lock is how many the client had, this one included, at least 1: the next
// one is longer for it. What is left of a lock is a time from now on, so that no
// two clocks are compared; 0 or less where the lock is over and counts for
// nothing but the length of the next.
type Locks interface {
	// Due calls tell for locks that others are to be told of, and takes them
	// to be told: for most of them at once, those of the highest levels first,
	// for the rest when it is called again.
	Due(most int, tell func(client netip.Prefix, level int, left time.Duration))
	// Restate has all locks due again: it is not known what became of those
	// that were told.
	Restate()
	// Learn takes over a lock that another replica made, or this one. What it
	// is told is not trusted: no lock gets longer than the table's own can.
	// It may refuse, for want of room, and it never ends or shortens a lock.
	Learn(client netip.Prefix, level int, left time.Duration)
}

// LockSharer is a [Driver] that also shares locks. Counts are not shared: they
// would cost each failure a round trip.
type LockSharer interface {
	Driver
	// ShareLocks begins to share the locks of a table, until the driver is
	// closed. A driver shares one table, a second is an error. It does not wait
	// for the others, and nobody who asks the table ever does.
	ShareLocks(Locks) error
}
