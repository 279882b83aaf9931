package api

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math"
	"slices"

	"github.com/aguada-dev/aguada/console/gen/console"
	"github.com/aguada-dev/aguada/console/series"
	"github.com/aguada-dev/aguada/console/store"
)

// Names of OTLP's types and temporalities.
var (
	typeNames     = [...]string{"", "gauge", "sum", "histogram", "exponential_histogram", "summary"}
	temporalities = [...]string{"", "delta", "cumulative"}
)

// Bounds of what is shown of a metric.
const (
	maxLines     = 50
	maxExemplars = 200
	maxBuckets   = 60
)

// together is what series are put together by, whatever their attributes.
const together = "-"

// number returns a number for JSON, which lacks some.
func number(f float64) any {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return f
}

// Instruments implements console.Service.
func (s *Service) Instruments(_ context.Context, p *console.InstrumentsPayload) ([]*console.Instrument, error) {
	w, err := s.window(p.Since, p.Until, 1)
	if err != nil {
		return nil, err
	}
	type known struct {
		*console.Instrument
		services, attributes, series map[string]bool
	}
	all := make(map[string]*known)
	local := make(map[store.Local]bool)
	s.store.Walk(store.Metrics, &store.Filter{Since: w.Since, Until: w.Until, Service: text(p.Service)}, func(r store.Ref) bool {
		if local[r.Local()] {
			return true
		}
		local[r.Local()] = true
		of := r.Series()
		name := valid(of.Name)
		k := all[name]
		if k == nil {
			k = &known{&console.Instrument{
				Name: name, Description: optional(valid(of.Description)), Unit: valid(of.Unit), Type: typeNames[of.Type],
				Monotonic: of.Monotonic, Temporality: optional(temporalities[of.Temporality]),
			}, make(map[string]bool), make(map[string]bool), make(map[string]bool)}
			all[name] = k
		}
		k.services[of.Service], k.series[of.ID()] = true, true
		for _, a := range of.Attrs {
			k.attributes[valid(a.Key)] = true
		}
		return true
	})
	out := make([]*console.Instrument, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		k := all[name]
		k.Services, k.Attributes = slices.Sorted(maps.Keys(k.services)), slices.Sorted(maps.Keys(k.attributes))
		k.Instrument.Series = len(k.series)
		if k.Attributes == nil {
			k.Attributes = []string{}
		}
		out = append(out, k.Instrument)
	}
	return out, nil
}

// Series implements console.Service.
func (s *Service) Series(_ context.Context, p *console.SeriesPayload) (*console.MetricSeries, error) {
	w, err := s.window(p.Since, p.Until, p.Steps)
	if err != nil {
		return nil, err
	}
	f, err := s.filter(p.Since, p.Until, p.Service, nil, p.Attr)
	if err != nil {
		return nil, err
	}
	if text(p.Name) == "" {
		return nil, badf("name: give the metric to show")
	}
	f.Metric = *p.Name
	by := text(p.By)
	lines := slices.Collect(maps.Values(series.Lines(s.store, f, w, func(v *store.Series) (string, bool) {
		switch by {
		case "":
		case together:
			return "", true
		default:
			return v.Attr(by), true
		}
		v.Instance = "" // instances of a service are one line
		return v.ID(), true
	})))
	if len(lines) == 0 {
		return nil, console.MakeNotFound(errors.New("no point of this metric is here for that time and those filters"))
	}
	slices.SortFunc(lines, func(a, b *series.Line) int {
		return cmp.Or(cmp.Compare(size(b), size(a)), cmp.Compare(a.Key, b.Key))
	})
	first := &lines[0].First
	adds := series.Adds(first)
	out := &console.MetricSeries{
		Name: *p.Name, Unit: valid(first.Unit), Type: typeNames[first.Type], Rate: adds && first.Type == store.Sum,
		More: max(0, len(lines)-maxLines), Exemplars: s.exemplars(f),
	}
	for i := range w.Steps {
		out.Times = append(out.Times, stamp(w.Since+int64(i+1)*w.Step()))
	}
	for _, l := range lines[:min(len(lines), maxLines)] {
		out.Series = append(out.Series, line(l, w, by))
	}
	if first.Type == store.Histogram || first.Type == store.ExponentialHistogram {
		out.Heat = heat(lines, w)
	}
	return out, nil
}

