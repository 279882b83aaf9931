package lockout_test

import (
	"context"
	"math"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/lockout"
	"github.com/aguada-dev/aguada/limit"
)

var _ limit.Locks = (*lockout.Lockout)(nil)

// told is what a Lockout tells others of one client.
type told struct {
	Level int
	Left  time.Duration
}

func due(l *lockout.Lockout, most int) map[string]told {
	all := map[string]told{}
	l.Due(most, func(client netip.Prefix, level int, left time.Duration) { all[client.String()] = told{level, left} })
	return all
}

// pass has b learn what a has to tell.
func pass(a, b *lockout.Lockout) { a.Due(1000, b.Learn) }

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func blocked(t *testing.T, l *lockout.Lockout, a string, want time.Duration) {
	t.Helper()
	if got, ok := l.Blocked(addr(a), time.Now()); got != want || ok != (want > 0) {
		t.Errorf("%s is blocked for %s (%v), want %s", a, got, ok, want)
	}
}

func TestDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, lockout.Config{Failures: 2, Max: 10 * time.Second})
		same(t, "nothing yet", due(l, 10), map[string]told{})
		for _, a := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"} {
			l.Failed(addr(a), time.Now())
		}
		same(t, "nobody takes any", due(l, 0), map[string]told{})
		first := map[string]told{"192.0.2.1/32": {1, time.Second}, "2001:db8::/64": {1, time.Second}}
		same(t, "two locks", due(l, 10), first)
		same(t, "each is told once", due(l, 10), map[string]told{})
		l.Restate()
		same(t, "restated", due(l, 10), first)
		time.Sleep(3 * time.Second)
		l.Failed(addr("192.0.2.1"), time.Now())
		same(t, "the lock that has grown", due(l, 10), map[string]told{"192.0.2.1/32": {2, 2 * time.Second}})
		l.Restate()
		same(t, "one of them is over", due(l, 10), map[string]told{"192.0.2.1/32": {2, 2 * time.Second}, "2001:db8::/64": {1, -2 * time.Second}})
		l.Restate()
		time.Sleep(8 * time.Second)
		same(t, "what is forgiven is not told", due(l, 10), map[string]told{"192.0.2.1/32": {2, -6 * time.Second}})
		time.Sleep(time.Minute)
		l.Restate()
		same(t, "all is forgiven", due(l, 10), map[string]told{})
	})
}

// A lock that has grown is told before any number of new ones, and all are told in
// the end.
func TestDuePrefersGrownLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, lockout.Config{Failures: 1})
		for range 3 {
			for i := range 10 {
				l.Failed(nth(1_000_000+i), time.Now())
			}
			time.Sleep(time.Minute)
		}
		for i := range 5000 {
			l.Failed(nth(i), time.Now())
		}
		all := due(l, 4)
		for len(all) < 10 {
			for c, k := range due(l, 3) {
				all[c] = k
			}
		}
		for c, k := range all {
			if k.Level != 3 {
				t.Errorf("%s of level %d is told before those of level 3", c, k.Level)
			}
		}
		for calls := 0; len(all) < 5010; calls++ {
			if calls == 51 {
				t.Fatalf("%d are told in 51 calls of 100", len(all))
			}
			for c, k := range due(l, 100) {
				all[c] = k
			}
		}
		same(t, "each is told once", due(l, 100), map[string]told{})
	})
}

func TestLearn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := open(t, lockout.Config{Failures: 3}), open(t, lockout.Config{Failures: 3})
		for range 3 {
			a.Failed(addr("192.0.2.1"), time.Now())
		}
		pass(a, b)
		blocked(t, b, "192.0.2.1", time.Second)
		blocked(t, b, "192.0.2.2", 0)
		same(t, "what was learned is not told", due(b, 10), map[string]told{})
		if b.Failed(addr("192.0.2.1"), time.Now()) {
			t.Error("a failure within a lock that was learned counts")
		}
		time.Sleep(5 * time.Second)
		blocked(t, b, "192.0.2.1", 0)
		if !b.Failed(addr("192.0.2.1"), time.Now()) {
			t.Error("the next failure locks nobody out")
		}
		blocked(t, b, "192.0.2.1", 2*time.Second)
		pass(b, a)
		blocked(t, a, "192.0.2.1", 2*time.Second)

		// A lock that is over when it is learned makes the next longer.
		time.Sleep(10 * time.Second)
		a.Failed(addr("192.0.2.1"), time.Now())
		time.Sleep(time.Minute)
		pass(a, b)
		blocked(t, b, "192.0.2.1", 0)
		b.Failed(addr("192.0.2.1"), time.Now())
		blocked(t, b, "192.0.2.1", 8*time.Second)

		// What was learned is told on request, when all was lost.
		c := open(t, lockout.Config{})
		b.Due(10, func(netip.Prefix, int, time.Duration) {})
		b.Learn(netip.MustParsePrefix("2001:db8::/64"), 5, time.Minute)
		b.Restate()
		pass(b, c)
		blocked(t, c, "2001:db8::1", time.Minute)
		blocked(t, c, "192.0.2.1", 8*time.Second)

		// Forgiven as if it were made here.
		time.Sleep(16 * time.Minute)
		for range 9 {
			if c.Failed(addr("2001:db8::1"), time.Now()) {
				t.Error("nothing is forgiven")
			}
		}
	})
}

