package dsl_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestNames: a design that dot-imports Goa's dsl and this one must compile, so
// no exported name may be in both. Every function of ours says where it
// belongs and shows an example.
func TestNames(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "goa.design/goa/v3/dsl").Output()
	if err != nil {
		t.Fatalf("find Goa's dsl: %v", err)
	}
	goas, _ := exported(t, strings.TrimSpace(string(out)))
	if len(goas) < 100 {
		t.Fatalf("found only %d names in Goa's dsl", len(goas))
	}
	out, err = exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "goa.design/plugins/v3").Output()
	plugins := map[string]bool{"Origin": true, "Methods": true, "Expose": true, "Headers": true, "MaxAge": true, "Credentials": true}
	if dir := strings.TrimSpace(string(out)); err == nil && dir != "" { // where it is at hand, Goa's CORS plugin speaks for itself
		plugins, _ = exported(t, filepath.Join(dir, "cors", "dsl"))
	}
	ours, docs := exported(t, ".")
	for name := range ours {
		if plugins[name] {
			t.Errorf("%s is also exported by the dsl of Goa's CORS plugin", name)
		}
		if goas[name] {
			t.Errorf("%s is also exported by Goa's dsl", name)
		}
	}
	for _, name := range []string{"PerPrincipal", "PerClientIP", "PerCredential", "Global"} { // arguments of RateLimit
		if !ours[name] || !strings.Contains(docs["RateLimit"], name) {
			t.Errorf("%s is not exported, or the comment of RateLimit does not know it", name)
		}
		delete(ours, name)
	}
	for _, name := range []string{"Deadline", "MaxBody", "MaxInFlight", "RateLimit", "Burst", "NoRateLimit", "Audit", "NoAudit", "DependsOn", "Sensitive",
		"StrictBody", "NoStrictBody", "CORSOrigins", "CORSCredentials", "NoCORS",
		"ShedPriority", "IdempotencyKey", "KeepFor", "WaitFor", "KeyRequired", "StreamIdle", "MessageRate"} {
		if !ours[name] {
			t.Errorf("%s is not exported", name)
		}
		if text := docs[name]; !strings.Contains(text, name+" must appear in") || !strings.Contains(text, "Example:") {
			t.Errorf("the comment of %s does not say where it must appear, or has no example", name)
		}
		delete(ours, name)
	}
	for name := range ours {
		t.Errorf("%s is exported but unknown to this test", name)
	}
}

// exported returns the names that a dot-import of the package in dir brings in,
// and the comments of its functions.
func exported(t *testing.T, dir string) (names map[string]bool, docs map[string]string) {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	matches, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range matches {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		t.Fatalf("no Go files in %s", dir)
	}
	names, docs = make(map[string]bool), make(map[string]string)
	for _, f := range files {
		for _, d := range f.Decls {
			for _, id := range declared(d) {
				if id.IsExported() {
					names[id.Name] = true
				}
			}
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				docs[fn.Name.Name] = fn.Doc.Text()
			}
		}
	}
	return names, docs
}

// declared returns the package-level names of a declaration.
func declared(d ast.Decl) []*ast.Ident {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		var ids []*ast.Ident
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.ValueSpec:
				ids = append(ids, s.Names...)
			case *ast.TypeSpec:
				ids = append(ids, s.Name)
			}
		}
		return ids
	}
	return nil
}
