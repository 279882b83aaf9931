package basic

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aguada-dev/aguada/auth"
)

// A user who is removed while a call with its password waits for its turn to
// hash is not let in.
func TestUsersReloadWhileQueued(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	hash, err := HashPassword("x")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("ann:"+hash), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		u, err := Open(path, Config{Hashing: 1, Wait: time.Hour, Interval: time.Nanosecond})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		u.turns.taken <- struct{}{}
		done := make(chan error)
		go func() {
			_, err := u.Verify(t.Context(), auth.Credential{Username: "ann", Password: "x"})
			done <- err
		}()
		synctest.Wait()
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		u.turns.give()
		if err := <-done; refusal(err) != auth.Unknown {
			t.Errorf("got %v, want unknown", err)
		}
	})
}

func TestUsersQueueEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		u, err := Open(path, Config{Hashing: 1, Wait: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		u.turns.taken <- struct{}{}
		start := time.Now()
		_, err = u.Verify(t.Context(), auth.Credential{Username: "ann", Password: "x"})
		if refusal(err) != auth.Unavailable || time.Since(start) != time.Minute {
			t.Errorf("got %v after %s, want unavailable after a minute", err, time.Since(start))
		}
	})
}

// refusal returns the reason of a refusal; empty for any other error.
func refusal(err error) auth.Reason {
	if e, ok := errors.AsType[*auth.Error](err); ok {
		return e.Reason
	}
	return ""
}

// Who does not fit into the queue is told at once.
func TestUsersQueueIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		u, err := Open(path, Config{Hashing: 1, Queue: 3, Wait: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		u.turns.taken <- struct{}{}
		verify := func(password int) error {
			_, err := u.Verify(t.Context(), auth.Credential{Username: "ann", Password: fmt.Sprint(password)})
			return err
		}
		done := make(chan error)
		for i := range 3 {
			go func() { done <- verify(i) }()
		}
		synctest.Wait()
		start := time.Now()
		for i := range 100 { // the same as in the queue, or others
			if err := verify(i); refusal(err) != auth.Unavailable || time.Since(start) != 0 {
				t.Fatalf("got %v after %s, want unavailable at once", err, time.Since(start))
			}
		}
		u.turns.give()
		for range 3 {
			if err := <-done; refusal(err) != auth.Unknown {
				t.Errorf("of those in the queue: %v", err)
			}
		}
	})
}
