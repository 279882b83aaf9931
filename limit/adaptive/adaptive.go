// Package adaptive refuses calls while the process is overloaded, so that the
// others are answered in time.
//
//	l, err := adaptive.New(adaptive.Config{})
//	...
//	m := l.Method(adaptive.Normal) // once for each method
//	...
//	start := time.Now()
//	if !m.Acquire() {
//		// 503, Retry-After: l.RetryAfter()
//	}
//	...
//	m.Release(time.Since(start), adaptive.Served)
//
// It limits how many calls are in flight, and finds the limit itself. A method's
// calls are compared with the same method's calls under light load; how much
// slower they have become, over all methods, is the slowdown. Where calls queue
// for a resource, whichever it is, the slowdown grows with the calls in flight,
// and the limit is moved to where it is about two: the resource is busy, and its
// queue is short. A limit that was lowered and made nothing faster was lowered in
// vain: the service is merely slow, not overloaded; the limit is restored and the
// present speed becomes what the method is compared with. While calls are refused
// for long, every ten seconds a quarter of the limit is let in for a moment, to see
// how fast the methods are when nobody waits.
//
// Many calls are no overload: the limit refuses nobody as long as the answers show
// no slowdown, but doubles; without an answer that could tell, up to ten times
// what it is at rest. Calls that hold their places while others are answered, or
// while nobody is, are given places of their own, as many at most.
//
// In Go, calls that only compute queue for a processor before their handler
// begins, where nobody counts them. While goroutines wait to run, Acquire
// therefore lets the others go first: whoever has arrived is counted before work
// begins.
//
// The package has no queue: a call is admitted or refused at once. Bursts pass
// as long as the limit is not reduced, and it is reduced only when the slowdown
// lasts. It knows neither HTTP nor methods' names, and it is not asked for health
// probes and streams. All methods share one limit: that one of them does not take
// the place of the others is for a limit of its own.
package adaptive

