// Package lockout slows down clients that guess credentials: after a number of
// failures, a client address is refused for a time that doubles with every
// further failure.
//
//	l, err := lockout.New(lockout.Config{Failures: 10, Max: 15 * time.Minute})
//	...
//	v = l.Guard(v, lockout.Guard{Client: clientAddr})
//
// A client is an IPv4 address or the /64 network of an IPv6 address, which is
// what one customer gets. The address must be the client's own: behind a proxy
// that is not told apart from its clients, everybody would be locked out with
// the first who guesses.
//
// A success never takes back what was counted: whoever owns one account could
// otherwise guess the others without end. What keeps an address that many
// people share usable is that credentials which were verified from it before
// pass while it is locked. From elsewhere they do not, or the lock would
// tell whoever guesses which of the refused passwords is right.
//
// Replicas of a service tell each other of their locks, where something carries
// them: see [Lockout.Due] and [Lockout.Learn]. They do not tell of failures, so
// that each replica counts up to Config.Failures for itself: a client has as many
// guesses as there are replicas times Config.Failures before all of them lock
// him out, if he spreads them, and then one at each when a lock ends. Nor do they
// tell of credentials: whoever shares a locked address is let in by the replicas
// where his credential was verified before.
//
// The package never replaces verification.
package lockout

import (
	"errors"
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aguada-dev/aguada/auth"
)

// Defaults of a [Config].
const (
	DefaultFailures = 10
	DefaultWindow   = 5 * time.Minute
	DefaultFirst    = time.Second
	DefaultMax      = 15 * time.Minute
)

// Entries is how many clients are followed at once; with the remembered
// credentials, a Lockout takes 2.6 MiB whatever happens.
const Entries = 1 << 16

// Config tunes a [Lockout]. The zero value works.
type Config struct {
	// Failures is how many failures within the window lock a client out; 10
	// if 0.
	Failures int
	// Window is how long failures are counted together, from the first of
	// them; 5 min if 0.
	Window time.Duration
	// First is how long the first lock lasts; 1 s if 0. Each failure after
	// it doubles the time.
	First time.Duration
	// Max is the longest lock; 15 min if 0, at least First. As long a time
	// without a failure, from the end of the last lock, forgives everything.
	Max time.Duration
}

// Lockout knows who is locked out. It is safe for concurrent use. A nil
// *Lockout locks nobody out.
//
// Memory is fixed. When more clients fail than there is room for, one that is
// not locked out and has the fewest failures is given up; a lock is never, so
// that nobody frees himself by failing from many addresses. If every entry of
// its bucket is a lock, a newcomer is not followed. That takes more locked
// networks than there are entries: whoever has those guesses more by using each
// of them below the limit.
type Lockout struct {
	cfg   Config
	seed  maphash.Seed
	start time.Time
	// horizon is when the last lock of all ends, as a time since start: beyond it
	// nobody needs to be looked up.
	horizon atomic.Int64
	shards  [shards]shard
	known   [knownSlots]atomic.Uint64
	guards  atomic.Uint32 // how many verifiers are guarded
	turn    atomic.Uint32 // chooses what mark makes room
	due     atomic.Bool   // whether a lock may be due
	begin   atomic.Uint32 // chooses where a look at all entries begins
}

// The table: the hash of a client chooses a shard and a bucket, in which its
// entry is anywhere.
const (
	shards  = 256
	ways    = 8
	buckets = Entries / shards / ways
)

type shard struct {
	mu      sync.Mutex
	buckets [buckets][ways]entry
}

// client is what is counted together: an IPv4 address, or the upper half of an
// IPv6 address.
type client struct {
	bits uint64
	v6   bool
}

// entry is one client. Times are since the start of the Lockout.
type entry struct {
	client
	used  bool
	due   bool          // to be told to others
	level uint8         // how many locks there were, up to maxLevel
	count uint32        // failures in the window, while level is 0
	at    time.Duration // begin of the window; end of the last lock, while level is not 0
}

// maxLevel is as good as any beyond.
const maxLevel = 63

// longest is how long any setting is at most: beyond the life of a process, and
// far from where times overflow, which would lock nobody out.
const longest = 50 * 365 * 24 * time.Hour

// New returns a Lockout. Negative settings are an error, and those of more than
// 50 years are taken as that.
func New(cfg Config) (*Lockout, error) {
	if cfg.Failures < 0 || cfg.Window < 0 || cfg.First < 0 || cfg.Max < 0 {
		return nil, errors.New("make lock-out: a setting is negative")
	}
	if cfg.Failures == 0 {
		cfg.Failures = DefaultFailures
	}
	if cfg.Window == 0 {
		cfg.Window = DefaultWindow
	}
	if cfg.First == 0 {
		cfg.First = DefaultFirst
	}
	if cfg.Max == 0 {
		cfg.Max = max(DefaultMax, cfg.First)
	}
	if cfg.Max < cfg.First {
		return nil, errors.New("make lock-out: the longest lock is shorter than the first")
	}
	cfg.Window, cfg.First, cfg.Max = min(cfg.Window, longest), min(cfg.First, longest), min(cfg.Max, longest)
	return &Lockout{cfg: cfg, seed: maphash.MakeSeed(), start: time.Now()}, nil
}

