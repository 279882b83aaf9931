package lockout

import (
	"net/netip"
	"time"
)

// slack is how much longer a lock must be that is learned to be another than
// the one that is known: what was on its way comes back a little longer.
const slack = time.Second

// Due tells of the locks that others do not know yet, each once, for several
// processes to share them: the client, how many locks it had, and what is left of
// the last one, which is negative where it is over and only makes the next
// longer. It tells most of them at once, of clients with the most locks first,
// so that a flood of new locks does not hide one that has grown; the others are
// told by the next call. The locks that [Lockout.Learn] took over are not due.
//
// It looks at the whole table, if a lock is due, and takes less than a
// millisecond.
func (l *Lockout) Due(most int, tell func(client netip.Prefix, level int, left time.Duration)) {
	if l == nil || most <= 0 || !l.due.CompareAndSwap(true, false) {
		return
	}
	t := time.Since(l.start)
	var counts [maxLevel + 1]int
	l.each(func(e *entry) {
		e.due = e.due && !l.forgiven(e, t)
		if e.due {
			counts[e.level]++
		}
	})
	least, room := maxLevel, most // of the least level that is told, there is room for some
	for ; least > 1 && counts[least] <= room; least-- {
		room -= counts[least]
	}
	type lock struct {
		client
		level uint8
		left  time.Duration
	}
	var told []lock
	l.each(func(e *entry) {
		switch {
		case !e.due:
			return
		case len(told) == most, int(e.level) < least, int(e.level) == least && room == 0:
			l.due.Store(true)
			return
		case int(e.level) == least:
			room--
		}
		e.due = false
		told = append(told, lock{e.client, e.level, e.at - t})
	})
	for _, k := range told {
		tell(k.prefix(), int(k.level), k.left)
	}
}

// Restate has [Lockout.Due] tell of all locks again, those that were learned
// included: where the others know them from was lost.
func (l *Lockout) Restate() {
	if l == nil {
		return
	}
	l.each(func(e *entry) { e.due = e.level > 0 })
	l.due.Store(true)
}

// Learn takes over a lock that another process told of: the client, as
// [Client] returns it, how many locks it had, and what is left of the last one. The
// client is locked out here for as long, but never longer than Config.Max, and the
// next lock here is the longer for it. A lock that is known is never
// shortened. If there is no room, the lock is not taken over, as if it were made
// here. What is malformed is ignored.
func (l *Lockout) Learn(client netip.Prefix, level int, left time.Duration) {
	if l == nil || level < 1 || left <= -l.cfg.Max || Client(client.Addr()) != client {
		return
	}
	c, ok := clientOf(client.Addr())
	if !ok {
		return
	}
	t := time.Since(l.start)
	at := t + min(left, l.cfg.Max)
	mu, b := l.bucket(c)
	defer mu.Unlock()
	e := l.entry(b, c, t)
	if e == nil {
		return
	}
	have := e.level
	e.level = max(have, uint8(min(level, maxLevel)))
	if have == 0 {
		e.at = at // it was the begin of the window
	} else if e.level > have || at > e.at+slack {
		e.at = max(e.at, at)
	}
	l.extend(e.at)
}

// each calls f for all entries that are used, with their shards locked, from
// another one on each time.
func (l *Lockout) each(f func(*entry)) {
	first := int(l.begin.Add(1)) * 97 // which is odd, so that all are first in turn
	for n := range shards {
		s := &l.shards[(first+n)%shards]
		s.mu.Lock()
		for b := range s.buckets {
			for i := range s.buckets[b] {
				if e := &s.buckets[b][i]; e.used {
					f(e)
				}
			}
		}
		s.mu.Unlock()
	}
}

// prefix is what [Client] returns for the client's addresses.
func (c client) prefix() netip.Prefix {
	if !c.v6 {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(c.bits >> 24), byte(c.bits >> 16), byte(c.bits >> 8), byte(c.bits)}), 32)
	}
	var a [16]byte
	for i := range 8 {
		a[i] = byte(c.bits >> (56 - 8*i))
	}
	return netip.PrefixFrom(netip.AddrFrom16(a), 64)
}
