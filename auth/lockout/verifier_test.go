package lockout_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/apikey"
	"github.com/aguada-dev/aguada/auth/basic"
	"github.com/aguada-dev/aguada/auth/lockout"
	"github.com/aguada-dev/aguada/policy"
)

type fromKey struct{}

func from(t *testing.T, a string) context.Context {
	return context.WithValue(t.Context(), fromKey{}, addr(a))
}

// clientOf returns the client of a call, which may be nowhere.
func clientOf(ctx context.Context) netip.Addr {
	a, _ := ctx.Value(fromKey{}).(netip.Addr)
	return a
}

// verify is a verifier that is a function.
type verify func(context.Context, auth.Credential) (*auth.Principal, error)

func (f verify) Verify(ctx context.Context, c auth.Credential) (*auth.Principal, error) {
	return f(ctx, c)
}

// passwords knows users by their passwords.
type passwords map[string]string

func (p passwords) Verify(_ context.Context, c auth.Credential) (*auth.Principal, error) {
	if want, ok := p[c.Username]; !ok || want != c.Password {
		return nil, &auth.Error{Reason: auth.Unknown}
	}
	return &auth.Principal{Subject: c.Username}, nil
}

func said(p *auth.Principal, err error) string {
	if err == nil {
		return p.Subject
	}
	e, ok := errors.AsType[*auth.Error](err)
	switch {
	case !ok || p != nil:
		return fmt.Sprintf("%v and %v", p, err)
	case e.RetryAfter > 0:
		return fmt.Sprintf("!%s for %s", e.Reason, e.RetryAfter)
	}
	return "!" + string(e.Reason)
}

func user(name, password string) auth.Credential {
	return auth.Credential{Username: name, Password: password}
}

// lock makes ten failures.
func lock(t *testing.T, ctx context.Context, v auth.Verifier) {
	t.Helper()
	for range 10 {
		if got := said(v.Verify(ctx, user("nobody", "x"))); got != "!unknown" {
			t.Fatal(got)
		}
	}
}

func TestGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, lockout.Config{})
		var told []string
		v := l.Guard(passwords{"ann": "a", "bob": "b", "eve": "e"}, lockout.Guard{Client: clientOf, Locked: func(ctx context.Context, c netip.Prefix, d time.Duration) {
			told = append(told, fmt.Sprint(clientOf(ctx), " ", c, " ", d))
		}})
		office, home := from(t, "2001:db8::1"), from(t, "192.0.2.1")
		try := func(ctx context.Context, name, password, want string) {
			t.Helper()
			if got := said(v.Verify(ctx, user(name, password))); got != want {
				t.Errorf("%s, %s: got %q, want %q", name, password, got, want)
			}
		}
		try(office, "ann", "a", "ann")
		try(office, "bob", "b", "bob")
		lock(t, office, v)
		try(office, "eve", "e", "!locked for 1s")
		try(office, "eve", "x", "!locked for 1s")
		try(from(t, "2001:db8::ffff"), "ann", "a", "ann") // the same network
		try(home, "eve", "e", "eve")
		try(office, "ann", "x", "!locked for 1s")
		try(office, "ann", "a", "!locked for 1s") // her password was guessed
		try(office, "bob", "b", "bob")
		time.Sleep(250 * time.Millisecond)
		try(office, "eve", "e", "!locked for 750ms")
		time.Sleep(750 * time.Millisecond)
		try(office, "eve", "e", "eve")
		try(office, "eve", "x", "!unknown")
		try(office, "ann", "a", "!locked for 2s")
		try(t.Context(), "ann", "a", "ann") // no address
		for range 100 {
			try(t.Context(), "ann", "x", "!unknown")
		}
		if diff := cmp.Diff([]string{"2001:db8::1 2001:db8::/64 1s", "2001:db8::1 2001:db8::/64 2s"}, told); diff != "" {
			t.Error(diff)
		}
	})
}

func TestGuardOff(t *testing.T) {
	var l *lockout.Lockout
	v := passwords{"ann": "a"}
	if got := l.Guard(v, lockout.Guard{}); cmp.Diff(got, auth.Verifier(v)) != "" {
		t.Errorf("got %v", got)
	}
}

