package proved

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/prove"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/setup"
)

const (
	root    = "../../.." // of the repository
	service = ".."
	seed    = 1
)

// omitted are the questions that cannot be asked of the reference service.
var omitted = map[string]string{
	"token.alg-asymmetric": "the service verifies tokens by published keys, not by a secret",
	"ws.idle":              "no WebSocket of the design ends when it is idle",

	"log.debug": "debugging is a lease on the private port, no path of the public one",

	// TestOutages asks them.
	"dependency.alive":  nothingAway,
	"dependency.answer": nothingAway,
	"dependency.back":   nothingAway,
	"dependency.ready":  nothingAway,
	"dependency.told":   nothingAway,
	"key.outage":        nothingAway,
}

// nothingAway is why no outage is tried: SQLite is a file.
const nothingAway = "the service is given nothing over TCP that could be taken away"

// build builds the service without symbols, which nobody looks at here.
func build(ctx context.Context, dir, overlay string) (string, error) {
	path := filepath.Join(dir, "ordersd")
	args := []string{"build", "-buildvcs=false", "-ldflags=-s -w", "-o", path}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	out, err := exec.CommandContext(ctx, "go", append(args, "../cmd/ordersd")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build ordersd: %w: %s", err, out)
	}
	return path, nil
}

// attack asks what only names, of one process with surroundings of its own.
func attack(ctx context.Context, path string, only []string, progress func(finding.Finding)) (*finding.Report, error) {
	s, err := setup.New(setup.Config{Dir: service, Path: path, Seed: seed})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return prove.Run(ctx, prove.Config{
		Lab: s.Lab, Only: only,
		Progress: func(_, _ int, last finding.Finding) { progress(last) },
	})
}

// TestProof asks everything of the reference service, and nothing is found.
func TestProof(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: the reference service is not proved with -short")
	}
	if raced {
		t.Skip("SKIPPED: the race detector slows the prover, whose probes measure time; run again without -race")
	}
	prover(t)
}

// prover proves the reference service as a whole.
func prover(t *testing.T) *finding.Report {
	t.Helper()
	path, err := build(t.Context(), t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	r, err := attack(t.Context(), path, nil, func(finding.Finding) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		if f.Open() {
			t.Errorf("%s\n%s", show(&f), evidence(&f))
		}
	}
	if !r.Passed() {
		t.Error("the report does not say that the service is proved")
	}
	for _, o := range r.Omitted {
		if _, known := omitted[o.Code]; !known {
			t.Errorf("%s is not asked: %s", o.Code, o.Reason)
		}
	}
	if len(r.Omitted) < len(omitted) {
		t.Errorf("more is asked than the list of omitted questions says: %v", r.Omitted)
	}
	if len(r.Probes)+len(r.Omitted) != len(prove.Probes()) {
		t.Errorf("%d probes are asked and %d omitted, of %d", len(r.Probes), len(r.Omitted), len(prove.Probes()))
	}
	t.Logf("%d findings by %d probes, seed %d, %s", len(r.Findings), len(r.Probes), r.Seed, r.Took.Round(100*time.Millisecond))
	return r
}

func show(f *finding.Finding) string {
	return fmt.Sprintf("%s %s: %s: %s", f.Code, cmp.Or(f.Method, "(service)"), f.Verdict, f.Detail)
}

func evidence(f *finding.Finding) string {
	var b strings.Builder
	for _, e := range f.Evidence {
		fmt.Fprintf(&b, "  %s:\n    %s\n", e.Label, strings.ReplaceAll(strings.TrimSpace(e.Text), "\n", "\n    "))
	}
	return b.String()
}

// TestRepeated: the same seed gives the same verdicts. AGUADA_LONG=1 turns it
// on, as it takes two whole proofs.
func TestRepeated(t *testing.T) {
	if os.Getenv("AGUADA_LONG") == "" {
		t.Skip("SKIPPED: AGUADA_LONG=1 proves the service twice")
	}
	verdicts := func() []string {
		var all []string
		for _, f := range prover(t).Findings {
			all = append(all, f.Code+" "+f.Method+" "+string(f.Verdict))
		}
		return all
	}
	if a, b := verdicts(), verdicts(); !slices.Equal(a, b) {
		t.Errorf("the verdicts of two proofs differ:\n%s\n\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
}
