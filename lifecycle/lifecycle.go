// Package lifecycle starts a service in order, says when it is ready, and
// stops it without losing a request.
//
//	g := lifecycle.New(lifecycle.Config{Logger: logger})
//	err := g.Run(ctx, force, func(ctx context.Context) error {
//		ln, err := lifecycle.Listen(ctx, cfg.HTTPAddr, "HTTP_ADDR")
//		if err != nil {
//			return err
//		}
//		db, err := store.Open(ctx, cfg.DatabaseURL)
//		if err != nil {
//			return errors.Join(err, ln.Close())
//		}
//		g.OnStop("database", db.Close)
//		return g.Serve("http", ln, &http.Server{Handler: h})
//	})
//
// When ctx is cancelled the group is no longer ready; after Config.DrainDelay
// servers stop accepting and finish what they have, the hooks run in reverse
// order, and telemetry is flushed: all of it within one budget. Whatever had to
// be cut is in the error that Run returns.
//
// The package takes contexts, never signals, and ends no process: that is the
// caller's part.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultShutdownTimeout is the budget of a shutdown that has none configured.
const DefaultShutdownTimeout = 30 * time.Second

// State is where a group stands. States only ever advance.
type State int32

// The states of a group, in order.
const (
	Starting State = iota // from New until the start function has returned
	Ready                 // serving
	Leaving               // no longer ready, but still accepting, for Config.DrainDelay
	Draining              // what is in flight is being finished
	Closing               // the hooks of OnStop run
	Flushing              // the hooks of OnFlush run
	Stopped               // over
)

var stateNames = [...]string{"starting", "ready", "leaving", "draining", "closing", "flushing", "stopped"}

// String returns the state in lower case.
func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", int32(s))
	}
	return stateNames[s]
}

// Config configures a Group. Its zero value works.
type Config struct {
	// ShutdownTimeout is the one budget for everything between the first
	// signal and the return of Run; 0 means DefaultShutdownTimeout.
	ShutdownTimeout time.Duration
	// DrainDelay is the part of that budget in which the servers still accept,
	// though the group is no longer ready, so that load balancers notice
	// before connections are refused. It ends early where the budget does.
	DrainDelay time.Duration
	// Logger gets one line per phase; nil means none.
	Logger *slog.Logger
}

// Group is a set of servers and resources that start and stop together. Use
// New. Its methods are safe for concurrent use.
type Group struct {
	timeout  time.Duration
	delay    time.Duration
	log      *slog.Logger
	state    atomic.Int32
	draining chan struct{}
	failed   chan error // of a server that ended by itself

	mu      sync.Mutex
	hooks   []hook
	flushes []hook
	servers []member
	last    []*server // of ServeLast
}

// New returns a group in state Starting.
func New(cfg Config) *Group {
	if cfg.ShutdownTimeout <= 0 {
		cfg.ShutdownTimeout = DefaultShutdownTimeout
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Group{
		timeout:  cfg.ShutdownTimeout,
		delay:    cfg.DrainDelay,
		log:      cfg.Logger,
		draining: make(chan struct{}),
		failed:   make(chan error, 1),
	}
}

// State returns where the group stands.
func (g *Group) State() State { return State(g.state.Load()) }

// Ready reports whether the group is in state Ready.
func (g *Group) Ready() bool { return g.State() == Ready }

// Draining reports whether the group has begun to stop. From then on answers
// say "Connection: close", and nothing long should be begun.
func (g *Group) Draining() bool { return g.State() > Ready }

// Drain returns a channel that is closed when the servers stop accepting, for
// streams, which would otherwise last as long as the budget.
func (g *Group) Drain() <-chan struct{} { return g.draining }

// Run calls start, serves until ctx is cancelled or a server fails, and then
// stops everything within the budget. It returns nil only if nothing failed,
// no request was cut and every hook ran to its end. Cancelling force skips the
// rest of the shutdown: connections are closed, and hooks are not run.
//
// An error of start stops what has been started already. The context that
// start gets ends with ctx; resources that outlive start must not use it.
// A group runs once.
func (g *Group) Run(ctx, force context.Context, start func(context.Context) error) error {
	begun := time.Now()
	err := g.start(ctx, force, start)
	if err == nil && ctx.Err() == nil && g.state.CompareAndSwap(int32(Starting), int32(Ready)) {
		g.log.Info("ready", "duration_ms", time.Since(begun).Milliseconds())
		select {
		case <-ctx.Done():
		case err = <-g.failed:
		case <-force.Done():
		}
	}
	return g.stop(force, err)
}

// start runs f, but does not wait for one that ignores its cancelled context
// longer than half the budget: what it has opened must still be closed.
func (g *Group) start(ctx, force context.Context, f func(context.Context) error) error {
	startCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f(startCtx) }()
	var patience <-chan time.Time
	cancelled := ctx.Done()
	for {
		select {
		case err := <-done:
			if ctx.Err() != nil && errors.Is(err, context.Canceled) {
				return nil // it was asked to stop, and did
			}
			return err
		case <-cancelled:
			cancelled = nil
			timer := time.NewTimer(g.timeout / 2)
			defer timer.Stop()
			patience = timer.C
		case <-patience:
			return errors.New("start: abandoned, it did not end when it was cancelled")
		case <-force.Done():
			return errors.New("start: abandoned, shutdown was forced")
		}
	}
}
