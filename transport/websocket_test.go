package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/telemetry"
	"github.com/aguada-dev/aguada/transport/internal/streamsvc/gen/tape"
)

const wordHello = `{"text":"hello"}`

// tallying receives words until it cannot, and says how many.
func tallying(n chan<- int) func(context.Context, tape.TalkServerStream) error {
	return func(_ context.Context, s tape.TalkServerStream) error {
		for i := 0; ; i++ {
			if _, err := s.Recv(); err != nil {
				n <- i
				return err
			}
		}
	}
}

// rate allows five messages, and then one a minute.
func rate(m *policy.Method) {
	m.MessageRate = &policy.MessageRate{Rate: 1, Per: policy.Duration(time.Minute), Burst: 5}
}

// A client that sends too fast ends its stream, and what came before is
// received.
func TestMessageRate(t *testing.T) {
	var m *telemetry.Telemetry
	r := newTape(t, rate, measured(t, &m))
	received := make(chan int, 1)
	r.svc.talk = tallying(received)
	conn := dialTalk(t, r.listen(t))
	for range 20 {
		_ = conn.WriteMessage(websocket.TextMessage, []byte(wordHello))
	}
	if code, reason := closedWith(conn); code != websocket.ClosePolicyViolation || reason != "too_many_messages" {
		t.Errorf("closed with %d %s", code, reason)
	}
	if n := <-received; n != 5 {
		t.Errorf("%d messages received", n)
	}
	if line := r.last(t); line["error.type"] != "too_many_messages" || line["http.response.status_code"] != 101.0 {
		t.Errorf("%v", line)
	}
	if n := refusals(m, "too_many_messages"); n != "1" {
		t.Errorf("%q in the metrics", n)
	}
}

// The rate comes back with time.
func TestMessageRateComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTape(t, rate)
		received := make(chan int, 1)
		r.svc.talk = tallying(received)
		_, dial := r.pipes(t)
		conn, _, err := (&websocket.Dialer{NetDialContext: dial}).Dial("ws://tape.test/talk", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for range 5 {
			_ = conn.WriteMessage(websocket.TextMessage, []byte(wordHello))
		}
		for range 10 {
			time.Sleep(time.Minute)
			_ = conn.WriteMessage(websocket.TextMessage, []byte(wordHello))
		}
		time.Sleep(59 * time.Second)
		go func() { _ = conn.WriteMessage(websocket.TextMessage, []byte(wordHello)) }()
		if code, _ := closedWith(conn); code != websocket.ClosePolicyViolation || <-received != 15 {
			t.Errorf("closed with %d", code)
		}
	})
}

// A connection ends with its end and is not reset, though its client still sends
// or answers the close frame: however its method ends the stream.
func TestSocketEndsWithoutReset(t *testing.T) {
	for name, end := range map[string]func(tape.TalkServerStream) error{
		"return": func(tape.TalkServerStream) error { return nil },
		"error":  func(tape.TalkServerStream) error { return errors.New("not me") },
		"close":  func(s tape.TalkServerStream) error { return s.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			r, sent := newTape(t, nil), make(chan struct{})
			r.svc.talk = func(_ context.Context, s tape.TalkServerStream) error {
				_, err := s.Recv()
				<-sent
				return errors.Join(err, end(s))
			}
			conn := dialTalk(t, r.listen(t))
			conn.SetCloseHandler(func(int, string) error { return nil }) // a write would take the error
			for range 10 {                                               // nine of which nobody reads
				_ = conn.WriteMessage(websocket.TextMessage, []byte(`{"text":"`+strings.Repeat("x", 2000)+`"}`))
			}
			close(sent)
			if code, _ := closedWith(conn); code == 0 {
				t.Error("no close frame")
			}
			if n, err := conn.NetConn().Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("after it, %d bytes, %v", n, err)
			}
		})
	}
}

