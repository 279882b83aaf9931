package lifecycle_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/lifecycle"
)

// During the delay the group is not ready, and serves: new connections too.
func TestDrainDelay(t *testing.T) {
	cfg := lifecycle.Config{ShutdownTimeout: 30 * time.Second, DrainDelay: 5 * time.Second}
	bubbleWith(t, cfg, func(http.ResponseWriter, *http.Request) {}, func(t *testing.T, x *fixture) {
		begun := time.Now()
		x.stop()
		time.Sleep(4 * time.Second)
		if x.State() != lifecycle.Leaving || x.Ready() || !x.Draining() {
			t.Errorf("state %s, ready %t, draining %t", x.State(), x.Ready(), x.Draining())
		}
		select {
		case <-x.Drain():
			t.Error("streams were ended in the delay")
		default:
		}
		c := x.dial(t, get)
		defer c.Close()
		if resp := answer(t, c); resp.StatusCode != http.StatusOK || !resp.Close {
			t.Errorf("status %d, Connection: close %t", resp.StatusCode, resp.Close)
		}
		if err := x.stopped(t, begun, 5*time.Second, 5100*time.Millisecond); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// The delay is part of the budget: it leaves the hooks theirs, and nothing
// waits for it that cannot be served.
func TestDrainDelayEnds(t *testing.T) {
	ok := func(http.ResponseWriter, *http.Request) {}
	t.Run("with the budget", func(t *testing.T) {
		cfg := lifecycle.Config{ShutdownTimeout: 10 * time.Second, DrainDelay: time.Minute}
		bubbleWith(t, cfg, ok, func(t *testing.T, x *fixture) {
			begun := time.Now()
			x.stop()
			_ = x.stopped(t, begun, 9*time.Second, 10*time.Second)
			if len(x.hooks) != 2 {
				t.Errorf("hooks ran: %v, want both", x.hooks)
			}
		})
	})
	cfg := lifecycle.Config{ShutdownTimeout: 30 * time.Second, DrainDelay: 10 * time.Second}
	t.Run("by force", func(t *testing.T) {
		bubbleWith(t, cfg, ok, func(t *testing.T, x *fixture) {
			begun := time.Now()
			x.stop()
			time.Sleep(time.Second)
			x.force()
			wantError(t, x.stopped(t, begun, time.Second, time.Second), "shutdown was forced")
		})
	})
	t.Run("when a server ends", func(t *testing.T) {
		bubbleWith(t, cfg, ok, func(t *testing.T, x *fixture) {
			begun := time.Now()
			x.stop()
			time.Sleep(time.Second)
			x.Close()
			wantError(t, x.stopped(t, begun, time.Second, time.Second), "serve http")
		})
	})
	t.Run("not begun when the start fails", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			broken := errors.New("no database")
			err := lifecycle.New(cfg).Run(t.Context(), t.Context(), func(context.Context) error { return broken })
			if !errors.Is(err, broken) || time.Since(begun) > 0 {
				t.Errorf("Run: %v after %s", err, time.Since(begun))
			}
		})
	})
}

