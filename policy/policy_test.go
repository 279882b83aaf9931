package policy_test

import (
	"encoding/json"
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
