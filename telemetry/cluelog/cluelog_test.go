package cluelog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"goa.design/clue/log"

	"github.com/aguada-dev/aguada/telemetry"
	"github.com/aguada-dev/aguada/telemetry/cluelog"
)

// journal is where a test's lines go.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

// lines decodes what was written; each line is one valid JSON object without
// a key twice.
func (j *journal) lines(t *testing.T) []map[string]any {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	var all []map[string]any
	for line := range bytes.Lines(j.buf.Bytes()) {
		m := map[string]any{}
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		if n := topLevelKeys(t, line); n != len(m) {
			t.Errorf("a key is there twice: %s", line)
		}
		all = append(all, m)
	}
	return all
}

func topLevelKeys(t *testing.T, line []byte) int {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(line))
	n, depth := 0, 0
	for key := true; ; {
		tok, err := d.Token()
		if err != nil {
			return n
		}
		switch tok {
		case json.Delim('{'), json.Delim('['):
			depth++
			key = true
			continue
		case json.Delim('}'), json.Delim(']'):
			depth--
			key = true
			continue
		}
		if depth == 1 {
			if key {
				n++
			}
			key = !key
		}
	}
}

func (j *journal) messages(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, line := range j.lines(t) {
		all = append(all, line["msg"].(string))
	}
	return all
}

// rig is a log with Clue in front of it.
type rig struct {
	journal
	level  slog.LevelVar
	leases *telemetry.Leases
	clue   *cluelog.Logger
	base   context.Context
}

func newRig(cfg cluelog.Config) *rig {
	r := &rig{leases: telemetry.NewLeases(telemetry.LeasesConfig{Audit: func(telemetry.LeaseEvent) {}})}
	r.clue = cluelog.New(telemetry.NewHandler(r, telemetry.JSON, &r.level), cfg)
	r.base = r.clue.BaseContext(context.Background())
	return r
}

// request begins a request.
func (r *rig) request(id string) (context.Context, *telemetry.Scope) {
	s := &telemetry.Scope{RequestID: id, Service: "orders", Method: "create"}
	return telemetry.WithScope(r.base, s), s
}

func want(t *testing.T, j *rig, messages ...string) {
	t.Helper()
	if diff := cmp.Diff(messages, j.messages(t)); diff != "" {
		t.Error(diff)
	}
}

func TestInfoIsHeldUntilTheRequestFails(t *testing.T) {
	j := newRig(cluelog.Config{})
	ctx, s := j.request("r1")
	log.Info(ctx, log.KV{K: "msg", V: "one"}, log.KV{K: "n", V: 1})
	child := log.With(ctx, log.KV{K: "user", V: "ann"})
	log.Infof(child, "two %d", 2)
	log.Print(ctx, log.KV{K: "msg", V: "printed"})
	log.Warnf(child, "warned")
	log.Debugf(ctx, "never")
	var wg sync.WaitGroup
	wg.Go(func() { log.Infof(log.With(child, log.Fields{"deep": true}), "three") })
	wg.Wait()
	want(t, j, "printed", "warned")
	s.Show()
	s.Show()
	want(t, j, "printed", "warned", "one", "two 2", "three")
	got := j.lines(t)[4]
	delete(got, "time")
	if diff := cmp.Diff(map[string]any{"level": "INFO", "msg": "three", "request_id": "r1", "service": "orders",
		"method": "create", "user": "ann", "deep": true}, got); diff != "" {
		t.Error(diff)
	}
}

func TestInfoOfARequestThatSucceedsIsNotShown(t *testing.T) {
	j := newRig(cluelog.Config{})
	ctx, _ := j.request("r1")
	log.Infof(ctx, "one")
	want(t, j)
}

func TestErrorShowsWhatIsHeld(t *testing.T) {
	j := newRig(cluelog.Config{})
	ctx, s := j.request("r1")
	log.Infof(log.With(ctx, log.KV{K: "a", V: 1}), "one")
	log.Errorf(log.With(ctx, log.KV{K: "b", V: 1}), errors.New("broken"), "failed")
	log.Infof(ctx, "two")
	s.Show()
	want(t, j, "one", "failed", "two")
	line := j.lines(t)[1]
	if line["error"] != "broken" || line["level"] != "ERROR" {
		t.Errorf("the error's line is %v", line)
	}
}

