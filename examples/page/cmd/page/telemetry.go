package main

import (
	"context"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"goa.design/clue/clue"
	"goa.design/clue/log"
	"google.golang.org/grpc/credentials/insecure"

	genservice "github.com/aguada-dev/aguada/examples/page/gen/orders"
)

// newLogger is the first step of the page's "Clue setup".
func newLogger() context.Context {
	format := log.FormatJSON
	if log.IsTerminal() {
		format = log.FormatTerminal
	}
	return log.Context(context.Background(),
		log.WithFormat(format),
		log.WithFunc(log.Span))
}

// configureClue is the rest of it. Corrected: the collector is that of
// OTEL_EXPORTER_OTLP_ENDPOINT instead of a flag that is nowhere declared.
//
// As on the page: nothing that is started here is ever shut down, so the last
// spans and metrics are lost.
func configureClue(ctx context.Context) {
	spanExporter, err := otlptracegrpc.New(ctx,
		otlptracegrpc.WithTLSCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatalf(ctx, err, "failed to initialize tracing")
	}

	metricExporter, err := otlpmetricgrpc.New(ctx,
		otlpmetricgrpc.WithTLSCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatalf(ctx, err, "failed to initialize metrics")
	}

	// As on the page: the error is dropped.
	cfg, _ := clue.NewConfig(ctx,
		genservice.ServiceName,
		genservice.APIVersion,
		metricExporter,
		spanExporter)
	clue.ConfigureOpenTelemetry(ctx, cfg)
}
