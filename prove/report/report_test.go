package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/report"
)

// hostile is what a service under attack may answer.
const hostile = "<script>alert(1)</script>\x00\x1b[31m]]>\"'&\xff <img src=http://evil.example/x onerror=alert(1)> </pre>"

func sample() *finding.Report {
	probe := func(code string, f finding.Family) finding.Probe {
		return finding.Probe{Code: code, Family: f, Question: "Is " + code + " well?", Why: "why " + code, Fix: "mend " + code, References: []string{"RFC 9110 §1"}}
	}
	found := func(code, method string, v finding.Verdict, detail string) finding.Finding {
		return finding.Finding{Code: code, Method: method, Outcome: finding.Outcome{Verdict: v, Detail: detail}, Took: 42 * time.Microsecond}
	}
	r := &finding.Report{
		Service: "orders", Version: "1.0", Target: "./ordersd --flag", Prover: "aguada 1", Seed: 7,
		Began: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), Took: 3 * time.Second,
		Probes: []finding.Probe{probe("auth.a", finding.Security), probe("body.b", finding.Input), probe("stop.c", finding.Lifecycle)},
		Findings: []finding.Finding{
			found("auth.a", "orders.list", finding.Fail, "the answer is 200 "+hostile),
			found("auth.a", "orders.get", finding.Fail, "another thing"),
			found("auth.a", "orders.put", finding.Pass, "all is well here"),
			found("body.b", "orders.put", finding.Skip, "nothing to try"),
			found("body.b", "orders.get", finding.Fail, "accepted risk"),
			found("stop.c", "", finding.Broken, "it died"),
		},
		Omitted: []finding.Omission{
			{Code: "log.x", Question: "Is x well?", Reason: "needs the log"}, {Code: "log.y", Question: "Is y well?", Reason: "needs the log"},
			{Code: "body.z", Question: "Is z well?", Method: "orders.put", Reason: "changes things"}, {Code: "body.z", Question: "Is z well?", Method: "orders.get", Reason: "changes things"},
		},
		Stale: []string{"tls.versions"}, Ended: []string{"tls.hsts (until 2026-01-01)"},
	}
	r.Findings[0].Evidence = []finding.Evidence{{Label: "answer " + hostile, Text: hostile}}
	r.Findings[4].Waived = "somebody else does it (2026-11-23)"
	r.Sort()
	return r
}

func TestText(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := report.Text(&b, sample(), report.TextConfig{}); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, want := range []string{
		"FAIL  auth.a  orders.list\n", "  fix: mend auth.a\n", "SKIP  body.b  orders.put\n", "BROKEN  stop.c  orders\n",
		"not asked: needs the log: log.x, log.y\n", "not asked: changes things: body.z of 2 methods\n",
		"the baseline accepted tls.hsts (until 2026-01-01): mend it, or judge it again\n",
		"the baseline accepts tls.versions, which was not found: remove it\n",
		"NOT PROVED orders: 1 passed, 2 failed, 1 broken, 1 skipped, 1 waived; seed 7, 3s\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "all is well here") || strings.Contains(text, "accepted risk") {
		t.Errorf("what passed or was waived is printed:\n%s", text)
	}
	for _, control := range []string{"\x00", "\x1b", "\xff"} {
		if strings.Contains(text, control) {
			t.Errorf("evidence reaches the terminal as it is: %q", control)
		}
	}
	b.Reset()
	_ = report.Text(&b, sample(), report.TextConfig{All: true})
	if !strings.Contains(b.String(), "PASS  auth.a  orders.put\n  all is well here") {
		t.Errorf("what passed is missing:\n%s", b.String())
	}
}

