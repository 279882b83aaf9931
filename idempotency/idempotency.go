// Package idempotency makes calls safe to repeat: the first call under a key
// runs, and its reply is stored and given to the calls that repeat it
// (draft-ietf-httpapi-idempotency-key-header-07).
//
//	keeper, err := idempotency.New(store, idempotency.Config{Secrets: secrets})
//	...
//	defer keeper.Close()
//	claim, reply, err := keeper.Begin(ctx, idempotency.Call{
//		Subject: "ann", Method: "orders.create", Form: "http",
//		Key: key, Fingerprint: print, Keep: 24 * time.Hour,
//	})
//	switch {
//	case err != nil:
//		return idempotency.Answer(err) // 409, 422, 503
//	case reply != nil:
//		return write(reply) // a repetition
//	}
//	defer claim.Release(ctx) // nothing, once it is completed
//	reply, err = run(claim.Context(ctx))
//	if err == nil {
//		err = claim.Complete(ctx, reply) // before the first byte is sent
//	}
//
// A key belongs to one principal and one method, whatever the transport. Two
// principals never see each other's replies. Where the store is away the call
// is refused: with a key, nothing ever runs unguarded.
//
// Only the reply of a call that succeeded is stored. A call that failed gives
// its key back, and its repetition runs again: most errors pass, and what the
// failed call wrote in the transaction below is rolled back.
//
// # Exactly once, or at least once
//
// [Store] is the boundary to the drivers: [Memory] for one process, package
// sqlstore for the service's own SQL database, package redisstore for Redis.
//
// With sqlstore, a method that writes in the transaction which sqlstore.Tx
// returns runs exactly once in effect: what it wrote and its reply are committed
// together or not at all, however a process ends, and a process that was thought
// dead cannot commit any more.
//
// Otherwise the reply is stored right after the method, and a crash between the
// two makes the repetition run again. A service closes that by a unique column
// with the [ID] of the call next to what it writes: where the insertion finds it
// taken, an earlier attempt did the work, which is then read and returned.
//
// A running call holds a lease, which is extended for as long as it runs. When
// its process dies, the lease ends and a repetition takes the key over.
package idempotency

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/aguada-dev/aguada/policy"
)

// What a caller tells apart with errors.Is; [Answer] says what clients are told.
var (
	// ErrMissing says that there is no key.
	ErrMissing = errors.New("no idempotency key")
	// ErrMalformed says that the key is there twice or is not one.
	ErrMalformed = errors.New("malformed idempotency key")
	// ErrConflict says that another call under the key is still running, or
	// that it took the key over because this one seemed dead: what this one
	// wrote in the joined transaction is rolled back, and the reply of the
	// other one counts.
	ErrConflict = errors.New("another call has this idempotency key")
	// ErrMismatch says that the key belongs to another request.
	ErrMismatch = errors.New("the idempotency key belongs to another request")
	// ErrSpent says that the call was done and that its reply cannot be given
	// again: it was larger than Config.MaxReply, or it was given over another
	// transport. The method must not run again.
	ErrSpent = errors.New("the call under this idempotency key was done, and its reply cannot be given again")
	// ErrUnavailable says that the store did not answer, or answered what
	// cannot be read. The method was not called, or what it wrote in the joined
	// transaction is rolled back; of a connection that broke during its commit
	// that cannot be known, and a repetition under the key finds out, when the
	// lease has ended at the latest.
	ErrUnavailable = errors.New("the store of idempotency keys is unavailable")
	// ErrUnstored says that the method has succeeded, outside of a joined
	// transaction, and that its reply could not be stored. What it did stands:
	// give the reply to the caller. A repetition is refused until the lease
	// ends and then runs again.
	ErrUnstored = errors.New("the reply could not be stored")
	// ErrEnded says that the claim, or the transaction that was joined to it,
	// had been ended before: the method has to leave it open.
	ErrEnded = errors.New("ended before")
)

// Answer returns what the chassis answers to an error of this package, and nil
// for one of another.
func Answer(err error) *policy.Answer {
	for _, a := range []struct {
		err    error
		answer *policy.Answer
	}{
		{ErrMissing, &policy.KeyMissing}, {ErrMalformed, &policy.KeyMalformed}, {ErrConflict, &policy.KeyConflict},
		{ErrSpent, &policy.KeySpent}, {ErrMismatch, &policy.KeyMismatch}, {ErrUnavailable, &policy.KeyUnavailable},
		{ErrUnstored, &policy.KeyUnavailable}, {ErrEnded, &policy.InternalFault},
	} {
		if errors.Is(err, a.err) {
			return a.answer
		}
	}
	return nil
}

