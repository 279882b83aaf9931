package lockout_test

import (
	"math"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/lockout"
)

func open(t testing.TB, cfg lockout.Config) *lockout.Lockout {
	t.Helper()
	l, err := lockout.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// nth returns one of 2^32 IPv6 networks, of one address each.
func nth(n int) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), 15: 1})
}

// Ten failures lock for a second, each further one for twice as long as the last,
// up to the longest time, and a quiet time as long as that forgives.
func TestLocksGrow(t *testing.T) {
	l := open(t, lockout.Config{Max: 10 * time.Second})
	a, now := addr("192.0.2.1"), time.Now()
	fail := func(locked bool, want time.Duration) {
		t.Helper()
		if got := l.Failed(a, now); got != locked {
			t.Fatalf("locked: got %v, want %v", got, locked)
		}
		if wait, blocked := l.Blocked(a, now); wait != want || blocked != (want > 0) {
			t.Fatalf("blocked: got %s, %v, want %s", wait, blocked, want)
		}
		if _, blocked := l.Blocked(a, now.Add(want-1)); want > 0 && !blocked {
			t.Fatal("not blocked until the end")
		}
		if wait, blocked := l.Blocked(a, now.Add(want)); blocked || wait != 0 {
			t.Fatalf("still blocked for %s at the end", wait)
		}
	}
	ladder := func() {
		t.Helper()
		for range 9 {
			fail(false, 0)
		}
		for _, s := range []int{1, 2, 4, 8, 10, 10} {
			want := time.Duration(s) * time.Second
			fail(true, want)
			now = now.Add(want)
		}
	}
	ladder()
	now = now.Add(10*time.Second - 1)
	fail(true, 10*time.Second)
	now = now.Add(20 * time.Second)
	ladder()
}

// Failures count together for five minutes from the first one.
func TestWindow(t *testing.T) {
	l := open(t, lockout.Config{})
	a, now := addr("192.0.2.1"), time.Now()
	for range 3 {
		for range 9 {
			if l.Failed(a, now) {
				t.Fatal("locked by nine failures")
			}
		}
		now = now.Add(5 * time.Minute)
	}
	for i := range 10 {
		if got := l.Failed(a, now.Add(time.Duration(i)*33*time.Second)); got != (i == 9) {
			t.Errorf("failure %d: locked %v", i+1, got)
		}
	}
}

// Calls that began before the lock and fail within it do not prolong it.
func TestBurstLocksOnce(t *testing.T) {
	l := open(t, lockout.Config{})
	a, now := addr("192.0.2.1"), time.Now()
	locks := 0
	for range 1000 {
		if l.Failed(a, now) {
			locks++
		}
	}
	if wait, _ := l.Blocked(a, now); wait != time.Second || locks != 1 {
		t.Errorf("%d locks, %s to wait, want 1 and 1s", locks, wait)
	}
}

func TestClient(t *testing.T) {
	for _, tt := range []struct {
		in, out string
		same    []string
		others  []string
	}{
		{"192.0.2.1", "192.0.2.1/32", []string{"::ffff:192.0.2.1"}, []string{"192.0.2.2", "0.0.0.0", "::192.0.2.1", "2001:db8::192.0.2.1"}},
		{"2001:db8:0:1::1", "2001:db8:0:1::/64", []string{"2001:db8:0:1:ffff::", "2001:db8:0:1::1%eth0"}, []string{"2001:db8:0:2::1", "2001:db8::1:0:0:1"}},
		{"::1", "::/64", []string{"::2", "::192.0.2.1"}, []string{"0.0.0.0", "127.0.0.1", "::ffff:0.0.0.0"}},
		{"0.0.0.0", "0.0.0.0/32", []string{"::ffff:0.0.0.0"}, []string{"::", "0.0.0.1"}},
		{"fe80::1%eth0", "fe80::/64", []string{"fe80::2%eth1"}, []string{"fe80:1::1"}},
	} {
		if got := lockout.Client(addr(tt.in)).String(); got != tt.out {
			t.Errorf("%s: got %s, want %s", tt.in, got, tt.out)
		}
		l, now := open(t, lockout.Config{Failures: 1}), time.Now()
		l.Failed(addr(tt.in), now)
		for _, s := range append(tt.same, tt.in) {
			if _, blocked := l.Blocked(addr(s), now); !blocked || lockout.Client(addr(s)) != lockout.Client(addr(tt.in)) {
				t.Errorf("%s is not the client %s", s, tt.in)
			}
		}
		for _, s := range tt.others {
			if _, blocked := l.Blocked(addr(s), now); blocked || lockout.Client(addr(s)) == lockout.Client(addr(tt.in)) {
				t.Errorf("%s is the client %s", s, tt.in)
			}
		}
	}
	l := open(t, lockout.Config{Failures: 1})
	if _, blocked := l.Blocked(netip.Addr{}, time.Now()); l.Failed(netip.Addr{}, time.Now()) || blocked || lockout.Client(netip.Addr{}).IsValid() {
		t.Error("no address is a client")
	}
}

