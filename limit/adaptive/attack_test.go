package adaptive_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aguada-dev/aguada/limit/adaptive"
)

// between is a rate that is another one for some time.
func between(from, to time.Duration, then, else_ float64) func(time.Duration) float64 {
	return func(now time.Duration) float64 {
		if now >= from && now < to {
			return then
		}
		return else_
	}
}

// worstSecond is how many calls were answered of those of any second, at least.
func worstSecond(s *sim, from, to time.Duration, of *class) int {
	worst := 1 << 30
	for at := from; at+second <= to; at += second / 4 {
		worst = min(worst, s.over(at, at+second, of).good)
	}
	return worst
}

// Somebody holds places with calls that take for ever, and the limit is lowered
// below their number: they do not keep the others out.
func TestHeldPlaces(t *testing.T) {
	for _, held := range []int{20, 90, 300, 900} {
		t.Run(fmt.Sprint(held), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(30, 2)
				fast := s.add(adaptive.Normal, &class{rate: between(20*second, 30*second, 3000, 400), stages: []stage{{s.cpu, 2 * ms, nil}}})
				poll := s.add(adaptive.Normal, &class{rate: constant(0), stages: []stage{{nil, time.Hour, nil}}})
				s.after(10*second, func() {
					for range held {
						s.enter(poll)
					}
				})
				s.run(60 * second)
				before, surge, after := s.over(0, 20*second, fast), s.over(22*second, 29*second, fast), s.over(34*second, 59*second, fast)
				worst := worstSecond(s, 0, 59*second, fast)
				t.Logf("before %+v, surge %+v, after %+v, worst second %d; limit %d %+v", before, surge, after, worst, s.l.Limit(), s.l.Status())
				if before.shed() > 0.001 || surge.good < 7*700 || after.shed() > 0.01 || worst < 200 {
					t.Errorf("refused before %d, served in the surge %d/s, refused after it %d; %d in the worst second", before.refused, surge.good/7, after.refused, worst)
				}
			})
		})
	}
}

// One caller in ten asks for what takes very long, now and then or always.
func TestSlowCallersPoison(t *testing.T) {
	if raced {
		t.Skip("the simulation runs without the race detector, which takes minutes for it")
	}
	for _, rate := range []float64{100, 1000, 3000} {
		for _, on := range []time.Duration{0, 20 * second} {
			t.Run(fmt.Sprint(rate, on), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newSim(31, 4)
					c := s.add(adaptive.Normal, &class{rate: constant(rate), stages: []stage{{s.cpu, ms / 10, nil}, {nil, 50 * ms, exponential}}})
					bad := &class{rate: func(now time.Duration) float64 {
						if now > 10*second && (on == 0 || int(now/on)%2 == 0) {
							return rate / 10
						}
						return 0
					}, stages: []stage{{nil, 5 * second, nil}}}
					s.add(adaptive.Normal, bad)
					bad.m = c.m // the same method
					s.run(120 * second)
					x := s.over(0, 120*second, c)
					t.Logf("%+v limit %d %+v", x, s.l.Limit(), s.l.Status())
					if x.shed() > 0.05 {
						t.Errorf("%d of %d calls were refused", x.refused, x.offered)
					}
				})
			})
		}
	}
}

// Errors can be had for the asking, and quickly: they are not what calls that do
// something are compared with.
func TestQuickErrorsPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(32, 4)
		c := s.add(adaptive.Normal, &class{rate: constant(600), stages: []stage{{s.cpu, ms / 10, nil}, {nil, 200 * ms, exponential}}})
		bad := s.add(adaptive.Normal, &class{rate: between(10*second, 30*second, 5000, 0), stages: []stage{{s.cpu, ms / 10, nil}}, end: adaptive.Declined})
		bad.m = c.m
		s.run(60 * second)
		if x := s.over(10*second, 60*second); x.refused > 0 {
			t.Errorf("%d of %d calls were refused; %+v", x.refused, x.offered, s.l.Status())
		}
	})
}

// What was needed once is not kept for ever.
func TestGrownLimitGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(33, 2)
		s.add(adaptive.Normal, &class{rate: between(5*second, 20*second, 5000, 100), stages: []stage{{nil, second, nil}}})
		s.run(19 * second)
		grown := s.l.Limit()
		s.run(60 * second)
		if x := s.over(0, 60*second); x.refused > 0 || grown < 5000 || s.l.Limit() > 250 {
			t.Errorf("%d of %d calls were refused, the limit was %d and is %d", x.refused, x.offered, grown, s.l.Limit())
		}
	})
}

// Calls of low priority that hold their places for long do not keep out those of
// high priority.
func TestLowDoNotHoldHigh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(34, 2)
		s.add(adaptive.Low, &class{rate: constant(30), stages: []stage{{nil, 10 * second, nil}}})
		hi := s.add(adaptive.High, &class{rate: constant(200), stages: []stage{{s.cpu, 2 * ms, nil}}})
		s.add(adaptive.Normal, &class{rate: between(20*second, 50*second, 3000, 100), stages: []stage{{s.cpu, 2 * ms, nil}}})
		s.run(60 * second)
		x, worst := s.over(20*second, 50*second, hi), worstSecond(s, 0, 59*second, hi)
		t.Logf("%+v, worst second %d; limit %d %+v", x, worst, s.l.Limit(), s.l.Status())
		if x.shed() > 0.2 || worst < 50 {
			t.Errorf("%.0f%% of the high calls were refused, %d were served in the worst second, of 200", 100*x.shed(), worst)
		}
	})
}
