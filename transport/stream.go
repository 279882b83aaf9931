package transport

import (
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"github.com/aguada-dev/aguada/policy"
)

// closing is how long a stream may take to say its last once the server stops,
// and how long a close frame may take.
const closing = time.Second

// stream is a call that lasts until somebody ends it.
type stream interface {
	// goAway asks the stream to end. It may take a second.
	goAway()
}

// track counts a stream among those that CloseStreams ends, and reports
// whether it may begin: not after CloseStreams.
func (p *path) track(s stream) bool {
	p.streamsMu.Lock()
	defer p.streamsMu.Unlock()
	if p.closing {
		return false
	}
	p.streams[s] = struct{}{}
	return true
}

func (p *path) untrack(s stream) {
	p.streamsMu.Lock()
	defer p.streamsMu.Unlock()
	delete(p.streams, s)
}

// CloseStreams asks the open streams to end, and lets no other begin: it
// cancels their contexts, tells WebSocket clients that the server goes away, and
// clients of Server-Sent Events when to come back. A
// client that does not read has a second to take what is written to it. It
// does not wait.
func (p *path) CloseStreams() {
	p.streamsMu.Lock()
	defer p.streamsMu.Unlock()
	p.closing = true
	for s := range p.streams {
		if c, ok := s.(*call); ok && c.outgrown() { // it writes by itself: thousands need no goroutines
			c.goAway()
			continue
		}
		go s.goAway() // none waits for another's client
	}
}

// Streams returns the number of open streams.
func (p *path) Streams() int {
	p.streamsMu.Lock()
	defer p.streamsMu.Unlock()
	return len(p.streams)
}

// InFlight returns the number of calls under way, streams included.
func (p *path) InFlight() int { return int(p.inFlight.Load()) }

// open begins a stream, unless it has begun, and reports whether it may. From
// then on the stream is watched: StreamIdle and the end of its credential end
// it. A credential that is revoked meanwhile is not noticed.
func (c *call) open() bool {
	if c.opened {
		return true
	}
	if !c.p.track(c) {
		return false
	}
	c.opened = true
	c.watch = newWatch(time.Duration(c.m.StreamIdle), c.validUntil(), c.cut)
	return true
}

// shut ends what open began.
func (c *call) shut() {
	if c.opened {
		c.watch.stop()
		c.p.untrack(c)
	}
}

// farewellSaid is the farewell of a stream of events that has ended by itself.
const farewellSaid = -1

// goAway asks the stream to end because the server stops.
func (c *call) goAway() { c.hangUp(websocket.CloseGoingAway, "") }

// cut ends the stream for a reason of the chassis.
func (c *call) cut(r *refused) {
	if !c.finish(r) {
		return
	}
	code := websocket.ClosePolicyViolation
	switch r.Answer {
	case &policy.StreamIdled:
		code = websocket.CloseGoingAway
	case &badText:
		code = websocket.CloseInvalidFramePayloadData
	}
	c.hangUp(code, r.reason())
}

// hangUp tells the client that the stream ends, cancels its context, and leaves
// its method a second to read and write. Only the first farewell counts. What
// there is to say to a client of Server-Sent Events is said by the handler,
// whose the writer is.
func (c *call) hangUp(code int, reason string) {
	c.mu.Lock()
	if c.farewell != 0 {
		c.mu.Unlock()
		return
	}
	c.farewell, c.farewellText = code, reason
	conn := c.conn
	if c.m.Kind == policy.EventStream && !c.ended.Load() {
		_ = http.NewResponseController(c.w).SetWriteDeadline(time.Now().Add(closing))
	}
	c.mu.Unlock()
	if conn != nil {
		c.goodbye(conn, code, reason)
	}
	if s := c.standard(); s != nil {
		s.cancel()
	}
}
