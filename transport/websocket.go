package transport

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	goahttp "goa.design/goa/v3/http"
	goa "goa.design/goa/v3/pkg"

	"github.com/aguada-dev/aguada/limit"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/frames"
)

// upgrader opens WebSockets for generated code.
type upgrader struct {
	websocket.Upgrader
	shared websocket.Upgrader // for pages of the method's origins
}

// Upgrader returns the upgrader of WebSockets. It accepts browsers of the same
// origin, and of those that the method's CORS names, messages up to the
// method's MaxBody, and as many as its MessageRate has them. A connection is
// closed when its method returns, with one of these codes (RFC 6455, 7.4.1):
//
//	1000  the method returned no error
//	1001  the server stops; or, with the reason stream_idle, no message passed for StreamIdle
//	1002  the client broke the protocol
//	1007  a text message is not UTF-8
//	1008  an error of the client's, whose name is the reason; too_many_messages; expired: the credential is
//	1009  a message is larger than MaxBody
//	1011  a fault, or another error of status 500 and above
//	1013  a temporary error of status 500 and above: the client may try again
func (h *HTTP) Upgrader() goahttp.Upgrader {
	u := &upgrader{Upgrader: websocket.Upgrader{
		// The reader is the server's, whose size there is no reason to change.
		HandshakeTimeout: 10 * time.Second, WriteBufferSize: 4 << 10, WriteBufferPool: new(sync.Pool),
		Error: func(_ http.ResponseWriter, r *http.Request, status int, reason error) {
			if c := callOf(r.Context()); c != nil && !c.hijacked {
				refusal := refuse(&policy.BadHandshake).because(reason)
				refusal.status = status
				c.answer(refusal)
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
	if c == nil {
		return u.Upgrader.Upgrade(w, r, header)
	}
	if !c.open() {
		return nil, stopping()
	}
	if header == nil {
		header = http.Header{}
	}
	header["X-Request-Id"] = c.id[:1:1]
	open := &u.Upgrader
	if c.page != nil && (!c.m.ambient || c.page.Credentials) {
		open = &u.shared
	}
	conn, err := open.Upgrade(w, r, header)
	if err != nil {
		return conn, err
	}
	conn.SetReadLimit(c.m.maxBody)
	if c.socket != nil {
		c.socket.open = true
		c.socket.begin()
	}
	c.mu.Lock()
	c.conn = conn
	code, reason := c.farewell, c.farewellText
	c.mu.Unlock()
	if code != 0 {
		c.goodbye(conn, code, reason)
	}
	return conn, nil
}

// Bounds of what comes with messages: pings, pongs, and the fragments of a
// message after the first, if they are smaller than smallFragment. They may come
// as often as messages, but at least so often that no honest client notices.
const (
	extraEvery    = 100 * time.Millisecond
	extraBurst    = 100
	smallFragment = 125
)

// socket is the connection of a WebSocket. It sees what passes, since generated
// code reads the *websocket.Conn by itself. Reads and writes are for one
// goroutine each, as gorilla has it; deadlines are for any.
type socket struct {
	net.Conn
	c    *call
	open bool // after the handshake

	in, out          frames.Follower
	bounded          bool
	messages, extras pace
	texts            frames.Texts
	over             bool         // no more is admitted: the rate is exceeded, or
	garbled          bool         // a text is not UTF-8
	broken           atomic.Bool  // the connection
	sent             atomic.Int32 // code of the last close frame

	ear     ear
	mu      sync.Mutex
	end     time.Time // that no deadline is later than; zero for none
	readBy  time.Time // deadline of reads
	hushing bool      // the connection's is another
}

// compileStream makes what bounds the method's streams.
func (m *method) compileStream() error {
	if m.StreamIdle < 0 {
		return fmt.Errorf("method %s.%s: the idle time of streams is negative", m.Service, m.Name)
	}
	if m.MessageRate == nil {
		return nil
	}
	r := limit.Rule{Name: "messages", Rate: m.MessageRate.Rate, Per: time.Duration(m.MessageRate.Per), Burst: m.MessageRate.Burst}
	if err := r.Check(); err != nil {
		return fmt.Errorf("method %s.%s: bound the messages of streams: %w", m.Service, m.Name, err)
	}
	m.messages = pace{cost: int64(r.Interval()), fill: int64(r.Fill())}
	m.extras.cost = min(m.messages.cost, int64(extraEvery))
	m.extras.fill = m.extras.cost * max(m.messages.fill/m.messages.cost, extraBurst)
	return nil
}

func (c *call) newSocket(conn net.Conn) *socket {
	s := &socket{Conn: conn, c: c}
	s.bounded, s.messages, s.extras = c.m.MessageRate != nil, c.m.messages, c.m.extras
	return s
}

// Read returns what came up to the first frame that is one too many.
func (s *socket) Read(p []byte) (int, error) {
	if s.over {
		return 0, s.exceeded()
	}
	s.take()
	defer s.giveBack()
	n, err := s.receive(p)
	if err != nil {
		s.broken.Store(true)
	}
	admitted := s.admit(p[:n])
	if admitted == n {
		return n, err
	}
	if s.over = true; admitted == 0 {
		return 0, s.exceeded()
	}
	return admitted, nil
}

// exceeded ends the stream of a client that sends what is not admitted.
func (s *socket) exceeded() error {
	if !s.garbled {
		return s.c.tooManyMessages()
	}
	r := refuse(&badText)
	s.c.cut(r)
	return r
}

// admit counts what a client sent, and returns how much of it is within bounds.
func (s *socket) admit(b []byte) int {
	begun := 0 // where the frame begins
	for at := 0; ; {
		inside := s.in.Inside()
		n, what := s.in.Next(b[at:])
		if inside && !s.texts.Take(&s.in, b[at:at+n], what == frames.End) {
			s.garbled = true
			return begun
		}
		at += n
		switch what {
		case frames.Header:
			if s.texts.Begin(&s.in); s.bounded && !s.count() {
				return begun
			}
		case frames.End:
			if begun = at; s.in.Message() {
				s.c.watch.touch()
			}
		default:
			return len(b)
		}
	}
}

// count charges a frame whose header came.
func (s *socket) count() bool {
	now := int64(time.Since(s.c.start))
	switch f := &s.in; {
	case f.Control(), f.Continues() && f.Left() < smallFragment:
		return s.extras.take(now)
	case f.Continues():
		return true
	default:
		return s.messages.take(now)
	}
}

// Write counts a message once all of it is with the kernel: a client that reads
// nothing gets none.
func (s *socket) Write(p []byte) (int, error) {
	if s.open && s.out.Between() && len(p) >= 4 && p[0]&0x0f == frames.OpClose {
		s.sent.Store(int32(binary.BigEndian.Uint16(p[2:])))
	}
	n, err := s.Conn.Write(p)
	if err != nil {
		s.broken.Store(true)
	}
	if !s.open {
		return n, err
	}
	for b := p[:n]; ; {
		k, what := s.out.Next(b)
		b = b[k:]
		if what == frames.More {
			return n, err
		}
		if what == frames.End && s.out.Message() {
			s.c.watch.touch()
		}
	}
}

// within returns the deadline, or the end if it is earlier.
func (s *socket) within(t time.Time) time.Time {
	if s.end.IsZero() || !t.IsZero() && t.Before(s.end) {
		return t
	}
	return s.end
}

// SetDeadline is [net.Conn.SetDeadline] up to the end.
func (s *socket) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// SetReadDeadline is [net.Conn.SetReadDeadline] up to the end.
func (s *socket) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readWithin(t)
}

// SetWriteDeadline is [net.Conn.SetWriteDeadline] up to the end.
func (s *socket) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Conn.SetWriteDeadline(s.within(t))
}

// endBy lets no read or write wait beyond the moment, whoever sets deadlines.
func (s *socket) endBy(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end = t
	_ = s.Conn.SetWriteDeadline(t)
	_ = s.readWithin(t)
}

// readWithin sets the deadline of reads; mu is held.
func (s *socket) readWithin(t time.Time) error {
	if s.readBy = s.within(t); s.hushing {
		return nil
	}
	return s.Conn.SetReadDeadline(s.readBy)
}

// maxLinger is how many bytes are read of a client after its stream.
const maxLinger = 1 << 20

// awaitLeave waits, once a close frame was sent, until the client has left, until
// the end if there is one, else for a second. A connection that is closed while
// something comes in, be it the client's own close frame, is reset, and the
// client may lose what it has not read (RFC 6455, section 7.1.1).
func (s *socket) awaitLeave() {
	half, ok := s.Conn.(interface{ CloseWrite() error })
	if !ok || s.sent.Load() == 0 || s.broken.Load() || half.CloseWrite() != nil {
		return
	}
	s.mu.Lock()
	ends := !s.end.IsZero()
	s.mu.Unlock()
	if !ends {
		s.endBy(time.Now().Add(closing))
	}
	_, _ = io.CopyN(io.Discard, s.Conn, maxLinger)
}

// tooManyMessages ends the stream of a client that sends too fast.
func (c *call) tooManyMessages() error {
	r := refuse(&policy.TooManyMessages)
	c.cut(r)
	return r
}

// goodbye sends a close frame, and ends reads and writes that wait for a
// client that does not answer it.
func (c *call) goodbye(conn *websocket.Conn, code int, reason string) {
	deadline := time.Now().Add(closing)
	if c.socket != nil {
		c.socket.endBy(deadline)
	} else {
		_ = conn.NetConn().SetDeadline(deadline)
	}
	_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), deadline)
}

