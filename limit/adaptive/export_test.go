package adaptive

import "time"

// SetScheduler replaces the reading of the runtime: how long goroutines wait to
// run, and for how many processors.
func (l *Limiter) SetScheduler(delay func() time.Duration, procs int) {
	l.delay = delay
	l.procs = func() int { return procs }
}