func TestCounts(t *testing.T) {
	want := map[auth.Reason]bool{
		auth.Missing: false, auth.Late: false, auth.Expired: false, auth.NotYetValid: false,
		auth.InsufficientScope: false, auth.Unavailable: false, auth.UnknownKey: false,
		auth.Malformed: true, auth.Duplicate: true, auth.Unknown: true, auth.BadSignature: true, auth.WrongIssuer: true,
		auth.WrongAudience: true, auth.WrongType: true, auth.WrongAlgorithm: true, "of another package": true,
	}
	got := map[auth.Reason]bool{}
	for r := range want {
		got[r] = lockout.Counts(r)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestConfigRefused(t *testing.T) {
	for _, cfg := range []lockout.Config{{Failures: -1}, {Window: -1}, {First: -1}, {Max: -1}, {First: 2, Max: 1}} {
		if l, err := lockout.New(cfg); err == nil || l != nil {
			t.Errorf("%+v: got %v, %v", cfg, l, err)
		}
	}
	if _, err := lockout.New(lockout.Config{First: time.Hour}); err != nil {
		t.Error(err)
	}
}

// Whoever means "for ever" gets that, not a time that overflows to none.
func TestEndlessSettings(t *testing.T) {
	for name, cfg := range map[string]lockout.Config{
		"first":  {Failures: 2, First: math.MaxInt64},
		"window": {Failures: 2, Window: math.MaxInt64},
		"max":    {Failures: 2, Max: math.MaxInt64},
		"all":    {Failures: 2, Window: math.MaxInt64, First: math.MaxInt64, Max: math.MaxInt64},
	} {
		l, a, now := open(t, cfg), addr("192.0.2.1"), time.Now()
		l.Failed(a, now)
		if !l.Failed(a, now.Add(time.Millisecond)) {
			t.Errorf("%s: not locked", name)
		}
		if _, blocked := l.Blocked(a, now.Add(2*time.Millisecond)); !blocked {
			t.Errorf("%s: not blocked", name)
		}
		now = now.Add(cfg.First/2 + 2*time.Second)
		if locked := l.Failed(a, now); name == "max" && !locked {
			t.Errorf("%s: forgiven at once", name)
		}
	}
	if l := open(t, lockout.Config{Failures: math.MaxInt}); l.Failed(addr("192.0.2.1"), time.Now()) {
		t.Error("locked by one failure of very many")
	}
}

// A nil *Lockout is one that is switched off.
func TestOff(t *testing.T) {
	var l *lockout.Lockout
	a, now := addr("192.0.2.1"), time.Now()
	if _, blocked := l.Blocked(a, now); l.Failed(a, now) || blocked {
		t.Error("a nil Lockout locks")
	}
}

// history is the model: what every client did, and nothing clever.
type history struct {
	failures []time.Duration // since the last lock was forgiven
	locks    int
	end      time.Duration // of the last lock
}

func (h *history) fail(cfg lockout.Config, t time.Duration) bool {
	if h.locks > 0 && t >= h.end+cfg.Max {
		*h = history{}
	}
	if h.locks > 0 && t < h.end {
		return false
	}
	if h.locks == 0 {
		if len(h.failures) > 0 && t >= h.failures[0]+cfg.Window {
			h.failures = nil
		}
		h.failures = append(h.failures, t)
		if len(h.failures) < cfg.Failures {
			return false
		}
	}
	d := cfg.First
	for range h.locks {
		d = min(2*d, cfg.Max)
	}
	h.locks++
	h.end = t + min(d, cfg.Max)
	return true
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := lockout.Config{
			Failures: rapid.IntRange(1, 5).Draw(t, "failures"),
			Window:   time.Duration(rapid.IntRange(1, 30).Draw(t, "window")) * time.Second,
			First:    time.Duration(rapid.IntRange(1, 5).Draw(t, "first")) * time.Second,
		}
		cfg.Max = cfg.First * time.Duration(rapid.IntRange(1, 20).Draw(t, "max"))
		l, err := lockout.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		start, at := time.Now(), time.Duration(0)
		all := map[netip.Prefix]*history{}
		addrs := []netip.Addr{addr("192.0.2.1"), addr("::ffff:192.0.2.1"), addr("192.0.2.2"), addr("2001:db8::1"), addr("2001:db8::2"), addr("2001:db8:0:1::1")}
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			at += time.Duration(rapid.IntRange(0, 4000).Draw(t, "pause")) * time.Millisecond
			a := rapid.SampledFrom(addrs).Draw(t, "addr")
			h := all[lockout.Client(a)]
			if h == nil {
				h = &history{}
				all[lockout.Client(a)] = h
			}
			if rapid.Bool().Draw(t, "fails") {
				want := h.fail(cfg, at)
				if got := l.Failed(a, start.Add(at)); got != want {
					t.Fatalf("%s fails at %s: got %v, want %v", a, at, got, want)
				}
			}
			want := max(h.end-at, 0)
			if got, blocked := l.Blocked(a, start.Add(at)); got != want || blocked != (want > 0) {
				t.Fatalf("%s at %s: got %s, %v, want %s", a, at, got, blocked, want)
			}
		}
	})
}

