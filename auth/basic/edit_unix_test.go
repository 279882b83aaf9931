//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package basic_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/aguada-dev/aguada/auth/basic"
)

// The new file belongs to whom the old one did.
func TestEditFileKeepsTheOwner(t *testing.T) {
	path := usersFile(t, "ann:"+phc)
	if err := os.Chown(path, 12345, 54321); err != nil {
		t.Skip("cannot give files away")
	}
	if err := basic.EditFile(t.Context(), path, func(x *basic.FileText) error { x.Remove("ann"); return nil }); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := info.Sys().(*syscall.Stat_t); !ok || s.Uid != 12345 || s.Gid != 54321 {
		t.Errorf("owner %+v", info.Sys())
	}
}
