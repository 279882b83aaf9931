package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"time"
)

// Direction tells a request from a result.
type Direction string

// The directions of a payload.
const (
	RequestPayload Direction = "request"
	ResultPayload  Direction = "result"
)

// maxPayload bounds what a line shows of a payload, in bytes of JSON.
const maxPayload = 8 << 10

// PayloadLine writes a payload under the lease that allows it, at this moment,
// for the request that ctx belongs to. Without such a lease it does nothing.
// The line is written whatever the log's level. It names the lease, and the
// request whether or not the handler does.
//
// The value prints itself, by its LogValue or Format method: the generated
// ones mask what the design calls sensitive. What is longer than 8 KiB is cut,
// and payload.size says how long it was. A value that cannot be printed makes
// a line that says so, never a panic. The value is only read; nobody may change
// it meanwhile.
func PayloadLine(ctx context.Context, to slog.Handler, direction Direction, v any) error {
	s := ScopeOf(ctx)
	if s == nil {
		return nil
	}
	b := s.bound.Load()
	if b == nil {
		return nil
	}
	id := ""
	if !b.any(func(l *Lease) bool { id = l.ID; return l.Kind == Payloads }) {
		return nil
	}
	r := slog.NewRecord(time.Now(), slog.LevelInfo, "payload", 0)
	r.AddAttrs(slog.String("direction", string(direction)), slog.String("lease.id", id))
	if b.caller.Subject != "" {
		r.AddAttrs(slog.String("enduser.id", b.caller.Subject))
	}
	r.AddAttrs(payloadAttrs(v, b.leases.cfg.Describe)...)
	return NewContextHandler(to).Handle(ctx, r)
}

// payloadAttrs returns the payload as data where it is short enough, as the
// beginning of its JSON text otherwise.
func payloadAttrs(v any, describe func(any) slog.Value) (attrs []slog.Attr) {
	defer func() {
		if p := recover(); p != nil {
			attrs = []slog.Attr{slog.String("payload", fmt.Sprintf("(cannot be printed: %T panicked)", v))}
		}
	}()
	if r := reflect.ValueOf(v); !r.IsValid() || r.Kind() == reflect.Pointer && r.IsNil() {
		return []slog.Attr{slog.Any("payload", nil)}
	}
	value := slog.AnyValue(v)
	if _, own := v.(slog.LogValuer); !own && describe != nil && value.Kind() == slog.KindAny {
		value = describe(v)
	}
	value = value.Resolve()
	text := appendMember(nil, value)
	switch {
	case len(text) > maxPayload:
		return []slog.Attr{slog.String("payload", truncate(string(text), maxPayload)), slog.Int("payload.size", len(text))}
	case string(text) == "{}": // handlers leave out a group without members
		return []slog.Attr{slog.String("payload", "{}")}
	}
	return []slog.Attr{{Key: "payload", Value: value}}
}

// appendMember writes a value, a group as an object.
func appendMember(b []byte, v slog.Value) []byte {
	if v.Kind() != slog.KindGroup {
		return appendValue(b, v)
	}
	b = append(b, '{')
	for _, a := range v.Group() {
		b = appendAttr(b, a)
	}
	return append(b, '}')
}
