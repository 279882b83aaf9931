package lifecycle_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/lifecycle"
)

// pipes is an in-memory listener, for tests with a fake clock.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial opens a connection and sends text on it.
func (p *pipes) dial(t *testing.T, text string) net.Conn {
	t.Helper()
	client, server := net.Pipe()
	p.conns <- server
	if _, err := io.WriteString(client, text); err != nil {
		t.Fatal(err)
	}
	return client
}

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

// fixture is a group on an in-memory listener, inside a synctest bubble.
type fixture struct {
	*lifecycle.Group
	*pipes
	log         *buffer
	stop, force context.CancelFunc
	result      chan error
	hooks       []string
}

// bubble runs f with a ready group in a synctest bubble.
func bubble(t *testing.T, budget time.Duration, h http.HandlerFunc, f func(t *testing.T, x *fixture)) {
	t.Helper()
	bubbleWith(t, lifecycle.Config{ShutdownTimeout: budget}, h, f)
}

func bubbleWith(t *testing.T, cfg lifecycle.Config, h http.HandlerFunc, f func(t *testing.T, x *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		x := &fixture{pipes: newPipes(), log: new(buffer), result: make(chan error, 1)}
		cfg.Logger = slog.New(slog.NewTextHandler(x.log, nil))
		x.Group = lifecycle.New(cfg)
		ctx, stop := context.WithCancel(context.Background())
		force, forced := context.WithCancel(context.Background())
		x.stop, x.force = stop, forced
		defer forced()
		defer stop()
		go func() {
			x.result <- x.Run(ctx, force, func(context.Context) error {
				x.OnStop("database", func() error { x.hooks = append(x.hooks, "database"); return nil })
				x.OnStop("queue", func() error { x.hooks = append(x.hooks, "queue"); return nil })
				return x.Serve("http", x.pipes, &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute})
			})
		}()
		synctest.Wait()
		if x.State() != lifecycle.Ready {
			t.Fatalf("state %s, want ready", x.State())
		}
		f(t, x)
		time.Sleep(2 * time.Hour) // lets what was abandoned end
	})
}

// stopped waits for Run and checks how long it took.
func (x *fixture) stopped(t *testing.T, since time.Time, least, most time.Duration) error {
	t.Helper()
	err := <-x.result
	if took := time.Since(since); took < least || took > most {
		t.Errorf("stopping took %s, want %s to %s", took, least, most)
	}
	if x.State() != lifecycle.Stopped {
		t.Errorf("state %s, want stopped", x.State())
	}
	return err
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error lacks %q: %v", p, err)
		}
	}
}

func answer(t *testing.T, c net.Conn) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("read answer: %v", err)
	}
	resp.Body.Close()
	return resp
}

func TestInFlightFinishes(t *testing.T) {
	slow := func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(8 * time.Second)
		w.WriteHeader(http.StatusNoContent)
	}
	bubble(t, 30*time.Second, slow, func(t *testing.T, x *fixture) {
		c := x.dial(t, get)
		synctest.Wait()
		begun := time.Now()
		x.stop()
		synctest.Wait()
		if x.State() != lifecycle.Draining || x.Ready() || !x.Draining() || x.InFlight() != 1 {
			t.Errorf("state %s, ready %t, draining %t, in flight %d", x.State(), x.Ready(), x.Draining(), x.InFlight())
		}
		select {
		case <-x.Drain():
		default:
			t.Error("Drain's channel is open")
		}
		if len(x.hooks) > 0 {
			t.Errorf("hooks ran while a request was in flight: %v", x.hooks)
		}
		if resp := answer(t, c); resp.StatusCode != http.StatusNoContent {
			t.Errorf("status %d", resp.StatusCode)
		}
		c.Close()
		if err := x.stopped(t, begun, 8*time.Second, 9*time.Second); err != nil {
			t.Errorf("Run: %v", err)
		}
		if diff := cmp.Diff([]string{"queue", "database"}, x.hooks); diff != "" {
			t.Errorf("hooks (-want +got):\n%s", diff)
		}
		var phases []string
		for line := range strings.Lines(x.log.String()) {
			_, rest, _ := strings.Cut(line, "msg=")
			phases = append(phases, strings.Trim(strings.SplitAfterN(rest, "\" ", 2)[0], "\" \n"))
		}
		want := []string{"shutdown started", "stopped accepting", "in flight finished", "hooks finished"}
		if diff := cmp.Diff(want, phases[1:len(phases)-1]); diff != "" {
			t.Errorf("log (-want +got):\n%s\n%s", diff, x.log)
		}
	})
}

func TestBudgetCutsRequests(t *testing.T) {
	ended := make(chan error, 1)
	waits := func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		ended <- r.Context().Err()
	}
	bubble(t, 10*time.Second, waits, func(t *testing.T, x *fixture) {
		c := x.dial(t, get)
		defer c.Close()
		synctest.Wait()
		begun := time.Now()
		x.stop()
		err := x.stopped(t, begun, 8*time.Second, 10*time.Second)
		wantError(t, err, "serve http", "the budget is used up", "cut 1 requests in flight on 1 connections")
		if strings.Contains(err.Error(), "did not end") {
			t.Errorf("the handler ended: %v", err)
		}
		if len(x.hooks) != 2 {
			t.Errorf("hooks ran: %v, want both", x.hooks)
		}
	})
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the handler's context: %v", err)
	}
}

