package transport

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/jsonrpcsvc/gen/feed"
	rpctape "github.com/aguada-dev/aguada/transport/internal/jsonrpcsvc/gen/tape"
)

const followTwo = `{"jsonrpc":"2.0","method":"follow","params":{"count":2},"id":7}`

// Events are notifications of the method, and an answer at the end.
func TestJSONRPCEvents(t *testing.T) {
	r := newDesk(t, nil)
	text := "line\none\r\n\nevent: forged"
	r.follow = func(ctx context.Context, p *rpctape.FollowPayload, stream rpctape.FollowServerStream) error {
		for range p.Count {
			if err := stream.Send(ctx, &rpctape.Note{ID: "abc", Text: &text}); err != nil {
				return err
			}
		}
		return stream.SendAndClose(ctx, &rpctape.Note{ID: "last"})
	}
	w := r.post("/tape", r.token, followTwo, "Accept", "text/event-stream")
	note := `event: notification` + "\n" + `data: {"jsonrpc":"2.0","method":"follow","params":{"id":"abc","text":"line\none\r\n\nevent: forged"}}` + "\n\n"
	want := note + note + `event: response` + "\n" + `data: {"id":7,"jsonrpc":"2.0","result":{"id":"last"}}` + "\n\n"
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/event-stream" || w.Header().Get("Cache-Control") != "no-store" || w.Body.String() != want {
		t.Errorf("%d %v\n%s", w.Code, w.Header(), w.Body)
	}
	line := r.log.last(t)
	if line["rpc.method"] != "follow" || line["rpc.response.status_code"] != nil || line["enduser.id"] != "ann" || line["rpc.response.size"] == nil {
		t.Errorf("%v", line)
	}
	// a call that is none beside it
	if w := r.post("/tape", r.token, `{"jsonrpc":"2.0","method":"last","id":1}`, "Accept", "text/event-stream"); w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
	// a stream has no place in a batch
	w = r.post("/tape", r.token, "["+followTwo+"]")
	if !strings.Contains(w.Body.String(), `"code":-32600`) || !strings.HasPrefix(w.Body.String(), "[") {
		t.Errorf("%s", w.Body)
	}
}

// Errors are events, with the same words as elsewhere, before, in and after a
// stream.
func TestJSONRPCEventErrors(t *testing.T) {
	r := newDesk(t, nil)
	for _, c := range []struct {
		name, token, params string
		follow              func(context.Context, rpctape.FollowServerStream) error
		events              []string // parts of each
	}{
		{"scope", r.key, `{"count":1}`, nil, nil},
		{"params", r.token, `{"count":"the secret"}`, nil, []string{`"code":-32602,"message":"count must be an integer in range (at byte 21)"`}},
		{"validation", r.token, `{"count":11}`, nil, []string{`"message":"body.count must be lesser or equal than 10"`}},
		{"a fault", r.token, `{"count":1}`, func(context.Context, rpctape.FollowServerStream) error { return errors.New("the secret") }, []string{`"code":-32603,"message":"internal error"`}},
		{"own type", r.token, `{"count":1}`, func(context.Context, rpctape.FollowServerStream) error {
			return &rpctape.Gone{Name: "gone", NoteID: "x"}
		}, []string{`"code":4100`}},
		{"later", r.token, `{"count":1}`, func(ctx context.Context, s rpctape.FollowServerStream) error {
			if err := s.Send(ctx, &rpctape.Note{ID: "abc"}); err != nil {
				return err
			}
			return rpctape.MakeBroken(errors.New("the secret"))
		}, []string{`"method":"follow"`, `"code":5020,"message":"internal error"`}},
		{"of the method's own", r.token, `{"count":1}`, func(ctx context.Context, s rpctape.FollowServerStream) error {
			if err := s.SendError(ctx, "7", errors.New("the secret")); err != nil {
				return err
			}
			return s.SendError(ctx, "7", rpctape.MakeBroken(errors.New("the secret")))
		}, []string{`"code":-32603,"message":"internal error"`, `"message":"internal error"`}},
		{"a panic", r.token, `{"count":1}`, func(context.Context, rpctape.FollowServerStream) error { panic("the secret") }, []string{`"code":-32603,"message":"internal error"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.follow = func(ctx context.Context, _ *rpctape.FollowPayload, s rpctape.FollowServerStream) error {
				return c.follow(ctx, s)
			}
			w := r.post("/tape", c.token, `{"jsonrpc":"2.0","method":"follow","params":`+c.params+`,"id":7}`, "Accept", "text/event-stream")
			if c.events == nil {
				if w.Code != http.StatusUnauthorized {
					t.Errorf("%d %s", w.Code, w.Body)
				}
				return
			}
			events := strings.Split(strings.TrimSuffix(w.Body.String(), "\n\n"), "\n\n")
			if len(events) != len(c.events) || strings.Contains(w.Body.String(), "secret") || w.Header().Get("Content-Type") != "text/event-stream" {
				t.Fatalf("%v\n%s", w.Header(), w.Body)
			}
			for i, want := range c.events {
				if !strings.Contains(events[i], want) {
					t.Errorf("%s\nlacks %s", events[i], want)
				}
			}
		})
	}
}

// A stream that is open ends with the server's, and tells when to come back.
func TestJSONRPCEventsStop(t *testing.T) {
	r := newDesk(t, nil)
	r.tail = func(ctx context.Context, _ *feed.TailPayload, stream feed.TailServerStream) error {
		if err := stream.Send(ctx, &feed.Note{ID: "abc"}); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	}
	resp, err := http.Post("http://"+r.listen(t)+"/feed", "application/json", strings.NewReader(`{"jsonrpc":"2.0","method":"tail","params":{"count":1},"id":7}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() && lines.Text() != "" {
	}
	if r.h.Streams() != 1 {
		t.Errorf("%d streams", r.h.Streams())
	}
	r.h.CloseStreams()
	rest := ""
	for lines.Scan() {
		rest += lines.Text() + "\n"
	}
	if !strings.HasPrefix(rest, "retry: ") {
		t.Errorf("%q", rest)
	}
	r.wait(t)
	if w := r.post("/feed", "", `{"jsonrpc":"2.0","method":"tail","params":{"count":1},"id":7}`); !strings.Contains(w.Body.String(), "-32053") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A stream on which nothing happens ends after StreamIdle.
func TestJSONRPCEventsIdle(t *testing.T) {
	r := newDesk(t, func(m *policy.Method) { m.StreamIdle = policy.Duration(20 * time.Millisecond) })
	r.tail = func(ctx context.Context, _ *feed.TailPayload, _ feed.TailServerStream) error {
		<-ctx.Done()
		return ctx.Err()
	}
	w := r.post("/feed", "", `{"jsonrpc":"2.0","method":"tail","params":{"count":1},"id":7}`)
	if !strings.Contains(w.Body.String(), `"code":-32008`) || !strings.Contains(w.Body.String(), "stream_idle") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
