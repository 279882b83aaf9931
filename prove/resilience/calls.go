package resilience

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/sink"
	"github.com/aguada-dev/aguada/prove/wallet"
)

// otherHolder is somebody else who may do the same.
var otherHolder = wallet.Holder{Name: wallet.Names[1]}

// most is how many calls are held at once.
const most = 500

var inFlight = probe.Probe{
	Probe: describe("limit.in-flight", "Is a call beyond MaxInFlight turned away, and the next one served when there is room?",
		"Without a bound every call of a slow method gets slower with the next one, until all of them fail.",
		"Bound the calls of a method that run at once, and answer 503 with Retry-After beyond.",
		"RFC 9110 §15.6.4", "OWASP API4:2023", "CWE-770"),
	Each: func(m *model.Method) bool {
		return probe.WithBody(m) && m.Fixed() && m.MaxInFlight > 0 && m.MaxInFlight <= most
	},
	Limit: 40 * time.Second,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		in, err := t.Start(ctx, nil)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer in.Close()
		r, err := signed(ctx, t, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		holding, release := context.WithCancel(ctx)
		var held sync.WaitGroup
		defer held.Wait()
		defer release()
		for range t.Method.MaxInFlight {
			c := t.NewClient(in)
			held.Go(func() {
				for holding.Err() == nil { // all at once may be too much at first
					hold(holding, c, r)
				}
			})
		}
		c := t.NewClient(in)
		waiting, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		a, full := c.Until(waiting, r, func(a *lab.Answer) bool { return a.Status == http.StatusServiceUnavailable })
		if !full {
			return probe.Fail(c.Show(r, a), "beside %d calls whose bodies are awaited, one more is answered %s", t.Method.MaxInFlight, a)
		}
		o := retries(c, r, a, http.StatusServiceUnavailable)
		if o.Verdict != finding.Pass {
			return o
		}
		release()
		again, cancel2 := context.WithTimeout(ctx, 10*time.Second)
		defer cancel2()
		if a, ok := c.Until(again, r, func(a *lab.Answer) bool { return lab.Succeeds(t.Method, a) }); !ok {
			return probe.Fail(c.Show(r, a), "after the others have gone the answer is still %s", a)
		}
		return o
	},
}

// hold makes a call whose body never ends, until the context does or the call is
// answered.
func hold(ctx context.Context, c *lab.Client, r lab.Request) {
	read, write := io.Pipe()
	r.Stream, r.Body = read, nil
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(ctx, func() { _ = write.CloseWithError(errors.New("given up")) })
	go func() {
		// As much as no client keeps to itself; JSON may begin with spaces.
		_, _ = io.WriteString(write, strings.Repeat(" ", 16<<10))
	}()
	c.Do(ctx, r)
}

// keyed chooses the methods that may be called again under a key.
func keyed(m *model.Method) bool { return probe.WithBody(m) && m.Fixed() && m.Idempotency != nil }

// under returns a request under an idempotency key.
func under(ctx context.Context, t *probe.Try, key string) (lab.Request, error) {
	r, err := signed(ctx, t, t.Method)
	return r.With(t.Method.Idempotency.Header, key), err
}

var replay = probe.Probe{
	Probe: describe("key.replay", "Does the same call under the same key happen once, with the same answer twice?",
		"A client that got no answer has to ask again; without a key it orders twice.",
		"Store the answer under principal, method and key, and give it again.",
		"draft-ietf-httpapi-idempotency-key-header-07 §2"),
	Each: keyed,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := under(ctx, t, "prover-"+lab.NewTrace())
		if err != nil {
			return probe.Skip("%v", err)
		}
		first, second := t.Client.Do(ctx, r), t.Client.Do(ctx, r)
		switch {
		case !lab.Succeeds(t.Method, first):
			return probe.Fail(t.Client.Show(r, first), "the first call is answered %s", first)
		case second.Status != first.Status || !bytes.Equal(first.Body, second.Body):
			return probe.Fail(t.Client.Show(r, second), "the second call is answered otherwise: %s", second)
		case second.Header.Get(policy.Replayed) == first.Header.Get(policy.Replayed):
			return probe.Fail(t.Client.Show(r, second), "nothing tells the second answer from the first (%s)", policy.Replayed)
		}
		return probe.Pass("%s twice, the second marked", first)
	},
}

