package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func FuzzTraceParent(f *testing.F) {
	for _, s := range []string{
		parentHeader + "01", parentHeader + "00", parentHeader + "ff", "", "00-", parentHeader + "01-", "01" + parentHeader[2:] + "01-more", "01" + parentHeader[2:] + "01more",
		"ff" + parentHeader[2:] + "01", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := ParseTraceParent(s)
		ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": s})
		want := trace.SpanContextFromContext(ctx)
		// OpenTelemetry refuses flags that it does not know, which the standard
		// wants ignored, and takes version 00 with something behind it.
		known := len(s) == traceParent && s[:2] == "00" && s[53] == '0' && s[54] <= '3'
		if known && ok != want.IsValid() || known && ok && (got.TraceID() != want.TraceID() || got.SpanID() != want.SpanID() || got.IsSampled() != want.IsSampled()) {
			t.Errorf("%q: got %v %v, OpenTelemetry %v", s, ok, got, want)
		}
		if !ok {
			return
		}
		again, ok := ParseTraceParent(string(AppendTraceParent(nil, got)))
		if !ok || !again.Equal(got) {
			t.Errorf("%q: read again as %v", s, again)
		}
	})
}

func TestParseTraceParentAllocatesNothing(t *testing.T) {
	b := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() {
		sc, _ := ParseTraceParent(parentHeader + "01")
		b = AppendTraceParent(b[:0], sc)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestParents(t *testing.T) {
	tel := exported(t, Config{TracesPerSecond: -1, ParentTracesPerSecond: 1})
	m := tel.Method(&createOrder, createRoute)
	tests := []struct {
		name, parent, state string
		sampled             bool
		trace, keep         string
	}{
		{"sampled parent", parentHeader + "01", "a=1,b=2", true, "0af7651916cd43dd8448eb211c80319c", "a=1,b=2"},
		{"one parent too many this second", parentHeader + "01", "", false, "0af7651916cd43dd8448eb211c80319c", ""},
		{"unsampled parent", parentHeader + "00", "a=1", false, "0af7651916cd43dd8448eb211c80319c", "a=1"},
		{"broken tracestate", parentHeader + "00", "a=1,a=\x00", false, "0af7651916cd43dd8448eb211c80319c", ""},
		{"broken parent", parentHeader + "0", "a=1", false, "", ""},
		{"no parent", "", "a=1", false, "", ""},
	}
	for _, test := range tests {
		r := httptest.NewRequest("POST", "/orders/1", nil)
		if test.parent != "" {
			r.Header.Set("traceparent", test.parent)
		}
		r.Header["Tracestate"] = []string{test.state}
		c := serve(m, r, 200)
		sc := trace.SpanContextFromContext(c)
		if sc.IsSampled() != test.sampled || c.span.Traced() != test.sampled || !sc.IsValid() || sc.IsRemote() || sc.TraceState().String() != test.keep {
			t.Errorf("%s: %v", test.name, sc)
		}
		if test.trace != "" && sc.TraceID().String() != test.trace || sc.SpanID().String() == "b7ad6b7169203331" {
			t.Errorf("%s: trace %s span %s", test.name, sc.TraceID(), sc.SpanID())
		}
	}
}

// Who exports nothing is a link in the chain, no end of it.
func TestParentPassesThroughWithoutExporter(t *testing.T) {
	clean(t)
	m := newTelemetry(t, Config{}).Method(&createOrder, createRoute)
	r := httptest.NewRequest("POST", "/orders/1", nil)
	r.Header.Set("Traceparent", parentHeader+"01")
	sc := trace.SpanContextFromContext(serve(m, r, 200))
	if got := string(AppendTraceParent(nil, sc)); got != parentHeader+"01" {
		t.Errorf("traceparent is %s", got)
	}
	r.Header.Del("Traceparent")
	// Else those who come after would never trace.
	if sc := trace.SpanContextFromContext(serve(m, r, 200)); !sc.IsValid() || !sc.IsSampled() || sc.IsRemote() {
		t.Errorf("own trace is %v", sc)
	}
}

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRate(10)
		count := func(d, every time.Duration) (n int) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(every) {
				if r.allow(time.Now()) {
					n++
				}
			}
			return n
		}
		if n := count(10*time.Second, time.Millisecond); n < 100 || n > 110 {
			t.Errorf("%d in ten seconds, want 100 and one second's worth", n)
		}
		if n := count(10*time.Second, time.Second); n != 10 {
			t.Errorf("%d of ten slow ones", n)
		}
		time.Sleep(time.Hour)
		n := 0
		for range 1000 {
			if r.allow(time.Now()) {
				n++
			}
		}
		if n != 10 {
			t.Errorf("%d at once after an hour", n)
		}
	})
}

func TestRatioIsOpenTelemetrys(t *testing.T) {
	for _, ratio := range []float64{0.001, 0.1, 0.5, 1} {
		s, err := newSampler(Config{TracesRatio: ratio}, &environment{})
		if err != nil {
			t.Fatal(err)
		}
		theirs, n := sdktrace.TraceIDRatioBased(ratio), 0
		for range 20000 {
			id := newTraceID()
			want := theirs.ShouldSample(sdktrace.SamplingParameters{ParentContext: t.Context(), TraceID: id}).Decision == sdktrace.RecordAndSample
			if got := s.begin(time.Time{}, id); got != want {
				t.Fatalf("ratio %v, %s: %v", ratio, id, got)
			} else if got {
				n++
			}
		}
		if got := float64(n) / 20000; got < ratio*0.4 || got > ratio*1.8 {
			t.Errorf("ratio %v became %v", ratio, got)
		}
	}
}

