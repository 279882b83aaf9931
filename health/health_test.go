package health_test

import (
	"bytes"
	"context"
	"encoding/json"
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
	cluehealth "goa.design/clue/health"

	"github.com/aguada-dev/aguada/health"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHandlers(t *testing.T) {
	live, ready, startup, clue := (*health.Checks).Live, (*health.Checks).Readiness, (*health.Checks).Startup, (*health.Checks).Clue
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
		{"starting", "GET", startup, false, nil, 503, `{"status":"unavailable"}` + "\n"},
		{"started, check fails", "GET", startup, true, secret, 200, `{"status":"ok"}` + "\n"},
		{"started, HEAD", "HEAD", startup, true, nil, 200, ""},
		{"healthy", "GET", clue, true, nil, 200, `{"uptime":0,"version":"1.2.3","status":{"shop":"OK"}}` + "\n"},
		{"unhealthy", "GET", clue, true, secret, 503, `{"uptime":0,"version":"1.2.3","status":{"shop":"NOT OK"}}` + "\n"},
		{"unhealthy, HEAD", "HEAD", clue, true, secret, 503, ""},
		{"healthy, draining", "GET", clue, false, nil, 503, `{"uptime":0,"version":"1.2.3","status":{"shop":"NOT OK"}}` + "\n"},
		{"healthy, POST", "POST", clue, true, nil, 405, `{"status":"method not allowed"}` + "\n"},
		{"ready, DELETE", "DELETE", ready, true, nil, 405, `{"status":"method not allowed"}` + "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			serving := func() bool { return test.serving }
			c := health.New(health.Config{Ready: serving, Started: serving, Service: "shop", Version: "1.2.3"})
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
	c.Add("nil in an error", func(context.Context) error { return (*typedError)(nil) })
	if c.Ready(t.Context()) {
		t.Error("ready although checks panic")
	}
	if !strings.Contains(log.String(), "panic: boom") {
		t.Errorf("log: %s", &log)
	}
	if diff := cmp.Diff([]string{"broken", "nil", "nil in an error"}, c.Names()); diff != "" {
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

type typedError struct{ text string }

func (e *typedError) Error() string { return e.text }

func TestResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken error
		release := make(chan struct{})
		c := health.New(health.Config{Ready: func() bool { return false }})
		c.Add("database", func(context.Context) error { time.Sleep(time.Millisecond); return broken })
		c.Add("hangs", func(context.Context) error { <-release; return nil })
		begun := time.Now()
		at := func(d time.Duration) time.Time { return begun.Add(d) }
		const hung, ms, s = "no result within 2s", time.Millisecond, time.Second
		check := func(when string, want ...health.Result) {
			t.Helper()
			if diff := cmp.Diff(want, c.Results(t.Context())); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		check("first",
			health.Result{Name: "database", OK: true, Duration: ms, Checked: at(ms), Since: at(ms)},
			health.Result{Name: "hangs", LastError: hung, Duration: 2 * s, Checked: at(2 * s), Since: at(2 * s)})
		broken = errors.New("refused")
		check("the database fails",
			health.Result{Name: "database", LastError: "refused", Duration: ms, Checked: at(2*s + ms), Since: at(2*s + ms)},
			health.Result{Name: "hangs", LastError: hung, Duration: 2*s + ms, Checked: at(2 * s), Since: at(2 * s)})
		close(release)
		time.Sleep(s)
		check("the other passes",
			health.Result{Name: "database", LastError: "refused", Duration: ms, Checked: at(3*s + 2*ms), Since: at(2*s + ms)},
			health.Result{Name: "hangs", OK: true, LastError: hung, Checked: at(3*s + ms), Since: at(3*s + ms)})
		broken = nil
		time.Sleep(s)
		check("both pass",
			health.Result{Name: "database", OK: true, LastError: "refused", Duration: ms, Checked: at(4*s + 3*ms), Since: at(4*s + 3*ms)},
			health.Result{Name: "hangs", OK: true, LastError: hung, Checked: at(4*s + 2*ms), Since: at(3*s + ms)})
		if c.Uptime() != time.Since(begun) {
			t.Errorf("uptime %s", c.Uptime())
		}
	})
}

// Whoever asks for results and leaves gets what there is.
func TestResultsGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := health.New(health.Config{})
		c.Add("slow", func(context.Context) error { time.Sleep(time.Second); return errors.New(strings.Repeat("ü", 5000)) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if got := c.Results(ctx)[0]; got.OK || got.Duration != time.Millisecond || !got.Checked.IsZero() {
			t.Errorf("%+v", got)
		}
		if got := c.Results(t.Context())[0]; len(got.LastError) > health.MaxError || !strings.HasPrefix(got.LastError, "üü") {
			t.Errorf("%d bytes", len(got.LastError))
		}
	})
}

// Pingers of Clue are checks, and its checker reads the answer.
func TestCluePinger(t *testing.T) {
	status := http.StatusOK
	billing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	defer billing.Close()
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	c := health.New(health.Config{MaxAge: time.Nanosecond})
	c.AddPinger(cluehealth.NewPinger("billing", billing.Listener.Addr().String(), cluehealth.WithTransport(transport)))
	for _, want := range []string{"OK", "NOT OK"} {
		w := httptest.NewRecorder()
		c.Clue().ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
		var h cluehealth.Health
		if err := json.Unmarshal(w.Body.Bytes(), &h); err != nil || h.Status["service"] != want {
			t.Errorf("%s: %v, want %s", w.Body, err, want)
		}
		if strings.Contains(w.Body.String(), "billing") {
			t.Errorf("the public page names a dependency: %s", w.Body)
		}
		status = http.StatusTeapot
	}
	if r := c.Results(t.Context())[0]; r.Name != "billing" || !strings.Contains(r.LastError, "418") {
		t.Errorf("%+v", r)
	}
}
