package basic

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/auth"
)

// office is a store that counts how often it is asked, and can break.
type office struct {
	mu     sync.Mutex
	hashes map[string]string
	asked  atomic.Int32
	breaks func() // instead of an answer
	takes  time.Duration
}

func (o *office) Lookup(_ context.Context, name string) (string, bool, error) {
	o.asked.Add(1)
	if o.breaks != nil {
		o.breaks()
	}
	o.mu.Lock()
	hash, ok := o.hashes[name]
	o.mu.Unlock()
	time.Sleep(o.takes)
	return hash, ok, nil
}

func (o *office) set(name, hash string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hashes[name] = hash
}

func hashes(t *testing.T, passwords ...string) (all []string) {
	t.Helper()
	for _, p := range passwords {
		hash, err := HashPassword(p)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, hash)
	}
	return all
}

func open(t *testing.T, o *office, cfg Config) *Users {
	t.Helper()
	u, err := New(o, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// outcome is what became of calls, and how many there were of each kind.
type outcome struct {
	mu    sync.Mutex
	count map[string]int
	wg    sync.WaitGroup
}

// call verifies in the background.
func (o *outcome) call(ctx context.Context, u *Users, c auth.Credential) {
	o.wg.Go(func() {
		start, got := time.Now(), ""
		p, err := u.Verify(ctx, c)
		if got = string(refusal(err)); err == nil {
			got = p.Subject
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.count == nil {
			o.count = map[string]int{}
		}
		o.count[fmt.Sprint(c.Password, ": ", got, " after ", time.Since(start))]++
	})
}

// got returns what has come of the calls until now.
func (o *outcome) got() map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.count)
}

// While some client still tries the old password, all who have the new one get
// in after the delay, however many they are, from wherever they are.
func TestNewPasswordWhileOldIsTried(t *testing.T) {
	h := hashes(t, "old", "new")
	synctest.Test(t, func(t *testing.T) {
		o := &office{hashes: map[string]string{"ann": h[0]}}
		u := open(t, o, Config{})
		var before outcome
		before.call(t.Context(), u, auth.Credential{Username: "ann", Password: "old"})
		before.wg.Wait()
		o.set("ann", h[1])
		time.Sleep(recheck)
		for range 8 { // until all are held up for as long as they may be
			before.call(t.Context(), u, auth.Credential{Username: "ann", Password: "old"})
			before.wg.Wait()
		}
		o.asked.Store(0)
		var after outcome
		for i := range 500 {
			after.call(t.Context(), u, auth.Credential{Username: "ann", Password: "new", Stranger: i%2 == 0})
			after.call(t.Context(), u, auth.Credential{Username: "ann", Password: "old", Stranger: i%2 == 0})
		}
		after.wg.Wait()
		want := map[string]int{"new: ann after 2s": 500, "old: unknown after 2s": 500}
		if diff := cmp.Diff(want, after.got()); diff != "" {
			t.Error(diff)
		}
		// Those with the new password may come to their turn a few at a time, but
		// what one flight has decided is remembered.
		if n := o.asked.Load(); n > 100 {
			t.Errorf("the store was asked %d times for 1000 calls", n)
		}
	})
}

// The same wrong guess at once is one guess of the account, however many make it.
func TestSameGuessCountsOnce(t *testing.T) {
	h := hashes(t, "x")
	synctest.Test(t, func(t *testing.T) {
		o := &office{hashes: map[string]string{"ann": h[0]}, takes: time.Second}
		u := open(t, o, Config{Hashing: 1, Wait: time.Hour})
		for i, guesses := range []func(i int) string{
			func(int) string { return "wrong" },
			func(i int) string { return fmt.Sprint(i % 3) },
		} {
			u.turns.taken <- struct{}{}
			var calls outcome
			for n := range 30 {
				calls.call(t.Context(), u, auth.Credential{Username: "ann", Password: guesses(n), Stranger: true})
			}
			time.Sleep(time.Second)
			u.turns.give()
			calls.wg.Wait()
			if got, want := o.asked.Swap(0), int32(1+2*i); got != want {
				t.Errorf("%d hashes for %d guesses", got, want)
			}
			account := u.digest.Text("ann")
			if got, want := u.delays.delay(account, u.now()), firstDelay<<(2*i); got != want {
				t.Errorf("round %d: held up for %s, want %s", i, got, want)
			}
			time.Sleep(time.Hour)
		}
	})
}

// Who leaves, leaves alone, even the first. When all have left, their place is
// free and nothing is hashed.
func TestCallersLeaveAFlight(t *testing.T) {
	h := hashes(t, "x")
	synctest.Test(t, func(t *testing.T) {
		o := &office{hashes: map[string]string{"ann": h[0]}}
		u := open(t, o, Config{Hashing: 1, Wait: time.Hour})
		ann := auth.Credential{Username: "ann", Password: "x"}
		u.turns.taken <- struct{}{}
		var calls outcome
		for i := range 4 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Second)
			defer cancel()
			calls.call(ctx, u, ann)
			synctest.Wait()
		}
		time.Sleep(2500 * time.Millisecond)
		u.turns.give()
		calls.wg.Wait()
		want := map[string]int{"x: unavailable after 1s": 1, "x: unavailable after 2s": 1, "x: ann after 2.5s": 2}
		if diff := cmp.Diff(want, calls.got()); diff != "" {
			t.Error(diff)
		}
		o.asked.Store(0)
		u.turns.taken <- struct{}{}
		ctx, cancel := context.WithCancel(t.Context())
		for range 3 {
			calls.call(ctx, u, auth.Credential{Username: "ann", Password: "y"})
		}
		synctest.Wait()
		cancel()
		calls.wg.Wait()
		synctest.Wait()
		if u.turns.waiting.Load() != 0 || len(u.flights.all) != 0 || u.flights.calls != 0 {
			t.Errorf("all left: %d wait for a turn, %d flights", u.turns.waiting.Load(), len(u.flights.all))
		}
		u.turns.give()
		synctest.Wait()
		if n := o.asked.Load(); n != 0 {
			t.Errorf("the store was asked %d times for nobody", n)
		}
	})
}

