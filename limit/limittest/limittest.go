// Package limittest is the suite that every driver of rate limits passes, and with
// [RunLocks] that of drivers which share locks.
//
//	func TestDriver(t *testing.T) {
//		limittest.Run(t, func(t *testing.T) limittest.Harness {
//			m, err := limit.NewMemory(limit.MemoryConfig{})
//			...
//			return limittest.Harness{Replica: func() limit.Driver { return m }, Advance: time.Sleep}
//		})
//	}
package limittest

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/limit"
)

// Harness is a store in which nobody has spent anything.
type Harness struct {
	// Replica returns a driver of the store, as one more process would have it.
	Replica func() limit.Driver
	// Advance lets so much time pass by the store's clock, or a little more.
	Advance func(time.Duration)
}

// Run tests the driver. Each test has a store of its own, which open makes and
// cleans up with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Harness)
	}{
		{"spends the burst exactly", burst},
		{"charges all rules or none", several},
		{"keeps partitions apart", partitions},
		{"gives back with time", clock},
		{"shares between replicas", replicas},
		{"refuses a rule with two meanings", conflict},
		{"bears extreme rules", extremes},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

func limiter(t *testing.T, d limit.Driver, rules ...limit.Rule) *limit.Limiter {
	t.Helper()
	l, err := limit.New(d, rules...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// want takes and compares what a caller sees.
func want(t *testing.T, l *limit.Limiter, p limit.Partitions, allowed bool, remaining ...int) limit.Decision {
	t.Helper()
	d := l.Take(t.Context(), p)
	if d.Degraded || d.Unavailable || d.Rules != len(remaining) {
		t.Fatalf("the store was not asked: %+v", d)
	}
	if d.Allowed != allowed {
		t.Fatalf("allowed: got %v, want %v: %+v", d.Allowed, allowed, d)
	}
	for i, n := range remaining {
		st := d.Status[i]
		if st.Remaining != n {
			t.Fatalf("rule %d: %d remain, want %d", i, st.Remaining, n)
		}
		if (st.RetryAfter > 0) != (n == 0) || st.Reset < 0 || (st.Refused && (allowed || n > 0)) {
			t.Fatalf("rule %d contradicts itself: %+v", i, st)
		}
	}
	return d
}

func burst(t *testing.T, h Harness) {
	l := limiter(t, h.Replica(), limit.Rule{Name: "hourly", Rate: 5, Per: time.Hour, Burst: 7})
	p := limit.Partitions{limit.Text("ann")}
	for left := 6; left >= 0; left-- {
		d := want(t, l, p, true, left)
		full := time.Duration(7-left) * 12 * time.Minute
		if got := d.Status[0].Reset; got > full || got < full-time.Minute {
			t.Errorf("all is back in %s, want about %s", got, full)
		}
	}
	for range 20 {
		d := want(t, l, p, false, 0)
		if wait := d.RetryAfter(); wait > 12*time.Minute || wait < 11*time.Minute || !d.Status[0].Refused || d.Refused() != 0 {
			t.Fatalf("a refusal makes wait %s, want at most 12m: %+v", wait, d)
		}
	}
}

func several(t *testing.T, h Harness) {
	r := h.Replica()
	wide := limit.Rule{Name: "wide", Rate: 5, Per: time.Hour}
	narrow := limit.Rule{Name: "narrow", Rate: 2, Per: time.Hour}
	both := limiter(t, r, wide, narrow)
	swapped := limiter(t, r, narrow, wide)
	alone := limiter(t, r, wide)
	ann, bob := limit.Text("ann"), limit.Text("bob")
	want(t, both, limit.Partitions{limit.Everyone, ann}, true, 4, 1)
	want(t, swapped, limit.Partitions{ann, limit.Everyone}, true, 0, 3)
	for range 5 {
		d := want(t, both, limit.Partitions{limit.Everyone, ann}, false, 3, 0)
		if d.Status[0].Refused || !d.Status[1].Refused || d.Refused() != 1 {
			t.Fatalf("the wrong rule refuses: %+v", d)
		}
	}
	want(t, alone, limit.Partitions{limit.Everyone}, true, 2)
	want(t, both, limit.Partitions{limit.Everyone, bob}, true, 1, 1)
	want(t, alone, limit.Partitions{limit.Everyone}, true, 0)
	want(t, both, limit.Partitions{limit.Everyone, bob}, false, 0, 1)
	want(t, both, limit.Partitions{limit.Everyone, ann}, false, 0, 0)
	want(t, both, limit.Partitions{ann, bob}, true, 4, 0)
}

func partitions(t *testing.T, h Harness) {
	r := h.Replica()
	l := limiter(t, r, limit.Rule{Name: "once", Rate: 1, Per: time.Hour})
	addr := netip.MustParseAddr
	distinct := []limit.Partition{
		limit.Everyone, limit.Text(""), limit.Text("\x00"), limit.Text("}:{"), limit.Text("a b\r\nDEL x"), limit.Text("\xff\xfe"),
		limit.Text(strings.Repeat("x", 1<<20)), limit.Text(strings.Repeat("x", 1<<20-1)), limit.Text("192.0.2.1"), limit.Text("\xc0\x00\x02\x01"),
		limit.Address(netip.Addr{}), limit.Address(addr("192.0.2.1")), limit.Address(addr("192.0.2.2")), limit.Address(addr("::192.0.2.1")),
		limit.Address(addr("2001:db8::1")), limit.Address(addr("2001:db8:0:1::1")), limit.Address(addr("0.0.0.0")),
	}
	for i := range 1000 {
		distinct = append(distinct, limit.Text("principal "+strconv.Itoa(i)))
	}
	for _, p := range distinct {
		want(t, l, limit.Partitions{p}, true, 0)
	}
	for _, p := range distinct {
		want(t, l, limit.Partitions{p}, false, 0)
	}
	for _, a := range []string{"::ffff:192.0.2.1", "2001:db8::ffff:0:0:2", "2001:db8::1%eth0", "::1"} {
		want(t, l, limit.Partitions{limit.Address(addr(a))}, false, 0)
	}
	other := limiter(t, r, limit.Rule{Name: "once:", Rate: 1, Per: time.Hour})
	want(t, other, limit.Partitions{limit.Text("principal 1")}, true, 0)
}

func clock(t *testing.T, h Harness) {
	l := limiter(t, h.Replica(), limit.Rule{Name: "quick", Rate: 1, Per: 200 * time.Millisecond, Burst: 3})
	for try := 0; ; try++ {
		begin := time.Now()
		p := limit.Partitions{limit.Text(strconv.Itoa(try))}
		var d limit.Decision
		for range 4 {
			d = l.Take(t.Context(), p)
		}
		if time.Since(begin) > 150*time.Millisecond && try < 20 {
			continue // the machine is busy; nothing can be said
		}
		if d.Allowed || d.RetryAfter() > 200*time.Millisecond {
			t.Fatalf("the fourth of three: %+v", d)
		}
		begin = time.Now()
		h.Advance(d.RetryAfter() / 2)
		early := l.Take(t.Context(), p)
		if time.Since(begin) > d.RetryAfter()-time.Millisecond && try < 20 {
			continue
		}
		if early.Allowed {
			t.Fatalf("a unit came back early: %+v, after %s", early, d.RetryAfter()/2)
		}
		h.Advance(early.RetryAfter())
		if late := l.Take(t.Context(), p); !late.Allowed {
			t.Fatalf("refused at the time that was promised: %+v", late)
		}
		h.Advance(600 * time.Millisecond)
		if full := l.Take(t.Context(), p); !full.Allowed || full.Status[0].Remaining != 2 {
			t.Fatalf("not all came back: %+v", full)
		}
		return
	}
}

// replicas: what is admitted is exact, however many ask at once, in any order.
func replicas(t *testing.T, h Harness) {
	a := limit.Rule{Name: "a", Rate: 100, Per: time.Hour}
	b := limit.Rule{Name: "b", Rate: 150, Per: time.Hour}
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for i := range 2 {
		r := h.Replica()
		ab, ba, alone := limiter(t, r, a, b), limiter(t, r, b, a), limiter(t, r, b)
		for range 4 {
			wg.Go(func() {
				for n := range 40 {
					d := [2]*limit.Limiter{ab, ba}[(n+i)%2].Take(context.Background(), limit.Partitions{})
					if d.Degraded {
						t.Errorf("the store was not asked: %+v", d)
					}
					if d.Allowed {
						admitted.Add(1)
					}
				}
			})
		}
		t.Cleanup(func() {
			if d := alone.Take(context.Background(), limit.Partitions{}); d.Degraded {
				t.Error("the store is gone at the end")
			}
		})
	}
	wg.Wait()
	if got := admitted.Load(); got != 100 {
		t.Errorf("%d are admitted of 320, want 100", got)
	}
	want(t, limiter(t, h.Replica(), b), limit.Partitions{}, true, 49)
}

func conflict(t *testing.T, h Harness) {
	r := h.Replica()
	rule := limit.Rule{Name: "rule", Rate: 5, Per: time.Hour}
	limiter(t, r, rule)
	rule.Burst = 5 // what it is anyway
	limiter(t, r, rule)
	for _, other := range []limit.Rule{{Name: "rule", Rate: 6, Per: time.Hour}, {Name: "rule", Rate: 5, Per: time.Minute}, {Name: "rule", Rate: 5, Per: time.Hour, Burst: 6}} {
		if l, err := limit.New(r, other); err == nil || l != nil {
			t.Errorf("%+v is a second meaning of %+v", other, rule)
		}
	}
}

func extremes(t *testing.T, h Harness) {
	r := h.Replica()
	for i, rule := range []limit.Rule{
		{Rate: 1, Per: limit.MaxFill}, {Rate: 1_000_000, Per: time.Second, Burst: 1_000_000}, {Rate: 1, Per: time.Millisecond},
		{Rate: 3, Per: time.Second}, {Rate: 7, Per: 24 * time.Hour, Burst: 1}, {Rate: 86_400_000, Per: 24 * time.Hour, Burst: 86_400_000},
	} {
		rule.Name = "extreme" + strconv.Itoa(i)
		burst := rule.Burst
		if burst == 0 {
			burst = rule.Rate
		}
		d := limiter(t, r, rule).Take(t.Context(), limit.Partitions{})
		if st := d.Status[0]; !d.Allowed || st.Remaining != burst-1 || st.Reset <= 0 || st.Reset > rule.Interval()+time.Microsecond {
			t.Errorf("%+v: %+v", rule, d)
		}
	}
}
