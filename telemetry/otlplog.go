package telemetry

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/trace"
)

// Handler returns a handler that writes to base and, where logs are exported,
// sends the same records with the trace and span of their context. Where they
// are not, or t is nil, it is base itself. base decides which levels count.
//
// The records have the keys and the values of base's lines, printed alike:
// what masks itself stays masked. An export that fails takes nothing from
// base. From here on aguada.log.write.errors counts what base cannot write.
func (t *Telemetry) Handler(base *Handler) slog.Handler {
	if t == nil {
		return base
	}
	t.lines.Store(base.out)
	if !t.signals[logSignal].used {
		return base
	}
	return &fanout{base: base, to: t.logs.Logger(ScopeName), t: t}
}

// fanout is a Handler and an OTLP logger.
type fanout struct {
	base *Handler
	to   log.Logger
	t    *Telemetry
	pre  []scoped // of WithAttrs and WithGroup
}

// scoped is a group that begins, or attributes within the groups before them.
type scoped struct {
	group         string
	attrs, within []attribute.KeyValue // within: for a request or a span
}

var _ slog.Handler = (*fanout)(nil)

func (f *fanout) Enabled(ctx context.Context, level slog.Level) bool {
	return f.base.Enabled(ctx, level)
}

func (f *fanout) WithAttrs(attrs []slog.Attr) slog.Handler {
	s := scoped{attrs: convert(nil, f.keys(lineKeys), attrs), within: convert(nil, f.keys(requestKeys), attrs)}
	return f.with(f.base.WithAttrs(attrs), s)
}

// keys returns the set, or none within a group.
func (f *fanout) keys(k keySet) keySet {
	if f.base.prefix != "" {
		return nil
	}
	return k
}

func (f *fanout) WithGroup(name string) slog.Handler {
	if name == "" {
		return f
	}
	return f.with(f.base.WithGroup(name), scoped{group: name})
}

func (f *fanout) with(base slog.Handler, s scoped) slog.Handler {
	h, ok := base.(*Handler)
	if !ok {
		return base
	}
	return &fanout{base: h, to: f.to, t: f.t, pre: append(f.pre[:len(f.pre):len(f.pre)], s)}
}

func (f *fanout) Handle(ctx context.Context, r slog.Record) error { return f.handleWith(ctx, nil, r) }

func (f *fanout) handleWith(ctx context.Context, ids []slog.Attr, r slog.Record) error {
	err := f.base.handleWith(ctx, ids, r)
	c := carry(ctx)
	defer c.release()
	keys := lineKeys
	if c.within = len(ids) > 0 || trace.SpanContextFromContext(ctx).IsValid(); c.within {
		keys = requestKeys
	}
	keys = f.keys(keys)
	r.Attrs(func(a slog.Attr) bool {
		c.attrs = convertAttr(c.attrs, keys.rename(a))
		return true
	})
	f.emit(c, ids, r.Time, r.Level, r.Message)
	return err
}

// carried is the context of one Emit. The attributes travel in it, to be set
// all at once by logCounter: the SDK's logger would allocate for each. It ends
// with the call, and so can be reused.
type carried struct {
	context.Context
	span   RequestSpan          // of a request's line
	within bool                 // a request or a span
	attrs  []attribute.KeyValue // of the record
	all    []attribute.KeyValue // with those of the handler, in their groups
}

var carriers = sync.Pool{New: func() any { return &carried{attrs: make([]attribute.KeyValue, 0, 24)} }}

// maxCarried is the largest number of attributes whose room is kept.
const maxCarried = 64

func carry(ctx context.Context) *carried {
	c := carriers.Get().(*carried)
	c.Context = ctx
	return c
}

func (c *carried) release() {
	if cap(c.attrs) > maxCarried {
		return
	}
	clear(c.attrs)
	c.Context, c.span.t, c.attrs, c.all = nil, nil, c.attrs[:0], nil
	carriers.Put(c)
}

