package transport

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	goa "goa.design/goa/v3/pkg"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/telemetry"
	"github.com/aguada-dev/aguada/transport/internal/jsonrpcsvc/gen/desk"
	"github.com/aguada-dev/aguada/transport/internal/jsonrpcsvc/gen/feed"
	"github.com/aguada-dev/aguada/transport/internal/jsonrpcsvc/gen/line"
	rpctape "github.com/aguada-dev/aguada/transport/internal/jsonrpcsvc/gen/tape"
)

// A panic while the answer is made, as a typed nil of an error is good for, ends
// its call as any other does: it keeps no place among those in flight.
func TestJSONRPCPanicInAnswer(t *testing.T) {
	r := newDesk(t, func(m *policy.Method) {
		if m.Name == "put" {
			m.MaxInFlight = 1
		}
	}, func(c *Config) { c.Load = atOnce(t, 2) })
	var none *desk.Gone
	r.put = func(context.Context, *desk.PutPayload) (*desk.Note, error) { return nil, none }
	for range 3 {
		all := r.batch(t, r.token, `[{"jsonrpc":"2.0","method":"put","params":{"id":"abc"}},{"jsonrpc":"2.0","method":"ping","id":2}]`)
		if len(all) != 1 || string(all[0].ID) != "2" || all[0].Error != nil {
			t.Fatalf("%+v", all)
		}
	}
	lines := r.log.lines(t, "request")
	if len(lines) != 6 || lines[0]["error.type"] != "panic" || lines[0]["rpc.response.status_code"] != "-32603" || lines[0]["exception.stacktrace"] == nil {
		t.Errorf("%v", lines)
	}
	if n := r.cfg.Load.InFlight(); n != 0 || r.h.InFlight() != 0 {
		t.Errorf("%d places are taken, %d calls in flight", n, r.h.InFlight())
	}
	r.put = nil
	if a := r.call(t, r.token, putNote); a.Error != nil {
		t.Errorf("%+v", a.Error)
	}
}

// lateTail puts the credential of feed's tail into its params.
func lateTail(m *policy.Method) {
	if m.Name == "tail" {
		m.Access = policy.Secured
		m.JSONRPC.Requirements = []policy.Requirement{{Schemes: []policy.Use{{Scheme: "key", In: policy.InBody, Name: "count"}}}}
	}
}

