package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aguada-dev/aguada/idempotency"
	"github.com/aguada-dev/aguada/idempotency/idempotencytest"
	"github.com/aguada-dev/aguada/policy"
)

func keeper(t testing.TB, s idempotency.Store, cfg idempotency.Config) *idempotency.Keeper {
	t.Helper()
	k, err := idempotency.New(s, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

var call = idempotency.Call{
	Issuer: "https://issuer.example", Subject: "ann", Method: "orders.create", Key: "key", Form: "http", Fingerprint: [32]byte{1}, Keep: time.Hour,
}

func begin(t testing.TB, k *idempotency.Keeper, c idempotency.Call) *idempotency.Claim {
	t.Helper()
	claim, reply, err := k.Begin(t.Context(), c)
	if err != nil || claim == nil || reply != nil {
		t.Fatalf("begin: claim %v, reply %v, error %v", claim != nil, reply, err)
	}
	return claim
}

func complete(t testing.TB, claim *idempotency.Claim, r idempotency.Reply) {
	t.Helper()
	if err := claim.Complete(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func replayed(t testing.TB, k *idempotency.Keeper, c idempotency.Call) *idempotency.Reply {
	t.Helper()
	claim, reply, err := k.Begin(t.Context(), c)
	if err != nil || claim != nil || reply == nil {
		t.Fatalf("begin: claim %v, reply %v, error %v", claim != nil, reply, err)
	}
	return reply
}

func refused(t testing.TB, k *idempotency.Keeper, c idempotency.Call, want error) {
	t.Helper()
	claim, reply, err := k.Begin(t.Context(), c)
	if !errors.Is(err, want) || claim != nil || reply != nil {
		t.Fatalf("begin: claim %v, reply %v, error %v, want %v", claim != nil, reply, err, want)
	}
}

func TestReplies(t *testing.T) {
	k := keeper(t, memory(t, idempotency.MemoryConfig{}), idempotency.Config{})
	for i, r := range []idempotency.Reply{
		{},
		{Status: 201, Header: map[string][]string{"Location": {"/1"}, "Set-Cookie": {"a=1", "b=2"}, "Empty": {""}}, Body: []byte("{}\n")},
		{Status: 0, Header: map[string][]string{"x-bin": {"\x00\xff"}}, Trailer: map[string][]string{"t": {"1"}}, Body: make([]byte, 1000)},
	} {
		c := call
		c.Key = strconv.Itoa(i)
		complete(t, begin(t, k, c), r)
		got := replayed(t, k, c)
		if r.Body == nil {
			r.Body = []byte{}
		}
		if !reflect.DeepEqual(*got, r) {
			t.Errorf("got %+v, want %+v", *got, r)
		}
	}
}

// A key is a principal's own, and a method's; its request cannot change.
func TestScope(t *testing.T) {
	k := keeper(t, memory(t, idempotency.MemoryConfig{}), idempotency.Config{})
	complete(t, begin(t, k, call), idempotency.Reply{Body: []byte("ann's")})
	for name, change := range map[string]func(*idempotency.Call){
		"subject":             func(c *idempotency.Call) { c.Subject = "bob" },
		"issuer":              func(c *idempotency.Call) { c.Issuer = "https://other.example" },
		"no issuer":           func(c *idempotency.Call) { c.Issuer = "" },
		"method":              func(c *idempotency.Call) { c.Method = "orders.cancel" },
		"key":                 func(c *idempotency.Call) { c.Key = "key2" },
		"issuer and subject":  func(c *idempotency.Call) { c.Issuer, c.Subject = c.Issuer+"a", "nn" },
		"subject and method":  func(c *idempotency.Call) { c.Subject, c.Method = "anno", "rders.create" },
		"method and key":      func(c *idempotency.Call) { c.Method, c.Key = "orders.createk", "ey" },
		"all in one, and nul": func(c *idempotency.Call) { c.Subject = "ann\x00orders.create" },
	} {
		c := call
		change(&c)
		claim := begin(t, k, c)
		if idempotency.ID(claim.Context(t.Context())) == "" {
			t.Error("no id")
		}
		if err := claim.Release(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := call
	c.Fingerprint[0]++
	refused(t, k, c, idempotency.ErrMismatch)
	c = call
	c.Form = "grpc"
	refused(t, k, c, idempotency.ErrSpent)
	for _, change := range []func(*idempotency.Call){
		func(c *idempotency.Call) { c.Subject = "" }, func(c *idempotency.Call) { c.Method = "" }, func(c *idempotency.Call) { c.Key = "" },
		func(c *idempotency.Call) { c.Form = "" }, func(c *idempotency.Call) { c.Keep = 0 }, func(c *idempotency.Call) { c.Keep = -1 },
		func(c *idempotency.Call) { c.Keep = 1<<63 - 1 },
	} {
		c := call
		change(&c)
		if claim, reply, err := k.Begin(t.Context(), c); err == nil || claim != nil || reply != nil {
			t.Errorf("%+v is begun: %v", c, err)
		}
	}
}

// The id of a call is the same for its repetitions, and no other call's.
func TestID(t *testing.T) {
	k := keeper(t, memory(t, idempotency.MemoryConfig{}), idempotency.Config{})
	ids := map[string]int{}
	for range 3 {
		claim := begin(t, k, call)
		ids[idempotency.ID(claim.Context(t.Context()))]++
		if err := claim.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(ids) != 1 || len(fmt.Sprint(ids)) != len("map[:3]")+43 {
		t.Errorf("ids %v", ids)
	}
	if id := idempotency.ID(t.Context()); id != "" {
		t.Errorf("a call without a key has id %q", id)
	}
	if _, err := idempotency.Join(begin(t, k, call).Context(t.Context())); !errors.Is(err, idempotency.ErrNone) {
		t.Errorf("join a memory: %v", err)
	}
}

// A reply that is too large is given once. The method never runs again.
func TestLargeReply(t *testing.T) {
	k := keeper(t, memory(t, idempotency.MemoryConfig{}), idempotency.Config{MaxReply: 1000})
	complete(t, begin(t, k, call), idempotency.Reply{Body: make([]byte, 1000)})
	refused(t, k, call, idempotency.ErrSpent)
	c := call
	c.Key = "header"
	complete(t, begin(t, k, c), idempotency.Reply{Header: map[string][]string{"A": {strings.Repeat("x", 1000)}}})
	refused(t, k, c, idempotency.ErrSpent)
	c.Key = "fits"
	complete(t, begin(t, k, c), idempotency.Reply{Body: make([]byte, 980)})
	if got := replayed(t, k, c); len(got.Body) != 980 {
		t.Errorf("%d bytes", len(got.Body))
	}
	c = call
	c.Fingerprint[0]++
	refused(t, k, c, idempotency.ErrMismatch)
}

// While the secret is replaced everything opens; what no secret opens is refused
// and does not run.
func TestRotation(t *testing.T) {
	m := memory(t, idempotency.MemoryConfig{})
	var current, old atomic.Value
	current.Store("the first secret")
	old.Store("")
	var reports atomic.Int64
	k := keeper(t, m, idempotency.Config{
		Secrets: idempotency.Secrets{Current: func() string { return current.Load().(string) }, Old: func() string { return old.Load().(string) }},
		Report:  func(error) { reports.Add(1) },
	})
	second := call
	second.Key = "second"
	complete(t, begin(t, k, call), idempotency.Reply{Body: []byte("first")})
	current.Store("the second secret") // the old one comes a moment later
	replayed(t, k, call)
	old.Store("the first secret")
	replayed(t, k, call)
	complete(t, begin(t, k, second), idempotency.Reply{Body: []byte("second")})
	current.Store("short")
	replayed(t, k, call)
	replayed(t, k, second)
	if reports.Load() != 1 {
		t.Errorf("%d reports of a short secret, want 1", reports.Load())
	}
	// A replica that does not know the secret, and one that knows the new one.
	refused(t, keeper(t, m, secret("another secret of tests")), call, idempotency.ErrUnavailable)
	refused(t, keeper(t, m, secret("the second secret")), call, idempotency.ErrUnavailable)
	replayed(t, keeper(t, m, secret("the second secret")), second)
	replayed(t, keeper(t, m, secret("the first secret")), call)
}

func secret(s string) idempotency.Config {
	return idempotency.Config{Secrets: idempotency.Secrets{Current: func() string { return s }}}
}

func TestRotationEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		current := "the first secret"
		k := keeper(t, memory(t, idempotency.MemoryConfig{}), idempotency.Config{Secrets: idempotency.Secrets{Current: func() string { return current }}})
		complete(t, begin(t, k, call), idempotency.Reply{})
		current = "the second secret"
		time.Sleep(idempotency.SecretOverlap) // nobody has looked
		replayed(t, k, call)
		time.Sleep(idempotency.SecretOverlap + 1)
		refused(t, k, call, idempotency.ErrUnavailable)
	})
}

// tampering changes what the store gives back.
type tampering struct {
	idempotency.Store
	change func([]byte) []byte
}

func (s tampering) Claim(ctx context.Context, t idempotency.Ticket) (idempotency.State, error) {
	st, err := s.Store.Claim(ctx, t)
	if st.Reply != nil {
		st.Reply = s.change(st.Reply)
	}
	return st, err
}

// Whoever can write to the store cannot make a reply up, or give one call the
// reply of another.
func TestTampering(t *testing.T) {
	m := memory(t, idempotency.MemoryConfig{})
	honest := keeper(t, m, secret(idempotencytest.Secret()))
	other := call
	other.Subject = "bob"
	complete(t, begin(t, honest, call), idempotency.Reply{Body: []byte("ann's")})
	complete(t, begin(t, honest, other), idempotency.Reply{Body: []byte("bob's")})
	var bobs []byte
	keep := func(b []byte) []byte { bobs = slices.Clone(b); return b }
	replayed(t, keeper(t, tampering{m, keep}, secret(idempotencytest.Secret())), other)
	for i := range bobs {
		k := keeper(t, tampering{m, func(b []byte) []byte { b[i] ^= 1; return b }}, secret(idempotencytest.Secret()))
		refused(t, k, call, idempotency.ErrUnavailable)
		k = keeper(t, tampering{m, func(b []byte) []byte { return b[:i] }}, secret(idempotencytest.Secret()))
		refused(t, k, call, idempotency.ErrUnavailable)
	}
	refused(t, keeper(t, tampering{m, func([]byte) []byte { return bobs }}, secret(idempotencytest.Secret())), call, idempotency.ErrUnavailable)
	replayed(t, honest, call)
	// Nor give a request the reply of an earlier one under its key.
	later := memory(t, idempotency.MemoryConfig{})
	c := other
	c.Fingerprint[0]++
	complete(t, begin(t, keeper(t, later, secret(idempotencytest.Secret())), c), idempotency.Reply{})
	refused(t, keeper(t, tampering{later, func([]byte) []byte { return bobs }}, secret(idempotencytest.Secret())), c, idempotency.ErrUnavailable)
}

// A running method keeps its key; one whose process died loses it.
func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keeper(t, memory(t, idempotency.MemoryConfig{}), idempotency.Config{})
		claim := begin(t, k, call)
		time.Sleep(10 * time.Minute)
		refused(t, k, call, idempotency.ErrConflict)
		complete(t, claim, idempotency.Reply{})
		replayed(t, k, call)
		time.Sleep(time.Hour - time.Second)
		replayed(t, k, call)
		time.Sleep(time.Second)
		c := call
		c.Fingerprint[0]++
		if err := begin(t, k, c).Release(t.Context()); err != nil { // it is forgotten
			t.Error(err)
		}
	})
}

// dying is a store that a process has lost: nothing that it does there arrives.
type dying struct {
	idempotency.Store
	dead atomic.Bool
}

var errDead = errors.New("the store is away")

func (s *dying) Claim(ctx context.Context, t idempotency.Ticket) (idempotency.State, error) {
	if s.dead.Load() {
		return idempotency.State{}, errDead
	}
	return s.Store.Claim(ctx, t)
}

func (s *dying) Extend(ctx context.Context, t idempotency.Ticket) error {
	if s.dead.Load() {
		return errDead
	}
	return s.Store.Extend(ctx, t)
}

func (s *dying) Finish(ctx context.Context, t idempotency.Ticket, reply []byte) error {
	if s.dead.Load() {
		return errDead
	}
	return s.Store.Finish(ctx, t, reply)
}

func TestStoreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(t, idempotency.MemoryConfig{})
		s := &dying{Store: m}
		var reports atomic.Int64
		cfg := secret(idempotencytest.Secret())
		cfg.Report = func(err error) { reports.Add(1) }
		k, other := keeper(t, s, cfg), keeper(t, m, cfg)
		claim := begin(t, k, call)
		s.dead.Store(true)
		c := call
		c.Key = "another"
		refused(t, k, c, idempotency.ErrUnavailable)
		time.Sleep(idempotency.DefaultLease)
		if reports.Load() == 0 {
			t.Error("nobody hears that the lease is not extended")
		}
		heir := begin(t, other, call)
		// What was done cannot be undone here: its caller gets the reply.
		if err := claim.Complete(t.Context(), idempotency.Reply{}); !errors.Is(err, idempotency.ErrUnstored) || !errors.Is(err, errDead) {
			t.Errorf("complete: %v", err)
		}
		complete(t, heir, idempotency.Reply{Body: []byte("heir")})
		s.dead.Store(false)
		if got := replayed(t, k, call); string(got.Body) != "heir" {
			t.Errorf("replayed %q", got.Body)
		}
		// A short outage while the reply is stored is bridged.
		claim = begin(t, k, c)
		s.dead.Store(true)
		time.AfterFunc(100*time.Millisecond, func() { s.dead.Store(false) })
		complete(t, claim, idempotency.Reply{Body: []byte("bridged")})
		replayed(t, other, c)
	})
}

