package lifecycle

import (
	"net"
	"os"
	"syscall"
)

// refuseNew makes the kernel drop the first packet (SYN) of new connections,
// while those already in the backlog, or in the middle of their handshake,
// can still be accepted. A dropped client tries again a second later and then
// finds the port closed, or the next process: it has sent no request yet.
// Without this, a connection completed between the last accept and the close
// would be reset together with its request.
//
// A system that refuses the filter (false) loses that certainty only.
func refuseNew(ln *net.TCPListener) bool {
	const (
		flags = 13 // offset of the TCP flags; the filter sees the TCP header first
		syn   = 0x02
	)
	filter := []syscall.SockFilter{
		{Code: syscall.BPF_LD | syscall.BPF_B | syscall.BPF_ABS, K: flags},
		{Code: syscall.BPF_JMP | syscall.BPF_JSET | syscall.BPF_K, K: syn, Jt: 0, Jf: 1},
		{Code: syscall.BPF_RET | syscall.BPF_K, K: 0},
		{Code: syscall.BPF_RET | syscall.BPF_K, K: 0xffffffff},
	}
	raw, err := ln.SyscallConn()
	if err != nil {
		return false
	}
	var attached error
	err = raw.Control(func(fd uintptr) {
		attached = syscall.AttachLsf(int(fd), filter) //nolint:staticcheck // deprecated for x/net/bpf, which needs x/sys to attach
	})
	return err == nil && attached == nil
}

// acceptNow takes a connection out of the backlog without waiting; nil means
// that none is there. net's Accept does not look once its deadline is over,
// which it is at once for a process that is short of CPU.
func acceptNow(ln *net.TCPListener) net.Conn {
	raw, err := ln.SyscallConn()
	if err != nil {
		return nil
	}
	var file *os.File
	_ = raw.Control(func(fd uintptr) {
		if c, _, err := syscall.Accept4(int(fd), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC); err == nil {
			file = os.NewFile(uintptr(c), "")
		}
	})
	if file == nil {
		return nil
	}
	defer file.Close() // FileConn has its own
	c, err := net.FileConn(file)
	if err != nil {
		return nil
	}
	return c
}
