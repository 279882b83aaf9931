package telemetry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// auditor remembers what it was told.
type auditor struct {
	mu     sync.Mutex
	events []string
}

func (a *auditor) audit(e LeaseEvent) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.events = append(a.events, string(e.Action)+" by "+e.By+" "+string(e.Lease.Kind))
}

func newLeases(t *testing.T) (*Leases, *auditor) {
	t.Helper()
	a := &auditor{}
	return NewLeases(LeasesConfig{Audit: a.audit}), a
}

func openLease(t *testing.T, l *Leases, lease Lease, d time.Duration) Lease {
	t.Helper()
	lease.OpenedBy = "op"
	got, err := l.Open(lease, d)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestLeaseShowsOnePrincipalsPayloadsAndEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leases, audit := newLeases(t)
		openLease(t, leases, Lease{Kind: Payloads, Principal: "ann"}, time.Minute)
		var buf bytes.Buffer
		h := NewHandler(&buf, JSON, slog.LevelError)
		call := func(service, who string) context.Context {
			s := &Scope{RequestID: who}
			leases.Apply(s, service, "create", Caller{Subject: who})
			return WithScope(t.Context(), s)
		}
		say := func(ctx context.Context, v any) string {
			buf.Reset()
			if err := PayloadLine(ctx, h, RequestPayload, v); err != nil {
				t.Fatal(err)
			}
			return buf.String()
		}
		ann := call("orders", "ann")
		for _, who := range []string{"", "bob", "annie", "Ann"} {
			if line := say(call("orders", who), secret{"4111"}); line != "" {
				t.Errorf("the lease shows a payload of %q: %s", who, line)
			}
		}
		line := say(ann, secret{"4111"})
		if !strings.Contains(line, `"payload":"{Card:***}"`) || !strings.Contains(line, `"request_id":"ann"`) ||
			!strings.Contains(line, `"enduser.id":"ann"`) || strings.Contains(line, "4111") {
			t.Errorf("the line is %s", line)
		}
		time.Sleep(time.Minute) // the bubble's clock; timers of this instant have not run yet
		if line := say(ann, 1); line != "" {
			t.Errorf("an expired lease applies: %s", line)
		}
		if n := len(leases.List()); n != 0 {
			t.Errorf("%d leases are open", n)
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"opened by op payloads", "expired by  payloads"}, audit.events); diff != "" {
			t.Error(diff)
		}
		if leases.open.Load() != nil || len(leases.timers) != 0 {
			t.Error("the store keeps what has expired")
		}
	})
}

func TestLeaseMatches(t *testing.T) {
	leases, _ := newLeases(t)
	defer leases.Close("test")
	for _, test := range []struct {
		lease Lease
		want  string // services.methods/schemes:principals
	}{
		{Lease{}, "a.m/jwt:ann a.m/key:ann a.m/jwt:bob a.m/: a.n/jwt:ann b.m/jwt:ann"},
		{Lease{Service: "a"}, "a.m/jwt:ann a.m/key:ann a.m/jwt:bob a.m/: a.n/jwt:ann"},
		{Lease{Service: "a", Method: "m"}, "a.m/jwt:ann a.m/key:ann a.m/jwt:bob a.m/:"},
		{Lease{Principal: "ann"}, "a.m/jwt:ann a.m/key:ann a.n/jwt:ann b.m/jwt:ann"},
		{Lease{Scheme: "key"}, "a.m/key:ann"},
		{Lease{Scheme: "jwt", Principal: "ann"}, "a.m/jwt:ann a.n/jwt:ann b.m/jwt:ann"},
		{Lease{Scheme: "key", Principal: "bob"}, ""},
		{Lease{Scheme: "JWT", Principal: "ann"}, ""},
		{Lease{Service: "a", Method: "m", Principal: "ann"}, "a.m/jwt:ann a.m/key:ann"},
	} {
		test.lease.Kind, test.lease.Level = LogLevel, slog.LevelDebug
		lease := openLease(t, leases, test.lease, 0)
		var got []string
		for _, call := range []string{"a.m/jwt:ann", "a.m/key:ann", "a.m/jwt:bob", "a.m/:", "a.n/jwt:ann", "b.m/jwt:ann"} {
			service, rest, _ := strings.Cut(call, ".")
			method, who, _ := strings.Cut(rest, "/")
			scheme, subject, _ := strings.Cut(who, ":")
			s := &Scope{}
			if leases.Apply(s, service, method, Caller{scheme, subject}) != s.Lowered(slog.LevelDebug) {
				t.Errorf("%s: Apply and Lowered disagree", call)
			}
			if s.Lowered(slog.LevelDebug) {
				got = append(got, call)
			}
		}
		if diff := cmp.Diff(test.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%+v: %s", test.lease, diff)
		}
		if _, err := leases.End(lease.ID, "op"); err != nil {
			t.Fatal(err)
		}
	}
}

