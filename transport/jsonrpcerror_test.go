package transport

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/telemetry"
	"github.com/aguada-dev/aguada/transport/internal/jsonrpcsvc/gen/desk"
	rpctape "github.com/aguada-dev/aguada/transport/internal/jsonrpcsvc/gen/tape"
)

const putNote = `{"jsonrpc":"2.0","method":"put","params":{"id":"abc"},"id":1}`

// Errors say what the design says of them, and never what a decoder or a fault
// says.
func TestJSONRPCErrors(t *testing.T) {
	r := newDesk(t, nil)
	for _, c := range []struct {
		name, params string
		err          error
		code         int
		message      string
		data         map[string]any
		logged       string
	}{
		{"a value of the wrong type", `{"id":"abc","text":["the secret"]}`, nil, -32602, "text must be a string (at byte 20)", map[string]any{"name": "decode_payload"}, ""},
		{"a pattern", `{"id":"The Secret"}`, nil, -32602, "body.id must match the regexp \"^[a-z]{1,12}$\"", map[string]any{"name": "invalid_pattern", "fault": false}, ""},
		{"two constraints", `{"id":"The Secret","text":"the secret the secret the secret"}`, nil, -32602,
			"body.id must match the regexp \"^[a-z]{1,12}$\"; length of body.text must be lesser or equal than 20", nil, ""},
		{"missing", `{"text":"x"}`, nil, -32602, `"id" is missing from body`, map[string]any{"name": "missing_field"}, ""},
		{"no object", `[1]`, nil, -32602, "the body must be an object (at byte 1)", nil, ""},
		{"declared", `{"id":"abc"}`, desk.MakeConflict(errors.New("taken")), 4090, "taken", map[string]any{"name": "conflict", "temporary": false}, ""},
		{"temporary", `{"id":"abc"}`, desk.MakeBusy(errors.New("later")), 4290, "later", map[string]any{"name": "busy", "temporary": true, "timeout": true}, ""},
		{"a fault", `{"id":"abc"}`, desk.MakeBroken(errors.New("the secret")), 5020, "internal error", map[string]any{"name": "broken", "fault": true}, "the secret"},
		{"own type", `{"id":"abc"}`, &desk.Gone{Name: "gone", NoteID: "abc"}, 4100, "gone", map[string]any{"name": "gone", "note_id": "abc"}, ""},
		{"undeclared", `{"id":"abc"}`, errors.New("the secret"), -32603, "internal error", map[string]any{"name": "fault", "fault": true}, "the secret"},
		{"deadline", `{"id":"abc"}`, context.DeadlineExceeded, -32054, "the call took too long", map[string]any{"name": "deadline_exceeded", "temporary": true}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.put = func(context.Context, *desk.PutPayload) (*desk.Note, error) { return nil, c.err }
			r.log.reset()
			a := r.call(t, r.token, `{"jsonrpc":"2.0","method":"put","params":`+c.params+`,"id":1}`)
			if a.Error == nil || a.Error.Code != c.code || a.Error.Message != c.message {
				t.Fatalf("%+v %s", a.Error, a.Result)
			}
			for name, want := range c.data {
				if a.Error.Data[name] != want {
					t.Errorf("%s is %v, want %v", name, a.Error.Data[name], want)
				}
			}
			line := r.log.last(t)
			if id, _ := a.Error.Data["id"].(string); c.logged != "" && (line["error.id"] != id || id == "" || !strings.Contains(line["error"].(string), c.logged)) {
				t.Errorf("%v", line)
			}
			if line["rpc.method"] != "put" || line["rpc.system.name"] != "jsonrpc" || line["http.route"] != "/rpc" || line["enduser.id"] != "ann" {
				t.Errorf("%v", line)
			}
		})
	}
}