// maxReason is how long a close frame's reason may be.
const maxReason = 100

// closeStream closes the WebSocket of a call. One that its method closed
// already stays as it is.
func (c *call) closeStream(code int, reason string) {
	c.mu.Lock()
	conn := c.conn
	c.conn = nil
	if c.farewell != 0 {
		code, reason = c.farewell, c.farewellText
	}
	c.mu.Unlock()
	if conn == nil {
		return
	}
	deadline := time.Now().Add(closing)
	_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, cut(reason, maxReason)), deadline)
	_ = conn.Close()
}

// closeCode returns the code that a WebSocket is closed with because of an
// error.
func closeCode(a *answer) int {
	switch {
	case a.Name == policy.BodyTooLarge.Name:
		return websocket.CloseMessageTooBig
	case a.Fault || a.status >= http.StatusInternalServerError && !a.Temporary:
		return websocket.CloseInternalServerErr
	case a.status >= http.StatusInternalServerError:
		return websocket.CloseTryAgainLater
	}
	return websocket.ClosePolicyViolation
}

// badText is why a WebSocket is closed with 1007.
var badText = policy.Answer{
	Name: "protocol_error", HTTP: http.StatusBadRequest, Message: "a text message is not UTF-8",
}

// protocolError is why gorilla closes a connection with 1002.
var protocolError = policy.Answer{
	Name: "protocol_error", HTTP: http.StatusBadRequest, Message: "the client broke the WebSocket protocol",
}

