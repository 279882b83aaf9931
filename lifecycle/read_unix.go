//go:build unix

package lifecycle

import (
	"net"
	"syscall"
)

const canReadNow = true

// readNow reads what is in the receive buffer and does not wait: 0 means that
// nothing is there, or nothing can come.
func readNow(c *net.TCPConn, p []byte) int {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	if raw.Read(func(fd uintptr) bool {
		n, err = syscall.Read(int(fd), p)
		return true // whatever came: do not wait
	}) != nil || err != nil {
		return 0
	}
	return n
}