// Two replicas that lock a client out at once do not add up, and what comes back
// to who told it prolongs nothing.
func TestLearnDoesNotAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := open(t, lockout.Config{Failures: 1}), open(t, lockout.Config{Failures: 1})
		for level, want := range []time.Duration{1, 2, 4, 8, 16} {
			a.Failed(addr("192.0.2.1"), time.Now())
			b.Failed(addr("192.0.2.1"), time.Now())
			for range 100 { // each tells all again, and it takes a moment
				for _, pair := range [][2]*lockout.Lockout{{a, b}, {b, a}, {a, a}} {
					pair[0].Restate()
					pair[0].Due(10, func(c netip.Prefix, level int, left time.Duration) { pair[1].Learn(c, level, left+50*time.Millisecond) })
				}
			}
			for _, l := range []*lockout.Lockout{a, b} {
				blocked(t, l, "192.0.2.1", want*time.Second)
			}
			if got := due(a, 10); len(got) > 0 {
				t.Errorf("lock %d: told again: %v", level+1, got)
			}
			time.Sleep(want * time.Second)
		}
	})
}

// What others say is bounded by what this process would do itself.
func TestLearnTrustsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := netip.MustParsePrefix
		for name, tt := range map[string]struct {
			client netip.Prefix
			level  int
			left   time.Duration
			want   time.Duration
		}{
			"a lock":          {p("192.0.2.1/32"), 1, time.Second, time.Second},
			"for ever":        {p("192.0.2.1/32"), 1, math.MaxInt64, 15 * time.Minute},
			"no level":        {p("192.0.2.1/32"), 0, time.Minute, 0},
			"negative level":  {p("192.0.2.1/32"), -1, time.Minute, 0},
			"greatest level":  {p("192.0.2.1/32"), math.MaxInt, time.Second, time.Second},
			"level of a byte": {p("192.0.2.1/32"), 256, time.Second, time.Second},
			"long ago":        {p("192.0.2.1/32"), 1, math.MinInt64, 0},
			"forgiven":        {p("192.0.2.1/32"), 9, -15 * time.Minute, 0},
			"no client":       {netip.Prefix{}, 1, time.Minute, 0},
			"everybody":       {p("0.0.0.0/0"), 1, time.Minute, 0},
			"a network":       {p("192.0.2.0/24"), 1, time.Minute, 0},
			"all of IPv6":     {p("::/0"), 1, time.Minute, 0},
			"mapped":          {p("::ffff:192.0.2.1/128"), 1, time.Minute, 0},
			"mapped network":  {p("::ffff:192.0.2.1/64"), 1, time.Minute, 0},
		} {
			l := open(t, lockout.Config{Failures: 2})
			l.Learn(tt.client, tt.level, tt.left)
			t.Log(name)
			blocked(t, l, "192.0.2.1", tt.want)
			time.Sleep(tt.want)
			l.Failed(addr("192.0.2.1"), time.Now())
			if wait, _ := l.Blocked(addr("192.0.2.1"), time.Now()); wait > 15*time.Minute || (wait > 0) != (tt.want > 0) {
				t.Errorf("%s: the next failure locks out for %s", name, wait)
			}
		}
		l := open(t, lockout.Config{Failures: 1, First: time.Minute})
		l.Failed(addr("192.0.2.1"), time.Now())
		for _, left := range []time.Duration{0, -time.Second, time.Second, -24 * time.Hour} {
			l.Learn(p("192.0.2.1/32"), 1, left)
		}
		blocked(t, l, "192.0.2.1", time.Minute)
		var off *lockout.Lockout
		off.Learn(p("192.0.2.1/32"), 1, time.Minute)
		off.Restate()
		same(t, "a nil Lockout", due(off, 10), map[string]told{})
	})
}

// A million locks of others take no memory, and free nobody who is locked out here.
func TestLearnMillions(t *testing.T) {
	if raced {
		t.Skip("does one thing at a time, often")
	}
	l, guilty := open(t, lockout.Config{Failures: 1, First: time.Minute}), addr("192.0.2.1")
	l.Failed(guilty, time.Now())
	for i := range 1_000_000 {
		l.Learn(lockout.Client(nth(i)), 63, 24*time.Hour)
	}
	if _, ok := l.Blocked(guilty, time.Now()); !ok {
		t.Error("free again")
	}
	l.Restate()
	n := 0
	l.Due(math.MaxInt, func(netip.Prefix, int, time.Duration) { n++ })
	if n > lockout.Entries {
		t.Errorf("%d are locked, of %d entries", n, lockout.Entries)
	}
}

