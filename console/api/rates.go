package api

import (
	"slices"
	"strconv"
	"strings"

	"github.com/aguada-dev/aguada/console/gen/console"
	"github.com/aguada-dev/aguada/console/series"
	"github.com/aguada-dev/aguada/console/store"
)

// method names what is called: for services that are not Goa's, by its route or
// by the name of its spans.
type method struct{ app, service, name string }

// calls is what happened to a method.
type calls struct {
	total, errors, refused float64
	spark, failing         []float64 // in each step
	dist                   series.Dist
	causes                 map[string]float64 // of calls that failed or were refused
	from                   string
}

// outcome of a call.
type outcome byte

const (
	served  outcome = 's'
	refused outcome = 'r'
	failed  outcome = 'f'
)

func newCalls(steps int, from string) *calls {
	return &calls{spark: make([]float64, steps), failing: make([]float64, steps), causes: make(map[string]float64), from: from}
}

// add adds n calls in a step.
func (c *calls) add(step int, n float64, o outcome, cause string) {
	c.total += n
	c.spark[step] += n
	switch o {
	case failed:
		c.errors += n
		c.failing[step] += n
	case refused:
		c.refused += n
	}
	if cause != "" && n > 0 {
		c.causes[cause] += n
	}
}

// merge adds what happened to another method.
func (c *calls) merge(o *calls) {
	c.total += o.total
	c.errors += o.errors
	c.refused += o.refused
	for i := range o.spark {
		c.spark[i] += o.spark[i]
		c.failing[i] += o.failing[i]
	}
	for cause, n := range o.causes {
		c.causes[cause] += n
	}
	c.dist.Merge(&o.dist, 1)
	c.from = o.from
}

// durations are the metrics that calls are counted from, with how many
// nanoseconds their unit has: the present names of OpenTelemetry's conventions,
// and those before.
var durations = map[string]float64{
	"http.server.request.duration": 1e9, "rpc.server.call.duration": 1e9,
	"http.server.duration": 1e6, "rpc.server.duration": 1e6,
}

// probes are routes that operators call, not callers.
var probes = []string{"/livez", "/readyz", "/startupz", "/healthz"}

// calls counts the calls of each method, of one service or of all.
func (s *Service) calls(w series.Window, service string) map[method]*calls {
	all := make(map[method]*calls)
	counted := make(map[string]bool)
	for name, unit := range durations {
		f := &store.Filter{Metric: name, Service: service}
		for key, line := range series.Lines(s.store, f, w, byOutcome) {
			part := strings.Split(key, "\x00")
			m := method{part[0], part[1], part[2]}
			counted[m.app] = true
			c := all[m]
			if c == nil {
				c = newCalls(w.Steps, "metrics")
				all[m] = c
			}
			for step, n := range line.Values {
				c.add(step, n, outcome(part[3][0]), part[4])
			}
			for b, n := range line.Total.Buckets {
				scaled := series.Dist{Buckets: map[series.Bucket]float64{{Low: b.Low * unit, High: b.High * unit}: n}}
				c.dist.Merge(&scaled, 1)
			}
		}
	}
	s.fromSpans(all, counted, w, service)
	return all
}

// byOutcome puts series of durations together by method and outcome.
func byOutcome(v *store.Series) (string, bool) {
	m := method{v.Service, v.Attr("goa.service"), v.Attr("goa.method")}
	if m.name == "" {
		route := v.Attr("http.route")
		if slices.Contains(probes, route) {
			return "", false
		}
		if m.name = v.Attr("rpc.method"); m.name == "" {
			m.name = strings.TrimSpace(v.Attr("http.request.method") + " " + route)
		}
		m.service = v.Attr("rpc.service")
	}
	o, cause := judge(v.Attr)
	return strings.Join([]string{m.app, m.service, m.name, string(o), cause}, "\x00"), true
}

// serversFault are the statuses of gRPC that are.
var serversFault = []string{"UNKNOWN", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "2", "4", "13", "14", "15"}

// judge tells how a call ended from its attributes, and why it did not succeed.
func judge(attr func(string) string) (outcome, string) {
	why := attr("goa.error")
	if why == "" {
		why = attr("error.type")
	}
	if status, err := strconv.Atoi(attr("http.response.status_code")); err == nil {
		switch {
		case status >= 500:
			return failed, cause(why, strconv.Itoa(status))
		case status >= 400:
			return refused, cause(why, strconv.Itoa(status))
		}
		return served, ""
	}
	for _, key := range []string{"rpc.response.status_code", "rpc.grpc.status_code"} {
		switch status := attr(key); {
		case status == "":
		case status == "OK" || status == "0":
			return served, ""
		case slices.Contains(serversFault, status) || strings.HasPrefix(status, "-326") && status != "-32602":
			return failed, cause(why, status)
		default:
			return refused, cause(why, status)
		}
	}
	if why != "" {
		return failed, cause(why, "")
	}
	return served, ""
}

