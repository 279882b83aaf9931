package observability

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/sink"
)

// defaults are the bounds of histograms that nobody has given any (OpenTelemetry
// metrics SDK): they are good for milliseconds.
var defaults = []float64{0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000}

// crude returns a histogram of the service's own, in seconds, whose buckets were
// made for milliseconds; nil where there is none.
func crude(t *probe.Try) *sink.Point {
	for _, p := range t.Sink.Metrics(func(p *sink.Point) bool { return p.Instrument == sink.Histogram && p.Count > 0 }) {
		seconds := p.Unit == "s" || p.Unit == "" && strings.HasSuffix(p.Name, "_seconds")
		if seconds && slices.Equal(p.Bounds, defaults) {
			return p
		}
	}
	return nil
}

// varied is how many values are made up.
const varied = 100

var values = probe.Probe{
	Probe: describe("metrics.values", "Do made-up values of payloads leave the number of series as it is?",
		"Each series costs memory here and money at the backend: whoever may call can end both by one loop.",
		"Label metrics with values of a fixed set only; what callers write belongs into a log or a span.",
		"OpenTelemetry metrics: cardinality limits", "CWE-770"),
	Needs: lab.Telemetry | lab.Floods,
	Each:  func(m *model.Method) bool { return probe.WithBody(m) && len(free(m)) > 0 },
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := t.Valid(ctx, t.Client, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		r = t.Sign(r, t.Method, lab.Good)
		var body map[string]any
		if err := json.Unmarshal(r.Body, &body); err != nil {
			return probe.Skip("the body is no object: %v", err)
		}
		names, served := free(t.Method), 0
		for i := range varied {
			for _, name := range names {
				body[name] = fmt.Sprintf("prover-value-%04d", i)
			}
			if r.Body, err = json.Marshal(body); err != nil {
				return probe.Skip("%v", err)
			}
			if a := t.Client.Do(ctx, r); lab.Succeeds(t.Method, a) {
				served++
			}
		}
		// What there is of them comes with the points of the last call.
		waiting, cancel := context.WithTimeout(ctx, lab.Soon/2)
		defer cancel()
		var found map[string]int
		if t.Sink.Wait(waiting, func() bool { found = labelled(t); return len(found) > 0 }) {
			for name, n := range found {
				return probe.Fail(nil, "%d calls with made-up values made %d series of %s with these values", served, n, name)
			}
		}
		return probe.Pass("%d of %d calls with made-up %s were served; no series has such a value", served, varied, strings.Join(names, ", "))
	},
}

// labelled counts the series by metric that have a made-up value, where there
// are too many.
func labelled(t *probe.Try) map[string]int {
	n := map[string]int{}
	for _, p := range t.Sink.Metrics(func(*sink.Point) bool { return true }) {
		for _, a := range p.Attributes {
			if strings.HasPrefix(sink.String(a.Value), "prover-value-") {
				n[p.Name]++
				break
			}
		}
	}
	for name, series := range n {
		if series < varied/4 {
			delete(n, name)
		}
	}
	return n
}

// free returns the members of a body that may be any text.
func free(m *model.Method) (names []string) {
	for name, s := range m.Body.Resolved().Properties {
		if s = s.Resolved(); s.Type == "string" && len(s.Enum) == 0 && s.Pattern == "" && s.Format == "" && (s.MaxLength == nil || *s.MaxLength >= 17) && (s.MinLength == nil || *s.MinLength <= 17) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
