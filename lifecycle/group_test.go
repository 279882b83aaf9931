package lifecycle_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/lifecycle"
)

// Every hook gets its turn, in reverse order and within the budget, whatever
// the others do.
func TestHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := lifecycle.New(lifecycle.Config{ShutdownTimeout: 8 * time.Second})
		ran := make(chan string, 4) // an abandoned hook shares no memory with the next
		add := func(name string, f func() error) {
			g.OnStop(name, func() error { ran <- name; return f() })
		}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		broken := errors.New("disk full")
		begun := time.Now()
		err := g.Run(ctx, t.Context(), func(context.Context) error {
			add("first", func() error { return nil })
			add("panics", func() error { panic("boom") })
			add("hangs", func() error { time.Sleep(time.Hour); return nil })
			add("fails", func() error { return broken })
			return nil
		})
		if took := time.Since(begun); took > 8*time.Second {
			t.Errorf("took %s, the budget is 8s", took)
		}
		wantError(t, err, "stop fails: disk full", "stop hangs: abandoned", "stop panics: panic: boom")
		if !errors.Is(err, broken) {
			t.Error("the hook's own error is not wrapped")
		}
		var got []string
		for len(ran) > 0 {
			got = append(got, <-ran)
		}
		if diff := cmp.Diff([]string{"fails", "hangs", "panics", "first"}, got); diff != "" {
			t.Errorf("hooks (-want +got):\n%s", diff)
		}
		late := false
		g.OnStop("late", func() error { late = true; return nil })
		if !late {
			t.Error("a hook added after the stop was not called")
		}
		time.Sleep(2 * time.Hour) // lets the abandoned hook end
	})
}

func TestStartFails(t *testing.T) {
	g := lifecycle.New(lifecycle.Config{})
	closed := false
	broken := errors.New("open database: no such file")
	err := g.Run(t.Context(), t.Context(), func(context.Context) error {
		g.OnStop("listener", func() error { closed = true; return nil })
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("Run: %v, want %v", err, broken)
	}
	if !closed {
		t.Error("what had been started was not stopped")
	}
	if g.State() != lifecycle.Stopped {
		t.Errorf("state %s", g.State())
	}
	if err := g.Serve("http", mustListen(t), &http.Server{}); err == nil {
		t.Error("a stopped group serves")
	}
}

func mustListen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := lifecycle.Listen(t.Context(), "127.0.0.1:0", "HTTP_ADDR")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func TestStartIsCancelled(t *testing.T) {
	for _, test := range []struct {
		name  string
		start func(context.Context) error
		want  string
		took  time.Duration
	}{
		{"heeds it", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, "", 0},
		{"ends anyway", func(context.Context) error { time.Sleep(3 * time.Second); return nil }, "", 2 * time.Second},
		{"never ends", func(context.Context) error { time.Sleep(time.Hour); return nil }, "start: abandoned", 5 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := lifecycle.New(lifecycle.Config{ShutdownTimeout: 10 * time.Second})
				ctx, stop := context.WithCancel(t.Context())
				stopped := false
				g.OnStop("database", func() error { stopped = true; return nil })
				time.AfterFunc(time.Second, stop)
				begun := time.Now().Add(time.Second)
				err := g.Run(ctx, t.Context(), test.start)
				if took := time.Since(begun); took != test.took {
					t.Errorf("took %s, want %s", took, test.took)
				}
				if test.want == "" && err != nil {
					t.Errorf("Run: %v", err)
				}
				if test.want != "" {
					wantError(t, err, test.want)
				}
				if !stopped {
					t.Error("the hook was not run")
				}
				time.Sleep(2 * time.Hour) // lets the abandoned start end
			})
		})
	}
}

// A port in use is an error at once, and says what to change.
func TestListenPortInUse(t *testing.T) {
	ln := mustListen(t)
	defer ln.Close()
	addr := ln.Addr().String()
	_, err := lifecycle.Listen(t.Context(), addr, "HTTP_ADDR")
	wantError(t, err, "HTTP_ADDR: listen on "+addr, "address already in use", "choose another address")
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("%v does not wrap EADDRINUSE", err)
	}
	_, err = lifecycle.Listen(t.Context(), "192.0.2.1:80", "HTTP_ADDR")
	wantError(t, err, "HTTP_ADDR: listen on 192.0.2.1:80", "not an address of this machine")
}

// A server that ends by itself takes the group down with it.
func TestServerFails(t *testing.T) {
	g := lifecycle.New(lifecycle.Config{})
	ln := mustListen(t)
	stopped := false
	err := g.Run(t.Context(), t.Context(), func(context.Context) error {
		g.OnStop("database", func() error { stopped = true; return nil })
		if err := g.Serve("http", ln, &http.Server{}); err != nil {
			return err
		}
		return ln.Close()
	})
	wantError(t, err, "serve http:", "use of closed network connection")
	if !stopped {
		t.Error("the hook was not run")
	}
}

func TestStates(t *testing.T) {
	want := []string{"starting", "ready", "leaving", "draining", "closing", "flushing", "stopped", "State(7)"}
	var got []string
	for s := lifecycle.Starting; s <= lifecycle.Stopped+1; s++ {
		got = append(got, s.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if g := lifecycle.New(lifecycle.Config{}); g.State() != lifecycle.Starting || g.Ready() || g.Draining() {
		t.Errorf("a new group is %s", g.State())
	}
}
