package telemetry

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// sampler decides which traces are recorded: those whose caller decided so,
// and of those that begin here a share or a number per second. It decides the
// same for the fast path of requests and, as an sdktrace.Sampler, for all
// other spans.
type sampler struct {
	text     string
	always   bool
	parent   bool   // a parent's decision holds
	bound    uint64 // of the trace id, for a ratio
	rate     *rate  // for a number per second; nil: by ratio
	accepted *rate  // bound of sampled parents; nil: none
}

var _ sdktrace.Sampler = (*sampler)(nil)

func newSampler(cfg Config, env *environment) (*sampler, error) {
	if cfg.TracesRatio < 0 || cfg.TracesRatio > 1 || cfg.TracesRatio != cfg.TracesRatio {
		return nil, fmt.Errorf("make sampler: ratio of traces is not within 0 and 1")
	}
	if cfg.TracesRatio > 0 && cfg.TracesPerSecond != 0 {
		return nil, fmt.Errorf("make sampler: both a ratio and a number of traces per second are set")
	}
	s := &sampler{parent: true, accepted: newRate(cfg.ParentTracesPerSecond)}
	switch name, arg := env.sampler, env.samplerArg; {
	case name != "" && (cfg.TracesRatio > 0 || cfg.TracesPerSecond != 0):
		return nil, fmt.Errorf("make sampler: OTEL_TRACES_SAMPLER is set besides a ratio or a number of traces per second")
	case name == "always_on" || name == "parentbased_always_on":
		s.always, s.parent = true, name != "always_on"
		s.text = "always"
	case name == "always_off" || name == "parentbased_always_off":
		s.parent = name != "always_off"
		s.text = "never"
	case name == "traceidratio" || name == "parentbased_traceidratio":
		s.parent = name != "traceidratio"
		s.ratio(arg)
	case name != "":
		return nil, fmt.Errorf("make sampler: OTEL_TRACES_SAMPLER has a value that is not supported")
	case cfg.TracesRatio > 0:
		s.ratio(cfg.TracesRatio)
	case cfg.TracesPerSecond < 0:
		s.text = "never"
	default:
		n := cfg.TracesPerSecond
		if n == 0 {
			n = DefaultTracesPerSecond
		}
		s.rate = newRate(n)
		s.text = "at most " + strconv.Itoa(n) + " a second"
	}
	return s, nil
}

func (s *sampler) ratio(r float64) {
	s.always = r >= 1
	s.bound = uint64(r * (1 << 63))
	s.text = "ratio " + strconv.FormatFloat(r, 'g', -1, 64)
}

// begin decides on a trace that begins here. The share of trace ids is the one
// that OpenTelemetry's TraceIDRatioBased takes.
func (s *sampler) begin(now time.Time, id trace.TraceID) bool {
	switch {
	case s.always:
		return true
	case s.rate != nil:
		return s.rate.allow(now)
	}
	return binary.BigEndian.Uint64(id[8:])>>1 < s.bound
}

// request decides on a request with the given parent, which may be invalid.
func (s *sampler) request(now time.Time, parent trace.SpanContext, id trace.TraceID) bool {
	if !s.parent || !parent.IsValid() {
		return s.begin(now, id)
	}
	return parent.IsSampled() && s.accepted.allow(now)
}

// ShouldSample implements sdktrace.Sampler.
func (s *sampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	parent := trace.SpanContextFromContext(p.ParentContext)
	result := sdktrace.SamplingResult{Decision: sdktrace.Drop, Tracestate: parent.TraceState()}
	yes := false
	switch {
	case isDecided(p.ParentContext):
		yes = true
	case parent.IsValid() && !parent.IsRemote(): // a part of a trace that was decided upon
		yes = parent.IsSampled()
	default:
		yes = s.request(time.Now(), parent, p.TraceID)
	}
	if yes {
		result.Decision = sdktrace.RecordAndSample
	}
	return result
}

// Description implements sdktrace.Sampler.
func (s *sampler) Description() string {
	if s.parent {
		return "as the parent, else " + s.text
	}
	return s.text
}

// rate allows a number of events per second, evenly, with at most one second's
// worth at once (a token bucket, kept as the generic cell rate algorithm in a
// single word). Nil allows all.
type rate struct {
	start time.Time
	step  int64 // nanoseconds of one event
	next  atomic.Int64
}

func newRate(perSecond int) *rate {
	if perSecond <= 0 {
		return nil
	}
	return &rate{start: time.Now(), step: max(int64(time.Second)/int64(perSecond), 1)}
}

func (r *rate) allow(at time.Time) bool {
	if r == nil {
		return true
	}
	now := int64(at.Sub(r.start))
	for {
		old := r.next.Load()
		next := max(old, now) + r.step
		if next > now+int64(time.Second) {
			return false
		}
		if r.next.CompareAndSwap(old, next) {
			return true
		}
	}
}

// decided is a context that tells the SDK what was decided already: to sample,
// and, for a trace that begins here, its ids.
type decided struct {
	context.Context
	parent RequestSpan // what the SDK takes for the parent
	trace  trace.TraceID
	span   trace.SpanID
}

// Value answers for the parent span.
func (d *decided) Value(key any) any {
	if key == spanKey && spanKey != nil {
		return &d.parent
	}
	return d.Context.Value(key)
}

func isDecided(ctx context.Context) bool {
	_, ok := ctx.(*decided)
	return ok
}

// ids makes trace and span ids. They are random, no secrets.
type ids struct{}

var _ sdktrace.IDGenerator = ids{}

// NewIDs implements sdktrace.IDGenerator.
func (ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if d, ok := ctx.(*decided); ok {
		return d.trace, d.span
	}
	return newTraceID(), newSpanID()
}

// NewSpanID implements sdktrace.IDGenerator.
func (ids) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	if d, ok := ctx.(*decided); ok {
		return d.span
	}
	return newSpanID()
}

func newTraceID() (id trace.TraceID) {
	binary.BigEndian.PutUint64(id[:8], random()|1) // never zero; a ratio looks at the other half
	binary.BigEndian.PutUint64(id[8:], random())
	return id
}

func newSpanID() (id trace.SpanID) {
	binary.BigEndian.PutUint64(id[:], random()|1)
	return id
}

func random() uint64 {
	return rand.Uint64() //nolint:gosec // an id is no secret
}