// Whatever replicas learn of each other, in whatever order, who is locked out at one
// is locked out at all, and no lock lasts longer than the longest that was made.
func TestReplicasAgree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(*testing.T) {
			cfg := lockout.Config{Failures: rapid.IntRange(1, 3).Draw(rt, "failures"), Max: 20 * time.Second}
			var all [3]*lockout.Lockout
			for i := range all {
				l, err := lockout.New(cfg)
				if err != nil {
					rt.Fatal(err)
				}
				all[i] = l
			}
			addrs := []netip.Addr{addr("192.0.2.1"), addr("2001:db8::1"), addr("2001:db8:0:1::1")}
			for range rapid.IntRange(1, 40).Draw(rt, "steps") {
				time.Sleep(time.Duration(rapid.IntRange(0, 3000).Draw(rt, "pause")) * time.Millisecond)
				who := rapid.IntRange(0, 2).Draw(rt, "replica")
				all[who].Failed(rapid.SampledFrom(addrs).Draw(rt, "addr"), time.Now())
				var before [3]time.Duration
				for i, a := range addrs {
					for _, l := range all {
						wait, _ := l.Blocked(a, time.Now())
						before[i] = max(before[i], wait)
					}
				}
				for i := range all {
					all[i].Due(100, func(c netip.Prefix, level int, left time.Duration) {
						for j := range all {
							all[j].Learn(c, level, left)
						}
					})
				}
				for i, a := range addrs {
					for j, l := range all {
						if got, _ := l.Blocked(a, time.Now()); got > before[i] || got < before[i]-time.Second {
							rt.Fatalf("%s is blocked for %s at replica %d, want %s", a, got, j, before[i])
						}
					}
				}
			}
		})
	})
}

// A client that guessed at one replica waits at the other. Who was let in there
// before is let in still, and only the replica that made the lock tells of it.
func TestGuardOfAnotherReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := open(t, lockout.Config{}), open(t, lockout.Config{})
		all, locks := passwords{"ann": "a", "bob": "b"}, ""
		guard := func(l *lockout.Lockout, name string) auth.Verifier {
			return l.Guard(all, lockout.Guard{Client: clientOf, Locked: func(context.Context, netip.Prefix, time.Duration) { locks += name }})
		}
		va, vb := guard(a, "a"), guard(b, "b")
		ctx := from(t, "2001:db8::1")
		if got := said(vb.Verify(ctx, user("ann", "a"))); got != "ann" {
			t.Fatal(got)
		}
		lock(t, ctx, va)
		pass(a, b)
		for _, tt := range []struct{ name, password, want string }{
			{"ann", "a", "ann"}, {"bob", "b", "!locked for 1s"}, {"bob", "x", "!locked for 1s"}, {"ann", "x", "!locked for 1s"}, {"ann", "a", "!locked for 1s"},
		} {
			if got := said(vb.Verify(ctx, user(tt.name, tt.password))); got != tt.want {
				t.Errorf("%s, %s: got %s, want %s", tt.name, tt.password, got, tt.want)
			}
		}
		time.Sleep(time.Second)
		if got := said(vb.Verify(ctx, user("bob", "x"))); got != "!unknown" {
			t.Error(got)
		}
		if got := said(vb.Verify(ctx, user("bob", "b"))); got != "!locked for 2s" {
			t.Errorf("after one failure more: %s", got)
		}
		if locks != "ab" {
			t.Errorf("told of locks at %q, want one at each", locks)
		}
	})
}

func TestSharedConcurrently(t *testing.T) {
	a, b := open(t, lockout.Config{Failures: 1}), open(t, lockout.Config{Failures: 1})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 500 {
				a.Failed(nth(i*500+n), time.Now())
				b.Blocked(nth(n), time.Now())
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			pass(a, b)
			b.Restate()
			pass(b, a)
		}
	})
	wg.Wait()
	for range 3 {
		pass(a, b)
	}
	for i := range 2000 {
		if _, ok := b.Blocked(nth(i), time.Now()); !ok {
			if _, ok := a.Blocked(nth(i), time.Now()); ok {
				t.Fatalf("%s is locked out at one only", nth(i))
			}
		}
	}
}

func BenchmarkDue(b *testing.B) {
	l := open(b, lockout.Config{Failures: 1, First: time.Hour})
	for i := range lockout.Entries {
		l.Failed(nth(i), time.Now())
	}
	for b.Loop() {
		l.Restate()
		l.Due(256, func(netip.Prefix, int, time.Duration) {})
	}
}
