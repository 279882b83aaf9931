// Package health answers the two questions of whoever runs a service: is it
// alive, and may it get requests.
//
//	checks := health.New(health.Config{Ready: group.Ready, Logger: logger})
//	checks.Add("database", db.PingContext)
//	mux.Handle("/livez", checks.Live())
//	mux.Handle("/readyz", checks.Readiness())
//
// The handlers are meant for the public port: they tell the state and nothing
// else. Which check failed, and why, goes to the log, once per change. A probe
// never waits longer than a check's timeout, however long a check hangs.
package health

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Defaults of a Config.
const (
	DefaultTimeout = 2 * time.Second
	DefaultMaxAge  = time.Second
)

// Config configures Checks. Its zero value works.
type Config struct {
	// Ready says whether the service as a whole takes requests; nil means
	// that the checks alone decide. It must not block.
	Ready func() bool
	// Timeout bounds each check; 0 means DefaultTimeout.
	Timeout time.Duration
	// MaxAge is how long a result answers further probes; 0 means
	// DefaultMaxAge.
	MaxAge time.Duration
	// Logger gets a line when a check begins to fail and when it passes
	// again; nil means none.
	Logger *slog.Logger
}

// Checks is a set of checks. Use New. Its methods are safe for concurrent use.
type Checks struct {
	cfg Config

	mu  sync.Mutex
	all []*check
}

// New returns an empty set.
func New(cfg Config) *Checks {
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.MaxAge <= 0 {
		cfg.MaxAge = DefaultMaxAge
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Checks{cfg: cfg}
}

// Add adds a check, which passes when f returns nil. Its context ends with the
// timeout, and f should heed it. One call of f runs at a time: while it hangs
// the check fails, without another one being started. A panic is a failure.
// Of several checks with the same name all must pass.
func (c *Checks) Add(name string, f func(context.Context) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, &check{name: name, f: f, cfg: &c.cfg})
}

// Names returns the names of the checks, in the order in which they were added.
func (c *Checks) Names() []string {
	all := c.list()
	names := make([]string, len(all))
	for i, k := range all {
		names[i] = k.name
	}
	return names
}

func (c *Checks) list() []*check {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all // only ever appended to
}

// Ready reports whether the service may get requests: Config.Ready says so and
// every check passes. Checks run in parallel, unless their last result is
// fresh. If ctx ends first, the answer is no.
func (c *Checks) Ready(ctx context.Context) bool {
	if c.cfg.Ready != nil && !c.cfg.Ready() {
		return false
	}
	all := c.list()
	runs := make([]*run, len(all))
	for i, k := range all {
		runs[i] = k.latest()
	}
	ready := true
	for _, r := range runs {
		select {
		case <-r.settled:
			ready = ready && r.err == nil
		case <-ctx.Done():
			return false
		}
	}
	return ready
}

// check is one check and its latest run.
type check struct {
	name string
	f    func(context.Context) error
	cfg  *Config

	mu      sync.Mutex
	run     *run
	failing bool // as logged
}

// run is one call of a check's function.
type run struct {
	settled chan struct{} // closed when err is known
	err     error
	at      time.Time // when it was settled
	ended   bool      // the function has returned; guarded by check.mu
}

// latest returns the run that answers a probe now: one under way, one that is
// fresh, one that hangs, or a new one.
func (k *check) latest() *run {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r := k.run; r != nil && (!r.ended || time.Since(r.at) < k.cfg.MaxAge) {
		return r
	}
	r := &run{settled: make(chan struct{})}
	k.run = r
	ctx, cancel := context.WithTimeout(context.Background(), k.cfg.Timeout)
	timeout := fmt.Errorf("no result within %s", k.cfg.Timeout)
	stop := context.AfterFunc(ctx, func() { k.settle(r, timeout, false) })
	go func() {
		defer cancel()
		err := call(ctx, k.f)
		if err != nil && ctx.Err() != nil {
			err = timeout
		}
		stop()
		k.settle(r, err, true)
	}()
	return r
}

// call runs f; a panic in it is its error.
func call(ctx context.Context, f func(context.Context) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return f(ctx)
}

// settle sets the run's result, the first time, and logs a change of state.
func (k *check) settle(r *run, err error, ended bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r.ended = r.ended || ended
	select {
	case <-r.settled:
		return
	default:
	}
	r.err, r.at = err, time.Now()
	defer close(r.settled) // the log line comes before the answer
	switch {
	case err != nil && !k.failing:
		k.cfg.Logger.Error("check fails", "check", k.name, "error", err.Error())
	case err == nil && k.failing:
		k.cfg.Logger.Info("check passes again", "check", k.name)
	}
	k.failing = err != nil
}
