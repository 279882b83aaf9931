//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package basic

import (
	"errors"
	"os"
	"syscall"
)

// lock locks a file until it is closed, and reports whether it could.
func lock(f *os.File) (bool, error) {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, err
		}
	}
}