// handshake opens the WebSocket for a client that writes frames by itself.
func handshake(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn := must(net.Dial("tcp", addr))(t)
	t.Cleanup(func() { _ = conn.Close() })
	_, _ = io.WriteString(conn, "GET /talk HTTP/1.1\r\nHost: "+addr+"\r\nAuthorization: Bearer t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	var head []byte
	for b := make([]byte, 1); !strings.HasSuffix(string(head), "\r\n\r\n"); head = append(head, b[0]) {
		if _, err := conn.Read(b); err != nil {
			t.Fatalf("%v after %q", err, head)
		}
	}
	if !strings.HasPrefix(string(head), "HTTP/1.1 101 ") {
		t.Fatalf("%s", head)
	}
	return conn
}

// What is not a message, but costs as much, is bounded too: fragments without
// content, pings, and frames that a client sends a byte at a time.
func TestMessageRateOfFragments(t *testing.T) {
	hostile := map[string]func(i int) []byte{
		"empty fragments": func(i int) []byte {
			return appendFrame(nil, map[bool]byte{true: 0x01}[i == 0], nil, 0)
		},
		"long headers": func(i int) []byte {
			return appendFrame(nil, map[bool]byte{true: 0x01}[i == 0], []byte(" "), 2)
		},
		"pings":            func(int) []byte { return appendFrame(nil, 0x89, nil, 0) },
		"pongs":            func(int) []byte { return appendFrame(nil, 0x8a, make([]byte, 125), 0) },
		"pings in between": func(i int) []byte { return appendFrame(nil, map[bool]byte{true: 0x01, false: 0x89}[i == 0], nil, 0) },
		"empty messages":   func(int) []byte { return appendFrame(nil, 0x81, nil, 0) },
	}
	for name, frame := range hostile {
		t.Run(name, func(t *testing.T) {
			r := newTape(t, rate)
			received := make(chan int, 1)
			r.svc.talk = func(ctx context.Context, s tape.TalkServerStream) error {
				for i := 0; ; i++ {
					_, err := s.Recv()
					if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) { // of an empty message, which gorilla reads on after
						received <- i
						return err
					}
				}
			}
			conn := handshake(t, r.listen(t))
			go func() { _, _ = io.Copy(io.Discard, conn) }()
			sent := 0
			for ; sent < 1_000_000; sent++ {
				if _, err := conn.Write(frame(sent)); err != nil {
					break
				}
			}
			if <-received > 5 || sent == 1_000_000 {
				t.Errorf("%d frames sent", sent)
			}
			if line := r.last(t); line["error.type"] != "too_many_messages" {
				t.Errorf("%v", line)
			}
		})
	}
}