import (
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Priority says which calls are refused first.
type Priority uint8

// The priorities of calls. Normal calls may use the limit, high ones a quarter
// more, low ones a quarter less; the difference is at least one call.
const (
	Normal Priority = iota
	High
	Low
	priorities
)

// Outcome says what the duration of a call means.
type Outcome uint8

// How calls end.
const (
	// Served is a call that its method answered as it normally does.
	Served Outcome = iota
	// Failed is a call that ended in a fault, a deadline, or with the client
	// gone. Its duration counts if it was slow, so that an overload in which
	// every call fails is seen; a quick failure says nothing.
	Failed
	// Declined is a call that its method answered with an error of the caller's
	// making. As such may be had for the asking, quick ones say nothing, lest they
	// become what the others are compared with.
	Declined
	// Ignored is a call that did not get as far as its method: it only leaves.
	Ignored
)

// Config bounds the limit. The zero value is for production.
type Config struct {
	// MinLimit is the smallest limit; 0 means 8, or twice the processors if
	// that is more. So few calls are never an overload, however slow they are,
	// unless goroutines queue for processors: then one more than the processors
	// is enough, where that is less. A bottleneck that is much narrower than
	// MinLimit, as a single connection, keeps a queue of that length.
	MinLimit int
	// InitialLimit is the limit at the start, and at rest; 0 means 100, or 16
	// times the processors if that is more. So few calls are not refused because
	// they are slow, unless some were refused before; more are not refused as long
	// as they are not slow.
	InitialLimit int
	// MaxLimit is the largest limit; 0 means 100,000.
	MaxLimit int
}

// Limiter decides which calls a process takes on. It is safe for concurrent
// use.
type Limiter struct {
	min, rest, max float64
	epoch          time.Time
	delay          func() time.Duration // mean wait of goroutines to run, since it was last called
	procs          func() int

	// Read by each call, written when the limit moves.
	caps  [priorities]atomic.Int64
	next  atomic.Int64 // when the window can be closed
	yield atomic.Bool  // goroutines wait to run
	firm  atomic.Int64 // until when the limit is not extended

	_        [64]byte
	inFlight atomic.Int64
	peak     atomic.Int64 // of inFlight in this window
	_        [64]byte
	refused  [priorities]atomic.Uint64

	mu      sync.Mutex // of what follows
	methods []*Method
	ctl     control
	status  atomic.Pointer[Status]
}

// Method is the calls of one method. It is safe for concurrent use.
type Method struct {
	l        *Limiter
	priority Priority

	_        [64]byte
	base     atomic.Int64 // mean duration without overload, in ns; 0: unknown
	first    tally        // until base is known
	served   tally        // in this window
	failed   tally        // and took longer than usual
	learning lesson       // guarded by l.mu
	_        [64]byte
}

// tally is a number of calls and the sum of their durations in ns.
type tally struct{ n, sum atomic.Int64 }

func (t *tally) add(d int64) {
	t.n.Add(1)
	t.sum.Add(d)
}

func (t *tally) take() (n, sum float64) {
	return float64(t.n.Swap(0)), float64(t.sum.Swap(0))
}

// New returns a limiter without methods.
func New(cfg Config) (*Limiter, error) {
	procs := runtime.GOMAXPROCS(0)
	for _, d := range []struct {
		value *int
		zero  int
	}{{&cfg.MinLimit, max(8, 2*procs)}, {&cfg.InitialLimit, max(100, 16*procs)}, {&cfg.MaxLimit, 100_000}} {
		if *d.value < 0 {
			return nil, errors.New("check adaptive limit: a limit is negative")
		}
		if *d.value == 0 {
			*d.value = d.zero
		}
	}
	if cfg.MaxLimit > math.MaxInt32 {
		return nil, errors.New("check adaptive limit: the largest limit is above 2,147,483,647")
	}
	if cfg.MinLimit > cfg.InitialLimit || cfg.InitialLimit > cfg.MaxLimit {
		return nil, errors.New("check adaptive limit: the smallest, initial and largest limit are not in this order")
	}
	l := &Limiter{
		min: float64(cfg.MinLimit), rest: float64(cfg.InitialLimit), max: float64(cfg.MaxLimit),
		epoch: time.Now(), delay: newScheduler().delay, procs: func() int { return runtime.GOMAXPROCS(0) },
	}
	l.ctl.limit, l.ctl.trust = l.rest, soon
	l.status.Store(&Status{Slowdown: 1})
	l.publish()
	l.next.Store(int64(window))
	return l, nil
}

// Method returns a new method. Methods are made at the start and never go.
func (l *Limiter) Method(p Priority) *Method {
	m := &Method{l: l, priority: min(p, Low)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.methods = append(l.methods, m)
	return m
}

// now is the time since the limiter was made, in ns.
func (l *Limiter) now() int64 { return int64(time.Since(l.epoch)) }

// Acquire reports whether the call is admitted; Release must then be called
// once.
func (m *Method) Acquire() bool {
	l := m.l
	if !l.enter(m.priority) && !l.reconsider(m.priority) {
		l.refused[m.priority].Add(1)
		return false
	}
	if l.yield.Load() {
		runtime.Gosched()
	}
	return true
}

// reconsider lets a call in that the limit would refuse if the limit is that of
// the past, as after a pause, or may be extended.
func (l *Limiter) reconsider(p Priority) bool {
	now := l.now()
	if now >= l.next.Load() && l.roll(now) && l.enter(p) {
		return true
	}
	for now >= l.firm.Load() && l.extend(now, p) {
		if l.enter(p) {
			return true
		}
	}
	return false
}

func (l *Limiter) enter(p Priority) bool {
	limit := l.caps[p].Load()
	if l.inFlight.Load() >= limit {
		return false
	}
	n := l.inFlight.Add(1)
	if n > limit {
		l.inFlight.Add(-1)
		return false
	}
	for {
		peak := l.peak.Load()
		if n <= peak || l.peak.CompareAndSwap(peak, n) {
			return true
		}
	}
}

// Release ends a call that was admitted. The duration is that of the work from
// before Acquire on, without what was spent on waiting for the client, to send
// its request or to read the answer.
func (m *Method) Release(d time.Duration, o Outcome) {
	l := m.l
	l.inFlight.Add(-1)
	if o > Declined {
		return
	}
	d = min(max(0, d), time.Hour)
	base := m.base.Load()
	if base > 0 { // a few calls that take very long do not speak for the others
		d = min(d, outlier*max(finest, time.Duration(base)))
	}
	switch {
	case o == Served:
		m.served.add(int64(d))
		if base == 0 {
			m.meet(d)
		}
	case o == Declined && base > 0 && int64(d) > base:
		m.served.add(int64(d))
	case base > 0 && int64(d) > base:
		m.failed.add(int64(d))
	}
	if now := l.now(); now >= l.next.Load() {
		l.roll(now)
	}
}

// meet learns from a method's first calls, which have not waited for many
// others even where the process starts under overload.
func (m *Method) meet(d time.Duration) {
	m.first.add(int64(d))
	if n := m.first.n.Load(); n >= known {
		m.base.CompareAndSwap(0, max(1, m.first.sum.Load()/n))
	}
}

// Limit is how many calls of normal priority may be in flight.
func (l *Limiter) Limit() int { return int(l.caps[Normal].Load()) }

// InFlight is how many calls are in flight.
func (l *Limiter) InFlight() int { return int(max(0, l.inFlight.Load())) }

// Refused is how many calls of a priority were refused so far.
func (l *Limiter) Refused(p Priority) uint64 { return l.refused[min(p, Low)].Load() }

// Status is how the limiter saw the process when it last looked.
type Status struct {
	// Slowdown is how many times longer calls take than under light load.
	Slowdown float64
	// Delay is how long goroutines waited to run, in the mean.
	Delay time.Duration
	// Shed is the share of calls that were refused, 0 to 1.
	Shed float64
	// Cuts is how often the limit was lowered, Restored how often that had been
	// in vain.
	Cuts, Restored uint64
}

// Status returns why the limit is what it is. It is looked at ten times a
// second, or less often where calls take longer, and not without calls.
func (l *Limiter) Status() Status { return *l.status.Load() }

// RetryAfter is when a refused call may be tried again, as a Retry-After header
// has it (RFC 9110, 10.2.3): in seconds, 1 to 10, and not the same for
// everybody, so that those who were refused together do not come back together.
// The more calls are refused, the wider they are spread.
func (l *Limiter) RetryAfter() int {
	spread := 1 / max(0.1, 1-l.status.Load().Shed)
	return min(10, 1+rand.IntN(1+int(spread))) //nolint:gosec // spreads load, keeps no secret
}
