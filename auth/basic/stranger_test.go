package basic_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/basic"
)

// Ann's password is remembered, and her account is being guessed. To a stranger
// the right guess looks like the wrong ones, however long he waits; to her,
// nothing changes.
func TestStrangerLearnsNothingByTime(t *testing.T) {
	hash := hashed(t, "right")
	synctest.Test(t, func(t *testing.T) {
		u, err := basic.New(&memory{hashes: map[string]string{"ann": hash}}, basic.Config{Delayed: 8})
		if err != nil {
			t.Fatal(err)
		}
		ann := auth.Credential{Username: "ann", Password: "right"}
		if got := reason(u.Verify(t.Context(), ann)); got != "ann" {
			t.Fatal(got)
		}
		for range 8 {
			timed(u, "ann", "wrong")
		}
		// guess hangs up after a while, unless there is an answer before.
		guess := func(password string, patience time.Duration) string {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			start := time.Now()
			got := reason(u.Verify(ctx, auth.Credential{Username: "ann", Password: password, Stranger: true}))
			return fmt.Sprint(got, " after ", time.Since(start))
		}
		for _, password := range []string{"wrong", "right"} {
			if got := guess(password, 50*time.Millisecond); got != "!unavailable after 50ms" {
				t.Errorf("hang up, %s: %s", password, got)
			}
		}
		done := make(chan string)
		go func() { done <- guess("wrong", time.Minute) }() // all that may wait for one account
		synctest.Wait()
		for _, password := range []string{"wrong", "right"} {
			if got := guess(password, time.Minute); got != "!unavailable after 0s" {
				t.Errorf("one too many, %s: %s", password, got)
			}
		}
		if got := timed(u, "ann", "right"); got != "ann after 0s" {
			t.Errorf("she: %s", got)
		}
		<-done
		if got := guess("right", time.Minute); got != "ann after 2s" {
			t.Errorf("from elsewhere: %s", got)
		}
	})
}

// slow is a store that takes its time.
type slow struct{ *memory }

func (s slow) Lookup(ctx context.Context, name string) (string, bool, error) {
	select {
	case <-time.After(10 * time.Millisecond):
		return s.memory.Lookup(ctx, name)
	case <-ctx.Done():
		return "", false, ctx.Err()
	}
}

// Who hangs up while the store is asked has guessed all the same: it is refused,
// and counted.
func TestHangingUpIsAGuess(t *testing.T) {
	hash := hashed(t, "right")
	synctest.Test(t, func(t *testing.T) {
		u, err := basic.New(slow{&memory{hashes: map[string]string{"ann": hash}}}, basic.Config{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			answer := make(chan error)
			go func() {
				_, err := u.Verify(ctx, auth.Credential{Username: "ann", Password: "wrong", Stranger: true})
				answer <- err
			}()
			time.Sleep([]time.Duration{0, 100, 200}[i]*time.Millisecond + 5*time.Millisecond)
			cancel()
			if e, ok := errors.AsType[*auth.Error](<-answer); !ok || e.Reason != auth.Unknown {
				t.Errorf("guess %d: %v", i+1, e)
			}
		}
	})
}

// late is a store that takes its time to tell what it read, whatever the context
// says.
type late struct {
	*memory
	takes time.Duration
}

func (s *late) Lookup(ctx context.Context, name string) (string, bool, error) {
	hash, ok, err := s.memory.Lookup(ctx, name)
	time.Sleep(s.takes)
	return hash, ok, err
}

// What a store read long ago lets nobody in, though it has only just said so.
func TestLateAnswerIsNoAnswer(t *testing.T) {
	hash := hashed(t, "x")
	synctest.Test(t, func(t *testing.T) {
		s := &late{memory: &memory{hashes: map[string]string{"ann": hash}}}
		u, err := basic.New(s, basic.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if got := timed(u, "ann", "x"); got != "ann after 0s" {
			t.Fatal(got)
		}
		time.Sleep(6 * time.Second)
		s.takes = time.Minute
		if got := timed(u, "ann", "x"); got != "!unavailable after 1m0s" {
			t.Errorf("a remembered success: %s", got)
		}
		if got := timed(u, "ann", "y"); got != "!unavailable after 1m0s" {
			t.Errorf("another password: %s", got)
		}
	})
}
