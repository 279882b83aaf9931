package basic

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/aguada-dev/aguada/auth"
)

// turns bounds how many passwords are hashed at once, and how many wait
// for that.
type turns struct {
	taken   chan struct{}
	waiting atomic.Int64
	most    int64
	wait    time.Duration
}

func (t *turns) init(hashing, queue int, wait time.Duration) {
	t.taken, t.most, t.wait = make(chan struct{}, hashing), int64(queue), wait
}

// full reports whether nobody else may wait.
func (t *turns) full() bool { return t.waiting.Load() >= t.most }

// take waits for a turn, which the caller gives back.
func (t *turns) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return &auth.Error{Reason: auth.Unavailable, Err: err}
	}
	select {
	case t.taken <- struct{}{}:
		return nil
	default:
	}
	defer t.waiting.Add(-1)
	if t.waiting.Add(1) > t.most {
		return errBusy
	}
	timer := time.NewTimer(t.wait)
	defer timer.Stop()
	select {
	case t.taken <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &auth.Error{Reason: auth.Unavailable, Err: ctx.Err()}
	case <-timer.C:
		return errBusy
	}
}

func (t *turns) give() { <-t.taken }
