// Package proxy stands between a service and something that it depends on, and
// takes it away: as if it had died, or as if it had hung.
//
//	p, err := proxy.Start("127.0.0.1:5432")
//	defer p.Close()
//	env["DATABASE_URL"] = proxy.Through(env["DATABASE_URL"], p.Addr())
//	…
//	p.Cut()
//	err = p.Forward()
//
// It passes bytes of TCP, and knows nothing of what they mean. It listens on
// loopback only, and does not end TLS: who verifies the name of the other side
// finds another one.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"
)

// The port is chosen from below those that systems give to outgoing connections
// (from 32768 on Linux, from 49152 elsewhere), so that it is free when it is
// opened again.
const firstPort, lastPort = 20000, 32767

// Proxy passes bytes until it is told otherwise. It is safe for concurrent use.
type Proxy struct {
	target, address string

	mu       sync.Mutex
	listener net.Listener // nil while it is cut
	pairs    map[*pair]bool
	held     chan struct{} // closed when bytes go on; nil while they do
	taken    int
	closed   bool
	wg       sync.WaitGroup
}

// Start listens on a free port of 127.0.0.1 and passes what comes to the target,
// host:port, which need not be there yet.
func Start(target string) (*Proxy, error) {
	if _, _, err := net.SplitHostPort(target); err != nil {
		return nil, errors.New("start proxy: the target is no host:port")
	}
	p := &Proxy{target: target, pairs: map[*pair]bool{}}
	for {
		port := firstPort + rand.IntN(lastPort-firstPort+1)                                   //nolint:gosec // a port is no secret
		l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}) // taken: another
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("start proxy: %w", err)
		}
		p.address = l.Addr().String()
		p.serve(l)
		return p, nil
	}
}

// Addr returns where it listens, host:port, also while it is cut.
func (p *Proxy) Addr() string { return p.address }

// Forward passes bytes as they come: it ends what Cut and Hang began. What
// was held goes on its way. It fails if somebody else took the port, and after
// Close.
func (p *Proxy) Forward() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errors.New("forward: the proxy is closed")
	}
	if p.listener == nil {
		l, err := net.Listen("tcp4", p.address) //nolint:noctx // no name to look up
		if err != nil {
			return fmt.Errorf("forward: %w", err)
		}
		p.serve(l)
	}
	p.release()
	return nil
}

// Cut closes the port and resets all connections, as if the other side had died:
// new ones are refused.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut()
}

// cut is Cut under the lock.
func (p *Proxy) cut() {
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	for x := range p.pairs {
		x.reset()
	}
	p.release()
}

// Hang lets connections stand, and new ones be opened, and passes not a byte, as
// if the other side had stopped or its network swallowed everything.
func (p *Proxy) Hang() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil && !p.closed {
		p.held = make(chan struct{})
	}
}

// release lets held bytes go.
func (p *Proxy) release() {
	if p.held != nil {
		close(p.held)
		p.held = nil
	}
}

// Taken returns how many connections were opened through it.
func (p *Proxy) Taken() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}

// Close ends everything and returns when it has ended. It may be called twice.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.cut()
	p.mu.Unlock()
	p.wg.Wait()
}

// serve accepts until the listener is closed; the caller holds the lock, or is
// the only one.
func (p *Proxy) serve(l net.Listener) {
	p.listener = l
	p.wg.Go(func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				p.join(l, c)
			}
		}
	})
}

// join begins with a connection, unless the proxy was cut meanwhile.
func (p *Proxy) join(l net.Listener, c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := newPair(c)
	if p.listener != l {
		x.reset()
		return
	}
	p.pairs[x] = true
	p.taken++
	p.wg.Go(func() {
		p.pass(x)
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.pairs, x)
	})
}

// pass connects to the target and passes bytes both ways until both ends are
// done, or the pair is reset.
func (p *Proxy) pass(x *pair) {
	defer x.close()
	if !p.wait(x) {
		return
	}
	d := &net.Dialer{Timeout: 5 * time.Second}
	to, err := d.DialContext(x.ctx, "tcp", p.target)
	if err != nil || !x.meet(to) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.pump(x, to, x.from) })
	both.Go(func() { p.pump(x, x.from, to) })
	both.Wait()
}

// pump passes bytes in one direction, and its end.
func (p *Proxy) pump(x *pair, to, from net.Conn) {
	piece := make([]byte, 32<<10)
	for {
		n, err := from.Read(piece)
		if !p.wait(x) {
			return
		}
		if _, failed := to.Write(piece[:n]); failed != nil {
			x.reset()
			return
		}
		if err != nil {
			if c, ok := to.(*net.TCPConn); ok {
				_ = c.CloseWrite()
			}
			return
		}
	}
}

// wait returns once bytes may go on; false if the pair ended before.
func (p *Proxy) wait(x *pair) bool {
	for {
		p.mu.Lock()
		held := p.held
		p.mu.Unlock()
		if held == nil {
			return x.ctx.Err() == nil
		}
		select {
		case <-held:
		case <-x.ctx.Done():
			return false
		}
	}
}

// pair is a connection of the service's and the one to the target that belongs
// to it.
type pair struct {
	from net.Conn
	ctx  context.Context //nolint:containedctx // ends with the pair
	end  context.CancelFunc

	mu sync.Mutex
	to net.Conn
}

func newPair(from net.Conn) *pair {
	ctx, end := context.WithCancel(context.Background())
	return &pair{from: from, ctx: ctx, end: end}
}

// meet notes the connection to the target; false if the pair has ended.
func (x *pair) meet(to net.Conn) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ctx.Err() != nil {
		_ = to.Close()
		return false
	}
	x.to = to
	return true
}

// reset ends both connections at once: what was not sent yet is lost, and the
// peers are told so (RST).
func (x *pair) reset() {
	x.mu.Lock()
	for _, c := range []net.Conn{x.from, x.to} {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	}
	x.mu.Unlock()
	x.close()
}

// close ends both connections in order.
func (x *pair) close() {
	x.end()
	x.mu.Lock()
	defer x.mu.Unlock()
	_ = x.from.Close()
	if x.to != nil {
		_ = x.to.Close()
	}
}
