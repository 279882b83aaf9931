//go:build !linux

package reload

import (
	"io/fs"
	"time"
)

// statusChange returns the zero time: here, size and modification time tell
// that a file changed.
func statusChange(fs.FileInfo) time.Time { return time.Time{} }
