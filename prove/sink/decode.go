package sink

import (
	"encoding/base64"
	"encoding/hex"
	"time"
	"unique"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// batch is what one request brought.
type batch struct {
	hexIDs   bool // as OTLP/JSON has them
	parts    []part
	texts    []Text
	rejected int
	why      string // the first rejected
}

// part is what one origin sent.
type part struct {
	key     string
	origin  *Origin
	spans   []*Span
	records []*Record
	points  []*Point
}

// reject counts what is not valid; its texts are kept.
func (b *batch) reject(why string, texts func(func(Text) bool) bool) {
	if b.rejected++; b.rejected == 1 {
		b.why = why
	}
	texts(b.note)
}

func (b *batch) note(t Text) bool {
	b.texts = append(b.texts, t)
	return true
}

// from begins a part.
func (b *batch) from(r *resourcepb.Resource, s *commonpb.InstrumentationScope, schemas ...string) *part {
	for _, url := range schemas {
		Text{Where: "schema"}.text(url, b.note)
	}
	for _, ref := range r.GetEntityRefs() {
		for _, text := range append(append([]string{ref.GetType(), ref.GetSchemaUrl()}, ref.GetIdKeys()...), ref.GetDescriptionKeys()...) {
			Text{Where: "resource entity"}.text(text, b.note)
		}
	}
	o := &Origin{
		Resource: attributes(r.GetAttributes()),
		Scope:    s.GetName(), Version: s.GetVersion(), ScopeAttributes: attributes(s.GetAttributes()),
	}
	o.size = 256 + len(o.Scope) + len(o.Version) + sizeOf(o.Resource) + sizeOf(o.ScopeAttributes)
	// What was decoded encodes again. The length keeps the two apart.
	resource, _ := proto.MarshalOptions{Deterministic: true}.Marshal(r)
	scope, _ := proto.MarshalOptions{Deterministic: true}.Marshal(s)
	key := string(appendLength(nil, len(resource))) + string(resource) + string(scope)
	b.parts = append(b.parts, part{key: key, origin: o})
	return &b.parts[len(b.parts)-1]
}

// id returns an id of n bytes in hex; empty where it is absent or all zero, and
// false where it is none.
func (b *batch) id(id []byte, n int) (string, bool) {
	if b.hexIDs {
		// The decoder took the hex digits, which OTLP/JSON has, for the base64 which
		// JSON otherwise has for bytes. Digits in fours encode back to what they were.
		digits := base64.StdEncoding.EncodeToString(id)
		var err error
		if id, err = hex.DecodeString(digits); err != nil {
			return "", false
		}
	}
	for _, c := range id {
		if c != 0 && len(id) == n {
			return hex.EncodeToString(id), true
		}
	}
	return "", len(id) == n || len(id) == 0
}

// ids returns the ids of a trace and a span, empty where they are not valid.
func (b *batch) ids(trace, span []byte) (traceID, spanID string) {
	traceID, _ = b.id(trace, 16)
	spanID, _ = b.id(span, 8)
	return traceID, spanID
}

func moment(nanos uint64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(int64(nanos/1e9), int64(nanos%1e9)).UTC()
}

// same returns the text, held once however often it came.
func same(text string) string { return unique.Make(text).Value() }

func attributes(list []*commonpb.KeyValue) Attributes {
	if len(list) == 0 {
		return nil
	}
	a := make(Attributes, len(list))
	for i, kv := range list {
		a[i] = Attribute{Key: same(kv.GetKey()), Value: value(kv.GetValue())}
	}
	return a
}

// value returns what Attribute.Value promises. Indexes into tables of strings,
// which only profiles have, count as empty.
func value(v *commonpb.AnyValue) any {
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return v.StringValue
	case *commonpb.AnyValue_BoolValue:
		return v.BoolValue
	case *commonpb.AnyValue_IntValue:
		return v.IntValue
	case *commonpb.AnyValue_DoubleValue:
		return v.DoubleValue
	case *commonpb.AnyValue_BytesValue:
		return v.BytesValue
	case *commonpb.AnyValue_ArrayValue:
		list := make([]any, len(v.ArrayValue.GetValues()))
		for i, member := range v.ArrayValue.GetValues() {
			list[i] = value(member)
		}
		return list
	case *commonpb.AnyValue_KvlistValue:
		return attributes(v.KvlistValue.GetValues())
	}
	return nil
}

