package lifecycle_test

import (
	"bufio"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/lifecycle"
)

// TestRequestsAtTheGrace is the worst case of HTTP/1.1's own race: clients
// that write on unused connections at the very moment when those are closed.
// Whatever reaches the handler is answered; the rest is counted, since no
// server can answer what arrives after its close.
func TestRequestsAtTheGrace(t *testing.T) {
	const clients, grace, spread = 100, 500 * time.Millisecond, 20 * time.Millisecond
	var answered, closed, lost, handled atomic.Int64
	r := run(t, lifecycle.Config{}, &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		handled.Add(1)
	})})
	const request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
	var opened, wg sync.WaitGroup
	opened.Add(clients)
	begun := make(chan struct{})
	for range clients {
		wg.Go(func() {
			c, err := net.Dial("tcp", r.addr)
			if err != nil {
				t.Error(err)
				opened.Done()
				return
			}
			defer c.Close()
			in := bufio.NewReader(c)
			_, _ = io.WriteString(c, request)
			_, err = http.ReadResponse(in, nil)
			opened.Done()
			if err != nil {
				t.Errorf("before the stop: %v", err)
				return
			}
			<-begun
			_ = c.SetReadDeadline(time.Now().Add(grace - spread + rand.N(2*spread)))
			if _, err := in.Peek(1); errors.Is(err, io.EOF) {
				closed.Add(1) // a client that sees this sends nothing
				return
			}
			_ = c.SetReadDeadline(time.Time{})
			_, _ = io.WriteString(c, request)
			if _, err := http.ReadResponse(in, nil); err == nil {
				answered.Add(1)
			} else {
				lost.Add(1)
			}
		})
	}
	opened.Wait()
	close(begun)
	r.stop()
	if err := r.wait(); err != nil {
		t.Errorf("Run: %v", err)
	}
	wg.Wait()
	t.Logf("answered %d, saw the close first %d, crossed it %d", answered.Load(), closed.Load(), lost.Load())
	if h, a := handled.Load()-clients, answered.Load(); h != a {
		t.Errorf("%d requests reached the handler, %d were answered", h, a)
	}
}
