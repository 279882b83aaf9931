package observability

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/sink"
)

var unharmed = probe.Probe{
	Probe: describe("trace.unharmed", "Do the spans of all calls arrive while a stranger sends headers that are no UTF-8?",
		"An exporter refuses the whole batch for one text that it cannot write: the spans of hundreds of other calls go with it.",
		"Replace invalid UTF-8 before a header becomes an attribute (strings.ToValidUTF8), or set no attributes from headers.",
		"OpenTelemetry protocol: string values are UTF-8", "CWE-176"),
	Needs: lab.Telemetry,
	Limit: 90 * time.Second, // where the method takes a password, wrong ones of other probes are waited for
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		_, r, err := reading(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		const text = "prover-\xff\xfe"
		bad := []lab.Request{
			r.With("X-Forwarded-For", text), r.With("User-Agent", text), r.With("X-Request-Id", text), r.With("Referer", text),
			r.With("Forwarded", "for="+text), r.With("Tracestate", "a="+text), r.With("Baggage", "a="+text),
			{Verb: r.Verb, Path: r.Path + "?prover=%ff%fe", Header: r.Header}, {Verb: "GET", Path: "/prover/%ff%fe"},
		}
		traces := map[string]bool{}
		for _, spoiled := range bad {
			t.NewClient(t.Main).Do(ctx, spoiled)
			a := t.Client.Do(ctx, r)
			if a.Err != nil {
				return probe.Skip("%s", a)
			}
			traces[a.Trace] = true
		}
		missing := 0
		waiting, cancel := context.WithTimeout(ctx, lab.Soon)
		defer cancel()
		t.Sink.Wait(waiting, func() bool {
			missing = 0
			for trace := range traces {
				if len(t.Sink.Trace(trace)) == 0 {
					missing++
				}
			}
			return missing == 0
		})
		if missing > 0 {
			return probe.Fail(nil, "beside calls whose headers are no UTF-8, the spans of %d of %d good calls did not arrive", missing, len(traces))
		}
		return probe.Pass("the spans of all %d good calls arrived", len(traces))
	},
}

var exceptions = probe.Probe{
	Probe: describe("trace.exception", "Is a span within a failed call that records an exception marked as an error?",
		"An exception alone changes no status: whoever looks for failed spans finds the outermost, and not where it happened.",
		"Call span.SetStatus(codes.Error, …) wherever RecordError is called for what was not handled.",
		"OpenTelemetry: recording exceptions on spans"),
	Needs: lab.Telemetry,
	Alone: true, // at the end, when most has failed
	Run: func(_ context.Context, t *probe.Try) finding.Outcome {
		failed := map[string]bool{}
		for _, s := range t.Sink.Spans(func(s *sink.Span) bool { return s.Kind == sink.Server }) {
			if status := first(s.Attributes, "http.response.status_code", "http.status_code"); strings.HasPrefix(status, "5") && len(status) == 3 {
				failed[s.TraceID] = true
			}
		}
		n := 0
		for _, s := range t.Sink.Spans(func(s *sink.Span) bool { return s.Kind != sink.Server && failed[s.TraceID] }) {
			for _, e := range s.Events {
				if e.Name != "exception" {
					continue
				}
				if n++; s.Status != sink.Failed {
					return probe.Fail(append(show(s), finding.Evidence{Label: "event", Text: fmt.Sprint(e.Attributes.Map())}), "the span %s of a call that failed records an exception, and its status is %q", s.Name, s.Status)
				}
			}
		}
		return probe.Pass("%d failed calls, %d exceptions in spans within them", len(failed), n)
	},
}
