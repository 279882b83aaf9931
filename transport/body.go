package transport

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// body is the call as the request's body: it counts, and ends at the method's
// limit.
type body call

var _ io.ReadCloser = (*body)(nil)

// linger bounds how long the server reads on after an answer, to keep the
// connection when a client still sends a body that nobody wants.
const linger = 2 * time.Second

// unwanted is how much of an unread body is worth reading to keep the
// connection; with more, or an unknown size, it is closed.
const unwanted = 64 << 10

// Read reads at most one byte more than the limit and returns
// *http.MaxBytesError if it is there.
func (b *body) Read(p []byte) (int, error) {
	if b.bodyErr != nil {
		return 0, b.bodyErr
	}
	if len(p) == 0 {
		return 0, nil
	}
	if int64(len(p))-1 > b.left {
		p = p[:b.left+1]
	}
	n, err := b.read(p)
	if int64(n) > b.left {
		n = int(b.left)
		err = &http.MaxBytesError{Limit: b.m.maxBody}
		b.tooLarge.Store(true)
	}
	b.left -= int64(n)
	b.bodyIn.Add(int64(n))
	if err != nil {
		b.fail(err)
	}
	return n, err
}

// read reads from the client, and notes for how long.
func (b *body) read(p []byte) (int, error) {
	b.stepOut()
	if !b.outside {
		return b.src.Read(p)
	}
	begun := time.Now()
	n, err := b.src.Read(p)
	b.waited.Add(int64(time.Since(begun)))
	return n, err
}

// fail keeps the error of a body; the end of it frees the connection of the
// read deadline, which would otherwise cancel the request.
func (b *body) fail(err error) {
	b.bodyErr = err
	switch {
	case errors.Is(err, io.EOF):
		b.bodyDone.Store(true)
		if b.m.readTimeout > 0 && !b.ended.Load() {
			_ = http.NewResponseController(b.w).SetReadDeadline(time.Time{})
		}
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.stalled.Store(true)
	}
}

// Close closes the server's body.
func (b *body) Close() error { return b.src.Close() }

// takeBody puts the limit in front of the request's body.
func (c *call) takeBody() {
	r := &c.req
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return
	}
	c.src, c.left = r.Body, c.m.maxBody
	r.Body = (*body)(c)
}

// leaveBody decides what becomes of a body that was not read to its end.
func (c *call) leaveBody() {
	if c.src == nil || c.bodyDone.Load() || c.hijacked {
		return
	}
	if n := c.req.ContentLength; !c.begun && (n < 0 || n-c.bodyIn.Load() > unwanted) {
		c.dropConnection()
	}
	_ = http.NewResponseController(c.w).SetReadDeadline(time.Now().Add(linger))
}
