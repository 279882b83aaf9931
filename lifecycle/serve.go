package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// sweepEvery is how often a drain looks at the connections.
	sweepEvery = 10 * time.Millisecond
	// lastGrace is how long the requests of ServeLast may take in the end.
	lastGrace = 250 * time.Millisecond
)

// member is a server of a group.
type member interface {
	// stopAccepting returns when the listener is closed and every connection
	// that the kernel had completed is being served.
	stopAccepting()
	// finish waits until all that was accepted is answered. When ctx ends
	// first, the rest is cut: handlers have until cutEnd to notice, since the
	// hooks that run next take away what they use.
	finish(ctx context.Context, cutEnd time.Time) error
	// running counts the requests under way.
	running() int
	connections() int
}

// server is one http.Server of a group.
type server struct {
	name     string
	http     *http.Server
	ln       *listener
	conns    *conns
	cut      context.CancelFunc // ends the contexts of all requests
	inFlight atomic.Int64
	done     chan struct{} // closed when Serve has returned
}

// Serve starts to serve srv on ln and returns; over TLS if srv has a TLSConfig.
// A server that ends by itself ends Run with its error, under name.
//
// The group owns both from here on, also when it returns an error: it wraps
// srv's Handler, ConnState and BaseContext and closes both when it stops.
// Requests are served at once, also in state Starting; a handler that must not
// be called before the start is over has to ask Ready.
func (g *Group) Serve(name string, ln net.Listener, srv *http.Server) error {
	return g.serve(func(s *server) { g.servers = append(g.servers, s) }, name, ln, srv)
}

// ServeLast is Serve for what operates the service. It is served until all
// else is over, also while requests are drained and hooks run, so that a stop
// can be watched. Then its requests have a moment to end; those that are cut
// are no error. [Group.InFlight] does not count them.
func (g *Group) ServeLast(name string, ln net.Listener, srv *http.Server) error {
	return g.serve(func(s *server) { g.last = append(g.last, s) }, name, ln, srv)
}

func (g *Group) serve(add func(*server), name string, ln net.Listener, srv *http.Server) error {
	set := &conns{all: make(map[*conn]struct{})}
	s := &server{
		name:  name,
		http:  srv,
		ln:    &listener{Listener: ln, conns: set},
		conns: set,
		done:  make(chan struct{}),
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.Draining() {
		return errors.Join(fmt.Errorf("serve %s: the group has been stopped", name), ln.Close())
	}
	g.adopt(s)
	add(s)
	go func() {
		defer close(s.done)
		serve := srv.Serve
		if srv.TLSConfig != nil {
			serve = func(l net.Listener) error { return srv.ServeTLS(l, "", "") }
		}
		g.ended(name, serve(s.ln))
	}()
	return nil
}

// ended stops the group because a server ended by itself.
func (g *Group) ended(name string, err error) {
	if g.State() >= Draining {
		return
	}
	select {
	case g.failed <- fmt.Errorf("serve %s: %w", name, err):
	default: // one suffices to stop
	}
}

// adopt puts the group's hooks into the http.Server.
func (g *Group) adopt(s *server) {
	handler := s.http.Handler
	if handler == nil {
		handler = http.NotFoundHandler() // never http.DefaultServeMux, where anyone registers
	}
	s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.inFlight.Add(1)
		defer s.inFlight.Add(-1)
		if g.Draining() {
			w.Header().Set("Connection", "close") // for HTTP/2, net/http sends GOAWAY
		}
		handler.ServeHTTP(w, r)
	})
	connState := s.http.ConnState
	s.http.ConnState = func(c net.Conn, state http.ConnState) {
		observe(c, state)
		if connState != nil {
			connState(c, state)
		}
	}
	parent := s.http.BaseContext
	if parent == nil {
		parent = func(net.Listener) context.Context { return context.Background() }
	}
	ended, cut := context.WithCancel(context.Background())
	s.cut = cut
	s.http.BaseContext = func(l net.Listener) context.Context {
		ctx, cancel := context.WithCancel(parent(l))
		context.AfterFunc(ended, cancel)
		return ctx
	}
}

// InFlight returns how many requests are being served.
func (g *Group) InFlight() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, s := range g.servers {
		n += s.running()
	}
	return n
}

func (s *server) running() int { return int(s.inFlight.Load()) }

func (s *server) connections() int { return s.conns.count() }

func (s *server) stopAccepting() {
	s.ln.stop()
	<-s.done
	_ = s.ln.Close() // still open where Serve ended by itself
}

// end stops a server whose requests are promised nothing.
func (s *server) end(force context.Context) {
	s.cut()
	ctx, cancel := context.WithTimeout(force, lastGrace)
	defer cancel()
	_ = s.http.Shutdown(ctx)
	_ = s.http.Close()
	s.conns.closeAll() // the hijacked ones
	<-s.done
	_ = s.ln.Close()
}

func (s *server) finish(ctx context.Context, cutEnd time.Time) error {
	defer s.cut()
	err := s.settle(ctx)
	if err == nil {
		err = s.http.Shutdown(ctx) // ends HTTP/2 connections with GOAWAY
	}
	if err == nil {
		return nil
	}
	requests, connections := s.inFlight.Load(), s.conns.count()
	s.cut()
	_ = s.http.Close()
	s.conns.closeAll()
	why := "shutdown was forced"
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		why = "the budget is used up"
		await(func() int { return s.running() + s.conns.out() }, cutEnd)
	}
	err = fmt.Errorf("serve %s: %s: cut %d requests in flight on %d connections", s.name, why, requests, connections)
	if stuck := s.inFlight.Load(); stuck > 0 {
		err = fmt.Errorf("%w; %d handlers did not end", err, stuck)
	}
	return err
}

// settle waits until every HTTP/1 and hijacked connection has gone and no
// request is in flight.
func (s *server) settle(ctx context.Context) error {
	drained := time.Now()
	grace := idleGrace
	if end, ok := ctx.Deadline(); ok {
		grace = min(grace, time.Until(end)/2)
	}
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for s.conns.sweep(drained, grace) > 0 || s.inFlight.Load() > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// await waits until end for handlers whose requests were cut.
func await(running func() int, end time.Time) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for running() > 0 && time.Now().Before(end) {
		<-tick.C
	}
}