var mismatch = probe.Probe{
	Probe: describe("key.mismatch", "Is another body under a used key refused, and a key of no form, and two keys?",
		"A client that uses a key twice by mistake would take the answer to one order for that to another.",
		"Compare a fingerprint of the request with that of the first one, and answer 422; answer 400 to keys that are none.",
		"draft-ietf-httpapi-idempotency-key-header-07 §2.7"),
	Each: keyed,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := under(ctx, t, "prover-"+lab.NewTrace())
		if err != nil {
			return probe.Skip("%v", err)
		}
		if a := t.Client.Do(ctx, r); !lab.Succeeds(t.Method, a) {
			return probe.Skip("the first call is answered %s", a)
		}
		other := r.Clone()
		if other.Body = different(t, r.Body); other.Body == nil {
			return probe.Skip("the schema allows one body only")
		}
		if a := t.Client.Do(ctx, other); a.Status != http.StatusUnprocessableEntity {
			return probe.Fail(t.Client.Show(other, a), "another body under the same key is answered %s, not 422", a)
		}
		if optional := lacking(t, r.Body); optional != nil {
			other.Body = optional
			if a := t.Client.Do(ctx, other); a.Status != http.StatusUnprocessableEntity {
				return probe.Fail(t.Client.Show(other, a), "a body without one of its optional members under the same key is answered %s, not 422", a)
			}
		}
		two := r.Clone()
		two.Header.Add(t.Method.Idempotency.Header, "prover-"+lab.NewTrace())
		if a := t.Client.Do(ctx, two); a.Status < 400 || a.Status >= 500 {
			return probe.Fail(t.Client.Show(two, a), "two keys are answered %s", a)
		}
		long := r.With(t.Method.Idempotency.Header, string(bytes.Repeat([]byte("k"), 5000)))
		if a := t.Client.Do(ctx, long); a.Status < 400 || a.Status >= 500 {
			return probe.Fail(t.Client.Show(long, a), "a key of 5,000 characters is answered %s", a)
		}
		return probe.Pass("422, and 4xx for a key of no form")
	},
}

// different returns another valid body of the method, nil if there is none.
func different(t *probe.Try, body []byte) []byte {
	for _, v := range []any{t.Payload.Minimal(t.Method.Body), t.Payload.Full(t.Method.Body)} {
		text, err := json.Marshal(v)
		if err == nil && !bytes.Equal(text, body) {
			t.Conceal(t.Method, text)
			return text
		}
	}
	return nil
}

// lacking returns the body without one of its optional members, nil where it has
// none.
func lacking(t *probe.Try, body []byte) []byte {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if slices.Contains(t.Method.Body.Resolved().Required, name) {
			continue
		}
		delete(members, name)
		text, err := json.Marshal(members)
		if err != nil {
			return nil
		}
		return text
	}
	return nil
}

var together = probe.Probe{
	Probe: describe("key.together", "Does the same call, sent eight times at once under one key, happen once?",
		"Impatient clients and retrying proxies do not wait for each other: the check and the act have to be one.",
		"Take the key in one step before the method runs; let the others wait, or answer 409.",
		"draft-ietf-httpapi-idempotency-key-header-07 §2.6", "CWE-362"),
	Each: keyed,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := under(ctx, t, "prover-"+lab.NewTrace())
		if err != nil {
			return probe.Skip("%v", err)
		}
		answers := make([]*lab.Answer, 8)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() { answers[i] = t.Client.Do(ctx, r) })
		}
		all.Wait()
		var body []byte
		for _, a := range answers {
			switch {
			case a.Status == http.StatusConflict:
			case !lab.Succeeds(t.Method, a):
				return probe.Fail(t.Client.Show(r, a), "one of them is answered %s", a)
			case body == nil:
				body = a.Body
			case !bytes.Equal(body, a.Body):
				return probe.Fail(t.Client.Show(r, a), "two of them are answered differently: the method ran twice")
			}
		}
		if body == nil {
			return probe.Fail(t.Client.Show(r, answers[0]), "none of them was served")
		}
		return probe.Pass("8 calls, one answer")
	},
}

