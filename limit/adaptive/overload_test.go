package adaptive_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aguada-dev/aguada/limit/adaptive"
)

const ms, second = time.Millisecond, time.Second

// bound is a service with one bottleneck.
type bound struct {
	name     string
	procs    int
	capacity float64 // calls in a second
	unloaded time.Duration
	build    func(s *sim) []stage
}

func bounds() []bound {
	var all []bound
	for name, draw := range map[string]func(*rand.Rand) float64{"even": nil, "exponential": exponential} {
		for procs, each := range map[int]time.Duration{1: 2 * ms, 2: 4 * ms, 8: 10 * ms} {
			all = append(all, bound{fmt.Sprintf("%d processors, %s", procs, name), procs, float64(procs) / each.Seconds(), each, func(s *sim) []stage {
				return []stage{{s.cpu, each, draw}}
			}})
		}
		for _, conns := range []int{4, 10, 50} {
			all = append(all, bound{fmt.Sprintf("%d connections, %s", conns, name), 2, float64(conns) * 20, 50 * ms, func(s *sim) []stage {
				pool := &station{servers: conns}
				return []stage{{s.cpu, 100 * time.Microsecond, nil}, {pool, 50 * ms, draw}}
			}})
		}
	}
	return all
}

// A service that is offered more than it can do does what it can, and what it
// accepts it answers in time. One that can do it refuses nothing.
func TestOverload(t *testing.T) {
	if raced {
		t.Skip("the simulation runs without the race detector, which takes minutes for it")
	}
	for _, b := range bounds() {
		for _, load := range []float64{0.3, 1, 2, 3, 10} {
			t.Run(fmt.Sprintf("%s, %vx", b.name, load), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newSim(1, b.procs)
					s.add(adaptive.Normal, &class{rate: func(now time.Duration) float64 {
						if now < 10*second {
							return 0.3 * b.capacity
						}
						return load * b.capacity
					}, stages: b.build(s)})
					s.run(30 * second)
					quiet, x := s.over(0, 10*second), s.over(20*second, 29*second)
					goodput, slower := float64(x.good)/9/b.capacity, float64(x.p99)/float64(quiet.p99)
					t.Logf("goodput %.0f%%, shed %.0f%%, p99 %.1f of %v; limit %d, %+v", 100*goodput, 100*x.shed(), slower, quiet.p99, s.l.Limit(), s.l.Status())
					switch {
					case quiet.refused > 0 || (load < 1 && x.refused > 0):
						t.Errorf("%d and %d calls were refused under light load", quiet.refused, x.refused)
					case load == 1 && goodput < 0.7:
						t.Errorf("goodput is %.0f%% of capacity", 100*goodput)
					case load == 2 && goodput < 0.85, load > 2 && goodput < 0.88:
						t.Errorf("goodput is %.0f%% of capacity", 100*goodput)
					case load > 1 && slower > 3:
						t.Errorf("the p99 is %v, unloaded %v", x.p99, quiet.p99)
					}
				})
			})
		}
	}
}

// A process that starts into an overload has never seen its methods unloaded.
func TestStartIntoOverload(t *testing.T) {
	if raced {
		t.Skip("the simulation runs without the race detector, which takes minutes for it")
	}
	for _, b := range bounds() {
		t.Run(b.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(2, b.procs)
				s.add(adaptive.Normal, &class{rate: constant(3 * b.capacity), stages: b.build(s)})
				s.run(40 * second)
				x := s.over(30*second, 39*second)
				goodput := float64(x.good) / 9 / b.capacity
				t.Logf("goodput %.0f%%, p50 %v p99 %v; limit %d %+v", 100*goodput, x.p50, x.p99, s.l.Limit(), s.l.Status())
				if goodput < 0.9 || x.p50 > 3*b.unloaded {
					t.Errorf("goodput is %.0f%% of capacity, the median %v, unloaded %v", 100*goodput, x.p50, b.unloaded)
				}
			})
		})
	}
}

// When the load goes, so do the refusals.
func TestRecovery(t *testing.T) {
	for _, b := range bounds() {
		t.Run(b.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(3, b.procs)
				s.add(adaptive.Normal, &class{rate: func(now time.Duration) float64 {
					if now > 5*second && now < 20*second {
						return 5 * b.capacity
					}
					return 0.3 * b.capacity
				}, stages: b.build(s)})
				s.run(40 * second)
				if x := s.over(22*second, 40*second); x.refused > 0 {
					t.Errorf("%d of %d calls were refused after the overload", x.refused, x.offered)
				}
				if rest := max(100, 16*b.procs); s.l.Limit() < rest {
					t.Errorf("the limit is %d, at rest it is %d", s.l.Limit(), rest)
				}
			})
		})
	}
}

