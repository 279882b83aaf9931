package telemetry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
	"go.opentelemetry.io/otel/trace/noop"
)

// RequestSpan is the span of one request. It is meant to be a field of the
// value that a transport makes per request and uses as its context: its
// address is then the span of a request that is not sampled, which costs no
// allocation, and [RequestSpan.Value] answers for the context.
//
// The zero value is no span. MethodInstruments.Start fills it; it must not be
// copied or reused afterwards.
type RequestSpan struct {
	embedded.Span
	t       *Telemetry
	sc      trace.SpanContext
	sdk     trace.Span // nil unless the request is traced
	started time.Time
}

var _ trace.Span = (*RequestSpan)(nil)

// spanKey is the key by which contexts hold their span. The OpenTelemetry API
// does not export it; a context that listens hears it.
var spanKey = func() any {
	l := &listener{Context: context.Background()}
	trace.SpanFromContext(l)
	return l.key
}()

type listener struct {
	context.Context
	key any
}

func (l *listener) Value(key any) any {
	l.key = key
	return nil
}

// begin fills s for a call whose caller's span is parent, which may be invalid.
// It reports whether the call is recorded: record has to follow then.
func (s *RequestSpan) begin(t *Telemetry, parent trace.SpanContext, start time.Time) (c trace.SpanContextConfig, recorded bool) {
	s.t, s.started = t, start
	exports := t.signals[spanSignal].used
	if !exports && parent.IsValid() {
		s.sc = parent
		return c, false
	}
	c = trace.SpanContextConfig{TraceID: parent.TraceID(), SpanID: newSpanID(), TraceState: parent.TraceState()}
	if parent.IsValid() {
		c.TraceFlags = parent.TraceFlags() &^ trace.FlagsSampled
	} else {
		c.TraceID, c.TraceFlags = newTraceID(), trace.FlagsRandom
	}
	if sampled := t.sampler.request(start, parent, c.TraceID); sampled && exports {
		return c, true
	} else if sampled {
		c.TraceFlags |= trace.FlagsSampled
	}
	s.sc = trace.NewSpanContext(c)
	return c, false
}

// record makes the SDK's span of what begin decided.
func (s *RequestSpan) record(ctx context.Context, parent trace.SpanContext, c trace.SpanContextConfig, name string, attrs trace.SpanStartOption) {
	d := &decided{Context: ctx, trace: c.TraceID, span: c.SpanID}
	d.parent.t, d.parent.sc = s.t, parent
	_, s.sdk = s.t.server.Start(d, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(s.started), attrs)
	s.sc = s.sdk.SpanContext()
}

// Value answers for the request's context: it returns the span and true for
// the key under which trace.SpanFromContext looks, if there is a span. A
// context calls it first in its own Value.
func (s *RequestSpan) Value(key any) (any, bool) {
	if s.t == nil || key != spanKey || spanKey == nil {
		return nil, false
	}
	if s.sdk != nil {
		return s.sdk, true
	}
	return s, true
}

// SpanContext returns the ids of the span: those of the log line, and what
// calls to other services carry on.
func (s *RequestSpan) SpanContext() trace.SpanContext { return s.sc }

// Traced reports whether the request's span is recorded.
func (s *RequestSpan) Traced() bool { return s.sdk != nil }

// TracerProvider returns the provider that made the span.
func (s *RequestSpan) TracerProvider() trace.TracerProvider {
	if s.t == nil {
		return noop.NewTracerProvider()
	}
	return s.t.spans
}

// The rest of trace.Span is for spans that are recorded, which this is not.

// IsRecording returns false.
func (*RequestSpan) IsRecording() bool { return false }

// End does nothing.
func (*RequestSpan) End(...trace.SpanEndOption) {}

// AddEvent does nothing.
func (*RequestSpan) AddEvent(string, ...trace.EventOption) {}

// AddLink does nothing.
func (*RequestSpan) AddLink(trace.Link) {}

// RecordError does nothing.
func (*RequestSpan) RecordError(error, ...trace.EventOption) {}

// SetStatus does nothing.
func (*RequestSpan) SetStatus(codes.Code, string) {}

// SetName does nothing.
func (*RequestSpan) SetName(string) {}

// SetAttributes does nothing.
func (*RequestSpan) SetAttributes(...attribute.KeyValue) {}

// Start begins a span of the service's own within the one of ctx, with the
// tracer that made that one: no global and no tracer has to be at hand. Where
// ctx has no span, or one that is not sampled, it returns ctx and its span and
// allocates nothing. End the span with [End].
func Start(ctx context.Context, name string, attrs ...attribute.KeyValue) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.SpanContext().IsSampled() {
		return ctx, unrecorded(parent)
	}
	tracer := parent.TracerProvider().Tracer(ScopeName)
	if len(attrs) == 0 {
		return tracer.Start(ctx, name)
	}
	return tracer.Start(ctx, name, trace.WithAttributes(attrs...))
}

// unrecorded returns a span with the same ids whose End ends nothing.
func unrecorded(parent trace.Span) trace.Span {
	if !parent.IsRecording() {
		return parent
	}
	return trace.SpanFromContext(trace.ContextWithSpanContext(context.Background(), parent.SpanContext()))
}

// End ends the span. An error gives it the status Error, with the error's type
// and its text as the log prints it, so that a value that masks itself stays
// masked; text beyond a kilobyte is cut off.
func End(span trace.Span, err error) {
	if err != nil && span.IsRecording() {
		span.SetAttributes(attribute.String("error.type", errorType(err)))
		span.SetStatus(codes.Error, clip(printAny(err), maxStatus))
	}
	span.End()
}

// maxStatus bounds the text of a span's status, in bytes.
const maxStatus = 1 << 10

// errorType names an error: by its own name if it has one, as errors of a
// design do, else by the type of what was wrapped.
func errorType(err error) string {
	var named interface{ GoaErrorName() string }
	if errors.As(err, &named) {
		return named.GoaErrorName()
	}
	for {
		t := fmt.Sprintf("%T", err)
		inner := errors.Unwrap(err)
		if t != "*fmt.wrapError" || inner == nil {
			return t
		}
		err = inner
	}
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
