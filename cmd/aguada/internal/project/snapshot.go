package project

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Ignored reports whether a folder of that name holds nothing that a build
// could read: hidden folders, test data, and those of other tools.
func Ignored(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") ||
		name == "testdata" || name == "node_modules" || Scratch(name)
}

// Source reports whether a file of that name takes part in a build: Go files
// other than tests, module files, and SQL, which services embed.
func Source(name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || strings.HasSuffix(name, "_test.go") {
		return false
	}
	switch filepath.Ext(name) {
	case ".go", ".mod", ".sum", ".sql":
		return true
	}
	return false
}

// Snapshot is a digest of the names and contents of the project's sources: two
// that are equal build the same program, whatever was touched in between.
func (p *Project) Snapshot() (string, error) {
	sum := sha256.New()
	err := filepath.WalkDir(p.Dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			if os.IsNotExist(err) {
				return nil // removed while walking
			}
			return err
		}
		if entry.IsDir() {
			if file != p.Dir && Ignored(entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() || !Source(entry.Name()) {
			return nil
		}
		return addFile(sum, file)
	})
	if err != nil {
		return "", fmt.Errorf("read sources: %w", err)
	}
	return string(sum.Sum(nil)), nil
}

func addFile(sum hash.Hash, file string) error {
	f, err := os.Open(file)
	if err != nil {
		if os.IsNotExist(err) {
			return nil
		}
		return err
	}
	defer func() { _ = f.Close() }()
	one := sha256.New()
	if _, err := io.Copy(one, f); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(sum, "%q %x\n", file, one.Sum(nil))
	return nil
}
