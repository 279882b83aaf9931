//go:build linux || darwin

package main

import (
	"os"
	"os/signal"
	"syscall"
	"unsafe"
)

// takeForeground makes this process the only one that Ctrl-C in the terminal
// reaches, and returns the function that undoes it. It does nothing unless
// "go run" started the process in the foreground of a terminal.
//
// "go run" exits with 1 whenever it sees an interrupt, however its program
// ended: for a clean stop to be exit code 0, it must not see one. Ctrl-Z would
// then stop this process without the shell's knowledge, and is ignored.
func takeForeground() (release func()) {
	none := func() {}
	if !underGoRun() {
		return none
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return none // no terminal
	}
	group := int32(syscall.Getpgrp())
	if front, err := foreground(tty, syscall.TIOCGPGRP, 0); err != nil || front != group {
		_ = tty.Close()
		return none
	}
	// Who changes the foreground from the background gets SIGTTOU.
	signal.Ignore(syscall.SIGTTOU, syscall.SIGTSTP)
	if err := syscall.Setpgid(0, 0); err == nil {
		_, err = foreground(tty, syscall.TIOCSPGRP, int32(os.Getpid()))
		if err != nil {
			_ = syscall.Setpgid(0, int(group))
		}
	}
	return func() {
		_, _ = foreground(tty, syscall.TIOCSPGRP, group)
		_ = tty.Close()
	}
}

// foreground reads or sets the group of processes that a terminal listens to.
func foreground(tty *os.File, request uintptr, group int32) (int32, error) {
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, tty.Fd(), request, uintptr(unsafe.Pointer(&group))) //nolint:gosec // tcgetpgrp(3), tcsetpgrp(3)
	if errno != 0 {
		return 0, errno
	}
	return group, nil
}