// What a verifier refuses is a guess as an auth.Guard understands it, however
// the error is wrapped; what it cannot say, or grants, is none.
func TestGuardCounts(t *testing.T) {
	var none *auth.Error
	for name, tt := range map[string]struct {
		p    *auth.Principal
		err  error
		want bool
	}{
		"unknown":           {nil, &auth.Error{Reason: auth.Unknown}, true},
		"wrapped":           {nil, fmt.Errorf("ask the directory: %w", &auth.Error{Reason: auth.Unknown}), true},
		"joined":            {nil, errors.Join(errors.New("x"), &auth.Error{Reason: auth.BadSignature}), true},
		"another's":         {nil, &auth.Error{Reason: "of another package"}, true},
		"no reason":         {nil, &auth.Error{}, true},
		"missing, it says":  {nil, &auth.Error{Reason: auth.Missing}, true},
		"late, it says":     {nil, &auth.Error{Reason: auth.Late}, true},
		"principal as well": {&auth.Principal{}, &auth.Error{Reason: auth.Unknown}, true},
		"expired":           {nil, &auth.Error{Reason: auth.Expired}, false},
		"unavailable":       {nil, &auth.Error{Reason: auth.Unavailable}, false},
		"failed":            {nil, errors.New("no connection"), false},
		"typed nil":         {nil, none, false},
		"neither":           {nil, nil, false},
		"granted":           {&auth.Principal{Subject: "ann"}, nil, false},
	} {
		l := open(t, lockout.Config{Failures: 1})
		v := l.Guard(verify(func(context.Context, auth.Credential) (*auth.Principal, error) { return tt.p, tt.err }), lockout.Guard{Client: clientOf})
		ctx := from(t, "192.0.2.1")
		if p, err := v.Verify(ctx, user("ann", "a")); p != tt.p || err != tt.err {
			t.Errorf("%s: got %v and %v", name, p, err)
		}
		if _, blocked := l.Blocked(clientOf(ctx), time.Now()); blocked != tt.want {
			t.Errorf("%s: locked %v, want %v", name, blocked, tt.want)
		}
		if known := l.Known(clientOf(ctx), user("ann", "a")); known != (name == "granted") {
			t.Errorf("%s: known %v", name, known)
		}
	}
}

// A password that was good is known no longer once it is refused: whoever has
// it would else spend the machine's time while locked out.
func TestGuardForgets(t *testing.T) {
	l, all, ctx := open(t, lockout.Config{}), passwords{"ann": "old"}, from(t, "192.0.2.1")
	v := l.Guard(all, lockout.Guard{Client: clientOf})
	if got := said(v.Verify(ctx, user("ann", "old"))); got != "ann" {
		t.Fatal(got)
	}
	all["ann"] = "new"
	if got := said(v.Verify(ctx, user("ann", "old"))); got != "!unknown" {
		t.Fatal(got)
	}
	if l.Known(clientOf(ctx), user("ann", "old")) {
		t.Error("still known")
	}
}

// A verifier learns who is a stranger.
func TestGuardTellsStrangers(t *testing.T) {
	l := open(t, lockout.Config{})
	var strangers []bool
	v := l.Guard(verify(func(_ context.Context, c auth.Credential) (*auth.Principal, error) {
		strangers = append(strangers, c.Stranger)
		return &auth.Principal{}, nil
	}), lockout.Guard{Client: clientOf})
	for _, a := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2"} {
		if _, err := v.Verify(from(t, a), user("ann", "a")); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]bool{true, false, true, false}, strangers); diff != "" {
		t.Error(diff)
	}
}

