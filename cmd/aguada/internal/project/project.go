// Package project finds a Goa service in a folder, generates its code and
// builds its binary.
//
//	p, err := project.Find(ctx, "examples/orders", project.Config{})
//	...
//	reason, err := p.Stale(version)
//	if reason != "" {
//		_, err = p.Generate(ctx, "", "")
//	}
//	err = p.Build(ctx, p.Binary())
//
// It runs the go command that is found on PATH and never changes a file
// outside the project's gen/ and .aguada/ folders.
package project

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/aguada-dev/aguada/internal/process"
	"github.com/aguada-dev/aguada/policy"
)

// Config says where things are when they are not in their usual places.
type Config struct {
	// Design is the design package: a folder or an import path. Empty means
	// DIR/design.
	Design string
	// Main is the main package: a folder. Empty means the only one below
	// DIR/cmd.
	Main string
}

// Project is a Goa service on disk. It is not modified after Find.
type Project struct {
	// Dir is the absolute path of the module's folder.
	Dir string
	// DesignPath is the import path of the design package, DesignDir its
	// folder.
	DesignPath, DesignDir string
	// Main is the main package as the go command wants it ("./cmd/ordersd"),
	// Name its last element.
	Main, Name string
}

// Find looks for a service in dir: a Go module with a design package and one
// main package.
func Find(ctx context.Context, dir string, cfg Config) (*Project, error) {
	p, err := FindDesign(ctx, dir, cfg)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(p.Dir, "go.mod")); err != nil {
		return nil, fmt.Errorf("find service in %s: no go.mod there", dir)
	}
	if err := p.findMain(ctx, cfg.Main); err != nil {
		return nil, err
	}
	return p, nil
}

// FindDesign is Find for a folder of which only the design matters.
func FindDesign(ctx context.Context, dir string, cfg Config) (*Project, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find service in %s: %w", dir, err)
	}
	if info, err := os.Stat(abs); err != nil {
		return nil, fmt.Errorf("find service in %s: no such folder", dir)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("find service in %s: not a folder", dir)
	}
	p := &Project{Dir: abs}
	pattern := "./design"
	if cfg.Design != "" {
		pattern = p.pattern(cfg.Design)
	} else if _, err := os.Stat(filepath.Join(abs, "design")); err != nil {
		return nil, fmt.Errorf("find design in %s: no design/ folder; name the package with --design", dir)
	}
	packages, err := p.list(ctx, pattern)
	if err != nil {
		return nil, fmt.Errorf("find design package %s: %w", pattern, err)
	}
	if len(packages) != 1 || packages[0].Dir == "" {
		return nil, fmt.Errorf("find design package %s: %d packages match, want one", pattern, len(packages))
	}
	if problem := packages[0].Error; packages[0].Name == "" && problem != nil {
		return nil, fmt.Errorf("find design package %s: %s", pattern, problem.Err)
	}
	p.DesignPath, p.DesignDir = packages[0].ImportPath, packages[0].Dir
	return p, nil
}

// pattern turns a folder, relative to the caller or to the project, into
// something that the go command understands in the project's folder.
func (p *Project) pattern(name string) string {
	if strings.HasPrefix(name, "./") || strings.HasPrefix(name, "../") || name == "." {
		return name
	}
	if filepath.IsAbs(name) {
		if rel, err := filepath.Rel(p.Dir, name); err == nil {
			return "./" + filepath.ToSlash(rel)
		}
	}
	if info, err := os.Stat(filepath.Join(p.Dir, filepath.FromSlash(name))); err == nil && info.IsDir() {
		return "./" + path.Clean(filepath.ToSlash(name))
	}
	return name
}

func (p *Project) findMain(ctx context.Context, main string) error {
	pattern := "./cmd/..."
	if main != "" {
		pattern = p.pattern(main)
	} else if _, err := os.Stat(filepath.Join(p.Dir, "cmd")); err != nil {
		return fmt.Errorf("find main package in %s: no cmd/ folder; name the package with --main", p.Dir)
	}
	packages, err := p.list(ctx, pattern)
	if err != nil {
		return fmt.Errorf("find main package %s: %w", pattern, err)
	}
	var found []string
	for _, pkg := range packages {
		if pkg.Name != "main" || pkg.Dir == "" {
			continue
		}
		rel, err := filepath.Rel(p.Dir, pkg.Dir)
		if err != nil {
			return fmt.Errorf("find main package: %w", err)
		}
		found = append(found, filepath.ToSlash(rel))
	}
	switch len(found) {
	case 0:
		return fmt.Errorf("find main package in %s: %s holds none", p.Dir, pattern)
	case 1:
		p.Main = "./" + strings.TrimPrefix(found[0], "./")
		p.Name = path.Base(found[0])
		if found[0] == "." {
			p.Main, p.Name = ".", filepath.Base(p.Dir)
		}
		return nil
	}
	slices.Sort(found)
	return fmt.Errorf("find main package in %s: several (%s); name one with --main", p.Dir, strings.Join(found, ", "))
}

