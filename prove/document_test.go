package prove_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/prove"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/probe"
)

var update = flag.Bool("update", false, "write the table into the documentation")

// TestDocument compares the documentation with the probes.
func TestDocument(t *testing.T) {
	const path = "../docs/proof.md"
	was, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(was), "<!-- probes -->\n")
	_, after, ok2 := strings.Cut(rest, "<!-- /probes -->")
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the probes", path)
	}
	is := before + "<!-- probes -->\n\n" + table() + "\n<!-- /probes -->" + after
	if *update {
		if err := os.WriteFile(path, []byte(is), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if is != string(was) {
		t.Errorf("%s is stale: run go test ./prove -run Document -update", path)
	}
}

// table lists the probes, family by family.
func table() string {
	all := prove.Probes()
	slices.SortStableFunc(all, func(a, b probe.Probe) int {
		return slices.Index(finding.Families, a.Family) - slices.Index(finding.Families, b.Family)
	})
	var b strings.Builder
	b.WriteString("| probe | family | asked of | question | references |\n|---|---|---|---|---|\n")
	for _, p := range all {
		of := "the service"
		if p.Each != nil {
			of = "methods"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", p.Code, p.Family, of, cell(p.Question), cell(strings.Join(p.References, ", ")))
	}
	return b.String()
}

func cell(s string) string { return strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ").Replace(s) }

// TestProbes: each probe says all that a report shows of it, under a code of its
// own.
func TestProbes(t *testing.T) {
	codes := map[string]bool{}
	for _, p := range prove.Probes() {
		switch {
		case p.Code == "" || codes[p.Code]:
			t.Errorf("the code %q is empty or another probe's too", p.Code)
		case !slices.Contains(finding.Families, p.Family):
			t.Errorf("%s: there is no family %q", p.Code, p.Family)
		case !strings.HasSuffix(p.Question, "?") || strings.Contains(p.Question, "\n"):
			t.Errorf("%s: %q is no question of one line", p.Code, p.Question)
		case p.Why == "" || p.Fix == "" || len(p.References) == 0:
			t.Errorf("%s lacks its reason, its references or what to change", p.Code)
		case p.Run == nil:
			t.Errorf("%s does nothing", p.Code)
		}
		codes[p.Code] = true
	}
}
