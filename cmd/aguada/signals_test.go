//go:build unix

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestGoRun runs the command as README does, with "go run", and ends it in the
// ways that a terminal and a supervisor do.
func TestGoRun(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs services")
	}
	// Two folders up is the repository, where the command is run from.
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		signal func(goRun, aguada int) error
		clean  bool // go run ends with 0
	}{
		// go run makes this an exit code of 1, whatever its program does; see
		// TestCtrlC for Ctrl-C in a terminal.
		{"SIGINT to the group", func(goRun, _ int) error { return syscall.Kill(-goRun, syscall.SIGINT) }, false},
		{"SIGINT to aguada", func(_, aguada int) error { return syscall.Kill(aguada, syscall.SIGINT) }, true},
		{"SIGTERM to aguada", func(_, aguada int) error { return syscall.Kill(aguada, syscall.SIGTERM) }, true},
		{"SIGTERM to go run", func(goRun, _ int) error { return syscall.Kill(goRun, syscall.SIGTERM) }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			shop := copyShop(t)
			log := filepath.Join(t.TempDir(), "log")
			file, err := os.Create(log)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = file.Close() }()
			cmd := exec.Command("go", "run", "./cmd/aguada", "run", "--addr", "127.0.0.1:0", shop)
			cmd.Dir, cmd.Env = root, shopEnvironment(t)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			cmd.Stdout, cmd.Stderr = file, file
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			defer func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }()
			if !eventually(func() bool { return strings.Contains(read(log), "Ctrl-C stops") || len(ended) > 0 }) || len(ended) > 0 {
				t.Fatalf("never ready:\n%s", read(log))
			}
			service := number(t, `\(process (\d+)\)`, read(log))
			if err := test.signal(cmd.Process.Pid, parent(t, service)); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; (err == nil) != test.clean {
				t.Errorf("go run ended with %v", err)
			}
			if !eventually(func() bool { return strings.Contains(read(log), "\nstopped\n") }) {
				t.Errorf("aguada did not stop:\n%s", read(log))
			}
			if !eventually(func() bool { return syscall.Kill(service, 0) != nil }) {
				t.Error("the service lives on")
			}
			if text := read(log); strings.Count(text, "stopped cleanly") != 1 || strings.Contains(text, "error") {
				t.Errorf("log:\n%s", text)
			}
		})
	}
}

// copyShop returns a fresh copy of the service for tests.
func copyShop(t *testing.T) string {
	t.Helper()
	shop := filepath.Join(t.TempDir(), "shop")
	if err := os.CopyFS(shop, os.DirFS(filepath.Join("testdata", "shop"))); err != nil {
		t.Fatal(err)
	}
	return shop
}

// shopEnvironment returns an environment in which the service's generator
// finds the commands that it needs.
func shopEnvironment(t *testing.T) []string {
	t.Helper()
	bin := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hashdesign", "generatorversion"} {
		if err := os.Symlink(self, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	return append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "GOWORK=off", "TERM=xterm", "NO_COLOR=", "HTTP_ADDR=")
}

func read(file string) string {
	content, _ := os.ReadFile(file)
	return string(content)
}

func number(t *testing.T, expression, text string) int {
	t.Helper()
	found := regexp.MustCompile(expression).FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("no %s in:\n%s", expression, text)
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func parent(t *testing.T, pid int) int {
	t.Helper()
	out, err := exec.Command("ps", "-o", "ppid=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		t.Fatal(err)
	}
	return number(t, `(\d+)`, string(bytes.TrimSpace(out)))
}
