package prove

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/prove/finding"
)

func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "baseline.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestBadBaselines(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"waivers: [{reason: r, date: 2026-11-23}]":                               "waiver 1: code is missing",
		"waivers: [{code: a, date: 2026-11-23}]":                                 "a: reason is missing",
		"waivers: [{code: a, reason: r}]":                                        "a: date is missing",
		"waivers: [{code: a, reason: r, date: yesterday}]":                       `"yesterday" is no day`,
		"waivers: [{code: a, reason: r, date: 2026-11-23, until: 2026-02-30}]":   `"2026-02-30" is no day`,
		"waivers: [{code: a, reason: r, date: 2026-11-23, methd: x}]":            "field methd not found",
		"waivers:\n  code: a":                                                    "cannot unmarshal",
		"waivers: [{code: a, reason: r, date: 2026-11-23}, {code: b, reason: }]": "waiver 2: b: reason is missing",
		"\t": "baseline.yaml",
	} {
		if b, err := ReadBaseline(write(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v; want %q", text, b, err, want)
		}
	}
	if _, err := ReadBaseline(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if b, err := ReadBaseline(write(t, "")); err != nil || len(b.Waivers) != 0 {
		t.Errorf("an empty file: %+v, %v", b, err)
	}
}

func TestBaseline(t *testing.T) {
	t.Parallel()
	b, err := ReadBaseline(write(t, `
waivers:
  - {code: failing, method: s.m, reason: known, date: 2026-11-01}
  - {code: skipped, reason: "no such thing here", date: 2026-11-01, until: 2026-11-23}
  - {code: over, reason: for a while, date: 2026-10-01, until: 2026-11-22}
  - {code: passing, reason: was mended, date: 2026-11-01}
  - {code: failing, method: s.other, reason: of a method that is gone, date: 2026-11-01}
`))
	if err != nil {
		t.Fatal(err)
	}
	found := func(code, method string, v finding.Verdict) finding.Finding {
		return finding.Finding{Code: code, Method: method, Outcome: finding.Outcome{Verdict: v}}
	}
	r := &finding.Report{Began: time.Date(2026, 11, 23, 23, 59, 0, 0, time.UTC), Findings: []finding.Finding{
		found("failing", "s.m", finding.Fail), found("failing", "s.n", finding.Fail), found("skipped", "", finding.Skip), found("over", "", finding.Fail), found("passing", "", finding.Pass),
	}}
	b.apply(r, false)
	var open []string
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Open() {
			open = append(open, f.Code+" "+f.Method)
		}
	}
	if want := []string{"failing s.n", "over "}; !slices.Equal(open, want) {
		t.Errorf("open are %q, want %q", open, want)
	}
	if want := []string{"passing", "failing s.other"}; !slices.Equal(r.Stale, want) {
		t.Errorf("stale are %q, want %q", r.Stale, want)
	}
	if r.Findings[0].Waived != "known (2026-11-01)" || r.Passed() {
		t.Errorf("%+v", r.Findings[0])
	}
	if want := []string{"over (until 2026-11-22)"}; !slices.Equal(r.Ended, want) {
		t.Errorf("ended have %q, want %q", r.Ended, want)
	}
	part := &finding.Report{Began: r.Began, Findings: []finding.Finding{found("passing", "", finding.Pass)}, Omitted: []finding.Omission{{Code: "failing"}}}
	b.apply(part, true)
	if want := []string{"passing"}; !slices.Equal(part.Stale, want) {
		t.Errorf("of a part stale are %q, want %q", part.Stale, want)
	}
	part.Stale = nil
	b.apply(part, false)
	if want := []string{"skipped", "over", "passing"}; !slices.Equal(part.Stale, want) {
		t.Errorf("beside what was omitted stale are %q, want %q", part.Stale, want)
	}
	var none *Baseline
	none.apply(r, false) // accepts nothing
}
