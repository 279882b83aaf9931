package redisstore_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"github.com/aguada-dev/aguada/idempotency"
	"github.com/aguada-dev/aguada/idempotency/idempotencytest"
	"github.com/aguada-dev/aguada/idempotency/redisstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patient is a configuration for tests on machines that do many things at once.
var patient = redisstore.Config{Deadline: 10 * time.Second}

func open(t testing.TB, url string, cfg redisstore.Config) *redisstore.Store {
	t.Helper()
	s, err := redisstore.Open(url, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestMiniredis(t *testing.T) {
	idempotencytest.Run(t, func(t *testing.T) idempotencytest.Harness {
		m := miniredis.RunT(t)
		now := time.Now()
		m.SetTime(now)
		return idempotencytest.Harness{
			Replica: func() idempotency.Store { return open(t, "redis://"+m.Addr(), patient) },
			Advance: func(d time.Duration) {
				now = now.Add(d + time.Millisecond)
				m.SetTime(now)
				m.FastForward(d + time.Millisecond)
			},
		}
	})
}

func TestRedis(t *testing.T) {
	s := startServer(t)
	idempotencytest.Run(t, func(t *testing.T) idempotencytest.Harness {
		s.do("FLUSHALL")
		return idempotencytest.Harness{Replica: func() idempotency.Store { return open(t, s.url(), patient) }, Advance: time.Sleep}
	})
}

func TestCluster(t *testing.T) {
	s := startServer(t, "--cluster-enabled", "yes")
	s.do("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	c := s.client()
	eventually(t, "the cluster is well", func() bool {
		return strings.Contains(c.ClusterInfo(context.Background()).Val(), "cluster_state:ok")
	})
	idempotencytest.Run(t, func(t *testing.T) idempotencytest.Harness {
		s.do("FLUSHALL")
		return idempotencytest.Harness{
			Replica: func() idempotency.Store {
				return open(t, strings.TrimSuffix(s.url(), "/0")+"?addr=127.0.0.1:"+strconv.Itoa(s.port), patient)
			},
			Advance: time.Sleep,
		}
	})
}

func keeper(t testing.TB, s idempotency.Store, cfg idempotency.Config) *idempotency.Keeper {
	t.Helper()
	cfg.Secrets.Current = idempotencytest.Secret
	k, err := idempotency.New(s, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

var call = idempotency.Call{
	Issuer: "https://issuer.example", Subject: "ann@shop.example", Method: "orders.create", Key: "8e03978e", Form: "http",
	Fingerprint: [32]byte{1}, Keep: time.Hour,
}

// Nothing that a caller sends or gets is readable in Redis, and everything
// expires.
func TestRecordsTellNothing(t *testing.T) {
	m := miniredis.RunT(t)
	k := keeper(t, open(t, "redis://"+m.Addr(), redisstore.Config{Prefix: "shop", Deadline: patient.Deadline}), idempotency.Config{})
	claim, _, err := k.Begin(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	reply := idempotency.Reply{Status: 201, Header: map[string][]string{"Location": {"/orders/4711"}}, Body: []byte("4111-1111 visible")}
	check := func(limit time.Duration) {
		t.Helper()
		all := m.Dump()
		for _, text := range []string{"ann@", "issuer", "orders.create", "8e03978e", "Location", "4711", "4111", "http", idempotencytest.Secret()} {
			if strings.Contains(all, text) {
				t.Errorf("Redis holds %q", text)
			}
		}
		for _, key := range m.Keys() {
			if !strings.HasPrefix(key, "shop:idempotency:") {
				t.Errorf("key %q", key)
			}
			if ttl := m.TTL(key); ttl <= 0 || ttl > limit {
				t.Errorf("key %q expires in %s", key, ttl)
			}
		}
		if len(m.Keys()) != 1 {
			t.Errorf("keys %q", m.Keys())
		}
	}
	check(time.Hour + idempotency.DefaultLease)
	if err := claim.Complete(t.Context(), reply); err != nil {
		t.Fatal(err)
	}
	check(time.Hour)
}

// What somebody else wrote under our names is an outage of that key, never a
// reply and never a reason to run the method.
func TestGarbage(t *testing.T) {
	s := startServer(t)
	c := s.client()
	k := keeper(t, open(t, s.url(), patient), idempotency.Config{})
	claim, _, err := k.Begin(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	if err := claim.Complete(t.Context(), idempotency.Reply{Body: []byte("reply")}); err != nil {
		t.Fatal(err)
	}
	key := c.Keys(context.Background(), "*").Val()[0]
	good := c.HGetAll(context.Background(), key).Val()
	fields := func(change func(map[string]string)) []any {
		changed := map[string]string{}
		for name, v := range good {
			changed[name] = v
		}
		change(changed)
		args := []any{"HSET", key}
		for name, v := range changed {
			args = append(args, name, v)
		}
		return args
	}
	for name, args := range map[string][]any{
		"a string":        {"SET", key, "x"},
		"a list":          {"LPUSH", key, "x"},
		"another reply":   fields(func(f map[string]string) { f["r"] = "forged" }),
		"an empty reply":  fields(func(f map[string]string) { f["r"] = "" }),
		"a changed reply": fields(func(f map[string]string) { f["r"] = f["r"][:len(f["r"])-1] + "\x00" }),
		"a short reply":   fields(func(f map[string]string) { f["r"] = f["r"][:12] }),
		"no lease":        fields(func(f map[string]string) { delete(f, "r"); delete(f, "l"); f["o"] = "x" }),
		"a lease of text": fields(func(f map[string]string) { delete(f, "r"); f["l"] = "x"; f["o"] = "x" }),
	} {
		s.do("DEL", key)
		s.do(args...)
		claim, reply, err := k.Begin(t.Context(), call)
		if !errors.Is(err, idempotency.ErrUnavailable) || claim != nil || reply != nil {
			t.Errorf("%s: claim %v, reply %v, error %v", name, claim != nil, reply, err)
		}
	}
}

// Redis is dead, says nothing, cannot write, or comes back: a call with a key is
// refused soon, and never runs.
func TestOutage(t *testing.T) {
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() // the kernel accepts, nobody answers
	for name, addr := range map[string]string{"dead": refused.Addr().String(), "silent": silent.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			k := keeper(t, open(t, "redis://"+addr, redisstore.Config{Deadline: 50 * time.Millisecond}), idempotency.Config{})
			begun := time.Now()
			claim, reply, err := k.Begin(t.Context(), call)
			if !errors.Is(err, idempotency.ErrUnavailable) || claim != nil || reply != nil {
				t.Errorf("claim %v, reply %v, error %v", claim != nil, reply, err)
			}
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// Redis goes away while a method runs: what the method did stands, and its
// caller learns so.
func TestOutageMeanwhile(t *testing.T) {
	s := startServer(t)
	k := keeper(t, open(t, s.url(), redisstore.Config{Deadline: 50 * time.Millisecond}), idempotency.Config{Timeout: 500 * time.Millisecond})
	claim, _, err := k.Begin(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	failing, _, err := k.Begin(t.Context(), idempotency.Call{Subject: "bob", Method: "m", Key: "k", Form: "http", Keep: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	s.kill()
	if err := claim.Complete(t.Context(), idempotency.Reply{}); !errors.Is(err, idempotency.ErrUnstored) {
		t.Errorf("complete: %v", err)
	}
	if err := failing.Release(t.Context()); err == nil {
		t.Error("a release without Redis succeeds")
	}
	s.start() // empty, as after a crash without persistence
	claim, _, err = k.Begin(t.Context(), call)
	if err != nil || claim == nil {
		t.Fatalf("Redis is back: %v", err)
	}
	if err := claim.Complete(t.Context(), idempotency.Reply{Body: []byte("reply")}); err != nil {
		t.Error(err)
	}
}

func TestConfigRefused(t *testing.T) {
	for _, url := range []string{
		"", "x", "http://h", "redis://u:hunter2@h:x", "redis://u:hunter2@h/x", "redis://u:hunter2@h?nope=1", "redis://u:hunter2@ h", "redis://u:hunter2@%zz",
		"redis://u:hunter2@h:x?addr=h2", "http://u:hunter2@h?addr=h2",
	} {
		s, err := redisstore.Open(url, redisstore.Config{})
		if err == nil {
			s.Close()
			t.Errorf("%q is a URL", url)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
	}
	for _, cfg := range []redisstore.Config{
		{Prefix: "a b"}, {Prefix: "{a}"}, {Prefix: "a\n"}, {Prefix: strings.Repeat("a", 65)}, {Deadline: -1}, {Deadline: time.Microsecond}, {Deadline: time.Minute},
	} {
		if s, err := redisstore.Open("redis://localhost", cfg); err == nil {
			s.Close()
			t.Errorf("%+v is accepted", cfg)
		}
	}
}

func BenchmarkCall(b *testing.B) {
	s := startServer(b)
	k := keeper(b, open(b, s.url(), redisstore.Config{}), idempotency.Config{})
	reply := idempotency.Reply{Status: 201, Body: make([]byte, 512)}
	c := call
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			c.Key = strconv.Itoa(n)
			claim, _, err := k.Begin(b.Context(), c)
			if err == nil && claim != nil {
				err = claim.Complete(b.Context(), reply)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("repeated", func(b *testing.B) {
		c.Key = "0"
		b.ReportAllocs()
		for b.Loop() {
			if _, r, err := k.Begin(b.Context(), c); r == nil {
				b.Fatal(err)
			}
		}
	})
}
