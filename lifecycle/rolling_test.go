package lifecycle_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/lifecycle"
)

// TestRollingStop is a stop behind a load balancer: 500 requests per second
// from clients of which half keep their connections, and all of which open no
// new one once the readiness probe has failed. Not one is even refused.
func TestRollingStop(t *testing.T) {
	const clients, pace = 50, 500
	var c tally
	var r *running
	r = run(t, lifecycle.Config{DrainDelay: time.Second}, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/readyz" {
			if !r.Ready() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return
		}
		c.handled.Add(1)
		_, _ = io.WriteString(w, "ok")
	})})
	var leaving atomic.Bool
	dialer := net.Dialer{Timeout: time.Second}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		if leaving.Load() {
			return nil, errLeaving
		}
		return dialer.DialContext(ctx, network, addr)
	}
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			tr := &http.Transport{DisableKeepAlives: i%2 == 0, DialContext: dial}
			defer tr.CloseIdleConnections()
			client := &http.Client{Transport: tr}
			tick := time.NewTicker(clients * time.Second / pace)
			defer tick.Stop()
			for c.post(client, "http://"+r.addr) {
				<-tick.C
			}
		})
	}
	wg.Go(func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			resp, err := client.Get("http://" + r.addr + "/readyz")
			if err == nil {
				resp.Body.Close()
			}
			if err != nil || resp.StatusCode != http.StatusOK {
				leaving.Store(true)
				return
			}
		}
	})
	await(t, "load", func() bool { return c.answered.Load() > pace/2 })
	r.stop()
	if err := r.wait(); err != nil {
		t.Errorf("Run: %v", err)
	}
	wg.Wait()
	t.Logf("sent %d, handled %d, answered %d (%d said close)", c.sent.Load(), c.handled.Load(), c.answered.Load(), c.closing.Load())
	if s, h, a := c.sent.Load(), c.handled.Load(), c.answered.Load(); s != a || h != a {
		t.Errorf("%d requests were sent, %d handled, %d answered, %d refused", s, h, a, c.refused.Load())
	}
	if err := c.firstLoss.Load(); err != nil {
		t.Errorf("first loss: %v", *err)
	}
}

// TestRestarts stops and starts a service 20 times on one port, under load
// that never pauses, every other time with a delay.
func TestRestarts(t *testing.T) {
	const cycles, clients = 20, 16
	var c tally
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.handled.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "ok")
	})
	addr := "127.0.0.1:0"
	cycle := func(cfg lifecycle.Config, started func()) {
		g := lifecycle.New(cfg)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		result := make(chan error, 1)
		go func() {
			result <- g.Run(ctx, t.Context(), func(ctx context.Context) error {
				ln, err := lifecycle.Listen(ctx, addr, "HTTP_ADDR")
				if err != nil {
					return err
				}
				if addr == "127.0.0.1:0" { // only then does no client read it yet
					addr = ln.Addr().String()
				}
				return g.Serve("http", ln, &http.Server{Handler: handler})
			})
		}()
		await(t, "ready", func() bool { return g.State() >= lifecycle.Ready })
		if g.Ready() {
			started()
		}
		stop()
		if err := <-result; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	var wg sync.WaitGroup
	over := make(chan struct{})
	load := func() {
		for i := range clients {
			wg.Go(func() {
				tr := &http.Transport{DisableKeepAlives: i%2 == 0, DialContext: (&net.Dialer{Timeout: 200 * time.Millisecond}).DialContext}
				defer tr.CloseIdleConnections()
				client := &http.Client{Transport: tr}
				pause := time.NewTicker(5 * time.Millisecond)
				defer pause.Stop()
				for {
					if !c.post(client, "http://"+addr) {
						<-pause.C
					}
					select {
					case <-over:
						return
					default:
					}
				}
			})
		}
	}
	begun := time.Now()
	for i := range cycles {
		cfg := lifecycle.Config{DrainDelay: time.Duration(i%2) * 50 * time.Millisecond}
		answered := c.answered.Load()
		cycle(cfg, func() {
			if i == 0 {
				load()
			}
			await(t, "load", func() bool { return c.answered.Load() > answered+200 })
		})
	}
	close(over)
	wg.Wait()
	t.Logf("%d restarts in %s: sent %d, answered %d, refused %d", cycles, time.Since(begun).Round(time.Millisecond),
		c.sent.Load(), c.answered.Load(), c.refused.Load())
	if h, a := c.handled.Load(), c.answered.Load(); h != a {
		t.Errorf("%d requests reached the handler, %d were answered", h, a)
	}
	if err := c.firstLoss.Load(); err != nil {
		t.Errorf("lost %d requests on new and %d on reused connections, first: %v", c.lostNew.Load(), c.lostReused.Load(), *err)
	}
}
