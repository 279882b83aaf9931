//go:build unix

package development

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lock keeps other processes from making the same files until the returned
// function is called.
func lock(state string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(state, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock state folder: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err != syscall.EINTR { //nolint:errorlint // a bare errno
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock state folder: %w", err)
	}
	return func() { _ = f.Close() }, nil
}
