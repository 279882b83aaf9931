package lockout

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/aguada-dev/aguada/auth"
)

// Guard tunes [Lockout.Guard].
type Guard struct {
	// Client returns the address that a call comes from; an invalid one is
	// neither counted nor locked out. It is required.
	Client func(context.Context) netip.Addr
	// Locked, if set, is told of every lock when it begins.
	Locked func(ctx context.Context, client netip.Prefix, wait time.Duration)
}

// Guard returns a verifier that asks v only for clients that are not locked
// out, and for credentials that were verified for the same client before;
// others are refused as [auth.Locked]. It counts the guesses among v's refusals,
// and tells v which credentials come from a [auth.Credential] Stranger. What
// comes of calls that were under way when the lock began is not told: many
// guesses at once are no better than one after the other. A nil *Lockout returns
// v itself.
func (l *Lockout) Guard(v auth.Verifier, g Guard) auth.Verifier {
	if l == nil {
		return v
	}
	w := verifier{Verifier: v, lockout: l, guard: g, id: l.guards.Add(1)}
	if r, ok := v.(auth.Recaller); ok {
		return struct {
			verifier
			auth.Recaller // what it accepted before passes
		}{w, r}
	}
	return w
}

type verifier struct {
	auth.Verifier
	lockout *Lockout
	guard   Guard
	id      uint32 // what is good for one verifier need not be for another
}

// Verify implements [auth.Verifier].
func (v verifier) Verify(ctx context.Context, c auth.Credential) (*auth.Principal, error) {
	l, addr := v.lockout, v.guard.Client(ctx)
	m := l.mark(v.id, addr, c)
	known := l.knows(m)
	if !known {
		if err := l.refusal(addr); err != nil {
			return nil, err
		}
		c.Stranger = true
	}
	p, err := v.Verifier.Verify(ctx, c)
	if !known {
		if err := l.refusal(addr); err != nil {
			return nil, err // of success and failure alike
		}
	}
	switch {
	case err == nil && p != nil:
		if !known {
			l.remember(m)
		}
	case guessed(err):
		l.forget(m)
		v.failed(ctx, addr)
	}
	return p, err
}

// refusal returns the error for a client that is locked out, or nil.
func (l *Lockout) refusal(addr netip.Addr) error {
	if wait, blocked := l.Blocked(addr, time.Now()); blocked {
		return &auth.Error{Reason: auth.Locked, RetryAfter: wait}
	}
	return nil
}

// guessed reports whether a verifier's error refuses a guess, as an
// [auth.Guard] understands it: that nothing was presented, or not yet, is not
// for a verifier to say.
func guessed(err error) bool {
	e, ok := errors.AsType[*auth.Error](err)
	return ok && e != nil && (Counts(e.Reason) || e.Reason == auth.Missing || e.Reason == auth.Late)
}

// failed counts a guess.
func (v verifier) failed(ctx context.Context, addr netip.Addr) {
	now := time.Now()
	if !v.lockout.Failed(addr, now) || v.guard.Locked == nil {
		return
	}
	wait, _ := v.lockout.Blocked(addr, now)
	v.guard.Locked(ctx, Client(addr), wait)
}