// Guesses at once are no better than one after the other: what comes of those
// under way when the lock begins is not told, also if one of them is right.
func TestGuardManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, all := open(t, lockout.Config{}), passwords{"ann": "50", "bob": "b"}
		v := l.Guard(verify(func(ctx context.Context, c auth.Credential) (*auth.Principal, error) {
			n := 50
			_, _ = fmt.Sscan(c.Password, &n)
			time.Sleep(time.Duration(n) * time.Millisecond)
			return all.Verify(ctx, c)
		}), lockout.Guard{Client: clientOf})
		ctx := from(t, "192.0.2.1")
		if got := said(v.Verify(ctx, user("bob", "b"))); got != "bob" {
			t.Fatal(got)
		}
		var mu sync.Mutex
		var wg sync.WaitGroup
		got := map[string]int{}
		for i := range 100 {
			wg.Go(func() {
				s := said(v.Verify(ctx, user("ann", fmt.Sprint(i))))
				mu.Lock()
				defer mu.Unlock()
				if len(s) > len("!locked") {
					s = s[:len("!locked")]
				}
				got[s]++
			})
		}
		wg.Go(func() {
			if s := said(v.Verify(ctx, user("bob", "b"))); s != "bob" {
				t.Errorf("who is known: %s", s)
			}
		})
		wg.Wait()
		if diff := cmp.Diff(map[string]int{"!unknow": 10, "!locked": 90}, got); diff != "" {
			t.Error(diff)
		}
		if s := said(v.Verify(ctx, user("ann", "50"))); s == "ann" {
			t.Error("the right guess passes now")
		}
	})
}

// recalls remembers one token.
type recalls struct{ auth.Verifier }

func (recalls) Recall(_ context.Context, token string) *auth.Principal {
	if token != "remembered" {
		return nil
	}
	return &auth.Principal{Subject: "ann"}
}

func TestGuardRecalls(t *testing.T) {
	l := open(t, lockout.Config{Failures: 1})
	if _, ok := l.Guard(passwords{}, lockout.Guard{Client: clientOf}).(auth.Recaller); ok {
		t.Error("a verifier that remembers nothing does now")
	}
	v := l.Guard(recalls{passwords{}}, lockout.Guard{Client: clientOf})
	ctx := from(t, "192.0.2.1")
	for _, want := range []string{"!unknown", "!locked"} {
		if got := said(v.Verify(ctx, auth.Credential{Token: "wrong"})); got[:len(want)] != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	r, ok := v.(auth.Recaller)
	if !ok {
		t.Fatal("the Recaller is hidden")
	}
	if p := r.Recall(ctx, "remembered"); p == nil || p.Subject != "ann" {
		t.Errorf("a remembered token of a locked client: %v", p)
	}
	if p := r.Recall(ctx, "wrong"); p != nil {
		t.Errorf("got %v", p)
	}
}

// both is a request with a key and a password.
type both struct {
	key  string
	user auth.Credential
}

func (b both) Credential(_ *policy.Use, kind policy.SchemeKind) (auth.Credential, error) {
	if kind == policy.APIKey {
		return auth.Credential{Token: b.key}, nil
	}
	return b.user, nil
}

// Who has one good credential cannot guess another beside it.
func TestGuardSeveralCredentials(t *testing.T) {
	l := open(t, lockout.Config{})
	const pepper = "0123456789abcdef"
	store := &apikey.Memory{}
	key, _, err := apikey.NewRegistry(store, func() string { return pepper }).Create(t.Context(), apikey.Request{Owner: "robot"})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := apikey.New(store, apikey.Peppers{Current: func() string { return pepper }}, apikey.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = keys.Close() }()
	guard := lockout.Guard{Client: clientOf}
	verifiers := auth.Verifiers{"key": l.Guard(keys, guard), "basic": l.Guard(passwords{"ann": "a", "bob": "b"}, guard)}
	schemes := []policy.Scheme{{Name: "key", Kind: policy.APIKey}, {Name: "basic", Kind: policy.Basic}}
	header := func(scheme string) policy.Use {
		return policy.Use{Scheme: scheme, In: policy.InHeader, Name: "X-" + scheme}
	}
	check := func(alternatives ...policy.Requirement) func(auth.Credential) string {
		g, err := auth.NewGuard("shop", &policy.Method{Access: policy.Secured, Requirements: alternatives}, schemes, verifiers)
		if err != nil {
			t.Fatal(err)
		}
		return func(u auth.Credential) string {
			s := said(g.Check(from(t, "192.0.2.1"), both{key, u}))
			if len(s) > len("!locked") {
				s = s[:len("!locked")]
			}
			return s
		}
	}
	and := check(policy.Requirement{Schemes: []policy.Use{header("key"), header("basic")}})
	or := check(policy.Requirement{Schemes: []policy.Use{header("basic")}}, policy.Requirement{Schemes: []policy.Use{header("key")}})
	if got := and(user("ann", "a")); got != "robot" {
		t.Fatal(got)
	}
	for range 10 {
		if got := and(user("bob", "x")); got != "!unknow" {
			t.Fatal(got)
		}
	}
	for _, tt := range []struct {
		name string
		got  string
		want string
	}{
		{"both known", and(user("ann", "a")), "robot"},
		{"a wrong password beside a known key", and(user("bob", "x")), "!locked"},
		{"the right one beside it", and(user("bob", "b")), "!locked"},
		{"a wrong password or a known key", or(user("bob", "x")), "robot"},
		{"the right one or a known key", or(user("bob", "b")), "robot"}, // and not bob
		{"a known password or a known key", or(user("ann", "a")), "ann"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, tt.got, tt.want)
		}
	}
}