// A machine that sleeps stops the monotonic clock and with it the timers; a
// wall clock can be set. A lease ends by whichever says so first, is audited
// as expired, and makes room.
func TestLeaseEndsByEitherClock(t *testing.T) {
	for name, test := range map[string]struct {
		wall, up time.Duration
		ends     bool
	}{
		"neither":               {59 * time.Second, 59 * time.Second, false},
		"both":                  {time.Minute, time.Minute, true},
		"slept":                 {time.Minute, time.Second, true},
		"slept for days":        {100 * time.Hour, 0, true},
		"the clock is set back": {-time.Hour, time.Minute, true},
		"set back, too early":   {-time.Hour, 59 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			leases, audit := newLeases(t)
			start := leases.now()
			now := start
			leases.now = func() instant { return now }
			for range maxLeases {
				openLease(t, leases, Lease{Kind: LogLevel, Level: slog.LevelDebug}, time.Minute)
			}
			s := &Scope{}
			leases.Apply(s, "a", "m", Caller{})
			now = instant{start.wall.Add(test.wall), start.up + test.up}
			if s.Lowered(slog.LevelDebug) == test.ends {
				t.Errorf("lowered: %t", !test.ends)
			}
			_, err := leases.Open(Lease{Kind: LogLevel, OpenedBy: "op"}, time.Minute)
			if got := err == nil; got != test.ends {
				t.Errorf("room for another: %t, %v", got, err)
			}
			want := maxLeases
			if test.ends {
				want = 1
			}
			if n := len(leases.List()); n != want || len(leases.timers) != want {
				t.Errorf("%d leases, %d timers, want %d", n, len(leases.timers), want)
			}
			if expired := slices.Contains(audit.events, "expired by  log-level"); expired != test.ends {
				t.Errorf("audited as expired: %t", expired)
			}
			leases.Close("test")
		})
	}
}

// Looking at the list, too, tells the audit what has expired.
func TestLeaseThatSleptIsNotListed(t *testing.T) {
	leases, audit := newLeases(t)
	now := leases.now()
	leases.now = func() instant { return now }
	lease := openLease(t, leases, Lease{Kind: Payloads, Service: "a"}, time.Minute)
	now.wall = now.wall.Add(time.Hour)
	if all := leases.List(); len(all) != 0 {
		t.Errorf("listed: %v", all)
	}
	if _, err := leases.End(lease.ID, "op"); !errors.Is(err, ErrNoLease) {
		t.Errorf("end: %v", err)
	}
	if diff := cmp.Diff([]string{"opened by op payloads", "expired by  payloads"}, audit.events); diff != "" {
		t.Error(diff)
	}
}

func TestLeaseIsRefused(t *testing.T) {
	leases, audit := newLeases(t)
	ok := Lease{Kind: Payloads, Service: "a", OpenedBy: "op"}
	for _, test := range []struct {
		name   string
		change func(*Lease)
		d      time.Duration
	}{
		{"unknown kind", func(l *Lease) { l.Kind = "all" }, 0},
		{"nobody", func(l *Lease) { l.OpenedBy = "" }, 0},
		{"everything", func(l *Lease) { l.Service = "" }, 0},
		{"method alone", func(l *Lease) { l.Service, l.Method, l.Principal = "", "m", "ann" }, 0},
		{"long text", func(l *Lease) { l.Reason = strings.Repeat("a", 257) }, 0},
		{"too long", func(*Lease) {}, time.Hour + 1},
		{"negative", func(*Lease) {}, -1},
	} {
		lease := ok
		test.change(&lease)
		if _, err := leases.Open(lease, test.d); !errors.Is(err, ErrLeaseInvalid) {
			t.Errorf("%s: error is %v", test.name, err)
		}
	}
	if _, err := NewLeases(LeasesConfig{}).Open(ok, 0); !errors.Is(err, ErrLeaseInvalid) {
		t.Errorf("without an audit: error is %v", err)
	}
	if _, err := (*Leases)(nil).Open(ok, 0); !errors.Is(err, ErrLeaseInvalid) {
		t.Errorf("nil: error is %v", err)
	}
	if len(audit.events) != 0 || leases.Apply(&Scope{}, "a", "m", Caller{Subject: "ann"}) {
		t.Errorf("a refused lease shows: %v", audit.events)
	}
	if _, err := leases.End("x", "op"); !errors.Is(err, ErrNoLease) {
		t.Errorf("end: error is %v", err)
	}
}

