package lifecycle

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Why connections are tracked here and not left to http.Server.Shutdown: as
// of Go 1.26, once Shutdown has begun, a request that is read on a connection
// is dropped without an answer, and an idle connection is closed even when a
// request is waiting in its receive buffer. A client that wrote its request
// just then sees a reset, and must not retry a POST.
//
// So connections are served on. Their answers say "Connection: close", which
// ends every connection in use with its next answer. One that stays unused
// gets a grace and is then closed, after a last look into its receive buffer.
// Shutdown is called when no HTTP/1 connection is left.
const (
	// idleGrace is how long a connection may stay unused in a drain.
	idleGrace = 500 * time.Millisecond
	// partialGrace is how long a connection may take to complete a request
	// that it has begun: the figure of http.Server.Shutdown for new ones.
	partialGrace = 5 * time.Second
	// lastLook bounds the last read of a connection about to be closed, where
	// the system has no read that does not wait.
	lastLook = time.Millisecond
)

// phase is what a connection is doing.
type phase int32

const (
	unused   phase = iota // new or idle, with no byte of a request seen
	partial               // bytes seen, but no complete request
	active                // a request is being served
	leaving               // unused, and asked to go
	multiple              // HTTP/2: ended by the server's GOAWAY
	hijacked              // ended by whoever has it
)

// conns is the set of open connections of one server.
type conns struct {
	mu   sync.Mutex
	all  map[*conn]struct{}
	lent int // hijacked ones that whoever has them has not closed
}

// conn is a tracked connection.
type conn struct {
	net.Conn
	set   *conns
	phase atomic.Int32

	mu    sync.Mutex // phase changes; deadlines set for leaving
	since time.Time  // of the phase
	slow  bool       // leaving in the middle of a request
	lent  bool       // guarded by set.mu
}

// tcpConn keeps what net/http uses of a TCP connection beyond net.Conn.
type tcpConn struct {
	conn
	tcp *net.TCPConn
}

var (
	_ io.ReaderFrom = (*tcpConn)(nil)
	_ syscall.Conn  = (*tcpConn)(nil)
)

// ReadFrom lets the kernel send files.
func (c *tcpConn) ReadFrom(r io.Reader) (int64, error) { return c.tcp.ReadFrom(r) }

// CloseWrite lets net/http end a connection without a reset.
func (c *tcpConn) CloseWrite() error { return c.tcp.CloseWrite() }

// SyscallConn implements syscall.Conn.
func (c *tcpConn) SyscallConn() (syscall.RawConn, error) { return c.tcp.SyscallConn() }

func (c *conn) tracked() *conn { return c }

// add returns nc as a tracked connection.
func (s *conns) add(nc net.Conn) net.Conn {
	var c *conn
	var out net.Conn
	if tcp, ok := nc.(*net.TCPConn); ok {
		t := &tcpConn{tcp: tcp}
		c, out = &t.conn, t
	} else {
		c = &conn{}
		out = c
	}
	c.Conn, c.set, c.since = nc, s, time.Now()
	s.mu.Lock()
	s.all[c] = struct{}{}
	s.mu.Unlock()
	return out
}

func (s *conns) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

func (s *conns) list() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*conn, 0, len(s.all))
	for c := range s.all {
		list = append(list, c)
	}
	return list
}

// sweep asks connections to go that have been unused since before drained and
// for their grace, and returns how many are still to be waited for.
func (s *conns) sweep(drained time.Time, grace time.Duration) (waiting int) {
	for _, c := range s.list() {
		if c.sweep(drained, grace) != multiple {
			waiting++
		}
	}
	return waiting
}

// closeAll cuts all connections. Who has a hijacked one notices by and by, and
// closes it too.
func (s *conns) closeAll() {
	for _, c := range s.list() {
		_ = c.cut()
	}
}

// out returns how many hijacked connections are still in somebody's hands.
func (s *conns) out() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lent
}

// lend notes that the connection is hijacked.
func (c *conn) lend() {
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	if !c.lent {
		c.lent = true
		c.set.lent++
	}
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.set.mu.Lock()
	if c.lent {
		c.lent = false
		c.set.lent--
	}
	c.set.mu.Unlock()
	return c.cut()
}

func (c *conn) cut() error {
	c.set.mu.Lock()
	delete(c.set.all, c)
	c.set.mu.Unlock()
	return c.Conn.Close()
}

// Read implements net.Conn. It notes the first byte of a request.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && phase(c.phase.Load()) == leaving {
		return c.lastRead(p, err)
	}
	if n > 0 {
		if p := phase(c.phase.Load()); p == unused || p == leaving {
			c.mu.Lock()
			if !c.slow {
				c.arrived()
			}
			c.mu.Unlock()
		}
	}
	return n, err
}

// lastRead looks once more for a request that came before the deadline was
// noticed, without waiting: net/http closes the connection right after it.
func (c *conn) lastRead(p []byte, timeout error) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.slow { // it had its time: another byte buys no more
		return 0, timeout
	}
	_ = c.SetReadDeadline(time.Now().Add(lastLook))
	n, err := 0, timeout
	if tcp, ok := c.Conn.(*net.TCPConn); ok && canReadNow {
		n = readNow(tcp, p)
	} else {
		n, err = c.Conn.Read(p)
	}
	if n == 0 {
		return 0, err
	}
	c.arrived()
	return n, nil
}

// arrived takes the connection back from the unused ones; c.mu is held.
func (c *conn) arrived() {
	if phase(c.phase.Load()) == leaving {
		_ = c.SetReadDeadline(time.Time{}) // the drain's budget bounds it
	}
	c.enter(partial)
}

// enter changes the phase; c.mu is held.
func (c *conn) enter(p phase) {
	c.phase.Store(int32(p))
	c.since = time.Now()
}

// sweep is conns.sweep for one connection. It returns the phase.
func (c *conn) sweep(drained time.Time, grace time.Duration) phase {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := phase(c.phase.Load())
	since := c.since
	if since.Before(drained) {
		since = drained
	}
	age := time.Since(since)
	if p == unused && age >= grace || p == partial && age >= max(grace, partialGrace) {
		c.slow = p == partial
		p = leaving
		c.enter(leaving)
	}
	if p == leaving {
		// Again in every sweep: net/http may have set its own deadline since.
		_ = c.SetReadDeadline(time.Unix(1, 0))
	}
	return p
}

// observe follows http.Server's view of the connection (http.Server.ConnState).
func observe(nc net.Conn, state http.ConnState) {
	secure, _ := nc.(*tls.Conn)
	if secure != nil {
		nc = secure.NetConn()
	}
	t, ok := nc.(interface{ tracked() *conn })
	if !ok {
		return
	}
	c := t.tracked()
	c.mu.Lock()
	defer c.mu.Unlock()
	if phase(c.phase.Load()) == multiple {
		return
	}
	switch state {
	case http.StateActive:
		c.enter(active)
	case http.StateIdle:
		if secure != nil && secure.ConnectionState().NegotiatedProtocol == "h2" {
			c.enter(multiple)
			return
		}
		c.enter(unused)
	case http.StateHijacked:
		c.enter(hijacked)
		c.lend()
	}
}
