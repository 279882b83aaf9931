package transport

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// ear notices that the client of a WebSocket has left while its method does not
// read, as one that only sends: nothing else would, until it sends. It reads
// ahead, in a goroutine of its own, and gives way to a Read.
type ear struct {
	mu     sync.Mutex
	timer  *time.Timer
	done   chan struct{} // closed when the goroutine has ended; nil before it begins
	busy   bool          // a Read is under way
	heard  bool          // one was, since the last look
	closed bool

	left atomic.Bool // the client
	kept []byte      // what came, for the next Read; the goroutine's as long as it runs
	err  error       // that comes after kept; likewise
}

const (
	listenEvery = 5 * time.Second // how long a method may not read before the ear does
	maxKept     = 4 << 10         // bytes: a client that sends more is there
)

// begin looks from now on whether the method reads.
func (s *socket) begin() {
	e := &s.ear
	e.mu.Lock()
	defer e.mu.Unlock()
	e.timer = time.AfterFunc(listenEvery, s.look)
}

// look listens if the method does not.
func (s *socket) look() {
	e := &s.ear
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	if !e.busy && !e.heard && e.idle() && len(e.kept) < maxKept {
		if e.err != nil {
			return
		}
		e.done = make(chan struct{})
		go s.listen(e.done)
	}
	e.heard = false
	e.timer.Reset(listenEvery)
}

// idle reports whether nobody listens; mu is held.
func (e *ear) idle() bool {
	select {
	case <-e.done:
		return true
	default:
		return e.done == nil
	}
}

// listen reads until the client leaves, a Read takes over, or enough has come.
func (s *socket) listen(done chan struct{}) {
	defer close(done)
	e, ahead := &s.ear, s.in
	messages := false
	gone := ahead.Closes(e.kept, &messages)
	for b := make([]byte, 256); !gone && len(e.kept) < maxKept; {
		n, err := s.Conn.Read(b)
		e.kept = append(e.kept, b[:n]...)
		gone = ahead.Closes(b[:n], &messages)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			e.err, gone = err, true
		}
	}
	if gone {
		e.left.Store(true)
		if c := s.c.standard(); c != nil {
			c.cancel()
		}
	}
}

// take makes way for a Read, which gives back when it is through.
func (s *socket) take() {
	e := &s.ear
	e.mu.Lock()
	e.busy, e.heard = true, true
	done := e.done
	e.mu.Unlock()
	if done != nil {
		s.hush(done)
	}
}

func (s *socket) giveBack() {
	s.ear.mu.Lock()
	s.ear.busy = false
	s.ear.mu.Unlock()
}

// receive reads, first of what was read ahead.
func (s *socket) receive(p []byte) (int, error) {
	e := &s.ear
	if n := copy(p, e.kept); n > 0 {
		e.kept = e.kept[n:]
		return n, nil
	}
	if e.err != nil {
		return 0, e.err
	}
	return s.Conn.Read(p)
}

// hush ends the goroutine that listens.
func (s *socket) hush(done chan struct{}) {
	s.mu.Lock()
	s.hushing = true
	_ = s.Conn.SetReadDeadline(time.Unix(1, 0))
	s.mu.Unlock()
	<-done
	s.mu.Lock()
	s.hushing = false
	_ = s.Conn.SetReadDeadline(s.readBy)
	s.mu.Unlock()
	s.ear.mu.Lock()
	s.ear.done = nil
	s.ear.mu.Unlock()
}

// Close closes the connection, and the ear with it.
func (s *socket) Close() error {
	e := &s.ear
	e.mu.Lock()
	e.closed = true
	if e.timer != nil {
		e.timer.Stop()
	}
	e.mu.Unlock()
	s.awaitLeave()
	return s.Conn.Close()
}
