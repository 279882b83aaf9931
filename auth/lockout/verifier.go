package lockout

import (
	"context"
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
// out, and for credentials that were verified before; others are refused as
// [auth.Locked]. It counts the guesses among v's refusals. A nil *Lockout
// returns v itself.
func (l *Lockout) Guard(v auth.Verifier, g Guard) auth.Verifier {
	if l == nil {
		return v
	}
	w := verifier{Verifier: v, lockout: l, guard: g}
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
}

// Verify implements [auth.Verifier].
func (v verifier) Verify(ctx context.Context, c auth.Credential) (*auth.Principal, error) {
	l, now := v.lockout, time.Now()
	fp := l.Fingerprint(c)
	if l.locks(now) {
		if wait, blocked := l.Blocked(v.guard.Client(ctx), now); blocked && !l.Known(fp) {
			return nil, &auth.Error{Reason: auth.Locked, RetryAfter: wait}
		}
	}
	p, err := v.Verifier.Verify(ctx, c)
	if err == nil {
		l.Remember(fp)
		return p, nil
	}
	if e, ok := err.(*auth.Error); ok && e != nil && Counts(e.Reason) { //nolint:errorlint // as a Guard has it
		v.failed(ctx)
	}
	return nil, err
}

// failed counts a guess.
func (v verifier) failed(ctx context.Context) {
	addr, now := v.guard.Client(ctx), time.Now()
	if !v.lockout.Failed(addr, now) || v.guard.Locked == nil {
		return
	}
	wait, _ := v.lockout.Blocked(addr, now)
	v.guard.Locked(ctx, Client(addr), wait)
}
