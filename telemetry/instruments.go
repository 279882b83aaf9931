package telemetry

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/aguada-dev/aguada/policy"
)

// chassisInstruments are those that belong to no method.
type chassisInstruments struct {
	meter   metric.Meter
	failed  *counts // by scheme and reason
	refused *counts // by cause
	locked  metric.Int64Counter
	keyed   *counts // by outcome
}

func (c *chassisInstruments) bind(m metric.Meter, t *Telemetry) error {
	c.meter = m
	failures, err := m.Int64Counter("aguada.auth.failures", metric.WithUnit("{failure}"),
		metric.WithDescription("Requests whose credentials were refused."))
	if err != nil {
		return err
	}
	refusals, err := m.Int64Counter("aguada.requests.refused", metric.WithUnit("{request}"),
		metric.WithDescription("Requests that were refused before the service saw them."))
	if err != nil {
		return err
	}
	if c.locked, err = m.Int64Counter("aguada.auth.lockouts", metric.WithUnit("{lockout}"),
		metric.WithDescription("Times that a client had to wait because of wrong credentials.")); err != nil {
		return err
	}
	keyed, err := m.Int64Counter("aguada.idempotency.calls", metric.WithUnit("{call}"),
		metric.WithDescription("Calls with an idempotency key."))
	if err != nil {
		return err
	}
	c.keyed = newCounts(keyed, "outcome", "")
	c.failed = newCounts(failures, "auth.scheme", "reason")
	c.refused = newCounts(refusals, "cause", "")
	build := metric.WithAttributeSet(attribute.NewSet(attribute.String("version", t.cfg.Version), attribute.String("revision", revision()),
		attribute.String("goversion", goVersion())))
	if _, err = m.Int64ObservableGauge("aguada.build.info", metric.WithDescription("What the process was built from; always 1."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(1, build)
			return nil
		})); err != nil {
		return err
	}
	if _, err = m.Int64ObservableCounter("aguada.log.write.errors", metric.WithUnit("{line}"), metric.WithDescription("Lines of the log that could not be written."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			if out := t.lines.Load(); out != nil {
				o.Observe(out.failed.Load())
			}
			return nil
		})); err != nil {
		return err
	}
	return bindAccounts(m, t)
}

// bindAccounts shows what became of what was to be exported.
func bindAccounts(m metric.Meter, t *Telemetry) error {
	_, err := m.Int64ObservableCounter("aguada.telemetry.items", metric.WithUnit("{item}"),
		metric.WithDescription("Spans and log records that were made, delivered and refused by their receiver."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			for _, s := range []*signal{t.signals[spanSignal], t.signals[logSignal]} {
				if !s.used {
					continue
				}
				for state, n := range map[string]int64{"made": s.made.Load(), "delivered": s.delivered.Load(), "failed": s.failed.Load()} {
					o.Observe(n, metric.WithAttributes(attribute.String("signal", s.name), attribute.String("state", state)))
				}
			}
			return nil
		}))
	return err
}

// AuthFailed counts credentials that were refused, by the scheme's name in the
// design ("" if there was none to try) and a reason from a short, fixed list.
func (t *Telemetry) AuthFailed(scheme, reason string) {
	if t != nil {
		t.chassis.failed.add(scheme, reason)
	}
}

// LockedOut counts a client that has to wait because of wrong credentials.
func (t *Telemetry) LockedOut() {
	if t != nil {
		t.chassis.locked.Add(context.Background(), 1)
	}
}

// Refused counts a request that was refused before the service saw it, by a
// cause from a short, fixed list such as the name of the error.
func (t *Telemetry) Refused(cause string) {
	if t != nil {
		t.chassis.refused.add(cause, "")
	}
}

// Idempotent counts a call with an idempotency key, by what became of it: an
// outcome from a short, fixed list such as "first", "replayed", "conflict",
// "mismatch" and "unavailable".
func (t *Telemetry) Idempotent(outcome string) {
	if t != nil {
		t.chassis.keyed.add(outcome, "")
	}
}

// State is what the chassis lets Observe look at whenever metrics are read.
// Each function may be nil, is called from any goroutine and must not block.
type State struct {
	// Ready and Draining are the states of the service's life.
	Ready, Draining func() bool
	// InFlight counts the requests, Streams the streams that are being served.
	InFlight, Streams func() int64
	// AdaptiveLimit is how many requests the process serves at once at present,
	// and Admitted how many of a priority it is serving that count towards that.
	AdaptiveLimit func() int64
	Admitted      func(policy.Priority) int64
	// CertificateExpiry is when the server's certificate ends; zero for none.
	CertificateExpiry func() time.Time
	// KeySets are the ages of the key sets by name, since each was fetched
	// with success.
	KeySets func() map[string]time.Duration
}

