package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// Listen opens a TCP listener. It fails at once where the address cannot be
// had; variable names the setting that the address came from, for the error.
func Listen(ctx context.Context, addr, variable string) (net.Listener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // its sockets take no filter: see refuseNew
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err == nil {
		return ln, nil
	}
	advice := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		advice = ": stop the process that holds the port, or choose another address"
	case errors.Is(err, syscall.EACCES):
		advice = ": choose a port from 1024 up, or allow the process to bind lower ones"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		advice = ": the host is not an address of this machine"
	}
	return nil, fmt.Errorf("%s: listen on %s: %w%s", variable, addr, err, advice)
}

// Closing a listening socket resets the connections that the kernel has
// completed and the process has not accepted yet. On the client's side those
// are established, and may already carry a request.
const (
	// backlogQuiet is how long no connection must come for the backlog to
	// count as empty. It covers handshakes that were under way.
	backlogQuiet = 5 * time.Millisecond
	// backlogMax bounds the emptying, for a process that is short of CPU.
	backlogMax = 5 * time.Second
	// backlogOpen is the bound where new connections keep coming, because
	// they could not be refused.
	backlogOpen = 250 * time.Millisecond
)

// listener hands out tracked connections. After stop, Accept first empties the
// backlog and then closes the socket.
type listener struct {
	net.Listener
	conns    *conns
	deadline atomic.Int64 // Unix nanoseconds when emptying ends; 0 before stop
}

// stop makes Accept return an error as soon as the backlog is empty.
func (l *listener) stop() {
	tcp, ok := l.Listener.(*net.TCPListener)
	if !ok {
		_ = l.Close()
		return
	}
	limit := backlogOpen
	if refuseNew(tcp) {
		limit = backlogMax
	}
	now := time.Now()
	l.deadline.Store(now.Add(limit).UnixNano())
	_ = tcp.SetDeadline(now.Add(backlogQuiet))
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		if end := l.deadline.Load(); end != 0 {
			now := time.Now()
			if now.UnixNano() > end {
				break
			}
			_ = l.Listener.(*net.TCPListener).SetDeadline(now.Add(backlogQuiet))
		}
		c, err := l.Listener.Accept()
		if err == nil {
			return l.conns.add(c), nil
		}
		if l.deadline.Load() == 0 {
			return nil, err
		}
		if errors.Is(err, net.ErrClosed) {
			break
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if c := acceptNow(l.Listener.(*net.TCPListener)); c != nil {
				return l.conns.add(c), nil
			}
			break
		}
		time.Sleep(backlogQuiet) // out of files, say: those who leave make room
	}
	_ = l.Close()
	return nil, net.ErrClosed
}