// sizeOf estimates what a value takes beyond its own two words, in bytes.
func sizeOf(value any) int {
	switch v := value.(type) {
	case string:
		return 16 + len(v)
	case []byte:
		return 24 + len(v)
	case int64, float64:
		return 8
	case []any:
		n := 24
		for _, member := range v {
			n += 16 + sizeOf(member)
		}
		return n
	case Attributes:
		n := 24
		for i := range v {
			n += 32 + len(v[i].Key) + sizeOf(v[i].Value)
		}
		return n
	}
	return 0
}

func (b *batch) traces(r *coltrace.ExportTraceServiceRequest) {
	for _, rs := range r.GetResourceSpans() {
		for _, ss := range rs.GetScopeSpans() {
			p := b.from(rs.GetResource(), ss.GetScope(), rs.GetSchemaUrl(), ss.GetSchemaUrl())
			for _, v := range ss.GetSpans() {
				span := b.span(v)
				parent, valid := b.id(v.GetParentSpanId(), 8)
				span.Parent, span.Origin = parent, p.origin
				switch {
				case span.TraceID == "":
					b.reject("a span has no valid trace id", span.text)
				case span.SpanID == "":
					b.reject("a span has no valid id", span.text)
				case !valid:
					b.reject("the parent of a span has no valid id", span.text)
				default:
					p.spans = append(p.spans, span)
				}
			}
		}
	}
}

var (
	kinds    = [...]Kind{"", Internal, Server, Client, Producer, Consumer}
	statuses = [...]Status{"", OK, Failed}
)

// named returns the name that a number has, empty where it has none.
func named[T ~string](names []T, n int32) T {
	if n < 0 || int(n) >= len(names) {
		return ""
	}
	return names[n]
}

func (b *batch) span(v *tracepb.Span) *Span {
	s := &Span{
		Name: same(v.GetName()), Kind: named(kinds[:], int32(v.GetKind())),
		Status: named(statuses[:], int32(v.GetStatus().GetCode())), Message: v.GetStatus().GetMessage(),
		Flags: v.GetFlags(), TraceState: v.GetTraceState(),
		Start: moment(v.GetStartTimeUnixNano()), End: moment(v.GetEndTimeUnixNano()),
		Attributes: attributes(v.GetAttributes()),
	}
	s.TraceID, s.SpanID = b.ids(v.GetTraceId(), v.GetSpanId())
	s.size = 512 + len(s.Name) + len(s.Message) + len(s.TraceState) + sizeOf(s.Attributes)
	for _, e := range v.GetEvents() {
		event := Event{Time: moment(e.GetTimeUnixNano()), Name: same(e.GetName()), Attributes: attributes(e.GetAttributes())}
		s.Events = append(s.Events, event)
		s.size += 96 + len(event.Name) + sizeOf(event.Attributes)
	}
	for _, l := range v.GetLinks() {
		link := Link{TraceState: l.GetTraceState(), Attributes: attributes(l.GetAttributes())}
		link.TraceID, link.SpanID = b.ids(l.GetTraceId(), l.GetSpanId())
		s.Links = append(s.Links, link)
		s.size += 160 + len(link.TraceState) + sizeOf(link.Attributes)
	}
	return s
}

func (b *batch) logs(r *collogs.ExportLogsServiceRequest) {
	for _, rl := range r.GetResourceLogs() {
		for _, sl := range rl.GetScopeLogs() {
			p := b.from(rl.GetResource(), sl.GetScope(), rl.GetSchemaUrl(), sl.GetSchemaUrl())
			for _, v := range sl.GetLogRecords() {
				record := b.record(v)
				record.Origin = p.origin
				p.records = append(p.records, record)
			}
		}
	}
}

// record decodes a log record; ids that are not valid count as absent, as OTLP
// has it.
func (b *batch) record(v *logspb.LogRecord) *Record {
	r := &Record{
		Time: moment(v.GetTimeUnixNano()), Severity: int(v.GetSeverityNumber()), SeverityText: same(v.GetSeverityText()),
		Body: value(v.GetBody()), Event: same(v.GetEventName()), Attributes: attributes(v.GetAttributes()),
	}
	r.TraceID, r.SpanID = b.ids(v.GetTraceId(), v.GetSpanId())
	if r.Time.IsZero() {
		r.Time = moment(v.GetObservedTimeUnixNano())
	}
	r.size = 320 + len(r.SeverityText) + len(r.Event) + sizeOf(r.Body) + sizeOf(r.Attributes)
	return r
}
