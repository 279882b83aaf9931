package telemetry

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

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
type Handler struct {
	out   *output
	level slog.Leveler
	text  bool
	color bool

	pre     []byte   // attributes and groups of WithAttrs, encoded
	open    int      // groups that pre leaves open (JSON)
	prefix  string   // keys of all groups, each with a dot (text)
	pending []string // groups that no attribute has opened yet (JSON)
}

var _ slog.Handler = (*Handler)(nil)

// output serialises writers: a line is one Write.
type output struct {
	mu sync.Mutex
	w  io.Writer
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
	h := &Handler{out: &output{w: w}, level: level}
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
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	l := h.begin()
	span := trace.SpanFromContext(ctx)
	b := l.b
	if h.text {
		b = h.appendTextHead(b, r.Time, r.Level, r.Message)
		b = append(b, h.pre...)
		r.Attrs(func(a slog.Attr) bool {
			b = h.appendTextAttr(b, h.prefix, a)
			return true
		})
		b = h.appendTextTrace(b, span.SpanContext(), span.IsRecording())
		b = append(b, '\n')
	} else {
		b = appendHead(b, r.Time, r.Level, r.Message)
		b = appendTrace(b, span.SpanContext())
		b = append(b, h.pre...)
		open := h.open
		mark := len(b)
		b = appendGroups(b, h.pending)
		before := len(b)
		r.Attrs(func(a slog.Attr) bool {
			b = appendAttr(b, a)
			return true
		})
		if len(b) == before {
			b = b[:mark] // no attribute: the pending groups stay unwritten
		} else {
			open += len(h.pending)
		}
		b = closeGroups(b, open)
		b = append(b, '}', '\n')
	}
	l.b = b
	return h.finish(l)
}

// WithAttrs returns a handler that adds the attributes to every line.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	d := h.derive()
	if h.text {
		for _, a := range attrs {
			d.pre = h.appendTextAttr(d.pre, h.prefix, a)
		}
		return d
	}
	b := appendGroups(d.pre, h.pending)
	before := len(b)
	for _, a := range attrs {
		b = appendAttr(b, a)
	}
	if len(b) == before {
		return h
	}
	d.pre, d.open, d.pending = b, h.open+len(h.pending), nil
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
	if cap(l.b) <= maxLine {
		lines.Put(l)
	}
	return err
}

// milliseconds prints a duration the way duration_ms does.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
