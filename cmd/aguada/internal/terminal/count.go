package terminal

import (
	"fmt"
	"sync"
	"time"
)

// Counter shows how far a piece of work has come. It is safe for concurrent use.
type Counter struct {
	out     *Output
	what    string
	start   time.Time
	rewrite bool

	mu    sync.Mutex
	last  time.Time // when a line was written
	wrote bool
}

// Count reports that a piece of work with many steps has begun. Each Note shows
// how far it is: on the same line in a terminal, else on a new line every ten
// seconds.
func (o *Output) Count(what string) *Counter {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	return &Counter{out: o, what: what, start: now, last: now, rewrite: o.tty && !o.shared}
}

// Note shows that done of all steps are behind, and a few words more.
func (c *Counter) Note(done, all int, more string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	every := plainTick
	if c.rewrite {
		every = tick / 10
	}
	now := time.Now()
	if now.Sub(c.last) < every {
		return
	}
	c.last, c.wrote = now, true
	line := fmt.Sprintf("%s: %d of %d", c.what, done, all)
	if more != "" {
		line += ", " + more
	}
	line += fmt.Sprintf(" … %s", now.Sub(c.start).Round(time.Second))
	if c.rewrite {
		_, _ = c.out.Write([]byte("\r\x1b[K" + line))
		return
	}
	c.out.Println(line)
}

// End takes the line away.
func (c *Counter) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rewrite && c.wrote {
		_, _ = c.out.Write([]byte("\r\x1b[K"))
	}
}
