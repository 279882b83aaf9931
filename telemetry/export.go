package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutlog"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutmetric"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

func newSpanExporter(ctx context.Context, env *environment) (sdktrace.SpanExporter, error) {
	switch env.exporter[spanSignal] {
	case exportGRPC:
		return otlptracegrpc.New(ctx)
	case exportConsole:
		return stdouttrace.New()
	}
	return otlptracehttp.New(ctx)
}

func newMetricExporter(ctx context.Context, env *environment) (sdkmetric.Exporter, error) {
	switch env.exporter[metricSignal] {
	case exportGRPC:
		return otlpmetricgrpc.New(ctx)
	case exportConsole:
		return stdoutmetric.New()
	}
	return otlpmetrichttp.New(ctx)
}

func newLogExporter(ctx context.Context, env *environment) (sdklog.Exporter, error) {
	switch env.exporter[logSignal] {
	case exportGRPC:
		return otlploggrpc.New(ctx)
	case exportConsole:
		return stdoutlog.New()
	}
	return otlploghttp.New(ctx)
}

// signal keeps the accounts of one signal and speaks for its exporter, whose
// errors would else go to a process-wide handler.
type signal struct {
	name   string
	logger *slog.Logger
	quit   chan struct{} // closed when nobody waits for an export any more
	used   bool          // it is exported

	made, delivered, failed atomic.Int64
	last                    atomic.Pointer[error]
	complained              atomic.Int64 // Unix seconds
}

// quiet is how long a signal keeps silent after a complaint.
const quiet = time.Minute

// export runs one export and keeps account of it. It returns nil, since the
// failure has been dealt with.
func (s *signal) export(ctx context.Context, n int, f func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-s.quit:
			cancel()
		case <-done:
		}
	}()
	if err := f(ctx); err != nil {
		s.failed.Add(int64(n))
		s.last.Store(&err)
		s.complain(err)
		return nil
	}
	s.delivered.Add(int64(n))
	return nil
}

// complain tells the logger, now and then.
func (s *signal) complain(err error) {
	now, last := time.Now().Unix(), s.complained.Load()
	if now-last < int64(quiet/time.Second) || !s.complained.CompareAndSwap(last, now) {
		return
	}
	s.logger.Warn("telemetry was not delivered", slog.String("signal", s.name), slog.Int64("failed", s.failed.Load()), slog.Any("error", err))
}

// lost says how much was made and never delivered.
func (s *signal) lost() error {
	n := s.made.Load() - s.delivered.Load()
	if n <= 0 {
		return nil
	}
	if err := s.last.Load(); err != nil {
		return fmt.Errorf("%d %s were not delivered: %w", n, s.name, *err)
	}
	return fmt.Errorf("%d %s were not delivered", n, s.name)
}

type spanExporter struct {
	sdktrace.SpanExporter
	s *signal
}

func (e *spanExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	return e.s.export(ctx, len(spans), func(ctx context.Context) error { return e.SpanExporter.ExportSpans(ctx, spans) })
}

// spanCounter counts the spans that are to be delivered.
type spanCounter struct {
	sdktrace.SpanProcessor
	s *signal
}

func (c *spanCounter) OnEnd(span sdktrace.ReadOnlySpan) {
	if span.SpanContext().IsSampled() {
		c.s.made.Add(1)
	}
	c.SpanProcessor.OnEnd(span)
}

type metricExporter struct {
	sdkmetric.Exporter
	s *signal
}

func (e *metricExporter) Export(ctx context.Context, rm *metricdata.ResourceMetrics) error {
	return e.s.export(ctx, 0, func(ctx context.Context) error { return e.Exporter.Export(ctx, rm) })
}

type logExporter struct {
	sdklog.Exporter
	s *signal
}

func (e *logExporter) Export(ctx context.Context, records []sdklog.Record) error {
	return e.s.export(ctx, len(records), func(ctx context.Context) error { return e.Exporter.Export(ctx, records) })
}

// logCounter counts the log records that are to be delivered, and gives them
// their attributes.
type logCounter struct {
	sdklog.Processor
	s *signal
}

func (c *logCounter) OnEmit(ctx context.Context, r *sdklog.Record) error {
	c.s.made.Add(1)
	if carried, ok := ctx.(*carried); ok {
		r.SetAttributes(carried.all...)
	}
	return c.Processor.OnEmit(ctx, r)
}

// spanLimits are OpenTelemetry's, with a bound for the length of a value.
func spanLimits() sdktrace.SpanLimits {
	limits := sdktrace.NewSpanLimits()
	if os.Getenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT") == "" && os.Getenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT") == "" {
		limits.AttributeValueLengthLimit = maxSpanValue
	}
	return limits
}