// Value answers for the span of a request's line.
func (c *carried) Value(key any) any {
	if v, ok := c.span.Value(key); ok {
		return v
	}
	return c.Context.Value(key)
}

// emit puts the attributes into their groups, innermost first, and hands the
// record on, with the ids outside of them.
func (f *fanout) emit(c *carried, ids []slog.Attr, at time.Time, level slog.Level, msg string) {
	c.all = c.attrs
	for _, s := range slices.Backward(f.pre) {
		switch {
		case s.group == "" && c.within:
			c.all = append(s.within[:len(s.within):len(s.within)], c.all...)
		case s.group == "":
			c.all = append(s.attrs[:len(s.attrs):len(s.attrs)], c.all...)
		case len(c.all) > 0:
			c.all = []attribute.KeyValue{attribute.Map(s.group, c.all...)}
		}
	}
	if len(ids) > 0 {
		c.all = append(convert(nil, nil, ids), c.all...)
	}
	var rec log.Record
	rec.SetTimestamp(at)
	rec.SetSeverity(severity(level))
	rec.SetSeverityText(level.String())
	rec.SetBody(attribute.StringValue(clip(msg, maxLogValue)))
	f.to.Emit(c, rec)
}

// severity maps slog's levels, four apart, to OpenTelemetry's.
func severity(level slog.Level) log.Severity {
	return min(max(log.Severity(level)+log.SeverityInfo, log.SeverityTrace), log.SeverityFatal4)
}

func convert(to []attribute.KeyValue, keys keySet, attrs []slog.Attr) []attribute.KeyValue {
	for _, a := range attrs {
		to = convertAttr(to, keys.rename(a))
	}
	return to
}

// convertAttr does what appendAttr does for a line.
func convertAttr(to []attribute.KeyValue, a slog.Attr) []attribute.KeyValue {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindGroup:
		if a.Key == "" {
			return convert(to, nil, v.Group())
		}
		if members := convert(nil, nil, v.Group()); len(members) > 0 {
			return append(to, attribute.Map(a.Key, members...))
		}
		return to
	case slog.KindBool:
		return append(to, attribute.Bool(a.Key, v.Bool()))
	case slog.KindInt64:
		return append(to, attribute.Int64(a.Key, v.Int64()))
	case slog.KindUint64:
		if n := v.Uint64(); n <= 1<<63-1 {
			return append(to, attribute.Int64(a.Key, int64(n)))
		}
		return append(to, attribute.String(a.Key, strconv.FormatUint(v.Uint64(), 10)))
	case slog.KindFloat64:
		return append(to, attribute.Float64(a.Key, v.Float64()))
	case slog.KindTime:
		return append(to, attribute.String(a.Key, v.Time().Format(time.RFC3339Nano)))
	case slog.KindAny:
		return convertAny(to, a.Key, v.Any())
	}
	return append(to, attribute.String(a.Key, v.String()))
}

func convertAny(to []attribute.KeyValue, key string, v any) []attribute.KeyValue {
	switch v := v.(type) {
	case nil:
		if key == "" {
			return to
		}
		return append(to, attribute.String(key, ""))
	case json.RawMessage:
		return append(to, attribute.String(key, string(v)))
	case []string:
		return append(to, attribute.StringSlice(key, v))
	}
	return append(to, attribute.String(key, printAny(v)))
}

// request sends the line of a request.
func (f *fanout) request(ctx context.Context, r *Request) error {
	if level := r.Level(); r.Forced || f.base.Enabled(ctx, level) {
		c := carry(ctx)
		defer c.release()
		c.within = true
		if r.Trace.IsValid() {
			c.span.t, c.span.sc = f.t, r.Trace
		}
		r.texts(func(key, value string) { c.attrs = append(c.attrs, attribute.String(key, value)) })
		c.attrs = append(c.attrs, attribute.Float64("duration_ms", milliseconds(r.Duration)))
		r.numbers(func(key string, n int64) { c.attrs = append(c.attrs, attribute.Int64(key, n)) })
		f.emit(c, nil, r.Time, level, Message)
	}
	return f.base.Request(r)
}
