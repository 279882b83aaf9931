package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/term"
)

// Format is the form of a log.
type Format string

// The forms of a log. The zero value means Auto.
const (
	// Auto is Terminal when the writer is a terminal, JSON otherwise.
	Auto     Format = "auto"
	JSON     Format = "json"
	Terminal Format = "terminal"
)

// Handler is a slog.Handler with one schema: time, level, msg, then the
// record's attributes. It is safe for concurrent use. Handlers derived from it
// share its writer and its lock.
//
// What the line says itself it says once: an attribute outside of groups whose
// key is one of the line's own gets the prefix "attr.". These are time, level
// and msg, and within a request or a span also trace_id, span_id, request_id,
// service and method. Of other keys that a caller gives twice both are written,
// as the handlers of slog do.
//
// What cannot be written is counted (aguada.log.write.errors, see
// [Telemetry.Handler]), and the first time also said on standard error.
type Handler struct {
	out   *output
	level slog.Leveler
	text  bool
	color bool

	pre     []byte   // attributes and groups of WithAttrs, encoded
	within  []byte   // the same for lines of a request or a span
	open    int      // groups that pre leaves open (JSON)
	prefix  string   // keys of all groups, each with a dot (text)
	pending []string // groups that no attribute has opened yet (JSON)
}

var _ slog.Handler = (*Handler)(nil)

// output serialises writers: a line is one Write.
type output struct {
	mu     sync.Mutex
	w      io.Writer
	failed atomic.Int64
	told   io.Writer // hears of the first line that cannot be written
	once   sync.Once
}

// fail counts a line that was not written.
func (o *output) fail(err error) {
	o.failed.Add(1)
	o.once.Do(func() { _, _ = fmt.Fprintf(o.told, "log lines cannot be written and are lost: %v\n", err) })
}

// line is a scratch buffer. Nothing in it outlives the Write.
type line struct{ b []byte }

// maxLine is the largest buffer that is kept for reuse.
const maxLine = 64 << 10

var lines = sync.Pool{New: func() any { return &line{b: make([]byte, 0, 1024)} }}

// NewHandler returns a handler that writes to w what is at least as severe as
// level; a nil level means slog.LevelInfo. Colours are used only in text on a
// terminal, unless NO_COLOR is set (https://no-color.org) or TERM is dumb. An
// unknown format is JSON.
func NewHandler(w io.Writer, format Format, level slog.Leveler) *Handler {
	if level == nil {
		level = slog.LevelInfo
	}
	tty := isTerminal(w)
	h := &Handler{out: &output{w: w, told: os.Stderr}, level: level}
	h.text = format == Terminal || tty && (format == Auto || format == "")
	h.color = h.text && tty && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return h
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Enabled reports whether the handler writes records of the level.
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level.Level() }

// Handle writes the record as one line, with the ids of the context's span. Its
// error is the writer's.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error { return h.handleWith(ctx, nil, r) }

// handleWith writes the record with what a request says of itself before all
// attributes and outside of any group.
func (h *Handler) handleWith(ctx context.Context, ids []slog.Attr, r slog.Record) error {
	l := h.begin()
	span := trace.SpanFromContext(ctx)
	sc := span.SpanContext()
	pre, keys := h.pre, lineKeys
	if len(ids) > 0 || sc.IsValid() {
		pre, keys = h.within, requestKeys
	}
	if h.text {
		l.b = h.appendTextRecord(l.b, ids, pre, keys, r)
		l.b = h.appendTextTrace(l.b, sc, span.IsRecording())
		l.b = append(l.b, '\n')
		return h.finish(l)
	}
	b := appendHead(l.b, r.Time, r.Level, r.Message)
	b = appendTrace(b, sc)
	for _, a := range ids {
		b = appendAttr(b, a)
	}
	b = append(b, pre...)
	if h.prefix != "" {
		keys = nil
	}
	open := h.open
	mark := len(b)
	b = appendGroups(b, h.pending)
	before := len(b)
	r.Attrs(func(a slog.Attr) bool {
		b = appendAttr(b, keys.rename(a))
		return true
	})
	if len(b) == before {
		b = b[:mark] // no attribute: the pending groups stay unwritten
	} else {
		open += len(h.pending)
	}
	b = closeGroups(b, open)
	l.b = append(b, '}', '\n')
	return h.finish(l)
}

func (h *Handler) appendTextRecord(b []byte, ids []slog.Attr, pre []byte, keys keySet, r slog.Record) []byte {
	b = h.appendTextHead(b, r.Time, r.Level, r.Message)
	for _, a := range ids {
		b = h.appendTextAttr(b, "", a)
	}
	b = append(b, pre...)
	if h.prefix != "" {
		keys = nil
	}
	r.Attrs(func(a slog.Attr) bool {
		b = h.appendTextAttr(b, h.prefix, keys.rename(a))
		return true
	})
	return b
}

// WithAttrs returns a handler that adds the attributes to every line.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	d := h.derive()
	always, within := lineKeys, requestKeys
	if h.prefix != "" {
		always, within = nil, nil
	}
	if h.text {
		for _, a := range attrs {
			d.pre = h.appendTextAttr(d.pre, h.prefix, always.rename(a))
			d.within = h.appendTextAttr(d.within, h.prefix, within.rename(a))
		}
		return d
	}
	b, in := appendGroups(d.pre, h.pending), appendGroups(d.within, h.pending)
	before := len(b)
	for _, a := range attrs {
		b, in = appendAttr(b, always.rename(a)), appendAttr(in, within.rename(a))
	}
	if len(b) == before {
		return h
	}
	d.pre, d.within, d.open, d.pending = b, in, h.open+len(h.pending), nil
	return d
}

// WithGroup returns a handler that puts what follows into a group: an object
// in JSON, a dotted key in text. A group without attributes is not written.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	d := h.derive()
	d.prefix += name + "."
	d.pending = append(d.pending[:len(d.pending):len(d.pending)], name)
	return d
}

func (h *Handler) derive() *Handler {
	d := *h
	d.pre = h.pre[:len(h.pre):len(h.pre)]
	d.within = h.within[:len(h.within):len(h.within)]
	return &d
}

func (h *Handler) begin() *line {
	l := lines.Get().(*line)
	l.b = l.b[:0]
	return l
}

func (h *Handler) finish(l *line) error {
	h.out.mu.Lock()
	_, err := h.out.w.Write(l.b)
	h.out.mu.Unlock()
	if err != nil {
		h.out.fail(err)
	}
	if cap(l.b) <= maxLine {
		lines.Put(l)
	}
	return err
}
