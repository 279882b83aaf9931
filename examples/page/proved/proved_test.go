package proved

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	service = ".."
	root    = "../../.."
)

var update = flag.Bool("update", false, "write the table into the documentation")

// report is what "aguada prove --json" prints, as far as it is looked at here.
type report struct {
	Findings []proof
}

type proof struct {
	Code, Verdict, Detail string
	Evidence              []struct{ Text string }
}

// shows reports whether the finding is the sign.
func (p *proof) shows(s sign) bool {
	if p.Code != s.code || p.Verdict != "fail" {
		return false
	}
	text := p.Detail
	for _, e := range p.Evidence {
		text += "\n" + e.Text
	}
	return strings.Contains(text, s.says)
}

// TestDefects expects the prover to find every defect of the list.
func TestDefects(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: the page's service is not proved with -short")
	}
	r := prove(t)
	for _, id := range slices.Sorted(maps.Keys(found)) {
		for _, s := range found[id] {
			if !slices.ContainsFunc(r.Findings, func(p proof) bool { return p.shows(s) }) {
				t.Errorf("%s: %s does not say %q; it says:\n%s", id, s.code, s.says, said(r, s.code))
			}
		}
	}
	for _, p := range r.Findings {
		if p.Verdict == "skip" || p.Verdict == "broken" {
			t.Errorf("%s: %s: %s", p.Code, p.Verdict, p.Detail)
		}
	}
}

func said(r *report, code string) string {
	var b strings.Builder
	for _, p := range r.Findings {
		if p.Code == code {
			fmt.Fprintf(&b, "  %s: %s\n", p.Verdict, p.Detail)
		}
	}
	return b.String()
}

// prove builds the prover and has it attack the service.
func prove(t *testing.T) *report {
	t.Helper()
	prover := filepath.Join(t.TempDir(), "aguada")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", prover, "./cmd/aguada")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build aguada: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), prover, "prove", "--json", service)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("aguada prove: %v, not exit code 1\n%s", err, &problems)
	}
	r := &report{}
	if err := json.Unmarshal(out, r); err != nil {
		t.Fatalf("%v\n%s", err, &problems)
	}
	return r
}

var row = regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\| ([^|]+) \\|")

// defects returns what DEFECTS.md has in its tables of ids, in their order, and
// what each is.
func defects(t *testing.T) (ids []string, what map[string]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(service, "DEFECTS.md"))
	if err != nil {
		t.Fatal(err)
	}
	what = map[string]string{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		ids = append(ids, m[1])
		what[m[1]] = strings.TrimSpace(m[2])
	}
	return ids, what
}

// TestLists: every defect of DEFECTS.md is in one of the lists.
func TestLists(t *testing.T) {
	ids, _ := defects(t)
	for _, id := range ids {
		if (found[id] == nil) == (missed[id] == "") {
			t.Errorf("%s has to be in one of the two lists", id)
		}
	}
	for _, id := range slices.Concat(slices.Collect(maps.Keys(found)), slices.Collect(maps.Keys(missed))) {
		if !slices.Contains(ids, id) {
			t.Errorf("DEFECTS.md has no %s", id)
		}
	}
}

// TestDocument compares docs/proof.md with the lists.
func TestDocument(t *testing.T) {
	ids, what := defects(t)
	var table strings.Builder
	table.WriteString("| defect | what | found by |\n|---|---|---|\n")
	for _, id := range ids {
		var by []string
		for _, s := range found[id] {
			by = append(by, "`"+s.code+"`")
		}
		if missed[id] != "" {
			by = []string{"not found: " + missed[id]}
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", id, what[id], strings.Join(by, ", "))
	}
	path := filepath.Join(root, "docs", "proof.md")
	was, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(was), "<!-- defects -->\n")
	_, after, ok2 := strings.Cut(rest, "<!-- /defects -->")
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the defects", path)
	}
	is := before + "<!-- defects -->\n\n" + table.String() + "\n<!-- /defects -->" + after
	if *update {
		if err := os.WriteFile(path, []byte(is), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if is != string(was) {
		t.Errorf("%s is stale: run go -C examples/page test ./proved -run Document -update", path)
	}
}
