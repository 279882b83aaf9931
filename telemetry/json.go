package telemetry

import (
	"encoding"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/trace"
)

// appendHead starts a JSON line: the keys that every line has.
func appendHead(b []byte, t time.Time, level slog.Level, msg string) []byte {
	b = append(b, '{')
	if !t.IsZero() {
		b = append(b, `"time":"`...)
		b = appendTime(b, t)
		b = append(b, `",`...)
	}
	b = append(b, `"level":"`...)
	b = append(b, level.String()...)
	b = append(b, `","msg":`...)
	return appendString(b, msg)
}

// second is the text of one second, which many lines have in common.
type second struct {
	unix int64
	text string
}

var lastSecond atomic.Pointer[second]

// appendTime writes the time in UTC to the microsecond (RFC 3339), always as
// long, so that lines sort.
func appendTime(b []byte, t time.Time) []byte {
	unix := t.Unix()
	s := lastSecond.Load()
	if s == nil || s.unix != unix {
		s = &second{unix, t.UTC().Format("2006-01-02T15:04:05.")}
		lastSecond.Store(s)
	}
	b = append(b, s.text...)
	us := t.Nanosecond() / 1000
	return append(b, byte('0'+us/100_000), byte('0'+us/10_000%10), byte('0'+us/1000%10),
		byte('0'+us/100%10), byte('0'+us/10%10), byte('0'+us%10), 'Z')
}

// appendTrace writes the ids of the span that the line belongs to.
func appendTrace(b []byte, sc trace.SpanContext) []byte {
	if !sc.IsValid() {
		return b
	}
	id, span := sc.TraceID(), sc.SpanID()
	b = appendHex(append(b, `,"trace_id":"`...), id[:])
	b = appendHex(append(b, `","span_id":"`...), span[:])
	return append(b, '"')
}

func appendGroups(b []byte, names []string) []byte {
	for _, name := range names {
		b = appendKey(b, name)
		b = append(b, '{')
	}
	return b
}

func closeGroups(b []byte, n int) []byte {
	for range n {
		b = append(b, '}')
	}
	return b
}

// appendKey writes the key, after a comma unless it is the first of its group.
func appendKey(b []byte, key string) []byte {
	if n := len(b); n == 0 || b[n-1] != '{' {
		b = append(b, ',')
	}
	b = appendString(b, key)
	return append(b, ':')
}

// appendAttr writes the attribute as a member; an empty attribute and an empty
// group are nothing, a group without a name is its members.
func appendAttr(b []byte, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if a.Key == "" && v.Kind() == slog.KindAny && v.Any() == nil {
		return b
	}
	if v.Kind() != slog.KindGroup {
		return appendValue(appendKey(b, a.Key), v)
	}
	if a.Key == "" {
		for _, member := range v.Group() {
			b = appendAttr(b, member)
		}
		return b
	}
	mark := len(b)
	b = append(appendKey(b, a.Key), '{')
	before := len(b)
	for _, member := range v.Group() {
		b = appendAttr(b, member)
	}
	if len(b) == before {
		return b[:mark]
	}
	return append(b, '}')
}

// appendValue writes a resolved value that is not a group.
func appendValue(b []byte, v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindString:
		return appendString(b, v.String())
	case slog.KindInt64:
		return strconv.AppendInt(b, v.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(b, v.Uint64(), 10)
	case slog.KindFloat64:
		return appendFloat(b, v.Float64())
	case slog.KindBool:
		return strconv.AppendBool(b, v.Bool())
	case slog.KindDuration:
		return appendString(b, v.Duration().String())
	case slog.KindTime:
		b = append(b, '"')
		b = v.Time().AppendFormat(b, time.RFC3339Nano)
		return append(b, '"')
	default:
		return appendAny(b, v.Any())
	}
}

func appendAny(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case json.RawMessage:
		if json.Valid(v) {
			return appendCompact(b, v)
		}
		return appendString(b, string(v))
	case []string:
		b = append(b, '[')
		for i, s := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, s)
		}
		return append(b, ']')
	default:
		return appendString(b, printAny(v))
	}
}

// printAny prints a value as fmt does, which masks what masks itself and
// survives methods that panic.
func printAny(v any) string {
	switch m := v.(type) {
	case fmt.Formatter, error, fmt.Stringer:
	case encoding.TextMarshaler:
		if text, ok := marshalText(m); ok {
			return text
		}
	}
	return fmt.Sprintf("%+v", v)
}

func marshalText(m encoding.TextMarshaler) (text string, ok bool) {
	defer func() {
		if recover() != nil {
			text, ok = "", false
		}
	}()
	b, err := m.MarshalText()
	return string(b), err == nil
}

// appendCompact drops line ends, since a line is one line.
func appendCompact(b []byte, raw []byte) []byte {
	for _, c := range raw {
		if c != '\n' && c != '\r' {
			b = append(b, c)
		}
	}
	return b
}

// appendFloat writes a number, or as text what JSON has no number for.
func appendFloat(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		b = append(b, '"')
		b = strconv.AppendFloat(b, f, 'g', -1, 64)
		return append(b, '"')
	}
	return strconv.AppendFloat(b, f, 'g', -1, 64)
}

const hex = "0123456789abcdef"

// isPlain holds the bytes that stand for themselves in a JSON string.
var isPlain = func() (plain [256]bool) {
	for c := ' '; c < 0x7f; c++ {
		plain[c] = c != '"' && c != '\\'
	}
	return plain
}()

// appendString writes s as a JSON string. Control characters are escaped,
// invalid UTF-8 becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	plain := 0
	for plain < len(s) && isPlain[s[plain]] {
		plain++
	}
	if plain == len(s) {
		b = append(b, s...)
		return append(b, '"')
	}
	start := 0
	for i := plain; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf && c != 0x7f {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if (r != utf8.RuneError || size > 1) && r >= 0xa0 && r != '\u2028' && r != '\u2029' {
				i += size
				continue
			}
			b = append(b, s[start:i]...)
			b = appendUnicode(b, r)
			i += size
			start = i
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = appendUnicode(b, rune(c))
		}
		i++
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

func appendUnicode(b []byte, r rune) []byte {
	return append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
