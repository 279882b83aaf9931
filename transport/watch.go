package transport

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/policy"
)

// watch ends a stream on which no message passes for too long, or whose
// credential expires. A message costs a reading of the clock: the one timer
// finds out by itself how long it has to go on.
type watch struct {
	begun   time.Time
	idle    time.Duration // 0 for never
	expires time.Time     // zero for never
	last    atomic.Int64  // message, in nanoseconds since begun
	end     func(*refused)

	mu    sync.Mutex
	timer *time.Timer // nil once the watch is over
}

// newWatch begins to watch; nil, which is as good, where there is nothing to.
// End is called once at most, in a goroutine of its own.
func newWatch(idle time.Duration, expires time.Time, end func(*refused)) *watch {
	if idle <= 0 && expires.IsZero() {
		return nil
	}
	w := &watch{begun: time.Now(), idle: idle, expires: expires, end: end}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, wait := w.judge(w.begun)
	w.timer = time.AfterFunc(wait, w.look)
	return w
}

// touch says that a message passed.
func (w *watch) touch() {
	if w != nil && w.idle > 0 {
		w.last.Store(int64(time.Since(w.begun)))
	}
}

// stop ends the watch. A call of end may still be under way.
func (w *watch) stop() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}

// look is what the timer does.
func (w *watch) look() {
	w.mu.Lock()
	if w.timer == nil {
		w.mu.Unlock()
		return
	}
	r, wait := w.judge(time.Now())
	if r == nil {
		w.timer.Reset(wait)
	} else {
		w.timer = nil
	}
	w.mu.Unlock()
	if r != nil {
		w.end(r)
	}
}

// judge returns why the stream has to end now, or when to look again.
func (w *watch) judge(now time.Time) (*refused, time.Duration) {
	wait := time.Duration(1<<63 - 1)
	if !w.expires.IsZero() {
		if wait = w.expires.Sub(now); wait <= 0 {
			return expired(), 0
		}
	}
	if w.idle > 0 {
		left := w.idle - (now.Sub(w.begun) - time.Duration(w.last.Load()))
		if left <= 0 {
			return refuse(&policy.StreamIdled), 0
		}
		wait = min(wait, left)
	}
	return nil, wait
}

func expired() *refused {
	r := refuse(&policy.Unauthorized).saying("the credential has expired")
	r.kind, r.counted = string(auth.Expired), "credential_expired"
	return r
}

// overdue is how long a stream lasts whose credential was taken though its end
// had come: clocks may differ, and how much is the verifier's to say.
const overdue = time.Minute

// validUntil returns when the first of the call's credentials expires: the
// zero time if none does.
func (c *core) validUntil() time.Time {
	first := c.peerEnds
	earlier := func(t time.Time) {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	if p := c.principal; p != nil {
		earlier(p.ExpiresAt)
		for _, other := range p.With {
			earlier(other.ExpiresAt)
		}
	}
	if first.IsZero() {
		return first
	}
	if least := time.Now().Add(overdue); !first.After(time.Now()) {
		return least
	}
	return first
}

// finish ends the stream for a reason of the chassis, and reports whether it
// was the first to do so. What the method returns from then on is of no use.
func (c *core) finish(r *refused) bool {
	if c.ended.Load() || !c.ending.CompareAndSwap(nil, r) {
		return false
	}
	c.p.cfg.Telemetry.Refused(cmp.Or(r.counted, r.Name))
	return true
}

// pace bounds how often something happens: a [limit.Rule] for one, which is an
// instant (GCRA). It is not safe for concurrent use.
type pace struct {
	cost, fill int64 // nanoseconds: of one, and of the whole burst
	full       int64 // when all of the burst is there again
}

// take reports whether one more is allowed at the given moment, and counts it.
func (p *pace) take(now int64) bool {
	full := max(p.full, now)
	if full-now > p.fill-p.cost {
		return false
	}
	p.full = full + p.cost
	return true
}