// A client whose library cuts messages into fragments, and sends pings, is as
// good as any.
func TestMessageRateOfHonestClients(t *testing.T) {
	r := newTape(t, func(m *policy.Method) { rate(m); m.MaxBody = 1 << 20 })
	received := make(chan int, 1)
	r.svc.talk = tallying(received)
	d := websocket.Dialer{WriteBufferSize: 128}
	conn, _, err := d.Dial("ws://"+r.listen(t)+"/talk", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 5 {
		w, _ := conn.NextWriter(websocket.TextMessage)
		_, _ = io.WriteString(w, `{"text":"`+strings.Repeat("x", 200_000)+`"}`) // 1,600 fragments
		_ = conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
	if n := <-received; n != 5 {
		t.Errorf("%d messages received", n)
	}
	if line := r.last(t); line["error.type"] != nil {
		t.Errorf("%v", line)
	}
}

// What a stream ends with, and what the log has.
func TestCloseCodes(t *testing.T) {
	whole := func(first byte, payload string) []byte { return appendFrame(nil, first, []byte(payload), 0) }
	tests := map[string]struct {
		sent   []byte
		method error // that the method returns in place of that of Recv
		code   int
		reason string
		kind   any // error.type
	}{
		"closed by the client":     {whole(0x88, "\x03\xe8bye"), nil, 1000, "", nil},
		"left by a page":           {whole(0x88, "\x03\xe9"), nil, 1001, "", nil},
		"closed without a code":    {whole(0x88, ""), nil, 1005, "", nil},
		"no JSON":                  {whole(0x81, "{]"), nil, 1008, "decode_payload", "decode_payload"},
		"nothing at all":           {whole(0x81, ""), nil, 1008, "decode_payload", "decode_payload"},
		"half an object":           {whole(0x81, `{"text":"he`), nil, 1008, "decode_payload", "decode_payload"},
		"wrong type":               {whole(0x81, `{"text":5}`), nil, 1008, "decode_payload", "decode_payload"},
		"violated":                 {whole(0x81, `{}`), nil, 1008, "missing_field", "missing_field"},
		"too large":                {whole(0x81, strings.Repeat(" ", 5000)), nil, 1009, "", "body_too_large"},
		"too large in fragments":   {append(whole(0x01, strings.Repeat(" ", 3000)), whole(0x80, strings.Repeat(" ", 3000))...), nil, 1009, "", "body_too_large"},
		"reserved opcode":          {whole(0x83, "x"), nil, 1002, "bad opcode 3", "protocol_error"},
		"compressed":               {whole(0xc1, "x"), nil, 1002, "RSV1 set", "protocol_error"},
		"not masked":               {[]byte{0x81, 1, 'x'}, nil, 1002, "bad MASK", "protocol_error"},
		"fault":                    {whole(0x81, wordHello), errors.New("secret"), 1011, "fault", "fault"},
		"too late for a deadline":  {whole(0x81, wordHello), context.DeadlineExceeded, 1013, "deadline_exceeded", "deadline_exceeded"},
		"an error of the caller's": {whole(0x81, wordHello), refuse(&policy.Forbidden), 1008, "forbidden", "forbidden"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newTape(t, nil)
			r.svc.talk = func(_ context.Context, s tape.TalkServerStream) error {
				_, err := s.Recv()
				if test.method != nil {
					return test.method
				}
				return err
			}
			conn := handshake(t, r.listen(t))
			_, _ = conn.Write(test.sent)
			got, _ := io.ReadAll(conn)
			if len(got) < 2 || got[0] != 0x88 {
				t.Fatalf("% x", got)
			}
			code, reason := 1005, ""
			if len(got) >= 4 {
				code, reason = int(got[2])<<8|int(got[3]), string(got[4:2+got[1]])
			}
			if code != test.code || reason != test.reason {
				t.Errorf("closed with %d %q", code, reason)
			}
			if line := r.last(t); line["error.type"] != test.kind || strings.Contains(fmt.Sprint(line["error.type"]), "secret") {
				t.Errorf("%v", line)
			}
		})
	}
}

// A client that is gone is no fault of the service's.
func TestClientGone(t *testing.T) {
	r := newTape(t, nil)
	r.svc.talk = func(_ context.Context, s tape.TalkServerStream) error {
		_, err := s.Recv()
		return fmt.Errorf("receive: %w", err)
	}
	conn := handshake(t, r.listen(t))
	_, _ = conn.Write([]byte{0x81, 0xfe})
	_ = conn.Close()
	if line := r.last(t); line["error.type"] != "canceled" || line["http.response.status_code"] != 499.0 || line["level"] == "ERROR" {
		t.Errorf("%v", line)
	}
}

// dialPipe opens a WebSocket over memory.
func (r *tapeRig) dialPipe(t *testing.T) *websocket.Conn {
	t.Helper()
	_, dial := r.pipes(t)
	conn, _, err := (&websocket.Dialer{NetDialContext: dial}).Dial("ws://tape.test/talk", http.Header{"Authorization": {"Bearer t"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Messages of either side keep a WebSocket open; pings, and a message that never
// ends, do not.
func TestIdleWebSocket(t *testing.T) {
	idle := func(m *policy.Method) { m.StreamIdle = policy.Duration(10 * time.Second) }
	receiving := func(_ context.Context, s tape.TalkServerStream) error {
		for {
			if _, err := s.Recv(); err != nil {
				return err
			}
		}
	}
	tests := map[string]struct {
		method func(context.Context, tape.TalkServerStream) error
		client func(*websocket.Conn)
		want   time.Duration
	}{
		"nothing": {receiving, func(*websocket.Conn) {}, 10 * time.Second},
		"received": {receiving, func(c *websocket.Conn) {
			for range 5 {
				time.Sleep(9 * time.Second)
				_ = c.WriteMessage(websocket.TextMessage, []byte(wordHello))
			}
		}, 55 * time.Second},
		"pings": {receiving, func(c *websocket.Conn) {
			for range 5 {
				time.Sleep(3 * time.Second)
				_ = c.WriteControl(websocket.PingMessage, nil, time.Time{})
			}
		}, 10 * time.Second},
		"a message that never ends": {receiving, func(c *websocket.Conn) {
			w, _ := c.NextWriter(websocket.TextMessage)
			for range 200 {
				time.Sleep(time.Second)
				if _, err := io.WriteString(w, strings.Repeat(" ", 5)); err != nil {
					return
				}
			}
		}, 10 * time.Second},
		"sent": {func(ctx context.Context, s tape.TalkServerStream) error {
			for range 5 {
				time.Sleep(9 * time.Second)
				if err := s.Send(&tape.Word{Text: "x"}); err != nil {
					return err
				}
			}
			return until(ctx)
		}, func(*websocket.Conn) {}, 55 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newTape(t, idle)
				r.svc.talk = func(ctx context.Context, s tape.TalkServerStream) error {
					_ = s.Send(&tape.Word{Text: "open"})
					return test.method(ctx, s)
				}
				conn := r.dialPipe(t)
				begun := time.Now()
				var wg sync.WaitGroup
				defer wg.Wait()
				wg.Go(func() { test.client(conn) })
				if code, reason := closedWith(conn); code != websocket.CloseGoingAway || reason != "stream_idle" {
					t.Errorf("closed with %d %s", code, reason)
				}
				if took := time.Since(begun); took != test.want {
					t.Errorf("ended after %v", took)
				}
				_ = conn.Close()
				if line := r.last(t); line["error.type"] != "stream_idle" {
					t.Errorf("%v", line)
				}
			})
		})
	}
}

// flooding sends until it cannot.
func flooding(_ context.Context, s tape.TalkServerStream) error {
	for {
		if err := s.Send(&tape.Word{Text: strings.Repeat("x", 100_000)}); err != nil {
			return err
		}
	}
}

// A client that reads nothing is idle, and once it is asked to leave it has a
// second, whatever deadlines the method's next write sets.
func TestWebSocketToNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTape(t, func(m *policy.Method) { m.StreamIdle = policy.Duration(10 * time.Second) })
		r.svc.talk = flooding
		_ = r.dialPipe(t)
		begun := time.Now()
		line := r.last(t)
		if took := time.Since(begun); took < 10*time.Second || took > 12*time.Second || line["error.type"] != "stream_idle" {
			t.Errorf("ended after %v: %v", took, line)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newTape(t, nil)
		next := make(chan struct{})
		r.svc.talk = func(ctx context.Context, s tape.TalkServerStream) error {
			_ = s.Send(&tape.Word{Text: "open"})
			close(next)
			<-ctx.Done()
			return flooding(ctx, s)
		}
		conn := r.dialPipe(t)
		_, _, _ = conn.ReadMessage()
		<-next
		begun := time.Now()
		r.h.CloseStreams() // nobody reads the close frame
		r.ended(t)
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

// A WebSocket ends with the credential that it was opened with.
func TestWebSocketOutlivesNoCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTape(t, secured, func(c *Config) {
			c.Verifiers = auth.Verifiers{"jwt": fixed{func() *auth.Principal {
				return &auth.Principal{Subject: "ann", Scheme: "jwt", ExpiresAt: time.Now().Add(time.Minute)}
			}}}
		})
		r.svc.talk = func(_ context.Context, s tape.TalkServerStream) error {
			for {
				if _, err := s.Recv(); err != nil {
					return nil //nolint:nilerr // a method that thinks that all is well
				}
			}
		}
		conn := r.dialPipe(t)
		begun := time.Now()
		if code, reason := closedWith(conn); code != websocket.ClosePolicyViolation || reason != "expired" || time.Since(begun) != time.Minute {
			t.Errorf("closed with %d %s after %v", code, reason, time.Since(begun))
		}
		_ = conn.Close()
		if line := r.last(t); line["error.type"] != "expired" || line["enduser.id"] != "ann" {
			t.Errorf("%v", line)
		}
	})
}