// Observe makes gauges of the state. Call it once.
func (t *Telemetry) Observe(s State) error {
	if t == nil {
		return nil
	}
	m := t.chassis.meter
	for _, g := range []struct {
		name, unit, text string
		f                func(observe func(float64, ...metric.ObserveOption))
	}{
		{"aguada.ready", "", "Whether the service takes requests.", truth(s.Ready)},
		{"aguada.draining", "", "Whether the service is stopping.", truth(s.Draining)},
		{"aguada.requests.in_flight", "{request}", "Requests that are being served.", number(s.InFlight)},
		{"aguada.streams.open", "{stream}", "Streams that are being served.", number(s.Streams)},
		{"aguada.requests.adaptive_limit", "{request}", "Requests that the process serves at once before it refuses others.", number(s.AdaptiveLimit)},
		{"aguada.requests.admitted", "{request}", "Requests that are being served and count towards the adaptive limit.", priorities(s.Admitted)},
		{"aguada.tls.certificate.not_after", "s", "When the server's certificate ends, in seconds since 1970.", moment(s.CertificateExpiry)},
		{"aguada.auth.keyset.age", "s", "Time since a key set was fetched.", ages(s.KeySets)},
	} {
		if g.f == nil {
			continue
		}
		options := []metric.Float64ObservableGaugeOption{metric.WithDescription(g.text), metric.WithUnit(g.unit),
			metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
				g.f(o.Observe)
				return nil
			})}
		if _, err := m.Float64ObservableGauge(g.name, options...); err != nil {
			return err
		}
	}
	return nil
}

type observation = func(observe func(float64, ...metric.ObserveOption))

func truth(f func() bool) observation {
	if f == nil {
		return nil
	}
	return func(observe func(float64, ...metric.ObserveOption)) {
		if f() {
			observe(1)
		} else {
			observe(0)
		}
	}
}

func number(f func() int64) observation {
	if f == nil {
		return nil
	}
	return func(observe func(float64, ...metric.ObserveOption)) { observe(float64(f())) }
}

func priorities(f func(policy.Priority) int64) observation {
	if f == nil {
		return nil
	}
	return func(observe func(float64, ...metric.ObserveOption)) {
		for _, p := range [...]policy.Priority{policy.HighPriority, policy.NormalPriority, policy.LowPriority} {
			observe(float64(f(p)), metric.WithAttributes(attribute.String("priority", string(p))))
		}
	}
}

func moment(f func() time.Time) observation {
	if f == nil {
		return nil
	}
	return func(observe func(float64, ...metric.ObserveOption)) {
		if at := f(); !at.IsZero() {
			observe(float64(at.Unix()))
		}
	}
}

func ages(f func() map[string]time.Duration) observation {
	if f == nil {
		return nil
	}
	return func(observe func(float64, ...metric.ObserveOption)) {
		for name, age := range f() {
			observe(age.Seconds(), metric.WithAttributes(attribute.String("keyset", name)))
		}
	}
}

// Histogram returns a histogram of durations in seconds with bounds fit for
// them, for a service's own measurements: orders.latency becomes
// orders_latency_seconds at Metrics.
func (t *Telemetry) Histogram(scope, name, description string) (metric.Float64Histogram, error) {
	return t.Meter(scope).Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description), metric.WithExplicitBucketBoundaries(seconds...))
}

// counts is a counter whose attribute sets are made once each, and bounded.
type counts struct {
	c    metric.Int64Counter
	keys [2]string
	all  atomic.Pointer[map[[2]string][]metric.AddOption]
	mu   sync.Mutex
}

// maxCounts bounds the series of one counter.
const maxCounts = 128

func newCounts(c metric.Int64Counter, first, second string) *counts {
	n := &counts{c: c, keys: [2]string{first, second}}
	n.all.Store(&map[[2]string][]metric.AddOption{})
	return n
}

func (n *counts) add(first, second string) {
	n.c.Add(context.Background(), 1, n.at([2]string{first, second})...)
}

func (n *counts) at(values [2]string) []metric.AddOption {
	if found := (*n.all.Load())[values]; found != nil {
		return found
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	all := *n.all.Load()
	if len(all) >= maxCounts {
		values = [2]string{other, other}
	}
	if found := all[values]; found != nil {
		return found
	}
	var attrs []attribute.KeyValue
	for i, v := range values {
		if n.keys[i] != "" && v != "" {
			attrs = append(attrs, attribute.String(n.keys[i], v))
		}
	}
	made := []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}
	all = maps.Clone(all)
	all[values] = made
	n.all.Store(&all)
	return made
}
