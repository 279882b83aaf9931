package transport

import (
	"context"
	"time"

	goahttp "goa.design/goa/v3/http"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/telemetry"
)

var _ context.Context = (*core)(nil)

// standard is the context that a call stands for once somebody waits for its
// end. Most calls never make one: a deadline that nobody waits for needs no
// timer.
type standard struct {
	ctx    context.Context
	cancel context.CancelFunc
}

// closed is the Done channel of calls that ended before anybody asked.
var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Deadline returns the earlier of the call's own deadline and its parent's.
func (c *core) Deadline() (time.Time, bool) {
	t, ok := c.parent.Deadline()
	if c.deadline.IsZero() || ok && t.Before(c.deadline) {
		return t, ok
	}
	return c.deadline, true
}

// Done makes the standard context on first use. Contexts derived from the call
// find its cancelCtx through Value, so that they need no goroutine.
func (c *core) Done() <-chan struct{} {
	if s := c.standard(); s != nil {
		return s.ctx.Done()
	}
	return closed
}

// standard returns the standard context, nil once the call has ended without.
func (c *core) standard() *standard {
	if s := c.std.Load(); s != nil {
		return s
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.std.Load()
	if s != nil || c.ended.Load() {
		return s
	}
	s = &standard{}
	if c.deadline.IsZero() {
		s.ctx, s.cancel = context.WithCancel(c.parent)
	} else {
		s.ctx, s.cancel = context.WithDeadline(c.parent, c.deadline)
	}
	c.std.Store(s)
	return s
}

// Err is computed as long as there is no standard context.
func (c *core) Err() error {
	if s := c.std.Load(); s != nil {
		return s.ctx.Err()
	}
	if c.ended.Load() {
		return c.endErr
	}
	if !c.deadline.IsZero() && time.Until(c.deadline) <= 0 {
		return context.DeadlineExceeded
	}
	return c.parent.Err()
}

// Value answers the keys of the call; a principal is never the parent's.
func (c *core) Value(key any) any {
	switch key.(type) {
	case callKey:
		return c
	case auth.ContextKey:
		if c.principal == nil {
			return nil
		}
		return c.principal
	case telemetry.ScopeKey:
		return &c.scope
	}
	if span, ok := c.span.Value(key); ok {
		return span
	}
	if key == goahttp.ContentTypeKey { // set by handlers only, and asked for by every answer
		return nil
	}
	if s := c.std.Load(); s != nil {
		return s.ctx.Value(key)
	}
	return c.parent.Value(key)
}

// finishContext ends the context at the given moment, as net/http does when a
// handler returns.
func (c *core) finishContext(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endErr = c.parent.Err()
	if s := c.std.Load(); s != nil {
		c.endErr = s.ctx.Err()
	} else if !c.deadline.IsZero() && !now.Before(c.deadline) {
		c.endErr = context.DeadlineExceeded
	}
	if c.endErr == nil {
		c.endErr = context.Canceled
	}
	c.ended.Store(true)
	if s := c.std.Load(); s != nil {
		s.cancel()
	}
}