// Defaults of a [Config].
const (
	DefaultLease    = 10 * time.Second
	DefaultTimeout  = 2 * time.Second
	DefaultMaxReply = 1 << 20
)

// Config tunes a [Keeper]. The zero value works with a [Memory]; other stores
// need Secrets.
type Config struct {
	// Secrets seal the replies. Where there are none, a Memory is sealed with
	// one of this process.
	Secrets Secrets
	// Lease is how long a key stays claimed after its process has died;
	// DefaultLease if 0, at least 30ms. A call that runs for longer than a
	// third of it extends it. A process that is stopped for longer, and then
	// goes on, finds its key taken over.
	Lease time.Duration
	// Timeout is how long the store is waited for, each time;
	// DefaultTimeout if 0. Storing a reply may take it even where the call's
	// own deadline has passed or its client is gone.
	Timeout time.Duration
	// MaxReply is the size of the largest reply that is stored, headers
	// included, in bytes; DefaultMaxReply if 0. A larger one is given once;
	// repetitions get ErrSpent.
	MaxReply int
	// Report, if not nil, is called with what went wrong beside a call: an
	// extension, a release, a sweep, a secret that is not taken. It must be
	// safe for concurrent use.
	Report func(error)
}

// Call is one call under a key.
type Call struct {
	// Issuer and Subject are the principal's. The subject is required: nobody
	// shares keys with strangers.
	Issuer, Subject string
	// With names the other principals, in order, where several together make the
	// call: the key is that of all of them.
	With []string
	// Method is the design's, "service.method", the same on all transports.
	Method string
	// Key is what [ParseKey] returned.
	Key string
	// Form names the transport and so the encoding of the reply: "http",
	// "grpc", "jsonrpc". A reply is given only to calls of its form.
	Form string
	// Fingerprint tells requests apart; see [Fingerprint].
	Fingerprint [32]byte
	// Keep is how long the reply is kept, at least a millisecond.
	Keep time.Duration
	// Wait is how long to wait for a call that is running under the key.
	Wait time.Duration
}

// Keeper decides what becomes of calls with a key. It is safe for concurrent
// use. Make one with [New].
type Keeper struct {
	store    Store
	seals    *rack
	lease    time.Duration
	timeout  time.Duration
	maxReply int
	report   func(error)

	stop context.CancelFunc
	done sync.WaitGroup
}

// New returns a keeper, which removes expired records from a store that is a
// [Sweeper] until it is closed. It is an error if the secrets are missing or too
// short. The store remains the caller's.
func New(store Store, cfg Config) (*Keeper, error) {
	k := &Keeper{store: store, lease: cfg.Lease, timeout: cfg.Timeout, maxReply: cfg.MaxReply, report: cfg.Report}
	if k.lease == 0 {
		k.lease = DefaultLease
	}
	if k.timeout == 0 {
		k.timeout = DefaultTimeout
	}
	if k.maxReply == 0 {
		k.maxReply = DefaultMaxReply
	}
	if k.report == nil {
		k.report = func(error) {}
	}
	switch {
	case store == nil:
		return nil, errors.New("keep idempotency keys: there is no store")
	case k.lease < 30*time.Millisecond:
		return nil, fmt.Errorf("keep idempotency keys: the lease %s is shorter than 30ms", k.lease)
	case k.timeout < time.Millisecond:
		return nil, fmt.Errorf("keep idempotency keys: the timeout %s is shorter than 1ms", k.timeout)
	case k.maxReply < 0:
		return nil, fmt.Errorf("keep idempotency keys: the largest reply has %d bytes", k.maxReply)
	}
	secrets := cfg.Secrets
	if _, local := store.(*Memory); local && secrets.Current == nil {
		own := rand.Text()
		secrets.Current = func() string { return own }
	}
	seals, err := newRack(secrets, k.report)
	if err != nil {
		return nil, fmt.Errorf("keep idempotency keys: %w", err)
	}
	k.seals = seals
	ctx, stop := context.WithCancel(context.Background())
	k.stop = stop
	if s, ok := store.(Sweeper); ok {
		k.done.Go(func() { k.sweep(ctx, s) })
	}
	return k, nil
}

// Close stops sweeping. Claims can still be completed and released. It returns
// nil.
func (k *Keeper) Close() error {
	k.stop()
	k.done.Wait()
	return nil
}

