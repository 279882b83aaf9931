package store

import (
	"cmp"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// Scanned says how much a search looked at and how much of that matched.
type Scanned struct{ Looked, Matched int64 }

// Walk calls visit with everything of a signal that f matches, the latest
// arrival first, until visit returns false.
func (s *Store) Walk(sig Signal, f *Filter, visit func(Ref) bool) {
	all := s.snapshot(sig)
	for _, g := range slices.Backward(all) {
		m := f.prepare(sig, g)
		if m == nil {
			continue
		}
		accept := m.accept()
		for i := range slices.Backward(g.rows) {
			if accept(&g.rows[i]) && !visit(Ref{g, i}) {
				return
			}
		}
	}
}

// After calls visit with everything of a signal that f matches and that arrived
// as number seq or later, in order of arrival. It returns the number of the next
// arrival, and how many gave way before they could be looked at.
func (s *Store) After(sig Signal, f *Filter, seq uint64, visit func(Ref)) (next uint64, missed uint64) {
	next = seq
	for _, g := range s.snapshot(sig) {
		end := g.first + uint64(len(g.rows))
		if end <= seq {
			continue
		}
		if g.first > next {
			missed += g.first - next
		}
		begin := max(next, g.first)
		next = end
		m := f.prepare(sig, g)
		if m == nil {
			continue
		}
		accept := m.accept()
		for i := begin - g.first; i < uint64(len(g.rows)); i++ {
			if accept(&g.rows[i]) {
				visit(Ref{g, int(i)})
			}
		}
	}
	return next, missed
}

// Next returns the number of the next arrival.
func (s *Store) Next(sig Signal) uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g := s.growing(sig)
	return g.first + uint64(len(g.rows))
}

// accept returns what says whether a row matches.
func (m *matcher) accept() func(*row) bool {
	if m.sig != Metrics {
		return m.row
	}
	series := m.series()
	return func(r *row) bool { return series[r.name] && m.row(r) }
}

// Each calls visit with everything of a signal that f matches, from several
// goroutines: each has its own worker number below Workers, and its segments in
// order of arrival.
func (s *Store) Each(sig Signal, f *Filter, visit func(worker int, r Ref)) Scanned {
	all := s.snapshot(sig)
	var next, looked, matched atomic.Int64
	var wg sync.WaitGroup
	for w := range Workers() {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(all) {
					return
				}
				g := all[i]
				looked.Add(int64(len(g.rows)))
				m := f.prepare(sig, g)
				if m == nil {
					continue
				}
				var n int64
				accept := m.accept()
				for i := range g.rows {
					if accept(&g.rows[i]) {
						n++
						visit(w, Ref{g, i})
					}
				}
				matched.Add(n)
			}
		})
	}
	wg.Wait()
	return Scanned{looked.Load(), matched.Load()}
}

// Workers is how many goroutines Each uses.
func Workers() int { return min(runtime.GOMAXPROCS(0), 8) }

// Latest returns what of a signal f matches, the latest first, at most limit;
// each is called with all that match, as by Each, unless it is nil.
func (s *Store) Latest(sig Signal, f *Filter, limit int, each func(worker int, r Ref)) ([]Ref, Scanned) {
	tops := make([]top, Workers())
	scanned := s.Each(sig, f, func(w int, r Ref) {
		if each != nil {
			each(w, r)
		}
		tops[w].add(r, limit)
	})
	var all []Ref
	for _, t := range tops {
		all = append(all, t.refs...)
	}
	slices.SortFunc(all, later)
	return all[:min(limit, len(all))], scanned
}

// later orders by time, the latest first.
func later(a, b Ref) int {
	return cmp.Or(cmp.Compare(b.Time(), a.Time()), cmp.Compare(b.Seq(), a.Seq()))
}

// top keeps the latest of what it is given.
type top struct {
	refs  []Ref
	floor int64 // what is earlier is not among the latest
}

func (t *top) add(r Ref, limit int) {
	if t.floor != 0 && r.Time() < t.floor {
		return
	}
	t.refs = append(t.refs, r)
	if len(t.refs) >= 2*limit+64 {
		slices.SortFunc(t.refs, later)
		t.refs = t.refs[:limit]
		t.floor = t.refs[limit-1].Time()
	}
}

// Hit is a trace that a search found.
type Hit struct {
	Trace TraceID
	// Matched is how many of its spans matched, Latest the begin of the last
	// of them, Longest the duration of the longest.
	Matched         int
	Latest, Longest int64
}

// Order says which traces come first.
type Order func(a, b *Hit) int

// Latest puts those with the latest span that matched first.
func Latest(a, b *Hit) int { return cmp.Compare(b.Latest, a.Latest) }

// Slowest puts those with the longest span that matched first.
func Slowest(a, b *Hit) int { return cmp.Compare(b.Longest, a.Longest) }

// Found returns the traces with a span that f matches, at most limit, and how
// many traces there are in all.
func (s *Store) Found(f *Filter, order Order, limit int) (hits []Hit, traces int, scanned Scanned) {
	found := make([]finds, Workers())
	scanned = s.Each(Traces, f, func(w int, r Ref) {
		found[w].add(Hit{r.Trace(), 1, r.Time(), r.Duration()})
	})
	all := &found[0]
	for _, more := range found[1:] {
		for _, h := range more.hits {
			all.add(h)
		}
	}
	traces = len(all.hits)
	return first(all.hits, order, limit), traces, scanned
}

// finds collects the traces of spans that matched.
type finds struct {
	hits []Hit
	at   map[TraceID]int32 // in hits
	last TraceID           // spans of a trace mostly arrive together
	here int32
}

func (f *finds) add(more Hit) {
	if more.Trace != f.last || len(f.hits) == 0 {
		at, ok := f.at[more.Trace]
		if !ok {
			if f.at == nil {
				f.at = make(map[TraceID]int32)
			}
			at = int32(len(f.hits))
			f.at[more.Trace] = at
			f.hits = append(f.hits, Hit{Trace: more.Trace, Latest: math.MinInt64})
		}
		f.last, f.here = more.Trace, at
	}
	h := &f.hits[f.here]
	h.Matched += more.Matched
	h.Latest, h.Longest = max(h.Latest, more.Latest), max(h.Longest, more.Longest)
}

// first returns those that come first, in order, without sorting all.
func first(all []Hit, order Order, limit int) []Hit {
	compare := func(a, b Hit) int { return cmp.Or(order(&a, &b), slices.Compare(a.Trace[:], b.Trace[:])) }
	var some []Hit
	full := false // then the last of some is the last that counts
	for _, h := range all {
		if full && compare(h, some[limit-1]) > 0 {
			continue
		}
		if some = append(some, h); len(some) >= 2*limit+64 {
			slices.SortFunc(some, compare)
			some, full = some[:limit], true
		}
	}
	slices.SortFunc(some, compare)
	return some[:min(limit, len(some))]
}

// Of returns what belongs to a trace, in order of arrival: spans, or log
// records. Evicted is how many of its spans gave way.
func (s *Store) Of(sig Signal, t TraceID) (all []Ref, evicted int) {
	if t == (TraceID{}) {
		return nil, 0
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, g := range s.all[sig] {
		rows := g.of(t)
		if len(rows) == 0 {
			continue
		}
		seen := g
		if g.sealed == 0 {
			now := *g
			seen = &now
		}
		for _, i := range rows {
			all = append(all, Ref{seen, i})
		}
	}
	return all, int(s.partial[t])
}
