//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package replace

import (
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives f to the owner and the group of another file.
func keepOwner(f *os.File, as fs.FileInfo) error {
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	was, ok1 := as.Sys().(*syscall.Stat_t)
	is, ok2 := mine.Sys().(*syscall.Stat_t)
	if !ok1 || !ok2 || (was.Uid == is.Uid && was.Gid == is.Gid) {
		return nil
	}
	return f.Chown(int(was.Uid), int(was.Gid))
}