func TestAGoroutineMayOutliveItsRequest(t *testing.T) {
	j := newRig(cluelog.Config{})
	ctx, _ := j.request("r1") // succeeds: nobody shows it
	log.Infof(ctx, "during")
	done := make(chan struct{})
	go func() {
		defer close(done)
		late := context.WithoutCancel(ctx)
		log.Infof(late, "after")
		log.Error(late, errors.New("broken"))
		log.Infof(late, "at once")
	}()
	<-done
	want(t, j, "during", "after", "", "at once")
	for _, line := range j.lines(t) {
		if line["request_id"] != "r1" {
			t.Errorf("the line is of another request: %v", line)
		}
	}
}

func TestTracedRequestsAreShownAtOnce(t *testing.T) {
	caller := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	start := func(s sdktrace.Sampler) func(context.Context) context.Context {
		return func(ctx context.Context) context.Context {
			ctx, _ = sdktrace.NewTracerProvider(sdktrace.WithSampler(s)).Tracer("test").Start(ctx, "request")
			return ctx
		}
	}
	for _, test := range []struct {
		name   string
		start  func(context.Context) context.Context
		traced bool
	}{
		{"sampled", start(sdktrace.AlwaysSample()), true},
		{"not sampled", start(sdktrace.NeverSample()), false},
		{"sampled by the caller only", func(ctx context.Context) context.Context { return trace.ContextWithSpanContext(ctx, caller) }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			j := newRig(cluelog.Config{})
			ctx, _ := j.request("r1")
			ctx = test.start(ctx)
			log.Infof(ctx, "one")
			log.Print(ctx, log.KV{K: "msg", V: "two"}, log.KV{K: "trace_id", V: "mine"})
			if test.traced {
				want(t, j, "one", "two")
			} else {
				want(t, j, "two")
			}
			span := trace.SpanContextFromContext(ctx)
			for _, line := range j.lines(t) {
				if line["trace_id"] != span.TraceID().String() || line["span_id"] != span.SpanID().String() {
					t.Errorf("ids are %v", line)
				}
			}
		})
	}
}

func TestOutsideOfARequestNothingIsHeld(t *testing.T) {
	j := newRig(cluelog.Config{})
	log.Infof(j.base, "one")
	log.Infof(log.With(j.base, log.KV{K: "service", V: "kept"}), "two")
	log.Debugf(j.base, "never")
	want(t, j, "one", "two")
	if got := j.lines(t)[1]["service"]; got != "kept" {
		t.Errorf("service = %v", got)
	}
}

func TestDebug(t *testing.T) {
	j := newRig(cluelog.Config{})
	j.level.Set(slog.LevelDebug)
	ctx, _ := j.request("r1")
	ctx = j.clue.Context(ctx)
	log.Debugf(ctx, "one")
	log.Infof(ctx, "two")
	j.level.Set(slog.LevelWarn)
	log.Debugf(ctx, "never")
	log.Infof(ctx, "never")
	log.Warnf(ctx, "three")
	want(t, j, "one", "two", "three")
}

