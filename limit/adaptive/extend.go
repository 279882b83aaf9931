package adaptive

import (
	"math"
	"time"
)

// extend doubles the limit where it is about to refuse a call of a priority, and
// nothing says that calls wait for each other: as many calls as there are need not
// be too many. It reports whether the call may try again. While no call has been
// answered that could tell, there are bounds to that.
func (l *Limiter) extend(now int64, p Priority) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &l.ctl
	if now < l.firm.Load() {
		return false
	}
	if l.inFlight.Load() < l.caps[p].Load() {
		return true // somebody else has
	}
	n, slowdown := l.glance()
	most := l.max
	if n < inkling {
		most = min(most, max(c.limit, unheard*l.rest))
	}
	switch {
	case n >= inkling && slowdown > low:
		l.firm.Store(math.MaxInt64) // until the window is closed
		return false
	case c.limit >= most:
		l.firm.Store(now + int64(window)/10)
		return false
	}
	c.limit = min(most, 2*c.limit)
	l.publish()
	return true
}

// glance returns how many calls of the window can be compared so far, and how
// much slower they are.
func (l *Limiter) glance() (n, slowdown float64) {
	var t total
	for _, m := range l.methods {
		t.add(float64(m.served.n.Load()+m.failed.n.Load()), float64(m.served.sum.Load()+m.failed.sum.Load()), float64(m.base.Load()), l.ctl.before)
	}
	return t.n, t.slowdown()
}

// total is calls of all methods that can be compared. The slowdown is the worse
// one of two means: by calls, which shows when many short ones wait, and by time,
// which shows when those wait that fill the process.
type total struct{ n, spent, ideal, slow float64 }

// add adds the n calls of a method, their durations' sum and its base. Before they
// came here, they waited that long.
func (t *total) add(n, sum, base, before float64) {
	if n == 0 || base == 0 {
		return
	}
	base = max(base, float64(finest))
	mean := sum/n + before
	t.n += n
	t.spent += n * max(base, mean)
	t.ideal += n * base
	t.slow += n * min(outlier, max(1, mean/base))
}

func (t *total) slowdown() float64 {
	if t.n == 0 {
		return 1
	}
	return max(t.slow/t.n, t.spent/t.ideal)
}

// listen finds calls that hold their places for long while nobody is answered and
// others are refused, and gives them places of their own: a few calls that wait,
// for whatever it is, must not take those of calls that would work. An overload
// is no silence: whatever its bottleneck is, it works.
func (l *Limiter) listen(now int64) {
	c := &l.ctl
	inFlight := float64(l.inFlight.Load())
	c.still = min(c.still, inFlight)
	if l.count() != c.answers || l.refusals() == c.refused {
		c.heard = now
	}
	if c.mean > 0 && now-c.heard >= max(int64(window), int64(silence*c.mean)) && inFlight > c.still && c.still < unheard*l.rest {
		c.still, c.heard = inFlight, now
	}
}

// settle waits for the limit to be true. Calls that wait for each other are
// through at the rate of the calls so far; those that are there after twice that
// time wait for something else.
func (c *control) settle(r reading, now int64) {
	c.settling, c.still = true, 0
	drain := 2 * (r.calls - c.limit) / max(r.rate, 1)
	c.through = now + int64(min(patience, max(window, time.Duration(drain*float64(time.Second)))))
}
