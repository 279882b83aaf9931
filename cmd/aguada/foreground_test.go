//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"
)

// terminal opens a pseudo-terminal: who writes to master types.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	var unlock, number int32
	for request, value := range map[uintptr]*int32{syscall.TIOCSPTLCK: &unlock, syscall.TIOCGPTN: &number} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), request, uintptr(unsafe.Pointer(value))); errno != 0 {
			t.Skip(errno)
		}
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _, _ = master.Close(), slave.Close() })
	return master, slave
}

// screen is what a terminal shows.
type screen struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// TestCtrlC types Ctrl-C into a terminal.
func TestCtrlC(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs services")
	}
	for _, test := range []struct {
		name    string
		command func(shop string) []string
	}{
		{"go run", func(shop string) []string {
			return []string{"go", "run", "./cmd/aguada", "run", "--addr", "127.0.0.1:0", shop}
		}},
		{"in a shell", func(shop string) []string {
			return []string{"sh", "-c", "go run ./cmd/aguada run --addr 127.0.0.1:0 " + shop + " && echo then"}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			master, slave := openTerminal(t)
			shop := copyShop(t)
			command := test.command(shop)
			cmd := exec.Command(command[0], command[1:]...)
			cmd.Dir, cmd.Env = filepath.Join("..", ".."), shopEnvironment(t)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }()
			var shown screen
			go func() { _, _ = io.Copy(&shown, master) }()
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			if !eventually(func() bool { return strings.Contains(shown.String(), "Ctrl-C stops") || len(ended) > 0 }) || len(ended) > 0 {
				t.Fatalf("never ready:\n%s", shown.String())
			}
			if _, err := master.WriteString("\x1a\x03"); err != nil { // Ctrl-Z, Ctrl-C
				t.Fatal(err)
			}
			if err := <-ended; err != nil {
				t.Errorf("ended with %v", err)
			}
			want := "stopped\r\n"
			if test.name == "in a shell" {
				want = "then\r\n"
			}
			if !eventually(func() bool { return strings.HasSuffix(shown.String(), want) }) {
				t.Errorf("does not end with %q:\n%s", want, shown.String())
			}
			if !strings.Contains(shown.String(), "\x1b[1m") || !strings.Contains(shown.String(), "LOG_FORMAT=terminal") {
				t.Errorf("no terminal was noticed:\n%s", shown.String())
			}
		})
	}
}
