package store

import (
	"hash/maphash"
	"math"
	"slices"
	"unsafe"
)

// row is the part of a span, log record or point that has columns.
type row struct {
	trace  TraceID
	span   SpanID
	parent SpanID // of a span
	time   int64  // the start of a span
	extra  int64  // a span's duration; where a point counts from
	name   uint32 // a span's name, a log's event, a point's series: in the dictionary
	source uint32 // index in segment.sources
	data   uint32 // where in data the rest is
	next   uint32 // one more than the row of the same trace before this one; 0 if none is
	kind   uint8  // of a span; severity of a log; type of a point
	status uint8  // of a span
}

const rowSize = int(unsafe.Sizeof(row{}))

// source is a resource and scope of a segment.
type source struct {
	service  uint32 // service.name
	instance uint32 // service.instance.id
	resource uint32 // packed attributes, in the dictionary
	scope    uint32
	version  uint32
}

// sighting is when a source sent, and how much.
type sighting struct {
	last int64 // the latest time of its items
	n    int64
}

// segment holds telemetry of one signal that arrived one after the other. It
// only grows, until it is sealed; it is given up as a whole. What grows does so
// by appending, so that a copy of a segment can be read while it goes on.
type segment struct {
	first   uint64 // the number of its first row, of all that ever arrived
	rows    []row
	data    []byte // what has no column, packed
	dict    dict
	sources []source
	seen    []sighting // of each source
	traces  []uint64   // by hash: the upper half of a trace's hash, and one more than its last row; nil of points
	heads   int        // how many traces there are
	oldest  int64      // the earliest time
	newest  int64      // the latest time
	sealed  int64      // when it was sealed, 0 until then
	id      int64      // in the file; 0 if it is not there
}

func newSegment(first uint64, traced bool) *segment {
	s := &segment{first: first, dict: newDict(), oldest: math.MaxInt64, newest: math.MinInt64}
	s.data = append(s.data, 0) // so that no offset is 0
	if traced {
		s.traces = make([]uint64, 256)
	}
	return s
}

// size is what the segment holds in memory, in bytes.
func (s *segment) size() int {
	return cap(s.rows)*rowSize + cap(s.data) + s.dict.size() + cap(s.sources)*int(unsafe.Sizeof(source{})+unsafe.Sizeof(sighting{})) + 8*cap(s.traces)
}

// seal ends the growth: what was kept in reserve for it is given back.
func (s *segment) seal(now int64) {
	s.dict.table = nil
	s.rows, s.data, s.sources = exact(s.rows), exact(s.data), exact(s.sources)
	s.dict.text, s.dict.ends = exact(s.dict.text), exact(s.dict.ends)
	s.sealed = now
}

func exact[T any](all []T) []T {
	if cap(all)-len(all) < len(all)/16 {
		return all
	}
	return append(make([]T, 0, len(all)), all...)
}

// add appends a row whose data has just been packed, and that lasts until end.
func (s *segment) add(r row, end int64) {
	s.oldest, s.newest = min(s.oldest, r.time), max(s.newest, end)
	from := &s.seen[r.source]
	from.last = max(from.last, end)
	from.n++
	if s.traces == nil || r.trace == (TraceID{}) {
		s.rows = append(s.rows, r)
		return
	}
	slot, last := s.head(r.trace)
	r.next = last
	s.rows = append(s.rows, r)
	s.traces[slot] = hashTrace(r.trace)&tagMask | uint64(len(s.rows))
	if last == 0 {
		if s.heads++; 2*s.heads > len(s.traces) {
			s.growTraces()
		}
	}
}

// tagMask selects the half of a trace's hash that the table holds.
const tagMask = 0xffffffff << 32

// hashTrace hashes: ids are random by their standard, and yet chosen by whoever
// sends them.
func hashTrace(t TraceID) uint64 { return maphash.Bytes(seed, t[:]) }

// head returns the slot of a trace, and one more than its last row; 0 if it has
// none.
func (s *segment) head(t TraceID) (slot uint64, last uint32) {
	h := hashTrace(t)
	mask := uint64(len(s.traces) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		e := s.traces[i]
		if e == 0 {
			return i, 0
		}
		if e&tagMask == h&tagMask && s.rows[uint32(e)-1].trace == t {
			return i, uint32(e)
		}
	}
}

func (s *segment) growTraces() {
	old := s.traces
	s.traces = make([]uint64, 2*len(old))
	for _, e := range old {
		if e != 0 {
			slot, _ := s.head(s.rows[uint32(e)-1].trace)
			s.traces[slot] = e
		}
	}
}

// has reports whether the segment has something of a trace.
func (s *segment) has(t TraceID) bool {
	_, last := s.head(t)
	return last != 0
}

// of returns the rows of a trace, the first first.
func (s *segment) of(t TraceID) []int {
	var all []int
	_, at := s.head(t)
	for ; at != 0; at = s.rows[at-1].next {
		all = append(all, int(at-1))
	}
	slices.Reverse(all)
	return all
}

// each calls f for every trace of the segment with the number of its rows.
func (s *segment) each(f func(t TraceID, n int)) {
	for _, e := range s.traces {
		if e == 0 {
			continue
		}
		n, t := 0, s.rows[uint32(e)-1].trace
		for at := uint32(e); at != 0; at = s.rows[at-1].next {
			n++
		}
		f(t, n)
	}
}

// recent is how many sources are looked at for one that is there already.
const recent = 64

// origin returns what of a source its resource says.
func (s *segment) origin(resource []Attr) source {
	var n source
	for _, a := range resource {
		switch string(a.Key) {
		case "service.name":
			n.service = s.dict.id(a.Value.Bytes)
		case "service.instance.id":
			n.instance = s.dict.id(a.Value.Bytes)
		}
	}
	n.resource = s.dict.id(s.attrs(nil, resource))
	return n
}

// source returns the index of a source, which it adds if it is new.
func (s *segment) source(n source) uint32 {
	// Exporters send the same ones again and again; of the others, one more does
	// no harm, and a search through all would.
	for i := len(s.sources) - 1; i >= max(0, len(s.sources)-recent); i-- {
		if s.sources[i] == n {
			return uint32(i)
		}
	}
	s.sources = append(s.sources, n)
	s.seen = append(s.seen, sighting{})
	return uint32(len(s.sources) - 1)
}
