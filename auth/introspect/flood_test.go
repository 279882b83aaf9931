package introspect_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/introspect"
)

// Those who make up tokens, more and faster than the issuer can judge them,
// hold up each other, and nobody whose token was good lately.
func TestFloodOfMadeUpTokens(t *testing.T) {
	s := &server{answer: func(w http.ResponseWriter, token string) {
		if strings.HasPrefix(token, "good") {
			_, _ = io.WriteString(w, active(nil))
			return
		}
		_, _ = io.WriteString(w, `{"active":false}`)
	}}
	within(t, s, introspect.Config{Requests: 2}, func(t *testing.T, v *introspect.Verifier) {
		for i := range 5 {
			if got := verify(v, fmt.Sprint("good", i)); got != "ann" {
				t.Fatalf("got %q", got)
			}
		}
		s.slow = time.Second
		ctx, stop := context.WithCancel(t.Context())
		var flood sync.WaitGroup
		for i := range 100 {
			flood.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					_, _ = v.Verify(ctx, auth.Credential{Token: fmt.Sprint("bad", i, "-", n)})
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		for range 5 {
			time.Sleep(31 * time.Second) // nothing is remembered of them
			var users sync.WaitGroup
			for i := range 5 {
				users.Go(func() {
					begun := time.Now()
					if got := verify(v, fmt.Sprint("good", i)); got != "ann" || time.Since(begun) > 3*time.Second {
						t.Errorf("got %q after %s", got, time.Since(begun))
					}
				})
			}
			users.Wait()
		}
		stop()
		flood.Wait()
		if n := s.most.Load(); n > 4 {
			t.Errorf("%d requests at once, want 4 at most", n)
		}
	})
}

// A token that was good an hour ago and is not now is no guess, however often
// it is presented; one that was made up is.
func TestWasGoodOnce(t *testing.T) {
	s := &server{answer: always(active(nil))}
	within(t, s, introspect.Config{}, func(t *testing.T, v *introspect.Verifier) {
		if got := verify(v, "a"); got != "ann" {
			t.Fatalf("got %q", got)
		}
		s.answer = always(`{"active":false}`)
		for range 5 {
			time.Sleep(31 * time.Second)
			if got := [2]string{verify(v, "a"), verify(v, "b")}; got != [2]string{"!expired", "!unknown"} {
				t.Errorf("got %q", got)
			}
		}
		time.Sleep(61 * time.Minute)
		if got := verify(v, "a"); got != "!unknown" {
			t.Errorf("an hour later: got %q", got)
		}
		s.answer = always(active(nil))
		time.Sleep(time.Minute)
		if got := verify(v, "a"); got != "ann" {
			t.Errorf("good again: got %q", got)
		}
	})
}

// strange fails in another way each time, as a connection that is reset does.
type strange struct {
	n  int
	ok func(n int) bool
}

func (s *strange) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.n++; s.ok(s.n) {
		return (&server{answer: always(active(nil))}).RoundTrip(r)
	}
	return nil, fmt.Errorf("read tcp 127.0.0.1:%d: connection reset by peer", s.n)
}

// An endpoint that fails as often as it is asked does not fill the log.
func TestFailuresDoNotFillTheLog(t *testing.T) {
	for name, ok := range map[string]func(int) bool{
		"always":          func(int) bool { return false },
		"every other one": func(n int) bool { return n%2 == 0 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log strings.Builder
				v, err := introspect.New(say(endpoint), say("orders"), say(secret), introspect.Config{
					Audience: []string{audience}, Transport: &strange{ok: ok}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
				})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = v.Close() }()
				for i := range 6000 {
					verify(v, fmt.Sprint(i))
					time.Sleep(10 * time.Millisecond)
				}
				if n := strings.Count(log.String(), "\n"); n < 6 || n > 14 {
					t.Errorf("%d lines in a minute, want 6 to 14", n)
				}
			})
		})
	}
}
