package store

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
)

// Ref refers to something that was found. It stays readable when the store has
// given it up meanwhile. What it returns points into the store and must not be
// changed.
type Ref struct {
	seg *segment
	i   int
}

func (r Ref) row() *row { return &r.seg.rows[r.i] }

func (r Ref) unpack() unpacker { return unpacker{&r.seg.dict, r.seg.data[r.row().data:]} }

// Seq counts up in order of arrival, for each signal; from 0.
func (r Ref) Seq() uint64 { return r.seg.first + uint64(r.i) }

// Time is when it was, or began, in nanoseconds since 1970.
func (r Ref) Time() int64 { return r.row().time }

// Duration is that of a span, in nanoseconds.
func (r Ref) Duration() int64 { return r.row().extra }

// Trace is the trace that it belongs to.
func (r Ref) Trace() TraceID { return r.row().trace }

// ID is that of the span, or of the span that a log record was written in.
func (r Ref) ID() SpanID { return r.row().span }

// Parent is the parent of a span.
func (r Ref) Parent() SpanID { return r.row().parent }

// Failed reports whether the status of a span is an error.
func (r Ref) Failed() bool { return r.row().status == StatusError }

// Severity is that of a log record.
func (r Ref) Severity() uint8 { return r.row().kind }

// Kind is that of a span.
func (r Ref) Kind() uint8 { return r.row().kind }

// Name is that of a span, or the event of a log record.
func (r Ref) Name() []byte { return r.seg.dict.get(r.row().name) }

// Status of spans, and their kinds, with OTLP's numbers.
const (
	StatusUnset = 0
	StatusOK    = 1
	StatusError = 2

	KindInternal = 1
	KindServer   = 2
	KindClient   = 3
	KindProducer = 4
	KindConsumer = 5
)

// Service is service.name.
func (r Ref) Service() string {
	return string(r.seg.dict.get(r.seg.sources[r.row().source].service))
}

// Instance is service.instance.id.
func (r Ref) Instance() string {
	return string(r.seg.dict.get(r.seg.sources[r.row().source].instance))
}

// Source is where it came from.
func (r Ref) Source() Source {
	d := &r.seg.dict
	from := r.seg.sources[r.row().source]
	u := unpacker{d, d.get(from.resource)}
	return Source{Resource: u.attrs(), Scope: d.get(from.scope), Version: d.get(from.version)}
}

// Attr returns an attribute of a span or log record, not of its resource.
func (r Ref) Attr(key string) (Value, bool) {
	u := r.unpack()
	for n := u.uint(); n > 0; n-- {
		name := u.text()
		v, _ := u.value()
		if string(name) == key {
			return v, true
		}
	}
	return Value{}, false
}

// Text returns an attribute that is a string; "" if there is none.
func (r Ref) Text(key string) string {
	v, _ := r.Attr(key)
	if v.Kind != String {
		return ""
	}
	return string(v.Bytes)
}

// Span returns the span. Its Source is not set.
func (r Ref) Span() Span {
	row, u := r.row(), r.unpack()
	v := Span{
		Trace: row.trace, ID: row.span, Parent: row.parent, Name: u.dict.get(row.name), Start: row.time, End: row.time + row.extra,
		Kind: row.kind, Status: row.status, Attrs: u.attrs(), Message: u.text(), Dropped: uint32(u.uint()),
	}
	if n := u.len(); n > 0 {
		v.Events = make([]Event, n)
		for i := range v.Events {
			v.Events[i] = Event{Time: row.time + u.int(), Name: u.text(), Attrs: u.attrs()}
		}
	}
	if n := u.len(); n > 0 {
		v.Links = make([]Link, n)
		for i := range v.Links {
			l := &v.Links[i]
			u.take(l.Trace[:])
			u.take(l.Span[:])
			l.Attrs = u.attrs()
		}
	}
	return v
}

// Log returns the log record. Its Source is not set.
func (r Ref) Log() Log {
	row, u := r.row(), r.unpack()
	v := Log{Time: row.time, Severity: row.kind, Event: u.dict.get(row.name), Trace: row.trace, Span: row.span, Attrs: u.attrs()}
	v.Body, _ = u.value()
	v.Level = u.text()
	return v
}

