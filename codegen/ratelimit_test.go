package codegen

import (
	"strings"
	"testing"
	"testing/quick"
	"time"

	"github.com/aguada-dev/aguada/expr"
	"github.com/aguada-dev/aguada/limit"
	"github.com/aguada-dev/aguada/policy"
)

// TestLimitNames: whatever methods are called, the runtime takes the names of
// their limits, and no two methods have the same.
func TestLimitNames(t *testing.T) {
	owners := make(map[string]string)
	check := func(service, method string) bool {
		l := policy.RateLimit{Rate: 1, Burst: 1, Per: policy.Duration(23*time.Hour + 59*time.Minute + 59*time.Second), Partition: policy.PerCredential}
		name := rateLimits(service, method, []expr.RateLimit{{RateLimit: l}})[0].Name
		owner := service + "\x00" + method
		if other, ok := owners[name]; ok && other != owner {
			t.Errorf("%q is the limit of both %q and %q", name, other, owner)
		}
		owners[name] = owner
		if err := (limit.Rule{Name: name, Rate: 1, Per: time.Duration(l.Per)}).Check(); err != nil {
			t.Errorf("the limit of %q: %v", owner, err)
		}
		return !t.Failed()
	}
	long := strings.Repeat("long", 20)
	for _, names := range [][2]string{
		{"a/b", "c"}, {"a", "b/c"}, {"a-b", "c"}, {"a", "b-c"}, {"a", "b c"}, {"a", "b:c"}, {"a", "b\"c"}, {"é", ""}, {"è", ""}, {"", ""}, {"/", ""}, {"", "/"},
		{long, long}, {long, long + "r"}, {long + "r", long}, {long, "a"}, {"a", long},
	} {
		check(names[0], names[1])
	}
	if err := quick.Check(check, nil); err != nil {
		t.Error(err)
	}
}

// TestWindow: what a design writes in the shortest way is read the same.
func TestWindow(t *testing.T) {
	for _, want := range []string{"1s", "10s", "1m", "10m", "1m30s", "1h", "10h", "24h", "1h30m", "1h0m1s", "1h10m10s"} {
		d, err := time.ParseDuration(want)
		if err != nil {
			t.Fatal(err)
		}
		if got := window(policy.Duration(d)); got != want {
			t.Errorf("%s is written %s", want, got)
		}
	}
}