// Text of strangers is no part of metrics, and cannot forge a line of the log.
func TestJSONRPCUnknownMethods(t *testing.T) {
	var tel *telemetry.Telemetry
	r := newDesk(t, nil, measured(t, &tel))
	for _, method := range []string{"evil\\nmethod", "\\u0000", "\\u202e", "<script>", strings.Repeat("m", 3000), "rpc.discover"} {
		if a := r.call(t, "", `{"jsonrpc":"2.0","method":"`+method+`","id":1}`); a.Error == nil || a.Error.Code != -32601 {
			t.Errorf("%s: %+v", method, a)
		}
	}
	w := httptest.NewRecorder()
	tel.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	series := 0
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "rpc_server_call_duration_seconds_count{") {
			series++
			if !strings.Contains(line, `rpc_method="_OTHER"`) {
				t.Error(line)
			}
		}
	}
	if series != 1 || strings.Contains(w.Body.String(), "evil") {
		t.Errorf("%d series", series)
	}
	for _, line := range r.log.lines(t, "request") {
		if original, _ := line["rpc.method_original"].(string); line["rpc.method"] != "_OTHER" || original == "" || len(original) > maxPath {
			t.Errorf("%v", line)
		}
	}
}

// A method's limits count its calls, whatever carries them.
func TestJSONRPCLimits(t *testing.T) {
	r := newDesk(t, func(m *policy.Method) {
		if m.Name == "put" {
			m.RateLimits = []policy.RateLimit{{Name: "put", Rate: 3, Per: policy.Duration(time.Hour), Burst: 3, Partition: policy.PerPrincipal}}
		}
	})
	w := r.post("/notes", r.token, `{"id":"abc"}`)
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	w = r.post("/rpc", r.token, putNote)
	if w.Header().Get("RateLimit") == "" || w.Header().Get("RateLimit-Policy") == "" || w.Header().Get("Retry-After") != "" {
		t.Errorf("%v", w.Header())
	}
	all := r.batch(t, r.token, "["+putNote+","+putNote+"]")
	if all[0].Error != nil || all[1].Error == nil || all[1].Error.Code != -32029 || all[1].Error.Data["retry_after"].(float64) < 60 {
		t.Errorf("%+v", all)
	}
	w = r.post("/rpc", r.token, putNote)
	if w.Code != http.StatusOK || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := r.post("/notes", r.token, `{"id":"abc"}`); w.Code != http.StatusTooManyRequests {
		t.Errorf("over HTTP: %d", w.Code)
	}
	if w := r.post("/rpc", r.other, putNote); strings.Contains(w.Body.String(), "error") {
		t.Errorf("another principal: %s", w.Body)
	}
}

// A method's calls in flight are counted together, and a refused one says so.
func TestJSONRPCInFlight(t *testing.T) {
	r := newDesk(t, func(m *policy.Method) {
		if m.Name == "put" {
			m.MaxInFlight = 1
		}
	})
	begun, over := make(chan struct{}), make(chan struct{})
	r.put = func(_ context.Context, p *desk.PutPayload) (*desk.Note, error) {
		if p.ID == "slow" {
			close(begun)
			<-over
		}
		return &desk.Note{ID: p.ID}, nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.post("/notes", r.token, `{"id":"slow"}`)
	}()
	<-begun
	if a := r.call(t, r.token, putNote); a.Error == nil || a.Error.Code != -32053 || a.Error.Data["name"] != "too_many_in_flight" || a.Error.Data["retry_after"] != 1. {
		t.Errorf("%+v", a)
	}
	close(over)
	<-done
	for range 3 {
		if a := r.call(t, r.token, putNote); a.Error != nil {
			t.Errorf("%+v", a.Error)
		}
	}
}

// An overloaded process refuses calls by their methods' priorities, and however
// a call ends, it leaves.
func TestJSONRPCShed(t *testing.T) {
	r := newDesk(t, func(m *policy.Method) {
		if m.Name == "ping" {
			m.ShedPriority = policy.LowPriority
		}
	}, func(c *Config) { c.Load = atOnce(t, 2) })
	begun, over := make(chan struct{}), make(chan struct{})
	r.sum = func(context.Context, []int) (int, error) {
		begun <- struct{}{}
		<-over
		return 0, errors.New("no")
	}
	r.follow = func(context.Context, *rpctape.FollowPayload, rpctape.FollowServerStream) error { return nil }
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.post("/rpc", "", `{"jsonrpc":"2.0","method":"sum","params":[],"id":1}`)
	}()
	<-begun
	if a := r.call(t, "", `{"jsonrpc":"2.0","method":"ping","id":1}`); a.Error == nil || a.Error.Code != -32053 || a.Error.Data["name"] != "overloaded" {
		t.Errorf("%+v", a)
	}
	if a := r.call(t, r.token, putNote); a.Error != nil {
		t.Errorf("%+v", a)
	}
	if w := r.post("/tape", r.token, followTwo); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	close(over)
	<-done
	if n := r.cfg.Load.InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

