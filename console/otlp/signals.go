package otlp

import (
	"errors"
	"math"
	"unsafe"

	"github.com/aguada-dev/aguada/console/store"
)

// span reads a Span. One without ids of the right length is left out.
func (d *decoder) span(source int, b []byte) error {
	v := store.Span{Source: source}
	var traced, named bool
	begin := len(d.attrs)
	c := cursor{b: b}
	for c.next() {
		switch c.num {
		case 1:
			traced = id(v.Trace[:], c.bytes())
		case 2:
			named = id(v.ID[:], c.bytes())
		case 4:
			id(v.Parent[:], c.bytes())
		case 5:
			v.Name = c.bytes()
		case 6:
			v.Kind = uint8(min(c.varint(), store.KindConsumer+1))
		case 7:
			v.Start = c.time()
		case 8:
			v.End = c.time()
		case 9:
			if err := d.attr(c.bytes()); err != nil {
				return err
			}
		case 10, 12, 14:
			v.Dropped += uint32(c.varint())
		}
	}
	if c.err != nil {
		return c.err
	}
	v.Attrs = d.since(begin)
	if err := d.parts(&v, b); err != nil {
		return err
	}
	if !traced || !named {
		d.reject("spans without a trace id of 16 bytes and a span id of 8")
		return nil
	}
	d.batch.Spans = append(d.batch.Spans, v)
	return d.charge(1, unsafe.Sizeof(v))
}

// parts reads the events, links and status of a Span, whose attributes would
// otherwise be mixed with the span's own.
func (d *decoder) parts(v *store.Span, b []byte) error {
	return each(b, func(c *cursor) error {
		switch c.num {
		case 11:
			return d.event(v, c.bytes())
		case 13:
			return d.link(v, c.bytes())
		case 15:
			return each(c.bytes(), func(c *cursor) error {
				switch c.num {
				case 2:
					v.Message = c.bytes()
				case 3:
					v.Status = uint8(min(c.varint(), store.StatusError+1))
				}
				return nil
			})
		}
		return nil
	})
}

func (d *decoder) event(v *store.Span, b []byte) error {
	e, begin := store.Event{}, len(d.attrs)
	err := each(b, func(c *cursor) error {
		switch c.num {
		case 1:
			e.Time = c.time()
		case 2:
			e.Name = c.bytes()
		case 3:
			return d.attr(c.bytes())
		}
		return nil
	})
	e.Attrs = d.since(begin)
	v.Events = append(v.Events, e)
	return errors.Join(err, d.charge(1, unsafe.Sizeof(e)))
}

func (d *decoder) link(v *store.Span, b []byte) error {
	l, begin := store.Link{}, len(d.attrs)
	err := each(b, func(c *cursor) error {
		switch c.num {
		case 1:
			id(l.Trace[:], c.bytes())
		case 2:
			id(l.Span[:], c.bytes())
		case 4:
			return d.attr(c.bytes())
		}
		return nil
	})
	l.Attrs = d.since(begin)
	v.Links = append(v.Links, l)
	return errors.Join(err, d.charge(1, unsafe.Sizeof(l)))
}

// log reads a LogRecord.
func (d *decoder) log(source int, b []byte) error {
	v := store.Log{Source: source}
	begin := len(d.attrs)
	var observed int64
	c := cursor{b: b}
	for c.next() {
		switch c.num {
		case 1:
			v.Time = c.time()
		case 2:
			v.Severity = uint8(min(c.varint(), 24))
		case 3:
			v.Level = c.bytes()
		case 5:
			body, err := value(c.bytes())
			if err != nil {
				return err
			}
			v.Body = body
		case 6:
			if err := d.attr(c.bytes()); err != nil {
				return err
			}
		case 9:
			id(v.Trace[:], c.bytes())
		case 10:
			id(v.Span[:], c.bytes())
		case 11:
			observed = c.time()
		case 12:
			v.Event = c.bytes()
		}
	}
	if v.Time == 0 {
		v.Time = observed
	}
	v.Attrs = d.since(begin)
	d.batch.Logs = append(d.batch.Logs, v)
	return errors.Join(c.err, d.charge(1, unsafe.Sizeof(v)))
}

// types of metrics, by the number of the field of a Metric that holds them.
var types = map[int]store.Type{5: store.Gauge, 7: store.Sum, 9: store.Histogram, 10: store.ExponentialHistogram, 11: store.Summary}

// metric reads a Metric.
func (d *decoder) metric(source int, b []byte) error {
	m := &store.Metric{}
	var data []byte
	c := cursor{b: b}
	for c.next() {
		switch c.num {
		case 1:
			m.Name = c.bytes()
		case 2:
			m.Description = c.bytes()
		case 3:
			m.Unit = c.bytes()
		case 5, 7, 9, 10, 11:
			m.Type, data = types[int(c.num)], c.bytes()
		}
	}
	if c.err != nil {
		return c.err
	}
	err := each(data, func(c *cursor) error {
		switch {
		case c.num == 2 && m.Type != store.Gauge:
			m.Temporality = store.Temporality(min(c.varint(), 2))
		case c.num == 3 && m.Type == store.Sum:
			m.Monotonic = c.varint() != 0
		}
		return nil
	})
	if err != nil {
		return err
	}
	return each(data, func(c *cursor) error {
		switch {
		case c.num != 1:
			return nil
		case len(m.Name) == 0:
			d.reject("points of metrics without a name")
			return nil
		}
		return d.point(source, m, c.bytes())
	})
}

