package telemetry

import (
	"context"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/aguada-dev/aguada/policy"
)

// other stands for what is not known beforehand: a verb, an error, a reason.
const other = "_OTHER"

// verbs are the methods of HTTP that an attribute may name.
var verbs = [...]string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE", other}

// httpInstruments are shared by all methods.
type httpInstruments struct {
	mu      sync.Mutex
	methods []*MethodInstruments
}

func (h *httpInstruments) bind(m metric.Meter) error {
	_, err := m.Int64ObservableUpDownCounter("http.server.active_requests", metric.WithUnit("{request}"),
		metric.WithDescription("Number of active HTTP server requests."), metric.WithInt64Callback(h.observeActive))
	return err
}

func (h *httpInstruments) observeActive(_ context.Context, o metric.Int64Observer) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.methods {
		if m.route == "" && m.active.Load() == 0 && len(*m.series.Load()) == 0 {
			continue // a verb that nobody has used
		}
		o.Observe(m.active.Load(), m.activeAttrs)
	}
	return nil
}

// MethodInstruments is what the chassis records of one route of one method,
// with all attributes made at start. It is safe for concurrent use; nil
// records nothing.
type MethodInstruments struct {
	t           *Telemetry
	name        string // of spans
	route       string // "" for requests that no route matches
	base        []attribute.KeyValue
	spanStart   trace.SpanStartOption
	activeAttrs metric.MeasurementOption
	active      atomic.Int64

	series atomic.Pointer[map[outcome]*series]
	mu     sync.Mutex // held to add a series
	errors map[string]bool
}

// outcome tells the series of one method apart.
type outcome struct {
	status int
	err    string
}

// maxErrors bounds the error types that a method's series tell apart.
const maxErrors = 32

// Method binds the instruments of a method at one of its routes. Call it at
// start, once for each route.
func (t *Telemetry) Method(m *policy.Method, route policy.Route) *MethodInstruments {
	if t == nil {
		return nil
	}
	return t.method(route.Verb, route.Pattern, m.Service, m.Name)
}

func (t *Telemetry) method(verb, pattern, service, method string) *MethodInstruments {
	m := &MethodInstruments{t: t, name: knownVerb(verb), route: pattern, errors: map[string]bool{}}
	if m.name == other {
		m.name = "HTTP"
	}
	m.base = []attribute.KeyValue{semconv.HTTPRequestMethodKey.String(knownVerb(verb)), semconv.URLScheme(t.cfg.Scheme)}
	for _, a := range []attribute.KeyValue{semconv.HTTPRoute(pattern), attribute.String("goa.service", service), attribute.String("goa.method", method)} {
		if a.Value.AsString() != "" {
			m.base = append(m.base, a)
		}
	}
	if pattern != "" {
		m.name += " " + pattern
	}
	m.spanStart = trace.WithAttributes(m.base...)
	m.activeAttrs = metric.WithAttributeSet(attribute.NewSet(m.base...))
	m.series.Store(&map[outcome]*series{})
	t.http.mu.Lock()
	t.http.methods = append(t.http.methods, m)
	t.http.mu.Unlock()
	return m
}

// unmatched are the instruments of requests that no route matches, by verb.
type unmatched [len(verbs)]*MethodInstruments

func (u *unmatched) bind(t *Telemetry) {
	for i, verb := range verbs {
		u[i] = t.method(verb, "", "", "")
	}
}

// Unmatched returns the instruments of requests that no route matches. They
// have no route, and any verb that HTTP does not define is one: whatever
// callers send, the number of series stays the same.
func (t *Telemetry) Unmatched(verb string) *MethodInstruments {
	if t == nil {
		return nil
	}
	for i, v := range verbs {
		if v == verb {
			return t.any[i]
		}
	}
	return t.any[len(verbs)-1]
}

func knownVerb(verb string) string {
	for _, v := range verbs {
		if v == verb {
			return v
		}
	}
	return other
}

