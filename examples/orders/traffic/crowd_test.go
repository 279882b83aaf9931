//go:build linux

package traffic

import (
	"sync"
	"testing"
	"time"
)

// What the process may take without streams, and what for each: the chassis'
// part, which package transport measures by itself, the stack of a method that
// has read the database, the subscription, and what the collector leaves to grow.
const (
	maxEmpty     = 40e6
	maxPerStream = 35e3
)

// TestCrowd opens thousands of streams of events. What they take of memory is
// bounded, and all end by themselves, within the budget of a stop.
func TestCrowd(t *testing.T) {
	const budget = 15 * time.Second
	n := scaled(10_000, 1000)
	w := newWorld(t)
	p := w.replica("SHUTDOWN_TIMEOUT=15s", "LOAD_SHEDDING=off")
	tokens := w.tokens(20)
	empty := p.resident()

	c, begun := newCrowd(t), time.Now()
	next, openers := make(chan int), sync.WaitGroup{}
	for range 32 {
		openers.Go(func() {
			for i := range next {
				c.follow("SSE", sse(p, tokens[i%len(tokens)]))
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	openers.Wait()
	opened := time.Since(begun)
	c.mu.Lock()
	early := c.wrong["SSE"]
	c.mu.Unlock()
	if len(early) > 0 {
		t.Fatalf("%d streams have ended: %v", len(early), early[0])
	}
	full := p.resident()

	asked := time.Now()
	p.terminate()
	took := p.stopped(asked, budget)
	c.check("SSE")
	t.Logf("%d streams opened in %s; resident %.1f MB before, %.1f MB with them, %.1f KB each; the last ended %s after SIGTERM, the process after %s: %s",
		n, opened.Round(time.Millisecond), float64(empty)/1e6, float64(full)/1e6, float64(full-empty)/1e3/float64(n),
		c.last.Sub(asked).Round(time.Millisecond), took.Round(time.Millisecond), p.phases())
	if most := maxEmpty + maxPerStream*float64(n); float64(full) > most {
		t.Errorf("%d streams take %.1f MB, want %.1f MB at most", n, float64(full)/1e6, most/1e6)
	}
	if c.ended["SSE"] != n {
		t.Errorf("%d of %d streams ended as they should", c.ended["SSE"], n)
	}
}
