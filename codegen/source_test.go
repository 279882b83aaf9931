package codegen_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/codegen"
)

func TestHashDir(t *testing.T) {
	dir := t.TempDir()
	hash := func() string {
		t.Helper()
		h, err := codegen.HashDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	write(t, filepath.Join(dir, "b.go"), []byte("package design\n"))
	write(t, filepath.Join(dir, "a.go"), []byte("package design\n\nvar x = 1\n"))
	first := hash()
	// As anyone else would compute it from the documented form.
	if want := "52e0851004afa9d05129353d3a96a0f80a4a674dc10162d4fbf4a4966b9368b9"; first != want {
		t.Errorf("hash is %s, want %s", first, want)
	}
	for name, text := range map[string]string{"a_test.go": "package design\n", "notes.txt": "x", "sub/c.go": "package sub\n"} {
		write(t, filepath.Join(dir, filepath.FromSlash(name)), []byte(text))
		if got := hash(); got != first {
			t.Errorf("%s changes the hash", name)
		}
	}
	seen := map[string]string{first: "first"}
	for _, change := range []struct{ name, text string }{
		{"a.go", "package design\n\nvar x = 2\n"},
		{"c.go", ""},
		{"b.go", "package design"},
	} {
		write(t, filepath.Join(dir, change.name), []byte(change.text))
		got := hash()
		if other, ok := seen[got]; ok {
			t.Errorf("after a change of %s the hash is that of %s", change.name, other)
		}
		seen[got] = change.name
	}
}

// TestHashDirNames shows that names and contents cannot run into each other.
func TestHashDirNames(t *testing.T) {
	hash := func(files ...string) string {
		t.Helper()
		dir := t.TempDir()
		for i := 0; i < len(files); i += 2 {
			write(t, filepath.Join(dir, files[i]), []byte(files[i+1]))
		}
		h, err := codegen.HashDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	if hash("a.go", "b.go") == hash("a.go", "", "b.go", "") {
		t.Error("a file's content passes for another file")
	}
	if hash("a.go", "xy", "b.go", "") == hash("a.go", "x", "b.go", "y") {
		t.Error("content moves between files unnoticed")
	}
}

func TestHashDirErrors(t *testing.T) {
	empty := t.TempDir()
	if _, err := codegen.HashDir(empty); err == nil || !strings.Contains(err.Error(), "no Go files") {
		t.Errorf("empty folder: %v", err)
	}
	if _, err := codegen.HashDir(filepath.Join(empty, "missing")); err == nil {
		t.Error("missing folder: no error")
	}
	write(t, filepath.Join(empty, "a.go"), []byte("package a\n"))
	if err := os.Chmod(filepath.Join(empty, "a.go"), 0); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() != 0 { // root reads everything
		if _, err := codegen.HashDir(empty); err == nil {
			t.Error("unreadable file: no error")
		}
	}
}
