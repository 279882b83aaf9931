package sink_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/aguada-dev/aguada/prove/sink"
)

// exporters are the real ones, configured by the sink's environment alone.
type exporters struct {
	traces  sdktrace.SpanExporter
	metrics sdkmetric.Exporter
	logs    sdklog.Exporter
}

func newExporters(t *testing.T, s *sink.Sink, p sink.Protocol, compression string) exporters {
	t.Helper()
	for name, value := range s.Environment(p) {
		t.Setenv(name, value)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", compression)
	var e exporters
	var errs [3]error
	ctx := t.Context()
	if p == sink.GRPC {
		e.traces, errs[0] = otlptracegrpc.New(ctx)
		e.metrics, errs[1] = otlpmetricgrpc.New(ctx)
		e.logs, errs[2] = otlploggrpc.New(ctx)
	} else {
		e.traces, errs[0] = otlptracehttp.New(ctx)
		e.metrics, errs[1] = otlpmetrichttp.New(ctx)
		e.logs, errs[2] = otlploghttp.New(ctx)
	}
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		_ = errors.Join(e.traces.Shutdown(ctx), e.metrics.Shutdown(ctx), e.logs.Shutdown(ctx))
	})
	return e
}

func TestRealExporters(t *testing.T) {
	for _, p := range []sink.Protocol{sink.HTTPProtobuf, sink.GRPC} {
		for _, compression := range []string{"none", "gzip"} {
			t.Run(strings.ReplaceAll(string(p), "/", "_")+"_"+compression, func(t *testing.T) {
				s := start(t, sink.Config{})
				e := newExporters(t, s, p, compression)
				id := emit(t, e)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				if !s.Wait(ctx, func() bool {
					return len(s.Trace(id)) == 2 && len(s.Logs(nil)) == 1 && len(s.Metrics(nil)) == 3
				}) {
					t.Fatalf("%d spans, %d records, %d series", len(s.Trace(id)), len(s.Logs(nil)), len(s.Metrics(nil)))
				}
				checkTrace(t, s, id)
				checkMetrics(t, s)
				r := s.Logs(nil)[0]
				if r.TraceID != id || r.SpanID != s.Trace(id)[1].SpanID || r.Severity != int(log.SeverityWarn) || sink.String(r.Body) != "slow" ||
					r.Attributes.Get("ms") != int64(912) || r.Origin.Resource.Text("service.name") != "shop" || r.Time.IsZero() {
					t.Errorf("record %+v", r)
				}
				if s.Rejected() != (sink.Rejected{}) || s.Dropped() != (sink.Dropped{}) {
					t.Errorf("rejected %+v, dropped %+v", s.Rejected(), s.Dropped())
				}
			})
		}
	}
}

// emit sends a trace of two spans, three series and a record; it returns the id.
func emit(t *testing.T, e exporters) string {
	t.Helper()
	ctx := context.Background()
	res := resource.NewSchemaless(attribute.String("service.name", "shop"))
	traces := sdktrace.NewTracerProvider(sdktrace.WithBatcher(e.traces), sdktrace.WithResource(res))
	tracer := traces.Tracer("shop/http", trace.WithInstrumentationVersion("1.2"))
	parent, root := tracer.Start(ctx, "GET /orders", trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.Int("status", 500), attribute.StringSlice("tags", []string{"a", "b"}), attribute.Bool("ok", false), attribute.Float64("share", 0.25)))
	_, child := tracer.Start(parent, "SELECT", trace.WithSpanKind(trace.SpanKindClient), trace.WithLinks(trace.LinkFromContext(parent, attribute.String("why", "retry"))))
	child.AddEvent("lock", trace.WithAttributes(attribute.Int("waited", 3)))
	child.End()
	root.SetStatus(codes.Error, "no luck")
	root.End()
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(e.metrics)), sdkmetric.WithResource(res))
	meter := meters.Meter("shop/http")
	counter, _ := meter.Int64Counter("requests", metric.WithUnit("{request}"), metric.WithDescription("how many"))
	counter.Add(parent, 2, metric.WithAttributes(attribute.String("method", "get")))
	counter.Add(parent, 3, metric.WithAttributes(attribute.String("method", "put")))
	histogram, _ := meter.Float64Histogram("duration", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(1, 2))
	histogram.Record(parent, 1.5)
	histogram.Record(parent, 9)
	records := sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewBatchProcessor(e.logs)), sdklog.WithResource(res))
	var r log.Record
	r.SetTimestamp(time.Now())
	r.SetSeverity(log.SeverityWarn)
	r.SetBody(attribute.StringValue("slow"))
	r.AddAttributes(attribute.Int("ms", 912))
	records.Logger("shop/log").Emit(parent, r)
	if err := errors.Join(traces.ForceFlush(ctx), meters.ForceFlush(ctx), records.ForceFlush(ctx)); err != nil {
		t.Error(err)
	}
	return root.SpanContext().TraceID().String()
}

