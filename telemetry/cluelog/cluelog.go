// Package cluelog lets services that log with goa.design/clue/log write into
// the service's own log, unchanged.
//
//	clue := cluelog.New(handler, cluelog.Config{})
//	srv := &http.Server{BaseContext: func(net.Listener) context.Context {
//		return clue.BaseContext(context.Background())
//	}}
//
// Each call of Clue's becomes one line of the handler, with the ids of the
// context that it was made with. What Clue promises is kept, per request,
// across log.With and goroutines:
//
//   - log.Info lines are held in the request's own bounded buffer (a
//     [telemetry.Scope]) and shown only when the request fails, is traced (its
//     span is recorded and sampled), or debug is on;
//   - log.Print and log.Warn lines are written at once; lines that are held
//     stay held, and carry their own, earlier time if they are shown later;
//   - log.Error first shows the lines that are held, oldest first, then is
//     written itself; from there on the request holds nothing;
//   - log.Debug lines are written at once where debug is on, else not at all.
//
// Outside of a request nothing is held. A level that the handler does not write
// is not held either. Clue itself never buffers here: its own buffer repeats
// lines across log.With and grows without bound on a context that lives long.
//
// A value's own methods must not log: Clue prints values while it holds the
// lock of its logger, which all requests share. Options that a service sets
// with log.Context hold for all requests, too; debug is not among them: the
// handler's level and leases decide.
//
// The package changes no option of a logger after it made it, and sets no
// global. It does not write Clue's formats, and it does not log requests:
// package transport does.
package cluelog

import (
	"context"
	"log/slog"
	"math"

	"goa.design/clue/log"

	"github.com/aguada-dev/aguada/telemetry"
)

// Config bounds what a request holds. The zero value means the defaults of
// [telemetry.Limits].
type Config struct {
	// MaxLines is the largest number of lines.
	MaxLines int
	// MaxBytes is the memory that they may take, in bytes.
	MaxBytes int
}

// Logger is the connection from Clue to a handler: two of Clue's loggers, one
// for each answer to whether debug is on. It is safe for concurrent use.
type Logger struct {
	handler      slog.Handler
	limits       telemetry.Limits
	plain, debug context.Context // hold nothing but a logger of Clue's
	calls        calls
}

// New returns a Logger that writes to h, which is put behind a
// [telemetry.ContextHandler] unless it is one.
func New(h slog.Handler, cfg Config) *Logger {
	l := &Logger{
		handler: telemetry.NewContextHandler(h),
		limits:  telemetry.Limits{Lines: cfg.MaxLines, Bytes: cfg.MaxBytes},
	}
	options := []log.LogOption{
		log.WithOutputs(log.Output{Writer: (*foreign)(l), Format: l.route}),
		log.WithDisableBuffering(func(context.Context) bool { return true }),
		log.WithMaxSize(math.MaxInt), // values are cut by us: Clue prints them without asking LogValue
		log.WithFunc(carry),
	}
	l.plain = log.Context(context.Background(), options...)
	l.debug = log.Context(context.Background(), append(options, log.WithDebug())...)
	return l
}

// BaseContext returns ctx with Clue's logger in it, for http.Server's
// BaseContext and for code that runs outside of requests. Contexts made from
// it need nothing else.
func (l *Logger) BaseContext(ctx context.Context) context.Context {
	if l.handler.Enabled(ctx, slog.LevelDebug) {
		return log.WithContext(ctx, l.debug)
	}
	return log.WithContext(ctx, l.plain)
}

// Context returns the context for a method that is about to be called: ctx
// itself, or one with the logger that writes debug lines where the handler's
// level or a lease that applies to the request asks for them now. It does not
// allocate without. It is called before the service adds to its context with
// log.With.
func (l *Logger) Context(ctx context.Context) context.Context {
	if !l.handler.Enabled(ctx, slog.LevelDebug) || log.DebugEnabled(ctx) {
		return ctx
	}
	return log.WithContext(ctx, l.debug)
}

// foreign is the logger as the writer of what Clue formatted: nothing, unless
// somebody gave the shared logger a format of his own. That is not lost.
type foreign Logger

// Write writes the text as the message of a line.
func (f *foreign) Write(p []byte) (int, error) {
	if len(p) > 0 {
		(*Logger)(f).writeForeign(p)
	}
	return len(p), nil
}
