package transport

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/streamsvc/gen/tape"
	"github.com/aguada-dev/aguada/transport/internal/testsvc/gen/feed"
	feedpb "github.com/aguada-dev/aguada/transport/internal/testsvc/gen/grpc/feed/pb"
)

// A panic of what is told of a call that has ended costs the call, not the
// process: also where it is not net/http that runs it.
func TestPanicAfterTheCall(t *testing.T) {
	broken := func(c *Config) { c.Audit = func(*Event) { panic("secret") } }
	t.Run("events", func(t *testing.T) {
		r := newTape(t, func(m *policy.Method) { m.Audit = true }, broken)
		r.svc.ticks = func(_ context.Context, _ *tape.TicksPayload, s tape.TicksServerStream) error {
			return s.Send(&tape.Tick{Text: "x"})
		}
		addr := r.listen(t)
		for range 2 {
			resp, err := http.Get("http://" + addr + "/ticks")
			if err != nil {
				t.Fatal(err)
			}
			if body, _ := io.ReadAll(resp.Body); string(body) != "data: x\n\n" {
				t.Errorf("%q", body)
			}
		}
		r.ended(t)
	})
	t.Run("gRPC", func(t *testing.T) {
		r := newFeedRig(t, func(r *feedRig) {
			r.policyOf("ping").Audit = true
			broken(&r.cfg)
		})
		for range 2 {
			if _, err := r.client.Ping(t.Context(), &feedpb.PingRequest{}); status.Code(err) != codes.Internal || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v", err)
			}
		}
		if n := r.h.InFlight(); n != 0 {
			t.Errorf("%d in flight", n)
		}
	})
}

// A client that does not read its reply holds no place for ever.
func TestRPCReplyToNobody(t *testing.T) {
	r := newFeedRig(t, func(r *feedRig) {
		r.policyOf("put").MaxInFlight = 1
	})
	r.feed.put = func(_ context.Context, p *feed.PutPayload) (*feed.Note, error) {
		return &feed.Note{ID: p.ID, Text: new(strings.Repeat("x", 1<<20))}, nil
	}
	ctx := with(t, r.token)
	s, err := r.conn.NewStream(ctx, &grpc.StreamDesc{}, feedpb.Feed_Put_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.SendMsg(&feedpb.PutRequest{Id: "a"}), s.CloseSend()); err != nil {
		t.Fatal(err)
	}
	if line := r.lastRPC(t); line["rpc.response.status_code"] != "OK" {
		t.Errorf("%v", line)
	}
}

// What a client sends after the request for a stream of events is no request.
func TestEventsArePipelinedToNobody(t *testing.T) {
	r := newTape(t, nil)
	r.svc.ticks = func(ctx context.Context, _ *tape.TicksPayload, s tape.TicksServerStream) error {
		if err := s.Send(&tape.Tick{Text: "x"}); err != nil {
			return err
		}
		return nil
	}
	conn, err := net.Dial("tcp", r.listen(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, strings.Repeat("GET /ticks HTTP/1.1\r\nHost: tape.test\r\n\r\n", 3))
	all, _ := io.ReadAll(bufio.NewReader(conn))
	if n := strings.Count(string(all), "HTTP/1.1 "); n != 1 || !strings.HasSuffix(string(all), "\r\n0\r\n\r\n") {
		t.Errorf("%d answers: %q", n, all)
	}
	r.ended(t)
	if n := len(r.log.lines(t, "request")); n != 1 {
		t.Errorf("%d lines", n)
	}
}

// lastRPC returns the line of the last call, once it has ended.
func (r *feedRig) lastRPC(t *testing.T) map[string]any {
	t.Helper()
	for end := time.Now().Add(time.Minute); len(r.log.lines(t, "request")) == 0 || r.h.InFlight() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d calls are still in flight", r.h.InFlight())
		}
	}
	return r.log.last(t)
}

// A client of a WebSocket that leaves ends the stream, though its method never
// reads: it learns of it as that of events does, and its place is free.
func TestWebSocketIsLeft(t *testing.T) {
	for name, leave := range map[string]func(net.Conn){
		"closed":      func(c net.Conn) { _ = c.Close() },
		"half closed": func(c net.Conn) { _ = c.(*net.TCPConn).CloseWrite() },
		"close frame": func(c net.Conn) { _, _ = c.Write([]byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8}) },
		"after some":  func(c net.Conn) { _, _ = c.Write([]byte{0x81, 0x81, 0, 0, 0, 0, '1'}); _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newTape(t, nil)
			r.svc.talk = func(ctx context.Context, s tape.TalkServerStream) error {
				if err := s.Send(&tape.Word{Text: "x"}); err != nil {
					return err
				}
				return until(ctx)
			}
			conn := handshake(t, r.listen(t))
			defer conn.Close()
			leave(conn)
			if line := r.last(t); line["error.type"] != "canceled" || line["http.response.status_code"] != 499.0 {
				t.Errorf("%v", line)
			}
		})
	}
}

// What came while a method did not read, it reads later, whole, and under the
// deadlines that it has set.
func TestWebSocketIsReadLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTape(t, func(m *policy.Method) { m.MaxBody = 64 << 10 })
		sizes := make(chan int, 8)
		r.svc.talk = func(_ context.Context, s tape.TalkServerStream) error {
			_ = s.Send(&tape.Word{Text: "open"})
			for {
				time.Sleep(2*listenEvery + time.Second)
				w, err := s.Recv()
				if err != nil {
					return err
				}
				sizes <- len(w.Text)
			}
		}
		conn := r.dialPipe(t)
		_, _, _ = conn.ReadMessage()
		want := []int{1, 300, maxKept - 100, 3 * maxKept, 5, 0}
		for _, n := range want {
			if err := conn.WriteJSON(map[string]string{"text": strings.Repeat("x", n)}); err != nil {
				t.Fatalf("%v: %v", err, r.last(t))
			}
		}
		_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Time{})
		r.ended(t)
		close(sizes)
		var got []int
		for n := range sizes {
			got = append(got, n)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		if line := r.last(t); line["level"] != "INFO" {
			t.Errorf("%v", line)
		}
	})
}

// Whoever may call nothing may not hold as many streams as he likes either.
func TestWatchersAreBounded(t *testing.T) {
	r := newFeedRig(t, func(r *feedRig) { r.grpc.Reflection = true })
	r.h.rpc.held.MaxInFlight = 2
	c := healthpb.NewHealthClient(r.conn)
	ctx, leave := context.WithCancel(t.Context())
	watch := func(ctx context.Context) error {
		s, err := c.Watch(ctx, &healthpb.HealthCheckRequest{})
		if err == nil {
			_, err = s.Recv()
		}
		return err
	}
	if err := errors.Join(watch(ctx), watch(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := watch(t.Context()); status.Code(err) != codeOf(policy.TooManyInFlight.GRPC) {
		t.Errorf("a third: %v", err)
	}
	if _, err := c.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Errorf("check: %v", err)
	}
	leave()
	for end := time.Now().Add(10 * time.Second); watch(t.Context()) != nil; {
		if time.Now().After(end) {
			t.Fatal("the place is not free")
		}
	}
}