// size orders lines: by all that was added, or by the last value.
func size(l *series.Line) float64 {
	var n float64
	for i, v := range l.Values {
		if l.Known[i] && series.Adds(&l.First) {
			n += v
		} else if l.Known[i] {
			n = v
		}
	}
	return n
}

// line converts a line. Values of what adds up are per second.
func line(l *series.Line, w series.Window, by string) *console.Line {
	out := &console.Line{Service: optional(l.First.Service), Attributes: attributes(l.First.Attrs), Values: make([]any, w.Steps)}
	if by != "" {
		out.Attributes = map[string]any{by: l.First.Attr(by)}
		if by == together {
			out.Attributes = nil
		}
		if l.Series > 1 {
			out.Service = nil
		}
	}
	seconds := float64(w.Step()) / 1e9
	distributed := l.Dists != nil && series.Adds(&l.First)
	if distributed {
		out.P50, out.P95, out.P99, out.Count = make([]any, w.Steps), make([]any, w.Steps), make([]any, w.Steps), make([]any, w.Steps)
	}
	for i, v := range l.Values {
		switch {
		case !l.Known[i]:
		case distributed:
			d := &l.Dists[i]
			out.Count[i] = v / seconds
			if d.Count > 0 {
				out.Values[i] = number(d.Sum / d.Count)
			}
			for q, to := range map[float64][]any{0.5: out.P50, 0.95: out.P95, 0.99: out.P99} {
				if v, ok := d.Quantile(q); ok {
					to[i] = number(v)
				}
			}
		case series.Adds(&l.First):
			out.Values[i] = number(v / seconds)
		default:
			out.Values[i] = number(v)
		}
	}
	return out
}

// heat lays the values of all lines out by step and bucket.
func heat(lines []*series.Line, w series.Window) *console.Heat {
	highs := make(map[float64]bool)
	for _, l := range lines {
		for b := range l.Total.Buckets {
			highs[b.High] = true
		}
	}
	bounds := slices.Sorted(maps.Keys(highs))
	if n := len(bounds); n > 0 && math.IsInf(bounds[n-1], 1) {
		bounds = bounds[:n-1]
	}
	for len(bounds) > maxBuckets { // every other one
		kept := bounds[:0]
		for i := 1; i < len(bounds); i += 2 {
			kept = append(kept, bounds[i])
		}
		bounds = kept
	}
	out := &console.Heat{Bounds: bounds, Counts: make([][]float64, w.Steps)}
	for i := range out.Counts {
		out.Counts[i] = make([]float64, len(bounds)+1)
		for _, l := range lines {
			for b, n := range l.Dists[i].Buckets {
				at, _ := slices.BinarySearch(bounds, b.High)
				out.Counts[i][at] += n
			}
		}
	}
	return out
}

// exemplars returns the latest ones that have a trace.
func (s *Service) exemplars(f *store.Filter) []*console.Exemplar {
	out := []*console.Exemplar{}
	seen := make(map[string]bool)
	s.store.Walk(store.Metrics, f, func(r store.Ref) bool {
		p := r.Point()
		for i := range p.Exemplars {
			e := &p.Exemplars[i]
			if e.Trace == (store.TraceID{}) || e.Time < f.Since || math.IsNaN(e.Value) || math.IsInf(e.Value, 0) {
				continue
			}
			key := hexTrace(e.Trace) + spanID(e.Span)
			if seen[key] { // cumulative ones are sent again and again
				continue
			}
			seen[key] = true
			out = append(out, &console.Exemplar{
				Time: stamp(e.Time), Value: e.Value, TraceID: hexTrace(e.Trace), SpanID: optionalSpan(e.Span), Attributes: attributes(e.Attrs),
			})
		}
		return len(out) < maxExemplars
	})
	return out
}
