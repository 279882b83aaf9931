package telemetry

import (
	"cmp"
	"context"
	"log/slog"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Request is what the one line of a request says, or of a remote procedure
// call. Keys are those of the OpenTelemetry semantic conventions where there is
// one; a field with its zero value is left out, status and duration excepted.
// The query is never part of it.
//
// All lines have time, level, msg, trace_id, span_id, request_id, service,
// method, http.request.method, http.route, duration_ms, client.address,
// enduser.id, auth.scheme, auth.account, tls.client.subject, error.type,
// error.id, error and exception.stacktrace. Those of HTTP have besides
//
//	url.path                   Path
//	http.response.status_code  Status
//	http.request.body.size     BodyIn
//	http.response.body.size    BodyOut
//
// and those of calls, in their place,
//
//	rpc.system.name            System
//	rpc.method                 Call
//	rpc.method_original        Path
//	rpc.response.status_code   Code
//	rpc.request.size           BodyIn
//	rpc.response.size          BodyOut
type Request struct {
	// Time is when the request ended.
	Time time.Time
	// ID is the request id.
	ID string
	// Trace holds the ids of the request's span; not valid for none.
	Trace trace.SpanContext
	// Service and Method are the design's names.
	Service, Method string
	// Verb is the HTTP method.
	Verb string
	// Route is the pattern that matched.
	Route string
	// Path is the URL's path, only for a request that no route matches; of a
	// call, the method that was asked for, only where it does not exist.
	Path string
	// System is that of a remote procedure call; empty for an HTTP request.
	// Verb and Route are then those of the request that carried the call, if
	// any, and Status is not used.
	System System
	// Call is the name of the called method, "package.Service/Method" over
	// gRPC; Code is the name of its gRPC status code, or the number of its
	// JSON-RPC error, empty for none.
	Call, Code string
	// Status is the status code of the answer; 499 when the client left
	// before there was one.
	Status int
	// Duration is the time in the handler, from the header to the end of the
	// answer.
	Duration time.Duration
	// Client is the peer's address without its port.
	Client string
	// BodyIn and BodyOut count the bytes of the bodies, or of a call's messages,
	// read and written.
	BodyIn, BodyOut int64
	// User is the principal's subject, Scheme the one that proved it.
	User, Scheme string
	// Account is whose credential was refused, where the verifier knows; Peer is
	// the holder of the client's certificate.
	Account, Peer string
	// ErrorType is the error's name, ErrorID the identifier that the caller
	// was given, Error the text that only the log has, Stack that of a panic.
	ErrorType, ErrorID, Error, Stack string
	// Fault says that the error is the server's: a stream may fail after its
	// status was sent.
	Fault bool
	// Quiet lowers the line to debug, for probes.
	Quiet bool
	// Forced writes the line whatever the log's level, for a debugging lease.
	Forced bool
}

// Level is the severity of the line: error for a fault, for a status of 500 and
// above and for codes of a call that are the server's errors, info otherwise,
// debug when quiet. Calling a method that does not exist is no such error.
func (r *Request) Level() slog.Level {
	switch {
	case r.Quiet:
		return slog.LevelDebug
	case r.Status >= 500 || r.Fault || r.System != "" && r.System.severe(r.Code):
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}

// Message is the msg of a request's line.
const Message = "request"

// Request writes the line of a request. It does not allocate and does not
// keep r.
func (h *Handler) Request(r *Request) error {
	level := r.Level()
	if level < h.level.Level() && !r.Forced {
		return nil
	}
	l := h.begin()
	if h.text {
		l.b = h.appendTextRequest(l.b, r, level)
	} else {
		l.b = h.appendRequest(l.b, r, level)
	}
	return h.finish(l)
}

func (h *Handler) appendRequest(b []byte, r *Request, level slog.Level) []byte {
	b = appendHead(b, r.Time, level, Message)
	b = appendTrace(b, r.Trace)
	b = append(b, h.within...)
	b = closeGroups(b, h.open)
	b = member(b, `,"request_id":`, r.ID)
	b = member(b, `,"service":`, r.Service)
	b = member(b, `,"method":`, r.Method)
	b = member(b, `,"http.request.method":`, r.Verb)
	b = member(b, `,"http.route":`, r.Route)
	in, out := `,"http.request.body.size":`, `,"http.response.body.size":`
	if r.System == "" {
		b = member(b, `,"url.path":`, r.Path)
		b = append(b, `,"http.response.status_code":`...)
		b = strconv.AppendInt(b, int64(r.Status), 10)
	} else {
		in, out = `,"rpc.request.size":`, `,"rpc.response.size":`
		b = r.appendCall(b)
	}
	b = append(b, `,"duration_ms":`...)
	b = appendMilliseconds(b, r.Duration)
	b = member(b, `,"client.address":`, r.Client)
	b = count(b, in, r.BodyIn)
	b = count(b, out, r.BodyOut)
	b = member(b, `,"enduser.id":`, r.User)
	b = member(b, `,"auth.scheme":`, r.Scheme)
	b = member(b, `,"auth.account":`, r.Account)
	b = member(b, `,"tls.client.subject":`, r.Peer)
	b = member(b, `,"error.type":`, r.ErrorType)
	b = member(b, `,"error.id":`, r.ErrorID)
	b = member(b, `,"error":`, r.Error)
	b = member(b, `,"exception.stacktrace":`, r.Stack)
	return append(b, '}', '\n')
}

// appendCall writes what only the line of a call has.
func (r *Request) appendCall(b []byte) []byte {
	b = member(b, `,"rpc.system.name":`, string(r.System))
	b = member(b, `,"rpc.method":`, r.Call)
	b = member(b, `,"rpc.method_original":`, r.Path)
	return member(b, `,"rpc.response.status_code":`, r.Code)
}

// milliseconds is a duration as duration_ms has it.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// appendMilliseconds writes the same without a detour over binary fractions.
func appendMilliseconds(b []byte, d time.Duration) []byte {
	us := d.Microseconds()
	if us < 0 {
		return strconv.AppendFloat(b, milliseconds(d), 'f', -1, 64)
	}
	b = strconv.AppendInt(b, us/1000, 10)
	if us %= 1000; us == 0 {
		return b
	}
	b = append(b, '.', byte('0'+us/100), byte('0'+us/10%10), byte('0'+us%10))
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}

func member(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	return appendString(append(b, key...), value)
}

func count(b []byte, key string, n int64) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendInt(append(b, key...), n, 10)
}

// appendTextRequest writes what a developer looks for first; the rest follows
// as attributes.
func (h *Handler) appendTextRequest(b []byte, r *Request, level slog.Level) []byte {
	b = h.appendTextHead(b, r.Time, level, Message)
	b = append(b, ' ')
	if r.System != "" {
		b = appendPlain(b, cmp.Or(r.Code, "OK"))
		b = append(b, ' ')
		b = appendPlain(b, cmp.Or(r.Path, r.Call))
	} else {
		b = strconv.AppendInt(b, int64(r.Status), 10)
		b = append(b, ' ')
		b = appendPlain(b, r.Verb)
		b = append(b, ' ')
		b = appendPlain(b, r.Route)
		b = appendPlain(b, r.Path)
	}
	b = append(b, ' ')
	b = appendMilliseconds(b, r.Duration)
	b = append(b, "ms"...)
	b = append(b, h.within...)
	for _, f := range [...]struct{ key, value string }{
		{"service", r.Service}, {"method", r.Method}, {"enduser.id", r.User}, {"auth.scheme", r.Scheme},
		{"auth.account", r.Account}, {"tls.client.subject", r.Peer}, {"error.type", r.ErrorType}, {"error.id", r.ErrorID}, {"error", r.Error}, {"request_id", r.ID},
	} {
		if f.value != "" {
			b = appendQuoted(h.appendTextKey(b, "", f.key), f.value)
		}
	}
	if level >= slog.LevelError {
		b = h.appendTextTrace(b, r.Trace, r.Trace.IsSampled())
	}
	b = append(b, '\n')
	if r.Stack != "" {
		// The stack is ours, not the caller's: it may keep its lines.
		for _, c := range r.Stack {
			if c == '\n' || c == '\t' || c >= ' ' && c != 0x7f {
				b = append(b, string(c)...)
			}
		}
		b = append(b, '\n')
	}
	return b
}

// LogRequest writes the line of a request through any slog handler: without
// allocating when it is a *Handler, as ordinary attributes otherwise. ctx
// should be the request's.
func LogRequest(ctx context.Context, to slog.Handler, r *Request) error {
	switch h := to.(type) {
	case *Handler:
		return h.Request(r)
	case *fanout:
		return h.request(ctx, r)
	case *ContextHandler: // the line has all that it would add
		return LogRequest(ctx, h.next, r)
	}
	level := r.Level()
	if !to.Enabled(ctx, level) && !r.Forced {
		return nil
	}
	rec := slog.NewRecord(r.Time, level, Message, 0)
	if r.Trace.IsValid() {
		rec.AddAttrs(slog.String("trace_id", r.Trace.TraceID().String()), slog.String("span_id", r.Trace.SpanID().String()))
	}
	r.texts(func(key, value string) { rec.AddAttrs(slog.String(key, value)) })
	rec.AddAttrs(slog.Float64("duration_ms", milliseconds(r.Duration)))
	r.numbers(func(key string, n int64) { rec.AddAttrs(slog.Int64(key, n)) })
	return to.Handle(ctx, rec)
}

// numbers calls f for each whole number of the line that is there.
func (r *Request) numbers(f func(key string, n int64)) {
	in, out := "rpc.request.size", "rpc.response.size"
	if r.System == "" {
		in, out = "http.request.body.size", "http.response.body.size"
		f("http.response.status_code", int64(r.Status))
	}
	if r.BodyIn != 0 {
		f(in, r.BodyIn)
	}
	if r.BodyOut != 0 {
		f(out, r.BodyOut)
	}
}

// texts calls f for each text of the line that is not empty.
func (r *Request) texts(f func(key, value string)) {
	path := "url.path"
	if r.System != "" {
		path = "rpc.method_original"
	}
	for _, t := range [...]struct{ key, value string }{
		{"request_id", r.ID}, {"service", r.Service}, {"method", r.Method}, {"http.request.method", r.Verb}, {"http.route", r.Route}, {path, r.Path},
		{"rpc.system.name", string(r.System)}, {"rpc.method", r.Call}, {"rpc.response.status_code", r.Code}, {"client.address", r.Client}, {"enduser.id", r.User},
		{"auth.scheme", r.Scheme}, {"auth.account", r.Account}, {"tls.client.subject", r.Peer}, {"error.type", r.ErrorType}, {"error.id", r.ErrorID}, {"error", r.Error},
		{"exception.stacktrace", r.Stack},
	} {
		if t.value != "" {
			f(t.key, t.value)
		}
	}
}
