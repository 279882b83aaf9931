package redislimit_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/aguada-dev/aguada/auth/lockout"
	"github.com/aguada-dev/aguada/limit"
	"github.com/aguada-dev/aguada/limit/limittest"
	"github.com/aguada-dev/aguada/limit/redislimit"
)

func TestMiniredisLocks(t *testing.T) {
	limittest.RunLocks(t, func(t *testing.T) limittest.Harness {
		m := miniredis.RunT(t)
		return limittest.Harness{Replica: func() limit.Driver { return open(t, "redis://"+m.Addr(), patient) }}
	})
}

func TestRedisLocks(t *testing.T) {
	s := startServer(t)
	limittest.RunLocks(t, func(t *testing.T) limittest.Harness {
		s.do("FLUSHALL")
		return limittest.Harness{Replica: func() limit.Driver { return open(t, s.url(), patient) }}
	})
}

// table returns a table of locks of 30 s at first.
func table(t testing.TB) *lockout.Lockout {
	t.Helper()
	l, err := lockout.New(lockout.Config{Failures: 1, First: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// sharing returns a table whose locks a new replica shares.
func sharing(t testing.TB, url string, cfg redislimit.Config) (*redislimit.Driver, *lockout.Lockout) {
	t.Helper()
	d, l := open(t, url, cfg), table(t)
	if err := d.ShareLocks(l); err != nil {
		t.Fatal(err)
	}
	return d, l
}

// ip returns one of 2^24 addresses.
func ip(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}) }

func lock(l *lockout.Lockout, n int) { l.Failed(ip(n), time.Now()) }

func locked(l *lockout.Lockout, n int) bool {
	_, blocked := l.Blocked(ip(n), time.Now())
	return blocked
}

// exchange returns an exchange of a table's locks at the test's pace.
func exchange(t testing.TB, url string, cfg redislimit.Config, l limit.Locks) *redislimit.Exchange {
	t.Helper()
	x, err := redislimit.NewExchange(open(t, url, cfg), l)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func once(t testing.TB, x *redislimit.Exchange) bool {
	t.Helper()
	more, err := x.Once(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return more
}

// A lock of one replica holds on another two seconds later, for as long as it lasts
// there, and the next one is twice as long wherever it is made.
func TestLockIsSharedInTime(t *testing.T) {
	s := startServer(t)
	_, a := sharing(t, s.url(), patient)
	_, b := sharing(t, s.url(), patient)
	for n := range 5 {
		begin := time.Now()
		lock(a, n)
		eventually(t, "the other replica knows", func() bool { return locked(b, n) })
		if took := time.Since(begin); took > 2500*time.Millisecond {
			t.Errorf("a lock takes %s to be shared", took)
		}
		there, _ := a.Blocked(ip(n), time.Now())
		here, _ := b.Blocked(ip(n), time.Now())
		if off := here - there; off < -10*time.Millisecond || off > time.Second {
			t.Errorf("it lasts %s longer at another replica", off)
		}
		if locked(b, 100) {
			t.Error("somebody else is locked out")
		}
	}
}

// Redis is killed, and comes back empty. Meanwhile each replica goes by its own
// locks, nobody waits, and in the end all know all, though who made one of the
// locks is gone.
func TestLocksThroughRestart(t *testing.T) {
	s := startServer(t)
	cfg := redislimit.Config{Deadline: time.Second}
	da, a := sharing(t, s.url(), cfg)
	db, b := sharing(t, s.url(), cfg)
	lock(a, 1)
	eventually(t, "the lock is shared", func() bool { return locked(b, 1) })
	s.kill()
	eventually(t, "it is known that Redis is away", func() bool { return da.Err() != nil && db.Err() != nil })
	begin := time.Now()
	for n := range 1000 {
		lock(a, 100+n%500)
		if !locked(a, 100+n%500) || !locked(a, 1) || !locked(b, 1) || locked(b, 100+n%500) {
			t.Fatal("a replica does not go by its own locks")
		}
	}
	if took := time.Since(begin); took > 500*time.Millisecond {
		t.Errorf("1,000 locks without Redis take %s", took)
	}
	lock(b, 2)
	if err := da.Close(); err != nil {
		t.Fatal(err)
	}
	s.start()
	_, c := sharing(t, s.url(), cfg)
	eventually(t, "all is shared again", func() bool { return locked(c, 1) && locked(c, 2) })
	if db.Err() != nil {
		t.Error(db.Err())
	}
}

// Redis loses its data, or what is newest of it, or its clock, while it runs.
func TestLocksAreToldAgain(t *testing.T) {
	for name, lose := range map[string]func(*miniredis.Miniredis){
		"all":       func(m *miniredis.Miniredis) { m.FlushAll() },
		"the locks": func(m *miniredis.Miniredis) { m.Del("{aguada}:locks") },
		"the news":  func(m *miniredis.Miniredis) { m.Del("{aguada}:locks:news") },
		"the state": func(m *miniredis.Miniredis) { m.Del("{aguada}:locks:state") },
		"the newest": func(m *miniredis.Miniredis) {
			m.HSet("{aguada}:locks:state", "seq", "1")
			all, _ := m.ZMembers("{aguada}:locks:news") // in the order in which they were told
			for _, member := range all[1:] {
				m.ZRem("{aguada}:locks", member)
				m.ZRem("{aguada}:locks:news", member)
			}
		},
		"a day":         func(m *miniredis.Miniredis) { m.SetTime(time.Now().Add(-24 * time.Hour)) },
		"a lock's sort": func(m *miniredis.Miniredis) { m.Set("{aguada}:locks", "x") },
		"the sorts": func(m *miniredis.Miniredis) {
			for _, k := range []string{"{aguada}:locks", "{aguada}:locks:news", "{aguada}:locks:state"} {
				m.Del(k)
				m.Lpush(k, "x")
			}
		},
		"the number":   func(m *miniredis.Miniredis) { m.HSet("{aguada}:locks:state", "seq", "x") },
		"a stray lock": func(m *miniredis.Miniredis) { m.ZAdd("{aguada}:locks", 1e300, "stray") },
	} {
		t.Run(name, func(t *testing.T) {
			m := miniredis.RunT(t)
			m.SetTime(time.Now())
			url := "redis://" + m.Addr()
			a, b, late := table(t), table(t), table(t)
			xa, xb := exchange(t, url, patient, a), exchange(t, url, patient, b)
			for n := range 3 {
				lock(a, n)
			}
			once(t, xa)
			once(t, xb)
			if !locked(b, 0) || !locked(b, 1) || !locked(b, 2) {
				t.Fatal("not shared before")
			}
			lose(m)
			lock(a, 3)
			for range 2 {
				once(t, xa) // the first learns of the loss
			}
			once(t, xb)
			if !locked(b, 3) {
				t.Error("what is new afterwards is not shared")
			}
			once(t, exchange(t, url, patient, late))
			for n := range 4 {
				if !locked(late, n) {
					t.Errorf("lock %d is lost", n)
				} else if wait, _ := late.Blocked(ip(n), time.Now()); wait > 31*time.Second {
					t.Errorf("lock %d lasts %s, want 30s", n, wait)
				}
			}
		})
	}
}

// A million locked networks take a few MiB in Redis, and do not push out one whose
// lock has grown.
func TestMillionLocks(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	s := startServer(t)
	c := s.client()
	flood := &flood{}
	xa := exchange(t, s.url(), patient, flood)
	grown, b := table(t), table(t)
	grown.Learn(lockout.Client(ip(1)), 8, time.Hour)
	grown.Restate()
	once(t, exchange(t, s.url(), patient, grown))
	xb := exchange(t, s.url(), patient, b)
	var slowest time.Duration
	for flood.n < 1_000_000 {
		begin := time.Now()
		once(t, xa)
		slowest = max(slowest, time.Since(begin))
	}
	n := c.ZCard(context.Background(), "{aguada}:locks").Val()
	if news := c.ZCard(context.Background(), "{aguada}:locks:news").Val(); n != redislimit.MaxLocks || news != n {
		t.Errorf("%d locks and %d news are kept, want %d", n, news, redislimit.MaxLocks)
	}
	var size int64
	for _, k := range []string{"{aguada}:locks", "{aguada}:locks:news", "{aguada}:locks:state"} {
		size += c.MemoryUsage(context.Background(), k, 0).Val()
	}
	t.Logf("%d bytes in Redis; the slowest of %d exchanges took %s", size, flood.n/redislimit.LockBatch, slowest)
	if size > 5<<20 {
		t.Errorf("%d bytes are kept, want 5 MiB", size)
	}
	for once(t, xb) {
		continue
	}
	if !locked(b, 1) {
		t.Error("the lock that has grown is gone")
	}
	if _, blocked := b.Blocked(network(flood.n-1).Addr(), time.Now()); !blocked {
		t.Error("the newest lock is not known")
	}
}

// flood is a table where more networks are locked out than any table holds.
type flood struct{ n int }

func network(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), 64)
}

func (f *flood) Due(most int, tell func(client netip.Prefix, level int, left time.Duration)) {
	for range most {
		tell(network(f.n), 1, 30*time.Second+time.Duration(f.n)*time.Microsecond)
		f.n++
	}
}
func (f *flood) Restate()                               {}
func (f *flood) Learn(netip.Prefix, int, time.Duration) {}

// What Redis holds tells no address, expires, and is of no use to who has not the
// secret: neither can he have anybody locked out.
func TestLocksTellNothing(t *testing.T) {
	m := miniredis.RunT(t)
	url := "redis://" + m.Addr()
	with := func(secret, prefix string) redislimit.Config {
		cfg := patient
		cfg.Secret, cfg.Prefix = []byte(secret), prefix
		return cfg
	}
	a := table(t)
	for n := range 3 {
		lock(a, n)
	}
	once(t, exchange(t, url, with("s1", "shop"), a))
	seen := 0
	for _, k := range m.Keys() {
		if ttl := m.TTL(k); ttl <= 0 || ttl > 16*time.Minute {
			t.Errorf("key %q expires in %s", k, ttl)
		}
		if !strings.HasPrefix(k, "{shop}:locks") || strings.HasSuffix(k, "state") {
			continue
		}
		members, err := m.ZMembers(k)
		if err != nil {
			t.Fatal(err)
		}
		for _, member := range members {
			seen++
			for n := range 3 {
				b := ip(n).As4()
				if len(member) != 16 || strings.Contains(member, string(b[:])) || strings.Contains(member, ip(n).String()) {
					t.Errorf("%s holds %q", k, member)
				}
			}
		}
	}
	if seen != 6 {
		t.Fatalf("%d members, want 6", seen)
	}
	for _, cfg := range []redislimit.Config{with("s2", "shop"), with("", "shop"), with("s1", "other"), with("s1", "shop")} {
		if cfg.Prefix == "other" { // somebody copies them
			for _, k := range []string{"", ":news"} {
				members, _ := m.ZMembers("{shop}:locks" + k)
				for _, member := range members {
					score, _ := m.ZScore("{shop}:locks"+k, member)
					m.ZAdd("{other}:locks"+k, score, member)
				}
			}
			m.HSet("{other}:locks:state", "epoch", "e", "seq", "3", "at", "0")
		}
		b := table(t)
		once(t, exchange(t, url, cfg, b))
		want := string(cfg.Secret) == "s1" && cfg.Prefix == "shop"
		if locked(b, 0) != want {
			t.Errorf("secret %q, prefix %s: known %v, want %v", cfg.Secret, cfg.Prefix, !want, want)
		}
	}
}

// A driver that cannot share locks says so, and limits are kept all the same.
func TestLocksFail(t *testing.T) {
	s := startServer(t)
	s.do("ACL", "SETUSER", "default", "-zrangebyscore")
	d, l := sharing(t, s.url(), patient)
	lock(l, 1)
	eventually(t, "it is told", func() bool { return d.Err() != nil })
	if err := d.Err(); !strings.Contains(err.Error(), "share locks") {
		t.Error(err)
	}
	limited := limiter(t, d, limit.Rule{Name: "a", Rate: 10, Per: time.Hour})
	if got := limited.Take(t.Context(), limit.Partitions{}); !got.Allowed || got.Degraded {
		t.Errorf("limits suffer: %+v", got)
	}
	s.do("ACL", "SETUSER", "default", "+zrangebyscore")
	_, other := sharing(t, s.url(), patient)
	eventually(t, "what was not told is told then", func() bool { return locked(other, 1) && d.Err() == nil })
}

// A replica that stops tells of its last locks, and stops at once without Redis.
func TestCloseTellsLocks(t *testing.T) {
	m := miniredis.RunT(t)
	d, a := sharing(t, "redis://"+m.Addr(), patient)
	eventually(t, "it is announced", func() bool { return m.Exists("{aguada}:replicas") })
	for n := range 50 {
		lock(a, n)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	b := table(t)
	once(t, exchange(t, "redis://"+m.Addr(), patient, b))
	for n := range 50 {
		if !locked(b, n) {
			t.Fatalf("lock %d went with its replica", n)
		}
	}
	silent, l := sharing(t, blackhole(t), redislimit.Config{})
	lock(l, 1)
	begin := time.Now()
	if err := silent.Close(); err != nil || time.Since(begin) > time.Second {
		t.Errorf("closing takes %s: %v", time.Since(begin), err)
	}
	if unused := open(t, "redis://"+m.Addr(), patient); unused.Close() != nil {
		t.Error("a driver that shares no locks")
	}
}

// A nil *Driver in an interface is no driver: the start ends with an error.
func TestNilDriver(t *testing.T) {
	var d *redislimit.Driver
	if l, err := limit.New(d, limit.Rule{Name: "a", Rate: 1, Per: time.Second}); err == nil || l != nil {
		t.Errorf("got %v, %v", l, err)
	}
	if d.ShareLocks(table(t)) == nil || d.Err() == nil || d.Close() != nil || d.Replicas() != 1 {
		t.Error("a nil driver is one")
	}
}

// What is not of the script is an error, and nothing of it is learned that was not
// sealed.
func TestReplyRefused(t *testing.T) {
	m := miniredis.RunT(t)
	l := table(t)
	x := exchange(t, "redis://"+m.Addr(), patient, l)
	member, _ := x.Seal(netip.MustParsePrefix("10.0.0.1/32"))
	for _, reply := range [][]any{
		nil, {}, {"e"}, {"e", int64(1), member}, {"e", int64(1), member, int64(1)}, {int64(1), "e"}, {"e", "1"}, {nil, nil},
		{"e", int64(1), member, "1", int64(1)}, {"e", int64(1), member, int64(1), nil}, {"e", int64(1), errors.New("x"), int64(1), int64(1)},
	} {
		if _, err := x.Read(reply); err == nil {
			t.Errorf("%v is a reply", reply)
		}
	}
	for _, reply := range [][]any{
		{"e", int64(1)}, {"e", int64(1), "", int64(1), int64(60000)}, {"e", int64(1), strings.Repeat("x", 16), int64(1), int64(60000)},
		{"e", int64(1), member + "x", int64(1), int64(60000)}, {"e", int64(1), member, int64(0), int64(60000)}, {"e", int64(1), member, int64(64), int64(60000)},
	} {
		if _, err := x.Read(reply); err != nil || locked(l, 1) {
			t.Errorf("%v: %v, learned: %v", reply, err, locked(l, 1))
		}
	}
	if _, err := x.Read([]any{"e", int64(1), member, int64(1), int64(1 << 62)}); err != nil || !locked(l, 1) {
		t.Errorf("the longest lock is not learned: %v", err)
	}
}

// FuzzUnseal: whatever Redis holds, what is taken for a client is one that was sealed.
func FuzzUnseal(f *testing.F) {
	m := miniredis.RunT(f)
	x := exchange(f, "redis://"+m.Addr(), patient, table(f))
	for _, p := range []string{"192.0.2.1/32", "::/64", "2001:db8:0:1::/64", "0.0.0.0/32"} {
		member, ok := x.Seal(netip.MustParsePrefix(p))
		if !ok {
			f.Fatal(p)
		}
		f.Add(member)
		f.Add(member[1:])
	}
	f.Add("")
	f.Add(fmt.Sprintf("%c%015d", 4, 0))
	f.Fuzz(func(t *testing.T, s string) {
		p, ok := x.Unseal(s)
		if !ok {
			return
		}
		if back, ok := x.Seal(p); !ok || back != s || lockout.Client(p.Addr()) != p {
			t.Errorf("%q is %s, which is %q", s, p, back)
		}
	})
}

// BenchmarkExchange: what a replica does once a second.
func BenchmarkExchange(b *testing.B) {
	s := startServer(b)
	b.Run("idle", func(b *testing.B) {
		x := exchange(b, s.url(), patient, table(b))
		for b.Loop() {
			once(b, x)
		}
	})
	b.Run("as many locks as can be", func(b *testing.B) {
		x := exchange(b, s.url(), patient, &flood{})
		for b.Loop() {
			once(b, x)
		}
	})
}

// Nobody who asks a table waits for Redis: one that answers late delays no one.
func TestLocksDelayNobody(t *testing.T) {
	_, l := sharing(t, blackhole(t), redislimit.Config{Deadline: time.Second})
	var slowest atomic.Int64
	for n := range 20_000 {
		begin := time.Now()
		lock(l, n)
		locked(l, n)
		slowest.Store(max(slowest.Load(), int64(time.Since(begin))))
	}
	if took := time.Duration(slowest.Load()); took > 900*time.Millisecond {
		t.Errorf("a failure takes %s", took)
	}
}
