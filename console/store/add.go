package store

import (
	"encoding/binary"
	"math"
)

// places adds a batch. It remembers which sources of it are in the segment that
// grows.
type places struct {
	store   *Store
	batch   *Batch
	seg     *segment
	sources []int64 // one more than the index in seg.sources, by index in the batch
	of      []Attr  // the resource that origin was made of: scopes share it
	origin  source
}

// begin returns the segment to add to.
func (p *places) begin(sig Signal) *segment {
	g := p.store.growing(sig)
	if g != p.seg {
		p.seg, p.sources, p.of = g, make([]int64, len(p.batch.Sources)), nil
	}
	return g
}

func (p *places) source(i int) uint32 {
	if p.sources[i] == 0 {
		from := &p.batch.Sources[i]
		if p.of == nil || len(from.Resource) != len(p.of) || len(p.of) > 0 && &from.Resource[0] != &p.of[0] {
			p.of, p.origin = from.Resource, p.seg.origin(from.Resource)
		}
		n := p.origin
		n.scope, n.version = p.seg.dict.id(from.Scope), p.seg.dict.id(from.Version)
		p.sources[i] = 1 + int64(p.seg.source(n))
	}
	return uint32(p.sources[i] - 1)
}

func (p *places) span(v *Span) {
	g := p.begin(Traces)
	r := row{
		trace: v.Trace, span: v.ID, parent: v.Parent, time: v.Start, extra: max(v.End-v.Start, 0),
		name: g.dict.id(v.Name), source: p.source(v.Source), kind: v.Kind, status: v.Status,
	}
	b := g.data
	r.data = uint32(len(b))
	b = g.attrs(b, v.Attrs)
	b = g.text(b, v.Message)
	b = binary.AppendUvarint(b, uint64(v.Dropped))
	b = binary.AppendUvarint(b, uint64(len(v.Events)))
	for i := range v.Events {
		e := &v.Events[i]
		b = binary.AppendVarint(b, e.Time-v.Start)
		b = g.text(b, e.Name)
		b = g.attrs(b, e.Attrs)
	}
	b = binary.AppendUvarint(b, uint64(len(v.Links)))
	for i := range v.Links {
		l := &v.Links[i]
		b = append(b, l.Trace[:]...)
		b = append(b, l.Span[:]...)
		b = g.attrs(b, l.Attrs)
	}
	g.data = b
	g.add(r, r.time+r.extra)
	p.store.settle(Traces)
}

func (p *places) log(v *Log) {
	g := p.begin(Logs)
	r := row{
		trace: v.Trace, span: v.Span, time: v.Time, name: g.dict.id(v.Event), source: p.source(v.Source), kind: v.Severity,
	}
	r.data = uint32(len(g.data))
	b := g.attrs(g.data, v.Attrs)
	b = g.value(b, v.Body)
	g.data = g.text(b, v.Level)
	g.add(r, r.time)
	p.store.settle(Logs)
}

func (p *places) point(v *Point) {
	g := p.begin(Metrics)
	from := p.source(v.Source)
	r := row{time: v.Time, extra: v.Start, source: from, name: g.dict.id(g.series(v, from)), kind: uint8(v.Metric.Type)}
	r.data = uint32(len(g.data))
	b := appendFloat(g.data, v.Value)
	if v.Metric.Type >= Histogram {
		b = binary.AppendUvarint(b, v.Count)
		b = appendFloat(appendFloat(b, v.Min), v.Max)
	}
	switch v.Metric.Type {
	case Histogram:
		b = g.text(b, floats(v.Bounds))
		b = counts(b, v.Counts)
	case ExponentialHistogram:
		b = binary.AppendVarint(b, int64(v.Scale))
		b = binary.AppendUvarint(b, v.Zero)
		for _, side := range []*Buckets{&v.Positive, &v.Negative} {
			b = counts(binary.AppendVarint(b, int64(side.Offset)), side.Counts)
		}
	case Summary:
		b = g.text(b, floats(v.Quantiles))
	}
	b = binary.AppendUvarint(b, uint64(len(v.Exemplars)))
	for i := range v.Exemplars {
		e := &v.Exemplars[i]
		b = appendFloat(binary.AppendVarint(b, e.Time), e.Value)
		b = append(append(b, e.Trace[:]...), e.Span[:]...)
		b = g.attrs(b, e.Attrs)
	}
	g.data = b
	g.add(r, r.time)
	p.store.settle(Metrics)
}

// series packs what tells one series from another, but its source.
func (s *segment) series(v *Point, source uint32) []byte {
	m := v.Metric
	b := make([]byte, 0, 64)
	b = binary.AppendUvarint(b, uint64(source))
	b = s.text(b, m.Name)
	b = s.text(b, m.Unit)
	b = s.text(b, m.Description)
	b = append(b, byte(m.Type), byte(m.Temporality), 0)
	if m.Monotonic {
		b[len(b)-1] = 1
	}
	return s.attrs(b, v.Attrs)
}

func floats(all []float64) []byte {
	b := make([]byte, 0, 8*len(all))
	for _, f := range all {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
	}
	return b
}

func counts(b []byte, all []uint64) []byte {
	b = binary.AppendUvarint(b, uint64(len(all)))
	for _, n := range all {
		b = binary.AppendUvarint(b, n)
	}
	return b
}
