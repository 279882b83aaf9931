package dsl

import (
	"math"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/limit"
	"github.com/aguada-dev/aguada/policy"
)

// TestMostRateLimits: a method has no more limits than the runtime decides
// together.
func TestMostRateLimits(t *testing.T) {
	if mostRateLimits != limit.MaxRules {
		t.Errorf("a design may declare %d limits, the runtime has room for %d", mostRateLimits, limit.MaxRules)
	}
}

// FuzzRateLimit: whatever a design may declare, the runtime can keep; and a
// duration that is refused is none, or is out of the bounds.
func FuzzRateLimit(f *testing.F) {
	for _, window := range []string{"1s", "60s", "1m30s", "24h", "23h59m59s", "999ms", "1.5s", "24h1s", "-1s", "0", "", "1e3s", "+1s", "86400000000000ns"} {
		f.Add(100, 200, window)
	}
	f.Add(1_000_000, 1, "1s")
	f.Add(1_000_001, 1, "1s")
	f.Add(1_000_000_000, 1_000_000_000, "24h")
	f.Add(999_999_937, 1_000_000_000, "16m40s") // a rate that divides nothing
	f.Add(1, 366, "24h")
	f.Add(1, 367, "24h")
	f.Add(math.MaxInt, math.MaxInt, "24h")
	f.Add(math.MinInt, 1, "1s")
	f.Fuzz(func(t *testing.T, rate, burst int, window string) {
		per, err := parseWindow(window)
		if d, wrong := time.ParseDuration(window); (err == nil) != (wrong == nil && d >= time.Second && d <= 24*time.Hour && d%time.Second == 0) || err == nil && per != policy.Duration(d) {
			t.Fatalf("the window %q is %v, %v", window, time.Duration(per), err)
		}
		if err != nil {
			return
		}
		rule := limit.Rule{Name: "fuzz", Rate: rate, Per: time.Duration(per), Burst: burst}
		if err := checkRate(rate, burst, per, ""); err == nil && rule.Check() != nil {
			t.Fatalf("a design may say %+v, the runtime: %v", rule, rule.Check())
		} else if err != nil && rule.Check() == nil && rate <= mostCalls && burst <= mostCalls && burst > 0 {
			t.Fatalf("the runtime could keep %+v, a design may not say it: %v", rule, err)
		}
	})
}
