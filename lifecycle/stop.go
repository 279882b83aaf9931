package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// maxReserve bounds the part of the budget that requests in flight may not
// use up, so that hooks run even after requests had to be cut, and the part
// that flushing may take, so that a dead receiver holds up nothing else.
const maxReserve = 3 * time.Second

type hook struct {
	name string // with the verb
	f    func(context.Context) error
}

// OnStop adds a hook, called once when the group stops, after the last request
// has been answered or cut. Hooks run one after another in reverse order, each
// with an equal share of the budget that remains; one that takes longer is
// abandoned and named in Run's error. A panic counts as the hook's error.
//
// If the group has begun to stop, f is called at once.
func (g *Group) OnStop(name string, f func() error) {
	g.add(&g.hooks, hook{"stop " + name, func(context.Context) error { return f() }})
}

// OnFlush adds a hook that is called after all those of OnStop, to send what
// they and the requests have left: a tenth of the budget, 3 s at most, is kept
// for these hooks, and they get no more. Otherwise it is like OnStop. The
// context of f ends shortly before f is abandoned.
func (g *Group) OnFlush(name string, f func(context.Context) error) {
	g.add(&g.flushes, hook{"flush " + name, f})
}

func (g *Group) add(to *[]hook, h hook) {
	g.mu.Lock()
	late := g.Draining()
	if !late {
		*to = append(*to, h)
	}
	g.mu.Unlock()
	if late {
		ctx, cancel := context.WithTimeout(context.Background(), maxReserve)
		defer cancel()
		if err := call(ctx, h); err != nil {
			g.log.Error("late hook failed", "error", err.Error())
		}
	}
}

// stop is the shutdown: cause is the error that led to it, if any.
func (g *Group) stop(force context.Context, cause error) error {
	begun := time.Now()
	reserve := min(g.timeout/10, maxReserve)
	end := begun.Add(g.timeout)

	g.mu.Lock() // no hook or server is added unseen
	wasReady := g.Ready()
	g.state.Store(int32(Leaving))
	hooks, flushes, servers, last := g.hooks, g.flushes, g.servers, g.last
	g.mu.Unlock()
	g.log.Info("shutdown started", "budget_ms", g.timeout.Milliseconds(), "in_flight", g.InFlight())

	if len(last) > 0 {
		end = end.Add(-min(reserve, lastGrace))
	}
	hooksEnd := end
	if len(flushes) > 0 {
		hooksEnd = end.Add(-reserve)
	}
	// The requests' deadline leaves the reserve to the hooks.
	ctx, cancel := context.WithDeadline(force, hooksEnd.Add(-reserve))
	defer cancel()
	if wasReady && cause == nil {
		cause = g.leave(ctx)
	}
	g.state.Store(int32(Draining))
	close(g.draining)
	errs := []error{cause, g.drain(ctx, servers, hooksEnd.Add(-reserve/2))}
	g.state.Store(int32(Closing))
	errs = append(errs, g.runHooks(force, "hooks", hooks, hooksEnd)...)
	g.state.Store(int32(Flushing))
	if flushEnd := time.Now().Add(reserve); flushEnd.Before(end) {
		end = flushEnd
	}
	errs = append(errs, g.runHooks(force, "flush", flushes, end)...)
	each(last, func(_ int, s *server) { s.end(force) })
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

// leave goes on serving for the delay. Its error is that of a server that
// ended meanwhile: nobody is served by waiting any longer.
func (g *Group) leave(ctx context.Context) (err error) {
	if g.delay <= 0 {
		return nil
	}
	begun := time.Now()
	timer := time.NewTimer(g.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case err = <-g.failed:
	}
	g.log.Info("drain delay over", "duration_ms", time.Since(begun).Milliseconds(), "in_flight", g.InFlight())
	return err
}

// drain stops all servers at once: first accepting, then serving.
func (g *Group) drain(ctx context.Context, servers []member, cutEnd time.Time) error {
	if len(servers) == 0 {
		return nil
	}
	begun := time.Now()
	each(servers, func(_ int, s member) { s.stopAccepting() })
	connections := 0
	for _, s := range servers {
		connections += s.connections()
	}
	g.log.Info("stopped accepting", "duration_ms", time.Since(begun).Milliseconds(),
		"in_flight", g.InFlight(), "connections", connections)

	begun = time.Now()
	errs := make([]error, len(servers))
	each(servers, func(i int, s member) { errs[i] = s.finish(ctx, cutEnd) })
	err := errors.Join(errs...)
	if err == nil {
		g.log.Info("in flight finished", "duration_ms", time.Since(begun).Milliseconds(), "in_flight", g.InFlight())
	} else {
		g.log.Error("in flight cut", "duration_ms", time.Since(begun).Milliseconds(), "error", err.Error())
	}
	return err
}

func each[S any](servers []S, f func(int, S)) {
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() { f(i, s) })
	}
	wg.Wait()
}

// runHooks runs the hooks in reverse order.
func (g *Group) runHooks(force context.Context, what string, hooks []hook, end time.Time) []error {
	if len(hooks) == 0 {
		return nil
	}
	begun := time.Now()
	var errs []error
	for i := len(hooks) - 1; i >= 0; i-- {
		share := time.Until(end) / time.Duration(i+1)
		if err := runHook(force, hooks[i], share); err != nil {
			errs = append(errs, err)
		}
	}
	g.log.Info(what+" finished", "duration_ms", time.Since(begun).Milliseconds(), "hooks", len(hooks), "failed", len(errs))
	return errs
}

// runHook waits for the hook no longer than limit.
func runHook(force context.Context, h hook, limit time.Duration) error {
	if force.Err() != nil {
		return fmt.Errorf("%s: not run, shutdown was forced", h.name)
	}
	ctx, cancel := context.WithTimeout(force, limit-limit/10) // its own error says more than ours
	defer cancel()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	done := make(chan error, 1)
	go func() { done <- call(ctx, h) }()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("%s: abandoned, it did not end within %s", h.name, limit.Round(time.Millisecond))
	case <-force.Done():
		return fmt.Errorf("%s: abandoned, shutdown was forced", h.name)
	}
}

// call runs one hook; a panic must not keep the others from running.
func call(ctx context.Context, h hook) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%s: panic: %v", h.name, v)
		}
	}()
	if err := h.f(ctx); err != nil {
		return fmt.Errorf("%s: %w", h.name, err)
	}
	return nil
}
