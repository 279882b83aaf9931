package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"
	"modernc.org/sqlite"
)

// watch makes the work of a database visible as a Config asks, by the semantic
// conventions of OpenTelemetry for database clients. All names and attributes
// are made at the start, from the statements, so that there are few, and none
// holds a value of a caller's.
type watch struct {
	tracer   trace.Tracer            // nil: no spans
	duration metric.Float64Histogram // nil: no measurements
	attrs    []attribute.KeyValue    // of the database

	begin, commit, rollback *operation
}

// newWatch returns what watches a database with the given attributes.
func newWatch(cfg Config, attrs ...attribute.KeyValue) (*watch, error) {
	w := &watch{tracer: cfg.Tracer, attrs: attrs}
	if cfg.Meter != nil {
		var err error
		w.duration, err = cfg.Meter.Float64Histogram("db.client.operation.duration", metric.WithUnit("s"),
			metric.WithDescription("Duration of database client operations."),
			metric.WithExplicitBucketBoundaries(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10))
		if err != nil {
			return nil, fmt.Errorf("watch database: %w", err)
		}
	}
	w.begin, w.commit, w.rollback = w.operation(query{summary: "BEGIN"}), w.operation(query{summary: "COMMIT"}), w.operation(query{summary: "ROLLBACK"})
	return w, nil
}

// operation is one kind of work, of which each time is a span and a
// measurement.
type operation struct {
	w        *watch
	name     string
	attrs    []attribute.KeyValue // of measurements
	span     []trace.SpanStartOption
	measured []metric.RecordOption // of one that went well
}

// operation returns the work of a query, or of a transaction's end, which has
// no text.
func (w *watch) operation(q query) *operation {
	verb, table, _ := strings.Cut(q.summary, " ")
	attrs := append(w.attrs[:len(w.attrs):len(w.attrs)], semconv.DBOperationName(verb), semconv.DBQuerySummary(q.summary))
	if table != "" {
		attrs = append(attrs, semconv.DBCollectionName(table))
	}
	o := &operation{w: w, name: q.summary, attrs: attrs}
	o.measured = []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}
	spanned := attrs[:len(attrs):len(attrs)]
	if q.text != "" {
		spanned = append(spanned, semconv.DBQueryText(q.text))
	}
	o.span = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(spanned...)}
	return o
}

// work is one time of an operation. It is a span only where the call is traced.
type work struct {
	o     *operation
	ctx   context.Context // what the database is called with
	span  trace.Span      // nil: not traced
	start time.Time
}

// start begins a work; end must follow.
func (o *operation) start(ctx context.Context) work {
	w := work{o: o, ctx: ctx, start: time.Now()}
	if o.w.tracer != nil && trace.SpanFromContext(ctx).IsRecording() {
		w.ctx, w.span = o.w.tracer.Start(ctx, o.name, o.span...)
	}
	return w
}

// end ends a work with the error that it came to. That there is no row is none.
// An error's text stays out, since a database may quote a value in it.
func (w *work) end(err error) {
	options, kind := w.o.measured, errorType(err)
	if kind != "" && w.o.w.duration != nil {
		attrs := append(w.o.attrs[:len(w.o.attrs):len(w.o.attrs)], semconv.ErrorTypeKey.String(kind))
		options = []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}
	}
	if w.o.w.duration != nil {
		w.o.w.duration.Record(w.ctx, time.Since(w.start).Seconds(), options...)
	}
	if w.span == nil {
		return
	}
	if kind != "" {
		w.span.SetAttributes(semconv.ErrorTypeKey.String(kind))
		if code := statusCode(err); code != "" {
			w.span.SetAttributes(semconv.DBResponseStatusCode(code))
		}
		w.span.SetStatus(codes.Error, "")
	}
	w.span.End()
}

// errorType names what went wrong: by the code of the database where it is the
// one that says so, by a word of a short list otherwise.
func errorType(err error) string {
	switch code := statusCode(err); {
	case err == nil, errors.Is(err, sql.ErrNoRows):
		return ""
	case code != "":
		return code
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline_exceeded"
	}
	if kind, _ := kindOf(err); errors.Is(kind, ErrUnavailable) {
		return "unavailable"
	}
	return "_OTHER"
}

// statusCode is the SQLSTATE of PostgreSQL or the extended result code of
// SQLite.
func statusCode(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return strconv.Itoa(e.Code())
	}
	return ""
}

// row is the row of a query that has at most one; Scan must follow.
type row struct {
	*sql.Row
	w work
}

// Scan reads the row and ends the query.
func (r row) Scan(dest ...any) error {
	err := r.Row.Scan(dest...)
	r.w.end(err)
	return err
}

// rows are the rows of a query; Close must follow.
type rows struct {
	*sql.Rows
	w work
}

// Close ends the query, whose duration is that of reading it.
func (r *rows) Close() error {
	err := r.Rows.Close()
	r.w.end(errors.Join(r.Err(), err))
	return err
}
