package adaptive

import (
	"math"
	"time"
)

const (
	window    = 100 * time.Millisecond // between two looks at the calls
	longest   = 5 * time.Second        // a window where calls take long
	patience  = 10 * time.Second       // for enough calls
	pause     = 5 * time.Second        // after which the past says nothing
	known     = 10                     // calls until a method is compared
	young     = 100                    // calls that are learned from as they are
	settled   = 50                     // calls that decide a trial
	taught    = 100                    // calls of a lesson
	enough    = 25                     // calls that say something
	inkling   = 5                      // calls that are enough not to extend the limit
	silence   = 3.0                    // times what calls take without an answer: others wait in vain
	unheard   = 10                     // times the limit at rest: calls without an answer
	high      = 2.2                    // the slowdown above which the limit is lowered
	low       = 1.8                    // and below which it is raised
	outlier   = 16.0                   // a method's slowdown counts as this at most
	finest    = 250 * time.Microsecond // methods that are faster are compared with this
	busy      = 100 * time.Microsecond // goroutines wait that long where processors are short
	lasting   = 3                      // windows of slowdown that are not a burst
	stuck     = 3 * time.Second        // at the smallest limit until that is how fast it is
	growth    = 1.1                    // of the limit, in a window
	steps     = 5                      // in which growth becomes faster
	steepest  = 0.35                   // cut of the limit
	halved    = 0.6                    // of the calls in flight: enough of a cut to judge
	helped    = 0.75                   // of the slowdown is left, or less: the cut was right
	wasted    = 0.7                    // of the throughput is left, or less: the cut was in vain
	verdict   = 3                      // windows in which a cut must have shown what it does
	caution   = 2 * time.Second        // after a cut, until the limit goes back to rest
	memory    = 10 * time.Second       // after a cut, a slowdown is no burst
	doubt     = 10 * time.Second       // of refusals, until what methods are compared with is questioned
	soon      = 1 * time.Second        // instead, where it has just changed
	wrong     = 0.25                   // it was, by more than this
	few       = 0.25                   // of the calls, which do not wait for each other
	downwards = 0.025                  // weights of a lesson
	upwards   = 0.005
	plunge    = 0.5
)

// control moves the limit. All of it is guarded by the limiter's mutex.
type control struct {
	limit    float64
	began    int64   // the window
	looked   int64   // when the limit was last looked at
	mean     float64 // duration of calls, in ns
	still    float64 // calls in flight that are not heard of, and do not count
	heard    int64   // when a call was last answered
	answers  int64   // of the window, so far
	cool     float64 // calls in flight when they were last not slow
	before   float64 // wait for a processor before Acquire, in ns
	refused  uint64
	settling bool  // the window's calls began under another limit
	through  int64 // when those should be that wait for each other
	drained  bool  // as many as the limit are left of them, or those that do not
	short    bool  // of processors: goroutines wait for them, or would if all calls were let in
	hot      int   // windows of slowdown, in a row
	rising   int   // windows of growth, in a row
	cutAt    int64
	pressed  int64 // when the limit was last lowered, or has refused calls since
	bottom   int64 // since when the limit cannot be lowered
	cuts     uint64
	restored uint64
	trial    trial
	calm     int64         // the last window without refusals, or the last doubt
	trust    time.Duration // until the next one
	doubted  float64       // the limit, while fewer calls are let in to learn from them; 0: no
}

// trial is how it was before the limit was lowered.
type trial struct {
	on bool
	reading
	limit float64
	age   int // windows since the calls were few enough to judge
}

// lesson is what is learned of a method until it is enough.
type lesson struct {
	n, sum float64
	seen   float64 // calls ever, up to young
	loaded bool    // not under light load only
	hot    bool    // some of it under overload
	window struct{ n, failed, mean float64 }
}

// reading is what the calls of a window say.
type reading struct {
	calls    float64 // in flight, at most
	compared float64 // calls
	failed   float64 // of them
	slowdown float64
	rate     float64 // calls in a second
	refused  float64
	floor    float64 // of the limit, at present
}

// roll closes the window, if it can be closed, and moves the limit. It reports
// whether it did.
func (l *Limiter) roll(now int64) bool {
	if !l.mu.TryLock() {
		return false // somebody else does
	}
	defer l.mu.Unlock()
	next := l.next.Load()
	if now < next {
		return false
	}
	c := &l.ctl
	elapsed := now - c.looked
	c.looked = now
	l.next.Store(now + int64(window))
	l.listen(now)
	switch {
	case now-next > int64(pause):
		l.restart(now)
	case c.settling && !c.drained && l.inFlight.Load() > l.caps[High].Load() && now < c.through:
		// Those that were let in before the cut are not through yet.
	case c.settling && !c.drained:
		c.drained = true
		if n := l.inFlight.Load(); n > l.caps[High].Load() {
			c.still = min(float64(n), unheard*l.rest)
		}
		l.next.Store(now + l.span())
	case c.settling:
		c.drained = false
		l.discard()
		l.begin(now)
	case l.count() < c.needed() && c.doubted == 0 && now-c.began < int64(patience):
		if l.refusals() == c.refused { // too few calls to be too many
			c.limit = l.relax(c.limit, now, elapsed)
		}
	default:
		l.judge(now, elapsed)
	}
	c.answers = l.count()
	l.publish()
	l.firm.Store(0)
	if c.hot > 0 || c.settling || c.trial.on || c.doubted > 0 || recent(c.pressed, now) {
		l.firm.Store(math.MaxInt64)
	}
	return true
}

