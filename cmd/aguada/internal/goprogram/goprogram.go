// Package goprogram keeps programs written in Go, each of one exact version, in
// the user's cache folder: what is missing is built once, by the go command.
//
//	cache, err := goprogram.Open("")
//	file, err := cache.Find(program)
//	if errors.Is(err, fs.ErrNotExist) {
//		file, err = cache.Install(ctx, program)
//	}
//
// A program is only ever used if it states, itself, the module, the version and
// the checksum that were asked for.
package goprogram

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/aguada-dev/aguada/internal/process"
)

// Program is a main package of one version.
type Program struct {
	// Path is the import path of the main package.
	Path string
	// Version is its module's version, Sum the module's checksum as in go.sum.
	Version, Sum string
}

// Name returns the file name of the program, without any .exe.
func (p Program) Name() string { return path.Base(p.Path) }

func (p Program) String() string { return p.Name() + " " + p.Version }

// Cache is a folder of programs. It is safe for concurrent use, also by several
// processes: files appear in it whole or not at all.
type Cache struct{ dir string }

// Open returns the cache in dir; empty means aguada/programs in the user's
// cache folder, which the environment decides (XDG_CACHE_HOME). Nothing is
// created yet.
func Open(dir string) (*Cache, error) {
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("find the user's cache folder: %w", err)
		}
		dir = filepath.Join(user, "aguada", "programs")
	}
	return &Cache{dir: dir}, nil
}

// file is where the program is kept, apart from that of other versions and
// other machines that share a home folder.
func (c *Cache) file(p Program) string {
	return filepath.Join(c.dir, runtime.GOOS+"-"+runtime.GOARCH, p.Name()+"@"+p.Version, Executable(p.Name()))
}

// Executable returns the file name of the program called name on this system.
func Executable(name string) string {
	if runtime.GOOS == "windows" {
		return name + ".exe"
	}
	return name
}

// Find returns the file of a program that is in the cache, or on PATH in
// exactly that version. If there is none, the error is fs.ErrNotExist.
func (c *Cache) Find(p Program) (string, error) {
	if file := c.file(p); p.is(file) {
		return file, nil
	}
	if file, err := exec.LookPath(p.Name()); err == nil && filepath.IsAbs(file) && p.is(file) {
		return file, nil
	}
	return "", fmt.Errorf("find %s: %w", p, fs.ErrNotExist)
}

// is reports whether the file says that it was built from the program's source.
func (p Program) is(file string) bool {
	info, err := buildinfo.ReadFile(file)
	return err == nil && info.Path == p.Path && info.Main.Version == p.Version &&
		info.Main.Sum == p.Sum && info.Main.Replace == nil
}

// Install builds the program and returns its file. It needs the go command,
// and a network or a module cache that has the source. What the go command
// prints is part of the error. Where several install the same program at once,
// each builds it, and one of the equal files stays.
func (c *Cache) Install(ctx context.Context, p Program) (file string, err error) {
	file = c.file(p)
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("make cache folder: %w", err)
	}
	work, err := os.MkdirTemp(dir, ".build-")
	if err != nil {
		return "", fmt.Errorf("make cache folder: %w", err)
	}
	defer func() {
		if removeErr := os.RemoveAll(work); removeErr != nil {
			err = errors.Join(err, fmt.Errorf("clean cache folder: %w", removeErr))
		}
	}()
	if err := p.build(ctx, work); err != nil {
		return "", fmt.Errorf("build %s: %w", p, err)
	}
	built := filepath.Join(work, filepath.Base(file))
	if !p.is(built) {
		return "", fmt.Errorf("build %s: the program is not of the source with checksum %s", p, p.Sum)
	}
	if err := os.Rename(built, file); err != nil && !p.is(file) { // in use on Windows
		return "", fmt.Errorf("keep %s: %w", p, err)
	}
	return file, nil
}

// build runs go install. The settings of the user's own build (flags, vendoring,
// another platform) are not the program's. Empty GOFLAGS would not replace those
// of go env -w.
func (p Program) build(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "go", "install", p.Path+"@"+p.Version)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PWD="+dir, "GOBIN="+dir, "GOWORK=off", "GOFLAGS=-buildvcs=false",
		"GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH, "CGO_ENABLED=0", "GO111MODULE=on")
	process.Isolate(cmd)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("the go command is not on PATH; install Go from https://go.dev/dl")
	case err != nil && output.Len() > 0:
		return errors.New(strings.TrimSpace(output.String()))
	}
	return err
}
