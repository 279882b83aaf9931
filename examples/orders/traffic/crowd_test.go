//go:build linux

package traffic

import (
	"sync"
	"testing"
	"time"
)

// What the process may take without streams, and what for each: 4.2 KB of stack and
// 4.5 KB of heap, and as much as the collector lets both grow before it looks again.
// How much that is, the operator can say: with GOMEMLIMIT=120MiB, ten thousand streams
// take 150 MiB, the program's own pages included.
const (
	maxEmpty     = 50e6
	maxPerStream = 15e3
	memoryLimit  = "120MiB"
	maxLimited   = 150 << 20
)

// TestCrowd opens thousands of streams of events. What they take of memory is
// bounded, and all end by themselves, within the budget of a stop.
func TestCrowd(t *testing.T) {
	n := scaled(10_000, 1000)
	t.Run("unlimited", func(t *testing.T) { openCrowd(t, n, maxEmpty+maxPerStream*n) })
	t.Run("limited", func(t *testing.T) { openCrowd(t, n, maxLimited, "GOMEMLIMIT="+memoryLimit) })
}

// openCrowd opens n streams of a replica, which may then take so many bytes.
func openCrowd(t *testing.T, n, most int, environ ...string) {
	const budget = 15 * time.Second
	w := newWorld(t)
	p := w.replica(append(environ, "SHUTDOWN_TIMEOUT=15s")...)
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
	if full > most {
		t.Errorf("%d streams take %.1f MB, want %.1f MB at most", n, float64(full)/1e6, float64(most)/1e6)
	}
	if c.ended["SSE"] != n {
		t.Errorf("%d of %d streams ended as they should", c.ended["SSE"], n)
	}
}