// causes are the names that refusals are shown by, by the name of Aguada's
// error, HTTP's status or gRPC's.
var causes = map[string]string{
	"unauthorized": "unauthenticated", "401": "unauthenticated", "UNAUTHENTICATED": "unauthenticated", "certificate_withdrawn": "unauthenticated",
	"forbidden": "forbidden", "403": "forbidden", "PERMISSION_DENIED": "forbidden", "cross_origin": "forbidden", "certificate_refused": "forbidden",
	"rate_limited": "rate_limited", "too_many_failures": "rate_limited", "too_many_messages": "rate_limited", "429": "rate_limited", "RESOURCE_EXHAUSTED": "rate_limited",
	"too_many_in_flight": "in_flight", "overloaded": "overload",
	"deadline_exceeded": "deadline", "504": "deadline", "DEADLINE_EXCEEDED": "deadline", "body_timeout": "deadline", "408": "deadline",
	"body_too_large": "too_large", "413": "too_large",
	"400": "invalid", "422": "invalid", "415": "invalid", "INVALID_ARGUMENT": "invalid",
}

func cause(why, status string) string {
	for _, name := range []string{why, status} {
		if c, ok := causes[name]; ok {
			return c
		}
	}
	return "other"
}

// fromSpans counts the calls of services that send no such metrics from their
// spans.
func (s *Service) fromSpans(all map[method]*calls, counted map[string]bool, w series.Window, service string) {
	lacking := false
	for _, from := range s.store.Senders(w.Since) {
		lacking = lacking || !counted[from.Service] && from.Items[store.Traces] > 0 && (service == "" || service == from.Service)
	}
	if !lacking {
		return
	}
	parts := make([]map[method]*calls, store.Workers())
	step := w.Step()
	for _, kind := range []uint8{store.KindServer, store.KindConsumer} {
		f := &store.Filter{Since: w.Since, Until: w.Until, Service: service, Kind: kind}
		s.store.Each(store.Traces, f, func(worker int, r store.Ref) {
			m := method{r.Service(), r.Text("goa.service"), r.Text("goa.method")}
			if counted[m.app] {
				return
			}
			if m.name == "" {
				m.name = valid(r.Name())
			}
			if parts[worker] == nil {
				parts[worker] = make(map[method]*calls)
			}
			c := parts[worker][m]
			if c == nil {
				c = newCalls(w.Steps, "spans")
				parts[worker][m] = c
			}
			o, why := judge(func(key string) string { v, _ := r.Attr(key); return v.Text() })
			if r.Failed() {
				o = failed
			}
			c.add(int(min((r.Time()-w.Since)/step, int64(w.Steps-1))), 1, o, why)
			c.dist.Value(float64(r.Duration()))
		})
	}
	for _, part := range parts {
		for m, c := range part {
			if all[m] == nil {
				all[m] = newCalls(w.Steps, "spans")
			}
			all[m].merge(c)
		}
	}
}

// rates converts what happened; nil is nothing.
func rates(c *calls, w series.Window) *console.Rates {
	if c == nil {
		return &console.Rates{Spark: make([]float64, w.Steps), Failing: make([]float64, w.Steps), From: "none"}
	}
	out := &console.Rates{
		Calls: whole(c.total), Errors: whole(c.errors), Refused: whole(c.refused), Rate: c.total / w.Seconds(), From: c.from,
		Spark: make([]float64, w.Steps), Failing: make([]float64, w.Steps),
	}
	seconds := float64(w.Step()) / 1e9
	for i := range c.spark {
		out.Spark[i], out.Failing[i] = c.spark[i]/seconds, c.failing[i]/seconds
	}
	for q, to := range map[float64]**float64{0.5: &out.P50Ns, 0.95: &out.P95Ns, 0.99: &out.P99Ns} {
		if v, ok := c.dist.Quantile(q); ok {
			*to = &v
		}
	}
	return out
}

// whole rounds what was spread over steps.
func whole(n float64) int64 { return int64(n + 0.5) }
