package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/sink"
	"github.com/aguada-dev/aguada/prove/target"
)

// patience is how long a process may take to end that has something to finish.
const patience = 15 * time.Second

// harmless returns a unary method that changes nothing; one without path
// parameters first, since they name things of another process.
func harmless(t *probe.Try) *model.Method {
	if m := t.Readable(); m != nil {
		return m
	}
	for _, m := range t.Service.Methods {
		if probe.Unary(m) && !m.Changes() {
			return m
		}
	}
	return nil
}

// serving returns a process of its own and a request that it serves.
func serving(ctx context.Context, t *probe.Try, env map[string]string) (*target.Instance, lab.Request, error) {
	m := harmless(t)
	if m == nil {
		return nil, lab.Request{}, errors.New("the service has no method that changes nothing")
	}
	r, err := t.Valid(ctx, t.Client, m)
	if err != nil {
		return nil, r, err
	}
	in, err := t.Start(ctx, env)
	return in, t.Sign(r, m, lab.Good), err
}

var stop = probe.Probe{
	Probe: describe("stop.term", "Does SIGTERM end the process with exit code 0?",
		"Supervisors take any other code for a crash: they raise alarms, and back off before they start it again.",
		"Handle SIGTERM: stop accepting, finish what is running, and exit with 0.",
		"Kubernetes pod termination", "systemd.kill(5)"),
	Needs: lab.Process,
	Run:   ends(syscall.SIGTERM),
}

var interrupt = probe.Probe{
	Probe: describe("stop.int", "Does SIGINT (Ctrl-C) end the process with exit code 0?",
		"A developer's Ctrl-C that cuts calls and loses telemetry hides what production will do.",
		"Handle SIGINT as SIGTERM.",
		"POSIX signal.h"),
	Needs: lab.Process,
	Run:   ends(os.Interrupt),
}

func ends(sig os.Signal) func(context.Context, *probe.Try) finding.Outcome {
	return func(ctx context.Context, t *probe.Try) finding.Outcome {
		in, r, err := serving(ctx, t, nil)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer in.Close()
		t.NewClient(in).Do(ctx, r)
		began := time.Now()
		signal(in, sig)
		if !ended(ctx, in, patience) {
			return probe.Fail(nil, "it still runs %s after the signal", patience)
		}
		if !in.Exit().Clean() {
			_, evidence := output(in)
			return probe.Fail(evidence, "it ends with %s", in.Exit())
		}
		return probe.Pass("exit code 0 after %s", time.Since(began).Round(time.Millisecond))
	}
}

func signal(in *target.Instance, sig os.Signal) {
	if p, err := os.FindProcess(in.PID()); err == nil && in.Running() {
		_ = p.Signal(sig)
	}
}

var idle = probe.Probe{
	Probe: describe("stop.idle", "Does a connection without a request not hold up the end?",
		"Every client with keep-alive then costs a whole shutdown period at each deployment.",
		"Close idle connections when the shutdown begins.",
		"RFC 9112 §9.8"),
	Needs: lab.Process,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		in, r, err := serving(ctx, t, nil)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer in.Close()
		c := t.NewClient(in)
		if a := c.Do(ctx, r); a.Err != nil { // its connection is kept
			return probe.Skip("%s", a)
		}
		began := time.Now()
		in.Terminate()
		if !ended(ctx, in, 5*time.Second) {
			return probe.Fail(nil, "it still runs %s after SIGTERM, with one idle connection and nothing to do", time.Since(began).Round(time.Second))
		}
		return probe.Pass("it ended after %s", time.Since(began).Round(time.Millisecond))
	},
}

// bodiless says why no call can be kept from its end.
func bodiless(l *lab.Lab) string {
	for _, m := range l.Service.Methods {
		if probe.WithBody(m) && m.Fixed() {
			return ""
		}
	}
	return "the service has no method with a JSON body"
}

// held is a call whose body is not whole yet: the service has it in hand, and
// the prover decides when it goes on.
type held struct {
	body   *io.PipeWriter
	rest   []byte
	answer chan *lab.Answer
}

