package series_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/aguada-dev/aguada/console/series"
	"github.com/aguada-dev/aguada/console/store"
)

const second = int64(1e9)

// The window of these tests: from 1000 s to 1010 s, a second a step.
var window = series.Window{Since: 1000 * second, Until: 1010 * second, Steps: 10}

// point is a point at a second, of a process that started at one.
func point(m *store.Metric, start, at int64, v float64) store.Point {
	return store.Point{Metric: m, Start: start * second, Time: at * second, Value: v}
}

func lines(t *testing.T, points ...store.Point) *series.Line {
	t.Helper()
	st, err := store.Open(store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	st.Add(&store.Batch{Sources: []store.Source{{}}, Points: points})
	all := series.Lines(st, &store.Filter{}, window, func(*store.Series) (string, bool) { return "", true })
	if len(all) != 1 {
		t.Fatalf("%d lines, want one", len(all))
	}
	return all[""]
}

func TestValues(t *testing.T) {
	counter := &store.Metric{Name: []byte("c"), Type: store.Sum, Temporality: store.Cumulative, Monotonic: true}
	delta := &store.Metric{Name: []byte("d"), Type: store.Sum, Temporality: store.Delta, Monotonic: true}
	gauge := &store.Metric{Name: []byte("g"), Type: store.Gauge}
	level := &store.Metric{Name: []byte("l"), Type: store.Sum, Temporality: store.Cumulative}
	none := math.NaN()
	for _, test := range []struct {
		name   string
		points []store.Point
		want   []float64
	}{
		{"a counter", []store.Point{point(counter, 500, 1000, 10), point(counter, 500, 1002, 14), point(counter, 500, 1004, 14)}, []float64{2, 2, 0, 0, none, none, none, none, none, none}},
		{"a counter with a point from before", []store.Point{point(counter, 500, 990, 10), point(counter, 500, 1010, 30)}, []float64{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
		{"a counter that began long ago: what was added is not known", []store.Point{point(counter, 500, 1004, 1000)}, []float64{none, none, none, none, none, none, none, none, none, none}},
		{"a new process", []store.Point{point(counter, 1004, 1006, 6)}, []float64{none, none, none, none, 3, 3, none, none, none, none}},
		{"a restart", []store.Point{point(counter, 500, 1001, 100), point(counter, 1002, 1003, 5)}, []float64{none, none, 5, none, none, none, none, none, none, none}},
		{"a restart that is not told", []store.Point{point(counter, 500, 1001, 100), point(counter, 500, 1003, 5)}, []float64{none, 2.5, 2.5, none, none, none, none, none, none, none}},
		{"out of order", []store.Point{point(counter, 500, 1004, 8), point(counter, 500, 1000, 0), point(counter, 500, 1002, 4)}, []float64{2, 2, 2, 2, none, none, none, none, none, none}},
		{"deltas", []store.Point{point(delta, 1000, 1002, 4), point(delta, 1002, 1004, 6)}, []float64{2, 2, 3, 3, none, none, none, none, none, none}},
		{"a gauge holds", []store.Point{point(gauge, 0, 1002, 7), point(gauge, 0, 1005, 9)}, []float64{none, 7, 7, 7, 9, 9, 9, 9, 9, 9}},
		{"a gauge from before", []store.Point{point(gauge, 0, 950, 7)}, []float64{7, 7, 7, 7, 7, 7, 7, 7, 7, 7}},
		{"a level", []store.Point{point(level, 500, 1009, -3)}, []float64{none, none, none, none, none, none, none, none, -3, -3}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := lines(t, test.points...)
			got := make([]float64, len(l.Values))
			for i := range got {
				if got[i] = none; l.Known[i] {
					got[i] = l.Values[i]
				}
			}
			options := cmp.Options{cmpopts.EquateNaNs(), cmpopts.EquateApprox(0, 1e-9)}
			if diff := cmp.Diff(test.want, got, options); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSeveralProcesses(t *testing.T) {
	gauge := &store.Metric{Name: []byte("g"), Type: store.Gauge}
	level := &store.Metric{Name: []byte("l"), Type: store.Sum, Temporality: store.Cumulative}
	for m, want := range map[*store.Metric]float64{gauge: 3, level: 6} {
		a, b := point(m, 0, 1000, 2), point(m, 0, 1000, 4)
		b.Attrs = []store.Attr{{Key: []byte("other"), Value: store.Value{Kind: store.Bool, Num: 1}}}
		if l := lines(t, a, b); l.Values[9] != want || l.Series != 2 {
			t.Errorf("%s of two series is %v, want %v", m.Name, l.Values[9], want)
		}
	}
}

func TestHistograms(t *testing.T) {
	m := &store.Metric{Name: []byte("h"), Type: store.Histogram, Temporality: store.Cumulative}
	before := store.Point{Metric: m, Start: 500 * second, Time: 1000 * second, Count: 4, Value: 4, Bounds: []float64{1, 2}, Counts: []uint64{4, 0, 0}}
	after := store.Point{Metric: m, Start: 500 * second, Time: 1002 * second, Count: 14, Value: 24, Bounds: []float64{1, 2}, Counts: []uint64{4, 8, 2}}
	l := lines(t, before, after)
	if l.Total.Count != 10 || l.Total.Sum != 20 || l.Dists[0].Count != 5 || l.Values[1] != 5 {
		t.Fatalf("ten values were added, of a sum of 20: %+v, %v", l.Total, l.Values)
	}
	for q, want := range map[float64]float64{0.4: 1.5, 0.8: 2, 0.99: 2} {
		if got, ok := l.Total.Quantile(q); !ok || math.Abs(got-want) > 1e-9 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	x := &store.Metric{Name: []byte("x"), Type: store.ExponentialHistogram, Temporality: store.Delta}
	l = lines(t, store.Point{Metric: x, Start: 1000 * second, Time: 1001 * second, Count: 4, Value: 9, Scale: 0, Zero: 1, Positive: store.Buckets{Offset: 1, Counts: []uint64{2, 0}}, Negative: store.Buckets{Offset: 0, Counts: []uint64{1}}})
	want := map[series.Bucket]float64{{Low: 0, High: 0}: 1, {Low: 2, High: 4}: 2, {Low: -2, High: -1}: 1}
	if diff := cmp.Diff(want, l.Total.Buckets); diff != "" {
		t.Errorf("buckets of base 2 (-want +got):\n%s", diff)
	}
}

// The quantiles of values that are known are off by no more than a bucket.
func TestQuantiles(t *testing.T) {
	if _, ok := (&series.Dist{}).Quantile(0.5); ok {
		t.Error("nothing has a median")
	}
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(1e-3, 1e12), 1, 50).Draw(t, "values")
		var d series.Dist
		least, most := math.Inf(1), 0.0
		for _, v := range values {
			d.Value(v)
			least, most = min(least, v), max(most, v)
		}
		last := 0.0
		for _, q := range []float64{0.01, 0.5, 0.95, 0.99, 1} {
			v, ok := d.Quantile(q)
			if !ok || v < last || v < least*0.97 || v > most*1.03 {
				t.Fatalf("quantile %v of %v is %v, after %v", q, values, v, last)
			}
			last = v
		}
	})
}
