package resilience

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/proxy"
)

var awayOnce = probe.Probe{
	Probe: describe("key.outage", "Does a call under a key happen once at most, also where a dependency breaks off while it runs?",
		"A client repeats a call just when something broke: that is what the key is for.",
		"Refuse the call where its key cannot be looked up, and store the answer in the transaction that does what the call asks for.",
		"draft-ietf-httpapi-idempotency-key-header-07 §2"),
	Needs: lab.Process,
	Each:  func(m *model.Method) bool { return keyed(m) },
	Omit:  independent,
	Alone: true,
	Limit: outageLimit,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		failed := 0
		for _, d := range t.Dependencies {
			n, o := breaks(ctx, t, d)
			if o.Verdict != finding.Pass {
				return o
			}
			failed += n
		}
		return probe.Pass("%d calls while a dependency broke off and came back, of which %d failed at first, each repeated: none happened twice",
			len(t.Dependencies)*len(spans)*burst, failed)
	},
}

// spans are how long a dependency is away while calls run: short enough that a
// call may find it away at first and there in the end.
var spans = []time.Duration{
	time.Millisecond, 3 * time.Millisecond, 10 * time.Millisecond, 30 * time.Millisecond, 60 * time.Millisecond,
	100 * time.Millisecond, 150 * time.Millisecond, 250 * time.Millisecond, 400 * time.Millisecond, 700 * time.Millisecond,
	1200 * time.Millisecond,
}

// burst is how many calls meet one outage.
const burst = 16

// breaks has a dependency break off and come back under calls with keys of
// their own, and repeats each of them when all is well. It returns how many
// calls failed at first.
func breaks(ctx context.Context, t *probe.Try, d lab.Dependency) (int, finding.Outcome) {
	o := &outage{dependency: d, how: "broken off"}
	if err := o.start(ctx, t); err != nil {
		return 0, probe.Skip("%v", err)
	}
	defer o.end()
	r, err := signed(ctx, t, t.Method)
	if err != nil {
		return 0, probe.Skip("%v", err)
	}
	if a := o.client.Do(ctx, r); !lab.Succeeds(t.Method, a) {
		return 0, probe.Skip("with %s through a proxy %s is answered %s", d.Variable, t.Method.ID(), a)
	}
	var calls []*keyedCall
	for _, span := range spans {
		more, err := o.under(ctx, t.Method, r, span)
		if err != nil {
			return 0, probe.Skip("%v", err)
		}
		calls = append(calls, more...)
	}
	failed := 0
	for _, c := range calls {
		if !lab.Succeeds(t.Method, c.answers[0]) {
			failed++
		}
		if again, ok := o.repeat(ctx, t.Method, c); !ok {
			return 0, probe.Fail(o.client.Show(c.Request, again), "%s after %s is back, a call that was made while it was away is still answered %s", recovery, d.Variable, again)
		}
		if why := c.twice(t.Method); why != "" {
			last := c.answers[len(c.answers)-1]
			return 0, probe.Fail(append(o.client.Show(c.Request, c.answers[0]), o.client.Show(c.Request, last)...), "while %s broke off, %s", d.Variable, why)
		}
	}
	if failed == 0 && o.proxy.Taken() == 0 {
		return 0, probe.Skip("the service opened no connection to the address in %s", d.Variable)
	}
	return failed, probe.Pass("")
}

// keyedCall is a call under a key of its own, and all answers to it.
type keyedCall struct {
	lab.Request
	answers []*lab.Answer
}

// twice says that the call happened twice, "" where nothing shows it.
func (c *keyedCall) twice(m *model.Method) string {
	var first *lab.Answer
	fresh := 0
	for _, a := range c.answers {
		if !lab.Succeeds(m, a) {
			continue
		}
		if a.Header.Get(policy.Replayed) == "" {
			fresh++
		}
		switch {
		case first == nil:
			first = a
		case !bytes.Equal(first.Body, a.Body):
			return "a call was repeated under its key and is answered otherwise than before"
		}
	}
	if fresh > 1 {
		return "a call was repeated under its key and is answered as if it was the first one"
	}
	return ""
}

// under makes calls, some before the dependency goes away, some after and
// some before it is back.
func (o *outage) under(ctx context.Context, m *model.Method, r lab.Request, span time.Duration) ([]*keyedCall, error) {
	calls := make([]*keyedCall, burst)
	var all sync.WaitGroup
	for i := range calls {
		c := &keyedCall{Request: r.With(m.Idempotency.Header, "prover-"+lab.NewTrace())}
		calls[i] = c
		all.Go(func() {
			lab.Pause(ctx, rand.N(5*time.Millisecond+span)) //nolint:gosec // no secret
			c.answers = append(c.answers, o.client.Do(ctx, c.Request))
		})
	}
	lab.Pause(ctx, time.Millisecond)
	o.proxy.Cut()
	lab.Pause(ctx, span)
	err := o.proxy.Forward()
	all.Wait()
	return calls, errors.Join(err, ctx.Err())
}

// repeat repeats a call until it is served, and once more.
func (o *outage) repeat(ctx context.Context, m *model.Method, c *keyedCall) (*lab.Answer, bool) {
	ctx, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()
	for range 2 {
		a, ok := o.client.Until(ctx, c.Request, func(a *lab.Answer) bool { return lab.Succeeds(m, a) })
		c.answers = append(c.answers, a)
		if !ok {
			return a, false
		}
	}
	return nil, true
}

// detour starts a proxy before a dependency and returns the environment in which
// it is used. The caller closes it.
func detour(t *probe.Try, d lab.Dependency) (*proxy.Proxy, map[string]string, error) {
	to, err := proxy.Target(d.Address)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", d.Variable, err)
	}
	p, err := proxy.Start(to)
	if err != nil {
		return nil, nil, err
	}
	env := map[string]string{}
	for _, other := range t.Dependencies {
		env[other.Variable] = other.Address
	}
	env[d.Variable] = proxy.Through(d.Address, p.Addr())
	return p, env, nil
}
