package target

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// Memory returns the resident memory of the process in bytes; false where the
// system does not tell (it is read from /proc, as Linux has it).
func (in *Instance) Memory() (int64, bool) {
	n, ok := in.status("VmRSS:")
	return n << 10, ok
}

// Peak returns the most resident memory that the process ever had.
func (in *Instance) Peak() (int64, bool) {
	n, ok := in.status("VmHWM:")
	return n << 10, ok
}

// Threads returns how many threads the process has.
func (in *Instance) Threads() (int64, bool) { return in.status("Threads:") }

// Descriptors returns how many files and sockets the process has open.
func (in *Instance) Descriptors() (int, bool) {
	files, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(in.PID()), "fd"))
	return len(files), err == nil
}

// Held is what the kernel says of the other end of a TCP connection.
type Held struct {
	// Open says that the process which has it has not closed it, whatever of it
	// the kernel still has to deliver.
	Open bool
	// Unread are the bytes that have arrived there and that the process has not
	// read.
	Unread int64
}

// Other looks at the other end of a TCP connection on this machine, over IPv4.
// Without Linux's /proc/net/tcp nobody can tell.
func Other(c *net.TCPConn) (h Held, known bool) {
	own, ok := c.LocalAddr().(*net.TCPAddr)
	other, ok2 := c.RemoteAddr().(*net.TCPAddr)
	if !ok || !ok2 || own.IP.To4() == nil {
		return h, false
	}
	entry := []byte(fmt.Sprintf(" %s %s 01 ", kernelAddress(other), kernelAddress(own))) // 01 is ESTABLISHED
	for range 2 {                                                                        // a line may be missed while the table changes
		text, err := os.ReadFile("/proc/net/tcp")
		if err != nil {
			return h, false
		}
		if _, rest, found := bytes.Cut(text, entry); found {
			var unsent int64
			_, err := fmt.Sscanf(string(rest[:min(len(rest), 17)]), "%x:%x", &unsent, &h.Unread)
			h.Open = true
			return h, err == nil
		}
	}
	return h, true
}

// kernelAddress writes an address as /proc/net/tcp does: the IPv4 address as a
// little-endian number.
func kernelAddress(a *net.TCPAddr) string {
	ip := a.IP.To4()
	return fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], a.Port)
}

func (in *Instance) status(name string) (int64, bool) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(in.PID()), "status"))
	if err != nil {
		return 0, false
	}
	_, rest, found := bytes.Cut(text, []byte("\n"+name))
	var n int64
	if _, err := fmt.Sscan(string(rest), &n); !found || err != nil {
		return 0, false
	}
	return n, true
}
