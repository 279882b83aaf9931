package telemetry

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/aguada-dev/aguada/policy"
)

// System is a system of remote procedure calls, as rpc.system.name has it.
type System string

// The systems.
const (
	GRPC    System = "grpc"
	JSONRPC System = "jsonrpc"
)

// failed reports whether a status code says that a call failed by the
// conventions of its system: for gRPC where the server is to blame, for
// JSON-RPC with every code.
func (y System) failed(code string) bool {
	if y == JSONRPC {
		return code != ""
	}
	switch code {
	case "UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS":
		return true
	}
	return false
}

// severe reports whether a status code is to an operator what an HTTP status of
// 500 and above is. A method that does not exist is none: anybody can ask for
// one.
func (y System) severe(code string) bool {
	if y == JSONRPC { // see policy.Answer
		return code == "-32603" || len(code) == len("-32050") && code >= "-32050" && code <= "-32099"
	}
	return code != "UNIMPLEMENTED" && y.failed(code)
}

// rpcInstruments are shared by all methods.
type rpcInstruments struct {
	mu            sync.Mutex
	methods       []*RPCInstruments
	grpc, jsonrpc *RPCInstruments // of methods that do not exist
}

func (r *rpcInstruments) bind(t *Telemetry) {
	var none policy.Method
	r.grpc, r.jsonrpc = t.RPC(GRPC, &none, other), t.RPC(JSONRPC, &none, other)
}

// RPCInstruments is what the chassis records of one method as it is called over
// one system of remote procedure calls, by OpenTelemetry's conventions for
// those, with all attributes made at start. It is safe for concurrent use; nil
// records nothing.
type RPCInstruments struct {
	t         *Telemetry
	system    System
	name      string
	base      []attribute.KeyValue
	spanStart trace.SpanStartOption

	series atomic.Pointer[map[rpcOutcome]*durations]
	mu     sync.Mutex // held to add a series
	codes  map[string]bool
	errors map[string]bool
}

// rpcOutcome tells the series of one method apart.
type rpcOutcome struct{ code, err string }

// RPC binds the instruments of a method that is called under the given name,
// "package.Service/Method" over gRPC. Call it at start, once for each system
// and name.
func (t *Telemetry) RPC(system System, m *policy.Method, name string) *RPCInstruments {
	if t == nil {
		return nil
	}
	r := &RPCInstruments{t: t, system: system, name: name, codes: map[string]bool{}, errors: map[string]bool{}}
	r.base = []attribute.KeyValue{semconv.RPCSystemNameKey.String(string(system)), semconv.RPCMethod(name)}
	if name == other {
		r.name = string(system)
	}
	for _, a := range []attribute.KeyValue{attribute.String("goa.service", m.Service), attribute.String("goa.method", m.Name)} {
		if a.Value.AsString() != "" {
			r.base = append(r.base, a)
		}
	}
	r.spanStart = trace.WithAttributes(r.base...)
	r.series.Store(&map[rpcOutcome]*durations{})
	t.rpc.mu.Lock()
	t.rpc.methods = append(t.rpc.methods, r)
	t.rpc.mu.Unlock()
	return r
}

// UnknownRPC returns the instruments of calls of methods that do not exist. All
// of them are one method, whatever callers ask for.
func (t *Telemetry) UnknownRPC(system System) *RPCInstruments {
	switch {
	case t == nil:
		return nil
	case system == JSONRPC:
		return t.rpc.jsonrpc
	}
	return t.rpc.grpc
}

// Start begins a call that came on its own: it does what
// MethodInstruments.Start does, with the trace context in the keys traceparent
// and tracestate of metadata. End has to be called once for each Start.
func (r *RPCInstruments) Start(ctx context.Context, s *RequestSpan, metadata map[string][]string, start time.Time) {
	if r == nil {
		return
	}
	parent := remoteParent(metadata["traceparent"], metadata["tracestate"])
	if c, sampled := s.begin(r.t, parent, start); sampled {
		s.record(ctx, parent, c, r.name, r.spanStart)
	}
}

// StartWithin begins a call that came in the request of another span, such as
// an entry of a batch: it is traced if the request is. Where the request is
// not, the call has the request's ids. End has to be called once for each.
func (r *RPCInstruments) StartWithin(ctx context.Context, s, request *RequestSpan, start time.Time) {
	if r == nil {
		return
	}
	s.t, s.started, s.sc = r.t, start, request.sc
	if request.sdk != nil {
		c := trace.SpanContextConfig{TraceID: s.sc.TraceID(), SpanID: newSpanID()}
		s.record(ctx, request.sc, c, r.name, r.spanStart)
	}
}

// End records what the call's line says: duration and status code in the
// metrics, and the end of the span if the call is traced. Neither holds what
// the caller chose or the text of an error. It does not keep line.
func (r *RPCInstruments) End(s *RequestSpan, line *Request) {
	if r == nil {
		return
	}
	r.at(line.Code, line.ErrorType).record(line, s.sc, s.sdk != nil)
	if s.sdk != nil {
		r.endSampled(s, line)
	}
}

func (r *RPCInstruments) endSampled(s *RequestSpan, line *Request) {
	attrs := make([]attribute.KeyValue, 0, 8)
	attrs = append(r.outcome(attrs, line.Code, line.ErrorType), attribute.String("request_id", line.ID))
	if line.Client != "" {
		attrs = append(attrs, semconv.ClientAddress(line.Client))
	}
	if line.Path != "" {
		attrs = append(attrs, semconv.RPCMethodOriginal(line.Path))
	}
	if r.system == JSONRPC {
		attrs = append(attrs, semconv.JSONRPCProtocolVersion("2.0"))
	}
	if line.ErrorID != "" {
		attrs = append(attrs, attribute.String("error.id", line.ErrorID))
	}
	s.sdk.SetAttributes(attrs...)
	if line.Fault || r.system.failed(line.Code) {
		s.sdk.SetStatus(codes.Error, "")
	}
	s.sdk.End(trace.WithTimestamp(s.started.Add(line.Duration)))
}

// outcome appends the attributes that say how a call ended.
func (r *RPCInstruments) outcome(to []attribute.KeyValue, code, err string) []attribute.KeyValue {
	if code != "" {
		to = append(to, semconv.RPCResponseStatusCode(code))
	}
	if r.system.failed(code) {
		to = append(to, attribute.String("error.type", code))
	}
	if err != "" {
		to = append(to, attribute.String("goa.error", err))
	}
	return to
}

// at returns the series of an outcome, and makes it when it is new. Finding one
// takes no lock.
func (r *RPCInstruments) at(code, err string) *durations {
	if found := (*r.series.Load())[rpcOutcome{code, err}]; found != nil {
		return found
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key, all := rpcOutcome{bounded(r.codes, code), bounded(r.errors, err)}, *r.series.Load()
	if found := all[key]; found != nil {
		return found
	}
	attrs := r.outcome(r.base[:len(r.base):len(r.base)], key.code, key.err)
	made := &durations{attrs: attribute.NewSet(attrs...), since: time.Now()}
	all = maps.Clone(all)
	all[key] = made
	r.series.Store(&all)
	return made
}

// bounded returns the value while it is among the first of its kind.
func bounded(seen map[string]bool, value string) string {
	switch {
	case value == "" || seen[value]:
	case len(seen) >= maxErrors:
		return other
	default:
		seen[value] = true
	}
	return value
}
