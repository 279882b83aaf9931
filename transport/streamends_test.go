package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"goa.design/clue/interceptors"

	"github.com/aguada-dev/aguada/transport/internal/streamsvc/gen/tape"
)

// All streams end by protocol, those to clients that read nothing after a second.
func TestDrain(t *testing.T) {
	r := newTape(t, nil)
	r.svc.ticks = func(ctx context.Context, p *tape.TicksPayload, s tape.TicksServerStream) error {
		for text := "x"; ; text = strings.Repeat("x", 100_000) {
			if err := s.Send(&tape.Tick{Text: text}); err != nil {
				return err
			}
			if p.Since == nil {
				return until(ctx)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	floods := make(chan struct{}, 1)
	r.svc.talk = func(ctx context.Context, s tape.TalkServerStream) error {
		if _, err := s.Recv(); err != nil {
			return err
		}
		floods <- struct{}{}
		return flooding(ctx, s)
	}
	addr := r.listen(t)
	reader, err := http.Get("http://" + addr + "/ticks")
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Body.Close()
	talker := dialTalk(t, addr)
	deaf := must(net.Dial("tcp", addr))(t)
	defer deaf.Close()
	_, _ = io.WriteString(deaf, "GET /ticks HTTP/1.1\r\nHost: "+addr+"\r\nLast-Event-ID: x\r\n\r\n")
	deafer := handshake(t, addr)
	_, _ = deafer.Write(appendFrame(nil, 0x81, []byte(wordHello), 0))
	<-floods
	for end := time.Now().Add(10 * time.Second); r.h.Streams() < 4; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d streams", r.h.Streams())
		}
	}
	begun := time.Now()
	r.h.CloseStreams()
	if code, reason := closedWith(talker); code != websocket.CloseGoingAway || reason != "" {
		t.Errorf("closed with %d %s", code, reason)
	}
	body, err := io.ReadAll(reader.Body)
	got, retry, _ := parseEvents(string(body))
	var ms int
	if _, scanned := fmt.Sscan(retry, &ms); err != nil || scanned != nil || len(got) != 1 || ms < 1000 || ms >= 5000 || !strings.HasSuffix(string(body), eventEnd) {
		t.Errorf("%q %v", body, err)
	}
	r.ended(t)
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("ended after %v", took)
	}
	if n := r.h.Streams(); n != 0 {
		t.Errorf("%d streams are left", n)
	}
}

// Clue traces messages: what a message says of its trace is the context of its
// receiver, and that of the sender goes with what it sends.
func TestClueTracesMessages(t *testing.T) {
	before := otel.GetTextMapPropagator()
	otel.SetTextMapPropagator(propagation.TraceContext{})
	defer otel.SetTextMapPropagator(before)
	const sent, answered = "4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"
	parent := func(id string) trace.SpanContext {
		return trace.NewSpanContext(trace.SpanContextConfig{TraceID: must(trace.TraceIDFromHex(id))(t), SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled})
	}
	r := newTape(t, nil)
	seen := make(chan string, 1)
	r.svc.trace = func(ctx context.Context, s tape.TracedServerStream) error {
		stream := interceptors.WrapTraceBidirectionalStreamServerStream(s)
		of, w, err := stream.RecvAndReturnContext(ctx)
		if err != nil {
			return err
		}
		seen <- trace.SpanContextFromContext(of).TraceID().String() + " " + RequestID(of)
		return stream.Send(trace.ContextWithSpanContext(of, parent(answered)), w)
	}
	r.svc.words = func(ctx context.Context, s tape.WordsServerStream) error {
		return s.SendWithContext(trace.ContextWithSpanContext(ctx, parent(answered)), &tape.Word{Text: "x"})
	}
	addr := r.listen(t)
	conn, resp, err := websocket.DefaultDialer.Dial("ws://"+addr+"/traced", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.WriteMessage(websocket.TextMessage, []byte(`{"text":"x","TraceMetadata":{"traceparent":"00-`+sent+`-0100000000000000-01"}}`))
	if _, got, _ := conn.ReadMessage(); !strings.Contains(string(got), `"traceparent":"00-`+answered) {
		t.Errorf("%s", got)
	}
	if got, want := <-seen, sent+" "+resp.Header.Get("X-Request-Id"); got != want {
		t.Errorf("received in %s, want %s", got, want)
	}
	events, err := http.Get("http://" + addr + "/words")
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	if body, _ := io.ReadAll(events.Body); !strings.Contains(string(body), `"traceparent":"00-`+answered) {
		t.Errorf("%s", body)
	}
}

// No deadline is later than the end, whoever sets it when.
func TestDeadlinesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		s := &socket{Conn: here, c: &call{}}
		begun := time.Now()
		s.endBy(begun.Add(closing))
		_ = s.SetWriteDeadline(time.Time{})
		_ = s.SetDeadline(begun.Add(time.Hour))
		_ = s.SetReadDeadline(time.Time{})
		_, written := s.Write([]byte("x"))
		_, read := s.Read(make([]byte, 1))
		if took := time.Since(begun); !errors.Is(written, os.ErrDeadlineExceeded) || !errors.Is(read, os.ErrDeadlineExceeded) || took != closing {
			t.Errorf("%v %v after %v", written, read, took)
		}
	})
}
