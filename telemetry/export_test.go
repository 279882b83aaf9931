package telemetry

import (
	"bytes"
	"context"
	enc "encoding/hex"
	"errors"
	"io"
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
	"go.opentelemetry.io/otel/attribute"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// card is what must never leave the process.
const card = "4111111111111111"

func TestOTLP(t *testing.T) {
	for name, start := range map[string]func(testing.TB) (*sink, string){"grpc": grpcSink, "http/protobuf": httpSink} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			got, url := start(t)
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
			t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", name)
			t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "service.version=9,team=blue")
			tel, err := New(t.Context(), Config{Service: "shop", Version: "1", Scheme: "https"})
			if err != nil {
				t.Fatal(err)
			}
			line := oneRequest(t, tel)
			if err := tel.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			checkSpans(t, got)
			checkResource(t, got)
			checkLogs(t, got, line)
			if strings.Contains(got.raw, card) {
				t.Error("the card number was exported")
			}
			m := got.metrics["http.server.request.duration"]
			if n := len(m.GetHistogram().GetDataPoints()); n != 1 {
				t.Fatalf("%d series of durations", n)
			}
			p := m.GetHistogram().GetDataPoints()[0]
			want := map[string]any{"http.request.method": "POST", "http.route": "/orders/{id}", "http.response.status_code": 503.0,
				"error.type": "database", "url.scheme": "https", "goa.service": "orders", "goa.method": "create"}
			if diff := cmp.Diff(want, attrs(p.GetAttributes())); diff != "" || p.GetCount() != 1 || len(p.GetExemplars()) != 1 {
				t.Errorf("durations: %s, count %d, %d exemplars", diff, p.GetCount(), len(p.GetExemplars()))
			}
			if got.metrics["go.goroutine.count"] == nil || got.metrics["process.cpu.time"] == nil || got.metrics["aguada.build.info"] == nil {
				t.Errorf("metrics are missing: %v", len(got.metrics))
			}
		})
	}
}

// oneRequest serves a request that fails and returns its log lines.
func oneRequest(t *testing.T, tel *Telemetry) string {
	t.Helper()
	var out bytes.Buffer
	h := tel.Handler(NewHandler(&out, JSON, nil))
	m := tel.Method(&createOrder, createRoute)
	r := httptest.NewRequest("POST", "https://shop.test/orders/"+card+"?key="+card, nil)
	r.Header.Set("Traceparent", parentHeader+"01")
	r.Header.Set("Tracestate", "vendor=1")
	c := &requestContext{Context: context.Background()}
	m.Start(c.Context, &c.span, r, time.Now())
	ctx, span := Start(c, "create_order", attribute.Int("items", 3))
	slog.New(h).WithGroup("db").InfoContext(ctx, "insert", "payload", []secret{{Card: card}}, "took", time.Second)
	End(span, errors.New("connection refused"))
	line := Request{Time: time.Now(), ID: "r1", Trace: c.span.SpanContext(), Service: "orders", Method: "create", Verb: "POST", Route: "/orders/{id}",
		Status: 503, Duration: 7 * time.Millisecond, ErrorType: "database", ErrorID: "e1"}
	if err := LogRequest(c, h, &line); err != nil {
		t.Fatal(err)
	}
	m.End(&c.span, &line)
	return out.String()
}

func checkSpans(t *testing.T, got *sink) {
	t.Helper()
	if len(got.spans) != 2 {
		t.Fatalf("%d spans", len(got.spans))
	}
	child, server := got.spans[0], got.spans[1]
	if server.GetName() != "POST /orders/{id}" || server.GetKind() != tracepb.Span_SPAN_KIND_SERVER || child.GetName() != "create_order" {
		t.Errorf("spans %q, %q", server.GetName(), child.GetName())
	}
	if enc.EncodeToString(server.GetParentSpanId()) != "b7ad6b7169203331" || enc.EncodeToString(server.GetTraceId()) != "0af7651916cd43dd8448eb211c80319c" {
		t.Error("the caller's trace is not continued")
	}
	if !bytes.Equal(child.GetParentSpanId(), server.GetSpanId()) || server.GetTraceState() != "vendor=1" {
		t.Error("the child's parent or the tracestate is wrong")
	}
	for _, s := range got.spans {
		if s.GetStatus().GetCode() != tracepb.Status_STATUS_CODE_ERROR {
			t.Errorf("status of %s is %v", s.GetName(), s.GetStatus())
		}
	}
	if d := server.GetEndTimeUnixNano() - server.GetStartTimeUnixNano(); d != 7e6 {
		t.Errorf("server span took %d ns", d)
	}
	a := attrs(server.GetAttributes())
	if a["error.id"] != "e1" || a["request_id"] != "r1" || a["network.protocol.version"] != "1.1" || a["http.response.status_code"] != 503.0 {
		t.Errorf("attributes %v", a)
	}
}

