package security

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// root is the directory of the repository.
const root = "../../.."

// mutation takes a defence away.
type mutation struct {
	defence string
	kills   string // the case that has to fail without it
	edits   []edit // more than one where another line of defence stands behind it
}

// edit replaces a text, which is there exactly once, in a file.
type edit struct{ file, old, text string }

// apply adds the changed file to an overlay.
func (e edit) apply(overlay map[string]string, dir string) error {
	path, err := filepath.Abs(filepath.Join(root, e.file))
	if err != nil {
		return err
	}
	from := path
	if changed, ok := overlay[path]; ok {
		from = changed
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if n := strings.Count(string(data), e.old); n != 1 {
		return fmt.Errorf("%s has %d times, instead of once:\n%s", e.file, n, e.old)
	}
	overlay[path], err = write(dir, "*.go", strings.Replace(string(data), e.old, e.text, 1))
	return err
}

// write writes a new file and returns its name.
func write(dir, pattern, text string) (string, error) {
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(text)
	return f.Name(), errors.Join(err, f.Close())
}

// apply makes the overlay of a mutation.
func (m mutation) apply(dir string) (string, error) {
	overlay := map[string]string{}
	for _, e := range m.edits {
		if err := e.apply(overlay, dir); err != nil {
			return "", err
		}
	}
	return writeOverlay(overlay, dir)
}

// writeOverlay writes what go build -overlay reads.
func writeOverlay(overlay map[string]string, dir string) (string, error) {
	data, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		return "", err
	}
	return write(dir, "overlay-*.json", string(data))
}

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
	for _, m := range mutations {
		if !slices.Contains(names, m.test()) {
			t.Errorf("%s: there is no case %s", m.defence, m.kills)
		}
		if _, err := m.apply(t.TempDir()); err != nil {
			t.Errorf("%s: %v", m.defence, err)
		}
	}
}

func (m mutation) test() string {
	if strings.HasPrefix(m.kills, "start_") {
		return "TestStarts/" + m.kills
	}
	return "TestAttacks/" + m.kills
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
	results := make([]string, len(mutations))
	turns := make(chan struct{}, 2)
	var wg sync.WaitGroup
	for i, m := range mutations {
		if !wanted.MatchString(m.defence) && !wanted.MatchString(m.kills) {
			continue
		}
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			verdict, output := m.run(t)
			results[i] = fmt.Sprintf("%s\t%s\t%s\t%s\n", m.defence, m.edits[0].file, m.kills, verdict)
			t.Logf("%s: %s %s", m.defence, m.kills, verdict)
			if verdict != "killed" {
				t.Errorf("%s: %s %s\n%s", m.defence, m.kills, verdict, output)
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

// run runs the case, in this very test binary, against the mutated service.
func (m mutation) run(t *testing.T) (verdict, output string) {
	overlay, err := m.apply(t.TempDir())
	if err != nil {
		return "does not apply", err.Error()
	}
	self, err := os.Executable()
	if err != nil {
		return "not run", err.Error()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	top, name, _ := strings.Cut(m.test(), "/")
	cmd := exec.CommandContext(ctx, self, "-test.run=^"+top+"$/^"+regexp.QuoteMeta(name)+"$", "-test.v", "-test.timeout=4m")
	cmd.Env = append(os.Environ(), overlayVar+"="+overlay, "AGUADA_MUTATE=")
	out, err := cmd.CombinedOutput()
	output = string(out)
	switch {
	case strings.Contains(output, "build ordersd:"):
		return "does not compile", output
	case strings.Contains(output, "start ordersd:"):
		return "does not start", output
	case strings.Contains(output, "--- FAIL: "+m.test()):
		return "killed", output
	case err != nil:
		return "fails elsewhere", output
	case strings.Contains(output, "--- PASS: "+m.test()):
		return "SURVIVED", output
	}
	return "not run", output
}
