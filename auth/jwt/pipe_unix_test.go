//go:build unix

package jwt_test

import (
	"os"
	"syscall"
)

func pipe(path string) error { return syscall.Mkfifo(path, 0o600) }

func folder(path string) error { return os.Mkdir(path, 0o700) }

// swap puts a file of any kind in the place of another.
func swap(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return os.Rename(from, to)
}
