package adaptive_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aguada-dev/aguada/limit/adaptive"
)

// A service whose calls wait for somebody else, and use no processor, takes
// whatever comes, from the start on. Where durations are random, the first calls
// that end are the short ones, and the others seem slow, once.
func TestSlowIsNoOverload(t *testing.T) {
	if raced {
		t.Skip("the simulation runs without the race detector, which takes minutes for it")
	}
	for _, each := range []time.Duration{200 * ms, second, 2 * second} {
		for most, draw := range map[float64]func(*rand.Rand) float64{0: nil, 0.25: exponential} {
			t.Run(fmt.Sprintf("2000 at a time after 5s, %v, %v", each, draw != nil), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newSim(20, 2)
					s.add(adaptive.Normal, &class{rate: func(now time.Duration) float64 {
						return 2000 * min(1, max(now, 10*ms).Seconds()/5) / each.Seconds()
					}, stages: []stage{{nil, each, draw}}})
					s.run(20 * second)
					x, late := s.over(0, 20*second), s.over(15*second, 20*second)
					t.Logf("%.1f%% of the calls were refused; %+v", 100*x.shed(), s.l.Status())
					if x.shed() > most || late.refused > 0 {
						t.Errorf("%d of %d calls were refused, %d of them late; %+v", x.refused, x.offered, late.refused, s.l.Status())
					}
				})
			})
		}
	}
	for _, quiet := range []float64{0, 0.5, 10, 100} {
		t.Run(fmt.Sprint("300 at once, ", quiet), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(21, 2)
				c := s.add(adaptive.Normal, &class{rate: constant(quiet), stages: []stage{{nil, second, nil}}})
				var burst func()
				burst = func() {
					for range 300 {
						s.enter(c)
					}
					s.after(4*second, burst)
				}
				s.after(10*ms, burst)
				s.after(7*second, burst)
				s.run(40 * second)
				if x := s.over(0, 40*second); x.refused > 0 {
					t.Errorf("%d of %d calls were refused; %+v", x.refused, x.offered, s.l.Status())
				}
			})
		})
	}
}

// What a process has never had an answer to, it takes on only so often.
func TestHangAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(22, 2)
		s.add(adaptive.Normal, &class{rate: constant(1000), stages: []stage{{nil, time.Hour, nil}}})
		s.run(60 * second)
		if n := s.l.InFlight(); n > 2000 {
			t.Errorf("%d in flight", n)
		}
	})
}

// A start straight into an overload is through after a few seconds.
func TestColdStart(t *testing.T) {
	type service struct {
		name     string
		procs    int
		capacity float64
		each     time.Duration
		build    func(s *sim) []stage
	}
	var all []service
	for _, procs := range []int{1, 2, 8} {
		all = append(all, service{fmt.Sprintf("%d processors", procs), procs, float64(procs) / 0.008, 8 * ms, func(s *sim) []stage {
			return []stage{{s.cpu, 8 * ms, nil}}
		}})
	}
	for _, each := range []time.Duration{8 * ms, 20 * ms, 50 * ms} {
		all = append(all, service{fmt.Sprintf("10 connections for %v", each), 2, 10 / each.Seconds(), each, func(s *sim) []stage {
			return []stage{{s.cpu, 100 * time.Microsecond, nil}, {&station{servers: 10}, each, nil}}
		}})
	}
	for _, b := range all {
		t.Run(b.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(23, b.procs)
				s.add(adaptive.Normal, &class{rate: constant(3 * b.capacity), stages: b.build(s)})
				s.run(16 * second)
				from := 5 * second
				if b.procs == 1 { // has fewer calls to learn from
					from = 10 * second
				}
				x := s.over(from, 15*second)
				goodput, slower := float64(x.good)/(15*second-from).Seconds()/b.capacity, float64(x.p99)/float64(b.each)
				t.Logf("goodput %.0f%%, p99 %.1f times; limit %d, %+v", 100*goodput, slower, s.l.Limit(), s.l.Status())
				if goodput < 0.9 || slower > 3 {
					t.Errorf("goodput is %.0f%% of capacity, the p99 %.1f times as long", 100*goodput, slower)
				}
			})
		})
	}
}

// A dependency becomes five times slower, and bears any number of calls.
func TestStep(t *testing.T) {
	if raced {
		t.Skip("the simulation runs without the race detector, which takes minutes for it")
	}
	for _, rate := range []float64{5, 20, 50, 200, 1000, 5000} {
		for _, before := range []time.Duration{20 * ms, 200 * ms} {
			t.Run(fmt.Sprint(rate, before), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newSim(24, 2)
					c := &class{rate: constant(rate), stages: []stage{{nil, before, exponential}}}
					s.add(adaptive.Normal, c)
					s.after(20*second, func() { c.stages[0].mean = 5 * before })
					s.run(60 * second)
					x, late := s.over(20*second, 30*second), s.over(30*second, 60*second)
					t.Logf("refused %.2f%% within ten seconds, %.2f%% later", 100*x.shed(), 100*late.shed())
					if x.shed() > 0.3 || late.shed() > 0.005 {
						t.Errorf("%d calls were refused within ten seconds, and %d of %d when it should be known better; %+v", x.refused, late.refused, late.offered, s.l.Status())
					}
				})
			})
		}
	}
}

// Methods of different natures share a process, from the start on.
func TestBimodalMethods(t *testing.T) {
	for _, load := range []float64{0.5, 3} {
		for _, long := range []time.Duration{500 * ms, 2 * second} {
			t.Run(fmt.Sprint(load, " ", long), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newSim(25, 2)
					fast := s.add(adaptive.Normal, &class{rate: constant(load * 900), stages: []stage{{s.cpu, 2 * ms, nil}}})
					slow := s.add(adaptive.Normal, &class{rate: constant(200), stages: []stage{{s.cpu, ms / 5, nil}, {nil, long, bimodal}}})
					s.run(40 * second)
					f, w := s.over(10*second, 39*second, fast), s.over(10*second, 39*second, slow)
					t.Logf("fast %+v, slow %+v, limit %d %+v", f, w, s.l.Limit(), s.l.Status())
					if load < 1 && f.refused+w.refused > 0 {
						t.Errorf("%d of %d fast and %d of %d slow calls were refused", f.refused, f.offered, w.refused, w.offered)
					}
					if w.shed() > f.shed()+0.05 || float64(f.good)/29 < 0.55*900*min(load, 1) {
						t.Errorf("%.0f%% of the slow calls and %.0f%% of the fast ones were refused, of which %d are served in a second", 100*w.shed(), 100*f.shed(), f.good/29)
					}
				})
			})
		}
	}
}
