package carriers

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/rpc"
	"github.com/aguada-dev/aguada/prove/sink"
	"github.com/aguada-dev/aguada/prove/target"
)

func rpcSeen() []probe.Probe { return []probe.Probe{rpcTrace, rpcMistake, rpcLine} }

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

func shown(s *sink.Span) []finding.Evidence {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s), trace %s, parent %q, status %s %s\n", s.Name, s.Kind, s.TraceID, s.Parent, s.Status, s.Message)
	for _, a := range s.Attributes {
		fmt.Fprintf(&b, "%s=%s\n", a.Key, sink.String(a.Value))
	}
	return []finding.Evidence{{Label: "span", Text: b.String()}}
}

var rpcTrace = probe.Probe{
	Probe: describe(finding.Observability, "grpc.trace", "Is the caller's trace continued over gRPC, by a span with the method's name and code?",
		"A trace that begins anew at each service shows nothing of how they hang together.",
		"Use a stats handler (otelgrpc), which reads traceparent from the metadata.",
		"W3C Trace Context", "OpenTelemetry gRPC spans"),
	Each: unary,
	Run: with(func(ctx context.Context, k *call) finding.Outcome {
		r := k.send(ctx)
		s := span(ctx, k.t, r.Trace)
		if s == nil {
			return k.fail(r, "no server span of the trace %s arrived", r.Trace)
		}
		_, name, _ := strings.Cut(k.t.Method.GRPC.Method, "/")
		switch {
		case s.Parent != r.Trace[:16]:
			return probe.Fail(shown(s), "the span's parent is not the caller's %s", r.Trace[:16])
		case !strings.HasSuffix(s.Name, name) && !strings.HasSuffix(s.Attributes.Text("rpc.method"), name):
			return probe.Fail(shown(s), "neither the span's name nor rpc.method is that of %s", k.t.Method.GRPC.Method)
		case !coded(s, r.Status.Code()):
			return probe.Fail(shown(s), "the span does not say %s (rpc.response.status_code)", rpc.Name(r.Status.Code()))
		}
		return probe.Pass("span %s", s.Name)
	}),
}

// coded reports whether the span has the code, in either of the conventions.
func coded(s *sink.Span, c codes.Code) bool {
	for _, key := range []string{"rpc.response.status_code", "rpc.grpc.status_code"} {
		if v := s.Attributes.Text(key); v != "" {
			return v == rpc.Name(c) || v == fmt.Sprint(uint32(c))
		}
	}
	return false
}

var rpcMistake = probe.Probe{
	Probe: describe(finding.Observability, "grpc.client-error", "Is a call that its caller got wrong not marked as the service's error?",
		"Whoever looks for errors finds strangers' mistakes, and alarms ring for what nobody can mend.",
		"Set the status of server spans to Error for UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE and DATA_LOSS only.",
		"OpenTelemetry gRPC spans: Status"),
	Each: guarded,
	Run: with(func(ctx context.Context, k *call) finding.Outcome {
		k.md = nil
		r := k.send(ctx)
		if r.Open || r.Status.Code() != codes.Unauthenticated {
			return probe.Skip("a call without credentials ends with %s", r)
		}
		s := span(ctx, k.t, r.Trace)
		switch {
		case s == nil:
			return k.fail(r, "no server span of a refused call arrived")
		case s.Status == sink.Failed:
			return probe.Fail(shown(s), "UNAUTHENTICATED is marked as an error")
		}
		return probe.Pass("status %q", s.Status)
	}),
}

var rpcLine = probe.Probe{
	Probe: describe(finding.Observability, "grpc.log", "Does each call over gRPC leave a line of the log with its trace id and code?",
		"At night the line is what is found first; the trace id leads from it to everything else.",
		"Write one line when a call ends, with trace_id, method, code and duration.",
		"OpenTelemetry logs: trace context in non-OTLP formats"),
	Each: unary,
	Run: with(func(ctx context.Context, k *call) finding.Outcome {
		mark := k.t.Main.Log.Mark()
		r := k.send(ctx)
		waiting, cancel := context.WithTimeout(ctx, lab.Soon)
		defer cancel()
		code := r.Status.Code()
		line, ok := k.t.Main.Log.Wait(waiting, mark, func(l target.Line) bool {
			return strings.Contains(l.Text, r.Trace) && says(l.Fields(), code)
		})
		if !ok {
			return k.fail(r, "no line of the log has the trace id %s and the code %s", r.Trace, rpc.Name(code))
		}
		return probe.Pass("%.60s…", line.Text)
	}),
}

// says reports whether a member of the object, however deep, is the code: its
// name in either spelling, or its number.
func says(v any, c codes.Code) bool {
	switch x := v.(type) {
	case float64:
		return x == float64(c)
	case string:
		return x == rpc.Name(c) || x == c.String()
	case map[string]any:
		for _, inner := range x {
			if says(inner, c) {
				return true
			}
		}
	}
	return false
}
