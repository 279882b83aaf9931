package transport

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aguada-dev/aguada/limit/adaptive"
	"github.com/aguada-dev/aguada/policy"
)

// load is a method's part of what the process does at once. Methods of the
// chassis itself, and streams, have none: they are always let in.
type load struct {
	method  *adaptive.Method
	running *atomic.Int64 // calls of the method's priority
	passing bool          // a call is not counted once it was let in
}

// adaptivePriorities are the limiter's names of the contract's priorities.
var adaptivePriorities = map[policy.Priority]adaptive.Priority{
	"": adaptive.Normal, policy.NormalPriority: adaptive.Normal, policy.HighPriority: adaptive.High, policy.LowPriority: adaptive.Low,
}

// compileLoad returns a method's part; nil for none. How long files and raw bodies
// take is the client's doing: they are refused when the process has enough to do,
// and otherwise say nothing of it.
func (p *path) compileLoad(m *policy.Method) *load {
	if p.cfg.Load == nil || m.Service == "" || m.Kind == policy.Preflight || m.Kind == policy.Redirect || m.Kind == policy.Stream || m.Kind.Stream() {
		return nil
	}
	priority := adaptivePriorities[m.ShedPriority] // an unknown one is normal
	return &load{
		method: p.cfg.Load.Method(priority), running: &p.admitted[priority],
		passing: m.Kind == policy.Files || len(m.Consumes) > 0 && m.Consumes[0] == "*/*",
	}
}

// shed refuses the call if the process is overloaded.
func (c *core) shed() *refused {
	l := c.m.load
	if l == nil {
		return nil
	}
	if !l.method.Acquire() {
		return refuse(&policy.Overloaded)
	}
	if l.passing {
		l.method.Release(0, adaptive.Ignored)
		return nil
	}
	l.running.Add(1)
	c.loaded = true
	return nil
}

// stepOut gives the call's place up while it waits for somebody else, who may take
// as long as he likes: the client that sends its message, or another call under
// its idempotency key. Otherwise a few of those would have everybody refused.
func (c *core) stepOut() {
	if !c.loaded {
		return
	}
	c.loaded, c.outside = false, true
	c.m.load.running.Add(-1)
	c.m.load.method.Release(0, adaptive.Ignored)
}

// stepIn takes a place for the method of a call that has stepped out.
func (c *core) stepIn() *refused {
	if !c.outside {
		return nil
	}
	c.outside = false
	return c.shed()
}

// unload ends what shed began, once: over HTTP before the answer is written, which
// takes as long as the client likes. A call that did not get as far as its method
// says nothing of how long that takes, and neither does the time for which the
// client was waited for.
func (c *core) unload(now time.Time, outcome adaptive.Outcome) {
	if !c.loaded {
		return
	}
	switch {
	case !c.reached:
		outcome = adaptive.Ignored
	case c.failure.fault || c.failure.gone:
		outcome = adaptive.Failed
	}
	c.loaded = false
	c.m.load.running.Add(-1)
	c.m.load.method.Release(now.Sub(c.start)-time.Duration(c.waited.Load()), outcome)
}

// outcomeOf is what an HTTP status tells of a call.
func outcomeOf(status int) adaptive.Outcome {
	switch {
	case status >= http.StatusInternalServerError:
		return adaptive.Failed
	case status >= http.StatusBadRequest:
		return adaptive.Declined
	}
	return adaptive.Served
}

// answered is what it tells that a call was answered with an error, or with none.
func answered(withError bool) adaptive.Outcome {
	if withError {
		return adaptive.Declined
	}
	return adaptive.Served
}

// Admitted returns how many calls of a priority are being served that count towards
// the adaptive limit.
func (p *path) Admitted(priority policy.Priority) int {
	return int(p.admitted[adaptivePriorities[priority]].Load())
}
