package codegen_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	goacodegen "goa.design/goa/v3/codegen"
	"goa.design/goa/v3/codegen/generator"
	"goa.design/goa/v3/eval"
	goaexpr "goa.design/goa/v3/expr"

	"github.com/aguada-dev/aguada/codegen"
	"github.com/aguada-dev/aguada/expr"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// genpkg is the import path of gen/ in the golden cases.
const genpkg = "example.com/shop/gen"

// result is what goa gen would leave behind.
type result struct {
	files    []*goacodegen.File
	warnings string
	err      error
}

// plugin is what another plugin does to the files before ours sees them.
type plugin func(files []*goacodegen.File)

// run evaluates a design and runs all generators, as goa gen does.
func run(t *testing.T, design func(), others ...plugin) result {
	t.Helper()
	if err := expr.Evaluate(design); err != nil {
		t.Fatalf("evaluate design: %v", err)
	}
	roots, err := eval.Context.Roots()
	if err != nil {
		t.Fatal(err)
	}
	goacodegen.NormalizeRoot(goaexpr.Root)
	var files []*goacodegen.File
	for _, generate := range []generator.Genfunc{generator.Service, generator.Transport, generator.OpenAPI} {
		fs, err := generate(genpkg, roots)
		if err != nil {
			t.Fatalf("goa: %v", err)
		}
		files = append(files, fs...)
	}
	for _, other := range others {
		other(files)
	}
	var warnings bytes.Buffer
	files, err = codegen.GenerateTo(genpkg, roots, files, "", &warnings)
	return result{files: files, warnings: warnings.String(), err: err}
}

// render returns the text of the files that keep selects, as a txtar archive.
func (r result) render(t *testing.T, keep func(path string) bool) *txtar.Archive {
	t.Helper()
	dir := t.TempDir()
	a := new(txtar.Archive)
	for _, f := range r.files {
		if !keep(filepath.ToSlash(f.Path)) {
			continue
		}
		if _, err := f.Render(dir); err != nil {
			t.Fatalf("render %s: %v", f.Path, err)
		}
		text, err := os.ReadFile(filepath.Join(dir, f.Path))
		if err != nil {
			t.Fatal(err)
		}
		a.Files = append(a.Files, txtar.File{Name: filepath.ToSlash(f.Path), Data: header.ReplaceAll(text, nil)})
	}
	if r.warnings != "" {
		a.Files = append(a.Files, txtar.File{Name: "stderr", Data: []byte(r.warnings)})
	}
	if r.err != nil {
		a.Files = append(a.Files, txtar.File{Name: "error", Data: []byte(r.err.Error() + "\n")})
	}
	return a
}

// header is Goa's comment on top of each file, which names the command line.
var header = regexp.MustCompile(`(?s)\A// Code generated.*?\n\n`)

// ours selects what Aguada adds.
func ours(path string) bool {
	return strings.HasPrefix(path, codegen.ContractPath[:len("gen/production")]) && !strings.HasSuffix(path, "service.go") &&
		(strings.HasSuffix(path, "production.go") || strings.HasSuffix(path, ".json")) || strings.HasSuffix(path, "/redaction.go")
}

func golden(t *testing.T, name string, got *txtar.Archive) {
	t.Helper()
	path := filepath.Join("testdata", name+".txtar")
	if *update {
		if err := os.WriteFile(path, txtar.Format(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run the test with -update)", err)
	}
	if diff := cmp.Diff(string(want), string(txtar.Format(got))); diff != "" {
		t.Errorf("%s differs (-want +got); run the test with -update if that is meant:\n%s", path, diff)
	}
}
