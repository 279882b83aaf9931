package telemetry

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"
)

// Bounds of histograms: of durations, from a millisecond to a minute, and of
// bytes. A value that equals a bound is in the bucket below it.
var (
	seconds     = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}
	sizes       = []float64{256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20}
	nanoseconds = scale(seconds, 1e9)
	bytes64     = scale(sizes, 1)
)

func scale(bounds []float64, by float64) []int64 {
	scaled := make([]int64, len(bounds))
	for i, b := range bounds {
		scaled[i] = int64(b*by + 0.5)
	}
	return scaled
}

// maxBounds is the largest number of bounds of a histogram.
const maxBounds = 15

// histogram counts whole numbers in buckets, without a lock: a tenth of the
// cost of the SDK's, of which every request would need three, for each reader.
type histogram struct {
	sum    atomic.Int64
	counts [maxBounds + 1]atomic.Uint64
}

// record returns the bucket of the value.
func (h *histogram) record(bounds []int64, v int64) int {
	i := 0
	for i < len(bounds) && v > bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(v)
	return i
}

// series are the measurements of one set of attributes of HTTP requests.
type series struct {
	durations
	in, out histogram
}

// record takes a request's measurements.
func (s *series) record(line *Request, sc trace.SpanContext, sampled bool) {
	s.in.record(bytes64, line.BodyIn)
	s.out.record(bytes64, line.BodyOut)
	s.durations.record(line, sc, sampled)
}

// durations are how long the calls of one set of attributes took.
type durations struct {
	attrs     attribute.Set
	since     time.Time
	duration  histogram
	exemplars [maxBounds + 1]atomic.Pointer[metricdata.Exemplar[float64]]
}

// record takes a call's duration; a sampled call becomes the exemplar of its
// bucket.
func (s *durations) record(line *Request, sc trace.SpanContext, sampled bool) {
	bucket := s.duration.record(nanoseconds, int64(line.Duration))
	if sampled {
		id, span := sc.TraceID(), sc.SpanID()
		s.exemplars[bucket].Store(&metricdata.Exemplar[float64]{Value: line.Duration.Seconds(), Time: line.Time, TraceID: id[:], SpanID: span[:]})
	}
}

// point reads a histogram. Its count is the sum of its buckets, also while
// requests go on.
func point[N int64 | float64](s *durations, h *histogram, bounds []float64, unit N, now time.Time) metricdata.HistogramDataPoint[N] {
	p := metricdata.HistogramDataPoint[N]{Attributes: s.attrs, StartTime: s.since, Time: now, Bounds: bounds,
		BucketCounts: make([]uint64, len(bounds)+1), Sum: N(h.sum.Load()) / unit}
	for i := range p.BucketCounts {
		p.BucketCounts[i] = h.counts[i].Load()
		p.Count += p.BucketCounts[i]
	}
	return p
}

// point reads the durations, with their exemplars.
func (s *durations) point(now time.Time) metricdata.HistogramDataPoint[float64] {
	p := point[float64](s, &s.duration, seconds, 1e9, now)
	for i := range s.exemplars {
		if e := s.exemplars[i].Load(); e != nil {
			p.Exemplars = append(p.Exemplars, *e)
		}
	}
	return p
}

// histogramProducer hands the histograms of all methods to the readers.
type histogramProducer struct {
	h *httpInstruments
	r *rpcInstruments
}

var _ sdkmetric.Producer = histogramProducer{}

// Produce implements sdkmetric.Producer. Its data is cumulative.
func (p histogramProducer) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	metrics := append(p.http(), p.rpc()...)
	if len(metrics) == 0 {
		return nil, nil
	}
	return []metricdata.ScopeMetrics{{Scope: instrumentation.Scope{Name: ScopeName}, Metrics: metrics}}, nil
}

func (p histogramProducer) http() []metricdata.Metrics {
	now := time.Now()
	duration := metricdata.Histogram[float64]{Temporality: metricdata.CumulativeTemporality}
	in, out := metricdata.Histogram[int64]{Temporality: metricdata.CumulativeTemporality}, metricdata.Histogram[int64]{Temporality: metricdata.CumulativeTemporality}
	p.h.mu.Lock()
	methods := slices.Clone(p.h.methods)
	p.h.mu.Unlock()
	for _, m := range methods {
		for _, s := range *m.series.Load() {
			duration.DataPoints = append(duration.DataPoints, s.point(now))
			in.DataPoints = append(in.DataPoints, point[int64](&s.durations, &s.in, sizes, 1, now))
			out.DataPoints = append(out.DataPoints, point[int64](&s.durations, &s.out, sizes, 1, now))
		}
	}
	if len(duration.DataPoints) == 0 {
		return nil
	}
	return []metricdata.Metrics{
		{Name: "http.server.request.duration", Unit: "s", Description: "Duration of HTTP server requests.", Data: duration},
		{Name: "http.server.request.body.size", Unit: "By", Description: "Size of HTTP server request bodies, as read.", Data: in},
		{Name: "http.server.response.body.size", Unit: "By", Description: "Size of HTTP server response bodies, as written.", Data: out},
	}
}

func (p histogramProducer) rpc() []metricdata.Metrics {
	now := time.Now()
	duration := metricdata.Histogram[float64]{Temporality: metricdata.CumulativeTemporality}
	p.r.mu.Lock()
	methods := slices.Clone(p.r.methods)
	p.r.mu.Unlock()
	for _, m := range methods {
		for _, s := range *m.series.Load() {
			duration.DataPoints = append(duration.DataPoints, s.point(now))
		}
	}
	if len(duration.DataPoints) == 0 {
		return nil
	}
	return []metricdata.Metrics{{Name: "rpc.server.call.duration", Unit: "s", Description: "Duration of incoming remote procedure calls.", Data: duration}}
}
