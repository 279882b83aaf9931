package transport

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/jsonrpcsvc/gen/line"
)

// talk opens the WebSocket of the line.
func (r *deskRig) talk(tb testing.TB) *websocket.Conn {
	tb.Helper()
	conn, _, err := websocket.DefaultDialer.Dial("ws://"+r.listen(tb)+"/line", nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// ask sends a message and reads the next one.
func ask(tb testing.TB, conn *websocket.Conn, message string) string {
	tb.Helper()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
		tb.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, b, err := conn.ReadMessage()
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(b))
}

// receiving is what services do: a call after the other.
func receiving(ctx context.Context, stream line.Stream) error {
	for {
		if err := stream.Recv(ctx); err != nil {
			return err
		}
	}
}

func echoCall(id, note string) string {
	return `{"jsonrpc":"2.0","method":"echo","params":{"ref":"x","id":"` + note + `"},"id":` + id + `}`
}

// Each message of a WebSocket is a call of its own: limited, logged, audited.
func TestJSONRPCSocket(t *testing.T) {
	r := newDesk(t, func(m *policy.Method) {
		m.Audit = m.Name == "echo"
		if m.Name == "echo" {
			m.RateLimits = []policy.RateLimit{{Name: "echo", Rate: 4, Per: policy.Duration(time.Hour), Burst: 4, Partition: policy.PerClientIP}}
		}
	})
	r.stream = receiving
	r.echo = func(ctx context.Context, p *line.EchoPayload, stream line.EchoServerStream) error {
		switch p.ID {
		case "bad":
			return errors.New("the secret")
		case "taken":
			return line.MakeConflict(errors.New("taken"))
		case "panic":
			panic("the secret")
		}
		return stream.SendResponse(ctx, &line.EchoResult{Ref: p.Ref, ID: p.ID})
	}
	conn := r.talk(t)
	for _, c := range []struct{ message, want string }{
		{echoCall("1", "abc"), `{"jsonrpc":"2.0","result":{"ref":"1","id":"abc"},"id":1}`},
		{echoCall(`"a"`, "bad"), `"error":{"code":-32603,"message":"internal error"`},
		{echoCall("3", "taken"), `"error":{"code":4090,"message":"taken"`},
		{echoCall("4", "panic"), `"error":{"code":-32603,"message":"internal error"`},
		{echoCall("5", "abc"), `"error":{"code":-32029,"message":"too many calls"`},
		{`{"jsonrpc":"2.0","method":"nobody","id":6}`, `"code":-32601`},
		{`{"jsonrpc":"2.0"`, `"code":-32700`},
	} {
		if got := ask(t, conn, c.message); !strings.Contains(got, c.want) || strings.Contains(got, "secret") {
			t.Errorf("%s:\n%s\nlacks %s", c.message, got, c.want)
		}
	}
	_ = conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""))
	r.wait(t)
	lines, audits := r.log.lines(t, "request"), r.log.lines(t, "audit")
	if len(lines) != 6 || len(audits) != 5 {
		t.Fatalf("%d lines, %d audit events: %s", len(lines), len(audits), r.log)
	}
	if l := lines[0]; l["rpc.method"] != "echo" || l["rpc.system.name"] != "jsonrpc" || l["method"] != "echo" || l["client.address"] != "127.0.0.1" {
		t.Errorf("%v", l)
	}
	if l := lines[5]; l["http.response.status_code"] != 101. || l["level"] != "INFO" {
		t.Errorf("%v", l)
	}
}

// A stream that breaks off says why, and no more than is the client's business.
func TestJSONRPCSocketEnds(t *testing.T) {
	for _, c := range []struct {
		name, message string
		stream        func(context.Context, line.Stream) error
		code          int
		reason        string
	}{
		{"over", echoCall("1", "abc"), func(ctx context.Context, s line.Stream) error { return nil }, 1000, ""},
		{"fault", echoCall("1", "abc"), func(ctx context.Context, s line.Stream) error { return errors.New("the secret") }, 1011, "fault"},
		{"validation", echoCall("1", "NO"), receiving, 1008, "invalid_pattern"},
		{"wrong type", `{"jsonrpc":"2.0","method":"echo","params":{"ref":1},"id":1}`, receiving, 1008, "decode_payload"},
		{"too large", strings.Repeat(" ", 5000) + "{}", receiving, 1009, ""},
		{"too deep", `{"jsonrpc":"2.0","method":"echo","id":1,"params":{"ref":"x","id":"abc","more":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}}`, receiving, 1008, "decode_payload"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newDesk(t, nil)
			r.stream = c.stream
			conn := r.talk(t)
			if err := conn.WriteMessage(websocket.TextMessage, []byte(c.message)); err != nil {
				t.Fatal(err)
			}
			if code, reason := closedWith(conn); code != c.code || c.reason != "" && reason != c.reason {
				t.Errorf("%d %q", code, reason)
			}
			r.wait(t)
		})
	}
}

// The server's stop ends the stream.
func TestJSONRPCSocketStop(t *testing.T) {
	r := newDesk(t, nil)
	r.stream = receiving
	conn := r.talk(t)
	if got := ask(t, conn, echoCall("1", "abc")); !strings.Contains(got, "result") {
		t.Fatal(got)
	}
	r.h.CloseStreams()
	if code, reason := closedWith(conn); code != websocket.CloseGoingAway {
		t.Errorf("%d %q", code, reason)
	}
	r.wait(t)
}
