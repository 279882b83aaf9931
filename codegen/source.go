package codegen

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"

	goaexpr "goa.design/goa/v3/expr"

	"github.com/aguada-dev/aguada/policy"
)

// HashDir returns the hexadecimal SHA-256 digest of the Go files of dir, tests
// and subfolders left out: of the name, a NUL byte, the size in decimal, a NUL
// byte and the content of each, in the order of their names. A folder without
// Go files is an error.
func HashDir(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("hash design: %w", err)
	}
	digest := sha256.New()
	files := 0
	for _, e := range entries { // sorted by name
		if !e.Type().IsRegular() || !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", fmt.Errorf("hash design: %w", err)
		}
		fmt.Fprintf(digest, "%s\x00%d\x00", e.Name(), len(content))
		digest.Write(content)
		files++
	}
	if files == 0 {
		return "", fmt.Errorf("hash design: no Go files in %s", dir)
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

// outputDir returns the folder that holds gen/, which goa tells the generator
// on its command line; empty if it is unknown.
func outputDir() string {
	f := flag.Lookup("output")
	if f == nil || f.Value.String() == "" {
		return ""
	}
	dir, err := filepath.Abs(f.Value.String())
	if err != nil {
		return ""
	}
	return dir
}

// designSource returns where the design comes from, nil if its files cannot be
// found: a generator built with -trimpath does not know them.
func designSource(root *goaexpr.RootExpr, out string) *policy.Source {
	dir := designDir(root)
	if dir == "" || out == "" {
		return nil
	}
	if resolved, err := filepath.EvalSymlinks(out); err == nil {
		out = resolved
	}
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		dir = resolved
	}
	rel, err := filepath.Rel(out, dir)
	if err != nil {
		return nil
	}
	hash, err := HashDir(dir)
	if err != nil {
		return nil
	}
	return &policy.Source{Dir: filepath.ToSlash(rel), SHA256: hash}
}

// designDir returns the folder of the file that declares the API, or else the
// first service.
func designDir(root *goaexpr.RootExpr) string {
	funcs := []func(){root.API.DSLFunc}
	for _, s := range root.Services {
		funcs = append(funcs, s.DSLFunc)
	}
	goaDir := filepath.Dir(fileOf(goaexpr.NewAPIExpr)) // an API that Goa makes up
	for _, f := range funcs {
		if f == nil {
			continue
		}
		file := fileOf(f)
		if !filepath.IsAbs(file) || filepath.Dir(file) == goaDir {
			continue
		}
		if _, err := os.Stat(file); err == nil {
			return filepath.Dir(file)
		}
	}
	return ""
}

// fileOf returns the file in which a function is declared.
func fileOf(f any) string {
	file, _ := lineOf(f)
	return file
}

func lineOf(f any) (file string, line int) {
	pc := reflect.ValueOf(f).Pointer()
	return runtime.FuncForPC(pc).FileLine(pc)
}

// positionOf returns "[file:line] " of the first function there is, as Goa's
// own errors begin; "" if there is none.
func positionOf(funcs ...func()) string {
	for _, f := range funcs {
		if f == nil {
			continue
		}
		file, line := lineOf(f)
		if wd, err := os.Getwd(); err == nil && filepath.IsAbs(file) {
			if rel, err := filepath.Rel(wd, file); err == nil {
				file = rel
			}
		}
		return fmt.Sprintf("[%s:%d] ", filepath.ToSlash(file), line)
	}
	return ""
}