// Point returns the point without what tells its series, which Series returns.
func (r Ref) Point() Point {
	row, u := r.row(), r.unpack()
	v := Point{Time: row.time, Start: row.extra, Value: u.float()}
	typ := Type(row.kind)
	if typ >= Histogram {
		v.Count, v.Min, v.Max = u.uint(), u.float(), u.float()
	}
	switch typ {
	case Histogram:
		v.Bounds, v.Counts = toFloats(u.text()), u.counts()
	case ExponentialHistogram:
		v.Scale, v.Zero = int32(u.int()), u.uint()
		for _, side := range []*Buckets{&v.Positive, &v.Negative} {
			side.Offset = int32(u.int())
			side.Counts = u.counts()
		}
	case Summary:
		v.Quantiles = toFloats(u.text())
	}
	if n := u.len(); n > 0 {
		v.Exemplars = make([]Exemplar, n)
		for i := range v.Exemplars {
			e := &v.Exemplars[i]
			e.Time, e.Value = u.int(), u.float()
			u.take(e.Trace[:])
			u.take(e.Span[:])
			e.Attrs = u.attrs()
		}
	}
	return v
}

// Series is what tells points of one series from those of others.
type Series struct {
	Metric
	Service, Instance string
	Attrs             []Attr
}

// Series returns the series of a point.
func (r Ref) Series() Series { return r.seg.seriesOf(r.row().name) }

func (s *segment) seriesOf(id uint32) Series {
	u := unpacker{&s.dict, s.dict.get(id)}
	from := s.sources[u.uint()]
	v := Series{Service: string(s.dict.get(from.service)), Instance: string(s.dict.get(from.instance))}
	v.Name, v.Unit, v.Description = u.text(), u.text(), u.text()
	v.Type, v.Temporality, v.Monotonic = Type(u.byte()), Temporality(u.byte()), u.byte() == 1
	v.Attrs = u.attrs()
	return v
}

// Local tells the series of points apart, cheaply, and only within a segment:
// points of one series may have several.
type Local struct {
	seg *segment
	id  uint32
}

// Local returns that of a point.
func (r Ref) Local() Local { return Local{r.seg, r.row().name} }

// ID tells series apart: by their process, metric, and attributes.
func (s *Series) ID() string {
	b := make([]byte, 0, 128)
	text := func(t string) { b = append(binary.AppendUvarint(b, uint64(len(t))), t...) }
	text(s.Service)
	text(s.Instance)
	text(string(s.Name))
	b = append(b, byte(s.Type), byte(s.Temporality))
	for i := range s.Attrs {
		a := &s.Attrs[i]
		text(string(a.Key))
		b = binary.AppendUvarint(append(b, byte(a.Value.Kind)), a.Value.Num)
		text(string(a.Value.Bytes))
	}
	return string(b)
}

// Attr returns an attribute of the series as text; "" if it has none.
func (s *Series) Attr(key string) string {
	for i := range s.Attrs {
		if string(s.Attrs[i].Key) == key {
			return s.Attrs[i].Value.Text()
		}
	}
	return ""
}

// Text returns the value as people read it.
func (v Value) Text() string {
	switch v.Kind {
	case String, JSON:
		return string(v.Bytes)
	case Bool:
		return strconv.FormatBool(v.Num == 1)
	case Int:
		return strconv.FormatInt(int64(v.Num), 10)
	case Double:
		return strconv.FormatFloat(math.Float64frombits(v.Num), 'g', -1, 64)
	case Binary:
		return base64.StdEncoding.EncodeToString(v.Bytes)
	}
	return ""
}

func toFloats(b []byte) []float64 {
	all := make([]float64, len(b)/8)
	for i := range all {
		all[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return all
}

func (u *unpacker) counts() []uint64 {
	all := make([]uint64, u.len())
	for i := range all {
		all[i] = u.uint()
	}
	return all
}
