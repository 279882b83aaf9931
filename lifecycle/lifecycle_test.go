package lifecycle_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/aguada-dev/aguada/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a group that serves one http.Server on a loopback port.
type running struct {
	*lifecycle.Group
	addr        string
	log         *buffer
	stop, force context.CancelFunc
	result      chan error
}

// run starts a group and waits until it is ready.
func run(t *testing.T, cfg lifecycle.Config, srv *http.Server) *running {
	t.Helper()
	r := &running{log: new(buffer), result: make(chan error, 1)}
	cfg.Logger = slog.New(slog.NewJSONHandler(r.log, nil))
	r.Group = lifecycle.New(cfg)
	ctx, stop := context.WithCancel(context.Background())
	force, forced := context.WithCancel(context.Background())
	r.stop, r.force = stop, forced
	go func() {
		r.result <- r.Run(ctx, force, func(ctx context.Context) error {
			ln, err := lifecycle.Listen(ctx, "127.0.0.1:0", "HTTP_ADDR")
			if err != nil {
				return err
			}
			r.addr = ln.Addr().String()
			return r.Serve("http", ln, srv)
		})
	}()
	t.Cleanup(func() { stop(); forced() })
	await(t, "ready", r.Ready)
	return r
}

// wait returns what Run returned.
func (r *running) wait() error { return <-r.result }

// await polls a condition; it fails the test after a minute.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	end := time.Now().Add(time.Minute)
	for !cond() {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func traceReuse(ctx context.Context, reused *atomic.Bool) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { reused.Store(i.Reused) },
	})
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
