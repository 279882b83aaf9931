package observability

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/sink"
)

func metrics() []probe.Probe { return []probe.Probe{red, buckets, values, cardinality} }

// durations returns the series of request durations: those that a route is told
// of.
func durations(t *probe.Try, route string) []*sink.Point {
	return t.Sink.Metrics(func(p *sink.Point) bool {
		return strings.HasPrefix(p.Name, "http.server") && strings.Contains(p.Name, "duration") && (route == "" || p.Attributes.Text("http.route") == route)
	})
}

var red = probe.Probe{
	Probe: describe("metrics.red", "Is each method measured by itself: rate, errors, duration?",
		"An average over all methods hides the one that is slow or broken.",
		"Record http.server.request.duration with http.request.method, http.route and http.response.status_code.",
		"OpenTelemetry HTTP metrics"),
	Needs: lab.Telemetry,
	Each:  probe.Unary,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		_, a, err := call(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		waiting, cancel := context.WithTimeout(ctx, lab.Soon)
		defer cancel()
		var found *sink.Point
		t.Sink.Wait(waiting, func() bool {
			for _, p := range durations(t, t.Method.Pattern) {
				if first(p.Attributes, "http.response.status_code", "http.status_code") == fmt.Sprint(a.Status) &&
					first(p.Attributes, "http.request.method", "http.method") == t.Method.Verb {
					found = p
				}
			}
			return found != nil
		})
		if found == nil {
			var seen strings.Builder
			for _, p := range durations(t, "") {
				fmt.Fprintln(&seen, p.Name, p.Attributes.Map())
			}
			return probe.Fail([]finding.Evidence{{Label: "durations", Text: seen.String()}}, "no duration has http.route %q, %s and the status %d", t.Method.Pattern, t.Method.Verb, a.Status)
		}
		return probe.Pass("%s, %d calls", found.Name, found.Count)
	},
}

var buckets = probe.Probe{
	Probe: describe("metrics.buckets", "Can a call of 3 ms be told from one of 2 s by the buckets?",
		"Seconds in buckets made for milliseconds all fall into the first one: every percentile is then the same.",
		"Give duration histograms in seconds the bounds of the semantic conventions (0.005 … 10), or use exponential ones.",
		"OpenTelemetry HTTP metrics: http.server.request.duration"),
	Needs: lab.Telemetry,
	Alone: true, // after what makes the service measure something of its own
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		waiting, cancel := context.WithTimeout(ctx, lab.Soon)
		defer cancel()
		if m := t.Readable(); m != nil {
			if r, err := t.Valid(ctx, t.Client, m); err == nil {
				t.Client.Do(ctx, r)
			}
		}
		if !t.Sink.Wait(waiting, func() bool { return len(durations(t, "")) > 0 }) {
			return probe.Fail(nil, "no http.server duration arrived")
		}
		for _, p := range durations(t, "") {
			unit := 1.0
			if p.Unit == "ms" {
				unit = 1000
			}
			if p.Instrument == sink.Histogram && bucket(p.Bounds, 0.003*unit) == bucket(p.Bounds, 2*unit) {
				return probe.Fail(nil, "%s (%s) has the bounds %v", p.Name, p.Unit, p.Bounds)
			}
		}
		if p := crude(t); p != nil {
			return probe.Fail(nil, "%s is in seconds (%d values, %.4g s in all) and has the bounds %v, which are for milliseconds", p.Name, p.Count, p.Total, p.Bounds)
		}
		return probe.Pass("%d series", len(durations(t, "")))
	},
}

func bucket(bounds []float64, v float64) int {
	for i, b := range bounds {
		if v <= b {
			return i
		}
	}
	return len(bounds)
}

// odd is how many hosts, paths and verbs are made up, and some how many series
// they may bring about in all.
const (
	odd  = 1000
	some = 40
)

var cardinality = probe.Probe{
	Probe: describe("metrics.cardinality", "Do made-up hosts, paths and verbs leave the number of series as it is?",
		"Each series costs memory here and money at the backend: a stranger who can make them can end both.",
		"Label metrics with the route and known methods (others are _OTHER), never with Host, path or anything else a caller chooses.",
		"OpenTelemetry HTTP metrics", "CWE-770"),
	Needs: lab.Telemetry,
	Alone: true,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		before := t.Sink.Series()
		var callers sync.WaitGroup
		for n := range 8 {
			c := t.NewClient(t.Main)
			callers.Go(func() {
				for i := n; i < odd && ctx.Err() == nil; i += 8 {
					c.Do(ctx, lab.Request{Verb: "GET", Path: fmt.Sprintf("/prover/%d", i)}.With("Host", fmt.Sprintf("host-%d.example", i)))
					c.Do(ctx, lab.Request{Verb: fmt.Sprintf("PROVE%d", i), Path: fmt.Sprintf("/%d", i)})
					if m := t.Readable(); m != nil {
						c.Do(ctx, lab.Request{Verb: m.Verb, Path: m.Pattern}.With("Host", fmt.Sprintf("other-%d.example", i)).With("User-Agent", fmt.Sprintf("prover/%d", i)))
					}
				}
			})
		}
		callers.Wait()
		// The points of a call that comes last come last.
		waiting, cancel := context.WithTimeout(ctx, lab.Soon)
		defer cancel()
		seen := t.Sink.Series()
		settled := 0
		t.Sink.Wait(waiting, func() bool {
			now := t.Sink.Series()
			if total(now) == total(seen) {
				settled++
			} else {
				settled = 0
			}
			seen = now
			return settled > 40
		})
		for name, n := range seen {
			if n-before[name] > some {
				return probe.Fail(nil, "%d calls with made-up hosts, paths and verbs made %d series of %s", 3*odd, n-before[name], name)
			}
		}
		return probe.Pass("%d calls, %d new series in all", 3*odd, total(seen)-total(before))
	},
}

func total(series map[string]int) int {
	n := 0
	for _, v := range series {
		n += v
	}
	return n
}
