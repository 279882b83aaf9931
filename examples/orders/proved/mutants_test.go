package proved

import (
	"context"
	"maps"
	"os"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/examples/orders/internal/mutants"
	"github.com/aguada-dev/aguada/prove"
	"github.com/aguada-dev/aguada/prove/finding"
)

// least is how many mutants have to be found by their probes.
const least = 40

// TestLists: every mutant is in one of the lists, and what they name exists.
func TestLists(t *testing.T) {
	codes := map[string]bool{}
	for _, p := range prove.Probes() {
		codes[p.Code] = true
	}
	there := map[string]bool{}
	for _, m := range mutants.All {
		there[m.Defence] = true
		_, is := found[m.Defence]
		_, not := missed[m.Defence]
		if is == not {
			t.Errorf("%q has to be in one of the two lists", m.Defence)
		}
	}
	for _, d := range slices.Concat(slices.Collect(maps.Keys(found)), slices.Collect(maps.Keys(missed))) {
		if !there[d] {
			t.Errorf("there is no mutant %q", d)
		}
	}
	for d, all := range found {
		for _, c := range all {
			if !codes[c] {
				t.Errorf("%q is found by %s: there is no such probe", d, c)
			}
		}
		if len(all) == 0 {
			t.Errorf("%q is found by nobody", d)
		}
	}
	if len(found) < least {
		t.Errorf("%d mutants are found, not %d", len(found), least)
	}
}

// chosenMutants skips the test unless AGUADA_MUTATE turns it on, and returns which
// mutants are asked for.
func chosenMutants(t *testing.T) func(*mutants.Mutant) bool {
	t.Helper()
	which := os.Getenv("AGUADA_MUTATE")
	switch which {
	case "":
		t.Skip("SKIPPED: AGUADA_MUTATE=1 proves the mutants")
	case "1":
		which = "."
	}
	wanted := regexp.MustCompile(which)
	return func(m *mutants.Mutant) bool { return wanted.MatchString(m.Defence) || wanted.MatchString(m.Case) }
}

// TestMutants expects the probes of the list to find the mutants, and with
// AGUADA_LONG=1 no probe at all to find the others. AGUADA_MUTATE=1 turns it on;
// any other value is a regular expression of the defences or cases to take.
func TestMutants(t *testing.T) {
	chosen := chosenMutants(t)
	turns := make(chan struct{}, 2)
	var all sync.WaitGroup
	for _, m := range mutants.All {
		if !chosen(&m) || needsOutage(m.Defence) { // those are of TestOutageMutants
			continue
		}
		all.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			if t.Context().Err() == nil {
				mutant(t, &m)
			}
		})
	}
	all.Wait()
}

// mutant proves one.
func mutant(t *testing.T, m *mutants.Mutant) {
	why, known := missed[m.Defence]
	if known && os.Getenv("AGUADA_LONG") == "" {
		t.Logf("%s: SKIPPED, no probe is known to find it: %s", m.Defence, why)
		return
	}
	began, dir := time.Now(), t.TempDir()
	overlay, err := m.Overlay(root, dir)
	if err != nil {
		t.Errorf("%s: %v", m.Defence, err)
		return
	}
	path, err := build(t.Context(), dir, overlay)
	if err != nil {
		t.Errorf("%s: %v", m.Defence, err)
		return
	}
	defer func() { _ = os.Remove(path) }()
	f, err := find(t.Context(), path, m.Defence)
	took := time.Since(began).Round(100 * time.Millisecond)
	switch {
	case err != nil:
		t.Errorf("%s: %v", m.Defence, err)
	case f == nil && known:
		t.Logf("%s: not found, as the list says: %s (%s)", m.Defence, why, took)
	case f == nil:
		t.Errorf("%s: NOT FOUND (%s)", m.Defence, took)
	case !slices.Contains(found[m.Defence], f.Code):
		t.Errorf("%s: UNLISTED (%s) %s", m.Defence, took, show(f))
	default:
		t.Logf("%s: found (%s) %s", m.Defence, took, show(f))
	}
}

// find asks the probes that are known to find it, then everything; it ends with
// the first finding, and returns nil where there is none.
func find(ctx context.Context, path, defence string) (*finding.Finding, error) {
	turns := [][]string{{"security"}, {"input", "resilience", "observability", "lifecycle"}}
	if known := found[defence]; len(known) > 0 {
		turns = slices.Insert(turns, 0, known)
	}
	for _, only := range turns {
		f, err := first(ctx, path, only)
		if f != nil || err != nil {
			return f, err
		}
	}
	return nil, nil //nolint:nilnil // there is none
}

// first returns the first finding; that a probe could not be tried is none.
func first(ctx context.Context, path string, only []string) (*finding.Finding, error) {
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	var f *finding.Finding
	_, err := attack(ctx, path, only, func(last finding.Finding) {
		if f == nil && (last.Verdict == finding.Fail || last.Verdict == finding.Broken) {
			f = &last
			enough()
		}
	})
	return f, err
}
