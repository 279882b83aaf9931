package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	otelruntime "go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel/log"
	lognoop "go.opentelemetry.io/otel/log/noop"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// ScopeName is the instrumentation scope of what this package records.
const ScopeName = "github.com/aguada-dev/aguada/telemetry"

// Bounds of what the pipelines hold in memory, unless an OTEL_ variable says
// otherwise (OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT,
// OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT): at most 2,048 finished spans
// and one batch of 512 wait to be sent, as many log records, and the series of
// the metrics, of which an instrument has at most 2,000. What does not fit is
// dropped and counted; nothing ever waits for an exporter.
const (
	maxSpanValue = 4 << 10  // bytes of one attribute of a span
	maxLogValue  = 16 << 10 // bytes of one attribute, or the text, of a log record
)

// DefaultTracesPerSecond is the sampler's maximum where nothing else is
// configured. It shows every request on a developer's machine and costs a busy
// service a fraction of a percent.
const DefaultTracesPerSecond = 100

// Config says who is speaking and how much is traced. Where to is said by the
// OTEL_ variables of the process, which the OpenTelemetry SDK reads itself.
// The zero value works: no trace, metric or log leaves the process.
type Config struct {
	// Service and Version name the service in the resource, usually as the
	// design does. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
	Service, Version string
	// Scheme is the scheme of the URLs by which callers reach the service;
	// empty means http.
	Scheme string
	// TracesPerSecond is the largest number of traces that are begun in a
	// second. 0 means DefaultTracesPerSecond, unless TracesRatio is set. A
	// negative number begins none: only what a caller samples is traced.
	TracesPerSecond int
	// TracesRatio is the share of traces that are begun, above 0 and up to 1,
	// instead of a number per second; 0 means unset.
	TracesRatio float64
	// ParentTracesPerSecond is the largest number of traces per second that
	// are continued because their caller sampled them; 0 means no bound. A
	// service that strangers call directly bounds it, since anybody can send
	// a traceparent.
	ParentTracesPerSecond int
	// Logger is told when something could not be delivered, at most once a
	// minute and signal; nil means nobody is.
	Logger *slog.Logger
}

// Telemetry holds the providers of one service and the instruments of the
// chassis. It is safe for concurrent use. A nil *Telemetry records nothing,
// and neither does anything made from it.
type Telemetry struct {
	cfg     Config
	sampler *sampler
	spans   trace.TracerProvider
	meters  metric.MeterProvider
	logs    log.LoggerProvider
	server  trace.Tracer // of the SDK, for sampled requests
	res     *resource.Resource
	reader  *sdkmetric.ManualReader // what Metrics reads; nil when disabled

	signals [3]*signal // indexed by spanSignal…
	other   *signal    // speaks for the SDK itself
	lines   atomic.Pointer[output]
	stops   []stop
	stopped sync.Once

	http    httpInstruments
	rpc     rpcInstruments
	chassis chassisInstruments
	any     unmatched
}

// stop ends one provider.
type stop struct {
	what string
	f    func(context.Context) error
}

// New makes the providers. It opens no connection before there is something to
// send, starts no listener and sets no process global. ctx bounds the start
// only. An OTEL_ variable that cannot be obeyed is an error which names it,
// where the SDK would carry on with a default.
func New(ctx context.Context, cfg Config) (*Telemetry, error) {
	env, err := readEnvironment()
	if err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Scheme == "" {
		cfg.Scheme = "http"
	}
	t := &Telemetry{cfg: cfg, spans: tracenoop.NewTracerProvider(), meters: metricnoop.NewMeterProvider(), logs: lognoop.NewLoggerProvider()}
	if t.sampler, err = newSampler(cfg, env); err != nil {
		return nil, err
	}
	if t.res, err = newResource(ctx, cfg); err != nil {
		return nil, err
	}
	for i := range t.signals {
		t.signals[i] = &signal{name: signalNames[i], logger: cfg.Logger, quit: make(chan struct{}), used: env.exporter[i] != exportNone}
	}
	t.other = &signal{name: "SDK", logger: cfg.Logger}
	if !env.disabled {
		if err = t.provide(ctx, env); err != nil {
			return nil, errors.Join(err, t.Shutdown(ctx))
		}
	}
	t.spans = &provider{t: t, sdk: t.spans}
	if err = t.instruments(); err != nil {
		return nil, errors.Join(err, t.Shutdown(ctx))
	}
	return t, nil
}

