// Package observability holds the probes of what operators see: traces that go
// on, one log line for each call, metrics that stay bounded, and nowhere a
// secret.
package observability

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/sink"
)

// Probes returns the probes of the family.
func Probes() []probe.Probe {
	return slices.Concat(
		[]probe.Probe{continued, route, clientError, malformed, resource, unharmed, exceptions},
		logs(), metrics(), leaks(),
	)
}

func describe(code, question, why, fix string, references ...string) finding.Probe {
	return finding.Probe{Code: code, Family: finding.Observability, Question: question, Why: why, Fix: fix, References: references}
}

// call sends a valid request with good credentials and returns the answer.
func call(ctx context.Context, t *probe.Try) (lab.Request, *lab.Answer, error) {
	r, err := t.Valid(ctx, t.Client, t.Method)
	if err != nil {
		return r, nil, err
	}
	r = t.Sign(r, t.Method, lab.Good)
	a := t.Client.Do(ctx, r)
	if a.Err != nil {
		return r, a, fmt.Errorf("the call is answered %s", a)
	}
	return r, a, nil
}

// reading returns a valid request with good credentials to a method that changes
// nothing, and the method.
func reading(ctx context.Context, t *probe.Try) (*model.Method, lab.Request, error) {
	m := t.Readable()
	if m == nil {
		return nil, lab.Request{}, errors.New("the service has no method that changes nothing")
	}
	r, err := t.Valid(ctx, t.Client, m)
	return m, t.Sign(r, m, lab.Good), err
}

// settle makes a call whose line and span come behind those of all before it.
func settle(ctx context.Context, t *probe.Try) {
	if m := t.Readable(); m != nil {
		if r, err := t.Valid(ctx, t.Client, m); err == nil {
			span(ctx, t, t.Client.Do(ctx, r).Trace)
		}
	}
}

// span waits for the server's span of a trace.
func span(ctx context.Context, t *probe.Try, trace string) *sink.Span {
	ctx, cancel := context.WithTimeout(ctx, lab.Soon)
	defer cancel()
	var found *sink.Span
	t.Sink.Wait(ctx, func() bool {
		for _, s := range t.Sink.Trace(trace) {
			if s.Kind == sink.Server {
				found = s
			}
		}
		return found != nil
	})
	return found
}

func show(s *sink.Span) []finding.Evidence {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s), trace %s, parent %q, status %s %s\n", s.Name, s.Kind, s.TraceID, s.Parent, s.Status, s.Message)
	for _, a := range s.Attributes {
		fmt.Fprintf(&b, "%s=%s\n", a.Key, sink.String(a.Value))
	}
	return []finding.Evidence{{Label: "span", Text: b.String()}}
}

var continued = probe.Probe{
	Probe: describe("trace.continued", "Is the caller's trace continued?",
		"A trace that begins anew at each service shows nothing of how they hang together.",
		"Read traceparent into the context before the server's span begins (propagation.TraceContext).",
		"W3C Trace Context §3", "OpenTelemetry HTTP spans"),
	Needs: lab.Telemetry,
	Each:  probe.Unary,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, a, err := call(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		s := span(ctx, t, a.Trace)
		switch {
		case s == nil:
			return probe.Fail(t.Client.Show(r, a), "no server span of the trace %s arrived", a.Trace)
		case s.Parent != a.Trace[:16]:
			return probe.Fail(show(s), "the span's parent is not the caller's %s", a.Trace[:16])
		}
		return probe.Pass("span %s", s.Name)
	},
}

var route = probe.Probe{
	Probe: describe("trace.named", "Is the span named after the route, with method and status as attributes?",
		"A name that holds an id makes a name for each call: nothing can be counted or compared.",
		"Name server spans \"METHOD route\" and set http.request.method, http.route and http.response.status_code.",
		"OpenTelemetry HTTP spans"),
	Needs: lab.Telemetry,
	Each:  probe.Unary,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, a, err := call(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		s := span(ctx, t, a.Trace)
		if s == nil {
			return probe.Fail(t.Client.Show(r, a), "no server span of the trace %s arrived", a.Trace)
		}
		if got := first(s.Attributes, "http.route"); got != t.Method.Pattern {
			return probe.Fail(show(s), "http.route is %q, not %q", got, t.Method.Pattern)
		}
		if got := first(s.Attributes, "http.response.status_code", "http.status_code"); got != fmt.Sprint(a.Status) {
			return probe.Fail(show(s), "http.response.status_code is %q, not %d", got, a.Status)
		}
		if got := first(s.Attributes, "http.request.method", "http.method"); got != t.Method.Verb {
			return probe.Fail(show(s), "http.request.method is %q, not %s", got, t.Method.Verb)
		}
		path, _, _ := strings.Cut(r.Path, "?")
		if path != t.Method.Pattern && strings.Contains(s.Name, path) {
			return probe.Fail(show(s), "the name %q holds the path of one call", s.Name)
		}
		return probe.Pass("%s", s.Name)
	},
}