// Counts reports whether a refusal for this reason is a guess. What is absent,
// was good once, will be good later, as a token of a key that was rotated in a
// moment ago, lacks a scope or could not be judged is none; any other reason is,
// those unknown here included.
func Counts(r auth.Reason) bool {
	switch r {
	case auth.Missing, auth.Late, auth.Expired, auth.NotYetValid, auth.UnknownKey, auth.InsufficientScope, auth.Unavailable, auth.Locked:
		return false
	}
	return true
}

// Client returns what an address is counted as: the address itself for IPv4,
// IPv4 in IPv6 included, and the /64 network for IPv6. It is the zero Prefix
// for an address that is not valid, which is neither counted nor locked out.
func Client(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

func clientOf(addr netip.Addr) (c client, ok bool) {
	switch {
	case addr.Is4() || addr.Is4In6():
		a := addr.As4()
		return client{bits: uint64(a[0])<<24 | uint64(a[1])<<16 | uint64(a[2])<<8 | uint64(a[3])}, true
	case addr.Is6():
		a := addr.As16()
		for _, b := range a[:8] {
			c.bits = c.bits<<8 | uint64(b)
		}
		c.v6 = true
		return c, true
	}
	return client{}, false
}

// bucket returns where a client's entry is, with its shard locked.
func (l *Lockout) bucket(c client) (*sync.Mutex, *[ways]entry) {
	h := maphash.Comparable(l.seed, c)
	s := &l.shards[h%shards]
	s.mu.Lock()
	return &s.mu, &s.buckets[h/shards%buckets]
}

// locks reports whether anybody may be locked out.
func (l *Lockout) locks(now time.Time) bool {
	return l != nil && int64(now.Sub(l.start)) < l.horizon.Load()
}

// Blocked reports whether the client at addr is locked out, and for how long
// from now on. It takes some nanoseconds while nobody is, and allocates
// nothing.
func (l *Lockout) Blocked(addr netip.Addr, now time.Time) (retryAfter time.Duration, blocked bool) {
	if !l.locks(now) {
		return 0, false
	}
	t := now.Sub(l.start)
	c, ok := clientOf(addr)
	if !ok {
		return 0, false
	}
	mu, b := l.bucket(c)
	defer mu.Unlock()
	for i := range b {
		if e := &b[i]; e.used && e.client == c {
			left := e.at - t
			return max(left, 0), e.level > 0 && left > 0
		}
	}
	return 0, false
}

// Failed counts a failure of the client at addr and reports whether it locks
// the client out, which [Lockout.Blocked] then tells. Failures of a client that is
// locked out already, of calls that began before, do not count.
func (l *Lockout) Failed(addr netip.Addr, now time.Time) (locked bool) {
	if l == nil {
		return false
	}
	c, ok := clientOf(addr)
	if !ok {
		return false
	}
	t := now.Sub(l.start)
	mu, b := l.bucket(c)
	defer mu.Unlock()
	e := l.entry(b, c, t)
	if e == nil || (e.level > 0 && t < e.at) {
		return false
	}
	e.count++
	if e.level == 0 && uint64(e.count) < uint64(l.cfg.Failures) {
		return false
	}
	e.at = t + l.lock(e.level)
	e.level = min(e.level+1, maxLevel)
	e.due = true
	l.due.Store(true)
	l.extend(e.at)
	return true
}

// extend has the last lock end no sooner than at.
func (l *Lockout) extend(at time.Duration) {
	for {
		h := l.horizon.Load()
		if int64(at) <= h || l.horizon.CompareAndSwap(h, int64(at)) {
			return
		}
	}
}

// lock returns how long the lock after so many others lasts.
func (l *Lockout) lock(level uint8) time.Duration {
	d := l.cfg.First
	for range level {
		if d >= l.cfg.Max/2 {
			return l.cfg.Max
		}
		d *= 2
	}
	return min(d, l.cfg.Max)
}

// entry returns the client's entry of a bucket, a new one if need be; nil if
// all others are locks.
func (l *Lockout) entry(b *[ways]entry, c client, t time.Duration) *entry {
	var least *entry
	for i := range b {
		e := &b[i]
		if e.used && l.forgiven(e, t) {
			*e = entry{}
		}
		switch {
		case e.used && e.client == c:
			return e
		case least == nil || l.less(e, least):
			least = e
		}
	}
	if least.level > 0 {
		return nil
	}
	*least = entry{client: c, used: true, at: t}
	return least
}

// forgiven reports whether nothing of an entry counts any more.
func (l *Lockout) forgiven(e *entry, t time.Duration) bool {
	if e.level > 0 {
		return t >= e.at+l.cfg.Max
	}
	return t >= e.at+l.cfg.Window
}

// less reports whether a is given up rather than b.
func (l *Lockout) less(a, b *entry) bool {
	switch {
	case a.used != b.used:
		return !a.used
	case (a.level > 0) != (b.level > 0):
		return a.level == 0
	case a.count != b.count:
		return a.count < b.count
	}
	return a.at < b.at
}
