package limit_test

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/aguada-dev/aguada/limit"
)

func TestRulesRefused(t *testing.T) {
	m := memory(t, 0)
	good := limit.Rule{Name: "good", Rate: 1, Per: time.Second}
	for _, r := range []limit.Rule{
		{}, {Rate: 1, Per: time.Second}, {Name: "a b", Rate: 1, Per: time.Second}, {Name: `a"`, Rate: 1, Per: time.Second}, {Name: "ü", Rate: 1, Per: time.Second},
		{Name: strings.Repeat("a", 65), Rate: 1, Per: time.Second}, {Name: "a\r\nb", Rate: 1, Per: time.Second}, {Name: "{a}", Rate: 1, Per: time.Second},
		{Name: "a", Per: time.Second}, {Name: "a", Rate: -1, Per: time.Second}, {Name: "a", Rate: 1}, {Name: "a", Rate: 1, Per: -time.Second},
		{Name: "a", Rate: 1, Per: time.Microsecond}, {Name: "a", Rate: 1, Per: time.Millisecond + 1}, {Name: "a", Rate: 1, Per: limit.MaxFill + time.Second},
		{Name: "a", Rate: 1001, Per: time.Millisecond}, {Name: "a", Rate: 1, Per: time.Second, Burst: -1}, {Name: "a", Rate: 1, Per: limit.MaxFill, Burst: 2},
		{Name: "a", Rate: 1, Per: time.Second, Burst: math.MaxInt}, {Name: "a", Rate: math.MaxInt, Per: time.Hour},
	} {
		if l, err := limit.New(m, good, r); err == nil || l != nil {
			t.Errorf("%+v is a rule", r)
		} else if strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("%q", err)
		}
	}
	for _, rules := range [][]limit.Rule{nil, {good, good}, {good, {Name: "1", Rate: 1, Per: time.Second}, {Name: "2", Rate: 1, Per: time.Second}, {Name: "3", Rate: 1, Per: time.Second}, {Name: "4", Rate: 1, Per: time.Second}}} {
		if l, err := limit.New(m, rules...); err == nil || l != nil {
			t.Errorf("%d rules", len(rules))
		}
	}
	if l, err := limit.New(nil, good); err == nil || l != nil {
		t.Error("no driver")
	}
}

func TestHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, memory(t, 0), limit.Rule{Name: "orders.create", Rate: 2, Per: time.Minute}, limit.Rule{Name: "all", Rate: 1000, Per: 1500 * time.Millisecond, Burst: 5000})
		if got, want := l.Policy(), `"orders.create";q=2;w=60, "all";q=2000;w=3`; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		for _, want := range []string{
			`"orders.create";r=1;t=30, "all";r=4999;t=1`,
			`"orders.create";r=0;t=30, "all";r=4998;t=1`,
			`"orders.create";r=0;t=30, "all";r=4998;t=1`,
		} {
			d := l.Take(t.Context(), limit.Partitions{})
			if got := string(l.AppendRateLimit([]byte("x: "), &d)); got != "x: "+want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if !d.Allowed && (d.RetrySeconds() != 30 || d.Refused() != 0) {
				t.Errorf("refused for %d s by %d", d.RetrySeconds(), d.Refused())
			}
			if d.Allowed && (d.RetryAfter() != 0 || d.Refused() != -1) {
				t.Error("to be tried again, though allowed")
			}
		}
		time.Sleep(29*time.Second + 1)
		if d := l.Take(t.Context(), limit.Partitions{}); d.RetrySeconds() != 1 {
			t.Errorf("a part of a second is told as %d s", d.RetrySeconds())
		}
		d := limit.Decision{Unavailable: true, Degraded: true}
		if d.RetrySeconds() != 1 || len(l.AppendRateLimit(nil, &d)) != 0 || d.Refused() != -1 {
			t.Error("a decision that knows nothing says something else than to come back")
		}
	})
}

// A nil *Limiter is a method without limits.
func TestNone(t *testing.T) {
	var l *limit.Limiter
	d := l.Take(t.Context(), limit.Partitions{})
	if !d.Allowed || l.Policy() != "" || l.Rules() != nil || l.AppendRateLimit(nil, &d) != nil {
		t.Error("a nil Limiter limits")
	}
}

var item = regexp.MustCompile(`^"[!#-\[\]-~]{1,64}";[qr]=([0-9]{1,15});[wt]=([0-9]{1,15})$`)

// Whatever the rule, headers are lists of RFC 9651 with numbers in its range, and
// the policy has the rate of the rule exactly.
func TestHeadersAreWellFormed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := limit.Rule{
			Name: rapid.StringMatching(`[A-Za-z0-9._:/-]{1,64}`).Draw(t, "name"), Rate: rapid.IntRange(1, math.MaxInt32).Draw(t, "rate"),
			Per: time.Duration(rapid.Int64Range(1, int64(limit.MaxFill/time.Millisecond)).Draw(t, "ms")) * time.Millisecond, Burst: rapid.IntRange(0, 1<<40).Draw(t, "burst"),
		}
		if r.Check() != nil {
			t.Skip("no rule")
		}
		m, err := limit.NewMemory(limit.MemoryConfig{Keys: 1})
		if err != nil {
			t.Fatal(err)
		}
		l, err := limit.New(m, r)
		if err != nil {
			t.Fatal(err)
		}
		d := l.Take(t.Context(), limit.Partitions{})
		if value := string(l.AppendRateLimit(nil, &d)); !item.MatchString(value) {
			t.Fatalf("RateLimit: %s", value)
		}
		parts := item.FindStringSubmatch(l.Policy())
		if parts == nil {
			t.Fatalf("RateLimit-Policy: %s", l.Policy())
		}
		q, _ := strconv.ParseInt(parts[1], 10, 64)
		w, _ := strconv.ParseInt(parts[2], 10, 64)
		if w < 1 || q/int64(r.Rate)*int64(r.Per) != w*int64(time.Second) || q%int64(r.Rate) != 0 {
			t.Fatalf("%+v: %s", r, l.Policy())
		}
	})
}
