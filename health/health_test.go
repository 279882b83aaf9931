package health_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/aguada-dev/aguada/health"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHandlers(t *testing.T) {
	live, ready := (*health.Checks).Live, (*health.Checks).Readiness
	secret := errors.New("connect postgres://u:hunter2@db: refused")
	for _, test := range []struct {
		name, method string
		handler      func(*health.Checks) http.Handler
		serving      bool
		broken       error
		status       int
		body         string
	}{
		{"live", "GET", live, true, nil, 200, `{"status":"ok"}` + "\n"},
		{"live while starting", "GET", live, false, secret, 200, `{"status":"ok"}` + "\n"},
		{"live, HEAD", "HEAD", live, true, nil, 200, ""},
		{"live, POST", "POST", live, true, nil, 405, `{"status":"method not allowed"}` + "\n"},
		{"ready", "GET", ready, true, nil, 200, `{"status":"ok"}` + "\n"},
		{"ready, HEAD", "HEAD", ready, true, nil, 200, ""},
		{"draining", "GET", ready, false, nil, 503, `{"status":"unavailable"}` + "\n"},
		{"check fails", "GET", ready, true, secret, 503, `{"status":"unavailable"}` + "\n"},
		{"check fails, HEAD", "HEAD", ready, true, secret, 503, ""},
		{"ready, DELETE", "DELETE", ready, true, nil, 405, `{"status":"method not allowed"}` + "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := health.New(health.Config{Ready: func() bool { return test.serving }})
			c.Add("database", func(context.Context) error { return test.broken })
			w := httptest.NewRecorder()
			test.handler(c).ServeHTTP(w, httptest.NewRequest(test.method, "/", nil))
			if w.Code != test.status || w.Body.String() != test.body {
				t.Errorf("%d %q, want %d %q", w.Code, w.Body, test.status, test.body)
			}
			if got := w.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q", got)
			}
			if got, want := w.Header().Get("Allow"), "GET, HEAD"; test.status == 405 && got != want {
				t.Errorf("Allow %q, want %q", got, want)
			}
		})
	}
}

// Many probes at once, and within the age, are one call.
func TestResultIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		c := health.New(health.Config{})
		c.Add("slow", func(context.Context) error { calls.Add(1); time.Sleep(time.Second); return nil })
		begun := time.Now()
		results := make(chan bool, 100)
		for range cap(results) {
			go func() { results <- c.Ready(t.Context()) }()
		}
		for range cap(results) {
			if !<-results {
				t.Error("not ready")
			}
		}
		if took := time.Since(begun); took != time.Second || calls.Load() != 1 {
			t.Errorf("%d calls, %s", calls.Load(), took)
		}
		time.Sleep(999 * time.Millisecond)
		c.Ready(t.Context())
		if calls.Load() != 1 {
			t.Error("a fresh result was not used")
		}
		time.Sleep(time.Millisecond)
		c.Ready(t.Context())
		if calls.Load() != 2 {
			t.Error("an old result was used")
		}
	})
}

// Checks run side by side, and a hanging one costs its timeout once.
func TestHangingCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var calls atomic.Int32
		release := make(chan struct{})
		c := health.New(health.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for range 5 {
			c.Add("slow", func(context.Context) error { time.Sleep(time.Second); return nil })
		}
		c.Add("hangs", func(context.Context) error { calls.Add(1); <-release; return nil }) // heeds no context
		begun := time.Now()
		if c.Ready(t.Context()) {
			t.Error("ready although a check hangs")
		}
		if took := time.Since(begun); took != 2*time.Second {
			t.Errorf("the probe took %s", took)
		}
		for range 1000 {
			begun := time.Now()
			if c.Ready(t.Context()) {
				t.Fatal("ready although a check hangs")
			}
			if took := time.Since(begun); took > time.Second {
				t.Fatalf("a later probe took %s", took)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if calls.Load() != 1 {
			t.Errorf("%d calls of the hanging check", calls.Load())
		}
		close(release)
		synctest.Wait()
		if !c.Ready(t.Context()) || calls.Load() != 2 {
			t.Errorf("not ready again, %d calls", calls.Load())
		}
		got := strings.Count(log.String(), "\n")
		if got != 2 || !strings.Contains(log.String(), `msg="check fails" check=hangs error="no result within 2s`) ||
			!strings.Contains(log.String(), `msg="check passes again" check=hangs`) {
			t.Errorf("log has %d lines, want one per change:\n%s", got, &log)
		}
	})
}

func TestCheckThatPanics(t *testing.T) {
	var log bytes.Buffer
	c := health.New(health.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	c.Add("broken", func(context.Context) error { panic("boom") })
	c.Add("nil", nil)
	if c.Ready(t.Context()) {
		t.Error("ready although checks panic")
	}
	if !strings.Contains(log.String(), "panic: boom") {
		t.Errorf("log: %s", &log)
	}
	if diff := cmp.Diff([]string{"broken", "nil"}, c.Names()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

// A probe that gives up leaves the check running for the next one.
func TestProbeGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		c := health.New(health.Config{})
		c.Add("slow", func(ctx context.Context) error {
			calls.Add(1)
			select {
			case <-time.After(time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if c.Ready(ctx) {
			t.Error("ready although the probe gave up")
		}
		if !c.Ready(t.Context()) || calls.Load() != 1 {
			t.Errorf("not ready, or %d calls", calls.Load())
		}
	})
}

func TestNoChecks(t *testing.T) {
	if !health.New(health.Config{}).Ready(t.Context()) {
		t.Error("a service without checks is not ready")
	}
}
