package transport

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aguada-dev/aguada/policy"
)

// wire is the connection of a stream of events over HTTP/1.1, which outgrew the
// server: what the server keeps for a request (its buffers, and the stack of its
// goroutine) is twice of what is needed to write events for hours. It is
// the response writer from the header on. A stream's connection serves no other
// request.
type wire struct {
	conn net.Conn
	head http.Header
	pre  []byte // the header, until it is sent
	err  error  // of the first write that failed

	apart *apart   // whose client is at the other end
	out   *lookout // that listens to it; nil where a goroutine does
	place int64    // among those that out listens to, 0 for none; guarded by it
}

// wires are buffers for what is written at once.
var wires = sync.Pool{New: func() any { return new([]byte) }}

var _ http.ResponseWriter = (*wire)(nil)

// Header returns what stands for the answer's header, which is sent: nothing.
func (w *wire) Header() http.Header {
	if w.head == nil {
		w.head = http.Header{}
	}
	return w.head
}

// WriteHeader does nothing: the header is sent.
func (w *wire) WriteHeader(int) {}

// Write sends a chunk (RFC 9112, section 7.1).
func (w *wire) Write(p []byte) (int, error) {
	if len(p) == 0 || w.err != nil {
		return 0, w.err
	}
	buf := wires.Get().(*[]byte)
	b := append((*buf)[:0], w.pre...)
	w.pre = nil
	b = appendChunk(b, p)
	_, w.err = w.conn.Write(b)
	if cap(b) <= maxScratch {
		*buf = b
		wires.Put(buf)
	}
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// FlushError sends the header if there was no event yet; otherwise nothing waits.
func (w *wire) FlushError() error {
	if w.err == nil && len(w.pre) > 0 {
		_, w.err = w.conn.Write(w.pre)
		w.pre = nil
	}
	return w.err
}

// SetWriteDeadline is for http.ResponseController.
func (w *wire) SetWriteDeadline(t time.Time) error { return w.conn.SetWriteDeadline(t) }

// begin makes the header, which goes with the first event.
func (w *wire) begin() {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\nDate: " + time.Now().UTC().Format(http.TimeFormat) + "\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n")
	_ = w.head.WriteSubset(&b, wireHeaders)
	b.WriteString("\r\n")
	w.pre, w.head = b.Bytes(), nil
}

// slim lets go of the headers of a stream that has begun: those of the request, with
// its credentials, have been read, and those of the answer are sent.
func (c *call) slim() {
	c.via, c.head, c.req.Header = slices.Clone(c.via), nil, http.Header{}
}

// wireHeaders are those that begin writes by itself.
var wireHeaders = map[string]bool{"Date": true, "Connection": true, "Transfer-Encoding": true, "Content-Length": true}

// outgrown reports whether the call has its connection from the server.
func (c *call) outgrown() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.apart != nil && c.apart.wire != nil
}

// hold keeps what close has to send before the end.
func (w *wire) hold(p []byte) { w.pre = appendChunk(w.pre, p) }

func appendChunk(b, p []byte) []byte {
	b = append(strconv.AppendUint(b, uint64(len(p)), 16), "\r\n"...)
	return append(append(b, p...), "\r\n"...)
}

// close ends the answer, and the connection. An answer that is not whole has no
// last chunk.
func (w *wire) close(whole bool, within time.Duration) {
	if w.out != nil {
		w.out.forget(w)
	}
	_ = w.conn.SetWriteDeadline(time.Now().Add(within))
	if whole {
		w.pre = append(w.pre, "0\r\n\r\n"...)
	}
	_ = w.FlushError()
	_ = w.conn.Close()
}

// maxIdleTalk bounds what a client may send that has nothing to say.
const maxIdleTalk = 64 << 10

// listen waits until the client is gone, and says so.
func (w *wire) listen() {
	defer w.apart.leave()
	var b [64]byte
	for n := 0; n < maxIdleTalk; {
		k, err := w.conn.Read(b[:])
		if err != nil {
			return
		}
		n += k
	}
}

// apart is the part of a call that runs in a goroutine of its own.
type apart struct {
	cancel context.CancelFunc
	gone   atomic.Bool      // the client
	done   chan apartResult // what becomes of the server's goroutine
	taken  chan taken       // what became of its connection
	wire   *wire            // nil as long as the connection is the server's
}

