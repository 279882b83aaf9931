package adaptive_test

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aguada-dev/aguada/limit/adaptive"
)

func newLimiter(t testing.TB, cfg adaptive.Config) *adaptive.Limiter {
	t.Helper()
	l, err := adaptive.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestConfig(t *testing.T) {
	for _, cfg := range []adaptive.Config{
		{MinLimit: -1}, {InitialLimit: -1}, {MaxLimit: -1},
		{MinLimit: 50, InitialLimit: 20}, {InitialLimit: 50, MaxLimit: 20}, {MinLimit: 200}, {MaxLimit: 1},
		{MaxLimit: 1 << 40},
	} {
		if _, err := adaptive.New(cfg); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
	l := newLimiter(t, adaptive.Config{})
	if got, want := l.Limit(), max(100, 16*runtime.GOMAXPROCS(0)); got != want {
		t.Errorf("the limit is %d at the start, want %d", got, want)
	}
	if l.InFlight() != 0 || l.Refused(adaptive.Low) != 0 || l.Status() != (adaptive.Status{Slowdown: 1}) {
		t.Errorf("%d in flight, %+v", l.InFlight(), l.Status())
	}
}

// Calls that hang fill the limit, by priority, and no more; they are let go, and
// all is as before.
func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, adaptive.Config{MinLimit: 4, InitialLimit: 8, MaxLimit: 8})
		methods := map[adaptive.Priority]*adaptive.Method{}
		for _, p := range []adaptive.Priority{adaptive.Low, adaptive.Normal, adaptive.High} {
			methods[p] = l.Method(p)
		}
		fill := func(p adaptive.Priority, want int) {
			t.Helper()
			for methods[p].Acquire() {
			}
			if l.InFlight() != want {
				t.Errorf("priority %d: %d in flight, want %d", p, l.InFlight(), want)
			}
		}
		fill(adaptive.Low, 6)
		fill(adaptive.Normal, 8)
		fill(adaptive.High, 10)
		for range 100 { // nobody answers for long
			time.Sleep(time.Second)
			if methods[adaptive.High].Acquire() {
				t.Fatal("an eleventh call was admitted")
			}
		}
		for range 10 {
			methods[adaptive.Normal].Release(100*time.Second, adaptive.Failed)
		}
		if l.InFlight() != 0 || !methods[adaptive.Low].Acquire() {
			t.Errorf("%d in flight", l.InFlight())
		}
	})
}

// Whatever calls do, they are counted rightly, and the limits hold.
func TestConcurrentCalls(t *testing.T) {
	l := newLimiter(t, adaptive.Config{MinLimit: 2, InitialLimit: 8, MaxLimit: 32})
	l.SetScheduler(func() time.Duration { return time.Duration(rand.IntN(300)) * time.Microsecond }, 1)
	var methods []*adaptive.Method
	for i := range 9 {
		methods = append(methods, l.Method(adaptive.Priority(i%3)))
	}
	var inside, most, refused atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 2000 {
				m := methods[rand.IntN(len(methods))]
				start := time.Now()
				if !m.Acquire() {
					refused.Add(1)
					if s := l.RetryAfter(); s < 1 || s > 10 {
						t.Errorf("retry after %d", s)
					}
					runtime.Gosched()
					continue
				}
				n := inside.Add(1)
				for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
				}
				if rand.IntN(4) == 0 {
					time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
				}
				inside.Add(-1)
				m.Release(time.Since(start), adaptive.Outcome(rand.IntN(3)))
			}
		})
	}
	wg.Wait()
	counted := l.Refused(adaptive.Low) + l.Refused(adaptive.Normal) + l.Refused(adaptive.High)
	if l.InFlight() != 0 || int64(counted) != refused.Load() || most.Load() > 32+8 || l.Limit() > 32 || l.Limit() < 2 {
		t.Errorf("%d in flight, %d refused of %d, at most %d at a time, limit %d", l.InFlight(), counted, refused.Load(), most.Load(), l.Limit())
	}
}

// Nonsense that a caller might report does no harm.
func TestOddDurations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, adaptive.Config{})
		m := l.Method(adaptive.Priority(200))
		for i := range 100_000 {
			if !m.Acquire() {
				t.Fatalf("call %d was refused", i)
			}
			m.Release([]time.Duration{-time.Hour, 0, 1, 1 << 62, time.Millisecond}[rand.IntN(5)], adaptive.Outcome(rand.IntN(5)))
			time.Sleep(time.Millisecond)
		}
		if l.Limit() < 8 {
			t.Errorf("the limit is %d", l.Limit())
		}
	})
}

// While goroutines wait to run, those that have arrived are counted before
// anybody works.
func TestArrivalsAreCounted(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	l := newLimiter(t, adaptive.Config{MinLimit: 4, InitialLimit: 4, MaxLimit: 4})
	l.SetScheduler(func() time.Duration { return time.Millisecond }, 1)
	m := l.Method(adaptive.Normal)
	for !settledAfter(l, m) {
	}
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 50 { // they compute, and never wait
		wg.Go(func() {
			if m.Acquire() {
				admitted.Add(1)
				for end := time.Now().Add(200 * time.Microsecond); time.Now().Before(end); {
				}
				m.Release(200*time.Microsecond, adaptive.Served)
			}
		})
	}
	wg.Wait()
	if n := admitted.Load(); n > 12 {
		t.Errorf("%d of 50 calls that arrived together were admitted, the limit is 4", n)
	}
}

// settledAfter makes calls until the limiter has looked at them.
func settledAfter(l *adaptive.Limiter, m *adaptive.Method) bool {
	for range 1000 {
		if m.Acquire() {
			m.Release(200*time.Microsecond, adaptive.Served)
		}
	}
	return l.Status().Delay > 0
}

func TestNoAllocation(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	l := newLimiter(t, adaptive.Config{})
	m := l.Method(adaptive.Normal)
	end := time.Now().Add(300 * time.Millisecond) // several windows
	n := testing.AllocsPerRun(1, func() {
		for time.Now().Before(end) {
			if m.Acquire() {
				m.Release(time.Millisecond, adaptive.Served)
			}
		}
	})
	if n > 20 { // those of the windows
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCall(b *testing.B) {
	l := newLimiter(b, adaptive.Config{})
	m := l.Method(adaptive.Normal)
	b.ReportAllocs()
	for b.Loop() {
		if m.Acquire() {
			m.Release(time.Millisecond, adaptive.Served)
		}
	}
}

func BenchmarkCallParallel(b *testing.B) {
	l := newLimiter(b, adaptive.Config{})
	m := l.Method(adaptive.Normal)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if m.Acquire() {
				m.Release(time.Millisecond, adaptive.Served)
			}
		}
	})
}

func BenchmarkRefused(b *testing.B) {
	l := newLimiter(b, adaptive.Config{MinLimit: 1, InitialLimit: 1, MaxLimit: 1})
	m := l.Method(adaptive.Low)
	m.Acquire()
	b.ReportAllocs()
	for b.Loop() {
		if m.Acquire() {
			b.Fatal("admitted")
		}
	}
}