// Methods of different natures share a process.
func TestMixedLatencies(t *testing.T) {
	build := func(s *sim, gets, reports func(time.Duration) float64) (get, report *class) {
		get = s.add(adaptive.Normal, &class{name: "get", rate: gets, stages: []stage{{s.cpu, ms, nil}}})
		report = s.add(adaptive.Normal, &class{name: "report", rate: reports, stages: []stage{{nil, 2 * second, nil}}})
		return get, report
	}
	t.Run("shares change", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSim(4, 2)
			build(s, constant(500), func(now time.Duration) float64 { return 1 + 2*now.Seconds() }) // up to 240 at a time
			s.run(60 * second)
			if x := s.over(0, 60*second); x.refused > 0 {
				t.Errorf("%d of %d calls were refused", x.refused, x.offered)
			}
		})
	})
	t.Run("the short ones overload the processors", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSim(5, 2)
			get, report := build(s, func(now time.Duration) float64 {
				if now < 10*second {
					return 500
				}
				return 6000
			}, constant(10))
			s.run(30 * second)
			x, long := s.over(18*second, 27*second, get), s.over(18*second, 27*second, report)
			t.Logf("gets %+v, reports %+v, limit %d %+v", x, long, s.l.Limit(), s.l.Status())
			if rate := float64(x.good) / 9; rate < 1600 || x.p99 > 7*ms {
				t.Errorf("%v calls in a second, p99 %v", rate, x.p99)
			}
			if long.good == 0 || long.p99 > 2*second {
				t.Errorf("%d reports, p99 %v", long.good, long.p99)
			}
		})
	})
	t.Run("a third of the calls overloads a pool", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSim(6, 8)
			pool := &station{servers: 10}
			rate := func(most float64) func(time.Duration) float64 {
				return func(now time.Duration) float64 {
					if now < 10*second {
						return 0.1 * most
					}
					return most
				}
			}
			s.add(adaptive.Normal, &class{name: "static", rate: rate(3000), stages: []stage{{s.cpu, ms, nil}}})
			query := s.add(adaptive.Normal, &class{name: "query", rate: rate(1500), stages: []stage{{pool, 20 * ms, nil}}})
			s.run(30 * second)
			x := s.over(18*second, 27*second, query)
			t.Logf("queries %+v, limit %d %+v", x, s.l.Limit(), s.l.Status())
			if rate := float64(x.good) / 9; rate < 450 || x.p99 > 80*ms {
				t.Errorf("%v queries in a second, p99 %v", rate, x.p99)
			}
		})
	})
	t.Run("a cache", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSim(7, 2)
			pool := &station{servers: 20}
			s.add(adaptive.Normal, &class{rate: constant(300), stages: []stage{{pool, 20 * ms, bimodal}}})
			s.run(120 * second)
			if x := s.over(0, 120*second); x.refused > 0 {
				t.Errorf("%d of %d calls were refused", x.refused, x.offered)
			}
		})
	})
}

// A dependency becomes ten times slower, and bears any number of calls: to
// refuse some makes none faster.
func TestMerelySlow(t *testing.T) {
	for _, rate := range []float64{5, 20, 50, 200, 1000, 5000} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(8, 2)
				c := &class{rate: constant(rate), stages: []stage{{nil, 20 * ms, exponential}}}
				s.add(adaptive.Normal, c)
				s.after(20*second, func() { c.stages[0].mean = 200 * ms })
				s.run(60 * second)
				x, late := s.over(20*second, 60*second), s.over(40*second, 60*second)
				t.Logf("refused %.2f%% after the change, %.2f%% later; limit %d %+v", 100*x.shed(), 100*late.shed(), s.l.Limit(), s.l.Status())
				if x.shed() > 0.1 || late.shed() > 0.005 {
					t.Errorf("%d calls were refused, and %d when it should be known better", x.refused, late.refused)
				}
			})
		})
	}
}

// A bottleneck that is narrower than the smallest limit cannot be kept short of
// calls, but the queue is bounded.
func TestNarrow(t *testing.T) {
	for _, conns := range []int{1, 2, 3} {
		t.Run(fmt.Sprint(conns), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(16, 2)
				pool := &station{servers: conns}
				s.add(adaptive.Normal, &class{rate: constant(3 * float64(conns) * 100), stages: []stage{{pool, 10 * ms, nil}}})
				s.run(60 * second)
				x := s.over(20*second, 59*second)
				goodput, slower := float64(x.good)/39/100/float64(conns), float64(x.p99)/float64(10*ms)
				t.Logf("goodput %.0f%%, p50 %v, p99 %.1f times; limit %d %+v", 100*goodput, x.p50, slower, s.l.Limit(), s.l.Status())
				if goodput < 0.9 || slower > 30 {
					t.Errorf("goodput is %.0f%% of capacity, the p99 %.0f times as long", 100*goodput, slower)
				}
			})
		})
	}
}

// A resource becomes slower: now it is one that overloads.
func TestSlowerAndOverloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(9, 2)
		pool := &station{servers: 10}
		c := &class{rate: constant(400), stages: []stage{{pool, 20 * ms, nil}}}
		s.add(adaptive.Normal, c)
		s.after(10*second, func() { c.stages[0].mean = 60 * ms })
		s.run(40 * second)
		x := s.over(25*second, 35*second)
		t.Logf("%+v limit %d %+v", x, s.l.Limit(), s.l.Status())
		if rate := float64(x.good) / 10; rate < 0.9*10/0.06 || x.p99 > 180*ms {
			t.Errorf("%v calls in a second, p99 %v", rate, x.p99)
		}
	})
}