// Leaving the delay frees the place as well, but only with the last.
func TestCallersLeaveTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := open(t, &office{}, Config{Delayed: 16}) // 2 for one account
		var calls outcome
		calls.call(t.Context(), u, auth.Credential{Username: "ann", Password: "0"})
		calls.wg.Wait()
		short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		for range 2 {
			calls.call(short, u, auth.Credential{Username: "ann", Password: "1"})
		}
		synctest.Wait()
		calls.call(t.Context(), u, auth.Credential{Username: "ann", Password: "1"})
		synctest.Wait()
		time.Sleep(20 * time.Millisecond)
		calls.call(t.Context(), u, auth.Credential{Username: "ann", Password: "2"})
		calls.wg.Wait()
		want := map[string]int{"0: unknown after 0s": 1, "1: unavailable after 10ms": 2, "1: unknown after 100ms": 1, "2: unknown after 100ms": 1}
		if diff := cmp.Diff(want, calls.got()); diff != "" {
			t.Error(diff)
		}
		if len(u.delays.places) != 0 || u.delays.calls != 0 || u.delays.held[first(u.digest.Text("ann"))] != 0 {
			t.Error("places are still taken")
		}
	})
}

// A store that panics, or ends its goroutine, ends the flight for all, and the
// next call is served.
func TestStorePanics(t *testing.T) {
	h := hashes(t, "x")
	for name, breaks := range map[string]func(){
		"panic": func() { panic("no database") },
		"exit":  func() { (&testing.T{}).SkipNow() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &office{hashes: map[string]string{"ann": h[0]}, breaks: breaks}
				u := open(t, o, Config{Hashing: 1})
				u.turns.taken <- struct{}{}
				var calls outcome
				for range 3 {
					calls.call(t.Context(), u, auth.Credential{Username: "ann", Password: "x"})
				}
				synctest.Wait()
				u.turns.give()
				calls.wg.Wait()
				o.breaks = nil
				calls.call(t.Context(), u, auth.Credential{Username: "ann", Password: "x"})
				calls.wg.Wait()
				want := map[string]int{"x: unavailable after 0s": 3, "x: ann after 0s": 1}
				if diff := cmp.Diff(want, calls.got()); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// Calls that share a place or a turn are bounded as well.
func TestCrowdIsBounded(t *testing.T) {
	h := hashes(t, "x")
	for _, delayed := range []bool{false, true} {
		t.Run(fmt.Sprint(delayed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := open(t, &office{hashes: map[string]string{"ann": h[0]}}, Config{Hashing: 1, Wait: time.Hour})
				if delayed {
					u.delays.failed(u.digest.Text("ann"), u.now())
				}
				u.turns.taken <- struct{}{}
				var calls, more outcome
				for range crowd {
					calls.call(t.Context(), u, auth.Credential{Username: "ann", Password: "x"})
				}
				synctest.Wait()
				for _, password := range []string{"x", "y"} { // not told apart
					more.call(t.Context(), u, auth.Credential{Username: "ann", Password: password})
				}
				synctest.Wait()
				if diff := cmp.Diff(map[string]int{"x: unavailable after 0s": 1, "y: unavailable after 0s": 1}, more.got()); diff != "" {
					t.Error(diff)
				}
				time.Sleep(firstDelay)
				synctest.Wait()
				u.turns.give()
				calls.wg.Wait()
				if diff := cmp.Diff(map[string]int{"x: ann after 100ms": crowd}, calls.got()); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// A password is changed while the store reads it for others with the same guess.
// Who comes afterwards is judged by what the store says by then.
func TestFlightIsNoOlderThanItsCalls(t *testing.T) {
	h := hashes(t, "old", "new")
	synctest.Test(t, func(t *testing.T) {
		o := &office{hashes: map[string]string{"ann": h[0]}, takes: time.Second}
		u := open(t, o, Config{Hashing: 4, Cache: -1})
		call := func(calls *outcome) {
			for _, password := range []string{"old", "new"} {
				calls.call(t.Context(), u, auth.Credential{Username: "ann", Password: password})
			}
		}
		var before, after outcome
		call(&before)
		synctest.Wait() // the store has read the old hash
		o.set("ann", h[1])
		call(&after)
		before.wg.Wait()
		after.wg.Wait()
		for calls, want := range map[*outcome]map[string]int{
			&before: {"old: ann after 1s": 1, "new: unknown after 1s": 1},
			&after:  {"old: unknown after 1s": 1, "new: ann after 1s": 1},
		} {
			if diff := cmp.Diff(want, calls.got()); diff != "" {
				t.Error(diff)
			}
		}
	})
}

// While a guess with which somebody logs in is held up or waits for its turn, a
// full house refuses it like any other guess: no hash, no answer.
func TestFullHouseTellsNothing(t *testing.T) {
	h := hashes(t, "x")
	for _, delayed := range []bool{false, true} {
		t.Run(fmt.Sprint(delayed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := open(t, &office{hashes: map[string]string{"ann": h[0]}}, Config{Hashing: 1, Queue: 32, Wait: time.Hour})
				if delayed {
					u.delays.failed(u.digest.Text("ann"), u.now())
				}
				u.turns.taken <- struct{}{}
				var calls, guesses outcome
				calls.call(t.Context(), u, auth.Credential{Username: "ann", Password: "x", Stranger: true})
				for i := range 31 {
					calls.call(t.Context(), u, auth.Credential{Username: "ann", Password: fmt.Sprint(i), Stranger: true})
				}
				synctest.Wait()
				for _, password := range []string{"x", "y"} {
					guesses.call(t.Context(), u, auth.Credential{Username: "ann", Password: password, Stranger: true})
				}
				guesses.wg.Wait()
				if diff := cmp.Diff(map[string]int{"x: unavailable after 0s": 1, "y: unavailable after 0s": 1}, guesses.got()); diff != "" {
					t.Error(diff)
				}
				time.Sleep(firstDelay)
				u.turns.give()
				calls.wg.Wait()
			})
		})
	}
}