// What is flushed gets its share, whatever came before, and no more than that.
func TestFlush(t *testing.T) {
	const budget = 20 * time.Second // of which 2 s are the flush's
	for _, test := range []struct {
		name        string
		hook        time.Duration // how long a hook of OnStop takes
		flush       func(context.Context) error
		least, most time.Duration
		want        []string
	}{
		{"quick", time.Second, func(context.Context) error { return nil }, time.Second, time.Second, nil},
		{"dead, and says so", 0, func(ctx context.Context) error {
			<-ctx.Done()
			return errors.New("12 spans lost")
		}, 1800 * time.Millisecond, 1800 * time.Millisecond, []string{"flush telemetry: 12 spans lost"}},
		{"dead, and heeds nothing", 0, func(context.Context) error {
			time.Sleep(time.Hour)
			return nil
		}, 2 * time.Second, 2 * time.Second, []string{"flush telemetry: abandoned, it did not end within 2s"}},
		{"after a hook that hangs", time.Hour, func(ctx context.Context) error {
			if end, ok := ctx.Deadline(); !ok || time.Until(end) != 1800*time.Millisecond {
				t.Errorf("the flush has %s", time.Until(end))
			}
			return nil
		}, 18 * time.Second, 18 * time.Second, []string{"stop slow: abandoned"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := lifecycle.New(lifecycle.Config{ShutdownTimeout: budget})
				ctx, stop := context.WithCancel(t.Context())
				states := make(chan lifecycle.State, 2) // an abandoned hook shares no memory with the test
				var begun time.Time
				err := g.Run(ctx, t.Context(), func(context.Context) error {
					g.OnFlush("telemetry", func(ctx context.Context) error {
						states <- g.State()
						return test.flush(ctx)
					})
					g.OnStop("slow", func() error {
						states <- g.State()
						time.Sleep(test.hook)
						return nil
					})
					begun = time.Now()
					time.AfterFunc(0, stop)
					return nil
				})
				if took := time.Since(begun); took < test.least || took > test.most {
					t.Errorf("took %s, want %s to %s", took, test.least, test.most)
				}
				if len(test.want) == 0 && err != nil {
					t.Errorf("Run: %v", err)
				} else if len(test.want) > 0 {
					wantError(t, err, test.want...)
				}
				if first, second := <-states, <-states; first != lifecycle.Closing || second != lifecycle.Flushing {
					t.Errorf("hooks ran in states %s and %s", first, second)
				}
				time.Sleep(2 * time.Hour) // lets what was abandoned end
			})
		})
	}
}

// A server of ServeLast answers in every phase, and holds nothing up.
func TestServeLast(t *testing.T) {
	var admin *pipes
	state := func(t *testing.T) string {
		c := admin.dial(t, get)
		defer c.Close()
		b, err := io.ReadAll(c)
		if err != nil {
			t.Errorf("read the admin server's answer: %v", err)
		}
		_, body, _ := strings.Cut(string(b), "\r\n\r\n")
		return body
	}
	hold := func(_ http.ResponseWriter, r *http.Request) { time.Sleep(2 * time.Second) }
	cfg := lifecycle.Config{ShutdownTimeout: 30 * time.Second, DrainDelay: time.Second}
	bubbleWith(t, cfg, hold, func(t *testing.T, x *fixture) {
		admin = newPipes()
		var got []string
		x.OnStop("asks", func() error { got = append(got, state(t)); return nil })
		x.OnFlush("asks", func(context.Context) error { got = append(got, state(t)); return nil })
		if err := x.ServeLast("admin", admin, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost { // as a profile of 30 s
				<-r.Context().Done()
			}
			_, _ = io.WriteString(w, x.State().String())
		})}); err != nil {
			t.Fatal(err)
		}
		profile, unused := admin.dial(t, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"), admin.dial(t, "")
		defer unused.Close()
		written := make(chan string, 1)
		go func() { b, _ := io.ReadAll(profile); written <- string(b) }()
		begun := time.Now()
		x.stop()
		synctest.Wait()
		got = append(got, state(t))
		time.Sleep(500 * time.Millisecond)
		c := x.dial(t, get)
		go func() { _, _ = io.ReadAll(c); c.Close() }()
		time.Sleep(time.Second)
		got = append(got, state(t))
		if n := x.InFlight(); n != 1 {
			t.Errorf("%d in flight, want the public request", n)
		}
		if err := x.stopped(t, begun, 2500*time.Millisecond, 2800*time.Millisecond); err != nil {
			t.Errorf("Run: %v", err)
		}
		if diff := cmp.Diff([]string{"leaving", "draining", "closing", "flushing"}, got); diff != "" {
			t.Errorf("what the admin server said (-want +got):\n%s", diff)
		}
		if p := <-written; !strings.HasSuffix(p, "flushing") {
			t.Errorf("the request in flight was not answered: %q", p)
		}
		if _, err := admin.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the listener is open: %v", err)
		}
	})
}
