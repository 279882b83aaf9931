//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package apikey

import (
	"errors"
	"fmt"
)

// lockFile refuses: two writers at once would lose a change, such as a
// revocation.
func lockFile(path string) (func(), error) {
	return nil, fmt.Errorf("lock %s: %w", path, errors.ErrUnsupported)
}
