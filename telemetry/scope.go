package telemetry

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"
)

// Scope is what a request says to whoever writes a line under its context: who
// it is, the lines that it holds back, and the leases that apply to it. It is
// meant to be embedded by value in a value that exists anyway, and to be found
// through the context:
//
//	func (c *call) Value(key any) any {
//		if _, ok := key.(telemetry.ScopeKey); ok {
//			return &c.scope
//		}
//		…
//
// The zero value is ready. A Scope that nobody writes under costs nothing but
// its size. The exported fields are set before the context is given away; the
// methods are safe for concurrent use, also after the end of the request, for
// goroutines that outlive it. A Scope must not be copied or reused.
type Scope struct {
	// RequestID, Service and Method are the members request_id, service and
	// method of every line; empty ones are left out.
	RequestID, Service, Method string

	bound atomic.Pointer[binding] // see Leases.Apply

	mu    sync.Mutex
	held  *heldLines // nil until the first line is held
	shown bool       // nothing is held any more
}

// ScopeKey is the context key of a request's *Scope.
type ScopeKey struct{}

// ScopeOf returns the scope of the request that ctx belongs to, or nil.
func ScopeOf(ctx context.Context) *Scope {
	s, _ := ctx.Value(ScopeKey{}).(*Scope)
	return s
}

// WithScope returns a context of the request of s, for a hand-written server.
// Package transport needs no such context.
func WithScope(ctx context.Context, s *Scope) context.Context {
	return context.WithValue(ctx, ScopeKey{}, s)
}

// Lowered reports whether a log-level lease that applies to the request asks
// for lines of the level, at this moment. It is free of cost without a lease.
func (s *Scope) Lowered(level slog.Level) bool {
	b := s.bound.Load()
	return b != nil && b.lowered(level)
}

// ContextHandler is a slog.Handler that adds to each line what its context
// says: request_id, service and method of the request's [Scope], and for a
// foreign handler trace_id and span_id, which those of this package write
// themselves. They stand outside of any group, once: an attribute of a caller's
// with such a key gets the prefix "attr." (in front of a foreign handler one of
// WithAttrs gets it in any case). It writes, besides what the next handler does,
// what a log-level lease asks for.
//
// The lines of a service's own slog calls are written at once: they have
// levels, and nobody expects an Info line to wait.
type ContextHandler struct {
	next    slog.Handler
	own     ownHandler // next, where it is of this package
	foreign bool       // it is not

	// What a foreign handler was derived with, so that ids can be put outside
	// of its groups. Empty as long as it has none.
	root    slog.Handler
	derived []func(slog.Handler) slog.Handler
	grouped bool
}

var _ slog.Handler = (*ContextHandler)(nil)

// ownHandler is a handler of this package. It writes what a request says of
// itself outside of its groups, and nothing of it twice.
type ownHandler interface {
	slog.Handler
	handleWith(ctx context.Context, ids []slog.Attr, r slog.Record) error
}

// NewContextHandler returns a handler in front of next. A next that is one
// already is returned as it is.
func NewContextHandler(next slog.Handler) *ContextHandler {
	if h, ok := next.(*ContextHandler); ok {
		return h
	}
	h := &ContextHandler{next: next, root: next}
	h.own, _ = next.(ownHandler)
	h.foreign = h.own == nil
	return h
}

// Enabled reports whether the next handler, or a lease, asks for the level.
func (h *ContextHandler) Enabled(ctx context.Context, level slog.Level) bool {
	if h.next.Enabled(ctx, level) {
		return true
	}
	s := ScopeOf(ctx)
	return s != nil && s.Lowered(level)
}

// Handle writes the record with what ctx says.
func (h *ContextHandler) Handle(ctx context.Context, r slog.Record) error {
	var ids [5]slog.Attr
	add := h.origin(ids[:0], ctx)
	switch {
	case len(add) == 0:
		return h.next.Handle(ctx, r)
	case h.own != nil:
		return h.own.handleWith(ctx, add, r)
	case h.grouped:
		next := h.root.WithAttrs(append([]slog.Attr(nil), add...))
		for _, derive := range h.derived {
			next = derive(next)
		}
		return next.Handle(ctx, r)
	}
	with := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	with.AddAttrs(add...)
	r.Attrs(func(a slog.Attr) bool {
		with.AddAttrs(requestKeys[len(lineKeys):].rename(a))
		return true
	})
	return h.next.Handle(ctx, with)
}

// WithAttrs returns a handler that adds the attributes to every line.
func (h *ContextHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if h.foreign && !h.grouped { // whether a request will write them is not known yet
		attrs = slices.Clone(attrs)
		for i := range attrs {
			attrs[i] = requestKeys[len(lineKeys):].rename(attrs[i])
		}
	}
	return h.derive(false, func(next slog.Handler) slog.Handler { return next.WithAttrs(attrs) })
}

// WithGroup returns a handler that puts what follows into a group.
func (h *ContextHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return h.derive(true, func(next slog.Handler) slog.Handler { return next.WithGroup(name) })
}

func (h *ContextHandler) derive(group bool, f func(slog.Handler) slog.Handler) slog.Handler {
	next := f(h.next)
	d := &ContextHandler{next: next, foreign: h.foreign, root: h.root, grouped: h.grouped || group}
	if d.own, _ = next.(ownHandler); d.own == nil {
		d.derived = append(h.derived[:len(h.derived):len(h.derived)], f)
	}
	return d
}

// origin appends what ctx says and the next handler does not write.
func (h *ContextHandler) origin(ids []slog.Attr, ctx context.Context) []slog.Attr {
	if h.foreign {
		if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
			ids = append(ids, slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
		}
	}
	s := ScopeOf(ctx)
	if s == nil {
		return ids
	}
	for _, f := range [...]struct{ key, value string }{
		{"request_id", s.RequestID}, {"service", s.Service}, {"method", s.Method},
	} {
		if f.value != "" {
			ids = append(ids, slog.String(f.key, f.value))
		}
	}
	return ids
}