func TestBudgetLeavesStuckHandlerBehind(t *testing.T) {
	bubble(t, 10*time.Second, func(http.ResponseWriter, *http.Request) {
		time.Sleep(time.Hour) // heeds nothing
	}, func(t *testing.T, x *fixture) {
		c := x.dial(t, get)
		defer c.Close()
		synctest.Wait()
		begun := time.Now()
		x.stop()
		err := x.stopped(t, begun, 9*time.Second, 10*time.Second)
		wantError(t, err, "cut 1 requests", "1 handlers did not end")
		if len(x.hooks) != 2 {
			t.Errorf("hooks ran: %v, want both", x.hooks)
		}
	})
}

func TestForceStopsAtOnce(t *testing.T) {
	bubble(t, 30*time.Second, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	}, func(t *testing.T, x *fixture) {
		c := x.dial(t, get)
		defer c.Close()
		synctest.Wait()
		begun := time.Now()
		x.stop()
		time.Sleep(time.Second)
		x.force()
		err := x.stopped(t, begun, time.Second, time.Second)
		wantError(t, err, "shutdown was forced", "cut 1 requests", "stop queue: not run", "stop database: not run")
		if len(x.hooks) != 0 {
			t.Errorf("hooks ran: %v", x.hooks)
		}
	})
}

// A connection that stays unused is closed after its grace, one in the middle
// of sending a request gets longer, and none of them costs the budget.
func TestUnusedConnections(t *testing.T) {
	ok := func(http.ResponseWriter, *http.Request) {}
	for _, test := range []struct {
		name, sent  string
		answered    bool // once, before the stop
		least, most time.Duration
	}{
		{"new", "", false, 500 * time.Millisecond, 600 * time.Millisecond},
		{"kept alive", get, true, 500 * time.Millisecond, 600 * time.Millisecond},
		{"half a request", "GET / HTT", false, 5 * time.Second, 6 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, 30*time.Second, ok, func(t *testing.T, x *fixture) {
				c := x.dial(t, test.sent)
				defer c.Close()
				if test.answered {
					answer(t, c)
				}
				go func() { _, _ = io.Copy(io.Discard, c) }() // a pipe has no buffer for an error answer
				time.Sleep(5 * time.Second)
				begun := time.Now()
				x.stop()
				if err := x.stopped(t, begun, test.least, test.most); err != nil {
					t.Errorf("Run: %v", err)
				}
			})
		})
	}
}

// A client that sends a header byte by byte does not hold up the stop.
func TestTrickle(t *testing.T) {
	bubble(t, 30*time.Second, func(http.ResponseWriter, *http.Request) {}, func(t *testing.T, x *fixture) {
		c := x.dial(t, "GET / HTTP/1.1\r\nA: ")
		defer c.Close()
		go func() {
			for {
				if _, err := io.WriteString(c, "a"); err != nil {
					return
				}
				time.Sleep(3 * time.Millisecond)
			}
		}()
		begun := time.Now()
		x.stop()
		if err := x.stopped(t, begun, 5*time.Second, 6*time.Second); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// A request that comes on an unused connection during the drain is answered,
// and told that it was the last.
func TestRequestDuringDrain(t *testing.T) {
	bubble(t, 30*time.Second, func(http.ResponseWriter, *http.Request) {}, func(t *testing.T, x *fixture) {
		kept, fresh := x.dial(t, get), x.dial(t, "")
		defer kept.Close()
		defer fresh.Close()
		if answer(t, kept).Close {
			t.Error("the connection is closed although the group is ready")
		}
		begun := time.Now()
		x.stop()
		time.Sleep(400 * time.Millisecond)
		for _, c := range []net.Conn{kept, fresh} {
			if _, err := io.WriteString(c, get); err != nil {
				t.Fatal(err)
			}
			if resp := answer(t, c); resp.StatusCode != http.StatusOK || !resp.Close {
				t.Errorf("status %d, Connection: close %t", resp.StatusCode, resp.Close)
			}
		}
		if err := x.stopped(t, begun, 400*time.Millisecond, 500*time.Millisecond); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// A hijacked connection (a WebSocket) is waited for, and closed at the end.
func TestHijackedConnection(t *testing.T) {
	hijack := func(hold time.Duration) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			go func() {
				time.Sleep(hold)
				c.Close()
			}()
		}
	}
	t.Run("ends", func(t *testing.T) {
		bubble(t, 30*time.Second, hijack(7*time.Second), func(t *testing.T, x *fixture) {
			c := x.dial(t, get)
			defer c.Close()
			synctest.Wait()
			begun := time.Now()
			x.stop()
			if err := x.stopped(t, begun, 7*time.Second, 8*time.Second); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	})
	t.Run("is cut", func(t *testing.T) {
		bubble(t, 30*time.Second, hijack(time.Hour), func(t *testing.T, x *fixture) {
			c := x.dial(t, get)
			defer c.Close()
			synctest.Wait()
			begun := time.Now()
			x.stop()
			wantError(t, x.stopped(t, begun, 20*time.Second, 30*time.Second), "cut 0 requests in flight on 1 connections")
		})
	})
	t.Run("is cut before hooks run", func(t *testing.T) {
		var over time.Time
		h := func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			go func() {
				_, _ = io.Copy(io.Discard, c)
				time.Sleep(time.Second) // it notices, and uses what hooks close
				over = time.Now()
				c.Close()
			}()
		}
		bubble(t, 30*time.Second, h, func(t *testing.T, x *fixture) {
			c := x.dial(t, get)
			defer c.Close()
			synctest.Wait()
			x.OnStop("store", func() error {
				if over.IsZero() {
					t.Error("closed under its user")
				}
				return nil
			})
			x.stop()
			wantError(t, <-x.result, "cut 0 requests in flight on 1 connections")
		})
	})
}
