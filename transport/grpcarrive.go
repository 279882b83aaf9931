package transport

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/tap"
)

// arrival is the context of a call from the moment when its header was read. It
// keeps the metadata as it came, which is else copied whenever it is asked for,
// and lets the server's reads and writes be ended.
type arrival struct {
	context.Context
	c      *rpc               // the call that it is part of
	cancel context.CancelFunc // nil where the caller's deadline is soon enough
	start  time.Time
	md     metadata.MD
	late   atomic.Bool

	due        time.Time // in patience
	prev, next *arrival
	waiting    bool
}

// arrivalKey is the context key of a call's *arrival.
type arrivalKey struct{}

// Value answers for the arrival.
func (a *arrival) Value(key any) any {
	if _, ok := key.(arrivalKey); ok {
		return a
	}
	return a.Context.Value(key)
}

// Err says that time ran out if expire was called.
func (a *arrival) Err() error {
	if a.late.Load() {
		return context.DeadlineExceeded
	}
	return a.Context.Err()
}

// expire ends reads that have taken too long.
func (a *arrival) expire() {
	a.late.Store(true)
	a.cancel()
}

// arrive is the server's tap.ServerInHandle. It runs in the goroutine that reads
// the connection, under a lock.
func (g *GRPC) arrive(ctx context.Context, info *tap.Info) (context.Context, error) {
	c := new(rpc)
	a := &c.from
	a.Context, a.c, a.start, a.md = ctx, c, time.Now(), info.Header
	r := g.methods[strings.TrimPrefix(info.FullMethodName, "/")]
	if end, ok := ctx.Deadline(); !ok || r == nil || r.unary == nil || r.readTimeout <= 0 || end.Sub(a.start) > r.readTimeout {
		a.Context, a.cancel = context.WithCancel(ctx)
	}
	return a, nil
}

// patience ends reads that take too long. All of them may take as long as each
// other, so that the first to begin is the first to end, and one timer is
// enough.
type patience struct {
	most time.Duration // 0 for ever

	mu          sync.Mutex
	first, last *arrival
	timer       *time.Timer
	running     bool
}

// wait begins a read; leave ends it.
func (p *patience) wait(a *arrival) {
	if p.most <= 0 || a.cancel == nil {
		return
	}
	a.due = time.Now().Add(p.most)
	p.mu.Lock()
	defer p.mu.Unlock()
	a.waiting, a.prev = true, p.last
	if p.last == nil {
		p.first = a
	} else {
		p.last.next = a
	}
	p.last = a
	if p.running {
		return
	}
	p.running = true
	if p.timer == nil {
		p.timer = time.AfterFunc(p.most, p.look)
	} else {
		p.timer.Reset(p.most)
	}
}

func (p *patience) leave(a *arrival) {
	if p.most <= 0 || a.cancel == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(a)
}

// drop takes a read out of the queue.
func (p *patience) drop(a *arrival) {
	if !a.waiting {
		return
	}
	if a.prev == nil {
		p.first = a.next
	} else {
		a.prev.next = a.next
	}
	if a.next == nil {
		p.last = a.prev
	} else {
		a.next.prev = a.prev
	}
	a.waiting, a.prev, a.next = false, nil, nil
}

// look ends what is overdue.
func (p *patience) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for p.first != nil && !p.first.due.After(now) {
		a := p.first
		p.drop(a)
		a.expire()
	}
	if p.running = p.first != nil; p.running {
		p.timer.Reset(p.first.due.Sub(now))
	}
}

// rpcTransport is a call for what asks its context for the server's stream, as
// grpc.SendHeader does.
type rpcTransport rpc

var _ grpc.ServerTransportStream = (*rpcTransport)(nil)

// transportKey is the key by which contexts hold the server's stream. grpc does
// not export it; a context that listens hears it.
var transportKey = func() any {
	l := &listener{Context: context.Background()}
	grpc.ServerTransportStreamFromContext(l)
	return l.key
}()

type listener struct {
	context.Context
	key any
}

// Value notes the key.
func (l *listener) Value(key any) any {
	l.key = key
	return nil
}

// Method returns the full name of the method.
func (t *rpcTransport) Method() string { return "/" + t.r.name }

// SetHeader adds to the header.
func (t *rpcTransport) SetHeader(md metadata.MD) error {
	if t.claim != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.told.Header = metadata.Join(t.told.Header, md)
		return nil
	}
	return t.ss.SetHeader(md)
}

// SendHeader sends the header, with what the call has to say in it. That of a call
// with an idempotency key waits until its answer is stored.
func (t *rpcTransport) SendHeader(md metadata.MD) error {
	if t.claim != nil {
		return t.SetHeader(md)
	}
	if t.headed.Swap(true) {
		return t.ss.SendHeader(md) // which says that it is too late
	}
	md = metadata.Join(t.head, md)
	t.head = nil
	return t.ss.SendHeader(md)
}

// SetTrailer adds to the trailer.
func (t *rpcTransport) SetTrailer(md metadata.MD) error {
	if t.claim != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.told.Trailer = metadata.Join(t.told.Trailer, md)
		return nil
	}
	t.ss.SetTrailer(md)
	return nil
}
