package resilience

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/proxy"
	"github.com/aguada-dev/aguada/prove/target"
)

// How a dependency goes away.
const (
	cut  = "cut off"
	hung = "silent"
)

const (
	// notice is how long a service may take to say that it is not ready, and
	// recovery how long to serve again once what it needs is there.
	notice, recovery = 20 * time.Second, 20 * time.Second
	// unbounded is the patience with calls of which no deadline is known, and
	// slack what is added to a deadline.
	unbounded, slack = 30 * time.Second, 3 * time.Second
	// crowd is how many call each method at once.
	crowd = 8
)

// outage is what was seen of a process while a dependency was away, and after.
// The probes of dependencies judge one and the same.
type outage struct {
	dependency lab.Dependency
	how        string
	proxy      *proxy.Proxy
	in         *target.Instance
	client     *lab.Client

	// calls are the worst answers of each method while it was away, and failed
	// is one that was not served; nil where all were.
	calls  []call
	failed *call
	// unready is the first answer of readiness other than 200, after so long; nil
	// where there was none. It is asked only where calls failed.
	unready      *lab.Answer
	unreadyAfter time.Duration
	// dead is an answer of liveness other than 200; nil where there was none.
	dead *lab.Answer
	// sick is what is not served yet when recovery is over; nil where everything
	// is, after healed.
	sick   *call
	healed time.Duration
	// ended is why the process ran no more at the end, "" where it did.
	ended string
	// err is why nothing was seen.
	err error

	mu sync.Mutex
	// telltale is an answer that says what only operators shall know, and told
	// what that is; nil where there was none.
	telltale *call
	told     string
}

// call is one request and its answer.
type call struct {
	name  string
	limit time.Duration
	lab.Request
	*lab.Answer
}

// served reports whether the call was answered as it must be.
func (c *call) served(t *probe.Try) bool {
	if m := t.Service.Method(c.name); m != nil {
		return lab.Succeeds(m, c.Answer)
	}
	return c.Err == nil && c.Status == http.StatusOK
}

// worse reports whether an answer is a worse sign than another: none at all, then
// what took long, then what failed.
func worse(a, b *lab.Answer) bool {
	rank := func(a *lab.Answer) int {
		switch {
		case a.Err != nil:
			return 1000
		case a.Status >= 400 && a.Status < 500: // says that the caller is wrong
			return 900
		}
		return a.Status
	}
	if rank(a) != rank(b) {
		return rank(a) > rank(b)
	}
	return a.Took > b.Took
}

// outagesKey is the lab's key of the outages.
type outagesKey struct{}

// outages returns what was seen of each dependency, away in either way. It is
// made once for all probes.
func outages(ctx context.Context, t *probe.Try) ([]*outage, error) {
	v, err := t.Keep(outagesKey{}, func() (any, error) {
		var all []*outage
		var each sync.WaitGroup
		for _, d := range t.Dependencies {
			for _, how := range []string{cut, hung} {
				o := &outage{dependency: d, how: how}
				all = append(all, o)
				each.Go(func() { o.err = o.suffer(ctx, t) })
			}
		}
		each.Wait()
		return all, ctx.Err()
	})
	all, _ := v.([]*outage)
	return all, err
}

// suffer starts a process, takes the dependency away, calls every method, and
// gives the dependency back.
func (o *outage) suffer(ctx context.Context, t *probe.Try) error {
	if err := o.start(ctx, t); err != nil {
		return err
	}
	defer o.end()
	methods, err := o.healthy(ctx, t)
	if err != nil {
		return err
	}
	watching, rest := context.WithCancel(ctx)
	defer rest()
	var watch sync.WaitGroup
	if t.Recipe.Alive != "" {
		watch.Go(func() { o.watch(watching, t, t.Recipe.Alive) })
	}
	if o.how == cut {
		o.proxy.Cut()
	} else {
		o.proxy.Hang()
	}
	began := time.Now()
	o.calls = o.all(ctx, t, methods, crowd)
	for i := range o.calls {
		if !o.calls[i].served(t) {
			o.failed = &o.calls[i]
		}
	}
	if o.failed != nil {
		o.unreadiness(ctx, t, began)
	}
	rest()
	watch.Wait()
	if err := o.proxy.Forward(); err != nil {
		return err
	}
	o.heal(ctx, t, methods)
	if !o.in.Running() {
		o.ended = fmt.Sprintf("%s; its last words:\n%s", o.in.Exit(), o.in.LastWords())
	}
	return ctx.Err()
}

// unreadiness waits until readiness is told otherwise.
func (o *outage) unreadiness(ctx context.Context, t *probe.Try, began time.Time) {
	ctx, cancel := context.WithDeadline(ctx, began.Add(notice))
	defer cancel()
	r := readiness(t)
	a, unready := o.client.Until(ctx, r, func(a *lab.Answer) bool { return a.Status != http.StatusOK || a.Err != nil })
	if unready {
		o.unready, o.unreadyAfter = a, time.Since(began)
	}
	o.listen(t, &call{name: "readiness", Request: r, Answer: a})
}

