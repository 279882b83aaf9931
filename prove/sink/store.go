package sink

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
)

// Dropped counts what went because the sink keeps no more than Config.MaxBytes.
type Dropped struct {
	Spans, Series, Records, Texts int
}

// Rejected counts what came and is not valid, so that the sender was told.
type Rejected struct {
	// Requests are those that could not be decoded, or were too large; over gRPC
	// without those larger than Config.MaxRequest, which gRPC itself turns away.
	Requests               int
	Spans, Points, Records int
}

// store keeps what came. Slices are only appended to or replaced, and what is in
// them does not change, so that they are read without the lock.
type store struct {
	lock     sync.Mutex
	max      int
	bytes    int
	seq      uint64
	spans    []*Span
	traces   map[string][]*Span
	records  []*Record
	series   map[series]*Point
	texts    []other
	known    map[Text]bool // of texts
	origins  map[string]*Origin
	dropped  Dropped
	rejected Rejected
	changed  chan struct{} // closed, and replaced, when something came
}

// series is what a series is known by.
type series struct {
	origin     *Origin
	name       string
	instrument Instrument
	labels     string
}

// other is a text that no span, record or point holds.
type other struct {
	Text
	seq uint64
}

func newStore(limit int) store {
	return store{
		max: limit, traces: map[string][]*Span{}, series: map[series]*Point{}, known: map[Text]bool{},
		origins: map[string]*Origin{}, changed: make(chan struct{}),
	}
}

// Spans returns the spans, in the order in which they came; those that keep is
// true for, unless it is nil.
func (s *store) Spans(keep func(*Span) bool) []*Span {
	s.lock.Lock()
	all := s.spans
	s.lock.Unlock()
	return filter(all, keep)
}

// Trace returns the spans of a trace, in the order in which they came.
func (s *store) Trace(id string) []*Span {
	s.lock.Lock()
	defer s.lock.Unlock()
	return slices.Clone(s.traces[id])
}

// Logs returns the log records, in the order in which they came; those that keep
// is true for, unless it is nil.
func (s *store) Logs(keep func(*Record) bool) []*Record {
	s.lock.Lock()
	all := s.records
	s.lock.Unlock()
	return filter(all, keep)
}

// Metrics returns the latest point of each series, in the order in which those
// came; those that keep is true for, unless it is nil.
func (s *store) Metrics(keep func(*Point) bool) []*Point {
	s.lock.Lock()
	all := slices.Collect(maps.Values(s.series))
	s.lock.Unlock()
	slices.SortFunc(all, func(a, b *Point) int { return cmp.Compare(a.seq, b.seq) })
	return filter(all, keep)
}

// Series returns how many different sets of attributes each metric has come with,
// whatever its origin, by its name.
func (s *store) Series() map[string]int {
	type set struct{ name, labels string }
	sets := map[set]bool{}
	s.lock.Lock()
	for _, p := range s.series {
		sets[set{p.Name, p.labels}] = true
	}
	s.lock.Unlock()
	count := map[string]int{}
	for k := range sets {
		count[k.name]++
	}
	return count
}

// Dropped returns what went for want of room.
func (s *store) Dropped() Dropped {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.dropped
}

// Rejected returns what was not valid.
func (s *store) Rejected() Rejected {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.rejected
}

// Wait returns true once the condition is, and false when ctx ends before. The
// condition is asked at once and each time something came; it may call any of
// the sink's methods.
func (s *store) Wait(ctx context.Context, condition func() bool) bool {
	for {
		s.lock.Lock()
		changed := s.changed
		s.lock.Unlock()
		if condition() {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return condition()
		}
	}
}

func filter[T any](all []*T, keep func(*T) bool) []*T {
	if keep == nil {
		return slices.Clone(all)
	}
	var some []*T
	for _, v := range all {
		if keep(v) {
			some = append(some, v)
		}
	}
	return some
}