func TestLogLevelLeases(t *testing.T) {
	j := newRig(cluelog.Config{})
	lease, err := j.leases.Open(telemetry.Lease{Kind: telemetry.LogLevel, Level: slog.LevelDebug, Principal: "ann", OpenedBy: "op"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"bob", "ann"} {
		ctx, s := j.request(who)
		log.Infof(ctx, "before of %s", who)
		j.leases.Apply(s, "orders", "create", telemetry.Caller{Subject: who})
		ctx = j.clue.Context(ctx)
		log.Debugf(ctx, "debug of %s", who)
		log.Infof(ctx, "info of %s", who)
		if who == "ann" {
			if _, err := j.leases.End(lease.ID, "op"); err != nil {
				t.Fatal(err)
			}
			log.Debugf(ctx, "never")
			log.Infof(ctx, "held again")
		}
	}
	want(t, j, "before of ann", "debug of ann", "info of ann")
}

func TestLimits(t *testing.T) {
	j := newRig(cluelog.Config{MaxLines: 3})
	ctx, s := j.request("r1")
	for i := range 1000 {
		log.Infof(ctx, "%d", i)
	}
	s.Show()
	want(t, j, "held lines dropped", "997", "998", "999")
	if line := j.lines(t)[0]; line["log.dropped"] != 997.0 || line["level"] != "WARN" || line["request_id"] != "r1" {
		t.Errorf("the notice is %v", line)
	}

	j = newRig(cluelog.Config{MaxBytes: 3000})
	ctx, s = j.request("r2")
	log.Infof(ctx, "first")
	log.Infof(ctx, "%s", strings.Repeat("a", 1500))
	log.Infof(ctx, "%s", strings.Repeat("b", 1500)) // the first two go
	log.Infof(ctx, "%s", strings.Repeat("c", 3500)) // does not fit at all
	log.Infof(ctx, "last")
	s.Show()
	want(t, j, "held lines dropped", strings.Repeat("b", 1500), "last")
	if n := j.lines(t)[0]["log.dropped"]; n != 3.0 {
		t.Errorf("%v lines were dropped", n)
	}
}

type panics struct{}

func (panics) Error() string { panic("no text") }

type panicsValue struct{ Secret string }

func (panicsValue) LogValue() slog.Value { panic("no value") }

type masked struct{ Card string }

func (masked) LogValue() slog.Value { return slog.StringValue("****") }

func TestValuesAreAlwaysValidJSON(t *testing.T) {
	j := newRig(cluelog.Config{})
	ctx, s := j.request("r1")
	list := []any{"x", 1}
	values := map[string]any{
		"nan": math.NaN(), "inf": math.Inf(1), "control": "\x00\x1b\n\u2028\xff", `quote"d\`: "\"", "new\nline": 1,
		"panic": panics{}, "panic value": panicsValue{"4111"}, "masked": masked{"4111 " + strings.Repeat("1", 9000)}, "nil": nil,
		"chan": make(chan int), "func": func() {}, "error": errors.New("e"), "list": list, "duration": time.Second,
		"raw": json.RawMessage("{"), "err": "x", "time": 1, "level": 2, "service": "mine", "method": "GET", "request_id": "theirs",
		"bytes": []byte("\x00"), "long": strings.Repeat("é", 9000), "nested": map[string]any{"m": &masked{"4111"}},
	}
	for _, call := range []func(context.Context, ...log.Fielder){log.Info, log.Print} {
		call(log.With(ctx, log.Fields(values)), log.KV{K: "msg", V: 7}, log.KV{K: "list", V: list}, log.KV{K: "last", V: "wins"})
	}
	list[0] = "changed"
	s.Show()
	lines := j.lines(t)
	if len(lines) != 2 {
		t.Fatalf("want 2 lines, got %v", lines)
	}
	if strings.Contains(j.buf.String(), "4111") || strings.Contains(j.buf.String(), "changed") {
		t.Errorf("a secret or a later change is in the lines: %s", j.buf.String())
	}
	for _, line := range lines {
		delete(line, "time")
		delete(line, "chan")
		delete(line, "func")
	}
	if diff := cmp.Diff(lines[0], lines[1]); diff != "" {
		t.Errorf("a held line differs: %s", diff)
	}
	for key, value := range map[string]any{"msg": "7", "request_id": "r1", "service": "orders", "method": "create", "level": "INFO",
		"clue.service": "mine", "clue.method": "GET", "clue.request_id": "theirs", "error": "x", "clue.error": "e", "masked": "****",
		"nan": "NaN", "list": "[x 1]", "last": "wins"} {
		if lines[0][key] != value {
			t.Errorf("%s = %v, want %v", key, lines[0][key], value)
		}
	}
}

func TestManyMembers(t *testing.T) {
	j := newRig(cluelog.Config{})
	ctx, _ := j.request("r1")
	many := make([]log.Fielder, 0, 3000)
	for i := range 3000 {
		many = append(many, log.KV{K: fmt.Sprint("k", i), V: i})
	}
	log.Print(ctx, append([]log.Fielder{log.KV{K: "msg", V: "m"}}, many...)...)
	want(t, j, "m")
	if line := j.lines(t)[0]; line["request_id"] != "r1" || line["k2999"] != 2999.0 || line["log.members_dropped"] != 2746.0 {
		t.Errorf("the line is %v", line)
	}
}

func FuzzMembersAreValidJSON(f *testing.F) {
	f.Add("msg", "err", "a", "b")
	f.Add("\"", "error", "\x00", "\xff")
	f.Fuzz(func(t *testing.T, k1, k2, v1, v2 string) {
		if strings.HasPrefix(k1, "clue.") || strings.HasPrefix(k2, "clue.") {
			return // our own prefix
		}
		if strings.ToValidUTF8(k1, "\ufffd") == strings.ToValidUTF8(k2, "\ufffd") && k1 != k2 {
			return // printed alike
		}
		j := newRig(cluelog.Config{})
		ctx, s := j.request(v1)
		log.Info(log.With(ctx, log.KV{K: k1, V: v1}), log.KV{K: k2, V: v2}, log.KV{K: k1, V: v2})
		s.Show()
		if n := len(j.lines(t)); n != 1 {
			t.Errorf("%d lines", n)
		}
	})
}

// Clue's adapters use its functions, and so tell Info from Print.
func TestAdapters(t *testing.T) {
	j := newRig(cluelog.Config{})
	ctx, s := j.request("r1")
	log.ToLogrSink(ctx).WithName("a").Info(0, "held by logr")
	log.AsAWSLogger(ctx).Logf("INFO", "held by aws")
	log.AsStdLogger(ctx).Print("std")
	if err := log.AsGoaMiddlewareLogger(ctx).Log("msg", "goa"); err != nil {
		t.Fatal(err)
	}
	want(t, j, "std", "goa")
	s.Show()
	want(t, j, "std", "goa", "held by logr", "held by aws")
}

// Options that a service sets on our logger are those of all requests, since
// Clue shares them. Nothing may be lost by them.
func TestForeignOptions(t *testing.T) {
	j := newRig(cluelog.Config{})
	ctx, s := j.request("r1")
	ctx = log.Context(ctx, log.WithDebug(), log.WithFunc(log.Span), log.WithFunc(func(context.Context) []log.KV { return []log.KV{{K: "v", V: 1}} }))
	log.Debugf(ctx, "never")
	log.Infof(ctx, "held")
	s.Show()
	want(t, j, "held")
	if line := j.lines(t)[0]; line["request_id"] != "r1" || line["v"] != 1.0 {
		t.Errorf("the line is %v", line)
	}
	ctx = log.Context(ctx, log.WithFormat(log.FormatText))
	log.Print(ctx, log.KV{K: "msg", V: "formatted"})
	if lines := j.messages(t); len(lines) != 2 || !strings.Contains(lines[1], "msg=formatted") {
		t.Errorf("lines are %q", lines)
	}
}

func TestConcurrentRequests(t *testing.T) {
	j := newRig(cluelog.Config{})
	const requests, goroutines = 200, 4
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := &telemetry.Scope{RequestID: r.URL.Path[1:], Service: "orders"}
		ctx := telemetry.WithScope(r.Context(), s)
		log.Infof(ctx, "first")
		var wg sync.WaitGroup
		for g := range goroutines {
			child := log.With(ctx, log.KV{K: "g", V: g})
			wg.Go(func() {
				log.Infof(child, "info")
				log.Infof(log.With(child, log.KV{K: "deep", V: true}), "deep")
				log.Print(child, log.KV{K: "msg", V: "print"})
			})
		}
		wg.Wait()
		if strings.HasSuffix(s.RequestID, "7") {
			s.Show()
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	srv.Config.BaseContext = func(net.Listener) context.Context { return j.base }
	srv.Start()
	defer srv.Close()
	var wg sync.WaitGroup
	for i := range requests {
		wg.Go(func() {
			res, err := srv.Client().Get(fmt.Sprintf("%s/r%d", srv.URL, i))
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
		})
	}
	wg.Wait()
	got := map[string]int{}
	for _, line := range j.lines(t) {
		got[fmt.Sprintf("%v %v %v", line["request_id"], line["msg"], line["g"])]++
	}
	wanted := map[string]int{}
	for i := range requests {
		id := fmt.Sprintf("r%d", i)
		for g := range goroutines {
			wanted[fmt.Sprintf("%v %v %v", id, "print", g)] = 1
			if i%10 == 7 {
				wanted[fmt.Sprintf("%v %v %v", id, "info", g)], wanted[fmt.Sprintf("%v %v %v", id, "deep", g)] = 1, 1
				wanted[fmt.Sprintf("%v %v %v", id, "first", nil)] = 1
			}
		}
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Error(diff)
	}
}
