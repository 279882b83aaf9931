package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// RPC is a server other than net/http's that ends gracefully, as *grpc.Server
// does.
type RPC interface {
	// Serve serves ln until the server is stopped, or ln fails.
	Serve(ln net.Listener) error
	// GracefulStop asks clients to go, and returns when all calls are over.
	GracefulStop()
	// Stop ends all calls and connections, and GracefulStop with them. Both may
	// wait for a handler that does not return: the group does not.
	Stop()
}

// rpcServer is one RPC of a group.
type rpcServer struct {
	name     string
	rpc      RPC
	ln       *listener
	conns    *conns
	inFlight func() int
	done     chan struct{} // closed when Serve has returned
}

var _ member = (*rpcServer)(nil)

// ServeRPC starts to serve srv on ln and returns. A server that ends by itself
// ends Run with its error, under name. When the group stops, the backlog of ln
// is emptied as for Serve, and srv has until the end of the budget to end
// gracefully; then it is stopped, and what inFlight counts is cut.
//
// The group owns both from here on, also when it returns an error.
func (g *Group) ServeRPC(name string, ln net.Listener, srv RPC, inFlight func() int) error {
	set := &conns{all: make(map[*conn]struct{})}
	s := &rpcServer{
		name: name, rpc: srv, ln: &listener{Listener: ln, conns: set}, conns: set, inFlight: inFlight, done: make(chan struct{}),
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.Draining() {
		srv.Stop()
		return errors.Join(fmt.Errorf("serve %s: the group has been stopped", name), ln.Close())
	}
	g.servers = append(g.servers, s)
	go func() {
		defer close(s.done)
		err := srv.Serve(s.ln)
		if err == nil {
			err = errors.New("it was stopped by somebody else")
		}
		g.ended(name, err)
	}()
	return nil
}

func (s *rpcServer) running() int { return s.inFlight() }

func (s *rpcServer) connections() int { return s.conns.count() }

func (s *rpcServer) stopAccepting() {
	s.ln.stop()
	<-s.done
	_ = s.ln.Close() // still open where Serve ended by itself
}

// finish waits until all calls are over. When ctx ends first, the rest is cut:
// handlers have until cutEnd to notice.
func (s *rpcServer) finish(ctx context.Context, cutEnd time.Time) error {
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.rpc.GracefulStop()
	}()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
	}
	calls, connections := s.running(), s.connections()
	go s.rpc.Stop()
	why, end := "shutdown was forced", time.Now().Add(lastGrace)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		why, end = "the budget is used up", cutEnd
	}
	timer := time.NewTimer(time.Until(end)) // a handler may never return, and both wait for it
	defer timer.Stop()
	select {
	case <-over:
	case <-timer.C:
	}
	err := fmt.Errorf("serve %s: %s: cut %d calls in flight on %d connections", s.name, why, calls, connections)
	if stuck := s.running(); stuck > 0 {
		err = fmt.Errorf("%w; %d handlers did not end", err, stuck)
	}
	return err
}
