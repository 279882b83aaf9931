package transport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/transport/internal/testsvc/gen/shop"
)

// dial opens the echo method's WebSocket.
func (r *rig) dial(tb testing.TB, header http.Header) (*websocket.Conn, *http.Response, error) {
	tb.Helper()
	p, _ := r.serve(tb)
	d := websocket.Dialer{NetDialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dial(ctx) }}
	return d.Dial("ws://shop.test/echo", header)
}

func (r *rig) bearer() http.Header { return http.Header{"Authorization": {"Bearer " + r.token}} }

const sentItem = `{"sku":"AB-123","quantity":1,"unit_price_cents":5}`

func TestWebSocket(t *testing.T) {
	r := newRig(t, func(r *rig) { r.policyOf("echo").MaxBody = 1000 })
	outcome := make(chan error, 1)
	tests := []struct {
		name string
		echo func(context.Context, shop.EchoServerStream) error
		code int
	}{
		{"closed by the method", func(_ context.Context, s shop.EchoServerStream) error { return s.Close() }, websocket.CloseNormalClosure},
		{"left open by the method", func(context.Context, shop.EchoServerStream) error { return nil }, websocket.CloseNormalClosure},
		{"plain error", func(context.Context, shop.EchoServerStream) error { return errors.New("secret") }, websocket.CloseInternalServerErr},
		{"declared error", func(context.Context, shop.EchoServerStream) error { return shop.MakeConflict(errors.New("secret")) }, websocket.ClosePolicyViolation},
		{"panic", func(context.Context, shop.EchoServerStream) error { panic("secret") }, websocket.CloseInternalServerErr},
	}
	for _, test := range tests {
		r.shop.echo = func(ctx context.Context, s shop.EchoServerStream) error {
			item, err := s.Recv()
			if err == nil {
				err = s.Send(item)
			}
			if p, _ := auth.FromContext(ctx); p.Subject != "ann" {
				err = errors.New("wrong caller")
			}
			outcome <- err
			return test.echo(ctx, s)
		}
		conn, resp, err := r.dial(t, r.bearer())
		if err != nil {
			t.Fatal(err)
		}
		if resp.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s: no request id", test.name)
		}
		if err := conn.WriteMessage(websocket.TextMessage, []byte(sentItem)); err != nil {
			t.Fatal(err)
		}
		if _, text, err := conn.ReadMessage(); err != nil || strings.TrimSpace(string(text)) != sentItem {
			t.Errorf("%s: echo %s %v", test.name, text, err)
		}
		if err := <-outcome; err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		_, _, err = conn.ReadMessage()
		if closed, ok := errors.AsType[*websocket.CloseError](err); !ok || closed.Code != test.code || strings.Contains(closed.Text, "secret") {
			t.Errorf("%s: ended by %v, want code %d", test.name, err, test.code)
		}
		_ = conn.Close()
	}
}

func TestWebSocketRefusals(t *testing.T) {
	r := newRig(t, func(r *rig) { r.policyOf("echo").MaxBody = 1000 })
	received := make(chan error, 1)
	r.shop.echo = func(_ context.Context, s shop.EchoServerStream) error {
		_, err := s.Recv()
		received <- err
		return err
	}
	if _, resp, err := r.dial(t, nil); err == nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("no token: %v %v", resp, err)
	}
	foreign := r.bearer()
	foreign.Set("Origin", "https://evil.test")
	_, resp, err := r.dial(t, foreign)
	if err == nil || resp.StatusCode != http.StatusForbidden || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("foreign origin: %v %v", resp, err)
	}
	<-received
	conn, _, err := r.dial(t, r.bearer())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.WriteMessage(websocket.TextMessage, []byte(strings.Repeat(" ", 2000)))
	if err := <-received; !errors.Is(err, websocket.ErrReadLimit) {
		t.Errorf("a message beyond the limit: %v", err)
	}
}

func TestCloseStreams(t *testing.T) {
	r := newRig(t, nil)
	open := make(chan struct{}, 2)
	r.shop.echo = func(_ context.Context, s shop.EchoServerStream) error {
		if err := s.Send(&shop.Item{Sku: "AB-123"}); err != nil {
			return err
		}
		open <- struct{}{}
		_, err := s.Recv()
		return err
	}
	r.shop.watch = func(ctx context.Context, s shop.WatchServerStream) error {
		if err := s.Send(&shop.Item{Sku: "AB-123"}); err != nil {
			return err
		}
		open <- struct{}{}
		<-ctx.Done()
		return nil
	}
	conn, _, err := r.dial(t, r.bearer())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, client := r.serve(t)
	events, err := client.Get("http://shop.test/watch")
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	if _, _, err := conn.ReadMessage(); err != nil {
		t.Fatal(err)
	}
	<-open
	<-open
	ended := make(chan error, 1)
	go func() {
		_, _, err := conn.ReadMessage()
		ended <- err
	}()
	if n := r.h.InFlight(); n != 2 {
		t.Errorf("%d in flight", n)
	}
	r.h.CloseStreams()
	if err := <-ended; !websocket.IsCloseError(err, websocket.CloseGoingAway) {
		t.Errorf("WebSocket ended by %v", err)
	}
	if _, err := io.ReadAll(events.Body); err != nil {
		t.Errorf("events ended by %v", err)
	}
}

// An error after the first event is for the log: the stream ends with a
// comment, which names it.
func TestErrorAfterEvents(t *testing.T) {
	r := newRig(t, nil)
	r.shop.watch = func(_ context.Context, s shop.WatchServerStream) error {
		if err := s.Send(&shop.Item{Sku: "AB-123"}); err != nil {
			return err
		}
		return errors.New("secret")
	}
	w := r.do(request("GET", "/watch", "", ""))
	events, _, comments := parseEvents(w.Body.String())
	if w.Code != 200 || len(events) != 1 || len(comments) != 1 || comments[0] != fmt.Sprint("fault ", r.log.last(t)["error.id"]) {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	if line := r.log.last(t); line["error"] != "secret" || line["level"] != "ERROR" || line["http.response.status_code"] != 200.0 {
		t.Errorf("line = %v", line)
	}
}

// A stream outlives the server's write timeout.
func TestEventsOutliveWriteTimeout(t *testing.T) {
	r := newRig(t, func(r *rig) { r.cfg.WriteTimeout, r.cfg.ReadTimeout = time.Second, time.Second })
	r.shop.watch = func(ctx context.Context, s shop.WatchServerStream) error {
		for range 3 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(10 * time.Second):
			}
			if err := s.Send(&shop.Item{Sku: "AB-123"}); err != nil {
				return err
			}
		}
		return nil
	}
	synctest.Test(t, func(t *testing.T) {
		_, client := r.serve(t)
		resp, err := client.Get("http://shop.test/watch")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		n := 0
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "data: ") {
				n++
			}
		}
		if n != 3 || resp.Header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("%d events, header %v", n, resp.Header)
		}
	})
}
