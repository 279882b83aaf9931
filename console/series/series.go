// Package series lays the points of metrics out over time.
//
//	w := series.Window{Since: from, Until: to, Steps: 120}
//	lines := series.Lines(st, &store.Filter{Metric: "http.server.request.duration"}, w, by)
//
// Of what only grows, and of histograms, a step holds what was added in it,
// whether points count from the one before or from the start of the process, and
// over restarts of the process. Of everything else it holds the value at its
// end. What was added between two points is spread evenly over the time between
// them.
package series

import (
	"cmp"
	"slices"

	"github.com/aguada-dev/aguada/console/store"
)

// Window is a time that is divided into steps of the same length.
type Window struct {
	Since, Until int64 // nanoseconds since 1970
	Steps        int
}

// Step is the length of a step in nanoseconds, 1 at least.
func (w Window) Step() int64 { return max((w.Until-w.Since)/int64(max(w.Steps, 1)), 1) }

// Seconds is the length of the window.
func (w Window) Seconds() float64 { return float64(max(w.Until-w.Since, 1)) / 1e9 }

// Line is the sum of some series over time.
type Line struct {
	Key    string
	First  store.Series // one of them
	Series int          // how many they are
	Values []float64    // of each step, where Known
	Known  []bool
	Dists  []Dist // of histograms
	Total  Dist   // of histograms, over the whole window
}

// Adds reports whether the values of a series are what was added in each step.
func Adds(s *store.Series) bool {
	return s.Type == store.Sum && s.Monotonic || s.Type == store.Sum && s.Temporality == store.Delta ||
		s.Type == store.Histogram || s.Type == store.ExponentialHistogram
}

// lookback is how much earlier than the window a point may be that the first one
// in it is compared with: exporters send once a minute by default.
const lookback = 3 * 60 * int64(1e9)

// gap is the longest time over which a value holds without a new point.
const gap = 3 * 60 * int64(1e9)

// Lines returns a line for each key that by gives to series; a series for which
// by returns false is left out.
func Lines(st *store.Store, f *store.Filter, w Window, by func(*store.Series) (string, bool)) map[string]*Line {
	lines := make(map[string]*Line)
	for _, s := range collect(st, f, w, by) {
		l := lines[s.key]
		if l == nil {
			l = &Line{Key: s.key, First: s.Series, Values: make([]float64, w.Steps), Known: make([]bool, w.Steps)}
			if s.Type >= store.Histogram {
				l.Dists = make([]Dist, w.Steps)
			}
			lines[s.key] = l
		}
		l.Series++
		l.add(s, w)
	}
	for _, l := range lines {
		if l.First.Type == store.Gauge { // of several, the mean: a sum of temperatures is none
			for i := range l.Values {
				l.Values[i] /= float64(l.Series)
			}
		}
	}
	return lines
}

// one is a series with its points in order of time.
type one struct {
	store.Series
	key    string
	points []store.Ref
}

// collect finds the series, each once, however many segments it is in.
func collect(st *store.Store, f *store.Filter, w Window, by func(*store.Series) (string, bool)) []*one {
	wide := *f
	wide.Since, wide.Until = w.Since-lookback, w.Until
	var all []*one
	found := make(map[string]*one)
	local := make(map[store.Local]*one) // the same in one segment: found without its text
	st.Walk(store.Metrics, &wide, func(r store.Ref) bool {
		s, ok := local[r.Local()]
		if !ok {
			series := r.Series()
			id := series.ID()
			if s, ok = found[id]; !ok {
				if key, in := by(&series); in {
					s = &one{Series: series, key: key}
					all = append(all, s)
				}
				found[id] = s
			}
			local[r.Local()] = s
		}
		if s != nil {
			s.points = append(s.points, r)
		}
		return true
	})
	for _, s := range all {
		slices.SortStableFunc(s.points, func(a, b store.Ref) int { return cmp.Compare(a.Time(), b.Time()) })
	}
	return all
}

// add adds a series to the line.
func (l *Line) add(s *one, w Window) {
	var before *store.Point
	for _, r := range s.points {
		p := r.Point()
		if Adds(&s.Series) {
			l.added(s, &p, before, w)
		} else if before != nil {
			l.hold(before, p.Time, w)
		}
		before = &p
	}
	if before != nil && !Adds(&s.Series) {
		l.hold(before, before.Time+gap, w)
	}
}

// added spreads what was added since the point before over the steps between.
func (l *Line) added(s *one, p, before *store.Point, w Window) {
	since := p.Start
	switch {
	case s.Temporality == store.Delta:
		before = nil
	case before == nil && p.Start < w.Since-lookback:
		return // what of it was added in the window is not known
	case before != nil && before.Start == p.Start && grown(s.Type, p, before):
		since = before.Time
	case before != nil: // a new process, even if it does not tell
		since, before = max(p.Start, before.Time), nil
	}
	if since <= 0 || since > p.Time {
		since = p.Time
	}
	var d *Dist
	var value float64
	if s.Type >= store.Histogram {
		d = difference(s.Type, p, before)
		value = d.Count
	} else if value = p.Value; before != nil {
		value -= before.Value
	}
	l.spread(since, p.Time, w, func(step int, share float64) {
		l.Known[step] = true
		l.Values[step] += value * share
		if d != nil && value > 0 {
			l.Dists[step].Merge(d, share)
			l.Total.Merge(d, share)
		}
	})
}

// grown reports whether a point can come after the one before in the same
// process: some SDKs do not tell a new start.
func grown(t store.Type, p, before *store.Point) bool {
	if t >= store.Histogram {
		return p.Count >= before.Count
	}
	return p.Value >= before.Value
}

// spread calls f for the steps that the time from since to until touches, with
// the share of it that is in each.
func (l *Line) spread(since, until int64, w Window, f func(step int, share float64)) {
	size, last := w.Step(), int64(w.Steps-1)
	if until <= w.Since || since > w.Until {
		return
	}
	if since >= until {
		f(int(min((until-w.Since)/size, last)), 1)
		return
	}
	whole := float64(until - since)
	for at := max(since, w.Since); at < min(until, w.Until); {
		step := min((at-w.Since)/size, last)
		end := w.Since + (step+1)*size
		if step == last {
			end = w.Until
		}
		end = min(end, until)
		if end <= at {
			return
		}
		f(int(step), float64(end-at)/whole)
		at = end
	}
}

// hold has a value last until before the next point: in every step it is the
// value at the step's end.
func (l *Line) hold(p *store.Point, until int64, w Window) {
	size := w.Step()
	until = min(until, p.Time+gap)
	for step := max((p.Time-w.Since+size-1)/size-1, 0); step < int64(w.Steps) && w.Since+(step+1)*size < until; step++ {
		if w.Since+(step+1)*size >= p.Time {
			l.Known[step] = true
			l.Values[step] += p.Value
		}
	}
}
