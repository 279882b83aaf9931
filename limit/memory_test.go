package limit_test

import (
	"encoding/binary"
	"math"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/aguada-dev/aguada/limit"
	"github.com/aguada-dev/aguada/limit/limittest"
)

func memory(t testing.TB, keys int) *limit.Memory {
	t.Helper()
	m, err := limit.NewMemory(limit.MemoryConfig{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func open(t testing.TB, d limit.Driver, rules ...limit.Rule) *limit.Limiter {
	t.Helper()
	l, err := limit.New(d, rules...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func nth(n int) limit.Partitions {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(n))
	return limit.Partitions{limit.Address(netip.AddrFrom4(b))}
}

func TestMemory(t *testing.T) {
	limittest.Run(t, func(t *testing.T) limittest.Harness {
		m := memory(t, 100_000)
		return limittest.Harness{Replica: func() limit.Driver { return m }, Advance: time.Sleep}
	})
}

// bucket is the model: a token bucket in exact whole numbers.
type bucket struct {
	full time.Time
}

func (b *bucket) debt(now time.Time) time.Duration { return max(b.full.Sub(now), 0) }

// The memory decides as a token bucket per rule and partition does, to the
// nanosecond, whatever comes in whatever order.
func TestMemoryIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ rapid.TB }{t}, func(t *rapid.T) {
			var rules []limit.Rule
			for i := range rapid.IntRange(1, limit.MaxRules).Draw(t, "rules") {
				r := limit.Rule{
					Name: strconv.Itoa(i), Rate: rapid.IntRange(1, 2000).Draw(t, "rate"),
					Per: time.Duration(rapid.IntRange(2, 5000).Draw(t, "ms")) * time.Millisecond, Burst: rapid.IntRange(1, 6).Draw(t, "burst"),
				}
				rules = append(rules, r)
			}
			m, err := limit.NewMemory(limit.MemoryConfig{Keys: 100_000})
			if err != nil {
				t.Fatal(err)
			}
			l, err := limit.New(m, rules...)
			if err != nil {
				t.Fatal(err)
			}
			buckets := map[[2]int]*bucket{}
			for range rapid.IntRange(1, 200).Draw(t, "calls") {
				var p limit.Partitions
				var bs [limit.MaxRules]*bucket
				allowed, now := true, time.Now()
				for i, r := range rules {
					who := rapid.IntRange(0, 2).Draw(t, "who")
					p[i] = limit.Text(strconv.Itoa(who))
					if bs[i] = buckets[[2]int{i, who}]; bs[i] == nil {
						bs[i] = &bucket{full: now}
						buckets[[2]int{i, who}] = bs[i]
					}
					allowed = allowed && bs[i].debt(now)+r.Interval() <= r.Fill()
				}
				d := l.Take(t.Context(), p)
				if d.Allowed != allowed {
					t.Fatalf("allowed: got %v, want %v", d.Allowed, allowed)
				}
				for i, r := range rules {
					debt, st := bs[i].debt(now), d.Status[i]
					if refused := debt+r.Interval() > r.Fill(); st.Refused != refused {
						t.Fatalf("rule %d refuses: got %v, want %v", i, st.Refused, refused)
					}
					if allowed {
						debt += r.Interval()
						bs[i].full = now.Add(debt)
					}
					left := r.Fill() - debt
					want := limit.Status{Refused: st.Refused, Reset: debt, Remaining: int(left / r.Interval())}
					if want.Remaining == 0 {
						want.RetryAfter = r.Interval() - left
					}
					if st != want {
						t.Fatalf("rule %d: got %+v, want %+v", i, st, want)
					}
				}
				if !d.Allowed && rapid.Bool().Draw(t, "patient") {
					time.Sleep(d.RetryAfter())
				} else {
					time.Sleep(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "pause") >> rapid.IntRange(0, 30).Draw(t, "less")))
				}
			}
		})
	})
}

// A flood of new clients neither frees who is at his limit nor denies newcomers
// before the flood itself has used up all there is.
func TestFloodFreesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, memory(t, 4096), limit.Rule{Name: "r", Rate: 10, Per: time.Hour})
		heavy := limit.Partitions{limit.Text("heavy")}
		for range 10 {
			l.Take(t.Context(), heavy)
		}
		const clients = 8192
		for i := range clients {
			if d := l.Take(t.Context(), nth(i)); !d.Allowed {
				t.Fatalf("client %d is denied his first call: %+v", i, d)
			}
			if i%64 == 0 && l.Take(t.Context(), heavy).Allowed {
				t.Fatalf("freed by %d others", i)
			}
		}
		// However many they are, they cannot spend more than what there is room
		// for: 5472 places of 10 units, of which heavy has 10.
		passed := clients
		for i := range 100_000 {
			if l.Take(t.Context(), nth(clients+i)).Allowed {
				passed++
			}
		}
		if passed > 54_710 || passed < 48_000 {
			t.Errorf("%d calls of new clients pass, want nearly 54,710", passed)
		}
		if l.Take(t.Context(), heavy).Allowed {
			t.Error("freed by the flood")
		}
		time.Sleep(time.Hour)
		if d := l.Take(t.Context(), heavy); !d.Allowed || d.Status[0].Remaining != 9 {
			t.Errorf("not free after an hour: %+v", d)
		}
	})
}