// One that was replaced learns it, and its caller is told to try again.
func TestSuperseded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(t, idempotency.MemoryConfig{})
		s := &dying{Store: m}
		k, other := keeper(t, s, secret(idempotencytest.Secret())), keeper(t, m, secret(idempotencytest.Secret()))
		claim := begin(t, k, call)
		s.dead.Store(true)
		time.Sleep(idempotency.DefaultLease)
		s.dead.Store(false)
		heir := begin(t, other, call)
		if err := claim.Complete(t.Context(), idempotency.Reply{Body: []byte("stale")}); !errors.Is(err, idempotency.ErrConflict) {
			t.Errorf("complete: %v", err)
		}
		complete(t, heir, idempotency.Reply{Body: []byte("heir")})
		if got := replayed(t, k, call); string(got.Body) != "heir" {
			t.Errorf("replayed %q", got.Body)
		}
	})
}

// A client that is gone before its call begins leaves nothing behind; one that
// goes later takes nothing back.
func TestClientGone(t *testing.T) {
	m := memory(t, idempotency.MemoryConfig{})
	k := keeper(t, m, idempotency.Config{})
	ctx, leave := context.WithCancel(t.Context())
	claim, _, err := k.Begin(ctx, call)
	if err != nil {
		t.Fatal(err)
	}
	leave()
	if err := claim.Complete(ctx, idempotency.Reply{}); err != nil {
		t.Error(err)
	}
	replayed(t, k, call)
	c := call
	c.Key = "gone"
	if claim, reply, err := k.Begin(ctx, c); !errors.Is(err, context.Canceled) || claim != nil || reply != nil {
		t.Errorf("a call of nobody: %v", err)
	}
	if m.Len() != 1 {
		t.Errorf("%d records", m.Len())
	}
}