// After an overload and a pause, a burst is a burst.
func TestBurstAfterPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(10, 2)
		c := s.add(adaptive.Normal, &class{rate: func(now time.Duration) float64 {
			if now > 5*second {
				return 0
			}
			return 3000
		}, stages: []stage{{s.cpu, 2 * ms, nil}}})
		s.run(5 * second)
		if s.l.Limit() > 20 {
			t.Fatalf("the limit is %d under overload", s.l.Limit())
		}
		s.after(30*second, func() {
			for range 90 {
				s.enter(c)
			}
		})
		s.run(60 * second)
		if x := s.over(30*second, 60*second); x.refused > 0 || x.good != 90 {
			t.Errorf("%d of %d calls of a burst were refused", x.refused, x.offered)
		}
	})
}

// Bursts on a service that has room are absorbed, again and again.
func TestBursts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(11, 2)
		c := s.add(adaptive.Normal, &class{rate: constant(200), stages: []stage{{s.cpu, 2 * ms, nil}}})
		var burst func()
		burst = func() {
			for range 60 {
				s.enter(c)
			}
			s.after(3*second, burst)
		}
		s.after(second, burst)
		s.run(60 * second)
		if x := s.over(0, 60*second); x.refused > 0 {
			t.Errorf("%d of %d calls were refused", x.refused, x.offered)
		}
	})
}

// Calls that fail say nothing while they are quick, and much when callers give
// up on them.
func TestFailures(t *testing.T) {
	t.Run("quick ones", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSim(12, 2)
			s.add(adaptive.Normal, &class{rate: func(now time.Duration) float64 { return 100 + 500*float64(int(now.Seconds())%7) },
				stages: []stage{{s.cpu, 2 * ms, nil}}, fails: 1})
			s.run(60 * second)
			if x := s.over(0, 60*second); x.refused > 0 || s.l.Limit() < 100 {
				t.Errorf("%d of %d calls were refused, the limit is %d", x.refused, x.offered, s.l.Limit())
			}
		})
	})
	t.Run("most are quick, the rest as ever", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSim(13, 2)
			c := s.add(adaptive.Normal, &class{rate: constant(300), stages: []stage{{nil, 50 * ms, exponential}}})
			s.after(20*second, func() { c.fails = 0.9 })
			s.after(40*second, func() { c.fails = 0 })
			s.run(80 * second)
			if x := s.over(0, 80*second); x.refused > 0 {
				t.Errorf("%d of %d calls were refused", x.refused, x.offered)
			}
		})
	})
	t.Run("all are given up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSim(14, 2)
			pool := &station{servers: 10}
			s.add(adaptive.Normal, &class{rate: func(now time.Duration) float64 {
				if now < 10*second {
					return 100
				}
				return 1500
			}, stages: []stage{{pool, 20 * ms, nil}}, quits: 100 * ms})
			s.run(40 * second)
			x := s.over(25*second, 39*second)
			t.Logf("%+v limit %d %+v", x, s.l.Limit(), s.l.Status())
			if rate := float64(x.good) / 14; rate < 450 {
				t.Errorf("%v calls in a second are answered in time, of 500", rate)
			}
		})
	})
}

// Low calls go first, high ones last.
func TestPriorities(t *testing.T) {
	for _, b := range bounds() {
		t.Run(b.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(15, b.procs)
				share := func(load float64) func(time.Duration) float64 {
					return func(now time.Duration) float64 {
						if now < 5*second {
							return 0.1 * b.capacity
						}
						return load * b.capacity
					}
				}
				stages := b.build(s)
				hi := s.add(adaptive.High, &class{rate: share(0.3), stages: stages})
				mid := s.add(adaptive.Normal, &class{rate: share(1), stages: stages})
				lo := s.add(adaptive.Low, &class{rate: share(1.7), stages: stages})
				s.run(30 * second)
				h, n, l := s.over(12*second, 29*second, hi), s.over(12*second, 29*second, mid), s.over(12*second, 29*second, lo)
				t.Logf("shed: high %.1f%%, normal %.1f%%, low %.1f%%; limit %d", 100*h.shed(), 100*n.shed(), 100*l.shed(), s.l.Limit())
				if h.shed() > 0.15 || n.shed() < 2*h.shed() || l.shed() < n.shed()+0.2 || l.shed() < 0.7 {
					t.Errorf("shed: high %.1f%%, normal %.1f%%, low %.1f%%", 100*h.shed(), 100*n.shed(), 100*l.shed())
				}
				if got := s.l.Refused(adaptive.Low); got < uint64(l.refused) {
					t.Errorf("%d low calls were counted as refused, %d were", got, l.refused)
				}
			})
		})
	}
}