// A flood against a slow rule takes places, and nothing else, from a quick one.
func TestFloodOfOtherRule(t *testing.T) {
	m := memory(t, 1024)
	slow := open(t, m, limit.Rule{Name: "slow", Rate: 5, Per: time.Hour})
	quick := open(t, m, limit.Rule{Name: "quick", Rate: 100, Per: time.Second})
	for i := range 1500 {
		slow.Take(t.Context(), nth(i))
	}
	for i := range 500 {
		if d := quick.Take(t.Context(), nth(i)); !d.Allowed {
			t.Fatalf("newcomer %d to the quick rule: %+v", i, d)
		}
	}
}

// Three million clients cost no more memory than one million.
func TestMemoryIsBounded(t *testing.T) {
	if raced {
		t.Skip("does one thing at a time, often")
	}
	m := memory(t, 0)
	l := open(t, m, limit.Rule{Name: "r", Rate: 1, Per: time.Hour, Burst: 100})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 3_000_000 {
		if i == 900_000 {
			for _, n := range []int{0, 1, 450_000, 899_999} {
				if d := l.Take(t.Context(), nth(n)); d.Status[0].Remaining != 98 {
					t.Fatalf("client %d of 900,000 is not known exactly: %+v", n, d)
				}
			}
		}
		l.Take(t.Context(), nth(i))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := int64(after.HeapAlloc) - int64(before.HeapAlloc); got > 23<<20 || got < 18<<20 {
		t.Errorf("%d bytes, want 22 MiB", got)
	}
	runtime.KeepAlive(m)
}

func TestTakeAllocatesNothing(t *testing.T) {
	m := memory(t, 1024)
	one := open(t, m, limit.Rule{Name: "a", Rate: 1000, Per: time.Second})
	four := open(t, m, limit.Rule{Name: "b", Rate: 1000, Per: time.Second}, limit.Rule{Name: "c", Rate: 1, Per: time.Second},
		limit.Rule{Name: "d", Rate: 1000, Per: time.Second}, limit.Rule{Name: "e", Rate: 1000, Per: time.Second})
	buf := make([]byte, 0, 256)
	one.Take(t.Context(), limit.Partitions{})
	if n := testing.AllocsPerRun(1000, func() {
		p := limit.Partitions{limit.Text("ann"), limit.Text("ann"), limit.Everyone, limit.Address(netip.IPv6Loopback())}
		d := one.Take(t.Context(), p)
		buf = one.AppendRateLimit(buf[:0], &d)
		d = four.Take(t.Context(), p)
		buf = four.AppendRateLimit(buf[:0], &d)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Replicas that each enforce their share admit no more than the rule in total,
// except that a burst is never below one.
func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct{ burst, replicas, atOnce, inMinute int }{
			{100, 1, 100, 6000}, {100, 4, 25, 1500}, {100, 3, 33, 2000}, {10, 16, 1, 375}, {1, 1000, 1, 24}, {100, 0, 100, 6000}, {100, math.MinInt, 100, 6000},
		} {
			l, err := memory(t, 100).Local([]limit.Rule{{Name: "r", Rate: 100, Per: time.Second, Burst: tt.burst}})
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for l.TakeShare(limit.Partitions{}, tt.replicas).Allowed {
				n++
			}
			if n != tt.atOnce {
				t.Errorf("%+v: %d at once", tt, n)
			}
			n = 0
			for end := time.Now().Add(time.Minute); time.Now().Before(end); {
				if d := l.TakeShare(limit.Partitions{}, tt.replicas); d.Allowed {
					n++
				} else {
					time.Sleep(d.RetryAfter())
				}
			}
			if n < tt.inMinute-1 || n > tt.inMinute+1 {
				t.Errorf("%+v: %d in a minute", tt, n)
			}
		}
		l, err := memory(t, 100).Local([]limit.Rule{{Name: "r", Rate: 1, Per: limit.MaxFill}, {Name: "s", Rate: 10, Per: time.Hour}})
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			l.Charge(limit.Partitions{}, math.MaxInt)
		}
		if d := l.TakeShare(limit.Partitions{}, math.MaxInt); d.Allowed || d.RetryAfter() <= 0 {
			t.Errorf("overflows: %+v", d)
		}
	})
}

// Many at once get no more than there is, and nothing is lost.
func TestConcurrentTakes(t *testing.T) {
	m := memory(t, 64)
	var ls []*limit.Limiter
	names := []string{"a", "b", "c", "d"}
	for i := range names {
		var rules []limit.Rule
		for j := range names {
			rules = append(rules, limit.Rule{Name: names[(i+j)%4], Rate: 500, Per: time.Hour})
		}
		ls = append(ls, open(t, m, rules...))
	}
	var passed atomic.Int64
	var wg sync.WaitGroup
	for _, l := range ls {
		for range 2 {
			wg.Go(func() {
				for range 200 {
					if l.Take(t.Context(), limit.Partitions{}).Allowed {
						passed.Add(1)
					}
				}
			})
		}
	}
	wg.Wait()
	if passed.Load() != 500 {
		t.Errorf("%d pass, want 500", passed.Load())
	}
}

func TestMemoryConfigRefused(t *testing.T) {
	for _, n := range []int{-1, limit.MaxKeys + 1} {
		if m, err := limit.NewMemory(limit.MemoryConfig{Keys: n}); err == nil || m != nil {
			t.Errorf("room for %d keys", n)
		}
	}
}
