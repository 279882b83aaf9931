// Package health answers the questions of whoever runs a service: is it alive,
// has it started, and may it get requests.
//
//	checks := health.New(health.Config{Ready: group.Ready, Logger: logger})
//	checks.Add("database", db.PingContext)
//	checks.AddPinger(cluehealth.NewPinger("billing", "billing:8080"))
//	mux.Handle("/livez", checks.Live())
//	mux.Handle("/readyz", checks.Readiness())
//
// The handlers are meant for the public port: they tell the state and nothing
// else. Which check failed, and why, goes to the log, once per change, and is
// in Results, for a private port. A probe never waits longer than a check's
// timeout, however long a check hangs.
package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
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
	// Started says whether the service has started, which it stays; nil
	// means that it has. It must not block.
	Started func() bool
	// Service and Version are the service's; they are only told by Clue. An
	// empty Service is "service".
	Service, Version string
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
	cfg   Config
	begun time.Time

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
	if cfg.Service == "" {
		cfg.Service = "service"
	}
	return &Checks{cfg: cfg, begun: time.Now()}
}

// Uptime returns how long ago the set was made.
func (c *Checks) Uptime() time.Duration { return time.Since(c.begun) }

// Add adds a check, which passes when f returns nil. Its context ends with the
// timeout, and f should heed it. One call of f runs at a time: while it hangs
// the check fails, without another one being started. A panic is a failure.
// Of several checks with the same name all must pass.
func (c *Checks) Add(name string, f func(context.Context) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, &check{name: name, f: f, cfg: &c.cfg})
}

// Pinger is a dependency that knows its name, such as a Pinger of
// goa.design/clue/health.
type Pinger interface {
	// Name is the dependency's.
	Name() string
	// Ping returns nil if it can be used.
	Ping(context.Context) error
}

// AddPinger adds the check of a Pinger, which must not be nil.
func (c *Checks) AddPinger(p Pinger) { c.Add(p.Name(), p.Ping) }

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
	ready := true
	for _, r := range latest(c.list()) {
		select {
		case <-r.settled:
			ready = ready && r.err == nil
		case <-ctx.Done():
			return false
		}
	}
	return ready
}

// Result is what is known of one check.
type Result struct {
	Name string
	OK   bool
	// LastError is the text of the latest failure, at most MaxError bytes of
	// it; it stays when the check passes again, and is empty if it never
	// failed.
	LastError string
	// Duration is how long the latest call took; of one that hangs, how long
	// it has taken so far.
	Duration time.Duration
	// Checked is when the result was known.
	Checked time.Time
	// Since is when the check last began to pass or to fail.
	Since time.Time
}

// MaxError is the longest text of an error in a Result, in bytes.
const MaxError = 1 << 10

// Results returns the results of all checks, in the order in which they were
// added, running those whose last result is not fresh as Ready does. If ctx
// ends first, checks without a result are not OK. The texts of errors may name
// hosts and users: they are not for the public.
func (c *Checks) Results(ctx context.Context) []Result {
	all := c.list()
	out := make([]Result, len(all))
	for i, r := range latest(all) {
		select {
		case <-r.settled:
		case <-ctx.Done():
		}
		out[i] = all[i].result(r)
	}
	return out
}

// latest returns the run of each check that answers a probe now; those that
// have to be started run side by side.
func latest(all []*check) []*run {
	runs := make([]*run, len(all))
	for i, k := range all {
		runs[i] = k.latest()
	}
	return runs
}

// check is one check and its latest run.
type check struct {
	name string
	f    func(context.Context) error
	cfg  *Config

	mu      sync.Mutex
	run     *run
	failing bool      // as logged
	since   time.Time // when failing was set, or first known
	last    string    // the text of the latest failure
}

// run is one call of a check's function.
type run struct {
	settled chan struct{} // closed when err is known
	err     error
	begun   time.Time
	at      time.Time     // when it was settled
	ended   bool          // the function has returned; guarded by check.mu
	took    time.Duration // until then; guarded by check.mu
}

// latest returns the run that answers a probe now: one under way, one that is
// fresh, one that hangs, or a new one.
func (k *check) latest() *run {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r := k.run; r != nil && (!r.ended || time.Since(r.at) < k.cfg.MaxAge) {
		return r
	}
	r := &run{settled: make(chan struct{}), begun: time.Now()}
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
	if err = f(ctx); err != nil {
		err = errors.New(err.Error()) // here, since a nil pointer in an error panics
	}
	return err
}

// settle sets the run's result, the first time, and logs a change of state.
func (k *check) settle(r *run, err error, ended bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if ended && !r.ended {
		r.ended, r.took = true, time.Since(r.begun)
	}
	select {
	case <-r.settled:
		return
	default:
	}
	r.err, r.at = err, time.Now()
	defer close(r.settled) // the log line comes before the answer
	if k.since.IsZero() || k.failing != (err != nil) {
		k.since = r.at
	}
	switch {
	case err != nil && !k.failing:
		k.cfg.Logger.Error("check fails", "check", k.name, "error", err.Error())
	case err == nil && k.failing:
		k.cfg.Logger.Info("check passes again", "check", k.name)
	}
	k.failing = err != nil
	if err != nil {
		k.last = err.Error()
		if len(k.last) > MaxError {
			k.last = strings.ToValidUTF8(strings.Clone(k.last[:MaxError]), "")
		}
	}
}

// result tells what is known of the check after r, which may not be settled.
func (k *check) result(r *run) Result {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := Result{Name: k.name, LastError: k.last, Duration: r.took, Checked: r.at, Since: k.since}
	select {
	case <-r.settled:
		out.OK = r.err == nil
	default:
	}
	if !r.ended {
		out.Duration = time.Since(r.begun)
	}
	return out
}