// taken is what the server's goroutine has when it is asked for its connection:
// no wire if that stays the server's.
type taken struct {
	wire     *wire
	panicked any
}

type apartResult byte

const (
	apartEnded   apartResult = iota // the answer is complete
	apartAborted                    // it is not, and the connection is to be closed
	apartAsked                      // the connection is to be the stream's
)

// mayOutgrow reports whether the call may take its connection over from the
// server, once it streams events.
func (c *call) mayOutgrow() bool {
	r := &c.req
	return c.route != nil && c.m.Kind == policy.EventStream && r.ProtoMajor == 1 && r.ProtoMinor == 1 && (r.Body == nil || r.Body == http.NoBody)
}

// leave says that the client is gone.
func (a *apart) leave() {
	a.gone.Store(true)
	a.cancel()
}

// deserted reports whether the client is gone, so that an error is no wonder.
func (c *core) deserted() bool {
	if c.http != nil && c.http.apart != nil {
		return c.http.apart.gone.Load()
	}
	if c.http != nil && c.http.socket != nil && c.http.socket.ear.left.Load() {
		return true
	}
	return c.parent.Err() != nil
}

// runApart calls the handler in a goroutine of its own, and returns when the
// answer is complete or the connection is taken over. The call ends there. Its
// context outlives the server's, which ends when the server's goroutine does.
func (c *call) runApart() {
	server, done := c.parent, make(chan apartResult, 1)
	a := &apart{done: done, taken: make(chan taken, 1)}
	c.parent, a.cancel = context.WithCancel(context.WithoutCancel(server))
	c.apart = a
	c.std.Store(nil) // whoever verified a credential has it no more
	if c.deadline.IsZero() {
		c.std.Store(&standard{c.parent, a.cancel})
	}
	go c.handleApart(a)
	for gone := server.Done(); ; gone = nil {
		select {
		case result := <-done:
			switch result {
			case apartAborted:
				panic(http.ErrAbortHandler)
			case apartEnded:
				return
			case apartAsked:
				got := c.letGo(a)
				a.taken <- got // from now on this is the stream's alone
				if got.wire != nil {
					return
				}
			}
		case <-gone:
			a.leave()
		}
	}
}

func (c *call) handleApart(a *apart) {
	aborted := true
	defer func() {
		if p := recover(); p != nil {
			c.shut()
			c.mishap(p)
		}
		a.cancel()
		switch {
		case a.wire != nil && c.farewell > 0:
			a.wire.close(!aborted, closing)
		case a.wire != nil:
			a.wire.close(!aborted, writeSlack)
		case aborted:
			a.done <- apartAborted
		default:
			a.done <- apartEnded
		}
		c.p.inFlight.Add(-1)
	}()
	defer func() { aborted = c.conclude(recover()) }()
	c.route.Value.f(c, &c.req)
}

// takeOver takes the connection of a stream of events that begins over from the
// server, with the header. It is false where the connection stays the
// server's, as under a middleware that does not let go of it. What needs room on
// a stack is done by the server's goroutine, which ends then: that of the method
// waits for hours, and a stack that has grown to 8 KB seldom shrinks.
func (c *call) takeOver() bool {
	a := c.apart
	if a == nil {
		return false
	}
	a.done <- apartAsked
	got := <-a.taken
	if got.panicked != nil {
		panic(got.panicked)
	}
	if got.wire == nil {
		return false
	}
	a.done, a.taken = nil, nil
	return true
}

// letGo takes the connection from the server. It runs in the server's goroutine,
// while that of the method waits, whose panics are.
func (c *call) letGo(a *apart) (got taken) {
	defer func() { got.panicked = recover() }()
	conn, _, err := http.NewResponseController(c.w).Hijack()
	if err != nil {
		return got
	}
	w := &wire{conn: conn, head: c.w.Header(), apart: a}
	got.wire = w
	c.mu.Lock()
	c.w, a.wire = w, w
	if c.farewell > 0 { // whose deadline is gone
		_ = conn.SetWriteDeadline(time.Now().Add(closing))
	}
	c.mu.Unlock()
	w.begin()
	c.slim()
	if out := &c.p.lookout; out.add(w) {
		w.out = out
	} else {
		go w.listen()
	}
	return got
}
