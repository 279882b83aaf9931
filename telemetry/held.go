package telemetry

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"time"
	"unicode/utf8"
)

// Limits bounds the lines that one request holds back.
type Limits struct {
	// Lines is the largest number of lines; 0 means 128.
	Lines int
	// Bytes is the memory that they may take, in bytes; 0 means 32 KiB. A
	// line's own overhead is counted in.
	Bytes int
}

// The limits of the zero value.
const (
	defaultHeldLines = 128
	defaultHeldBytes = 32 << 10
)

// What a line and an attribute cost besides their texts, in bytes.
const (
	heldLineSize = 112
	heldAttrSize = 40
)

// heldLines are the lines of one request that are shown only if it fails. The
// newest are kept: they are the ones before the failure.
type heldLines struct {
	ring    []heldLine
	first   int // the oldest
	n       int
	bytes   int
	dropped int
	last    heldLine // the last one that was dropped, without its attributes
}

// heldLine is a line with the context that it was written under, which says
// its ids to the handler.
type heldLine struct {
	ctx   context.Context
	to    slog.Handler
	time  time.Time
	level slog.Level
	msg   string
	attrs []slog.Attr
	size  int
}

// Hold keeps the line until Show or Flush writes it to the handler, or writes
// it at once if the request is shown already. When a limit is reached the
// oldest lines go, and Show says how many went. The attributes belong to the
// Scope from here on and must not change: [Snapshot] makes such values.
func (s *Scope) Hold(ctx context.Context, to slog.Handler, limits Limits, t time.Time, level slog.Level, msg string, attrs []slog.Attr) {
	line := heldLine{ctx: ctx, to: to, time: t, level: level, msg: msg, attrs: attrs}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shown {
		line.write()
		return
	}
	if s.held == nil {
		s.held = &heldLines{}
	}
	s.held.add(line, limits)
}

// Show writes the lines that are held, oldest first, and holds no line any
// more. It is called when the request fails, before its own line is written.
// Without a held line it costs a lock. A request that does not fail needs no
// call: its lines go when it goes, and an error that a goroutine logs after it
// still shows them.
func (s *Scope) Show() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shown = true
	s.flush()
}

// Flush writes the lines that are held, and goes on holding those to come.
func (s *Scope) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flush()
}

func (s *Scope) flush() {
	h := s.held
	if h == nil {
		return
	}
	s.held = nil
	if h.dropped > 0 {
		notice := h.last
		notice.level, notice.msg = slog.LevelWarn, "held lines dropped"
		notice.attrs = []slog.Attr{slog.Int("log.dropped", h.dropped)}
		notice.write()
	}
	for i := range h.n {
		h.at(i).write()
	}
}

func (l *heldLine) write() {
	r := slog.NewRecord(l.time, l.level, l.msg, 0)
	r.AddAttrs(l.attrs...)
	_ = l.to.Handle(l.ctx, r)
}

func (h *heldLines) add(line heldLine, limits Limits) {
	maxLines, maxBytes := limits.Lines, limits.Bytes
	if maxLines <= 0 {
		maxLines = defaultHeldLines
	}
	if maxBytes <= 0 {
		maxBytes = defaultHeldBytes
	}
	line.size = heldLineSize + len(line.msg) + attrsSize(line.attrs)
	if line.size > maxBytes {
		h.drop(&line)
		return
	}
	for h.n > 0 && (h.bytes+line.size > maxBytes || h.n >= maxLines) {
		oldest := h.at(0)
		h.bytes -= oldest.size
		h.drop(oldest)
		*oldest = heldLine{}
		h.first = (h.first + 1) % len(h.ring)
		h.n--
	}
	if h.n == len(h.ring) {
		h.grow(maxLines)
	}
	h.n++
	*h.at(h.n - 1) = line
	h.bytes += line.size
}

// at returns the place of the line that i others are older than.
func (h *heldLines) at(i int) *heldLine { return &h.ring[(h.first+i)%len(h.ring)] }

func (h *heldLines) grow(maxLines int) {
	ring := make([]heldLine, min(max(8, 2*len(h.ring)), maxLines))
	for i := range h.n {
		ring[i] = *h.at(i)
	}
	h.ring, h.first = ring, 0
}

func (h *heldLines) drop(l *heldLine) {
	h.dropped++
	h.last = heldLine{ctx: l.ctx, to: l.to, time: l.time}
}

func attrsSize(attrs []slog.Attr) int {
	n := 0
	for _, a := range attrs {
		n += heldAttrSize + len(a.Key)
		switch a.Value.Kind() {
		case slog.KindString:
			n += len(a.Value.String())
		case slog.KindGroup:
			n += attrsSize(a.Value.Group())
		case slog.KindAny:
			switch v := a.Value.Any().(type) {
			case []string:
				for _, s := range v {
					n += 16 + len(s)
				}
			case json.RawMessage:
				n += 24 + len(v)
			}
		}
	}
	return n
}

// maxNesting bounds how deep groups are looked into.
const maxNesting = 32

// Truncated follows a text that was cut.
const Truncated = " ... (truncated)"

// Snapshot returns the value as data that no longer changes and that is safe
// to print: LogValue methods are asked, anything that is not plain data is
// printed as the handlers print it, and texts longer than limit bytes are cut
// and end in [Truncated].
func Snapshot(v slog.Value, limit int) slog.Value { return snapshot(v, limit, 0) }

func snapshot(v slog.Value, limit, depth int) slog.Value {
	v = v.Resolve()
	switch v.Kind() {
	case slog.KindString:
		return slog.StringValue(truncate(v.String(), limit))
	case slog.KindGroup:
		if depth == maxNesting {
			return slog.StringValue("...")
		}
		attrs := slices.Clone(v.Group())
		for i := range attrs {
			attrs[i].Value = snapshot(attrs[i].Value, limit, depth+1)
		}
		return slog.GroupValue(attrs...)
	case slog.KindAny:
	default:
		return v
	}
	switch a := v.Any().(type) {
	case nil:
		return v
	case []string:
		if stringsSize(a) <= limit {
			return slog.AnyValue(slices.Clone(a))
		}
	case json.RawMessage:
		if len(a) <= limit {
			return slog.AnyValue(slices.Clone(a))
		}
		return slog.StringValue(truncate(string(a), limit))
	}
	return slog.StringValue(truncate(printAny(v.Any()), limit))
}

func stringsSize(list []string) int {
	n := 0
	for _, s := range list {
		n += len(s)
	}
	return n
}

// truncate cuts between characters.
func truncate(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + Truncated
}