// change makes a change under the lock, brings what is kept within the limit, and
// wakes those who wait.
func (s *store) change(f func()) {
	s.lock.Lock()
	defer s.lock.Unlock()
	f()
	if s.bytes > s.max {
		s.evict(s.max - s.max/8) // some more, so that it is seldom
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// next numbers what comes.
func (s *store) next() uint64 {
	s.seq++
	return s.seq
}

// keep takes what a request brought.
func (s *store) keep(b *batch, sig *signal) {
	s.change(func() {
		sig.count(&s.rejected, b.rejected)
		for i := range b.parts {
			p := &b.parts[i]
			o := s.origin(p.key, p.origin)
			for _, v := range p.spans {
				v.seq, v.Origin = s.next(), o
				s.spans = append(s.spans, v)
				s.traces[v.TraceID] = append(s.traces[v.TraceID], v)
				s.hold(o, v.size)
			}
			for _, v := range p.records {
				v.seq, v.Origin = s.next(), o
				s.records = append(s.records, v)
				s.hold(o, v.size)
			}
			for _, v := range p.points {
				v.seq, v.Origin = s.next(), o
				s.hold(o, v.size)
				s.addPoint(v)
			}
			if o.refs == 0 { // all was rejected
				o.text(s.addText)
				s.forget(o)
			}
		}
		for _, t := range b.texts {
			s.addText(t)
		}
	})
}

// refused counts a request that could not be read.
func (s *store) refused() {
	s.change(func() { s.rejected.Requests++ })
}

// addPoint puts the point in the place of the one before it in its series. Of
// that, only the exemplars tell what the new one may not.
func (s *store) addPoint(v *Point) {
	key := series{v.Origin, v.Name, v.Instrument, v.labels}
	if before := s.series[key]; before != nil {
		before.exemplarTexts(s.addText)
		s.release(before.Origin, before.size)
	}
	s.series[key] = v
}

// addText keeps a text that has no other place, once. It returns true, for more.
func (s *store) addText(t Text) bool {
	if !s.known[t] {
		s.known[t] = true
		s.texts = append(s.texts, other{t, s.next()})
		s.bytes += t.size()
	}
	return true
}

// origin returns the one Origin of its key, which is this if there was none.
func (s *store) origin(key string, o *Origin) *Origin {
	if known := s.origins[key]; known != nil {
		return known
	}
	o.key = key
	o.size += len(key)
	s.origins[key] = o
	s.bytes += o.size
	return o
}

func (s *store) hold(o *Origin, size int) {
	o.refs++
	s.bytes += size
}

func (s *store) release(o *Origin, size int) {
	s.bytes -= size
	o.refs--
	s.forget(o)
}

// forget drops an origin that nothing is kept of.
func (s *store) forget(o *Origin) {
	if o.refs == 0 && s.origins[o.key] == o {
		s.bytes -= o.size
		delete(s.origins, o.key)
	}
}

// evict drops the oldest of everything until no more than limit bytes are kept.
func (s *store) evict(limit int) {
	points := slices.SortedFunc(maps.Values(s.series), func(a, b *Point) int { return cmp.Compare(a.seq, b.seq) })
	spans, records, texts := s.spans, s.records, s.texts
	for s.bytes > limit {
		oldest := slices.Min([]uint64{
			first(spans, func(v *Span) uint64 { return v.seq }), first(records, func(v *Record) uint64 { return v.seq }),
			first(points, func(v *Point) uint64 { return v.seq }), first(texts, func(v other) uint64 { return v.seq }),
		})
		switch {
		case oldest == none:
			limit = s.bytes // nothing is left
		case len(spans) > 0 && spans[0].seq == oldest:
			s.release(spans[0].Origin, spans[0].size)
			s.dropped.Spans++
			spans = spans[1:]
		case len(records) > 0 && records[0].seq == oldest:
			s.release(records[0].Origin, records[0].size)
			s.dropped.Records++
			records = records[1:]
		case len(points) > 0 && points[0].seq == oldest:
			v := points[0]
			delete(s.series, series{v.Origin, v.Name, v.Instrument, v.labels})
			s.release(points[0].Origin, points[0].size)
			s.dropped.Series++
			points = points[1:]
		default:
			delete(s.known, texts[0].Text)
			s.bytes -= texts[0].size()
			s.dropped.Texts++
			texts = texts[1:]
		}
	}
	// New ones, so that what went is not held on to.
	s.spans, s.records, s.texts = slices.Clone(spans), slices.Clone(records), slices.Clone(texts)
	s.traces = map[string][]*Span{}
	for _, v := range s.spans {
		s.traces[v.TraceID] = append(s.traces[v.TraceID], v)
	}
}

// none is no number of anything.
const none = ^uint64(0)

func first[T any](of []T, seq func(T) uint64) uint64 {
	if len(of) == 0 {
		return none
	}
	return seq(of[0])
}