// A claim is over once.
func TestEnd(t *testing.T) {
	k := keeper(t, memory(t, idempotency.MemoryConfig{}), idempotency.Config{})
	claim := begin(t, k, call)
	var stored atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			switch err := claim.Complete(context.Background(), idempotency.Reply{}); {
			case err == nil:
				stored.Add(1)
			case !errors.Is(err, idempotency.ErrEnded):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if stored.Load() != 1 {
		t.Errorf("completed %d times", stored.Load())
	}
	if err := claim.Release(t.Context()); err != nil {
		t.Error(err)
	}
	replayed(t, k, call)
}

func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(t, idempotency.MemoryConfig{Records: 100, Bytes: 10_000})
		k := keeper(t, m, idempotency.Config{})
		c := call
		for i := range 100 {
			c.Key = strconv.Itoa(i)
			complete(t, begin(t, k, c), idempotency.Reply{})
		}
		c.Key = "one more"
		refused(t, k, c, idempotency.ErrUnavailable)
		c.Key = "0" // nothing was forgotten for it
		replayed(t, k, c)
		time.Sleep(call.Keep)
		c.Key = "one more"
		c.Keep = time.Second
		complete(t, begin(t, k, c), idempotency.Reply{Body: make([]byte, 20_000)})
		c.Key = "and another"
		refused(t, k, c, idempotency.ErrUnavailable)
		time.Sleep(2 * time.Second)
		if err := begin(t, k, c).Release(t.Context()); err != nil {
			t.Error(err)
		}
		// Nobody asks for them any more.
		c.Keep = time.Hour
		for i := range 50 {
			c.Key = "later" + strconv.Itoa(i)
			complete(t, begin(t, k, c), idempotency.Reply{})
		}
		time.Sleep(time.Hour + 2*time.Minute)
		if m.Len() != 0 {
			t.Errorf("%d records are left", m.Len())
		}
	})
}

