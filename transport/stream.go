package transport

import (
	"net/http"
	"time"

	"github.com/gorilla/websocket"
	goahttp "goa.design/goa/v3/http"
)

// closing is how long a close frame may take.
const closing = time.Second

// upgrader opens WebSockets for generated code.
type upgrader struct {
	websocket.Upgrader
}

// Upgrader returns the upgrader of WebSockets. It accepts browsers of the same
// origin only, and messages up to the method's MaxBody. A connection is closed
// when its method returns.
func (h *HTTP) Upgrader() goahttp.Upgrader {
	return &upgrader{websocket.Upgrader{
		HandshakeTimeout: 10 * time.Second, ReadBufferSize: 4 << 10, WriteBufferSize: 4 << 10,
		Error: func(_ http.ResponseWriter, r *http.Request, status int, reason error) {
			if c := callOf(r.Context()); c != nil && !c.hijacked {
				c.answer((&refused{status: status, name: "bad_handshake", message: "the WebSocket handshake failed"}).because(reason))
			}
		},
	}}
}

// Upgrade opens the WebSocket (goahttp.Upgrader).
func (u *upgrader) Upgrade(w http.ResponseWriter, r *http.Request, header http.Header) (*websocket.Conn, error) {
	c := callOf(r.Context())
	if c != nil {
		if header == nil {
			header = http.Header{}
		}
		header["X-Request-Id"] = c.id[:1:1]
	}
	conn, err := u.Upgrader.Upgrade(w, r, header)
	if err != nil || c == nil {
		return conn, err
	}
	conn.SetReadLimit(c.m.maxBody)
	c.mu.Lock()
	c.conn = conn
	c.mu.Unlock()
	return conn, nil
}

// track counts a stream among those that CloseStreams ends.
func (h *HTTP) track(c *call) (untrack func()) {
	h.streamsMu.Lock()
	h.streams[c] = struct{}{}
	h.streamsMu.Unlock()
	return func() {
		h.streamsMu.Lock()
		delete(h.streams, c)
		h.streamsMu.Unlock()
	}
}

// CloseStreams asks the open streams to end: it cancels their contexts, and
// tells WebSocket clients that the server goes away. It does not wait.
func (h *HTTP) CloseStreams() {
	h.streamsMu.Lock()
	calls := make([]*call, 0, len(h.streams))
	for c := range h.streams {
		calls = append(calls, c)
	}
	h.streamsMu.Unlock()
	for _, c := range calls {
		c.mu.Lock()
		conn := c.conn
		c.mu.Unlock()
		if conn != nil {
			deadline := time.Now().Add(closing)
			_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, ""), deadline)
			_ = conn.NetConn().SetReadDeadline(deadline)
		}
		if s := c.standard(); s != nil {
			s.cancel()
		}
	}
}

// closeStream closes the WebSocket of a call. One that its method closed
// already stays as it is.
func (c *call) closeStream(failed bool, reason string) {
	c.mu.Lock()
	conn := c.conn
	c.conn = nil
	c.mu.Unlock()
	if conn == nil {
		return
	}
	code := websocket.CloseNormalClosure
	switch {
	case failed:
		code = websocket.CloseInternalServerErr
	case reason != "":
		code = websocket.ClosePolicyViolation
	}
	if len(reason) > 100 { // a close frame holds 123 bytes
		reason = reason[:100]
	}
	_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(closing))
	_ = conn.Close()
}