// Many omitted probes of one reason are one short line, unless all is wanted.
func TestOmittedIsShort(t *testing.T) {
	t.Parallel()
	r := &finding.Report{Service: "s"}
	for n := range 30 {
		r.Omitted = append(r.Omitted, finding.Omission{Code: fmt.Sprintf("token.%02d", n), Reason: "no issuer"})
	}
	for all, want := range map[bool]string{false: "no issuer: token.00, token.01, token.02, token.03 and 26 more\n", true: "token.28, token.29\n"} {
		var b bytes.Buffer
		_ = report.Text(&b, r, report.TextConfig{All: all})
		if !strings.Contains(b.String(), want) || strings.Count(b.String(), "not asked") != 1 {
			t.Errorf("all=%t: no %q in:\n%s", all, want, b.String())
		}
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	pass := finding.Finding{Outcome: finding.Outcome{Verdict: finding.Pass}}
	for want, r := range map[string]*finding.Report{
		"PROVED s:":      {Service: "s", Findings: []finding.Finding{pass}},
		"INTERRUPTED s:": {Service: "s", Findings: []finding.Finding{pass}, Interrupted: true},
		"NOT PROVED s:":  {Service: "s"}, // nothing was tried
	} {
		var b bytes.Buffer
		_ = report.Text(&b, r, report.TextConfig{})
		if last := b.String()[strings.LastIndex(strings.TrimSpace(b.String()), "\n")+1:]; !strings.HasPrefix(last, want) {
			t.Errorf("want %q, got %q", want, last)
		}
	}
}

// junit is what the schema of Jenkins' readers allows, which is the strictest in
// use: attributes by element, * marking those that are required.
var junit = map[string][]string{
	"testsuites": {"name", "time", "tests", "failures", "errors"},
	"testsuite":  {"*name", "*tests", "*failures", "*errors", "time", "skipped", "timestamp", "hostname", "id", "package"},
	"testcase":   {"*name", "time", "classname"},
	"failure":    {"message", "type"}, "error": {"message", "type"}, "skipped": {"message", "type"},
}

var junitTime = regexp.MustCompile(`^\d+\.\d{3}$`)

func TestJUnit(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := report.JUnit(&b, sample()); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	dec := xml.NewDecoder(&b)
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		count[e.Name.Local]++
		checkElement(t, e)
	}
	want := map[string]int{"testsuites": 1, "testsuite": 3, "testcase": 6, "failure": 2, "error": 2, "skipped": 1}
	for name, n := range want {
		if count[name] != n {
			t.Errorf("%d elements %s, want %d", count[name], name, n)
		}
	}
}

func checkElement(t *testing.T, e xml.StartElement) {
	t.Helper()
	allowed, known := junit[e.Name.Local]
	if !known {
		t.Errorf("element %s", e.Name.Local)
	}
	seen := map[string]string{}
	for _, a := range e.Attr {
		seen[a.Name.Local] = a.Value
		if !slices.Contains(allowed, a.Name.Local) && !slices.Contains(allowed, "*"+a.Name.Local) {
			t.Errorf("%s has the attribute %s", e.Name.Local, a.Name.Local)
		}
	}
	for _, name := range allowed {
		if required, ok := strings.CutPrefix(name, "*"); ok && seen[required] == "" {
			t.Errorf("%s lacks %s", e.Name.Local, required)
		}
	}
	if text, ok := seen["time"]; ok && !junitTime.MatchString(text) {
		t.Errorf("%s has the time %q", e.Name.Local, text)
	}
	if e.Name.Local == "testsuite" && seen["name"] == "security" && (seen["tests"] != "3" || seen["failures"] != "2") {
		t.Errorf("the suite counts %v", seen)
	}
}

func TestSARIF(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	r := sample()
	if err := report.SARIF(&b, r); err != nil {
		t.Fatal(err)
	}
	var log struct {
		Schema  string `json:"$schema"`
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name  string
					Rules []struct {
						ID               string
						ShortDescription struct{ Text string }
						Help             struct{ Text string }
					}
				}
			}
			Results []struct {
				RuleID    string
				RuleIndex int
				Level     string
				Message   struct{ Text string }
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine int }
					}
					LogicalLocations []struct{ FullyQualifiedName string }
				}
				PartialFingerprints map[string]string
				Suppressions        []struct{ Kind, Justification string }
			}
		}
	}
	if err := json.Unmarshal(b.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || !strings.Contains(log.Schema, "sarif-2.1.0") || len(log.Runs) != 1 || log.Runs[0].Tool.Driver.Name == "" {
		t.Fatalf("%+v", log)
	}
	run := log.Runs[0]
	if len(run.Results) != 5 || len(run.Tool.Driver.Rules) != 3 {
		t.Fatalf("%d results of %d rules", len(run.Results), len(run.Tool.Driver.Rules))
	}
	seen := map[string]bool{}
	for _, x := range run.Results {
		rule := run.Tool.Driver.Rules[x.RuleIndex]
		if rule.ID != x.RuleID || rule.Help.Text != "mend "+x.RuleID || rule.ShortDescription.Text == "" {
			t.Errorf("%s refers to the rule %+v", x.RuleID, rule)
		}
		if !slices.Contains([]string{"error", "warning"}, x.Level) || x.Message.Text == "" || len(x.PartialFingerprints) == 0 {
			t.Errorf("%+v", x)
		}
		at := x.Locations[0]
		if at.PhysicalLocation.ArtifactLocation.URI == "" || at.PhysicalLocation.Region.StartLine < 1 || at.LogicalLocations[0].FullyQualifiedName == "" {
			t.Errorf("%s is nowhere: %+v", x.RuleID, at)
		}
		if waived := strings.Contains(x.Message.Text, "accepted risk"); waived != (len(x.Suppressions) == 1) {
			t.Errorf("%s: suppressions %+v", x.Message.Text, x.Suppressions)
		}
		for _, print := range x.PartialFingerprints {
			if seen[print] {
				t.Errorf("two results have the fingerprint %q", print)
			}
			seen[print] = true
		}
	}
}