func checkResource(t *testing.T, got *sink) {
	t.Helper()
	a := attrs(got.resource.GetAttributes())
	if a["service.name"] != "shop" || a["service.version"] != "9" || a["team"] != "blue" || a["service.instance.id"] == nil || a["process.runtime.version"] == nil {
		t.Errorf("resource %v", a)
	}
	if a["process.command_args"] != nil {
		t.Error("the command line is exported")
	}
}

func checkLogs(t *testing.T, got *sink, text string) {
	t.Helper()
	lines := strings.SplitAfter(strings.TrimSpace(text), "\n")
	if len(lines) != 2 || len(got.logs) != 2 {
		t.Fatalf("%d lines, %d records", len(lines), len(got.logs))
	}
	lines[1] += "\n"
	for i, r := range got.logs {
		want := decode(t, []byte(lines[i]))
		if enc.EncodeToString(r.GetTraceId()) != want["trace_id"] || enc.EncodeToString(r.GetSpanId()) != want["span_id"] {
			t.Errorf("record %d: trace %x, span %x; line %v", i, r.GetTraceId(), r.GetSpanId(), want)
		}
		if anyValue(r.GetBody()) != want["msg"] || r.GetSeverityText() != want["level"] {
			t.Errorf("record %d: %v %s", i, r.GetBody(), r.GetSeverityText())
		}
		for _, key := range []string{"time", "level", "msg", "trace_id", "span_id"} {
			delete(want, key)
		}
		a := attrs(r.GetAttributes())
		if diff := cmp.Diff(want, a); diff != "" {
			t.Errorf("record %d is not its line: %s", i, diff)
		}
	}
}

// deaf accepts connections and never answers.
func deaf(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var conns []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
		for _, c := range conns {
			_ = c.Close()
		}
	})
	return l.Addr().String()
}

func TestDeadEndpointHoldsNobody(t *testing.T) {
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = refused.Close()
	for name, addr := range map[string]string{"refuses": refused.Addr().String(), "never answers": deaf(t)} {
		for _, protocol := range []string{"grpc", "http/protobuf"} {
			t.Run(name+" "+protocol, func(t *testing.T) {
				clean(t)
				t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+addr)
				t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
				tel, err := New(t.Context(), Config{TracesRatio: 1})
				if err != nil {
					t.Fatal(err)
				}
				m := tel.Method(&createOrder, createRoute)
				r := httptest.NewRequest("POST", "/orders/1", nil)
				start := time.Now()
				for range 5000 {
					serve(m, r, 200)
				}
				if d := time.Since(start); d > 2*time.Second {
					t.Errorf("5,000 requests took %v", d)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				defer cancel()
				start = time.Now()
				err = tel.Shutdown(ctx)
				if d := time.Since(start); d > time.Second {
					t.Errorf("shutdown took %v", d)
				}
				if err == nil || !strings.Contains(err.Error(), "5000 spans were not delivered") {
					t.Errorf("error %v", err)
				}
				if err := tel.Shutdown(ctx); err != nil {
					t.Errorf("second shutdown: %v", err)
				}
			})
		}
	}
}