func checkTrace(t *testing.T, s *sink.Sink, id string) {
	t.Helper()
	child, root := s.Trace(id)[0], s.Trace(id)[1]
	if root.Name != "GET /orders" || root.Kind != sink.Server || root.Status != sink.Failed || root.Message != "no luck" || root.Parent != "" ||
		len(root.SpanID) != 16 || root.End.Before(root.Start) || time.Since(root.Start) > time.Minute {
		t.Errorf("root %+v", root)
	}
	a := root.Attributes
	if a.Get("status") != int64(500) || a.Text("tags") != "a,b" || a.Get("ok") != false || a.Get("share") != 0.25 || a.Get("none") != nil || a.Map()["status"] != "500" {
		t.Errorf("attributes %v", a)
	}
	if o := root.Origin; o.Scope != "shop/http" || o.Version != "1.2" || o.Resource.Text("service.name") != "shop" || child.Origin != o {
		t.Errorf("origin %+v", root.Origin)
	}
	if child.Parent != root.SpanID || child.Kind != sink.Client || child.Status != "" || len(child.Events) != 1 || child.Events[0].Name != "lock" ||
		child.Events[0].Attributes.Get("waited") != int64(3) || len(child.Links) != 1 || child.Links[0].SpanID != root.SpanID || child.Links[0].TraceID != id {
		t.Errorf("child %+v", child)
	}
	if only := s.Spans(func(v *sink.Span) bool { return v.Kind == sink.Client }); len(only) != 1 || only[0] != child || len(s.Spans(nil)) != 2 {
		t.Errorf("filtered: %v", only)
	}
}

func checkMetrics(t *testing.T, s *sink.Sink) {
	t.Helper()
	if got := s.Series(); got["requests"] != 2 || got["duration"] != 1 {
		t.Errorf("series %v", got)
	}
	put := s.Metrics(func(p *sink.Point) bool { return p.Attributes.Text("method") == "put" })
	if len(put) != 1 || put[0].Value != 3 || put[0].Unit != "{request}" || put[0].Instrument != sink.Sum || !put[0].Monotonic || put[0].Delta || put[0].Description != "how many" {
		t.Errorf("counter %+v", put)
	}
	h := s.Metrics(func(p *sink.Point) bool { return p.Name == "duration" })
	if len(h) != 1 || h[0].Count != 2 || h[0].Total != 10.5 || !slices.Equal(h[0].Bounds, []float64{1, 2}) || !slices.Equal(h[0].Buckets, []uint64{0, 1, 1}) ||
		len(h[0].Exemplars) == 0 || len(h[0].Exemplars[0].TraceID) != 32 {
		t.Errorf("histogram %+v", h)
	}
}

// A collector that hangs or died takes nothing, and takes it once it is back.
func TestHangAndRefuse(t *testing.T) {
	for _, p := range []sink.Protocol{sink.HTTPProtobuf, sink.GRPC} {
		for _, way := range []string{"hang", "refuse"} {
			t.Run(strings.ReplaceAll(string(p), "/", "_")+"_"+way, func(t *testing.T) {
				s := start(t, sink.Config{})
				e := newExporters(t, s, p, "none")
				stop := func(now bool) error {
					if way == "hang" {
						s.Hang(now)
						return nil
					}
					return s.Refuse(now)
				}
				before := s.Environment(p)
				send(t, e, "before", true)
				if err := errors.Join(stop(true), stop(true)); err != nil {
					t.Fatal(err)
				}
				send(t, e, "meanwhile", false)
				if n := len(s.Spans(nil)); n != 1 {
					t.Errorf("%d spans while the sink is away", n)
				}
				if err := errors.Join(stop(false), stop(false)); err != nil {
					t.Fatal(err)
				}
				send(t, e, "after", true)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				if !s.Wait(ctx, func() bool { return len(s.Spans(func(v *sink.Span) bool { return v.Name == "after" })) == 1 }) {
					t.Error("the sink did not come back")
				}
				if after := s.Environment(p); after["OTEL_EXPORTER_OTLP_ENDPOINT"] != before["OTEL_EXPORTER_OTLP_ENDPOINT"] {
					t.Error("the sink came back at another address")
				}
			})
		}
	}
}

// send exports a span of this name, and expects that it works, or that it does not.
func send(t *testing.T, e exporters, name string, works bool) {
	t.Helper()
	patience := 10 * time.Second
	if !works {
		patience = 300 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p := sdktrace.NewTracerProvider()
	_, span := p.Tracer("test").Start(ctx, name)
	span.End()
	err := e.traces.ExportSpans(ctx, []sdktrace.ReadOnlySpan{span.(sdktrace.ReadOnlySpan)})
	if (err == nil) != works {
		t.Errorf("export of %q: %v", name, err)
	}
}