func TestOwnSpans(t *testing.T) {
	tel := exported(t, Config{TracesRatio: 1, ParentTracesPerSecond: 0})
	m := tel.Method(&createOrder, createRoute)
	r := httptest.NewRequest("POST", "/orders/1", nil)
	c := &requestContext{Context: context.Background()}
	m.Start(c, &c.span, r, time.Now())
	ctx, span := Start(c, "a")
	if !span.IsRecording() || span.SpanContext().TraceID() != c.span.SpanContext().TraceID() || trace.SpanFromContext(ctx) != span {
		t.Errorf("child of a sampled request: %v", span.SpanContext())
	}
	End(span, context.Canceled)
	if !trace.SpanFromContext(c).IsRecording() {
		t.Error("ending the child ended the request's span")
	}
	m.End(&c.span, &Request{Status: 200})

	r.Header.Set("Traceparent", parentHeader+"00")
	c = serve(m, r, 200)
	tracer := tel.Tracer("test")
	if n := testing.AllocsPerRun(100, func() {
		_, span := Start(c, "a")
		End(span, errors.ErrUnsupported)
		_, span = tracer.Start(c, "b")
		span.End()
	}); n > 0 {
		t.Errorf("%v allocations for spans that are not sampled", n)
	}
	_, root := tracer.Start(c, "c", trace.WithNewRoot())
	if !root.IsRecording() {
		t.Error("a new root is not sampled")
	}
	root.End()
	_, job := tracer.Start(t.Context(), "job")
	if !job.IsRecording() {
		t.Error("a span outside of requests is not sampled")
	}
	job.End()
	if _, none := Start(t.Context(), "none"); none.IsRecording() || none.SpanContext().IsValid() {
		t.Error("a span without a request")
	}
}

func TestNilRecordsNothing(t *testing.T) {
	var tel *Telemetry
	c := serve(tel.Method(&createOrder, createRoute), httptest.NewRequest("POST", "/", nil), 200)
	serve(tel.Unmatched("GET"), httptest.NewRequest("POST", "/", nil), 404)
	if trace.SpanContextFromContext(c).IsValid() {
		t.Error("a trace of nothing")
	}
	tel.AuthFailed("jwt", "expired")
	tel.Refused("draining")
	if err := errors.Join(tel.Observe(State{}), tel.Shutdown(t.Context())); err != nil {
		t.Error(err)
	}
	h := NewHandler(&bytes.Buffer{}, JSON, nil)
	if tel.Handler(h) != slog.Handler(h) {
		t.Error("the handler changed")
	}
	w := httptest.NewRecorder()
	tel.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Errorf("status %d", w.Code)
	}
	tel.Tracer("t").Start(t.Context(), "s")
	if _, err := tel.Histogram("s", "h", ""); err != nil {
		t.Error(err)
	}
}

func TestLinesHaveIDs(t *testing.T) {
	clean(t)
	m := newTelemetry(t, Config{}).Method(&createOrder, createRoute)
	c := serve(m, httptest.NewRequest("POST", "/", nil), 200)
	sc := c.span.SpanContext()
	var buf bytes.Buffer
	logger := slog.New(NewHandler(&buf, JSON, nil)).WithGroup("g").With("a", 1)
	logger.InfoContext(c, "m", "b", 2)
	got := decode(t, buf.Bytes())
	if got["trace_id"] != sc.TraceID().String() || got["span_id"] != sc.SpanID().String() || fmt.Sprint(got["g"]) != "map[a:1 b:2]" {
		t.Errorf("line %s", &buf)
	}
	if n := testing.AllocsPerRun(100, func() {
		buf.Reset()
		logger.InfoContext(c, "m")
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRequestLineHasIDs(t *testing.T) {
	clean(t)
	m := newTelemetry(t, Config{}).Method(&createOrder, createRoute)
	c := serve(m, httptest.NewRequest("POST", "/", nil), 200)
	sc := c.span.SpanContext()
	line := Request{ID: "r1", Trace: sc, Service: "orders", Method: "create", Status: 500}
	ctx := WithScope(c, &Scope{RequestID: "r1", Service: "orders", Method: "create"})
	var buf bytes.Buffer
	for name, h := range map[string]slog.Handler{
		"ours": NewHandler(&buf, JSON, nil), "with context": NewContextHandler(NewHandler(&buf, JSON, nil)), "foreign": slog.NewJSONHandler(&buf, nil),
	} {
		buf.Reset()
		if err := LogRequest(ctx, h, &line); err != nil {
			t.Fatal(err)
		}
		got := decode(t, buf.Bytes())
		if got["trace_id"] != sc.TraceID().String() || got["span_id"] != sc.SpanID().String() {
			t.Errorf("%s: %s", name, &buf)
		}
		if n := bytes.Count(buf.Bytes(), []byte(`"request_id"`)); n != 1 {
			t.Errorf("%s: %d request ids: %s", name, n, &buf)
		}
	}
	buf.Reset()
	_ = NewHandler(&buf, Terminal, nil).Request(&line)
	if !bytes.Contains(buf.Bytes(), []byte(" trace_id="+sc.TraceID().String()+"\n")) {
		t.Errorf("text: %s", &buf)
	}
}