// A million networks fail; memory stays where it was, and who was locked out
// before them still is.
func TestMillionClients(t *testing.T) {
	if raced {
		t.Skip("measures memory, and does one thing at a time")
	}
	var before, made, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l := open(t, lockout.Config{})
	runtime.GC()
	runtime.ReadMemStats(&made)
	now, guilty := time.Now(), []netip.Addr{addr("192.0.2.1"), addr("198.51.100.7"), addr("2001:db8:ffff:ffff::1")}
	for _, a := range guilty {
		for !l.Failed(a, now) {
			continue
		}
	}
	for i := range 1_000_000 {
		l.Failed(nth(i), now)
		l.Remember(nth(i), auth.Credential{Token: nth(i).String()})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if size := int64(made.HeapAlloc) - int64(before.HeapAlloc); size > 2700<<10 {
		t.Errorf("a Lockout takes %d bytes, want 2.6 MiB", size)
	}
	if grown := int64(after.HeapAlloc) - int64(made.HeapAlloc); grown > 100<<10 {
		t.Errorf("grown by %d bytes", grown)
	}
	for _, a := range guilty {
		if _, blocked := l.Blocked(a, now); !blocked {
			t.Errorf("%s is free again", a)
		}
	}
	runtime.KeepAlive(l)
}

// When more networks are locked out than there is room for, locks hold all the
// same; newcomers are not followed.
func TestLocksAreNeverGivenUp(t *testing.T) {
	if raced {
		t.Skip("does one thing at a time, often")
	}
	l := open(t, lockout.Config{Failures: 1, First: time.Minute})
	now := time.Now()
	var locked []netip.Addr
	for i := range 2 * lockout.Entries {
		if l.Failed(nth(i), now) {
			locked = append(locked, nth(i))
		}
	}
	if len(locked) < lockout.Entries*9/10 || len(locked) > lockout.Entries {
		t.Errorf("%d are locked, of %d entries", len(locked), lockout.Entries)
	}
	for _, a := range locked {
		if _, blocked := l.Blocked(a, now); !blocked {
			t.Fatalf("%s is free again", a)
		}
	}
	if !l.Failed(nth(2*lockout.Entries), now.Add(20*time.Minute)) {
		t.Error("forgiven entries make no room")
	}
}

func TestConcurrently(t *testing.T) {
	l, now := open(t, lockout.Config{Failures: 100}), time.Now()
	var wg sync.WaitGroup
	var mu sync.Mutex
	locks := 0
	for i := range 8 {
		wg.Go(func() {
			for n := range 1000 {
				if l.Failed(addr("192.0.2.1"), now) {
					mu.Lock()
					locks++
					mu.Unlock()
				}
				l.Failed(nth(i*1000+n), now)
				l.Blocked(addr("192.0.2.1"), now)
				c := auth.Credential{Token: nth(n).String()}
				l.Remember(nth(i), c)
				if !l.Known(nth(i), c) {
					t.Error("forgotten with room left")
				}
			}
		})
	}
	wg.Wait()
	if _, blocked := l.Blocked(addr("192.0.2.1"), now); !blocked || locks != 1 {
		t.Errorf("blocked %v, %d locks, want 1", blocked, locks)
	}
}

func TestNothingAllocates(t *testing.T) {
	l, now := open(t, lockout.Config{}), time.Now()
	v4, v6 := addr("192.0.2.1"), addr("2001:db8::1")
	c := auth.Credential{Username: "ann", Password: "correct horse"}
	if n := testing.AllocsPerRun(100, func() {
		for _, a := range []netip.Addr{v4, v6} {
			l.Blocked(a, now)
			l.Failed(a, now)
		}
		l.Remember(v6, c)
		l.Known(v6, c)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkBlocked(b *testing.B) {
	now := time.Now()
	b.Run("nobody", func(b *testing.B) {
		l := open(b, lockout.Config{})
		for b.Loop() {
			l.Blocked(nth(1), now)
		}
	})
	b.Run("another", func(b *testing.B) {
		l := open(b, lockout.Config{Failures: 1, First: time.Hour})
		l.Failed(nth(2), now)
		for b.Loop() {
			l.Blocked(nth(1), now)
		}
	})
}

func BenchmarkFailed(b *testing.B) {
	l, now, i := open(b, lockout.Config{}), time.Now(), 0
	for b.Loop() {
		l.Failed(nth(i), now)
		i++
	}
}

func BenchmarkKnown(b *testing.B) {
	l := open(b, lockout.Config{})
	for name, c := range map[string]auth.Credential{
		"key":      {Token: "agd_abcdefghijklmnop_abcdefghijklmnopqrstuvwxyz2345671234567"},
		"password": {Username: "ann", Password: "correct horse"},
	} {
		b.Run(name, func(b *testing.B) {
			l.Remember(nth(1), c)
			for b.Loop() {
				l.Known(nth(1), c)
			}
		})
	}
}
