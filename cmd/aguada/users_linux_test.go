package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/basic"
)

// hidden reports whether a terminal does not show what is typed.
func hidden(t *testing.T, slave *os.File) bool {
	t.Helper()
	var state syscall.Termios
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, slave.Fd(), syscall.TCGETS, uintptr(unsafe.Pointer(&state))); errno != 0 {
		t.Fatal(errno)
	}
	return state.Lflag&syscall.ECHO == 0
}

// typed is a command in a terminal, into which a person types.
type typed struct {
	t             *testing.T
	master, slave *os.File
	shown         screen
	ended         chan error
}

func typeInto(t *testing.T, args ...string) *typed {
	t.Helper()
	x := &typed{t: t, ended: make(chan error, 1)}
	x.master, x.slave = openTerminal(t)
	cmd := exec.Command("aguada", args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = x.slave, x.slave, x.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	go func() { _, _ = io.Copy(&x.shown, x.master) }()
	go func() { x.ended <- cmd.Wait() }()
	return x
}

// answer types a line once it was asked for and is not shown.
func (x *typed) answer(question, line string) {
	x.t.Helper()
	if !eventually(func() bool {
		return len(x.ended) > 0 || strings.HasSuffix(x.shown.String(), question) && hidden(x.t, x.slave)
	}) || len(x.ended) > 0 {
		x.t.Fatalf("%q is not asked:\n%s", question, x.shown.String())
	}
	if _, err := x.master.WriteString(line); err != nil {
		x.t.Fatal(err)
	}
}

// end returns the exit code, once the terminal shows the text.
func (x *typed) end(text string) int {
	x.t.Helper()
	err := <-x.ended
	if !eventually(func() bool { return strings.Contains(x.shown.String(), text) }) {
		x.t.Errorf("%q is not shown:\n%s", text, x.shown.String())
	}
	if hidden(x.t, x.slave) {
		x.t.Error("the terminal is left without echo")
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case ok:
		return exit.ExitCode()
	case err != nil:
		x.t.Fatal(err)
	}
	return 0
}

func TestPasswordIsNotShown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	add := func() *typed { return typeInto(t, "users", "add", "--file", file, "ann") }

	x := add()
	x.answer("Password for ann: ", "seven77\n")
	if code := x.end("at least 8 characters"); code != exitFailed {
		t.Errorf("too short: exit code %d", code)
	}
	x = add()
	x.answer("Password for ann: ", "correct horse\n")
	x.answer("Once more: ", "correct house\n")
	if code := x.end("the two passwords differ; nothing is changed"); code != exitFailed {
		t.Errorf("different: exit code %d", code)
	}
	x = add()
	x.answer("Password for ann: ", "correct\x03") // Ctrl-C
	if code := x.end(""); code != 130 {
		t.Errorf("Ctrl-C: exit code %d", code)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is there: %v", err)
	}
	x = add()
	x.answer("Password for ann: ", "correct hörse\n")
	x.answer("Once more: ", "correct hörse\n")
	if code := x.end("added ann to "); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(x.shown.String(), "correct") || strings.Contains(x.shown.String(), "rse") {
		t.Errorf("the password is shown:\n%s", x.shown.String())
	}
	users, err := basic.Open(file, basic.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := users.Verify(t.Context(), auth.Credential{Username: "ann", Password: "correct hörse"}); err != nil {
		t.Error(err)
	}
}
