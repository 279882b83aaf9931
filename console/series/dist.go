package series

import (
	"cmp"
	"math"
	"slices"

	"github.com/aguada-dev/aguada/console/store"
)

// Bucket is a range of values: from Low, which is not in it, to High, which is.
type Bucket struct{ Low, High float64 }

// Dist is a distribution of values, as histograms know it. Its zero value is
// empty.
type Dist struct {
	Count, Sum float64
	Buckets    map[Bucket]float64
}

// add adds n values of a bucket.
func (d *Dist) add(b Bucket, n float64) {
	if n <= 0 {
		return
	}
	if d.Buckets == nil {
		d.Buckets = make(map[Bucket]float64)
	}
	d.Buckets[b] += n
}

// Merge adds a share of another distribution.
func (d *Dist) Merge(o *Dist, share float64) {
	if o == nil {
		return
	}
	d.Count += o.Count * share
	d.Sum += o.Sum * share
	for b, n := range o.Buckets {
		d.add(b, n*share)
	}
}

// Value adds one value that is known exactly.
func (d *Dist) Value(v float64) {
	// As narrow as an exponential histogram of scale 5: 2% wide.
	const scale = 32
	d.Count++
	d.Sum += v
	if v <= 0 {
		d.add(Bucket{0, 0}, 1)
		return
	}
	i := math.Ceil(math.Log2(v) * scale)
	d.add(Bucket{math.Exp2((i - 1) / scale), math.Exp2(i / scale)}, 1)
}

// Quantile returns an estimate of the value below which a share q of all is,
// and false if there are none. Within a bucket values are taken to be spread
// evenly; of one without an upper bound, its lower one is returned.
func (d *Dist) Quantile(q float64) (float64, bool) {
	all := make([]Bucket, 0, len(d.Buckets))
	var total float64
	for b, n := range d.Buckets {
		all = append(all, b)
		total += n
	}
	if total == 0 {
		return 0, false
	}
	slices.SortFunc(all, func(a, b Bucket) int { return cmp.Or(cmp.Compare(a.High, b.High), cmp.Compare(a.Low, b.Low)) })
	rank := q * total
	for _, b := range all {
		n := d.Buckets[b]
		if rank > n {
			rank -= n
			continue
		}
		switch {
		case math.IsInf(b.High, 1):
			return b.Low, true
		case math.IsInf(b.Low, -1):
			return b.High, true
		}
		return b.Low + (b.High-b.Low)*rank/n, true
	}
	last := all[len(all)-1]
	if math.IsInf(last.High, 1) {
		return last.Low, true
	}
	return last.High, true
}

// difference returns what a point has more than the one before it; of a first
// one, before is nil.
func difference(t store.Type, p, before *store.Point) *Dist {
	d := &Dist{Count: float64(p.Count), Sum: p.Value}
	buckets(t, p, func(b Bucket, n uint64) { d.add(b, float64(n)) })
	if before == nil {
		return d
	}
	d.Count -= float64(before.Count)
	d.Sum -= before.Value
	buckets(t, before, func(b Bucket, n uint64) {
		if d.Buckets != nil {
			if d.Buckets[b] -= float64(n); d.Buckets[b] <= 0 {
				delete(d.Buckets, b)
			}
		}
	})
	return d
}

// buckets calls f for every bucket of a point that holds something.
func buckets(t store.Type, p *store.Point, f func(Bucket, uint64)) {
	switch t {
	case store.Histogram:
		explicit(p, f)
	case store.ExponentialHistogram:
		base := math.Exp2(math.Exp2(-float64(p.Scale)))
		if p.Zero > 0 {
			f(Bucket{0, 0}, p.Zero)
		}
		for i, n := range p.Positive.Counts {
			if n > 0 {
				at := float64(p.Positive.Offset) + float64(i)
				f(Bucket{math.Pow(base, at), math.Pow(base, at+1)}, n)
			}
		}
		for i, n := range p.Negative.Counts {
			if n > 0 {
				at := float64(p.Negative.Offset) + float64(i)
				f(Bucket{-math.Pow(base, at+1), -math.Pow(base, at)}, n)
			}
		}
	}
}

// explicit calls f for the buckets of a histogram whose bounds are told. What is
// below the first bound is taken to be above 0, where that is below it.
func explicit(p *store.Point, f func(Bucket, uint64)) {
	for i, n := range p.Counts {
		if n == 0 || i > len(p.Bounds) {
			continue
		}
		b := Bucket{math.Inf(-1), math.Inf(1)}
		if i > 0 {
			b.Low = p.Bounds[i-1]
		} else if len(p.Bounds) > 0 && p.Bounds[0] > 0 {
			b.Low = 0
		}
		if i < len(p.Bounds) {
			b.High = p.Bounds[i]
		}
		f(b, n)
	}
}