type listed struct {
	ImportPath, Name, Dir string
	Error                 *struct{ Err string }
}

// list asks the go command for packages. Packages that do not compile yet are
// listed all the same: their imports may not have been generated.
func (p *Project) list(ctx context.Context, pattern string) ([]listed, error) {
	out, err := p.goCommand(ctx, "list", "-e", "-find", "-json=ImportPath,Name,Dir,Error", "--", pattern)
	if err != nil {
		return nil, err
	}
	var packages []listed
	dec := json.NewDecoder(bytes.NewReader(out))
	for dec.More() {
		var pkg listed
		if err := dec.Decode(&pkg); err != nil {
			return nil, fmt.Errorf("read go list: %w", err)
		}
		packages = append(packages, pkg)
	}
	return packages, nil
}

// A ToolError is a program that ran and failed: what it printed is the
// explanation, and is meant to be shown as it is.
type ToolError struct {
	// Command is what ran.
	Command string
	// Output is what it printed, without the trailing line end.
	Output string
	Err    error
}

// Error returns the program's own output, or the cause where it printed none.
func (e *ToolError) Error() string {
	if e.Output == "" {
		return e.Command + ": " + e.Err.Error()
	}
	return e.Output
}

// Unwrap returns how the program ended.
func (e *ToolError) Unwrap() error { return e.Err }

// goCommand runs the go command in the project's folder and returns what it
// wrote to its standard output. When ctx ends, it is interrupted, with
// everything that it started.
func (p *Project) goCommand(ctx context.Context, args ...string) ([]byte, error) {
	return p.goCommandWith(ctx, nil, args...)
}

// goCommandWith is goCommand with more variables in the environment.
func (p *Project) goCommandWith(ctx context.Context, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = p.Dir
	// PWD keeps the go command from resolving the folder in another way.
	cmd.Env = append(append(os.Environ(), "PWD="+p.Dir), env...)
	process.Isolate(cmd)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if errors.Is(err, exec.ErrNotFound) {
		return nil, errors.New("the go command is not on PATH; install Go from https://go.dev/dl")
	}
	if err != nil {
		text := strings.TrimRight(stderr.String()+stdout.String(), "\n")
		return nil, &ToolError{Command: "go " + args[0], Output: text, Err: err}
	}
	return stdout.Bytes(), nil
}

// Binary is where Build puts the program for development.
func (p *Project) Binary() string {
	name := p.Name
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(p.Dir, ".aguada", "bin", name)
}

// Build compiles the main package into the file binary, which keeps its
// content when that fails. The compiler's messages are a *ToolError.
func (p *Project) Build(ctx context.Context, binary string) error {
	// Version control information is left out: it costs time, and a checkout
	// that git refuses to read would fail the build.
	_, err := p.goCommand(ctx, "build", "-buildvcs=false", "-o", binary, p.Main)
	return err
}

// Contract reads the generated contract. A missing file is fs.ErrNotExist.
func (p *Project) Contract() (*policy.Contract, error) { return Contract(p.Dir) }

// Contract reads the generated contract of the project in dir:
// gen/production/contract.json, or gen/productionapp/contract.json where the
// design itself has a service called production.
func Contract(dir string) (*policy.Contract, error) {
	file := filepath.Join(dir, "gen", "production", "contract.json")
	c, err := ReadContract(file)
	if errors.Is(err, fs.ErrNotExist) {
		if other, otherErr := ReadContract(filepath.Join(dir, "gen", "productionapp", "contract.json")); !errors.Is(otherErr, fs.ErrNotExist) {
			return other, otherErr
		}
	}
	return c, err
}

// ReadContract reads a contract; numbers in examples stay exactly as written.
func ReadContract(file string) (*policy.Contract, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read contract: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var c policy.Contract
	if err := dec.Decode(&c); err != nil {
		return nil, fmt.Errorf("read contract %s: %w", file, err)
	}
	return &c, nil
}
