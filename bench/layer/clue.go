package layer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"goa.design/clue/clue"
	"goa.design/clue/debug"
	"goa.design/clue/health"
	"goa.design/clue/log"
	goahttp "goa.design/goa/v3/http"
	"goa.design/goa/v3/security"

	ordersvr "github.com/aguada-dev/aguada/bench/gen/http/orders/server"
	"github.com/aguada-dev/aguada/bench/gen/orders"
)

// startClue is the service as the page "Production" of Goa's documentation
// wires it, changed only where the page does not compile or does not do what
// it says: errors are looked at; the generated server is mounted; log.HTTP
// runs outside debug.HTTP, whose switch would do nothing otherwise; health is
// on the server's own mux; the share of traces is this benchmark's instead of
// two a second; and the providers are shut down, which the page forgets.
func startClue(ctx context.Context, spec Spec, out io.Writer) (*Layer, error) {
	ctx = log.Context(ctx, log.WithOutput(out), log.WithFormat(log.FormatJSON), log.WithFunc(log.Span))
	flush, err := configureClue(ctx, spec)
	if err != nil {
		return nil, err
	}
	verify, err := newVerifier(spec)
	if err != nil {
		return nil, err
	}
	endpoints := orders.NewEndpoints(guarded{newShop(), verify})
	endpoints.Use(debug.LogPayloads())
	endpoints.Use(log.Endpoint)

	mux := goahttp.NewMuxer()
	mux.Use(otelhttp.NewMiddleware(spec.Name))
	mux.Use(log.HTTP(ctx))
	mux.Use(debug.HTTP())
	debug.MountDebugLogEnabler(debug.Adapt(mux))
	debug.MountPprofHandlers(debug.Adapt(mux))
	mux.Handle(http.MethodGet, "/healthz", health.Handler(health.NewChecker()))
	ordersvr.Mount(mux, ordersvr.New(endpoints, mux, goahttp.RequestDecoder, goahttp.ResponseEncoder, nil, nil))

	return serve(&http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    1 << 20,
	}, flush)
}

// configureClue sets OpenTelemetry up through Clue. What it returns flushes
// the providers.
func configureClue(ctx context.Context, spec Spec) (func(context.Context) error, error) {
	spans, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(spec.Sink), otlptracegrpc.WithInsecure())
	if err != nil {
		return nil, fmt.Errorf("make exporter of traces: %w", err)
	}
	metrics, err := otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpoint(spec.Sink), otlpmetricgrpc.WithInsecure())
	if err != nil {
		return nil, fmt.Errorf("make exporter of metrics: %w", err)
	}
	cfg, err := clue.NewConfig(ctx, spec.Name, orders.APIVersion, metrics, nil)
	if err != nil {
		return nil, fmt.Errorf("configure clue: %w", err)
	}
	res, err := resource.Merge(resource.Default(),
		resource.NewSchemaless(semconv.ServiceName(spec.Name), semconv.ServiceVersion(orders.APIVersion)))
	if err != nil {
		return nil, fmt.Errorf("make resource: %w", err)
	}
	tracer := sdktrace.NewTracerProvider(
		sdktrace.WithResource(res),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(spec.Traces))),
		sdktrace.WithBatcher(spans))
	cfg.TracerProvider = tracer
	clue.ConfigureOpenTelemetry(ctx, cfg)
	return func(ctx context.Context) error {
		err := tracer.Shutdown(ctx)
		if m, ok := cfg.MeterProvider.(*sdkmetric.MeterProvider); ok {
			err = errors.Join(err, m.Shutdown(ctx))
		}
		return err
	}, nil
}

// verifier checks tokens as services do that follow the page and Goa's own
// examples: each time, with the package golang-jwt.
type verifier struct {
	parser *jwt.Parser
	key    jwt.Keyfunc
}

type claims struct {
	jwt.RegisteredClaims
	Scope scopes `json:"scope"`
}

func newVerifier(spec Spec) (*verifier, error) {
	key, err := loadKey(spec)
	if err != nil {
		return nil, err
	}
	return &verifier{
		parser: jwt.NewParser(jwt.WithValidMethods([]string{spec.Algorithm}), jwt.WithIssuer(issuer), jwt.WithAudience(audience),
			jwt.WithExpirationRequired()),
		key: func(*jwt.Token) (any, error) { return key, nil },
	}, nil
}

// JWTAuth implements orders.Auther.
func (v *verifier) JWTAuth(ctx context.Context, token string, scheme *security.JWTScheme) (context.Context, error) {
	var c claims
	if _, err := v.parser.ParseWithClaims(token, &c, v.key); err != nil {
		return ctx, err
	}
	return ctx, scheme.Validate(c.Scope)
}
