//go:build linux

package traffic

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc"
)

// TestTerminate stops a replica that is in the middle of everything: streams of
// all kinds are open, some of them busy, and calls come in over both transports.
// Streams end as their protocols have it, every call that was accepted is
// answered, and the process ends well, within its budget.
func TestTerminate(t *testing.T) {
	const budget = 15 * time.Second
	streams, rate := scaled(200, 40), scaled(500, 200)
	w := newWorld(t)
	p := w.replica("DRAIN_DELAY=1s", fmt.Sprint("SHUTDOWN_TIMEOUT=", budget))

	var tapped taps
	c := newCrowd(t)
	quiet, busy := w.token("quiet", "api:read"), w.token("busy", "api:read", "api:write")
	var shared *grpc.ClientConn
	for i := range streams {
		token := quiet
		if i%10 == 0 {
			token = busy
		}
		if i%20 == 0 { // so many streams share a connection
			shared = dial(t, p.grpc, grpc.WithContextDialer(tapped.dial))
		}
		c.follow("SSE", sse(p, token))
		c.follow("WebSocket", socket(p, token))
		if i%2 == 0 {
			c.follow("gRPC", watch(shared, token))
		} else {
			c.follow("gRPC", live(shared, token))
		}
	}
	if n := c.opened.Load(); n != int64(3*streams) {
		t.Fatalf("%d streams are open, want %d", n, 3*streams)
	}
	load := &calls{t: t}
	load.load(append(overHTTP(p, 24, busy), overRPCs(p, 24, busy, grpc.WithContextDialer(tapped.dial))...), rate)
	load.await(int64(rate)) // a second's
	before, begun := load.answered.Load(), time.Now()
	load.await(before + int64(rate))
	achieved := float64(load.answered.Load()-before) / time.Since(begun).Seconds()
	load.probe(p)

	asked, sofar := time.Now(), load.answered.Load()
	p.terminate()
	took := p.stopped(asked, budget)
	load.callers.Wait()
	load.probing.Wait()
	c.check("SSE", "WebSocket", "gRPC")

	t.Logf("%d streams each of SSE, WebSocket and gRPC, %d events, %.0f calls a second: %d answered, %d of them after SIGTERM, %d callers sent away by the probe, %d by the closed port, %d lost; slowest answer %s",
		streams, c.events.Load(), achieved, load.answered.Load(), load.answered.Load()-sofar, load.diverted.Load(), load.refused.Load(), load.lost.Load(), time.Duration(load.slowest.Load()).Round(time.Millisecond))
	t.Logf("stopped after %s, the last stream after %s: %s; gRPC: %d connections, %d GOAWAY, %d frames with errors, %d connections broken",
		took.Round(time.Millisecond), c.last.Sub(asked).Round(time.Millisecond), p.phases(), tapped.conns.Load(), tapped.goAways.Load(), tapped.errors.Load(), tapped.broken.Load())
	if n := load.lost.Load(); n > 0 {
		t.Errorf("%d calls were lost, the first: %v", n, load.why())
	}
	if tapped.goAways.Load() < tapped.conns.Load() || tapped.errors.Load() > 0 || tapped.broken.Load() > 0 {
		t.Error("gRPC's connections did not end as they should")
	}
	if n := w.count("SELECT count(*) FROM orders"); int64(n) != load.placed.Load() {
		t.Errorf("%d orders were placed, clients know of %d", n, load.placed.Load())
	}
}