// provide makes the SDK's providers for the signals that have somewhere to go;
// metrics always have, since Metrics reads them.
func (t *Telemetry) provide(ctx context.Context, env *environment) error {
	requests := sdkmetric.WithProducer(histogramProducer{&t.http, &t.rpc})
	t.reader = sdkmetric.NewManualReader(requests)
	options := []sdkmetric.Option{sdkmetric.WithResource(t.res), sdkmetric.WithReader(t.reader)}
	if s := t.signals[metricSignal]; s.used {
		e, err := newMetricExporter(ctx, env)
		if err != nil {
			return fmt.Errorf("make exporter of metrics: %w", err)
		}
		options = append(options, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(&metricExporter{Exporter: e, s: s}, requests)))
	}
	meters := sdkmetric.NewMeterProvider(options...)
	t.meters = meters
	t.stops = append(t.stops, stop{"metrics", meters.Shutdown})

	if s := t.signals[spanSignal]; s.used {
		e, err := newSpanExporter(ctx, env)
		if err != nil {
			return fmt.Errorf("make exporter of traces: %w", err)
		}
		spans := sdktrace.NewTracerProvider(sdktrace.WithResource(t.res), sdktrace.WithSampler(t.sampler), sdktrace.WithIDGenerator(ids{}),
			sdktrace.WithRawSpanLimits(spanLimits()),
			sdktrace.WithSpanProcessor(&spanCounter{SpanProcessor: sdktrace.NewBatchSpanProcessor(&spanExporter{SpanExporter: e, s: s}), s: s}))
		t.spans = spans
		t.stops = append(t.stops, stop{"traces", spans.Shutdown})
	}
	t.server = t.spans.Tracer(ScopeName)

	if s := t.signals[logSignal]; s.used {
		e, err := newLogExporter(ctx, env)
		if err != nil {
			return fmt.Errorf("make exporter of logs: %w", err)
		}
		options := []sdklog.LoggerProviderOption{sdklog.WithResource(t.res), sdklog.WithAllowKeyDuplication(),
			sdklog.WithProcessor(&logCounter{Processor: sdklog.NewBatchProcessor(&logExporter{Exporter: e, s: s}), s: s})}
		if !env.logValueLimit {
			options = append(options, sdklog.WithAttributeValueLengthLimit(maxLogValue))
		}
		logs := sdklog.NewLoggerProvider(options...)
		t.logs = logs
		t.stops = append(t.stops, stop{"logs", logs.Shutdown})
	}
	return nil
}

// instruments binds what the chassis records.
func (t *Telemetry) instruments() error {
	if err := otelruntime.Start(otelruntime.WithMeterProvider(t.meters)); err != nil {
		return fmt.Errorf("start runtime metrics: %w", err)
	}
	m := t.meters.Meter(ScopeName)
	if err := t.http.bind(m); err != nil {
		return fmt.Errorf("make instruments: %w", err)
	}
	if err := t.chassis.bind(m, t); err != nil {
		return fmt.Errorf("make instruments: %w", err)
	}
	if err := bindProcess(m); err != nil {
		return fmt.Errorf("make instruments: %w", err)
	}
	t.any.bind(t)
	t.rpc.bind(t)
	return nil
}

// Tracer returns a tracer for the named scope, usually the import path of the
// caller. Its spans cost next to nothing under a parent that is not sampled.
func (t *Telemetry) Tracer(name string) trace.Tracer { return t.TracerProvider().Tracer(name) }

// Meter returns a meter for the named scope.
func (t *Telemetry) Meter(name string) metric.Meter { return t.MeterProvider().Meter(name) }

// TracerProvider returns the provider of traces.
func (t *Telemetry) TracerProvider() trace.TracerProvider {
	if t == nil {
		return tracenoop.NewTracerProvider()
	}
	return t.spans
}

// MeterProvider returns the provider of metrics.
func (t *Telemetry) MeterProvider() metric.MeterProvider {
	if t == nil {
		return metricnoop.NewMeterProvider()
	}
	return t.meters
}

// LoggerProvider returns the provider of logs.
func (t *Telemetry) LoggerProvider() log.LoggerProvider {
	if t == nil {
		return lognoop.NewLoggerProvider()
	}
	return t.logs
}

// Propagator writes and reads the headers of W3C Trace Context, for clients of
// other services. Baggage is not among them: what a stranger sends would be
// passed on.
func (t *Telemetry) Propagator() propagation.TextMapPropagator { return propagation.TraceContext{} }

// Exports reports whether traces, metrics and logs are sent to anywhere;
// Metrics does not count.
func (t *Telemetry) Exports() (traces, metrics, logs bool) {
	if t == nil {
		return false, false, false
	}
	return t.signals[spanSignal].used, t.signals[metricSignal].used, t.signals[logSignal].used
}

// HandleError notes an error that the OpenTelemetry SDK reports to the process
// instead of its caller. Main gives it to otel.SetErrorHandler.
func (t *Telemetry) HandleError(err error) {
	if t != nil && err != nil {
		t.other.complain(err)
	}
}

// Metrics serves the metrics for Prometheus to fetch, in its text format, or
// in OpenMetrics with exemplars for who asks for it.
func (t *Telemetry) Metrics() http.Handler {
	if t == nil || t.reader == nil {
		return &exposition{}
	}
	return &exposition{reader: t.reader, logger: t.cfg.Logger}
}

// Shutdown sends what is waiting and ends the providers, all within ctx: when
// ctx ends, what is still on its way is given up. Its error says how many
// spans and log records were never delivered since New, and why. A second call
// does nothing.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	if t == nil {
		return nil
	}
	var err error
	t.stopped.Do(func() { err = t.shutdown(ctx) })
	return err
}

func (t *Telemetry) shutdown(ctx context.Context) error {
	quit := context.AfterFunc(ctx, func() {
		for _, s := range t.signals {
			close(s.quit)
		}
	})
	failed := make([]error, len(t.stops))
	var wg sync.WaitGroup
	for i, s := range t.stops {
		wg.Go(func() { failed[i] = s.f(ctx) })
	}
	wg.Wait()
	quit()
	var errs []error
	for i, s := range t.stops {
		if err := failed[i]; err != nil {
			errs = append(errs, fmt.Errorf("end %s: %w", s.what, err))
		}
	}
	for _, s := range t.signals {
		errs = append(errs, s.lost())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("shut down telemetry: %w", err)
	}
	return nil
}

// revision is the revision that the binary was built from, with "+dirty" where
// the tree was changed; empty when unknown.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	rev, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			rev = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+dirty"
		}
	}
	if rev == "" {
		return ""
	}
	return rev + dirty
}

func goVersion() string { return runtime.Version() }
