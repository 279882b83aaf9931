package proved

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/examples/orders/internal/mutants"
)

var update = flag.Bool("update", false, "write the tables into the documentation")

// TestDocument compares docs/proof.md with the lists.
func TestDocument(t *testing.T) {
	path := filepath.Join(root, "docs", "proof.md")
	was, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(was), "<!-- mutants -->\n")
	_, after, ok2 := strings.Cut(rest, "<!-- /mutants -->")
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the mutants", path)
	}
	is := before + "<!-- mutants -->\n\n" + tables() + "\n<!-- /mutants -->" + after
	if *update {
		if err := os.WriteFile(path, []byte(is), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if is != string(was) {
		t.Errorf("%s is stale: run go -C examples/orders test ./proved -run Document -update", path)
	}
}

func tables() string {
	var is, not strings.Builder
	n := 0
	for _, m := range mutants.All {
		if by := found[m.Defence]; len(by) > 0 {
			n++
			fmt.Fprintf(&is, "| %s | `%s` |\n", m.Defence, strings.Join(by, "`, `"))
		} else {
			fmt.Fprintf(&not, "| %s | %s |\n", m.Defence, missed[m.Defence])
		}
	}
	return fmt.Sprintf("%d of %d are found:\n\n| the service without this | is found by |\n|---|---|\n%s\nThe others are not:\n\n| the service without this | is not found, because |\n|---|---|\n%s",
		n, len(mutants.All), &is, &not)
}