func TestNewRefuses(t *testing.T) {
	m := memory(t, idempotency.MemoryConfig{})
	for name, c := range map[string]struct {
		s   idempotency.Store
		cfg idempotency.Config
	}{
		"no store":          {nil, secret(idempotencytest.Secret())},
		"no secret":         {&dying{Store: m}, idempotency.Config{}},
		"a short secret":    {m, secret("short")},
		"an empty secret":   {m, secret("")},
		"a short old one":   {m, idempotency.Config{Secrets: idempotency.Secrets{Current: idempotencytest.Secret, Old: func() string { return "short" }}}},
		"a short lease":     {m, idempotency.Config{Lease: time.Millisecond}},
		"a negative lease":  {m, idempotency.Config{Lease: -1}},
		"a short timeout":   {m, idempotency.Config{Timeout: 1}},
		"a negative size":   {m, idempotency.Config{MaxReply: -1}},
		"a nameless secret": {&dying{Store: m}, idempotency.Config{Secrets: idempotency.Secrets{Old: idempotencytest.Secret}}},
	} {
		if k, err := idempotency.New(c.s, c.cfg); err == nil {
			k.Close()
			t.Errorf("%s is accepted", name)
		} else if strings.Contains(err.Error(), idempotencytest.Secret()) || strings.Contains(err.Error(), `"short`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, cfg := range []idempotency.MemoryConfig{{Records: -1}, {Bytes: -1}} {
		if _, err := idempotency.NewMemory(cfg); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
}

func TestAnswer(t *testing.T) {
	for err, want := range map[error]*policy.Answer{
		idempotency.ErrMissing: &policy.KeyMissing, idempotency.ErrMalformed: &policy.KeyMalformed, idempotency.ErrConflict: &policy.KeyConflict,
		idempotency.ErrMismatch: &policy.KeyMismatch, idempotency.ErrUnavailable: &policy.KeyUnavailable, idempotency.ErrSpent: &policy.KeySpent,
		idempotency.ErrUnstored: &policy.KeyUnavailable, idempotency.ErrEnded: &policy.InternalFault, context.Canceled: nil, nil: nil,
	} {
		if got := idempotency.Answer(fmt.Errorf("begin: %w", err)); got != want {
			t.Errorf("%v: got %v", err, got)
		}
	}
}
