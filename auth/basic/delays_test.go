package basic_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/basic"
)

// timed verifies and returns what came of it and how long it took.
func timed(u *basic.Users, name, password string) string {
	start := time.Now()
	got := reason(u.Verify(context.Background(), auth.Credential{Username: name, Password: password}))
	return fmt.Sprintf("%s after %s", got, time.Since(start))
}

// Wrong passwords slow an account down and never refuse it. An account that does
// not exist behaves the same.
func TestAccountIsSlowedDown(t *testing.T) {
	hash := hashed(t, "x")
	synctest.Test(t, func(t *testing.T) {
		u, err := basic.New(&memory{hashes: map[string]string{"ann": hash, "bob": hash}}, basic.Config{})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"!unknown after 0s", "!unknown after 100ms", "!unknown after 200ms", "!unknown after 400ms", "!unknown after 800ms",
			"!unknown after 1.6s", "!unknown after 2s", "!unknown after 2s",
		}
		for _, name := range []string{"ann", "eve"} {
			var got []string
			for range want {
				got = append(got, timed(u, name, "wrong"))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		for _, tt := range []struct{ name, password, want string }{
			{"bob", "x", "bob after 0s"},         // another account
			{"ann", "x", "ann after 2s"},         // never refused
			{"ann", "y", "!unknown after 0s"},    // a success forgets
			{"ann", "x", "ann after 0s"},         // remembered successes pass
			{"ann", "y", "!unknown after 100ms"}, // and forget nothing
		} {
			if got := timed(u, tt.name, tt.password); got != tt.want {
				t.Errorf("%s %s: got %s, want %s", tt.name, tt.password, got, tt.want)
			}
		}
	})
}

// A failure is forgotten every ten seconds.
func TestAccountIsForgiven(t *testing.T) {
	hash := hashed(t, "x")
	synctest.Test(t, func(t *testing.T) {
		u, err := basic.New(&memory{hashes: map[string]string{"ann": hash}}, basic.Config{})
		if err != nil {
			t.Fatal(err)
		}
		for range 8 {
			timed(u, "ann", "wrong")
		}
		time.Sleep(40 * time.Second)
		if got := timed(u, "ann", "wrong"); got != "!unknown after 200ms" {
			t.Errorf("after 40 s: %s", got)
		}
		time.Sleep(time.Minute)
		if got := timed(u, "ann", "wrong"); got != "!unknown after 0s" {
			t.Errorf("after a minute more: %s", got)
		}
	})
}

// Credentials that are held up are bounded, for one account and for all. What does not
// fit is told so at once, and remembered successes pass.
func TestDelayedCallsAreBounded(t *testing.T) {
	hash := hashed(t, "x")
	synctest.Test(t, func(t *testing.T) {
		u, err := basic.New(&memory{hashes: map[string]string{"ann": hash}}, basic.Config{Delayed: 16, Queue: 100, Wait: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		if got := timed(u, "ann", "x"); got != "ann after 0s" {
			t.Fatal(got)
		}
		accounts := []string{"ann", "a", "b", "c", "d", "e", "f", "g", "h", "i"}
		for _, name := range accounts {
			timed(u, name, "wrong")
		}
		for _, name := range accounts[:7] {
			for i := range 2 {
				go timed(u, name, fmt.Sprint("wrong ", i))
			}
		}
		synctest.Wait()
		if got := timed(u, "ann", "wrong"); got != "!unavailable after 0s" {
			t.Errorf("a third credential for one account: %s", got)
		}
		if got := timed(u, "ann", "x"); got != "ann after 0s" {
			t.Errorf("a remembered success: %s", got)
		}
		if got := timed(u, "new", "wrong"); got != "!unknown after 0s" {
			t.Errorf("an account without failures: %s", got)
		}
		for _, name := range accounts[7:9] {
			go timed(u, name, "wrong")
		}
		synctest.Wait()
		if got := timed(u, "i", "wrong"); got != "!unavailable after 0s" {
			t.Errorf("a seventeenth call: %s", got)
		}
		time.Sleep(time.Second)
		if got := timed(u, "i", "wrong"); got != "!unknown after 100ms" {
			t.Errorf("when the others are through: %s", got)
		}
	})
}

// A caller who leaves while it is held up is let go.
func TestDelayedCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, err := basic.New(&memory{}, basic.Config{})
		if err != nil {
			t.Fatal(err)
		}
		timed(u, "ann", "wrong")
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		start := time.Now()
		got := reason(u.Verify(ctx, auth.Credential{Username: "ann", Password: "wrong"}))
		if took := time.Since(start); got != "!unavailable" || took != 50*time.Millisecond {
			t.Errorf("%s after %s", got, took)
		}
	})
}
