// Package resilience holds the probes of what happens when something is slow, too
// much, repeated or away: clients that drip, connections that do nothing, limits
// that are reached, keys that come twice, a telemetry receiver that is gone.
//
// What touches limits or settings has a process of its own.
package resilience

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/target"
)

// Probes returns the probes of the family.
func Probes() []probe.Probe {
	own := []probe.Probe{slowHeader, slowBody, slowReader, idleConnections, deadline, rateLimit, inFlight, replay, mismatch, together, foreignKey, deadSink, panics}
	return append(own, dependencies()...)
}

func describe(code, question, why, fix string, references ...string) finding.Probe {
	return finding.Probe{Code: code, Family: finding.Resilience, Question: question, Why: why, Fix: fix, References: references}
}

// short are settings under which slowness shows in seconds, for services that
// have the names of Goa's Production page.
var short = map[string]string{"READ_HEADER_TIMEOUT": "1s", "READ_TIMEOUT": "2s", "WRITE_TIMEOUT": "2s", "IDLE_TIMEOUT": "2s"}

// slowness returns a process that is impatient, and how long it may take to lose
// its patience.
func slowness(ctx context.Context, t *probe.Try) (*target.Instance, time.Duration, error) {
	in, err := t.Start(ctx, short)
	return in, 15 * time.Second, err
}

// address is where raw connections to a process go.
func address(in *target.Instance) string {
	u, err := url.Parse(in.URL(""))
	if err != nil {
		return in.HTTP
	}
	return u.Host
}

// bodied returns a method with a JSON body and a fixed path.
func bodied(t *probe.Try) *model.Method {
	for _, m := range t.Service.Methods {
		if probe.WithBody(m) && m.Fixed() {
			return m
		}
	}
	return nil
}

// signed returns a valid request with good credentials to a method.
func signed(ctx context.Context, t *probe.Try, m *model.Method) (lab.Request, error) {
	r, err := t.Valid(ctx, t.Client, m)
	return t.Sign(r, m, lab.Good), err
}

// uncontracted omits what only a contract promises.
func uncontracted(l *lab.Lab) string {
	if !l.Service.Contracted {
		return "without a contract nobody has promised it"
	}
	return ""
}

// retries judges an answer that turns a caller away for a while.
func retries(c *lab.Client, r lab.Request, a *lab.Answer, status int) finding.Outcome {
	switch {
	case a.Status != status:
		return probe.Fail(c.Show(r, a), "the answer is %s, not %d", a, status)
	case a.Header.Get("Retry-After") == "":
		return probe.Fail(c.Show(r, a), "the %d does not say when to come back (Retry-After)", status)
	}
	return probe.Pass("%d, Retry-After: %s", status, a.Header.Get("Retry-After"))
}

var rateLimit = probe.Probe{
	Probe: describe("limit.rate", "Is a caller who is too fast told so, and when to come back, and nobody else?",
		"One client in a loop otherwise takes what all others need; one that is not told when to come back tries harder.",
		"Answer 429 with Retry-After beyond the limit, and count those apart whom the partition tells apart.",
		"RFC 6585 §4", "OWASP API4:2023", "CWE-770"),
	Each:  func(m *model.Method) bool { return probe.Unary(m) && !m.Changes() && m.Fixed() && m.Reachable() != nil },
	Limit: 40 * time.Second,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		limit := t.Method.Reachable()
		in, err := t.Start(ctx, nil)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer in.Close()
		r, err := signed(ctx, t, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		c := t.NewClient(in)
		served, refusal := exhaust(ctx, c, r, limit)
		switch {
		case refusal == nil:
			return probe.Fail(nil, "%d calls were served at once, of %d per %s with a burst of %d", served, limit.Rate, time.Duration(limit.Per), limit.Burst)
		case served < limit.Burst*9/10:
			return probe.Fail(c.Show(r, refusal), "the call after %d was refused, of a burst of %d", served, limit.Burst)
		}
		if o := retries(c, r, refusal, http.StatusTooManyRequests); o.Verdict != finding.Pass {
			return o
		}
		other := t.Sign(r, t.Method, otherHolder)
		if a := t.NewClient(in).Do(ctx, other); limit.Partition != policy.Global && !lab.Succeeds(t.Method, a) {
			return probe.Fail(t.Client.Show(other, a), "somebody else, from another address, is answered %s", a)
		}
		waiting, cancel := context.WithTimeout(ctx, time.Duration(limit.Per)+5*time.Second)
		defer cancel()
		if a, ok := c.Until(waiting, r, func(a *lab.Answer) bool { return lab.Succeeds(t.Method, a) }); !ok {
			return probe.Fail(c.Show(r, a), "after the limit's time the answer is still %s", a)
		}
		return probe.Pass("%d served, then 429 with Retry-After: %s; others served; then served again", served, refusal.Header.Get("Retry-After"))
	},
}

// exhaust calls until a call is refused, or far more were served than the limit
// allows; it returns how many were served, and the refusal.
func exhaust(ctx context.Context, c *lab.Client, r lab.Request, l *policy.RateLimit) (served int, refusal *lab.Answer) {
	began := time.Now()
	answers := make(chan *lab.Answer)
	const callers = 8
	stop, cancel := context.WithCancel(ctx)
	defer cancel()
	for range callers {
		go func() {
			for stop.Err() == nil {
				a := c.Do(ctx, r)
				select {
				case answers <- a:
				case <-stop.Done():
					return
				}
			}
		}()
	}
	for {
		a := <-answers
		if a.Status == http.StatusTooManyRequests {
			return served, a
		}
		served++
		if ctx.Err() != nil || model.Beyond(l, served, time.Since(began)) {
			return served, nil
		}
	}
}