var foreignKey = probe.Probe{
	Probe: describe("key.foreign", "Is somebody else's answer not given to who guesses their key?",
		"Keys are made up by clients and not secret: where they are looked up alone, they open other people's answers.",
		"Look answers up by principal, method and key together.",
		"draft-ietf-httpapi-idempotency-key-header-07 §5", "OWASP API1:2023", "CWE-639"),
	Each: func(m *model.Method) bool { return keyed(m) && m.Secured() },
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := under(ctx, t, "prover-"+lab.NewTrace())
		if err != nil {
			return probe.Skip("%v", err)
		}
		mine := t.Client.Do(ctx, r)
		other := t.Sign(r, t.Method, otherHolder)
		theirs := t.NewClient(t.Main).Do(ctx, other)
		switch {
		case !lab.Succeeds(t.Method, mine):
			return probe.Skip("the first call is answered %s", mine)
		case bytes.Equal(mine.Body, theirs.Body) && len(mine.Body) > 2:
			return probe.Fail(t.Client.Show(other, theirs), "somebody else is given the same answer")
		case !lab.Succeeds(t.Method, theirs):
			return probe.Fail(t.Client.Show(other, theirs), "somebody else, under a key of their own that happens to be the same, is answered %s", theirs)
		}
		return probe.Pass("each their own")
	},
}

var deadSink = probe.Probe{
	Probe: describe("telemetry.away", "Does a receiver of telemetry that is silent or gone leave calls and the end alone?",
		"What watches a service must not be able to take it down.",
		"Export in the background with bounded queues and timeouts; drop rather than wait.",
		"OpenTelemetry specification: exporter timeouts", "CWE-400"),
	Limit: 60 * time.Second,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		m := t.Readable()
		if m == nil {
			return probe.Skip("the service has no method that changes nothing")
		}
		r, err := signed(ctx, t, m)
		if err != nil {
			return probe.Skip("%v", err)
		}
		for name, silent := range map[string]bool{"silent": true, "gone": false} {
			if err := without(ctx, t, m, r, silent); err != nil {
				return probe.Fail(nil, "with a receiver that is %s %v", name, err)
			}
		}
		return probe.Pass("served as ever, and ended in time")
	},
}

// without starts a process whose receiver of telemetry goes away, calls it and
// ends it.
func without(ctx context.Context, t *probe.Try, m *model.Method, r lab.Request, silent bool) error {
	own, err := sink.Start(sink.Config{})
	if err != nil {
		return err
	}
	defer func() { _ = own.Close(ctx) }()
	in, err := t.StartTo(ctx, own)
	if err != nil {
		return err
	}
	defer in.Close()
	c := t.NewClient(in)
	if a := c.Do(ctx, r); !lab.Succeeds(m, a) {
		return fmt.Errorf("the first call is answered %s", a)
	}
	if silent {
		own.Hang(true)
	} else if err := own.Refuse(true); err != nil {
		return err
	}
	for range 300 {
		if a := c.Do(ctx, r); !lab.Succeeds(m, a) || a.Took > 2*time.Second {
			return fmt.Errorf("a call is answered %s after %s", a, a.Took.Round(time.Millisecond))
		}
	}
	began := time.Now()
	const patience = 25 * time.Second
	exit := in.Stop(patience)
	if took := time.Since(began); took >= patience || exit.Code < 0 {
		return fmt.Errorf("the process does not end within %s", patience)
	}
	return nil
}
