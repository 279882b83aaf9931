package dsl_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestGenPlaces runs goa gen on designs with mistakes: every error must name
// the file and the line of the call, also when it is found only once the whole
// design is known, and nothing may be generated. A line with a mistake ends in
// a comment with the text that its error must hold.
func TestGenPlaces(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a generator")
	}
	for _, design := range []string{"calls", "whole"} {
		t.Run(design, func(t *testing.T) {
			dir := module(t)
			src, err := os.ReadFile(filepath.Join("testdata", "gen", design+".go.txt"))
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "design", "design.go"), src)

			var want []string
			for i, line := range strings.Split(string(src), "\n") {
				if _, text, ok := strings.Cut(line, "// want "); ok {
					want = append(want, fmt.Sprintf("[design/design.go:%d] %s", i+1, text))
				}
			}
			out, err := run(dir, "go", "run", "goa.design/goa/v3/cmd/goa", "gen", "example.com/shop/design")
			if err == nil {
				t.Fatalf("goa gen accepted the design:\n%s", out)
			}
			got := regexp.MustCompile(`(?m)^.*\[.*\.go:\d+\].*$`).FindAllString(string(out), -1)
			if len(got) != len(want) {
				t.Fatalf("%d errors, want %d:\n%s", len(got), len(want), out)
			}
			for i := range want {
				if !strings.HasPrefix(got[i], want[i]) {
					t.Errorf("error %d:\n%s", i, cmp.Diff(want[i], got[i]))
				}
			}
			if _, err := os.Stat(filepath.Join(dir, "gen")); !os.IsNotExist(err) {
				t.Errorf("gen/ exists: %v", err)
			}
		})
	}
}

// TestGenBlankImport: importing the package without using it is enough for
// goa gen to run the generator.
func TestGenBlankImport(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a generator")
	}
	dir := module(t)
	write(t, filepath.Join(dir, "design", "design.go"), []byte(`package design

import (
	. "goa.design/goa/v3/dsl"

	_ "github.com/aguada-dev/aguada/dsl"
)

var _ = Service("orders", func() {
	Method("list", func() {
		NoSecurity()
		HTTP(func() { GET("/orders") })
	})
})
`))
	if out, err := run(dir, "go", "run", "goa.design/goa/v3/cmd/goa", "gen", "example.com/shop/design"); err != nil {
		t.Fatalf("goa gen: %v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "gen", "production", "contract.json")); err != nil {
		t.Error(err)
	}
}

// module returns the folder of a new module, example.com/shop, that requires
// this checkout and whatever it requires.
func module(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	const name = "github.com/aguada-dev/aguada"
	mod = bytes.Replace(mod, []byte("module "+name), []byte("module example.com/shop"), 1)
	mod = fmt.Appendf(mod, "\nrequire %s v0.0.0\nreplace %[1]s => %s\n", name, root)
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), mod)
	write(t, filepath.Join(dir, "go.sum"), sum)
	return dir
}

func run(dir, name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	return cmd.CombinedOutput()
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
