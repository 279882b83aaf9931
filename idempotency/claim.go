package idempotency

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Claim is the right and the duty to run a method once. It has to be completed
// or released; until then its lease is extended. Its methods are safe for
// concurrent use.
type Claim struct {
	k    *Keeper
	t    Ticket
	form string

	joining sync.Mutex // held while the transaction begins

	mu    sync.Mutex // guards the rest
	work  Work
	ended bool
	timer *time.Timer
}

type claimKey struct{}

// Context returns ctx with the claim in it, for the method to run with: see
// [ID] and [Join].
func (c *Claim) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, claimKey{}, c)
}

// ErrNone says that there is no transaction to join: the call has no key, or
// its store cannot join one. The method then uses its own.
var ErrNone = errors.New("the call has no transaction to join")

// ID returns a name for what a call with a key does: 43 characters, the same for
// all its repetitions and different for every other principal, method and key.
// In a unique column next to what the method writes, it keeps a repetition from
// writing it again where the store cannot. It is "" for a call without a key.
func ID(ctx context.Context) string {
	if c, _ := ctx.Value(claimKey{}).(*Claim); c != nil {
		return c.t.ID.String()
	}
	return ""
}

// Join returns the transaction of the call that ctx belongs to, and begins it if
// it is the first to ask. It is for drivers: a method calls that of its store,
// such as sqlstore.Tx. Errors are ErrNone, ErrEnded, ErrConflict, ErrUnavailable,
// and that of a context that ended.
func Join(ctx context.Context) (Work, error) {
	c, _ := ctx.Value(claimKey{}).(*Claim)
	if c == nil {
		return nil, ErrNone
	}
	j, ok := c.k.store.(Joiner)
	if !ok {
		return nil, ErrNone
	}
	c.joining.Lock()
	defer c.joining.Unlock()
	if w, err := c.joined(nil); w != nil || err != nil {
		return w, err
	}
	w, err := j.Join(ctx, c.t)
	switch {
	case errors.Is(err, ErrSuperseded):
		return nil, fmt.Errorf("join transaction: %w: %w", ErrConflict, err)
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("join transaction: %w", errors.Join(ctx.Err(), err))
	case err != nil:
		return nil, fmt.Errorf("join transaction: %w: %w", ErrUnavailable, err)
	}
	if _, err := c.joined(w); err != nil { // ended meanwhile
		return nil, errors.Join(err, w.Abandon())
	}
	return w, nil
}

// joined returns the work, which is w from now on unless w is nil.
func (c *Claim) joined(w Work) (Work, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil, fmt.Errorf("join transaction: the call has %w", ErrEnded)
	}
	if w != nil {
		c.work = w
	}
	return c.work, nil
}

// end makes the claim over, once.
func (c *Claim) end() (Work, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil, false
	}
	c.ended = true
	if c.timer != nil {
		c.timer.Stop()
	}
	return c.work, true
}

// Complete stores the reply of a method that succeeded. It must be called before
// any of the reply is sent. Where the method joined a transaction this commits
// both or neither. It goes on when ctx is canceled or its deadline passes, for
// as long as Config.Timeout: a client that is gone takes nothing back. Errors are
// ErrConflict, ErrUnavailable, ErrUnstored and ErrEnded; the claim is over in any
// case.
func (c *Claim) Complete(ctx context.Context, r Reply) error {
	work, ok := c.end()
	if !ok {
		return fmt.Errorf("complete idempotent call: %w", ErrEnded)
	}
	plain := encodeReply(c.form, &r)
	if len(plain) > c.k.maxReply {
		plain = spent()
	}
	sealed, err := c.k.seals.seal(&c.t, plain)
	if err == nil {
		err = c.store(ctx, work, sealed)
	} else if work != nil {
		err = errors.Join(err, work.Abandon())
	}
	if err != nil {
		return fmt.Errorf("complete idempotent call: %w", err)
	}
	return nil
}

func (c *Claim) store(ctx context.Context, work Work, sealed []byte) error {
	if work == nil {
		return c.storeAlone(ctx, sealed)
	}
	bounded, cancel := c.bound(ctx)
	defer cancel()
	err := work.Complete(bounded, c.t, sealed)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrSuperseded):
		return fmt.Errorf("%w: %w", ErrConflict, err)
	case errors.Is(err, ErrEnded):
		// Whether the method committed cannot be known: it must not run again.
		return errors.Join(fmt.Errorf("the method ended the transaction that the reply belongs to: %w", err), c.spend(ctx))
	}
	// What was committed after all stays; otherwise a repetition may run at once.
	return fmt.Errorf("%w: %w", ErrUnavailable, errors.Join(err, c.forget(ctx)))
}

// storeAlone stores the reply of a method that joined nothing. It tries again for
// as long as Config.Timeout: the method cannot be undone.
func (c *Claim) storeAlone(ctx context.Context, sealed []byte) error {
	bounded, cancel := c.bound(ctx)
	defer cancel()
	for n := 0; ; n++ {
		err := c.k.store.Finish(bounded, c.t, sealed)
		if err == nil {
			return nil
		}
		if errors.Is(err, ErrSuperseded) {
			return fmt.Errorf("%w: %w", ErrConflict, err)
		}
		if pause(bounded, n, lastPause) != nil {
			return fmt.Errorf("%w: %w", ErrUnstored, err)
		}
	}
}

// spend makes the record done without a reply.
func (c *Claim) spend(ctx context.Context) error {
	sealed, err := c.k.seals.seal(&c.t, spent())
	if err != nil {
		return err
	}
	return c.storeAlone(ctx, sealed)
}

// forget gives the key back.
func (c *Claim) forget(ctx context.Context) error {
	bounded, cancel := c.bound(ctx)
	defer cancel()
	return c.k.store.Finish(bounded, c.t, nil)
}

// bound returns a context for what has to be done even if the call is over.
func (c *Claim) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), c.k.timeout)
}

// Release gives the key back after a method that failed, so that a repetition
// runs again, and rolls the joined transaction back. After Complete or another
// Release it does nothing and returns nil. Where it fails, the key is free when
// the lease ends. It goes on when ctx is over, as Complete does.
func (c *Claim) Release(ctx context.Context) error {
	work, ok := c.end()
	if !ok {
		return nil
	}
	var err error
	if work != nil {
		err = work.Abandon()
	}
	if err = errors.Join(err, c.forget(ctx)); err != nil {
		return fmt.Errorf("release idempotency key: %w", err)
	}
	return nil
}

// extendLater extends the lease when a third of it has passed.
func (c *Claim) extendLater() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.timer = time.AfterFunc(c.t.Lease/3, c.extend)
	}
}

func (c *Claim) extend() {
	c.mu.Lock()
	work, ended := c.work, c.ended
	c.mu.Unlock()
	if ended {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), min(c.k.timeout, c.t.Lease/3))
	defer cancel()
	var err error
	if work != nil {
		err = work.Extend(ctx, c.t)
	} else {
		err = c.k.store.Extend(ctx, c.t)
	}
	c.mu.Lock()
	ended = c.ended
	c.mu.Unlock()
	if ended {
		return // what is done cannot be extended
	}
	if err != nil {
		c.k.report(fmt.Errorf("extend claim of idempotency key: %w", err))
	}
	if !errors.Is(err, ErrSuperseded) {
		c.extendLater()
	}
}
