package transport

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/aguada-dev/aguada/policy"
)

// flow is a stream of messages: what generated code reads and writes. Reads wait
// for a goroutine that waits for the server, so that they can be ended with an
// answer of ours; the server's own reads end with their context only, and it
// then answers by itself.
type flow struct {
	grpc.ServerStream
	c *rpc

	watch *watch
	rate  pace
	once  sync.Once
	want  chan any
	got   chan error
	done  chan struct{} // closed when the method has returned
	whole atomic.Bool   // the method has read the client's last message

	mu      sync.Mutex
	stopped chan struct{} // closed when the chassis ends the stream
	leaving bool          // the server stops
}

var (
	_ grpc.ServerStream = (*flow)(nil)
	_ stream            = (*flow)(nil)
)

// serveStream runs the method of a stream.
func (c *rpc) serveStream(impl any) error {
	f := &flow{
		ServerStream: c.ss, c: c, want: make(chan any), got: make(chan error, 1),
		done: make(chan struct{}), stopped: make(chan struct{}), rate: c.m.messages,
	}
	if !c.p.track(f) {
		refusal := stopping()
		c.p.cfg.Telemetry.Refused(refusal.Name)
		return refusal
	}
	c.flow = f
	c.sendHead()
	f.watch = newWatch(time.Duration(c.m.StreamIdle), c.validUntil(), f.end)
	if d := c.m.Deadline; d > 0 {
		timer := time.AfterFunc(time.Until(c.deadline), func() { f.end(refuse(&policy.DeadlineExceeded)) })
		defer timer.Stop()
	}
	return c.r.stream(impl, f)
}

// shut ends what serveStream began.
func (f *flow) shut() {
	f.watch.stop()
	close(f.done)
	f.c.p.untrack(f)
}

// Context returns the context of the call.
func (f *flow) Context() context.Context { return f.c }

// RecvMsg reads a message.
func (f *flow) RecvMsg(m any) error {
	if err := f.over(); err != nil {
		return err
	}
	f.once.Do(func() { go f.pump() })
	if !f.c.r.client && f.c.r.readTimeout > 0 {
		timer := time.AfterFunc(f.c.r.readTimeout, func() { f.end(refuse(&policy.BodyTimeout)) })
		defer timer.Stop()
	}
	select {
	case f.want <- m:
	case <-f.stopped:
		return f.over()
	}
	var err error
	select {
	case err = <-f.got:
	case <-f.stopped:
		return f.over()
	}
	if err = f.c.received(err); err != nil {
		f.whole.Store(errors.Is(err, io.EOF))
		if r, ok := errors.AsType[*refused](err); ok && r.Answer == &policy.BodyTooLarge {
			f.end(r)
		}
		return err
	}
	f.watch.touch()
	if f.c.r.client && f.rate.cost > 0 && !f.rate.take(int64(time.Since(f.c.start))) {
		f.end(refuse(&policy.TooManyMessages))
		return f.over()
	}
	return nil
}

// pump reads what RecvMsg wants.
func (f *flow) pump() {
	for {
		select {
		case m := <-f.want:
			f.c.in.m, f.c.in.max = m, f.c.m.maxBody
			err := f.ServerStream.RecvMsg(&f.c.in)
			f.got <- err
			if err != nil {
				return
			}
		case <-f.done:
			return
		}
	}
}

// SendMsg writes a message.
func (f *flow) SendMsg(m any) error {
	if err := f.over(); err != nil {
		return err
	}
	if err := f.c.send(m); err != nil {
		return err
	}
	f.watch.touch()
	return nil
}

// end ends the stream for a reason of the chassis.
func (f *flow) end(r *refused) {
	if f.c.finish(r) {
		f.stop()
	}
}

// goAway asks the stream to end because the server stops.
func (f *flow) goAway() {
	f.mu.Lock()
	f.leaving = true
	f.mu.Unlock()
	f.stop()
}

// stop ends reads that wait and the context of the method, and a moment later
// writes to a client that does not read.
func (f *flow) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.stopped:
		return
	default:
	}
	close(f.stopped)
	if s := f.c.standard(); s != nil {
		s.cancel()
	}
	time.AfterFunc(closing, f.c.from.cancel)
}

// over returns why the stream has been ended, nil if it has not.
func (f *flow) over() error {
	if r := f.c.ending.Load(); r != nil {
		return r
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.leaving {
		return stopping()
	}
	return nil
}

// outcome returns what the stream came to, given what its method did. While the
// server stops, a method may have finished that has the client's last message,
// or answers once; any other stream is not whole, though its method returns no
// error, and its client shall come back.
func (f *flow) outcome(err error) error {
	over := f.over()
	if over == nil || errors.Is(err, io.EOF) {
		return err
	}
	if f.c.ending.Load() == nil && err == nil && f.c.r.client && (f.whole.Load() || !f.c.r.server) {
		return nil
	}
	return over
}