// Ann logged in from home. Whoever guesses her password from elsewhere gets one
// answer for all guesses while he is locked out: also for the right one.
func TestLockTellsNothing(t *testing.T) {
	hash, err := basic.HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte("ann:"+hash+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	users, err := basic.Open(path, basic.Config{})
	if err != nil {
		t.Fatal(err)
	}
	v := open(t, lockout.Config{Failures: 1, First: time.Hour}).Guard(users, lockout.Guard{Client: clientOf})
	home, elsewhere := from(t, "192.0.2.1"), from(t, "198.51.100.7")
	if got := said(v.Verify(home, user("ann", "correct horse"))); got != "ann" {
		t.Fatal(got)
	}
	if got := said(v.Verify(elsewhere, user("ann", "wrong"))); got != "!unknown" {
		t.Fatal(got)
	}
	for _, guess := range []string{"battery", "staple", "correct horse"} {
		if _, err := v.Verify(elsewhere, user("ann", guess)); err == nil || err.(*auth.Error).Reason != auth.Locked {
			t.Errorf("%s: got %v, want locked", guess, err)
		}
	}
	if got := said(v.Verify(home, user("ann", "correct horse"))); got != "ann" {
		t.Errorf("at home: %s", got)
	}
}

func TestKnownCostsLittle(t *testing.T) {
	l := open(t, lockout.Config{})
	p := &auth.Principal{}
	v := l.Guard(verify(func(context.Context, auth.Credential) (*auth.Principal, error) { return p, nil }), lockout.Guard{Client: clientOf})
	ctx, c := from(t, "192.0.2.1"), user("ann", "a")
	if n := testing.AllocsPerRun(100, func() { _, _ = v.Verify(ctx, c) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkGuard(b *testing.B) {
	l := open(b, lockout.Config{})
	p, a := &auth.Principal{}, addr("192.0.2.1")
	v := l.Guard(verify(func(context.Context, auth.Credential) (*auth.Principal, error) { return p, nil }),
		lockout.Guard{Client: func(context.Context) netip.Addr { return a }})
	c := auth.Credential{Token: "agd_abcdefghijklmnop_abcdefghijklmnopqrstuvwxyz2345671234567"}
	for b.Loop() {
		_, _ = v.Verify(b.Context(), c)
	}
}

// Two verifiers that read the same header do not take back what the other
// knows: one of them refuses each credential.
func TestGuardsOfOneHeader(t *testing.T) {
	l, ctx := open(t, lockout.Config{}), from(t, "192.0.2.1")
	guard := lockout.Guard{Client: clientOf}
	staff, guests := l.Guard(passwords{"ann": "a"}, guard), l.Guard(passwords{"eve": "e", "ann": "x"}, guard)
	call := func(c auth.Credential) string {
		p, err := staff.Verify(ctx, c)
		if err != nil {
			p, err = guests.Verify(ctx, c)
		}
		return said(p, err)
	}
	for range 30 { // the address is locked out on the way
		if got := call(user("eve", "e")); got != "eve" {
			t.Fatal(got)
		}
	}
	if _, blocked := l.Blocked(clientOf(ctx), time.Now()); !blocked {
		t.Error("what one of them refuses is not counted")
	}
}