// first returns the first of the attributes that is there.
func first(a sink.Attributes, keys ...string) string {
	for _, k := range keys {
		if v := a.Text(k); v != "" {
			return v
		}
	}
	return ""
}

var clientError = probe.Probe{
	Probe: describe("trace.client-error", "Is a call that its caller got wrong not marked as the service's error?",
		"Whoever looks for errors finds strangers' typing mistakes, and alarms ring for what nobody can mend.",
		"Leave the status of server spans unset for 4xx, and set it to Error for 5xx.",
		"OpenTelemetry HTTP spans: Status"),
	Needs: lab.Telemetry,
	Each:  probe.Secured,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := t.Valid(ctx, t.Client, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		a := t.Client.Do(ctx, r) // without credentials
		if a.Status < 400 || a.Status >= 500 {
			return probe.Skip("a call without credentials is answered %s", a)
		}
		s := span(ctx, t, a.Trace)
		switch {
		case s == nil:
			return probe.Fail(t.Client.Show(r, a), "no server span of a refused call arrived")
		case s.Status == sink.Failed:
			return probe.Fail(show(s), "a %d is marked as an error", a.Status)
		}
		return probe.Pass("%d, status %q", a.Status, s.Status)
	},
}

var malformed = probe.Probe{
	Probe: describe("trace.malformed", "Is a call with a malformed traceparent served, as a new trace?",
		"Anybody can send that header. Taken as it is, it joins strangers' traces, or breaks the call.",
		"Ignore a traceparent that is not valid, and begin a trace.",
		"W3C Trace Context §3.2.2"),
	Needs: lab.Telemetry,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		m, r, err := reading(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		trace := lab.NewTrace()
		for _, header := range []string{
			"00-" + strings.Repeat("0", 32) + "-" + trace[:16] + "-01", "00-" + trace + "-" + strings.Repeat("0", 16) + "-01",
			"ff-" + trace + "-" + trace[:16] + "-01", "00-" + strings.ToUpper(trace) + "-" + trace[:16] + "-01",
			"00-" + trace + "-" + trace[:16] + "-01-extra", "00-" + trace, "x", strings.Repeat("0", 4000),
		} {
			bad := r.With("Traceparent", header)
			if a := t.Client.Do(ctx, bad); !lab.Succeeds(m, a) {
				return probe.Fail(t.Client.Show(bad, a), "with traceparent %q the answer is %s", header, a)
			}
		}
		// A span that arrived later would come behind those of a call after them.
		last := t.Client.Do(ctx, r)
		span(ctx, t, last.Trace)
		if joined := t.Sink.Trace(strings.Repeat("0", 32)); len(joined) > 0 {
			return probe.Fail(show(joined[0]), "a span has a trace id of zeros")
		}
		if joined := t.Sink.Trace(trace); len(joined) > 0 {
			return probe.Fail(show(joined[0]), "a span joined the trace of a header that is not valid")
		}
		return probe.Pass("8 kinds, each served as a new trace")
	},
}

var resource = probe.Probe{
	Probe: describe("telemetry.service", "Does telemetry say which service and version it is of?",
		"\"unknown_service\" is what every service is called that says nothing; they end up in one heap.",
		"Set service.name and service.version of the resource (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES win).",
		"OpenTelemetry resource: service"),
	Needs: lab.Telemetry,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		m := t.Readable()
		if m == nil {
			return probe.Skip("the service has no method that changes nothing")
		}
		r, err := t.Valid(ctx, t.Client, m)
		if err != nil {
			return probe.Skip("%v", err)
		}
		s := span(ctx, t, t.Client.Do(ctx, r).Trace)
		if s == nil {
			return probe.Fail(nil, "no span arrived")
		}
		name := s.Origin.Resource.Text("service.name")
		if name == "" || strings.HasPrefix(name, "unknown_service") {
			return probe.Fail(nil, "service.name is %q", name)
		}
		if s.Origin.Resource.Text("service.version") == "" {
			return probe.Fail(nil, "service.name is %q, and there is no service.version", name)
		}
		return probe.Pass("%s %s", name, s.Origin.Resource.Text("service.version"))
	},
}