// end ends the process and the proxy.
func (o *outage) end() {
	o.in.Close()
	o.proxy.Close()
}

// start starts the proxy and a process that reaches the dependency through it,
// and all others directly.
func (o *outage) start(ctx context.Context, t *probe.Try) error {
	p, env, err := detour(t, o.dependency)
	if err != nil {
		return err
	}
	o.proxy = p
	if o.in, err = t.Start(ctx, env); err != nil {
		p.Close()
		return fmt.Errorf("with %s through a proxy: %w", o.dependency.Variable, err)
	}
	o.client = t.NewClient(o.in)
	return nil
}

// readiness is the question whether calls are wanted.
func readiness(t *probe.Try) lab.Request {
	path := t.Recipe.Ready
	if path == "" {
		path = "/readyz"
	}
	return lab.Request{Verb: http.MethodGet, Path: path}
}

// healthy returns the methods that are served while all is well: those whose
// path names nothing that would have to be made first.
func (o *outage) healthy(ctx context.Context, t *probe.Try) ([]*model.Method, error) {
	var methods []*model.Method
	for _, m := range t.Service.Methods {
		if probe.Unary(m) && m.Fixed() && t.Spares(m) == "" {
			methods = append(methods, m)
		}
	}
	calls := o.all(ctx, t, methods, 1)
	methods = nil
	for i := range calls {
		if calls[i].served(t) {
			methods = append(methods, t.Service.Method(calls[i].name))
		}
	}
	switch {
	case len(methods) == 0:
		return nil, fmt.Errorf("with %s through a proxy no method is served", o.dependency.Variable)
	case o.proxy.Taken() == 0:
		return nil, fmt.Errorf("the service opened no connection to the address in %s", o.dependency.Variable)
	}
	return methods, nil
}

// all calls each method so many times at once, and returns the worst answer of
// each.
func (o *outage) all(ctx context.Context, t *probe.Try, methods []*model.Method, times int) []call {
	var mu sync.Mutex
	var every sync.WaitGroup
	worst := make([]call, 0, len(methods))
	for _, m := range methods {
		r, err := signed(ctx, t, m)
		if err != nil {
			continue // a fixed path needs nothing: it does not happen
		}
		limit := unbounded
		if m.Deadline > 0 {
			limit = time.Duration(m.Deadline) + slack
		}
		at := len(worst)
		worst = append(worst, call{name: m.ID(), limit: limit, Request: r})
		for range times {
			every.Go(func() {
				bounded, cancel := context.WithTimeout(ctx, limit)
				defer cancel()
				a := o.client.Do(bounded, r)
				o.listen(t, &call{name: m.ID(), Request: r, Answer: a})
				mu.Lock()
				defer mu.Unlock()
				if worst[at].Answer == nil || worse(a, worst[at].Answer) {
					worst[at].Answer = a
				}
			})
		}
	}
	every.Wait()
	return worst
}

// watch asks for liveness until the context ends.
func (o *outage) watch(ctx context.Context, t *probe.Try, path string) {
	clock := time.NewTicker(100 * time.Millisecond)
	defer clock.Stop()
	r := lab.Request{Verb: http.MethodGet, Path: path}
	for {
		asking, cancel := context.WithTimeout(ctx, 5*time.Second)
		a := o.client.Do(asking, r)
		cancel()
		if ctx.Err() != nil {
			return
		}
		o.listen(t, &call{name: "liveness", Request: r, Answer: a})
		if a.Err != nil || a.Status != http.StatusOK {
			o.dead = a
			return
		}
		select {
		case <-clock.C:
		case <-ctx.Done():
			return
		}
	}
}

// heal waits until readiness and every method are as they were.
func (o *outage) heal(ctx context.Context, t *probe.Try, methods []*model.Method) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()
	for {
		o.sick = nil
		r := readiness(t)
		if a := o.client.Do(ctx, r); a.Err != nil || a.Status != http.StatusOK {
			o.sick = &call{name: "readiness", Request: r, Answer: a}
		} else {
			calls := o.all(ctx, t, methods, 1)
			for i := range calls {
				if !calls[i].served(t) {
					o.sick = &calls[i]
				}
			}
		}
		if o.sick == nil {
			o.healed = time.Since(began)
			return
		}
		timer := time.NewTimer(200 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// String says which outage it was.
func (o *outage) String() string { return o.dependency.Variable + " " + o.how }

// show is a call as evidence.
func (o *outage) show(c *call) []finding.Evidence { return o.client.Show(c.Request, c.Answer) }
