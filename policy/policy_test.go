package policy_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/policy"
)

// What a contract says survives its way through JSON, durations as text.
func TestDuration(t *testing.T) {
	in := policy.Method{Deadline: policy.Duration(90 * time.Second)}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var raw struct{ Deadline string }
	var out policy.Method
	if err := json.Unmarshal(text, &raw); err != nil || raw.Deadline != "1m30s" {
		t.Errorf("%v: %s", err, text)
	}
	if err := json.Unmarshal(text, &out); err != nil || out.Deadline != in.Deadline {
		t.Errorf("%v: %v", err, out.Deadline)
	}
	for _, bad := range []string{`"-1s"`, `"soon"`, `""`, `"5"`, `5`} {
		var d policy.Duration
		if err := json.Unmarshal([]byte(bad), &d); err == nil {
			t.Errorf("%s was read as %v", bad, time.Duration(d))
		}
	}
}

func TestLate(t *testing.T) {
	early := policy.Requirement{Schemes: []policy.Use{{Scheme: "jwt", In: policy.InHeader}}}
	late := policy.Requirement{Schemes: []policy.Use{{Scheme: "jwt", In: policy.InHeader}, {Scheme: "code", In: policy.InBody}}}
	for _, c := range []struct {
		requirements []policy.Requirement
		want         bool
	}{{nil, false}, {[]policy.Requirement{early}, false}, {[]policy.Requirement{early, late}, true}} {
		m := policy.Method{Requirements: c.requirements}
		if m.Late() != c.want {
			t.Errorf("%v: late %t", c.requirements, m.Late())
		}
	}
}

// A limit survives its way through JSON, with all that its readers count on.
func TestRateLimit(t *testing.T) {
	in := policy.Method{RateLimits: []policy.RateLimit{
		{Name: "orders/create:principal-1m", Rate: 100, Per: policy.Duration(time.Minute), Burst: 200, Partition: policy.PerPrincipal},
	}}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	const want = `"rate_limits":[{"name":"orders/create:principal-1m","rate":100,"per":"1m0s","burst":200,"partition":"principal"}]`
	if !strings.Contains(string(text), want) {
		t.Errorf("%s\nlacks %s", text, want)
	}
	var out policy.Method
	if err := json.Unmarshal(text, &out); err != nil || !slices.Equal(in.RateLimits, out.RateLimits) {
		t.Errorf("%v: %v", err, out.RateLimits)
	}
	if text, err := json.Marshal(policy.Method{}); err != nil || strings.Contains(string(text), "rate") {
		t.Errorf("%v: a method without limits is %s", err, text)
	}
	for partition, want := range map[policy.Partition]bool{
		policy.PerPrincipal: true, policy.PerCredential: true, policy.PerClientIP: false, policy.Global: false,
	} {
		if partition.Authenticated() != want {
			t.Errorf("%s needs somebody authenticated: %t", partition, !want)
		}
	}
}
