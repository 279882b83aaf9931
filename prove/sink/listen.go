package sink

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
)

// Ports are chosen from below those that systems give to outgoing connections
// (from 32768 on Linux, from 49152 elsewhere), so that a port that was closed for
// a while is free when it is opened again.
const firstPort, lastPort = 20000, 32767

// listen listens on an address of loopback; on a free one if it is empty.
func listen(addr string) (net.Listener, error) {
	if addr != "" {
		return net.Listen("tcp", addr) //nolint:noctx // no name to look up
	}
	for {
		port := firstPort + rand.IntN(lastPort-firstPort+1)                     //nolint:gosec // a port is no secret
		l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: loopback, Port: port}) // taken: another
		if !errors.Is(err, syscall.EADDRINUSE) {
			return l, err
		}
	}
}

var loopback = net.IPv4(127, 0, 0, 1)

// servers are the servers of both ports while they are open.
type servers struct {
	http *http.Server
	grpc *grpc.Server
	wg   sync.WaitGroup

	mu    sync.Mutex
	conns map[*conn]bool
	cut   bool
}

// open listens and serves; on the same ports as before, if there were any.
func (s *Sink) open() error {
	overHTTP, err := listen(s.httpAddr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	overGRPC, err := listen(s.grpcAddr)
	if err != nil {
		return errors.Join(fmt.Errorf("listen: %w", err), overHTTP.Close())
	}
	s.httpAddr, s.grpcAddr = overHTTP.Addr().String(), overGRPC.Addr().String()
	v := &servers{
		http: &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, MaxHeaderBytes: 64 << 10},
		grpc: s.grpcServer(), conns: map[*conn]bool{},
	}
	v.wg.Go(func() { _ = v.http.Serve(gated{overHTTP, &s.gate, v}) }) // ends when it is closed
	v.wg.Go(func() { _ = v.grpc.Serve(gated{overGRPC, &s.gate, v}) })
	s.servers = v
	return nil
}

// close cuts everything and waits until it is gone. The connections are ours to
// cut: gRPC waits for those that have not said anything yet.
func (v *servers) close() {
	v.mu.Lock()
	v.cut = true
	for c := range v.conns {
		_ = c.end()
	}
	v.mu.Unlock()
	_ = v.http.Close()
	v.grpc.Stop()
	v.wg.Wait()
}

// shutdown answers what is in flight, until ctx ends.
func (v *servers) shutdown(ctx context.Context) error {
	stopped := make(chan struct{})
	v.wg.Go(func() {
		defer close(stopped)
		v.grpc.GracefulStop()
	})
	err := v.http.Shutdown(ctx)
	select {
	case <-stopped:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// gate holds connections while it is shut.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // closed when it opens; nil while it is open
}

func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case shut && g.shut == nil:
		g.shut = make(chan struct{})
	case !shut && g.shut != nil:
		close(g.shut)
		g.shut = nil
	}
}

func (g *gate) hangs() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut != nil
}

// wait returns once the gate is open, or done is closed.
func (g *gate) wait(done <-chan struct{}) {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut == nil {
		return
	}
	select {
	case <-shut:
	case <-done:
	}
}

// gated is a listener whose connections wait at a gate.
type gated struct {
	net.Listener
	gate *gate
	of   *servers
}

func (l gated) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	held := &conn{Conn: c, gate: l.gate, of: l.of, done: make(chan struct{})}
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	if l.of.cut {
		_ = held.end()
	} else {
		l.of.conns[held] = true
	}
	return held, nil
}

type conn struct {
	net.Conn
	gate *gate
	of   *servers
	once sync.Once
	done chan struct{}
}

// Read keeps what came to itself while the gate is shut.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.gate.wait(c.done)
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	c.gate.wait(c.done)
	return c.Conn.Write(p)
}

func (c *conn) Close() error {
	c.of.mu.Lock()
	delete(c.of.conns, c)
	c.of.mu.Unlock()
	return c.end()
}

// end closes the connection, and lets go who waits at the gate.
func (c *conn) end() error {
	c.once.Do(func() { close(c.done) })
	return c.Conn.Close()
}