// Begin decides about a call: it returns either a claim, whose holder runs the
// method and then completes or releases it; or the reply of the call that ran;
// or an error, which is ErrConflict, ErrMismatch, ErrSpent, ErrUnavailable, or
// that of a context that ended while waiting. The reply is the caller's.
func (k *Keeper) Begin(ctx context.Context, c Call) (*Claim, *Reply, error) {
	if c.Subject == "" || c.Method == "" || c.Key == "" || c.Form == "" || c.Keep < time.Millisecond || c.Keep > math.MaxInt64/4 {
		return nil, nil, errors.New("begin idempotent call: principal, method, key, form or time to keep is missing")
	}
	t := c.ticket()
	t.Lease = k.lease
	rand.Read(t.Owner[:])
	for end, n := time.Now().Add(c.Wait), 0; ; n++ {
		state, err := k.claim(ctx, t)
		if err != nil {
			return nil, nil, err
		}
		switch state.Status {
		case Claimed:
			return k.claimed(ctx, t, c.Form)
		case Done:
			r, err := k.open(&t, c.Form, state.Reply)
			return nil, r, err
		case Mismatch:
			return nil, nil, fmt.Errorf("begin idempotent call: %w", ErrMismatch)
		case Running:
		default:
			return nil, nil, fmt.Errorf("begin idempotent call: %w: unknown status %d", ErrUnavailable, state.Status)
		}
		if err := pause(ctx, n, time.Until(end)); err != nil {
			return nil, nil, fmt.Errorf("begin idempotent call: %w", err)
		}
	}
}

// claim asks the store. A client that goes away does not interrupt it: then
// nobody would know whether there is a claim.
func (k *Keeper) claim(ctx context.Context, t Ticket) (State, error) {
	if err := ctx.Err(); err != nil {
		return State{}, fmt.Errorf("begin idempotent call: %w", err)
	}
	until := time.Now().Add(k.timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(until) {
		until = d
	}
	asked, cancel := context.WithDeadline(context.WithoutCancel(ctx), until)
	defer cancel()
	state, err := k.store.Claim(asked, t)
	if err != nil {
		return State{}, fmt.Errorf("begin idempotent call: %w: %w", ErrUnavailable, err)
	}
	return state, nil
}

func (k *Keeper) claimed(ctx context.Context, t Ticket, form string) (*Claim, *Reply, error) {
	c := &Claim{k: k, t: t, form: form}
	if err := ctx.Err(); err != nil {
		if err := c.Release(ctx); err != nil {
			k.report(err)
		}
		return nil, nil, fmt.Errorf("begin idempotent call: %w", err)
	}
	c.extendLater()
	return c, nil, nil
}

// open returns a stored reply for a call of a form.
func (k *Keeper) open(t *Ticket, form string, sealed []byte) (*Reply, error) {
	plain, err := k.seals.open(t, sealed)
	if err != nil {
		return nil, fmt.Errorf("begin idempotent call: %w: %w", ErrUnavailable, err)
	}
	r, of, err := decodeReply(plain)
	switch {
	case err != nil:
		return nil, fmt.Errorf("begin idempotent call: %w: %w", ErrUnavailable, err)
	case r == nil:
		return nil, fmt.Errorf("begin idempotent call: %w", ErrSpent)
	case of != form:
		return nil, fmt.Errorf("begin idempotent call: %w: it was given over %s", ErrSpent, of)
	}
	return r, nil
}

// Times between looks at a call that is running.
const (
	firstPause = 10 * time.Millisecond // doubled up to
	lastPause  = 320 * time.Millisecond
)

// pause waits before the look after n others, for left at most.
func pause(ctx context.Context, n int, left time.Duration) error {
	if left <= 0 {
		return ErrConflict
	}
	wait := min(firstPause<<min(n, 10), lastPause)
	wait = min(wait/2+mathrand.N(wait), left) //nolint:gosec // not a secret
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Times of the goroutine that sweeps.
const (
	sweepEvery = time.Minute
	sweepPause = 100 * time.Millisecond // between batches of which one was full
)

// sweep removes expired records, in small batches, until ctx ends.
func (k *Keeper) sweep(ctx context.Context, s Sweeper) {
	for {
		timer := time.NewTimer(sweepEvery/2 + mathrand.N(sweepEvery)) //nolint:gosec // not a secret
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		for more := true; more; {
			more = k.sweepOnce(ctx, s)
		}
	}
}

// sweepOnce removes a batch and reports whether there may be more.
func (k *Keeper) sweepOnce(ctx context.Context, s Sweeper) bool {
	bounded, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	more, err := s.Sweep(bounded)
	if err != nil && ctx.Err() == nil {
		k.report(fmt.Errorf("sweep idempotency keys: %w", err))
	}
	if err != nil || !more {
		return false
	}
	timer := time.NewTimer(sweepPause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
