package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/transport/internal/streamsvc/gen/tape"
)

// veiled is a listener whose connections are no sockets for who has them.
type veiled struct{ net.Listener }

func (v veiled) Accept() (net.Conn, error) {
	c, err := v.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return struct{ net.Conn }{c}, nil
}

// following is a server whose method says why it ended, and a way to it.
func following(t *testing.T, wrap func(*httptest.Server)) (r *tapeRig, dial func() net.Conn, ended chan error) {
	t.Helper()
	r, ended = newTape(t, nil), make(chan error, 64)
	r.svc.ticks = func(ctx context.Context, _ *tape.TicksPayload, s tape.TicksServerStream) error {
		_ = s.Send(&tape.Tick{Text: "x"})
		ended <- until(ctx)
		return nil
	}
	server := httptest.NewUnstartedServer(r.h)
	wrap(server)
	t.Cleanup(server.Close)
	return r, func() net.Conn {
		conn := must(net.Dial("tcp", server.Listener.Addr().String()))(t)
		if server.TLS != nil {
			conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, _ = io.WriteString(conn, "GET /ticks HTTP/1.1\r\nHost: tape.test\r\n\r\n")
		if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(err)
		}
		return conn
	}, ended
}

// members returns how many connections are looked out for, and whether anything
// looks out.
func (l *lookout) state() (members int, open bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.members), l.set != nil
}

// A client that leaves ends its stream, whether it said something before or not,
// and whatever its connection is made of; that of another goes on. Nothing waits
// for clients once all have left.
func TestClientsOfEventsLeave(t *testing.T) {
	for name, wrap := range map[string]func(*httptest.Server){
		"socket": (*httptest.Server).Start,
		"TLS":    (*httptest.Server).StartTLS,
		"veiled": func(s *httptest.Server) { s.Listener = veiled{s.Listener}; s.Start() },
	} {
		t.Run(name, func(t *testing.T) {
			r, dial, ended := following(t, wrap)
			stays, leaves, talks := dial(), dial(), dial()
			if n, open := r.h.lookout.state(); open != (name == "socket") || open && n != 3 {
				t.Errorf("%d connections are looked out for, %v", n, open)
			}
			left := func() {
				t.Helper()
				select {
				case err := <-ended:
					if !errors.Is(err, context.Canceled) {
						t.Errorf("left with %v", err)
					}
				case <-time.After(20 * time.Second):
					t.Fatal("nobody notices that a client has left")
				}
			}
			_ = leaves.Close()
			left()
			_, _ = io.WriteString(talks, "hello")
			_ = talks.Close()
			left()
			select {
			case <-ended:
				t.Error("a client that stayed was taken to have left")
			default:
			}
			for end := time.Now().Add(20 * time.Second); r.h.Streams() != 1; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%d streams are left", r.h.Streams())
				}
			}
			_ = stays.Close()
			left()
			r.ended(t)
			if n, open := r.h.lookout.state(); n != 0 || open {
				t.Errorf("for nobody it still looks out: %d %v", n, open)
			}
		})
	}
}

// Clients that say a little are left alone; one that talks and talks is not.
func TestClientsOfEventsTalk(t *testing.T) {
	r, dial, ended := following(t, (*httptest.Server).Start)
	talks := dial()
	for range 3 {
		fmt.Fprint(talks, "PING\r\n")
	}
	other := dial()
	if n := r.h.Streams(); n != 2 {
		t.Errorf("%d streams are open", n)
	}
	_, _ = talks.Write(make([]byte, 2*maxIdleTalk))
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	_ = other.Close()
	<-ended
	r.ended(t)
}

// Streams come and go at once, and none is forgotten.
func TestManyClientsOfEvents(t *testing.T) {
	r, dial, ended := following(t, (*httptest.Server).Start)
	for range 4 {
		for range 16 {
			go func(conn net.Conn) { _ = conn.Close() }(dial())
		}
		for range 16 {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("ended with %v", err)
			}
		}
	}
	r.ended(t)
	if n, open := r.h.lookout.state(); n != 0 || open {
		t.Errorf("%d connections are looked out for, %v", n, open)
	}
}
