package api

import (
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/console/gen/console"
	"github.com/aguada-dev/aguada/console/store"
	"github.com/aguada-dev/aguada/console/traces"
)

// stamp writes a time in the API's form.
func stamp(ns int64) string {
	return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000000000Z07:00")
}

// attributes converts attributes; of several of a name, the last one counts.
func attributes(all []store.Attr) map[string]any {
	if len(all) == 0 {
		return nil
	}
	m := make(map[string]any, len(all))
	for _, a := range all {
		m[valid(a.Key)] = plain(a.Value)
	}
	return m
}

// plain converts a value. Numbers that JSON lacks become texts, and integers
// that a page's numbers cannot hold too.
func plain(v store.Value) any {
	switch v.Kind {
	case store.Bool:
		return v.Num == 1
	case store.Int:
		if n := int64(v.Num); n > 1<<53 || n < -1<<53 {
			return strconv.FormatInt(n, 10)
		}
		return int64(v.Num)
	case store.Double:
		f := math.Float64frombits(v.Num)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return strconv.FormatFloat(f, 'g', -1, 64)
		}
		return f
	case store.JSON:
		if json.Valid(v.Bytes) {
			return json.RawMessage(v.Bytes)
		}
		return valid(v.Bytes)
	case store.Null:
		return nil
	}
	return v.Text()
}

// valid returns text that is valid UTF-8.
func valid(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }

func spanID(id store.SpanID) string { return hex.EncodeToString(id[:]) }

func optionalSpan(id store.SpanID) *string {
	if id == (store.SpanID{}) {
		return nil
	}
	return optional(spanID(id))
}

func optionalTrace(id store.TraceID) *string {
	if id == (store.TraceID{}) {
		return nil
	}
	return optional(hex.EncodeToString(id[:]))
}

var statuses = [...]string{"unset", "ok", "error"}

// span converts a span of a trace that began at start.
func span(r store.Ref, v *store.Span, start int64) *console.Span {
	from := r.Source()
	out := &console.Span{
		TraceID: hex.EncodeToString(v.Trace[:]), SpanID: spanID(v.ID), ParentID: optionalSpan(v.Parent),
		Service: r.Service(), Scope: optional(valid(from.Scope)), Name: valid(v.Name), Kind: kindOf(v.Kind),
		Start: stamp(v.Start), OffsetNs: v.Start - start, DurationNs: v.End - v.Start,
		Status: statuses[min(int(v.Status), len(statuses)-1)], StatusMessage: optional(valid(v.Message)),
		Attributes: attributes(v.Attrs), Resource: attributes(from.Resource),
	}
	for i := range v.Events {
		e := &v.Events[i]
		out.Events = append(out.Events, &console.Event{Name: valid(e.Name), OffsetNs: e.Time - start, Attributes: attributes(e.Attrs)})
	}
	for i := range v.Links {
		l := &v.Links[i]
		out.Links = append(out.Links, &console.Link{TraceID: hex.EncodeToString(l.Trace[:]), SpanID: spanID(l.Span), Attributes: attributes(l.Attrs)})
	}
	if v.Dropped > 0 {
		n := int(v.Dropped)
		out.Dropped = &n
	}
	return out
}

// levelOf names a severity.
func levelOf(severity uint8, name []byte) string {
	switch {
	case severity >= 21:
		return "fatal"
	case severity >= 17:
		return "error"
	case severity >= 13:
		return "warn"
	case severity >= 9:
		return "info"
	case severity >= 5:
		return "debug"
	case severity >= 1:
		return "trace"
	case len(name) > 0:
		return strings.ToLower(valid(name))
	}
	return "info"
}

func record(r store.Ref) *console.LogRecord {
	v := r.Log()
	from := r.Source()
	return &console.LogRecord{
		Seq: int64(r.Seq()), Time: stamp(v.Time), Level: levelOf(v.Severity, v.Level), Severity: int(v.Severity),
		Service: r.Service(), Scope: optional(valid(from.Scope)), Event: optional(valid(v.Event)), Body: plain(v.Body),
		Attributes: attributes(v.Attrs), TraceID: optionalTrace(v.Trace), SpanID: optionalSpan(v.Span),
	}
}

// summary describes a trace in a list.
func summary(t *traces.Trace, id store.TraceID, matched int) *console.TraceSummary {
	root := t.Root()
	out := &console.TraceSummary{
		ID: hex.EncodeToString(id[:]), Name: valid(root.Name), Service: root.Ref.Service(), Start: stamp(t.Start),
		DurationNs: t.Duration(), Spans: len(t.Spans), Matched: matched, Partial: t.Partial(),
	}
	for _, key := range []string{"http.response.status_code", "rpc.response.status_code", "rpc.grpc.status_code"} {
		if v, ok := root.Ref.Attr(key); ok {
			out.Status = optional(v.Text())
			break
		}
	}
	seen := make(map[string]bool)
	for i := range t.Spans {
		s := &t.Spans[i]
		if s.Ref.Failed() {
			out.Errors++
		}
		if name := s.Ref.Service(); !seen[name] {
			seen[name] = true
			out.Services = append(out.Services, name)
		}
	}
	return out
}
