package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
)

// provider is the SDK's provider, made cheap for what is not sampled.
type provider struct {
	embedded.TracerProvider
	t   *Telemetry
	sdk trace.TracerProvider
}

var _ trace.TracerProvider = (*provider)(nil)

// Tracer implements trace.TracerProvider.
func (p *provider) Tracer(name string, opts ...trace.TracerOption) trace.Tracer {
	return &tracer{p: p, sdk: p.sdk.Tracer(name, opts...)}
}

type tracer struct {
	embedded.Tracer
	p   *provider
	sdk trace.Tracer
}

// Start implements trace.Tracer. A span within one that is not sampled is that
// one: its ids are as good to carry on.
func (t *tracer) Start(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	sc := parent.SpanContext()
	if sc.IsValid() && !sc.IsSampled() && !sc.IsRemote() && !newRoot(opts) {
		return ctx, unrecorded(parent)
	}
	return t.sdk.Start(ctx, name, opts...)
}

func newRoot(opts []trace.SpanStartOption) bool {
	if len(opts) == 0 {
		return false
	}
	c := trace.NewSpanStartConfig(opts...)
	return c.NewRoot()
}
