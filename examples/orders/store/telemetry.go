package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"

	"github.com/XSAM/otelsql"
	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	membedded "go.opentelemetry.io/otel/metric/embedded"
	mnoop "go.opentelemetry.io/otel/metric/noop"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"
	tembedded "go.opentelemetry.io/otel/trace/embedded"
	tnoop "go.opentelemetry.io/otel/trace/noop"
)

// observed returns what makes a driver's work visible as cfg asks. All names
// and attributes come from the statements, so that there are few, and none
// holds a value of a caller's.
func observed(cfg Config, attrs ...attribute.KeyValue) []otelsql.Option {
	known := map[string][]attribute.KeyValue{}
	names := map[string]string{}
	for _, q := range []query{
		insertOrder, insertItem, insertItems, countOrder, cancelOrder, countCancel,
		selectOrder, selectItems, selectPosition, selectOwn, selectAll, selectUsers, selectSales,
	} {
		operation, table, _ := strings.Cut(q.summary, " ")
		names[q.text] = q.summary
		known[q.text] = []attribute.KeyValue{
			semconv.DBOperationName(operation), semconv.DBCollectionName(table), semconv.DBQuerySummary(q.summary),
		}
	}
	of := func(_ context.Context, _ otelsql.Method, query string, _ []driver.NamedValue) []attribute.KeyValue {
		return known[query]
	}
	return []otelsql.Option{
		otelsql.WithTracerProvider(tracerProviderOf(cfg.Tracer)),
		otelsql.WithMeterProvider(meterProviderOf(cfg.Meter)),
		otelsql.WithAttributes(attrs...),
		otelsql.WithAttributesGetter(of),
		otelsql.WithInstrumentAttributesGetter(of),
		otelsql.WithSpanErrorAttributesGetter(func(err error) []attribute.KeyValue {
			if e, ok := errors.AsType[*pgconn.PgError](err); ok {
				return []attribute.KeyValue{semconv.DBResponseStatusCode(e.Code)}
			}
			return nil
		}),
		otelsql.WithSpanNameFormatter(func(_ context.Context, m otelsql.Method, query string) string {
			if name, ok := names[query]; ok {
				return name
			}
			return methodNames[m]
		}),
		otelsql.WithSpanOptions(otelsql.SpanOptions{
			DisableErrSkip: true, OmitConnResetSession: true, OmitConnPrepare: true, OmitRows: true,
			SpanFilter: func(ctx context.Context, m otelsql.Method, _ string, _ []driver.NamedValue) bool {
				return methodNames[m] != "" && trace.SpanFromContext(ctx).IsRecording()
			},
		}),
	}
}

// methodNames are what spans without a statement are called. What is not here
// makes no span: pings, and what else a connection needs.
var methodNames = map[otelsql.Method]string{
	otelsql.MethodConnectorConnect: "connect",
	otelsql.MethodConnBeginTx:      "BEGIN",
	otelsql.MethodTxCommit:         "COMMIT",
	otelsql.MethodTxRollback:       "ROLLBACK",
	otelsql.MethodConnExec:         "EXECUTE",
	otelsql.MethodConnQuery:        "QUERY",
	otelsql.MethodStmtExec:         "EXECUTE",
	otelsql.MethodStmtQuery:        "QUERY",
}

// tracerProvider and meterProvider hand out the one tracer and meter that the
// store was given, whatever name is asked for.
type tracerProvider struct {
	tembedded.TracerProvider
	tracer trace.Tracer
}

func tracerProviderOf(t trace.Tracer) trace.TracerProvider {
	if t == nil {
		return tnoop.NewTracerProvider()
	}
	return tracerProvider{tracer: t}
}

// Tracer returns the tracer.
func (p tracerProvider) Tracer(string, ...trace.TracerOption) trace.Tracer { return p.tracer }

type meterProvider struct {
	membedded.MeterProvider
	meter metric.Meter
}

func meterProviderOf(m metric.Meter) metric.MeterProvider {
	if m == nil {
		return mnoop.NewMeterProvider()
	}
	return meterProvider{meter: m}
}

// Meter returns the meter.
func (p meterProvider) Meter(string, ...metric.MeterOption) metric.Meter { return p.meter }