// socketError returns what an error means that a method got from reading or
// writing its WebSocket, and returns: nil if its client closed the stream as it
// should. Errors of the design stay as they are.
func (c *call) socketError(err error) error {
	if c.socket == nil || !c.socket.open {
		return err
	}
	var named goa.GoaErrorNamer
	if errors.As(err, &named) {
		return err
	}
	closed, isClose := errors.AsType[*websocket.CloseError](err)
	_, badSyntax := errors.AsType[*json.SyntaxError](err)
	_, badType := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case isClose && (closed.Code == websocket.CloseNormalClosure || closed.Code == websocket.CloseGoingAway || closed.Code == websocket.CloseNoStatusReceived):
		return nil
	case errors.Is(err, websocket.ErrReadLimit):
		return refuse(&policy.BodyTooLarge).because(err)
	case c.socket.sent.Load() == websocket.CloseProtocolError:
		return refuse(&protocolError).because(err)
	case badSyntax, badType, errors.Is(err, io.ErrUnexpectedEOF) && !isClose && !c.socket.broken.Load():
		return goa.DecodePayloadError(err.Error())
	case (isClose || c.socket.broken.Load()) && c.Err() == nil:
		c.failure.gone = true
		return refuse(&policy.Canceled).because(err)
	}
	return err
}
