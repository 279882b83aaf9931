package transport

import (
	"net/http"
	"time"

	"github.com/gorilla/websocket"
	goahttp "goa.design/goa/v3/http"

	"github.com/aguada-dev/aguada/policy"
)

// closing is how long a stream may take to say its last once the server stops,
// and how long a close frame may take.
const closing = time.Second

// upgrader opens WebSockets for generated code.
type upgrader struct {
	websocket.Upgrader
	shared websocket.Upgrader // for pages of the method's origins
}

// Upgrader returns the upgrader of WebSockets. It accepts browsers of the same
// origin, and of those that the method's CORS names, and messages up to the
// method's MaxBody. A connection is closed
// when its method returns.
func (h *HTTP) Upgrader() goahttp.Upgrader {
	u := &upgrader{Upgrader: websocket.Upgrader{
		HandshakeTimeout: 10 * time.Second, ReadBufferSize: 4 << 10, WriteBufferSize: 4 << 10,
		Error: func(_ http.ResponseWriter, r *http.Request, status int, reason error) {
			if c := callOf(r.Context()); c != nil && !c.hijacked {
				c.answer((&refused{status: status, name: "bad_handshake", message: "the WebSocket handshake failed"}).because(reason))
			}
		},
	}}
	u.shared = u.Upgrader
	u.shared.CheckOrigin = func(*http.Request) bool { return true }
	return u
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
	open := &u.Upgrader
	if c != nil && c.page != nil && (!c.m.ambient || c.page.credentials) {
		open = &u.shared
	}
	conn, err := open.Upgrade(w, r, header)
	if err != nil || c == nil {
		return conn, err
	}
	conn.SetReadLimit(c.m.maxBody)
	c.mu.Lock()
	c.conn = conn
	leaving := c.leaving
	c.mu.Unlock()
	if leaving {
		goodbye(conn)
	}
	return conn, nil
}

// track counts a stream among those that CloseStreams ends, and reports
// whether it may begin: not after CloseStreams.
func (h *HTTP) track(c *call) bool {
	h.streamsMu.Lock()
	defer h.streamsMu.Unlock()
	if h.closing {
		return false
	}
	h.streams[c] = struct{}{}
	return true
}

func (h *HTTP) untrack(c *call) {
	h.streamsMu.Lock()
	defer h.streamsMu.Unlock()
	delete(h.streams, c)
}

// CloseStreams asks the open streams to end, and lets no other begin: it tells
// WebSocket clients that the server goes away, and cancels the contexts. A
// client that does not read has a second to take what is written to it. It
// does not wait.
func (h *HTTP) CloseStreams() {
	h.streamsMu.Lock()
	defer h.streamsMu.Unlock()
	h.closing = true
	for c := range h.streams {
		go c.goAway() // none waits for another's client
	}
}

// goAway asks one stream to end.
func (c *call) goAway() {
	c.mu.Lock()
	c.leaving = true
	conn := c.conn
	if c.m.Kind == policy.EventStream && !c.ended.Load() { // the writer is the handler's until then
		_ = http.NewResponseController(c.w).SetWriteDeadline(time.Now().Add(closing))
	}
	c.mu.Unlock()
	if conn != nil {
		goodbye(conn)
	}
	if s := c.standard(); s != nil {
		s.cancel()
	}
}

// goodbye sends a close frame, and ends reads and writes that wait for a
// client that does not answer it.
func goodbye(conn *websocket.Conn) {
	deadline := time.Now().Add(closing)
	_ = conn.NetConn().SetDeadline(deadline)
	_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, ""), deadline)
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
