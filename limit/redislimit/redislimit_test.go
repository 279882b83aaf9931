package redislimit_test

import (
	"context"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"github.com/aguada-dev/aguada/limit"
	"github.com/aguada-dev/aguada/limit/limittest"
	"github.com/aguada-dev/aguada/limit/redislimit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patient is a configuration for tests on machines that do many things at once.
var patient = redislimit.Config{Deadline: 5 * time.Second}

func open(t testing.TB, url string, cfg redislimit.Config) *redislimit.Driver {
	t.Helper()
	d, err := redislimit.Open(url, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func limiter(t testing.TB, d limit.Driver, rules ...limit.Rule) *limit.Limiter {
	t.Helper()
	l, err := limit.New(d, rules...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestMiniredis(t *testing.T) {
	limittest.Run(t, func(t *testing.T) limittest.Harness {
		m := miniredis.RunT(t)
		now := time.Now()
		m.SetTime(now)
		return limittest.Harness{
			Replica: func() limit.Driver { return open(t, "redis://"+m.Addr(), patient) },
			Advance: func(d time.Duration) {
				now = now.Add(d + time.Microsecond)
				m.SetTime(now)
				m.FastForward(d)
			},
		}
	})
}

func TestRedis(t *testing.T) {
	s := startServer(t)
	limittest.Run(t, func(t *testing.T) limittest.Harness {
		s.do("FLUSHALL")
		return limittest.Harness{Replica: func() limit.Driver { return open(t, s.url(), patient) }, Advance: time.Sleep}
	})
}

func TestCluster(t *testing.T) {
	s := startServer(t, "--cluster-enabled", "yes")
	s.do("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	c := s.client()
	eventually(t, "the cluster is well", func() bool {
		return strings.Contains(c.ClusterInfo(context.Background()).Val(), "cluster_state:ok")
	})
	harness := func(t *testing.T) limittest.Harness {
		s.do("FLUSHALL")
		return limittest.Harness{
			Replica: func() limit.Driver {
				return open(t, s.url()[:len(s.url())-2]+"?addr=127.0.0.1:"+strconv.Itoa(s.port), patient)
			},
			Advance: time.Sleep,
		}
	}
	limittest.Run(t, harness)
	limittest.RunLocks(t, harness)
}

// Nothing that a caller passes is readable in Redis, all keys have one form and
// expire, and a secret changes them all.
func TestKeysTellNothing(t *testing.T) {
	m := miniredis.RunT(t)
	rules := []limit.Rule{{Name: "a", Rate: 1, Per: time.Minute}, {Name: "b", Rate: 10, Per: time.Hour, Burst: 20}}
	p := limit.Partitions{limit.Text("ann@shop.example"), limit.Text(strings.Repeat("ann@shop.example", 1000))}
	seen := map[string]bool{}
	for _, secret := range []string{"", "s1", "s2"} {
		cfg := patient
		cfg.Secret, cfg.Prefix = []byte(secret), "shop"
		if d := limiter(t, open(t, "redis://"+m.Addr(), cfg), rules...).Take(t.Context(), p); !d.Allowed || d.Degraded {
			t.Fatalf("%+v", d)
		}
	}
	for _, k := range m.Keys() {
		if k == "{shop}:replicas" {
			continue
		}
		seen[k] = true
		if strings.Contains(k, "ann") || len(k) != len("{shop}:a:")+22 || !strings.HasPrefix(k, "{shop}:") {
			t.Errorf("key %q", k)
		}
		if ttl := m.TTL(k); ttl <= 0 || ttl > 6*time.Minute+time.Second {
			t.Errorf("key %q expires in %s", k, ttl)
		}
	}
	if len(seen) != 6 {
		t.Errorf("%d keys, want 6: %v", len(seen), seen)
	}
}

// A clock that goes back by a day keeps nobody out for a day.
func TestClockGoesBack(t *testing.T) {
	m := miniredis.RunT(t)
	now := time.Now()
	m.SetTime(now)
	l := limiter(t, open(t, "redis://"+m.Addr(), patient), limit.Rule{Name: "a", Rate: 5, Per: time.Second})
	for range 3 {
		l.Take(t.Context(), limit.Partitions{})
	}
	m.SetTime(now.Add(-24 * time.Hour))
	d := l.Take(t.Context(), limit.Partitions{})
	if d.Allowed || d.RetryAfter() > 200*time.Millisecond+time.Microsecond {
		t.Errorf("%+v", d)
	}
	m.SetTime(now.Add(-24*time.Hour + d.RetryAfter() + time.Microsecond))
	if d := l.Take(t.Context(), limit.Partitions{}); !d.Allowed {
		t.Errorf("refused at the time that was promised: %+v", d)
	}
}

// What somebody else wrote under our names is no state, and no outage.
func TestGarbage(t *testing.T) {
	s := startServer(t)
	c := s.client()
	for _, v := range []string{"", "x", "1e999", "-1e999", "-1", "nan", "-nan", "0x", "1e300"} {
		s.do("FLUSHALL")
		l := limiter(t, open(t, s.url(), patient), limit.Rule{Name: "a", Rate: 3, Per: time.Hour})
		l.Take(t.Context(), limit.Partitions{})
		keys := c.Keys(context.Background(), "*a:*").Val()
		if len(keys) != 1 {
			t.Fatalf("keys %q", keys)
		}
		s.do("SET", keys[0], v)
		passed := 0
		for range 10 {
			d := l.Take(t.Context(), limit.Partitions{})
			if d.Degraded {
				t.Errorf("%q: %+v", v, d)
			}
			if d.Allowed {
				passed++
			}
		}
		if passed > 3 {
			t.Errorf("%q lets %d calls pass, of 3", v, passed)
		}
	}
}

func TestConfigRefused(t *testing.T) {
	for _, url := range []string{
		"", "x", "http://h", "redis://u:hunter2@h:x", "redis://u:hunter2@h/x", "redis://u:hunter2@h?nope=1", "redis://u:hunter2@ h", "redis://u:hunter2@%zz",
		"redis://u:hunter2@h:x?addr=h2", "http://u:hunter2@h?addr=h2",
	} {
		d, err := redislimit.Open(url, redislimit.Config{})
		if err == nil {
			d.Close()
			t.Errorf("%q is a URL", url)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
	}
	for _, cfg := range []redislimit.Config{
		{Prefix: "a b"}, {Prefix: "{a}"}, {Prefix: strings.Repeat("a", 65)}, {Deadline: -1}, {Deadline: time.Microsecond}, {Deadline: time.Minute},
		{OnOutage: "fail"}, {Keys: -1},
	} {
		if d, err := redislimit.Open("redis://localhost", cfg); err == nil {
			d.Close()
			t.Errorf("%+v is accepted", cfg)
		}
	}
}

// blackhole accepts connections and never answers.
func blackhole(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var conns []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for _, c := range conns {
			c.Close()
		}
	})
	return "redis://" + l.Addr().String()
}

// A Redis that is dead or says nothing costs the first calls the deadline, and the rest
// nothing. What happens to them is configured.
func TestOutage(t *testing.T) {
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused.Close()
	for name, url := range map[string]string{"dead": "redis://" + refused.Addr().String(), "silent": blackhole(t)} {
		for _, mode := range []redislimit.Outage{"", redislimit.Local, redislimit.Allow, redislimit.Refuse} {
			t.Run(name+string(mode), func(t *testing.T) {
				d := open(t, url, redislimit.Config{OnOutage: mode})
				l := limiter(t, d, limit.Rule{Name: "a", Rate: 10, Per: time.Hour})
				var wg sync.WaitGroup
				var passed atomic.Int64
				begin := time.Now()
				for range 20 {
					wg.Go(func() {
						for range 500 {
							got := l.Take(context.Background(), limit.Partitions{})
							if got.Allowed {
								passed.Add(1)
							}
							if !got.Degraded || got.Unavailable != (mode == redislimit.Refuse) || (!got.Allowed && got.RetryAfter() <= 0) {
								t.Errorf("%+v", got)
								return
							}
						}
					})
				}
				wg.Wait()
				if took := time.Since(begin); took > time.Second {
					t.Errorf("10,000 calls take %s", took)
				}
				want := map[redislimit.Outage]int64{"": 10, redislimit.Local: 10, redislimit.Allow: 10_000}[mode]
				if passed.Load() != want {
					t.Errorf("%d calls pass, want %d", passed.Load(), want)
				}
				if d.Err() == nil || strings.Contains(d.Err().Error(), "NOSCRIPT") {
					t.Errorf("Redis is away because of: %v", d.Err())
				}
			})
		}
	}
}

// A caller who has gone away is decided like any other, and opens no circuit.
func TestCancelledCaller(t *testing.T) {
	m := miniredis.RunT(t)
	d := open(t, "redis://"+m.Addr(), patient)
	l := limiter(t, d, limit.Rule{Name: "a", Rate: 10, Per: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := l.Take(ctx, limit.Partitions{}); !got.Allowed || got.Degraded || d.Err() != nil {
		t.Errorf("%+v, %v", got, d.Err())
	}
}

// Whatever makes Redis useless sends calls to the memory, and they return to it
// when it is over: two replicas each enforce half.
func TestComesBack(t *testing.T) {
	s := startServer(t)
	changes := make(chan error, 100)
	cfg := redislimit.Config{Deadline: time.Second, Changed: func(err error) { changes <- err }}
	a, b := open(t, s.url(), cfg), open(t, s.url(), cfg)
	rule := limit.Rule{Name: "a", Rate: 10, Per: time.Hour}
	la, lb := limiter(t, a, rule), limiter(t, b, rule)
	eventually(t, "they know each other", func() bool { return a.Replicas() == 2 && b.Replicas() == 2 })
	fresh := func() limit.Partitions { return limit.Partitions{limit.Text(strconv.FormatUint(rand.Uint64(), 36))} }
	for _, tt := range []struct {
		name, says string
		down, up   func()
	}{
		{"killed", "", s.kill, s.start},
		{"OOM", "OOM", func() { s.do("CONFIG", "SET", "maxmemory", "1") }, func() { s.do("CONFIG", "SET", "maxmemory", "0") }},
		{"READONLY", "READONLY", func() { s.do("REPLICAOF", "127.0.0.1", "1") }, func() { s.do("REPLICAOF", "NO", "ONE") }},
		{"NOAUTH", "NOAUTH", func() {
			s.do("ACL", "SETUSER", "default", "-@all", "+acl", "+ping", "+hello", "+client")
		}, func() { s.do("ACL", "SETUSER", "default", "+@all") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := la.Take(t.Context(), fresh()); d.Degraded {
				t.Fatalf("not asked before: %v", a.Err())
			}
			tt.down()
			p := fresh()
			passed := 0
			for range 20 {
				for _, l := range []*limit.Limiter{la, lb} {
					d := l.Take(t.Context(), p)
					if !d.Degraded || d.Unavailable {
						t.Fatalf("asked: %+v", d)
					}
					if d.Allowed {
						passed++
					}
				}
			}
			if passed != 10 {
				t.Errorf("%d pass while Redis is away, want 10", passed)
			}
			if tt.says != "NOAUTH" && (a.Err() == nil || !strings.Contains(a.Err().Error(), tt.says)) {
				t.Errorf("away because of: %v", a.Err())
			}
			if err := <-changes; err == nil {
				t.Error("told that Redis is back before it was away")
			}
			tt.up()
			eventually(t, "it is asked again", func() bool {
				return a.Err() == nil && b.Err() == nil && !la.Take(context.Background(), fresh()).Degraded && !lb.Take(context.Background(), fresh()).Degraded
			})
			if a.Replicas() != 2 || b.Replicas() != 2 {
				t.Errorf("the others are forgotten: %d and %d replicas", a.Replicas(), b.Replicas())
			}
			for drained := false; !drained; {
				select {
				case <-changes:
				default:
					drained = true
				}
			}
		})
	}
}

// A Redis that forgot the script gets it again, in the same call.
func TestForgottenScript(t *testing.T) {
	s := startServer(t)
	d := open(t, s.url(), patient)
	l := limiter(t, d, limit.Rule{Name: "a", Rate: 3, Per: time.Hour})
	for left := 2; left >= 0; left-- {
		s.do("SCRIPT", "FLUSH")
		if got := l.Take(t.Context(), limit.Partitions{}); !got.Allowed || got.Degraded || got.Status[0].Remaining != left {
			t.Errorf("%+v, %v", got, d.Err())
		}
	}
}

// What this replica spent through Redis counts when it is alone: an outage is no
// second burst.
func TestOutageIsNoSecondBurst(t *testing.T) {
	m := miniredis.RunT(t)
	d := open(t, "redis://"+m.Addr(), patient)
	l := limiter(t, d, limit.Rule{Name: "a", Rate: 10, Per: time.Hour})
	for range 10 {
		l.Take(t.Context(), limit.Partitions{})
	}
	m.SetError("LOADING Redis is loading the dataset in memory")
	if got := l.Take(t.Context(), limit.Partitions{}); got.Allowed || !got.Degraded {
		t.Errorf("%+v", got)
	}
	m.SetError("")
	eventually(t, "it is asked again", func() bool { return d.Err() == nil })
}

// A replica that is closed is no longer counted, and still decides.
func TestClose(t *testing.T) {
	m := miniredis.RunT(t)
	d := open(t, "redis://"+m.Addr(), patient)
	l := limiter(t, d, limit.Rule{Name: "a", Rate: 10, Per: time.Hour})
	eventually(t, "it is announced", func() bool { return m.Exists("{aguada}:replicas") })
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if m.Exists("{aguada}:replicas") {
		t.Error("still counted")
	}
	if got := l.Take(t.Context(), limit.Partitions{}); !got.Allowed || !got.Degraded {
		t.Errorf("%+v", got)
	}
}

// Two replicas admit what the rule says together, though Redis is killed and comes
// back, empty, meanwhile.
func TestLimitHoldsThroughRestart(t *testing.T) {
	if testing.Short() {
		t.Skip("takes three seconds")
	}
	s := startServer(t)
	rule := limit.Rule{Name: "a", Rate: 100, Per: time.Second, Burst: 10}
	cfg := redislimit.Config{Deadline: time.Second}
	a, b := open(t, s.url(), cfg), open(t, s.url(), cfg)
	la, lb := limiter(t, a, rule), limiter(t, b, rule)
	eventually(t, "they know each other", func() bool { return a.Replicas() == 2 && b.Replicas() == 2 })
	var admitted, degraded atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	begin := time.Now()
	for _, l := range []*limit.Limiter{la, lb} {
		for range 4 {
			wg.Go(func() {
				for tick := time.NewTicker(4 * time.Millisecond); ; {
					select {
					case <-stop:
						tick.Stop()
						return
					case <-tick.C:
					}
					d := l.Take(context.Background(), limit.Partitions{})
					if d.Allowed {
						admitted.Add(1)
					}
					if d.Degraded {
						degraded.Add(1)
					}
				}
			})
		}
	}
	during := func(d time.Duration) { <-time.After(d) }
	during(time.Second)
	s.kill()
	during(time.Second)
	s.start()
	during(time.Second)
	close(stop)
	wg.Wait()
	want := 100 * time.Since(begin).Seconds()
	if got := float64(admitted.Load()); got < want*0.85 || got > want*1.05+3*10 {
		t.Errorf("%g calls were admitted, want about %g", got, want)
	}
	if degraded.Load() == 0 {
		t.Error("Redis was never away")
	}
}