func TestLeasesAreBounded(t *testing.T) {
	leases, audit := newLeases(t)
	for range maxLeases {
		openLease(t, leases, Lease{Kind: LogLevel}, 0)
	}
	if _, err := leases.Open(Lease{Kind: LogLevel, OpenedBy: "op"}, 0); !errors.Is(err, ErrLeasesFull) {
		t.Errorf("error is %v", err)
	}
	leases.Close("shutdown")
	if n := len(leases.List()); n != 0 || len(audit.events) != 2*maxLeases || len(leases.timers) != 0 {
		t.Errorf("%d leases, %d events, %d timers", n, len(audit.events), len(leases.timers))
	}
}

// Leases open, end and expire while calls look them up.
func TestLeasesConcurrently(t *testing.T) {
	leases, audit := newLeases(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 200 {
				lease, err := leases.Open(Lease{Kind: LogLevel, Level: slog.LevelDebug, OpenedBy: "op"}, time.Duration(1+i)*time.Microsecond)
				if err != nil && !errors.Is(err, ErrLeasesFull) {
					t.Error(err)
				}
				if err == nil && i%2 == 0 {
					_, _ = leases.End(lease.ID, "op") // or it has expired
				}
			}
		})
		wg.Go(func() {
			s := &Scope{}
			for range 2000 {
				leases.Apply(s, "a", "m", Caller{})
				s.Lowered(slog.LevelDebug)
				leases.List()
			}
		})
	}
	wg.Wait()
	leases.Close("test")
	audit.mu.Lock()
	defer audit.mu.Unlock()
	opened := len(audit.events) - len(slices.DeleteFunc(slices.Clone(audit.events), func(e string) bool { return strings.HasPrefix(e, "opened") }))
	if opened*2 != len(audit.events) {
		t.Errorf("%d opened, %d events: each lease opens and goes once", opened, len(audit.events))
	}
}

func TestPayloadLine(t *testing.T) {
	leases := NewLeases(LeasesConfig{Audit: func(LeaseEvent) {}, Describe: func(v any) slog.Value {
		return slog.AnyValue(v)
	}})
	defer leases.Close("test")
	lease := openLease(t, leases, Lease{Kind: Payloads, Service: "a"}, 0)
	s := &Scope{RequestID: "r1", Service: "a", Method: "m"}
	leases.Apply(s, "a", "m", Caller{})
	ctx := WithScope(t.Context(), s)
	var buf bytes.Buffer
	line := func(v any) map[string]any {
		buf.Reset()
		if err := PayloadLine(ctx, NewHandler(&buf, JSON, nil), ResultPayload, v); err != nil {
			t.Fatal(err)
		}
		return decode(t, buf.Bytes())
	}
	for _, test := range []struct {
		name    string
		v, want any
	}{
		{"nil", nil, nil},
		{"nil pointer", (*valuer)(nil), nil},
		{"text", "x\n", "x\n"},
		{"masks itself", &secret{"4111"}, "{Card:***}"},
		{"group", valuer{}, map[string]any{"masked": "yes"}},
		{"in a list", []*secret{{"4111"}}, "[{Card:***}]"},
		{"panics", panics{}, "%!v(PANIC=String method: no string)"},
	} {
		got := line(test.v)
		if diff := cmp.Diff(test.want, got["payload"]); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
		if got["lease.id"] != lease.ID || got["direction"] != "result" || got["request_id"] != "r1" || got["service"] != "a" {
			t.Errorf("%s: the line is %v", test.name, got)
		}
	}
	long := line(strings.Repeat("é", 10000))
	if text, _ := long["payload"].(string); len(text) > maxPayload+len(Truncated) || long["payload.size"] != 20002.0 || !strings.HasSuffix(text, Truncated) {
		t.Errorf("a long payload has %d bytes, size %v", len(text), long["payload.size"])
	}
}

func TestDescribePanics(t *testing.T) {
	attrs := payloadAttrs(struct{ A int }{1}, func(any) slog.Value { panic("cannot") })
	if len(attrs) != 1 || !strings.Contains(attrs[0].Value.String(), "cannot be printed") {
		t.Errorf("attributes are %v", attrs)
	}
}

// Without a lease the request path allocates nothing for leases.
func TestNoLeaseCostsNothing(t *testing.T) {
	leases, _ := newLeases(t)
	s := &Scope{}
	ctx := WithScope(t.Context(), s)
	h := NewContextHandler(NewHandler(io.Discard, JSON, nil))
	if n := testing.AllocsPerRun(100, func() {
		if leases.Apply(s, "a", "m", Caller{Subject: "ann"}) || s.Lowered(slog.LevelDebug) || h.Enabled(ctx, slog.LevelDebug) {
			t.Fatal("a lease applies")
		}
		_ = PayloadLine(ctx, h, RequestPayload, s)
		s.Show()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkNoLease(b *testing.B) {
	leases := NewLeases(LeasesConfig{})
	s := &Scope{}
	b.ReportAllocs()
	for b.Loop() {
		leases.Apply(s, "a", "m", Caller{Subject: "ann"})
	}
}
