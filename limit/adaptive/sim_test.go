package adaptive_test

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/aguada-dev/aguada/limit/adaptive"
)

// The simulation: calls arrive at random, whether or not earlier ones have been
// answered, and go through stations where they queue for servers. It is one
// goroutine in a bubble of testing/synctest: time is virtual, and with a seed
// every run is the same.

// station is a resource: so many processors, or connections.
type station struct {
	servers int
	running int
	queue   []*call
	waits   time.Duration // of those that were served since the last look
	served  int
}

// stage is what a call needs of a station, or of nobody (nil).
type stage struct {
	at   *station
	mean time.Duration
	draw func(*rand.Rand) float64 // times mean; nil: exactly mean
}

// class is calls of one method.
type class struct {
	name   string
	m      *adaptive.Method
	rate   func(t time.Duration) float64 // arrivals in a second
	stages []stage
	end    adaptive.Outcome
	fails  float64       // share that fails at once
	quits  time.Duration // when callers give up; 0: never
}

type call struct {
	c      *class
	stage  int
	start  time.Duration
	queued time.Duration
	left   bool
}

// result is how a call ended.
type result struct {
	class    *class
	at, took time.Duration
	refused  bool
	outcome  adaptive.Outcome
}

type event struct {
	at time.Duration
	n  int // order of those at the same time
	do func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || (e[i].at == e[j].at && e[i].n < e[j].n)
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any     { o := *e; x := o[len(o)-1]; *e = o[:len(o)-1]; return x }

type sim struct {
	l       *adaptive.Limiter
	now     time.Duration
	n       int
	events  events
	rng     *rand.Rand
	cpu     *station // whose queue the scheduler tells of
	results []result
	probe   func()
}

func newSim(seed uint64, procs int) *sim {
	l, err := adaptive.New(adaptive.Config{MinLimit: max(8, 2*procs), InitialLimit: max(100, 16*procs)})
	if err != nil {
		panic(err)
	}
	s := &sim{l: l, rng: rand.New(rand.NewPCG(seed, 1))}
	s.cpu = &station{servers: procs}
	l.SetScheduler(func() time.Duration {
		if s.cpu.served == 0 {
			return 0
		}
		d := s.cpu.waits / time.Duration(s.cpu.served)
		s.cpu.waits, s.cpu.served = 0, 0
		return d
	}, procs)
	return s
}

func (s *sim) after(d time.Duration, do func()) {
	s.n++
	heap.Push(&s.events, event{at: s.now + d, n: s.n, do: do})
}

// add lets calls arrive.
func (s *sim) add(p adaptive.Priority, c *class) *class {
	c.m = s.l.Method(p)
	var arrive func()
	arrive = func() {
		rate := c.rate(s.now)
		if rate <= 0 {
			s.after(10*time.Millisecond, arrive)
			return
		}
		s.enter(c)
		s.after(time.Duration(s.rng.ExpFloat64()/rate*float64(time.Second)), arrive)
	}
	s.after(time.Duration(s.rng.Float64()*float64(time.Millisecond)), arrive)
	return c
}

func (s *sim) enter(c *class) {
	if !c.m.Acquire() {
		s.results = append(s.results, result{class: c, at: s.now, refused: true})
		return
	}
	k := &call{c: c, start: s.now}
	if c.fails > 0 && s.rng.Float64() < c.fails {
		s.after(50*time.Microsecond, func() { s.leave(k, adaptive.Failed) })
		return
	}
	if c.quits > 0 {
		s.after(c.quits, func() {
			if !k.left {
				s.leave(k, adaptive.Failed) // its work goes on
			}
		})
	}
	s.step(k)
}

func (s *sim) leave(k *call, o adaptive.Outcome) {
	k.left = true
	took := s.now - k.start
	k.c.m.Release(took, o)
	s.results = append(s.results, result{class: k.c, at: k.start, took: took, outcome: o})
}

func (s *sim) step(k *call) {
	if k.stage == len(k.c.stages) {
		if !k.left {
			s.leave(k, k.c.end)
		}
		return
	}
	st := k.c.stages[k.stage].at
	k.queued = s.now
	if st == nil || st.running < st.servers {
		s.serve(k)
		return
	}
	st.queue = append(st.queue, k)
}

func (s *sim) serve(k *call) {
	g := k.c.stages[k.stage]
	d := g.mean
	if g.draw != nil {
		d = time.Duration(float64(d) * g.draw(s.rng))
	}
	if g.at != nil {
		g.at.running++
		g.at.served++
		g.at.waits += s.now - k.queued
	}
	s.after(d, func() {
		if g.at != nil {
			g.at.running--
			if len(g.at.queue) > 0 {
				next := g.at.queue[0]
				g.at.queue = g.at.queue[1:]
				s.serve(next)
			}
		}
		k.stage++
		s.step(k)
	})
}

// run lets time pass, until end.
func (s *sim) run(end time.Duration) {
	for len(s.events) > 0 && s.events[0].at <= end {
		e := heap.Pop(&s.events).(event)
		time.Sleep(e.at - s.now)
		s.now = e.at
		e.do()
		if s.probe != nil {
			s.probe()
		}
	}
	time.Sleep(end - s.now)
	s.now = end
}

// summary is what became of the calls that arrived in a time.
type summary struct {
	offered, good, refused, failed int
	p50, p99                       time.Duration
}

func (s *sim) over(from, to time.Duration, of ...*class) summary {
	var sum summary
	var took []time.Duration
	for _, r := range s.results {
		if r.at < from || r.at >= to || (len(of) > 0 && !slices.Contains(of, r.class)) {
			continue
		}
		sum.offered++
		switch {
		case r.refused:
			sum.refused++
		case r.outcome != adaptive.Served:
			sum.failed++
		default:
			sum.good++
			took = append(took, r.took)
		}
	}
	slices.Sort(took)
	if n := len(took); n > 0 {
		sum.p50, sum.p99 = took[n/2], took[n*99/100]
	}
	return sum
}

func (x summary) shed() float64 { return float64(x.refused) / float64(max(1, x.offered)) }

func constant(rate float64) func(time.Duration) float64 {
	return func(time.Duration) float64 { return rate }
}

func exponential(r *rand.Rand) float64 { return r.ExpFloat64() }

// bimodal is a cache: nine of ten calls are a hundred times as fast.
func bimodal(r *rand.Rand) float64 {
	if r.Float64() < 0.9 {
		return 0.1
	}
	return 9.1
}