// A panic is the fault of its call: the others of the batch are answered.
func TestJSONRPCPanic(t *testing.T) {
	r := newDesk(t, nil)
	r.sum = func(context.Context, []int) (int, error) { panic("the secret") }
	all := r.batch(t, "", `[{"jsonrpc":"2.0","method":"ping","id":1},{"jsonrpc":"2.0","method":"sum","params":[],"id":2},{"jsonrpc":"2.0","method":"ping","id":3}]`)
	if all[0].Error != nil || all[1].Error == nil || all[1].Error.Code != -32603 || all[2].Error != nil || strings.Contains(all[1].Error.Message, "secret") {
		t.Errorf("%+v", all)
	}
	if line := r.log.lines(t, "request")[1]; line["error.type"] != "panic" || line["level"] != "ERROR" || line["exception.stacktrace"] == nil || line["error.id"] != all[1].Error.Data["id"] {
		t.Errorf("%v", line)
	}
	r.sum = func(context.Context, []int) (int, error) { panic(http.ErrAbortHandler) }
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("recovered %v", p)
		}
		if r.h.InFlight() != 0 {
			t.Errorf("%d in flight", r.h.InFlight())
		}
	}()
	r.post("/rpc", "", `{"jsonrpc":"2.0","method":"sum","params":[],"id":2}`)
	t.Error("the connection was not aborted")
}

// A call has its method's deadline, and a batch the longest one of its route.
func TestJSONRPCDeadline(t *testing.T) {
	r := newDesk(t, func(m *policy.Method) {
		m.Deadline = policy.Duration(40 * time.Millisecond)
		if m.Name == "sum" {
			m.Deadline = policy.Duration(20 * time.Millisecond)
		}
	})
	r.sum = func(ctx context.Context, _ []int) (int, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	sum := `{"jsonrpc":"2.0","method":"sum","params":[],"id":2}`
	all := r.batch(t, "", "["+sum+","+sum+","+sum+`,{"jsonrpc":"2.0","method":"ping","id":3}]`)
	for _, a := range all {
		if a.Error == nil || a.Error.Code != -32054 {
			t.Errorf("%+v", a)
		}
	}
	if r.count() != 2 && r.count() != 3 {
		t.Errorf("called: %v", r.calls)
	}
}

// The lines of calls are within the trace of their request, which has one of its
// own only where it is refused.
func TestJSONRPCLines(t *testing.T) {
	var tel *telemetry.Telemetry
	r := newDesk(t, nil, measured(t, &tel))
	w := r.post("/rpc", "", `[{"jsonrpc":"2.0","method":"ping","id":1},{"jsonrpc":"2.0","method":"tell","params":{"text":"x"}}]`,
		"Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "X-Request-Id", "mine")
	lines := r.log.lines(t, "request")
	if len(lines) != 2 || w.Header().Get("X-Request-Id") != "mine" {
		t.Fatalf("%v", lines)
	}
	for _, line := range lines {
		if line["request_id"] != "mine" || line["trace_id"] != "4bf92f3577b34da6a3ce929d0e0e4736" || line["service"] != "desk" || line["http.request.method"] != "POST" {
			t.Errorf("%v", line)
		}
	}
	r.log.reset()
	r.post("/rpc", "", "", "Content-Type", "text/plain")
	r.post("/tape", "", "")
	if lines := r.log.lines(t, "request"); len(lines) != 2 || lines[1]["http.response.status_code"] != 401. {
		t.Errorf("%v", lines)
	}
}