// hold begins a call of a method with a body; the error says that none can be.
func hold(ctx context.Context, t *probe.Try, in *target.Instance) (*held, error) {
	for _, m := range t.Service.Methods {
		if !probe.WithBody(m) || !m.Fixed() {
			continue
		}
		r, err := t.Valid(ctx, t.Client, m)
		if err != nil {
			return nil, err
		}
		r = t.Sign(r, m, lab.Good)
		read, write := io.Pipe()
		h := &held{body: write, rest: r.Body, answer: make(chan *lab.Answer, 1)}
		r.Stream, r.Body = read, nil
		c := t.NewClient(in)
		go func() { h.answer <- c.Do(ctx, r) }()
		// As much as no client keeps to itself; JSON may begin with spaces.
		if _, err := io.WriteString(write, strings.Repeat(" ", 16<<10)); err != nil {
			return nil, err
		}
		// That the service has it shows when a call that came later is answered.
		if other := harmless(t); other != nil {
			if r, err := t.Valid(ctx, t.Client, other); err == nil {
				t.NewClient(in).Do(ctx, t.Sign(r, other, lab.Good))
			}
		}
		return h, nil
	}
	return nil, errors.New("the service has no method with a JSON body")
}

// finish sends the rest of the body.
func (h *held) finish() *lab.Answer {
	_, _ = h.body.Write(h.rest)
	_ = h.body.Close()
	return <-h.answer
}

var inFlight = probe.Probe{
	Probe: describe("stop.in-flight", "Is a call that was running when SIGTERM came still served?",
		"Each deployment otherwise cuts the calls that are in hand: the client does not know whether its order was placed.",
		"On SIGTERM stop accepting, then wait for running calls within a budget (http.Server.Shutdown).",
		"Kubernetes pod termination", "RFC 9110 §15.6.4"),
	Needs: lab.Process,
	Omit:  bodiless,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		in, err := t.Start(ctx, nil)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer in.Close()
		h, err := hold(ctx, t, in)
		if err != nil {
			return probe.Skip("%v", err)
		}
		in.Terminate()
		// The listener is gone once the process has begun to stop.
		closed := refuses(ctx, t, in, time.Second)
		a := h.finish()
		if a.Err != nil || a.Status >= 500 {
			return probe.Fail(nil, "the call is answered %s", a)
		}
		if !ended(ctx, in, patience) || !in.Exit().Clean() {
			return probe.Fail(nil, "the call is served, and the process does not end with exit code 0")
		}
		return probe.Pass("%s (the listener was closed: %t), then exit code 0", a, closed)
	},
}

// refuses waits until the process takes no new connections.
func refuses(ctx context.Context, t *probe.Try, in *target.Instance, patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	clock := time.NewTicker(20 * time.Millisecond)
	defer clock.Stop()
	for {
		if a := t.NewClient(in).Do(ctx, lab.Request{Verb: http.MethodGet, Path: "/"}); errors.Is(a.Err, syscall.ECONNREFUSED) {
			return true
		}
		select {
		case <-clock.C:
		case <-ctx.Done():
			return false
		}
	}
}

var impatience = probe.Probe{
	Probe: describe("stop.second-signal", "Does a second signal end a process that is still waiting?",
		"Whoever presses Ctrl-C twice, or waits for a stuck deployment, wants it gone; kill -9 is then the only way.",
		"After the first signal restore the default behaviour, or end at the second one.",
		"POSIX signal.h"),
	Needs: lab.Process,
	Omit:  bodiless,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		in, err := t.Start(ctx, nil)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer in.Close()
		h, err := hold(ctx, t, in)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer func() { _ = h.body.CloseWithError(io.ErrUnexpectedEOF) }()
		in.Terminate()
		refuses(ctx, t, in, 3*time.Second) // it may go on accepting while it waits
		if !in.Running() {
			return probe.Skip("it did not wait for the call in hand")
		}
		began := time.Now()
		signal(in, syscall.SIGTERM)
		if !ended(ctx, in, 5*time.Second) {
			return probe.Fail(nil, "it still runs 5s after the second signal")
		}
		return probe.Pass("it ended %s after the second signal", time.Since(began).Round(time.Millisecond))
	},
}

