package transport

import (
	"net"
	"os"
	"sync"
	"syscall"
)

// lookout notices when the client of a connection on which nobody reads says
// something or leaves. A goroutine that reads would cost each stream 2.5 to
// 4.5 KB; here one waits for all, on a set of the kernel's (epoll), for as long as
// it has members. Its zero value is ready.
type lookout struct {
	mu      sync.Mutex
	next    int64
	members map[int64]*wire
	set     *os.File // nil while there are no members
	raw     syscall.RawConn
}

// add has heard called, once at most and in a goroutine of its own, when w's
// connection has something to read, an end included. It reports whether that can
// be: not where the connection is no socket by itself, as one of TLS, whose
// client may have left in what was read already.
func (l *lookout) add(w *wire) bool {
	c, ok := w.conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.set == nil && !l.open() {
		return false
	}
	l.next++
	l.members[l.next] = w
	event := syscall.EpollEvent{
		Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT, Fd: int32(l.next), Pad: int32(l.next >> 32),
	}
	failed := l.raw.Control(func(set uintptr) {
		if e := raw.Control(func(fd uintptr) {
			err = syscall.EpollCtl(int(set), syscall.EPOLL_CTL_ADD, int(fd), &event)
		}); e != nil {
			err = e
		}
	})
	if failed != nil || err != nil {
		l.remove(l.next)
		return false
	}
	w.place = l.next
	return true
}

// forget ends the waiting for w, whose connection is about to be closed: the
// kernel forgets it then.
func (l *lookout) forget(w *wire) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.place != 0 {
		l.remove(w.place)
		w.place = 0
	}
}

// remove takes a member out; mu is held.
func (l *lookout) remove(place int64) {
	delete(l.members, place)
	if len(l.members) == 0 && l.set != nil {
		_ = l.set.Close() // its goroutine ends
		l.set, l.raw, l.members = nil, nil, nil
	}
}

// open makes the set and begins to wait; mu is held.
func (l *lookout) open() bool {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return false
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // the runtime waits for the set in its own
		_ = syscall.Close(fd)
		return false
	}
	set := os.NewFile(uintptr(fd), "streams")
	raw, err := set.SyscallConn()
	if err != nil {
		_ = set.Close()
		return false
	}
	l.set, l.raw, l.members = set, raw, map[int64]*wire{}
	go l.wait(set, raw)
	return true
}

// wait tells of those who were heard, until the set is closed.
func (l *lookout) wait(set *os.File, raw syscall.RawConn) {
	var events [64]syscall.EpollEvent
	for {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			var err error
			for n, err = syscall.EpollWait(int(fd), events[:], 0); err == syscall.EINTR; {
				n, err = syscall.EpollWait(int(fd), events[:], 0)
			}
			return n > 0
		})
		if err != nil {
			return
		}
		l.mu.Lock()
		if l.set != set {
			l.mu.Unlock()
			return
		}
		for _, e := range events[:n] {
			place := int64(uint32(e.Fd)) | int64(e.Pad)<<32
			if w := l.members[place]; w != nil { // it has not ended meanwhile
				w.place = 0
				go w.listen()
				l.remove(place)
			}
		}
		l.mu.Unlock()
	}
}

var _ syscall.Conn = (*net.TCPConn)(nil)