// Start begins a request: it reads the caller's trace context, decides whether
// the request is traced, and fills s. A span of the SDK is made only for a
// request that is; any other has valid ids all the same. ctx is the context of
// the server, start the time when the request's header had been read.
//
// Where no traces are exported the service is a link that does not break the
// chain: the caller's context is carried on unchanged, and a trace that begins
// here is sampled or not for those who come after.
//
// End has to be called once for each Start.
func (m *MethodInstruments) Start(ctx context.Context, s *RequestSpan, r *http.Request, start time.Time) {
	if m == nil {
		return
	}
	m.active.Add(1)
	parent := remoteParent(r.Header["Traceparent"], r.Header["Tracestate"])
	if c, sampled := s.begin(m.t, parent, start); sampled {
		m.startSampled(ctx, s, r, parent, c)
	}
}

// startSampled makes the SDK's span.
func (m *MethodInstruments) startSampled(ctx context.Context, s *RequestSpan, r *http.Request, parent trace.SpanContext, c trace.SpanContextConfig) {
	s.record(ctx, parent, c, m.name, m.spanStart)
	if verb := m.base[0].Value.AsString(); verb == other {
		s.sdk.SetAttributes(semconv.HTTPRequestMethodOriginal(clip(r.Method, 32)))
	}
	s.sdk.SetAttributes(semconv.NetworkProtocolVersion(protocolVersion(r)))
}

func protocolVersion(r *http.Request) string {
	if r.ProtoMajor >= 2 && r.ProtoMinor == 0 {
		return strconv.Itoa(r.ProtoMajor)
	}
	return strconv.Itoa(r.ProtoMajor) + "." + strconv.Itoa(r.ProtoMinor)
}

// End records what the request's line says: duration and sizes in the metrics,
// and the end of the span if the request is traced. Neither holds the path,
// the query, the caller's name or the text of an error: the line has those,
// under the same trace id. It does not keep line.
func (m *MethodInstruments) End(s *RequestSpan, line *Request) {
	if m == nil {
		return
	}
	m.active.Add(-1)
	failed := line.Status >= 500 || line.Fault
	kind := ""
	if failed || line.ErrorType != "" {
		kind = line.ErrorType
		if kind == "" {
			kind = strconv.Itoa(line.Status)
		}
	}
	m.at(line.Status, kind).record(line, s.sc, s.sdk != nil)
	if s.sdk != nil {
		m.endSampled(s, line, failed, kind)
	}
}

func (m *MethodInstruments) endSampled(s *RequestSpan, line *Request, failed bool, kind string) {
	attrs := make([]attribute.KeyValue, 0, 8)
	attrs = append(attrs, semconv.HTTPResponseStatusCode(line.Status), attribute.String("request_id", line.ID),
		semconv.HTTPRequestBodySize(int(line.BodyIn)), semconv.HTTPResponseBodySize(int(line.BodyOut)))
	if line.Client != "" {
		attrs = append(attrs, semconv.ClientAddress(line.Client))
	}
	if kind != "" {
		attrs = append(attrs, attribute.String("error.type", kind))
	}
	if line.ErrorID != "" {
		attrs = append(attrs, attribute.String("error.id", line.ErrorID))
	}
	s.sdk.SetAttributes(attrs...)
	if failed {
		s.sdk.SetStatus(codes.Error, "")
	}
	s.sdk.End(trace.WithTimestamp(s.started.Add(line.Duration)))
}

// at returns the series of an outcome, and makes it when it is new. Finding
// one takes no lock.
func (m *MethodInstruments) at(status int, kind string) *series {
	if found := (*m.series.Load())[outcome{status, kind}]; found != nil {
		return found
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if status < 100 || status > 599 {
		status = 0
	}
	kind = bounded(m.errors, kind)
	key, all := outcome{status, kind}, *m.series.Load()
	if found := all[key]; found != nil {
		return found
	}
	attrs := append(m.base[:len(m.base):len(m.base)], semconv.HTTPResponseStatusCode(status))
	if kind != "" {
		attrs = append(attrs, attribute.String("error.type", kind))
	}
	made := &series{durations: durations{attrs: attribute.NewSet(attrs...), since: time.Now()}}
	all = maps.Clone(all)
	all[key] = made
	m.series.Store(&all)
	return made
}