var load = probe.Probe{
	Probe: describe("stop.load", "Is no call lost when the process is stopped under load?",
		"A deployment that loses one call in a thousand does so at each deployment, and nobody finds out why.",
		"Announce the end (Connection: close), close idle connections only when nothing is on its way, and answer what was accepted.",
		"RFC 9112 §9.8", "Kubernetes pod termination"),
	Needs: lab.Process,
	Alone: true,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		in, r, err := serving(ctx, t, nil)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer in.Close()
		var served, refused atomic.Int64
		var lost sync.Map
		var callers sync.WaitGroup
		for range 16 {
			c := t.NewClient(in)
			callers.Go(func() {
				for ctx.Err() == nil {
					a := c.Do(ctx, r)
					switch {
					case errors.Is(a.Err, syscall.ECONNREFUSED):
						refused.Add(1)
						return
					case a.Err != nil, a.Status >= 500:
						lost.Store(a.String(), true)
						if a.Err != nil {
							return
						}
					default:
						served.Add(1)
					}
				}
			})
		}
		warm(ctx, &served, 300)
		in.Terminate()
		callers.Wait()
		failures := ""
		lost.Range(func(k, _ any) bool { failures = fmt.Sprint(k); return false })
		switch {
		case failures != "":
			return probe.Fail(nil, "of %d calls some were lost: %s", served.Load(), failures)
		case !ended(ctx, in, patience) || !in.Exit().Clean():
			return probe.Fail(nil, "no call was lost, and the process does not end with exit code 0")
		}
		return probe.Pass("%d calls served, 0 lost, exit code 0", served.Load())
	},
}

// warm waits until so many calls were served.
func warm(ctx context.Context, served *atomic.Int64, n int64) {
	clock := time.NewTicker(5 * time.Millisecond)
	defer clock.Stop()
	for served.Load() < n {
		select {
		case <-clock.C:
		case <-ctx.Done():
			return
		}
	}
}

var readiness = probe.Probe{
	Probe: describe("stop.readiness", "Does readiness end before the listener does, so that load balancers can turn away?",
		"A load balancer learns of the end by readiness. Without a pause in between it goes on sending to a closed port.",
		"On SIGTERM answer 503 on the readiness path, keep accepting for a configured delay, and only then close. Where something else waits before SIGTERM (a preStop hook), waive this with that reason.",
		"Kubernetes pod termination"),
	Needs: lab.Process,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		in, r, err := serving(ctx, t, map[string]string{"DRAIN_DELAY": "2s"}) // Aguada's; others wait by themselves, or do not
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer in.Close()
		in.Terminate()
		clock := time.NewTicker(20 * time.Millisecond)
		defer clock.Stop()
		path := t.Recipe.Ready
		if path == "" {
			path = "/readyz"
		}
		for {
			a := t.NewClient(in).Do(ctx, lab.Request{Verb: http.MethodGet, Path: path})
			if a.Err != nil {
				return probe.Fail(nil, "the listener closed (%s) before readiness said so", a)
			}
			if a.Status == http.StatusServiceUnavailable {
				break
			}
			select {
			case <-clock.C:
			case <-ctx.Done():
				return probe.Fail(nil, "readiness is still answered %s", a)
			}
		}
		c := t.NewClient(in)
		if a := c.Do(ctx, r); a.Err != nil || a.Status >= 500 {
			return probe.Fail(c.Show(r, a), "while readiness is off, and the delay has not passed, a call is answered %s", a)
		}
		if !ended(ctx, in, patience) || !in.Exit().Clean() {
			return probe.Fail(nil, "the process does not end with exit code 0")
		}
		return probe.Pass("503 on %s, calls still served, then exit code 0", path)
	},
}

var flush = probe.Probe{
	Probe: describe("stop.flush", "Do the spans of the last calls arrive before the process ends?",
		"The last seconds before an end are those that somebody will want to see.",
		"Shut the tracer provider down (not its exporter) at the very end, within the shutdown's budget.",
		"OpenTelemetry specification: TracerProvider.Shutdown"),
	Needs: lab.Process,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		in, r, err := serving(ctx, t, map[string]string{"OTEL_BSP_SCHEDULE_DELAY": "60000"})
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer in.Close()
		c := t.NewClient(in)
		traces := map[string]bool{}
		const calls = 20
		for range calls {
			a := c.Do(ctx, r)
			if a.Err != nil {
				return probe.Skip("%s", a)
			}
			traces[a.Trace] = true
		}
		in.Terminate()
		if !ended(ctx, in, patience) {
			return probe.Fail(nil, "it still runs %s after SIGTERM", patience)
		}
		arrived := 0
		waiting, cancel := context.WithTimeout(ctx, lab.Soon)
		defer cancel()
		t.Sink.Wait(waiting, func() bool {
			seen := map[string]bool{}
			for _, s := range t.Sink.Spans(func(s *sink.Span) bool { return traces[s.TraceID] }) {
				seen[s.TraceID] = true
			}
			arrived = len(seen)
			return arrived == calls
		})
		if arrived < calls {
			return probe.Fail(nil, "the spans of %d of the last %d calls arrived", arrived, calls)
		}
		return probe.Pass("the spans of all of the last %d calls arrived", calls)
	},
}
