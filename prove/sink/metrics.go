package sink

import (
	"encoding/binary"
	"slices"

	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
)

func (b *batch) metrics(r *colmetrics.ExportMetricsServiceRequest) {
	for _, rm := range r.GetResourceMetrics() {
		for _, sm := range rm.GetScopeMetrics() {
			p := b.from(rm.GetResource(), sm.GetScope(), rm.GetSchemaUrl(), sm.GetSchemaUrl())
			for _, m := range sm.GetMetrics() {
				Text{Where: "metric metadata", Of: m.GetName()}.text(attributes(m.GetMetadata()), b.note)
				b.metric(p, m)
			}
		}
	}
}

// metric adds the points of a metric.
func (b *batch) metric(p *part, m *metricspb.Metric) {
	of := Point{Name: same(m.GetName()), Unit: same(m.GetUnit()), Description: same(m.GetDescription()), Origin: p.origin}
	delta := func(t metricspb.AggregationTemporality) bool {
		return t == metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA
	}
	switch data := m.GetData().(type) {
	case *metricspb.Metric_Gauge:
		of.Instrument = Gauge
		for _, d := range data.Gauge.GetDataPoints() {
			b.point(p, of, d, func(v *Point) string { return b.number(v, d) })
		}
	case *metricspb.Metric_Sum:
		of.Instrument, of.Monotonic, of.Delta = Sum, data.Sum.GetIsMonotonic(), delta(data.Sum.GetAggregationTemporality())
		for _, d := range data.Sum.GetDataPoints() {
			b.point(p, of, d, func(v *Point) string { return b.number(v, d) })
		}
	case *metricspb.Metric_Histogram:
		of.Instrument, of.Delta = Histogram, delta(data.Histogram.GetAggregationTemporality())
		for _, d := range data.Histogram.GetDataPoints() {
			b.point(p, of, d, func(v *Point) string { return b.histogram(v, d) })
		}
	case *metricspb.Metric_ExponentialHistogram:
		of.Instrument, of.Delta = ExponentialHistogram, delta(data.ExponentialHistogram.GetAggregationTemporality())
		for _, d := range data.ExponentialHistogram.GetDataPoints() {
			b.point(p, of, d, func(v *Point) string { return b.exponential(v, d) })
		}
	case *metricspb.Metric_Summary:
		of.Instrument = Summary
		for _, d := range data.Summary.GetDataPoints() {
			b.point(p, of, d, func(v *Point) string { return summary(v, d) })
		}
	default: // a metric without points: its texts still came
		of.text(b.note)
	}
}

// point adds a point; fill says why it is not valid, or nothing.
func (b *batch) point(p *part, of Point, d interface {
	GetAttributes() []*commonpb.KeyValue
	GetStartTimeUnixNano() uint64
	GetTimeUnixNano() uint64
	GetFlags() uint32
}, fill func(*Point) string) {
	v := &of
	v.Attributes, v.Start, v.Time = attributes(d.GetAttributes()), moment(d.GetStartTimeUnixNano()), moment(d.GetTimeUnixNano())
	v.Absent = d.GetFlags()&uint32(metricspb.DataPointFlags_DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK) != 0
	why := fill(v)
	if v.Name == "" {
		why = "a metric has no name"
	}
	if why != "" {
		b.reject(why, v.text)
		return
	}
	v.labels = string(appendSet(nil, v.Attributes))
	v.size = 640 + len(v.Name) + len(v.Unit) + len(v.Description) + 2*len(v.labels) + sizeOf(v.Attributes) + 16*len(v.Quantiles) +
		8*(len(v.Bounds)+len(v.Buckets)+len(v.Positive.Buckets)+len(v.Negative.Buckets))
	for i := range v.Exemplars {
		v.size += 128 + sizeOf(v.Exemplars[i].Attributes)
	}
	p.points = append(p.points, v)
}