// recent reports whether what was at a time, if it was, is not long ago.
func recent(at, now int64) bool { return at > 0 && now-at < int64(memory) }

// needed is how many calls make a window: more where they decide on a trial.
func (c *control) needed() int64 {
	if c.trial.on {
		return settled
	}
	return enough
}

// begin begins a window, or the time until calls tell of the present limit.
func (l *Limiter) begin(now int64) {
	l.ctl.began, l.ctl.settling = now, false
	l.next.Store(now + l.span())
}

// span is how long a window is at least.
func (l *Limiter) span() int64 {
	return min(int64(longest), max(int64(window), int64(1.5*l.ctl.mean)))
}

// restart forgets what was before a pause, but not what the methods are
// compared with.
func (l *Limiter) restart(now int64) {
	c := &l.ctl
	l.discard()
	c.limit = max(c.limit, l.rest)
	c.drained, c.rising = false, 0
	c.hot, c.trial, c.doubted, c.calm, c.refused = 0, trial{}, 0, now, l.refusals()
	c.short, c.before, c.pressed = false, 0, 0
	l.yield.Store(false)
	l.status.Store(&Status{Slowdown: 1, Cuts: c.cuts, Restored: c.restored})
	l.begin(now)
}

// judge moves the limit by what the window says.
func (l *Limiter) judge(now, elapsed int64) {
	c := &l.ctl
	delay, refused := l.delay(), l.refusals()
	c.short = delay >= busy || (c.short && refused > c.refused)
	l.yield.Store(c.short)
	r := l.read(delay)
	r.rate *= float64(time.Second) / float64(now-c.began)
	r.refused, c.refused = float64(refused-c.refused), refused
	l.learn(r)
	l.move(r, now, elapsed)
	if c.settling {
		c.began, c.drained = now, false
		l.next.Store(now + int64(window)/4)
	} else {
		l.begin(now)
	}
	l.status.Store(&Status{
		Slowdown: r.slowdown, Delay: delay, Cuts: c.cuts, Restored: c.restored,
		Shed: r.refused / max(1, r.refused+r.compared),
	})
}

// count is how many calls the window has.
func (l *Limiter) count() int64 {
	n := int64(0)
	for _, m := range l.methods {
		n += m.served.n.Load() + m.failed.n.Load()
	}
	return n
}

func (l *Limiter) refusals() uint64 {
	n := uint64(0)
	for i := range l.refused {
		n += l.refused[i].Load()
	}
	return n
}

// discard drops the window's calls.
func (l *Limiter) discard() {
	l.peak.Store(l.inFlight.Load())
	for _, m := range l.methods {
		m.served.take()
		m.failed.take()
	}
}

// read takes the window's calls. Where processors are short, calls have also
// waited for one before they came here; the delay of the scheduler is of both
// waits, so that half of it is added.
func (l *Limiter) read(delay time.Duration) reading {
	c := &l.ctl
	r := reading{floor: l.min, slowdown: 1}
	c.before = 0
	if c.short {
		c.before = float64(delay) / 2
		r.floor = min(l.min, float64(l.procs()+1))
	}
	r.calls = min(c.limit, max(0, float64(l.peak.Swap(l.inFlight.Load()))-c.still))
	var t total
	var n, sum float64
	for _, m := range l.methods {
		served, good := m.served.take()
		failed, bad := m.failed.take()
		w := &m.learning
		w.window.n, w.window.failed, w.window.mean = served+failed, failed, 0
		if w.window.n == 0 {
			continue
		}
		w.window.mean = (good + bad) / w.window.n
		w.n += served
		w.sum += good
		n += w.window.n
		sum += good + bad
		base := float64(m.base.Load())
		if base > 0 {
			r.failed += failed
		}
		t.add(w.window.n, good+bad, base, c.before)
	}
	if n > 0 {
		c.mean = sum / n
	}
	r.rate, r.compared = n, t.n
	if r.compared >= enough {
		r.slowdown = t.slowdown()
	}
	return r
}

// learn moves what methods are compared with. Calls that were hardly any in
// flight at a time are believed as they are, and so are those that are let in
// to learn from them; faster ones always; slower ones only slowly, and not while
// calls are refused.
func (l *Limiter) learn(r reading) {
	for _, m := range l.methods {
		w := &m.learning
		w.loaded = w.loaded || r.calls > l.min || r.refused > 0
		w.hot = w.hot || r.refused > 0 || r.slowdown > low
		base := float64(m.base.Load())
		if base == 0 || w.n == 0 {
			continue
		}
		mean, weight := w.sum/w.n, upwards
		switch {
		case l.ctl.doubted > 0:
			mean, weight = w.window.mean, (w.window.n-w.window.failed)/(w.window.n+known/2)
		case w.seen < young && r.refused == 0 && (mean < base || !w.loaded):
			w.seen += w.n
			weight = w.n / w.seen
		case w.n < taught:
			continue
		case mean < base/4:
			weight = plunge
		case mean < base || !w.loaded:
			weight = downwards
		case w.hot:
			weight = 0
		}
		if math.Abs(mean-base)*weight > wrong*base {
			l.ctl.trust = soon / 2
		}
		m.base.Store(max(1, int64(base+weight*(mean-base))))
		w.forget()
	}
}

