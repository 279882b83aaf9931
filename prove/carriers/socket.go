package carriers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/gorilla/websocket"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/target"
)

// socket is a WebSocket of the prover's, which is read from its beginning on, for
// a close frame and for pongs. One goroutine may write.
type socket struct {
	*websocket.Conn

	ended chan struct{} // closed once code is there
	code  int
	pongs chan string
}

// listen begins to read.
func listen(conn *websocket.Conn) *socket {
	s := &socket{Conn: conn, ended: make(chan struct{}), pongs: make(chan string, 1)}
	conn.SetReadLimit(1 << 20)
	conn.SetPongHandler(func(text string) error {
		select {
		case s.pongs <- text:
		default: // nobody waits
		}
		return nil
	})
	go func() {
		defer close(s.ended)
		for {
			_, _, err := conn.ReadMessage()
			closed, ok := errors.AsType[*websocket.CloseError](err)
			switch {
			case err == nil:
			case ok:
				s.code = closed.Code
				return
			default:
				s.code = websocket.CloseAbnormalClosure
				return
			}
		}
	}()
	return s
}

// read reports whether the service reads the WebSocket: it then answers a ping.
func (s *socket) read(text string) bool {
	if s.WriteControl(websocket.PingMessage, []byte(text), time.Now().Add(time.Second)) != nil {
		return false
	}
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	for {
		select {
		case got := <-s.pongs:
			if got == text {
				return true
			}
		case <-s.ended:
			return false
		case <-timer.C:
			return false
		}
	}
}

// dial opens a WebSocket by the request, from an address of its own. Where the
// service refuses, the answer says how, and the error is nil.
func dial(ctx context.Context, in *target.Instance, from *lab.Client, r lab.Request) (*socket, *lab.Answer, error) {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	if ip := net.ParseIP(from.From); ip != nil {
		dialer.LocalAddr = &net.TCPAddr{IP: ip}
	}
	d := websocket.Dialer{NetDialContext: dialer.DialContext, HandshakeTimeout: 5 * time.Second}
	r = r.Clone()
	for _, own := range []string{"Upgrade", "Connection", "Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Extensions"} {
		r.Header.Del(own) // the library's
	}
	conn, res, err := d.DialContext(ctx, "ws://"+in.HTTP+r.Path, r.Header) //nolint:bodyclose // the library leaves nothing to close
	if errors.Is(err, websocket.ErrBadHandshake) && res != nil {
		return nil, &lab.Answer{Status: res.StatusCode, Header: res.Header}, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open WebSocket: %w", err)
	}
	return listen(conn), &lab.Answer{Status: res.StatusCode, Header: res.Header}, nil
}

// upgraded opens a WebSocket of the run's method with good credentials.
func upgraded(ctx context.Context, t *probe.Try, in *target.Instance, from *lab.Client) (*socket, error) {
	r, err := t.Valid(ctx, from, t.Method)
	if err != nil {
		return nil, err
	}
	s, a, err := dial(ctx, in, from, t.Sign(r, t.Method, lab.Good))
	if err == nil && s == nil {
		err = fmt.Errorf("the handshake is answered %s", a)
	}
	return s, err
}

// stillOpen is the code of a WebSocket that was not closed.
const stillOpen = 0

// end waits until the WebSocket is closed, at most for so long, and returns the
// code: stillOpen, or websocket.CloseAbnormalClosure where the connection ended
// without one. Whoever opened it closes it.
func (s *socket) end(most time.Duration) int {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-s.ended:
		return s.code
	case <-timer.C:
		return stillOpen
	}
}

// code says how a WebSocket ended.
func code(n int) string {
	switch n {
	case stillOpen:
		return "is still open"
	case websocket.CloseAbnormalClosure:
		return "was cut without a close frame"
	}
	return fmt.Sprintf("was closed with %d", n)
}

// talking returns a Run that is given an open WebSocket of the shared process.
func talking(run func(context.Context, *probe.Try, *socket) finding.Outcome) func(context.Context, *probe.Try) finding.Outcome {
	return func(ctx context.Context, t *probe.Try) finding.Outcome {
		s, err := upgraded(ctx, t, t.Main, t.Client)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer func() { _ = s.Close() }()
		return run(ctx, t, s)
	}
}

// sends chooses the WebSockets on which clients send, as far as is known.
func sends(m method) bool {
	return sockets(m) && (m.MessageRate != nil || m.GRPC != nil && m.GRPC.ClientStream)
}

// judged returns a verdict on how a WebSocket has ended.
func judged(n int, what string, want ...int) finding.Outcome {
	for _, w := range want {
		if n == w {
			return probe.Pass("%s: it %s", what, code(n))
		}
	}
	return probe.Fail(nil, "%s: the WebSocket %s; it should be closed with %d", what, code(n), want[0])
}