func (b *batch) number(v *Point, d *metricspb.NumberDataPoint) string {
	v.Exemplars = b.exemplars(d.GetExemplars())
	switch n := d.GetValue().(type) {
	case *metricspb.NumberDataPoint_AsDouble:
		v.Value = n.AsDouble
	case *metricspb.NumberDataPoint_AsInt:
		v.Value = float64(n.AsInt)
	default:
		if !v.Absent {
			return "a point has no value"
		}
	}
	return ""
}

func (b *batch) histogram(v *Point, d *metricspb.HistogramDataPoint) string {
	v.Count, v.Total, v.Bounds, v.Buckets = d.GetCount(), d.GetSum(), d.GetExplicitBounds(), d.GetBucketCounts()
	v.Exemplars = b.exemplars(d.GetExemplars())
	if len(v.Buckets) != len(v.Bounds)+1 && len(v.Buckets)+len(v.Bounds) > 0 {
		return "the buckets of a histogram do not fit its bounds"
	}
	for i := 1; i < len(v.Bounds); i++ {
		if !(v.Bounds[i-1] < v.Bounds[i]) { // nor with NaN
			return "the bounds of a histogram do not rise"
		}
	}
	return ""
}

func (b *batch) exponential(v *Point, d *metricspb.ExponentialHistogramDataPoint) string {
	v.Count, v.Total, v.Scale, v.Zero = d.GetCount(), d.GetSum(), int(d.GetScale()), d.GetZeroCount()
	v.Positive = Exponential{int(d.GetPositive().GetOffset()), d.GetPositive().GetBucketCounts()}
	v.Negative = Exponential{int(d.GetNegative().GetOffset()), d.GetNegative().GetBucketCounts()}
	v.Exemplars = b.exemplars(d.GetExemplars())
	return ""
}

func summary(v *Point, d *metricspb.SummaryDataPoint) string {
	v.Count, v.Total = d.GetCount(), d.GetSum()
	for _, q := range d.GetQuantileValues() {
		if !(q.GetQuantile() >= 0 && q.GetQuantile() <= 1) { // nor NaN
			return "a quantile is not within 0 and 1"
		}
		v.Quantiles = append(v.Quantiles, Quantile{q.GetQuantile(), q.GetValue()})
	}
	return ""
}

func (b *batch) exemplars(list []*metricspb.Exemplar) []Exemplar {
	var all []Exemplar
	for _, v := range list {
		e := Exemplar{Time: moment(v.GetTimeUnixNano()), Value: v.GetAsDouble(), Attributes: attributes(v.GetFilteredAttributes())}
		e.TraceID, e.SpanID = b.ids(v.GetTraceId(), v.GetSpanId())
		if n, ok := v.GetValue().(*metricspb.Exemplar_AsInt); ok {
			e.Value = float64(n.AsInt)
		}
		all = append(all, e)
	}
	return all
}

// appendSet writes attributes so that equal sets are equal texts, in whichever
// order they came: sorted, and each text after its length.
func appendSet(to []byte, a Attributes) []byte {
	members := make([]string, len(a))
	for i := range a {
		member := append(appendLength(nil, len(a[i].Key)), a[i].Key...)
		members[i] = string(appendValue(member, a[i].Value))
	}
	slices.Sort(members)
	to = appendLength(to, len(members))
	for _, m := range members {
		to = append(appendLength(to, len(m)), m...)
	}
	return to
}

// appendValue writes a value, and which type it has.
func appendValue(to []byte, value any) []byte {
	switch v := value.(type) {
	case []any:
		to = appendLength(append(to, 'l'), len(v))
		for _, member := range v {
			to = appendValue(to, member)
		}
		return to
	case Attributes:
		return appendSet(append(to, 'm'), v)
	}
	kind := byte('n')
	switch value.(type) {
	case string:
		kind = 's'
	case bool:
		kind = 'b'
	case int64:
		kind = 'i'
	case float64:
		kind = 'f'
	case []byte:
		kind = 'y'
	}
	text := String(value)
	return append(appendLength(append(to, kind), len(text)), text...)
}

func appendLength(to []byte, n int) []byte { return binary.AppendUvarint(to, uint64(n)) }
