package security

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/aguada-dev/aguada/examples/orders/internal/mutants"
)

// root is the directory of the repository.
const root = "../../.."

// Every mutation can be made, and its case exists.
func TestMutationsApply(t *testing.T) {
	w := newWorld(t)
	defer w.close()
	var names []string
	for _, s := range stages {
		for _, a := range s.attacks() {
			names = append(names, "TestAttacks/"+a.name)
		}
	}
	for _, s := range starts(w) {
		names = append(names, "TestStarts/"+s.name)
	}
	for _, m := range mutants.All {
		if !slices.Contains(names, testOf(&m)) {
			t.Errorf("%s: there is no case %s", m.Defence, m.Case)
		}
		if _, err := m.Overlay(root, t.TempDir()); err != nil {
			t.Errorf("%s: %v", m.Defence, err)
		}
	}
}

// testOf is the test that has the mutant's case.
func testOf(m *mutants.Mutant) string {
	if strings.HasPrefix(m.Case, "start_") {
		return "TestStarts/" + m.Case
	}
	return "TestAttacks/" + m.Case
}

// TestMutations runs the case of every mutation against the service without the
// defence: each has to fail. AGUADA_MUTATE=1 turns it on; any other value is a
// regular expression of the defences or cases to take.
func TestMutations(t *testing.T) {
	which := os.Getenv("AGUADA_MUTATE")
	if which == "" {
		t.Skip("SKIPPED: make mutate runs the mutations")
	}
	if which == "1" {
		which = "."
	}
	wanted := regexp.MustCompile(which)
	results := make([]string, len(mutants.All))
	turns := make(chan struct{}, 2)
	var wg sync.WaitGroup
	for i, m := range mutants.All {
		if !wanted.MatchString(m.Defence) && !wanted.MatchString(m.Case) {
			continue
		}
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			verdict, output := runCase(t, &m)
			results[i] = fmt.Sprintf("%s\t%s\t%s\t%s\n", m.Defence, m.Edits[0].File, m.Case, verdict)
			t.Logf("%s: %s %s", m.Defence, m.Case, verdict)
			if verdict != "killed" {
				t.Errorf("%s: %s %s\n%s", m.Defence, m.Case, verdict, output)
			}
		})
	}
	wg.Wait()
	var table strings.Builder
	out := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprint(out, "DEFENCE\tFILE\tCASE\tRESULT\n")
	for _, r := range results {
		fmt.Fprint(out, r)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + table.String())
}

// runCase runs the mutant's case, in this very test binary, against the mutant.
func runCase(t *testing.T, m *mutants.Mutant) (verdict, output string) {
	overlay, err := m.Overlay(root, t.TempDir())
	if err != nil {
		return "does not apply", err.Error()
	}
	self, err := os.Executable()
	if err != nil {
		return "not run", err.Error()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	top, name, _ := strings.Cut(testOf(m), "/")
	cmd := exec.CommandContext(ctx, self, "-test.run=^"+top+"$/^"+regexp.QuoteMeta(name)+"$", "-test.v", "-test.timeout=4m")
	cmd.Env = append(os.Environ(), overlayVar+"="+overlay, "AGUADA_MUTATE=")
	out, err := cmd.CombinedOutput()
	output = string(out)
	switch {
	case strings.Contains(output, "build ordersd:"):
		return "does not compile", output
	case strings.Contains(output, "start ordersd:"):
		return "does not start", output
	case strings.Contains(output, "--- FAIL: "+testOf(m)):
		return "killed", output
	case err != nil:
		return "fails elsewhere", output
	case strings.Contains(output, "--- PASS: "+testOf(m)):
		return "SURVIVED", output
	}
	return "not run", output
}