// A stream whose caller is known by its params is watched as every other: it ends
// with the server, when nothing happens, and when its credential does.
func TestJSONRPCEventsLate(t *testing.T) {
	waits := func(ctx context.Context, _ *feed.TailPayload, stream feed.TailServerStream) error {
		if err := stream.Send(ctx, &feed.Note{ID: "abc"}); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(10 * time.Second):
			return errors.New("nobody ended the stream")
		}
	}
	tail := func(count int) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","method":"tail","params":{"count":%d},"id":7}`, count)
	}
	t.Run("stop", func(t *testing.T) {
		r := newDesk(t, lateTail)
		r.tail = waits
		resp := must(http.Post("http://"+r.listen(t)+"/feed", "application/json", strings.NewReader(tail(1))))(t)
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() && lines.Text() != "" {
		}
		if r.h.Streams() != 1 {
			t.Errorf("%d streams", r.h.Streams())
		}
		r.h.CloseStreams()
		rest := must(io.ReadAll(resp.Body))(t)
		r.wait(t)
		if strings.Contains(r.log.String(), "nobody ended") {
			t.Errorf("%s %s", rest, r.log)
		}
		if w := r.post("/feed", "", tail(1)); !strings.Contains(w.Body.String(), "-32053") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
	t.Run("idle", func(t *testing.T) {
		r := newDesk(t, func(m *policy.Method) {
			lateTail(m)
			m.StreamIdle = policy.Duration(20 * time.Millisecond)
		})
		r.tail = waits
		if w := r.post("/feed", "", tail(1)); !strings.Contains(w.Body.String(), "stream_idle") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
	t.Run("expired", func(t *testing.T) {
		r := newDesk(t, lateTail, func(c *Config) {
			c.Verifiers = auth.Verifiers{"jwt": c.Verifiers["jwt"], "key": expiring{}}
		})
		r.tail = waits
		if w := r.post("/feed", "", tail(1)); !strings.Contains(w.Body.String(), "expired") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
	t.Run("refused", func(t *testing.T) {
		r := newDesk(t, lateTail)
		if w := r.post("/feed", "", tail(2)); !strings.Contains(w.Body.String(), "-32001") || r.count() != 0 || r.h.Streams() != 0 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// expiring proves everybody, for a moment.
type expiring struct{}

func (expiring) Verify(context.Context, auth.Credential) (*auth.Principal, error) {
	return &auth.Principal{Scheme: "key", Subject: "kim", ExpiresAt: time.Now().Add(30 * time.Millisecond)}, nil
}

// Strangers at the door of a route are charged to the limits of their address,
// the loosest of its methods'; those who are let in are not.
func TestJSONRPCStrangersAtTheDoor(t *testing.T) {
	limited := func(names ...string) func(*policy.Method) {
		return func(m *policy.Method) {
			for i, name := range names {
				if m.Name == name {
					m.RateLimits = []policy.RateLimit{{Name: name, Rate: 3 + i, Per: policy.Duration(time.Hour), Burst: 3 + i, Partition: policy.PerClientIP}}
				}
			}
		}
	}
	last := `{"jsonrpc":"2.0","method":"last","id":1}`
	r := newDesk(t, limited("last", "follow"))
	for i := range 6 {
		want := http.StatusUnauthorized
		if i >= 4 {
			want = http.StatusTooManyRequests
		}
		w := r.post("/tape", "wrong", last)
		if w.Code != want || (want == http.StatusTooManyRequests) != (w.Header().Get("Retry-After") != "") {
			t.Errorf("%d: %d %v", i, w.Code, w.Header())
		}
	}
	for i := range 4 { // the limit of the method is what it was
		if w := r.post("/tape", r.token, last); w.Code != http.StatusOK || strings.Contains(w.Body.String(), "-32029") != (i == 3) {
			t.Errorf("%d: %d %s", i, w.Code, w.Body)
		}
	}
	r = newDesk(t, limited("last")) // the other method has none, and may be meant
	for range 6 {
		if w := r.post("/tape", "wrong", last); w.Code != http.StatusUnauthorized {
			t.Errorf("%d", w.Code)
		}
	}
}

// What a method sends as an error has no more of a fault than what it returns.
func TestJSONRPCEventFaults(t *testing.T) {
	r := newDesk(t, nil)
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"a fault of no design", goa.Fault("the secret"), `"code":-32603,"message":"internal error"`},
		{"a declared fault, wrapped", fmt.Errorf("the secret: %w", rpctape.MakeBroken(errors.New("the secret"))), `"code":-32603,"message":"internal error"`},
		{"with a value in its text", goa.InvalidPatternError("pin", "the secret", "^[0-9]$"), `"code":-32603,"message":"internal error"`},
		{"joined", errors.Join(errors.New("the secret"), &rpctape.Gone{Name: "gone"}), `"code":-32603,"message":"internal error"`},
		{"declared", &rpctape.Gone{Name: "gone", NoteID: "abc"}, `"code":4100`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.follow = func(ctx context.Context, _ *rpctape.FollowPayload, s rpctape.FollowServerStream) error {
				return s.SendError(ctx, "7", c.err)
			}
			r.log.reset()
			w := r.post("/tape", r.token, followTwo)
			if !strings.Contains(w.Body.String(), c.want) || strings.Contains(w.Body.String(), "secret") {
				t.Errorf("%s", w.Body)
			}
			if hidden := strings.Contains(c.want, "-32603"); hidden != strings.Contains(r.log.String(), "the secret") {
				t.Errorf("%s", r.log)
			}
		})
	}
}

// counted proves what another verifier does, and counts.
type countingVerifier struct {
	auth.Verifier
	n *atomic.Int64
}

func (v countingVerifier) Verify(ctx context.Context, c auth.Credential) (*auth.Principal, error) {
	v.n.Add(1)
	return v.Verifier.Verify(ctx, c)
}

// Once the client is gone, the rest of its batch costs nothing, and is no missed
// deadline.
func TestJSONRPCGoneClient(t *testing.T) {
	var verified atomic.Int64
	r := newDesk(t, func(m *policy.Method) {
		if m.Name == "put" {
			m.RateLimits = []policy.RateLimit{{Name: "put", Rate: 2, Per: policy.Duration(time.Hour), Burst: 2, Partition: policy.PerPrincipal}}
		}
	}, func(c *Config) {
		c.Verifiers = auth.Verifiers{"jwt": countingVerifier{c.Verifiers["jwt"], &verified}, "key": c.Verifiers["key"]}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r.sum = func(ctx context.Context, _ []int) (int, error) {
		cancel()
		<-ctx.Done()
		return 0, ctx.Err()
	}
	req := httptest.NewRequestWithContext(ctx, "POST", "/rpc", strings.NewReader(`[{"jsonrpc":"2.0","method":"sum","params":[],"id":1}`+strings.Repeat(","+putNote, 20)+"]"))
	req.Header.Set("Authorization", "Bearer "+r.token)
	r.h.ServeHTTP(httptest.NewRecorder(), req)
	if verified.Load() != 0 || r.count() != 1 {
		t.Errorf("%d credentials verified, called %v", verified.Load(), r.calls)
	}
	for _, line := range r.log.lines(t, "request") {
		if line["error.type"] != policy.Canceled.Name || line["level"] == "ERROR" {
			t.Errorf("%v", line)
		}
	}
	for range 2 { // and nothing was charged
		if a := r.call(t, r.token, putNote); a.Error != nil {
			t.Errorf("%+v", a.Error)
		}
	}
}

// A method that streams, and may last, gives no batch of its route more time.
func TestJSONRPCDeadlineBesideStreams(t *testing.T) {
	r := newDesk(t, func(m *policy.Method) {
		if m.Name == "last" {
			m.Deadline = policy.Duration(200 * time.Millisecond)
		}
	}, func(c *Config) {
		c.Context = func(ctx context.Context) context.Context {
			<-ctx.Done()
			return ctx
		}
	})
	one := `{"jsonrpc":"2.0","method":"last","id":1}`
	begin := time.Now()
	w := r.post("/tape", r.token, "["+strings.TrimSuffix(strings.Repeat(one+",", 20), ",")+"]")
	if took := time.Since(begin); took > time.Second {
		t.Errorf("the batch took %v", took)
	}
	if n := strings.Count(w.Body.String(), `"deadline_exceeded"`); n != 19 && n != 20 {
		t.Errorf("%d missed deadlines: %s", n, w.Body)
	}
}

// A call has few members: what has many is not gone through.
func TestJSONRPCMembers(t *testing.T) {
	r := newDesk(t, nil)
	members := func(n int) string {
		text := ""
		for i := range n {
			text += fmt.Sprintf(`"m%d":1,`, i)
		}
		return "{" + text + `"jsonrpc":"2.0","method":"ping","id":1}`
	}
	if a := r.call(t, "", members(maxMembers-3)); a.Error != nil {
		t.Errorf("%+v", a.Error)
	}
	if a := r.call(t, "", members(maxMembers-2)); a.Error == nil || a.Error.Code != -32600 || string(a.ID) != "null" {
		t.Errorf("%+v", a)
	}
}

// An overloaded process reads no request whose calls it would all refuse.
func TestJSONRPCShedBeforeReading(t *testing.T) {
	r := newDesk(t, nil, func(c *Config) { c.Load = atOnce(t, 1) })
	begun, over := make(chan struct{}), make(chan struct{})
	r.sum = func(context.Context, []int) (int, error) {
		close(begun)
		<-over
		return 0, nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.post("/rpc", "", `{"jsonrpc":"2.0","method":"sum","params":[],"id":1}`)
	}()
	<-begun
	body := &counting{r: strings.NewReader(strings.Repeat(" ", 4000))}
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, httptest.NewRequest("POST", "/rpc", body))
	if a := (rpcAnswer{}).read(t, w.Body.Bytes()); w.Code != http.StatusServiceUnavailable || a.Error.Data["name"] != "overloaded" || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if body.n != 0 {
		t.Errorf("%d bytes were read", body.n)
	}
	close(over)
	<-done
	if n := r.cfg.Load.InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

// A call over a WebSocket is held to its own method's StrictBody and MaxBody, as
// over HTTP, though its server decodes it before it is known which one is called.
func TestJSONRPCSocketBody(t *testing.T) {
	r := newDesk(t, func(m *policy.Method) {
		m.StrictBody = true
		if m.Name == "echo" {
			m.MaxBody = 100
		}
	})
	r.stream = receiving
	r.echo = func(ctx context.Context, p *line.EchoPayload, stream line.EchoServerStream) error {
		return stream.SendResponse(ctx, &line.EchoResult{Ref: p.Ref, ID: p.ID})
	}
	conn := r.talk(t)
	if got := ask(t, conn, echoCall("1", "abc")); !strings.Contains(got, `"result"`) {
		t.Error(got)
	}
	if got := ask(t, conn, echoCall("2", strings.Repeat(`\u0061`, 12)+`","text":"`+strings.Repeat(`\u0061`, 10))); !strings.Contains(got, `"code":-32013`) || !strings.Contains(got, `"id":2`) {
		t.Error(got)
	}
	if got := ask(t, conn, echoCall("3", "abc")); !strings.Contains(got, `"result"`) {
		t.Error(got)
	}
	if err := conn.WriteMessage(websocket.TextMessage, []byte(`{"jsonrpc":"2.0","method":"echo","params":{"ref":"x","id":"abc","more":1},"id":4}`)); err != nil {
		t.Fatal(err)
	}
	if code, reason := closedWith(conn); code != websocket.ClosePolicyViolation || reason != "unknown_field" {
		t.Errorf("%d %q", code, reason)
	}
	r.wait(t)
	if lines := r.log.lines(t, "request"); len(lines) != 4 || lines[0]["rpc.request.size"] == nil {
		t.Errorf("%v", lines)
	}
}

// Methods of one WebSocket are strict together: their server does not say which
// one it decodes.
func TestJSONRPCSocketStrictness(t *testing.T) {
	contract := deskContract()
	contract.Services[3].Methods[0].StrictBody = true
	if _, err := New(Config{Contract: contract}); err == nil || !strings.Contains(err.Error(), "StrictBody") {
		t.Errorf("%v", err)
	}
}

// The answers of a batch are not collected, however large each is.
func TestJSONRPCBatchMemory(t *testing.T) {
	const size = 256 << 10
	r := newDesk(t, func(m *policy.Method) { m.MaxBody = 16 << 10 })
	w := httptest.NewRecorder()
	text, made, held := strings.Repeat("x", size), 0, 0
	r.put = func(context.Context, *desk.PutPayload) (*desk.Note, error) {
		held = max(held, made-w.Body.Len())
		made += size
		return &desk.Note{ID: "abc", Text: &text}, nil
	}
	req := httptest.NewRequest("POST", "/rpc", strings.NewReader("["+strings.Repeat(putNote+",", 60)+`{"jsonrpc":"2.0","method":"ping"}]`))
	req.Header.Set("Authorization", "Bearer "+r.token)
	r.h.ServeHTTP(w, req)
	var all []rpcAnswer
	if err := json.Unmarshal(w.Body.Bytes(), &all); err != nil || len(all) != 60 || all[59].Error != nil || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%v: %d answers, %v", err, len(all), w.Header())
	}
	if held > 2*size {
		t.Errorf("%d bytes were held back", held)
	}
}

// What is no call of any method is counted, but costs no line each: otherwise a
// few bytes would fill the log.
func TestJSONRPCBatchOfNothing(t *testing.T) {
	var tel *telemetry.Telemetry
	r := newDesk(t, nil, measured(t, &tel))
	if all := r.batch(t, "", "["+strings.Repeat("1,", 60)+`{"jsonrpc":"2.0","method":"ping","id":1},{"jsonrpc":"2.0","method":"nobody","id":2}]`); len(all) != 62 || all[61].Error.Code != -32601 {
		t.Errorf("%d answers", len(all))
	}
	if lines := r.log.lines(t, "request"); len(lines) != 2 || lines[0]["rpc.method"] != "_OTHER" || lines[1]["rpc.method"] != "ping" {
		t.Errorf("%v", lines)
	}
	w := httptest.NewRecorder()
	tel.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	counted := false
	for line := range strings.Lines(w.Body.String()) {
		counted = counted || strings.HasPrefix(line, "rpc_server_call_duration_seconds_count{") && strings.Contains(line, `rpc_method="_OTHER"`) && strings.HasSuffix(line, " 60\n")
	}
	if !counted {
		t.Errorf("%s", w.Body)
	}
}

// The last event of a stream has the id of its call, and not a number near it.
func TestJSONRPCEventID(t *testing.T) {
	r := newDesk(t, nil)
	r.follow = func(ctx context.Context, _ *rpctape.FollowPayload, s rpctape.FollowServerStream) error {
		return s.SendAndClose(ctx, &rpctape.Note{ID: "abc"})
	}
	for _, id := range []string{"7", "-1", "1.5", "9007199254740993", "12345678901234567890", "1e400", `"x"`, `""`, "null"} {
		w := r.post("/tape", r.token, `{"jsonrpc":"2.0","method":"follow","params":{"count":1},"id":`+id+`}`)
		if !strings.Contains(w.Body.String(), `{"id":`+id+`,"jsonrpc"`) {
			t.Errorf("%s: %s", id, w.Body)
		}
	}
}

// Calls over a WebSocket with ids that JSON-RPC does not have, or none, change
// nothing of what they are told, and leave the others alone.
func TestJSONRPCSocketIDs(t *testing.T) {
	r := newDesk(t, nil)
	r.stream = receiving
	r.echo = func(context.Context, *line.EchoPayload, line.EchoServerStream) error { return errors.New("the secret") }
	conn := r.talk(t)
	for _, id := range []string{`{"a":1}`, "[1]", "true", "null", `"` + strings.Repeat("x", 300) + `"`, "1", `"x"`} {
		if got := ask(t, conn, echoCall(id, "abc")); strings.Contains(got, "secret") || !strings.Contains(got, "-32603") {
			t.Errorf("%.20s: %s", id, got)
		}
	}
	_ = conn.Close()
	r.wait(t)
}