func (w *lesson) forget() { w.n, w.sum, w.loaded, w.hot = 0, 0, false, false }

// move sets the limit.
func (l *Limiter) move(r reading, now, elapsed int64) {
	c := &l.ctl
	c.limit = max(c.limit, r.floor)
	if r.slowdown <= high {
		c.cool = r.calls
	}
	if r.refused == 0 {
		c.calm = now
	} else if recent(c.pressed, now) {
		c.pressed = now
	}
	switch {
	case c.doubted > 0:
		c.limit, c.doubted, c.calm = c.doubted, 0, now
		c.trust = min(doubt, 2*c.trust)
	case r.slowdown > high:
		c.hot++
		c.rising = 0
		l.lower(r, now)
	case now-c.calm >= int64(c.trust):
		c.hot, c.trial, c.doubted = 0, trial{}, c.limit
		c.limit = max(1, c.limit*few)
		c.settle(r, now)
	default:
		c.hot, c.trial = 0, trial{}
		l.raise(r, now, elapsed)
	}
	c.limit = min(l.max, c.limit)
}

func (l *Limiter) raise(r reading, now, elapsed int64) {
	c := &l.ctl
	switch {
	case r.slowdown > low:
		c.rising = 0
	case r.refused > 0:
		c.rising = min(c.rising+1, steps)
		c.limit += max(1, (growth-1)*c.limit*float64(c.rising))
	default:
		c.limit = max(l.relax(c.limit, now, elapsed), 2*r.calls)
		if c.limit > l.rest { // what was needed once need not be for ever
			c.limit = max(l.rest, 2*r.calls, c.limit/math.Pow(growth, float64(elapsed)/float64(window)))
		}
	}
}

// lower cuts the limit where calls are slow, unless the last cut is still on
// trial, or was in vain. A cut after which most calls still fail is not in vain:
// what callers have given up may still be waited for. At the smallest limit the
// calls are few enough: if they stay slow, the service is slow.
func (l *Limiter) lower(r reading, now int64) {
	c := &l.ctl
	if c.hot == 1 {
		c.bottom = now
	}
	if t := &c.trial; t.on && r.calls <= halved*t.calls {
		t.age++
		switch {
		case r.slowdown <= helped*t.slowdown, t.age > verdict:
			*t = trial{}
		case r.rate <= wasted*t.rate && r.failed <= r.compared/2:
			l.accept()
			c.limit, c.trial, c.hot = t.limit, trial{}, 0
			c.restored++
			c.pressed = 0
			c.trust = soon
			return
		case t.age > 1:
			return
		}
	}
	if c.hot < lasting && (c.hot < lasting-1 || !recent(c.cutAt, now)) {
		return
	}
	floor, wait := r.floor, stuck
	if r.refused == 0 && !recent(c.pressed, now) {
		floor, wait = max(floor, l.rest, 1.25*c.cool), memory
	}
	standing := min(r.calls, float64(l.inFlight.Load())-c.still)
	if standing <= floor {
		if now-c.bottom >= int64(wait) { // so few calls are no overload
			l.accept()
			c.hot = 0
		}
		return
	}
	c.bottom = now
	if !c.trial.on {
		c.trial = trial{on: true, reading: r, limit: c.limit}
	}
	c.limit = max(r.floor, r.calls*max(steepest, high/r.slowdown))
	c.mean *= c.limit / r.calls // a shorter queue
	c.settle(r, now)
	c.cuts++
	c.cutAt, c.pressed = now, now
}

// accept makes the present speed of methods that have slowed down what they are
// compared with.
func (l *Limiter) accept() {
	for _, m := range l.methods {
		w := &m.learning
		if base := float64(m.base.Load()); base > 0 && w.window.n > 0 && w.window.mean > base {
			m.base.Store(int64(w.window.mean))
			w.seen = 0
			w.forget()
		}
	}
}

// relax raises a limit towards that at rest, the further the more time has
// passed.
func (l *Limiter) relax(limit float64, now, elapsed int64) float64 {
	if limit >= l.rest || (l.ctl.cutAt > 0 && now-l.ctl.cutAt < int64(caution)) {
		return limit
	}
	return min(l.rest, (limit+1)*math.Pow(growth, float64(elapsed)/float64(window)))
}

// publish makes the limit valid.
func (l *Limiter) publish() {
	limit := int64(min(l.max, l.ctl.limit+l.ctl.still))
	more := max(1, int64(l.ctl.limit/4))
	l.caps[Normal].Store(limit)
	l.caps[High].Store(limit + more)
	l.caps[Low].Store(max(1, limit-more))
}
