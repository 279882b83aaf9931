package adaptive

import (
	"math"
	"runtime/metrics"
	"time"
)

// scheduler reads how long goroutines wait to run.
type scheduler struct {
	sample [1]metrics.Sample
	seen   []uint64
}

func newScheduler() *scheduler {
	s := &scheduler{}
	s.sample[0].Name = "/sched/latencies:seconds"
	s.delay()
	return s
}

// delay returns the mean wait since it was last called; 0 if the runtime does
// not tell.
func (s *scheduler) delay() time.Duration {
	metrics.Read(s.sample[:])
	if s.sample[0].Value.Kind() != metrics.KindFloat64Histogram {
		return 0
	}
	h := s.sample[0].Value.Float64Histogram()
	if len(s.seen) != len(h.Counts) {
		s.seen = make([]uint64, len(h.Counts))
	}
	var n, sum float64
	for i, c := range h.Counts {
		if more := float64(c - s.seen[i]); more > 0 {
			lo, hi := h.Buckets[i], h.Buckets[i+1]
			if math.IsInf(lo, -1) {
				lo = 0
			}
			if math.IsInf(hi, 1) {
				hi = lo
			}
			n += more
			sum += more * (lo + hi) / 2
		}
		s.seen[i] = c
	}
	if n == 0 {
		return 0
	}
	return time.Duration(sum / n * float64(time.Second))
}
