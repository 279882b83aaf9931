package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// maxReserve bounds the part of the budget that requests in flight may not
// use up, so that hooks run even after requests had to be cut.
const maxReserve = 3 * time.Second

type hook struct {
	name string
	f    func() error
}

// OnStop adds a hook, called once when the group stops, after the last request
// has been answered or cut. Hooks run one after another in reverse order, each
// with an equal share of the budget that remains; one that takes longer is
// abandoned and named in Run's error. A panic counts as the hook's error.
//
// If the group has begun to stop, f is called at once.
func (g *Group) OnStop(name string, f func() error) {
	g.mu.Lock()
	late := g.Draining()
	if !late {
		g.hooks = append(g.hooks, hook{name, f})
	}
	g.mu.Unlock()
	if late {
		if err := call(hook{name, f}); err != nil {
			g.log.Error("stop hook failed", "hook", name, "error", err.Error())
		}
	}
}

// stop is the shutdown: cause is the error that led to it, if any.
func (g *Group) stop(force context.Context, cause error) error {
	begun := time.Now()
	end := begun.Add(g.timeout)
	reserve := min(g.timeout/10, maxReserve)

	g.mu.Lock() // no hook or server is added unseen
	g.state.Store(int32(Draining))
	servers, hooks := g.servers, g.hooks
	g.mu.Unlock()
	close(g.draining)
	g.log.Info("shutdown started", "budget_ms", g.timeout.Milliseconds(), "in_flight", g.InFlight())

	// The requests' deadline leaves the reserve to the hooks.
	ctx, cancel := context.WithDeadline(force, end.Add(-reserve))
	defer cancel()
	errs := []error{cause, g.drain(ctx, servers, end.Add(-reserve/2))}
	errs = append(errs, g.runHooks(force, hooks, end)...)
	err := errors.Join(errs...)

	g.state.Store(int32(Stopped))
	took := time.Since(begun).Milliseconds()
	if err != nil {
		g.log.Error("stopped", "duration_ms", took, "error", err.Error())
	} else {
		g.log.Info("stopped", "duration_ms", took)
	}
	return err
}

// drain stops all servers at once: first accepting, then serving.
func (g *Group) drain(ctx context.Context, servers []*server, cutEnd time.Time) error {
	if len(servers) == 0 {
		return nil
	}
	begun := time.Now()
	each(servers, func(_ int, s *server) { s.stopAccepting() })
	connections := 0
	for _, s := range servers {
		connections += s.conns.count()
	}
	g.log.Info("stopped accepting", "duration_ms", time.Since(begun).Milliseconds(),
		"in_flight", g.InFlight(), "connections", connections)

	begun = time.Now()
	errs := make([]error, len(servers))
	each(servers, func(i int, s *server) { errs[i] = s.finish(ctx, cutEnd) })
	err := errors.Join(errs...)
	if err == nil {
		g.log.Info("in flight finished", "duration_ms", time.Since(begun).Milliseconds(), "in_flight", g.InFlight())
	} else {
		g.log.Error("in flight cut", "duration_ms", time.Since(begun).Milliseconds(), "error", err.Error())
	}
	return err
}

func each(servers []*server, f func(int, *server)) {
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() { f(i, s) })
	}
	wg.Wait()
}

// runHooks runs the hooks in reverse order.
func (g *Group) runHooks(force context.Context, hooks []hook, end time.Time) []error {
	if len(hooks) == 0 {
		return nil
	}
	begun := time.Now()
	var errs []error
	for i := len(hooks) - 1; i >= 0; i-- {
		h := hooks[i]
		share := time.Until(end) / time.Duration(i+1)
		if err := runHook(force, h, share); err != nil {
			errs = append(errs, err)
		}
	}
	g.log.Info("hooks finished", "duration_ms", time.Since(begun).Milliseconds(), "hooks", len(hooks), "failed", len(errs))
	return errs
}

// runHook waits for the hook no longer than limit.
func runHook(force context.Context, h hook, limit time.Duration) error {
	if force.Err() != nil {
		return fmt.Errorf("stop %s: not run, shutdown was forced", h.name)
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	done := make(chan error, 1)
	go func() { done <- call(h) }()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("stop %s: abandoned, it did not end within %s", h.name, limit.Round(time.Millisecond))
	case <-force.Done():
		return fmt.Errorf("stop %s: abandoned, shutdown was forced", h.name)
	}
}

// call runs one hook; a panic must not keep the others from running.
func call(h hook) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("stop %s: panic: %v", h.name, v)
		}
	}()
	if err := h.f(); err != nil {
		return fmt.Errorf("stop %s: %w", h.name, err)
	}
	return nil
}