// layout tells the numbers of fields that the types of points have in common,
// and of those that mean something else in each of them.
type layout struct{ attrs, exemplars, minimum, maximum int }

var layouts = map[store.Type]layout{
	store.Gauge: {7, 5, 0, 0}, store.Sum: {7, 5, 0, 0}, store.Histogram: {9, 8, 11, 12}, store.ExponentialHistogram: {1, 11, 12, 13}, store.Summary: {7, 0, 0, 0},
}

// noRecorded is the flag of a point that says that there is no value.
const noRecorded = 1

// point reads a point of any type.
func (d *decoder) point(source int, m *store.Metric, b []byte) error {
	v := store.Point{Source: source, Metric: m, Min: math.NaN(), Max: math.NaN()}
	l, begin := layouts[m.Type], len(d.attrs)
	flags := uint64(0)
	c := cursor{b: b}
	for c.next() {
		switch n := int(c.num); {
		case n == l.attrs:
			if err := d.attr(c.bytes()); err != nil {
				return err
			}
		case n == 2:
			v.Start = c.time()
		case n == 3:
			v.Time = c.time()
		case n == l.minimum && l.minimum != 0:
			v.Min = c.double()
		case n == l.maximum && l.maximum != 0:
			v.Max = c.double()
		case n == l.exemplars && l.exemplars != 0: // after the attributes of the point, below
		case m.Type <= store.Sum:
			flags |= number(&v, &c)
		default:
			flags |= distribution(&v, &c)
		}
	}
	if c.err != nil || flags&noRecorded != 0 {
		return c.err
	}
	v.Attrs = d.since(begin)
	err := each(b, func(c *cursor) error {
		if int(c.num) != l.exemplars || l.exemplars == 0 {
			return nil
		}
		return d.exemplar(&v, c.bytes())
	})
	d.batch.Points = append(d.batch.Points, v)
	return errors.Join(err, d.charge(1, unsafe.Sizeof(v)), d.charge(len(v.Counts)+len(v.Bounds)+len(v.Positive.Counts)+len(v.Negative.Counts)+len(v.Quantiles), 8))
}

// number reads a field of a NumberDataPoint; it returns flags.
func number(v *store.Point, c *cursor) (flags uint64) {
	switch c.num {
	case 4:
		v.Value = c.double()
	case 6:
		v.Value = float64(int64(c.fixed()))
	case 8:
		return c.varint()
	}
	return 0
}

// distribution reads a field of the point of a histogram or summary; it returns
// flags.
func distribution(v *store.Point, c *cursor) (flags uint64) {
	switch n := c.num; {
	case n == 4:
		v.Count = c.fixed()
	case n == 5:
		v.Value = c.double()
	case n == 10 && v.Metric.Type != store.Summary, n == 8 && v.Metric.Type == store.Summary:
		return c.varint()
	case v.Metric.Type == store.Histogram && n == 6:
		v.Counts = c.fixeds(v.Counts)
	case v.Metric.Type == store.Histogram && n == 7:
		v.Bounds = c.doubles(v.Bounds)
	case v.Metric.Type == store.Summary && n == 6:
		var q [2]float64
		if err := each(c.bytes(), func(p *cursor) error {
			if p.num == 1 || p.num == 2 {
				q[p.num-1] = p.double()
			}
			return nil
		}); err != nil {
			c.err = err
		}
		v.Quantiles = append(v.Quantiles, q[:]...)
	case n == 6:
		v.Scale = c.sint32()
	case n == 7:
		v.Zero = c.fixed()
	case n == 8:
		v.Positive = buckets(c)
	case n == 9:
		v.Negative = buckets(c)
	}
	return 0
}

func buckets(c *cursor) (b store.Buckets) {
	p := cursor{b: c.bytes()}
	for p.next() {
		switch p.num {
		case 1:
			b.Offset = p.sint32()
		case 2:
			b.Counts = p.varints(b.Counts)
		}
	}
	if p.err != nil {
		c.err = p.err
	}
	return b
}

func (d *decoder) exemplar(v *store.Point, b []byte) error {
	e, begin := store.Exemplar{}, len(d.attrs)
	c := cursor{b: b}
	for c.next() {
		switch c.num {
		case 2:
			e.Time = c.time()
		case 3:
			e.Value = c.double()
		case 4:
			id(e.Span[:], c.bytes())
		case 5:
			id(e.Trace[:], c.bytes())
		case 6:
			e.Value = float64(int64(c.fixed()))
		case 7:
			if err := d.attr(c.bytes()); err != nil {
				return err
			}
		}
	}
	e.Attrs = d.since(begin)
	v.Exemplars = append(v.Exemplars, e)
	return errors.Join(c.err, d.charge(1, unsafe.Sizeof(e)))
}
