package transport

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/aguada-dev/aguada/policy"
)

var (
	_ http.ResponseWriter = (*call)(nil)
	_ http.Flusher        = (*call)(nil)
	_ http.Hijacker       = (*call)(nil)
	_ io.ReaderFrom       = (*call)(nil)
)

// errEnded is what a goroutine gets that writes after its request.
var errEnded = errors.New("write response: the request has ended")

// Header returns the answer's header.
func (c *call) Header() http.Header { return c.w.Header() }

// Unwrap lets http.ResponseController reach the server's writer.
func (c *call) Unwrap() http.ResponseWriter { return c.w }

// WriteHeader chooses the status. It is written with the first byte of the
// body, so that an answer that cannot be encoded can still become an error;
// until then a later call wins. Informational statuses are written at once. It
// panics on what is no status, as net/http does, and answers what a file server
// has to say in plain text as every other error is answered.
func (c *call) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("invalid status code %d", status))
	}
	switch {
	case c.begun || c.sealed || c.hijacked || c.ended.Load():
	case c.m.Kind == policy.Files && status >= http.StatusBadRequest:
		c.answer(c.fileError(status))
	case status >= 100 && status < 200 && status != http.StatusSwitchingProtocols:
		c.w.WriteHeader(status)
	default:
		if c.status = status; c.isEventStream() { // whatever its encoder does to the header is too late
			c.begin()
		}
	}
}

// begin writes the header.
func (c *call) begin() {
	if c.begun || c.hijacked {
		return
	}
	c.begun = true
	if c.status == 0 {
		c.status = http.StatusOK
	}
	if c.tooLarge.Load() || c.stalled.Load() {
		c.dropConnection()
	}
	if c.loaded {
		c.unload(c.start.Add(time.Since(c.start)), outcomeOf(c.status))
	}
	if c.isEventStream() {
		c.beginEvents()
		if c.takeOver() {
			return
		}
	}
	c.w.WriteHeader(c.status)
}

// dropConnection closes the connection after the answer. HTTP/2 resets just
// the stream by itself: the connection may be a proxy's, with the calls of
// others on it.
func (c *call) dropConnection() {
	if c.req.ProtoMajor < 2 {
		c.w.Header()["Connection"] = closeConnection
	}
}

// Write writes a part of the answer's body; what comes after a complete answer
// is dropped.
func (c *call) Write(p []byte) (int, error) {
	if c.ended.Load() {
		return 0, errEnded
	}
	if c.sealed {
		return len(p), nil
	}
	c.begin()
	if c.events != nil {
		return c.writeEvent(p)
	}
	n, err := c.w.Write(p)
	c.bodyOut += int64(n)
	return n, err
}

// ReadFrom keeps the server's way of sending files.
func (c *call) ReadFrom(src io.Reader) (int64, error) {
	rf, ok := c.w.(io.ReaderFrom)
	if !ok || c.sealed || c.m.Kind == policy.EventStream {
		return io.Copy(struct{ io.Writer }{c}, src)
	}
	if c.ended.Load() {
		return 0, errEnded
	}
	c.begin()
	n, err := rf.ReadFrom(src)
	c.bodyOut += n
	return n, err
}

// Flush sends what is written so far.
func (c *call) Flush() { _ = c.FlushError() }

// FlushError is Flush for http.ResponseController.
func (c *call) FlushError() error {
	if c.ended.Load() {
		return errEnded
	}
	c.begin()
	err := http.NewResponseController(c.w).Flush()
	if err == nil && c.events != nil {
		c.events.flushed(c.watch)
	}
	return err
}

// Hijack hands over the connection. From then on the call writes nothing.
func (c *call) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if c.ended.Load() {
		return nil, nil, errEnded
	}
	conn, rw, err := http.NewResponseController(c.w).Hijack()
	if err == nil {
		c.hijacked = true
		c.status = http.StatusSwitchingProtocols
		if c.m.Kind == policy.WebSocket {
			c.socket = c.newSocket(conn)
			conn = c.socket
		}
	}
	return conn, rw, err
}

// reset takes back an answer that has not begun. Headers of the request id, of
// CORS and the like stay: they hold for an error too.
func (c *call) reset() {
	header := c.w.Header()
	for _, key := range [...]string{
		"Content-Type", "Content-Length", "Content-Encoding", "Content-Disposition", "Etag", "Last-Modified",
		"Cache-Control", "Location", "Set-Cookie",
	} {
		delete(header, key)
	}
	c.status = 0
}

// setDeadlines lets the connection live as long as the method may. Writers
// that have no deadlines, as in tests, are as good.
func (c *call) setDeadlines() {
	m := c.m
	if m.readTimeout > 0 && c.src != nil {
		_ = http.NewResponseController(c.w).SetReadDeadline(c.start.Add(m.readTimeout))
	} else if m.clearRead {
		_ = http.NewResponseController(c.w).SetReadDeadline(time.Time{})
	}
	switch {
	case m.clearWrite:
		_ = http.NewResponseController(c.w).SetWriteDeadline(time.Time{})
	case m.writeTimeout > 0:
		_ = http.NewResponseController(c.w).SetWriteDeadline(c.start.Add(m.writeTimeout))
	}
}
