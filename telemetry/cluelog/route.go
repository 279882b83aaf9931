package cluelog

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"
	"goa.design/clue/log"

	"github.com/aguada-dev/aguada/telemetry"
)

// Bounds of one line.
const (
	maxValue   = 4 << 10 // bytes of one value
	maxMembers = 256
)

// carrier takes the context of a call through Clue to route. It prints
// nothing, since Clue prints all values.
type carrier struct{ ctx context.Context }

// Format implements fmt.Formatter.
func (carrier) Format(fmt.State, rune) {}

// carry is asked for each line that is written, and for no other.
func carry(ctx context.Context) []log.KV { return []log.KV{{V: carrier{ctx}}} }

// contextOf returns the context that the entry was made with. Ours is the last
// member unless somebody added a function to the shared logger.
func contextOf(kvs []log.KV) context.Context {
	for i := len(kvs) - 1; i >= 0; i-- {
		if c, ok := kvs[i].V.(carrier); ok {
			return c.ctx
		}
	}
	return context.Background()
}

// route is Clue's format function. It takes the entry to where it belongs and
// leaves nothing for Clue to write.
func (l *Logger) route(e *log.Entry) []byte {
	ctx := contextOf(e.KeyVals)
	level := severity(e.Severity)
	if !l.handler.Enabled(ctx, level) {
		return nil
	}
	scope := telemetry.ScopeOf(ctx)
	span := trace.SpanFromContext(ctx)
	msg, attrs := members(e.KeyVals, scope != nil, span.SpanContext())
	if scope != nil {
		switch {
		case level >= slog.LevelError || traced(span):
			scope.Show()
		case l.handler.Enabled(ctx, slog.LevelDebug) || scope.Lowered(level):
			scope.Flush()
		case level == slog.LevelInfo && l.calls.fromInfo():
			scope.Hold(ctx, l.handler, l.limits, e.Time, level, msg, attrs)
			return nil
		}
	}
	r := slog.NewRecord(e.Time, level, msg, 0)
	r.AddAttrs(attrs...)
	_ = l.handler.Handle(ctx, r)
	return nil
}

// traced reports whether the span is being recorded here to be exported. That a
// caller, or a service after us, samples the trace is not enough: nobody would
// look for these lines, and strangers could ask for them.
func traced(span trace.Span) bool { return span.IsRecording() && span.SpanContext().IsSampled() }

func (l *Logger) writeForeign(p []byte) {
	ctx := context.Background()
	if l.handler.Enabled(ctx, slog.LevelInfo) {
		r := slog.NewRecord(time.Now(), slog.LevelInfo, string(bytes.TrimRight(p, "\n")), 0)
		_ = l.handler.Handle(ctx, r)
	}
}

func severity(s log.Severity) slog.Level {
	switch s {
	case log.SeverityDebug:
		return slog.LevelDebug
	case log.SeverityInfo:
		return slog.LevelInfo
	case log.SeverityWarn:
		return slog.LevelWarn
	default:
		return slog.LevelError
	}
}

// members returns an entry's message and its other members, as data that no
// longer changes. Of several with one key the last counts, so that log.With
// and a call may override. A key that is one of the line's own gets a prefix.
func members(kvs []log.KV, scoped bool, span trace.SpanContext) (msg string, attrs []slog.Attr) {
	dropped := max(len(kvs)-maxMembers, 0)
	for _, kv := range kvs[:dropped] {
		if kv.K == log.MessageKey {
			msg = telemetry.Snapshot(slog.AnyValue(kv.V), maxValue).String()
		}
	}
	kvs = kvs[dropped:]
	attrs = make([]slog.Attr, 0, len(kvs))
	for i, kv := range kvs {
		if _, ours := kv.V.(carrier); ours || has(kvs[i+1:], kv.K) {
			continue
		}
		value := telemetry.Snapshot(slog.AnyValue(kv.V), maxValue)
		if kv.K == log.MessageKey {
			msg = value.String()
			continue
		}
		if key := rename(kv.K, value, kvs, scoped, span); key != "" {
			attrs = append(attrs, slog.Attr{Key: key, Value: value})
		}
	}
	if dropped > 0 {
		attrs = append(attrs, slog.Int("log.members_dropped", dropped))
	}
	return msg, attrs
}

// rename returns the key in our schema, or "" for what the line says anyway.
func rename(key string, value slog.Value, kvs []log.KV, scoped bool, span trace.SpanContext) string {
	ours := false
	switch key {
	case log.ErrorMessageKey:
		return "error"
	case slog.TimeKey, slog.LevelKey, slog.MessageKey:
		ours = true
	case "error":
		ours = has(kvs, log.ErrorMessageKey)
	case "request_id", "service", "method":
		ours = scoped
	case "trace_id", "span_id":
		if ours = span.IsValid(); ours && (value.String() == span.TraceID().String() || value.String() == span.SpanID().String()) {
			return "" // log.Span
		}
	}
	if ours {
		return "clue." + key
	}
	return key
}

func has(kvs []log.KV, key string) bool {
	for i := range kvs {
		if kvs[i].K == key {
			return true
		}
	}
	return false
}