func TestShutdownDeliversAll(t *testing.T) {
	clean(t)
	got, url := grpcSink(t)
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	tel := newTelemetry(t, Config{TracesRatio: 1})
	m := tel.Method(&createOrder, createRoute)
	for range 1000 {
		serve(m, httptest.NewRequest("POST", "/orders/1", nil), 200)
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(got.spans) != 1000 || got.metrics != nil || got.logs != nil {
		t.Errorf("%d spans, %d metrics, %d logs", len(got.spans), len(got.metrics), len(got.logs))
	}
}

func TestComplaintsAreRare(t *testing.T) {
	clean(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", server.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cret")
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
	var w writes
	tel := newTelemetry(t, Config{TracesRatio: 1, Logger: slog.New(NewHandler(&w, JSON, nil))})
	m := tel.Method(&createOrder, createRoute)
	for range 20 {
		serve(m, httptest.NewRequest("POST", "/orders/1", nil), 200)
	}
	err := tel.Shutdown(t.Context())
	if err == nil || !strings.Contains(err.Error(), "20 spans were not delivered: ") || strings.Contains(err.Error()+w.b.String(), "s3cret") {
		t.Errorf("error %v", err)
	}
	if w.n != 1 || !strings.Contains(w.b.String(), "telemetry was not delivered") {
		t.Errorf("%d lines: %s", w.n, &w.b)
	}
}

func TestHandlerKeepsItsAttributes(t *testing.T) {
	clean(t)
	got, url := grpcSink(t)
	t.Setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", url)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	tel := newTelemetry(t, Config{})
	var out bytes.Buffer
	base := NewHandler(&out, JSON, nil)
	logger := slog.New(tel.Handler(base)).With("a", 1).WithGroup("g").With("b", "x").WithGroup("h")
	for range 3 {
		logger.Info("plain")
		logger.With("d", true).Info("more", "c", 2.5, slog.Group("", "e", uint64(7)), "n", []string{"p", "q"})
		logger.Debug("too little")
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(bytes.TrimSuffix(out.Bytes(), []byte("\n")), []byte("\n"))
	lines[len(lines)-1] = append(lines[len(lines)-1], '\n')
	if len(lines) != 6 || len(got.logs) != 6 {
		t.Fatalf("%d lines, %d records", len(lines), len(got.logs))
	}
	for i, r := range got.logs {
		want := decode(t, lines[i])
		for _, key := range []string{"time", "level", "msg"} {
			delete(want, key)
		}
		if diff := cmp.Diff(want, attrs(r.GetAttributes())); diff != "" {
			t.Errorf("record %d is not its line: %s", i, diff)
		}
	}
	out.Reset()
	logger.Info("after the end")
	if out.Len() == 0 {
		t.Error("the log ended with the export")
	}
}

func TestRequestRecordAllocations(t *testing.T) {
	clean(t)
	t.Setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://"+deaf(t)) // so that only the request's side is seen
	tel := newTelemetry(t, Config{})
	h := tel.Handler(NewHandler(io.Discard, JSON, nil))
	c := serve(tel.Method(&createOrder, createRoute), httptest.NewRequest("POST", "/", nil), 200)
	r := &Request{Time: time.Now(), ID: "0123456789", Trace: c.span.SpanContext(), Service: "orders", Method: "create", Verb: "POST", Route: "/orders", Status: 201}
	least := math.Inf(1) // the exporter allocates beside it whenever it has a turn
	for range 50 {
		least = min(least, testing.AllocsPerRun(20, func() { _ = LogRequest(context.Background(), h, r) }))
	}
	if least > 6 {
		t.Errorf("%v allocations", least)
	}
}

func BenchmarkRequestOTLP(b *testing.B) {
	tel := exported(b, Config{})
	h := tel.Handler(NewHandler(io.Discard, JSON, nil))
	r := &Request{Time: time.Now(), ID: "0123456789abcdefghijklmn", Service: "orders", Method: "create", Verb: "POST", Route: "/orders",
		Status: 201, Duration: 1234 * time.Microsecond, Client: "127.0.0.1", BodyIn: 300, BodyOut: 400, User: "user-1", Scheme: "jwt"}
	b.ReportAllocs()
	for b.Loop() {
		_ = LogRequest(context.Background(), h, r)
	}
}
