package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// require DIR gives the module in DIR a go.mod that requires this checkout,
// Goa and all else in the versions of this checkout.
func require(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: require DIR")
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	ts.Check(err)
	dir := ts.MkAbs(args[0])
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		ts.Check(err)
		ts.Check(os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	const module = "github.com/aguada-dev/aguada"
	ts.Check(ts.Exec("go", "-C", dir, "mod", "edit", "-module", "example.test/"+filepath.Base(dir),
		"-require", module+"@v0.0.0", "-replace", module+"="+root, "-tool", "goa.design/goa/v3/cmd/goa"))
}

// TestPluginVersion: generated code fits the runtime that this module requires.
func TestPluginVersion(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "google.golang.org/protobuf").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := grpcPlugins()[0].Version, strings.TrimSpace(string(out)); got != want {
		t.Errorf("%s, the module requires %s", grpcPlugins()[0], want)
	}
}
