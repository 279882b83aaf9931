package basic

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"github.com/aguada-dev/aguada/auth"
)

// crowd is how many calls may be held up at once, and how many may wait for a
// turn, where those of one credential share a place. Each takes some KiB.
const crowd = 4096

var (
	errCrowd = &auth.Error{Reason: auth.Unavailable, Err: errors.New("too many calls wait for passwords to be verified")}
	errEnded = &auth.Error{Reason: auth.Unavailable, Err: errors.New("the store ended the verification")}
)

// sameGuess is what calls have in common that share a flight.
type sameGuess struct {
	key      [sha256.Size]byte
	stranger bool
}

// flight is one wait for a turn and one hash, for all calls with one credential
// that came before the turn. None comes later: what a flight decides is never older
// than the calls that it is for, so that whose password was changed before he called
// is judged by the new one.
type flight struct {
	cancel context.CancelFunc
	calls  int  // that wait; guarded by flights.mu
	begun  bool // whether it is its turn; guarded by flights.mu
	done   chan struct{}
	p      *auth.Principal // with err, set before done is closed
	err    error
}

// flights are those whose turn has not come.
type flights struct {
	mu    sync.Mutex
	all   map[sameGuess]*flight
	calls int // of all flights
}

func (s *flights) init() { s.all = make(map[sameGuess]*flight) }

// share verifies together with the calls that present the same. Whoever leaves
// before the turn leaves alone; afterwards he has guessed.
func (u *Users) share(ctx context.Context, c auth.Credential, key, account [sha256.Size]byte) (*auth.Principal, error) {
	if err := ctx.Err(); err != nil {
		return nil, &auth.Error{Reason: auth.Unavailable, Err: err}
	}
	f, err := u.board(ctx, c, key, account)
	if err != nil {
		return nil, err
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		if u.flights.leave(sameGuess{key, c.Stranger}, f) {
			return nil, &auth.Error{Reason: auth.Unavailable, Err: ctx.Err()}
		}
		<-f.done
	}
	return f.p, f.err
}

// board joins a flight, or starts one that outlives its first caller. Who joins is
// refused where a wrong guess would be: else a full queue would tell whether the
// guess is what somebody else logs in with.
func (u *Users) board(ctx context.Context, c auth.Credential, key, account [sha256.Size]byte) (*flight, error) {
	s, id := &u.flights, sameGuess{key, c.Stranger}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls >= crowd {
		return nil, errCrowd
	}
	f := s.all[id]
	if f != nil && u.turns.full() {
		return nil, errBusy
	}
	if f == nil {
		f = &flight{done: make(chan struct{})}
		s.all[id] = f
		ctx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
		go u.fly(ctx, f, c, key, account)
	}
	f.calls++
	s.calls++
	return f, nil
}

// leave takes a call off a flight whose turn has not come. The last one ends it.
func (s *flights) leave(id sameGuess, f *flight) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.begun {
		return false
	}
	f.calls--
	s.calls--
	if f.calls == 0 {
		s.end(id, f)
	}
	return true
}

// end lets nobody join a flight any more, and gives up its wait for a turn.
func (s *flights) end(id sameGuess, f *flight) {
	if s.all[id] == f {
		delete(s.all, id)
	}
	f.cancel()
}

// close is the end of boarding, with or without a turn. It reports whether
// anybody is still there.
func (s *flights) close(id sameGuess, f *flight) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !f.begun {
		f.begun = true
		s.calls -= f.calls
		s.end(id, f)
	}
	return f.calls > 0
}

// fly is a flight. However it ends, even by a panic of the store, all its calls
// are answered.
func (u *Users) fly(ctx context.Context, f *flight, c auth.Credential, key, account [sha256.Size]byte) {
	f.err = errEnded // unless something else is decided
	id := sameGuess{key, c.Stranger}
	defer close(f.done)
	defer u.flights.close(id, f)
	defer func() {
		if p := recover(); p != nil { // else the whole process would end
			f.p, f.err = nil, &auth.Error{Reason: auth.Unavailable, Err: fmt.Errorf("the store panicked: %v", p)}
		}
	}()
	p, old, next, err := u.turn(ctx, f, c, key, account)
	if err == nil && next != "" {
		u.replace(ctx, c.Username, old, next)
	}
	f.p, f.err = p, err
}

// turn hashes in a turn, unless everybody has left until then.
func (u *Users) turn(ctx context.Context, f *flight, c auth.Credential, key, account [sha256.Size]byte) (p *auth.Principal, old, next string, err error) {
	if err := u.turns.take(ctx); err != nil {
		return nil, "", "", err
	}
	defer u.turns.give()
	if !u.flights.close(sameGuess{key, c.Stranger}, f) {
		return nil, "", "", errEnded
	}
	return u.hash(context.WithoutCancel(ctx), c, key, account) // who hangs up now has guessed all the same
}
