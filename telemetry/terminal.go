package telemetry

import (
	"log/slog"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"go.opentelemetry.io/otel/trace"
)

// Colours of a level and of keys.
const (
	reset  = "\x1b[0m"
	faint  = "\x1b[2m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	green  = "\x1b[32m"
	blue   = "\x1b[34m"
)

// messageWidth is where attributes begin, so that lines align.
const messageWidth = 28

func (h *Handler) appendTextHead(b []byte, t time.Time, level slog.Level, msg string) []byte {
	if !t.IsZero() {
		b = h.paint(b, faint)
		b = t.AppendFormat(b, "15:04:05.000")
		b = h.paint(b, reset)
		b = append(b, ' ')
	}
	b = h.paint(b, levelColor(level))
	name := level.String()
	b = append(b, name...)
	b = h.paint(b, reset)
	b = appendSpaces(b, 5-len(name)+1)
	mark := len(b)
	b = appendPlain(b, msg)
	return appendSpaces(b, messageWidth-utf8.RuneCount(b[mark:]))
}

// appendTextAttr writes " key=value", groups as dotted keys.
func (h *Handler) appendTextAttr(b []byte, prefix string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, member := range v.Group() {
			b = h.appendTextAttr(b, prefix, member)
		}
		return b
	}
	if a.Key == "" && v.Kind() == slog.KindAny && v.Any() == nil {
		return b
	}
	b = h.appendTextKey(b, prefix, a.Key)
	switch v.Kind() {
	case slog.KindAny:
		return appendQuoted(b, printAny(v.Any()))
	case slog.KindTime:
		return v.Time().AppendFormat(b, time.RFC3339Nano)
	default:
		return appendQuoted(b, v.String())
	}
}

// appendTextTrace writes the trace of a line where there is one to look at.
func (h *Handler) appendTextTrace(b []byte, sc trace.SpanContext, traced bool) []byte {
	if !traced {
		return b
	}
	id := sc.TraceID()
	return appendHex(h.appendTextKey(b, "", "trace_id"), id[:])
}

func (h *Handler) appendTextKey(b []byte, prefix, key string) []byte {
	b = append(b, ' ')
	b = h.paint(b, faint)
	b = appendPlain(b, prefix)
	b = appendPlain(b, key)
	b = append(b, '=')
	return h.paint(b, reset)
}

func (h *Handler) paint(b []byte, code string) []byte {
	if h.color {
		b = append(b, code...)
	}
	return b
}

func levelColor(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return red
	case level >= slog.LevelWarn:
		return yellow
	case level >= slog.LevelInfo:
		return green
	default:
		return blue
	}
}

func appendSpaces(b []byte, n int) []byte {
	for range n {
		b = append(b, ' ')
	}
	return b
}

// appendPlain writes s with everything escaped that a terminal would obey.
func appendPlain(b []byte, s string) []byte {
	for _, r := range s {
		if unicode.IsPrint(r) {
			b = utf8.AppendRune(b, r)
			continue
		}
		q := strconv.AppendQuoteRune(nil, r)
		b = append(b, q[1:len(q)-1]...)
	}
	return b
}

// appendQuoted writes a value, in quotes where its end would be unclear.
func appendQuoted(b []byte, s string) []byte {
	if s == "" {
		return append(b, '"', '"')
	}
	for _, r := range s {
		if r == ' ' || r == '"' || r == '=' || r == utf8.RuneError || !unicode.IsPrint(r) {
			return strconv.AppendQuote(b, s)
		}
	}
	return append(b, s...)
}
