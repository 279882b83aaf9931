package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/aguada-dev/aguada/policy"
)

const createCall = "shop.Orders/Create"

// call makes one call of a method.
func call(r *RPCInstruments, metadata map[string][]string, line *Request) *requestContext {
	c := &requestContext{Context: context.Background()}
	start := time.Now()
	r.Start(c.Context, &c.span, metadata, start)
	r.End(&c.span, line)
	return c
}

func TestCallMetrics(t *testing.T) {
	clean(t)
	tel := newTelemetry(t, Config{})
	r := tel.RPC(GRPC, &createOrder, createCall)
	call(r, nil, &Request{Code: "OK", Duration: 3 * time.Millisecond})
	call(r, nil, &Request{Code: "NOT_FOUND", ErrorType: "not_found"})
	call(r, nil, &Request{Code: "UNAVAILABLE", ErrorType: "too_many_in_flight"})
	call(tel.UnknownRPC(GRPC), nil, &Request{Code: "UNIMPLEMENTED", Path: card})
	j := tel.RPC(JSONRPC, &createOrder, "orders.create")
	call(j, nil, &Request{})
	call(j, nil, &Request{Code: "-32602"})
	call(tel.UnknownRPC(JSONRPC), nil, &Request{Code: "-32601"})
	text, _ := scrape(t, tel, "")
	const of = `goa_method="create",goa_service="orders",`
	for _, want := range []string{
		`_bucket{` + of + `rpc_method="shop.Orders/Create",rpc_response_status_code="OK",rpc_system_name="grpc",le="0.005"} 1`,
		`_count{` + of + `rpc_method="shop.Orders/Create",rpc_response_status_code="OK",rpc_system_name="grpc"} 1`,
		`_count{goa_error="not_found",` + of + `rpc_method="shop.Orders/Create",rpc_response_status_code="NOT_FOUND",rpc_system_name="grpc"} 1`,
		`_count{error_type="UNAVAILABLE",goa_error="too_many_in_flight",` + of + `rpc_method="shop.Orders/Create",rpc_response_status_code="UNAVAILABLE",rpc_system_name="grpc"} 1`,
		`_count{error_type="UNIMPLEMENTED",rpc_method="_OTHER",rpc_response_status_code="UNIMPLEMENTED",rpc_system_name="grpc"} 1`,
		`_count{` + of + `rpc_method="orders.create",rpc_system_name="jsonrpc"} 1`,
		`_count{error_type="-32602",` + of + `rpc_method="orders.create",rpc_response_status_code="-32602",rpc_system_name="jsonrpc"} 1`,
		`_count{error_type="-32601",rpc_method="_OTHER",rpc_response_status_code="-32601",rpc_system_name="jsonrpc"} 1`,
	} {
		if !strings.Contains(text, "\nrpc_server_call_duration_seconds"+want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
	if strings.Contains(text, card) || strings.Contains(text, "http_server_request_duration") {
		t.Error("what a caller chose is in an attribute, or calls are HTTP requests")
	}
	promtool(t, text)
}

func TestOddCallsMakeNoSeries(t *testing.T) {
	clean(t)
	tel := newTelemetry(t, Config{})
	r := tel.RPC(JSONRPC, &createOrder, "orders.create")
	odd := func(from, to int) (series int) {
		for i := from; i < to; i++ {
			call(r, nil, &Request{Code: fmt.Sprint(-i)})
			call(r, nil, &Request{Code: "-32602", ErrorType: fmt.Sprint("error", i)})
			call(tel.UnknownRPC(GRPC), nil, &Request{Code: "UNIMPLEMENTED", Path: fmt.Sprint("shop.Orders/", i)})
			tel.Idempotent(fmt.Sprint("outcome", i))
		}
		_, lines := scrape(t, tel, "")
		return len(lines)
	}
	if before, after := odd(0, 200), odd(200, 2000); before != after {
		t.Errorf("%d lines became %d", before, after)
	}
	if text, _ := scrape(t, tel, ""); !strings.Contains(text, `rpc_response_status_code="_OTHER"`) || !strings.Contains(text, `goa_error="_OTHER"`) {
		t.Error("nothing is _OTHER")
	}
}

func TestCallSpans(t *testing.T) {
	clean(t)
	got, url := grpcSink(t)
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	tel := newTelemetry(t, Config{TracesRatio: 1})
	r := tel.RPC(GRPC, &createOrder, createCall)
	tests := []struct {
		code   string
		failed bool
	}{
		{"OK", false}, {"CANCELLED", false}, {"UNKNOWN", true}, {"INVALID_ARGUMENT", false}, {"DEADLINE_EXCEEDED", true}, {"NOT_FOUND", false},
		{"ALREADY_EXISTS", false}, {"PERMISSION_DENIED", false}, {"RESOURCE_EXHAUSTED", false}, {"FAILED_PRECONDITION", false}, {"ABORTED", false},
		{"OUT_OF_RANGE", false}, {"UNIMPLEMENTED", true}, {"INTERNAL", true}, {"UNAVAILABLE", true}, {"DATA_LOSS", true}, {"UNAUTHENTICATED", false},
	}
	for _, test := range tests {
		call(r, map[string][]string{"traceparent": {parentHeader + "01"}}, &Request{ID: "r1", Code: test.code, Error: card, User: card})
	}
	call(tel.UnknownRPC(GRPC), nil, &Request{Code: "UNIMPLEMENTED", Path: "shop.Orders/None"})
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, test := range tests {
		span := got.spans[i]
		want := map[string]any{"rpc.system.name": "grpc", "rpc.method": createCall, "rpc.response.status_code": test.code,
			"goa.service": "orders", "goa.method": "create", "request_id": "r1"}
		if test.failed {
			want["error.type"] = test.code
		}
		if diff := cmp.Diff(want, attrs(span.GetAttributes())); diff != "" {
			t.Errorf("%s: %s", test.code, diff)
		}
		if failed := span.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR; failed != test.failed {
			t.Errorf("%s: the span failed: %v", test.code, failed)
		}
		if span.GetName() != createCall || span.GetKind() != tracepb.Span_SPAN_KIND_SERVER || fmt.Sprintf("%x", span.GetTraceId()) != parentHeader[3:35] ||
			fmt.Sprintf("%x", span.GetParentSpanId()) != parentHeader[36:52] {
			t.Errorf("span %v", span)
		}
	}
	unknown := got.spans[len(tests)]
	if a := attrs(unknown.GetAttributes()); unknown.GetName() != "grpc" || a["rpc.method"] != "_OTHER" || a["rpc.method_original"] != "shop.Orders/None" {
		t.Errorf("span of an unknown method: %v", unknown)
	}
	if strings.Contains(got.raw, card) {
		t.Error("the card number is in a span")
	}
}

func TestCallsOfARequest(t *testing.T) {
	tel := exported(t, Config{TracesRatio: 1})
	m, r := tel.Method(&createOrder, createRoute), tel.RPC(JSONRPC, &createOrder, "orders.create")
	for _, parent := range []string{parentHeader + "01", parentHeader + "00"} {
		request := httptest.NewRequest("POST", "/rpc", nil)
		request.Header.Set("Traceparent", parent)
		c, entry := &requestContext{Context: context.Background()}, &requestContext{Context: context.Background()}
		m.Start(c, &c.span, request, time.Now())
		r.StartWithin(c, &entry.span, &c.span, time.Now())
		of, sc := c.span.SpanContext(), trace.SpanContextFromContext(entry)
		if sc.TraceID() != of.TraceID() || entry.span.Traced() != c.span.Traced() || sc.IsSampled() != of.IsSampled() || c.span.Traced() == (sc.SpanID() == of.SpanID()) {
			t.Errorf("the request is %v, its call %v", of, sc)
		}
		r.End(&entry.span, &Request{})
		if c.span.Traced() && !trace.SpanFromContext(c).IsRecording() {
			t.Error("the end of the call ended the request's span")
		}
		m.End(&c.span, &Request{Status: 200})
	}
}

func TestCallTraceContext(t *testing.T) {
	clean(t)
	r := newTelemetry(t, Config{}).RPC(GRPC, &createOrder, createCall)
	sc := call(r, map[string][]string{"traceparent": {parentHeader + "01"}, "tracestate": {"a=1", "b=2"}}, &Request{Code: "OK"}).span.SpanContext()
	if got := string(AppendTraceParent(nil, sc)); got != parentHeader+"01" || sc.TraceState().String() != "a=1,b=2" {
		t.Errorf("traceparent is %s, tracestate %s", got, sc.TraceState())
	}
	for _, md := range []map[string][]string{nil, {"traceparent": {parentHeader + "01", parentHeader + "01"}}, {"Traceparent": {parentHeader + "01"}}} {
		if sc := call(r, md, &Request{Code: "OK"}).span.SpanContext(); !sc.IsValid() || sc.TraceID().String() == parentHeader[3:35] {
			t.Errorf("%v continues %v", md, sc)
		}
	}
}

func TestCallExemplars(t *testing.T) {
	tel := exported(t, Config{TracesRatio: 1})
	c := call(tel.RPC(GRPC, &createOrder, createCall), nil, &Request{Time: time.Unix(1800000000, 0), Code: "OK", Duration: 300 * time.Millisecond})
	text, _ := scrape(t, tel, "application/openmetrics-text;version=1.0.0")
	sc := c.span.SpanContext()
	if want := fmt.Sprintf(`,le="0.5"} 1 # {trace_id="%s",span_id="%s"} 0.3 1800000000.000`, sc.TraceID(), sc.SpanID()); !strings.Contains(text, want) {
		t.Errorf("no exemplar %s", want)
	}
}

func TestCallLine(t *testing.T) {
	r := Request{
		Time: time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC), ID: "r1", Service: "orders", Method: "create",
		System: GRPC, Call: createCall, Code: "INVALID_ARGUMENT", Duration: 1234567 * time.Nanosecond, Client: "10.0.0.1",
		BodyIn: 10, BodyOut: 20, User: "ann", Scheme: "jwt", ErrorType: "invalid_length",
	}
	var buf bytes.Buffer
	h := NewHandler(&buf, JSON, nil)
	_ = h.Request(&r)
	want := `{"time":"2026-01-02T03:04:05.678901Z","level":"INFO","msg":"request","request_id":"r1","service":"orders",` +
		`"method":"create","rpc.system.name":"grpc","rpc.method":"shop.Orders/Create","rpc.response.status_code":"INVALID_ARGUMENT",` +
		`"duration_ms":1.234,"client.address":"10.0.0.1","rpc.request.size":10,"rpc.response.size":20,` +
		`"enduser.id":"ann","auth.scheme":"jwt","error.type":"invalid_length"}` + "\n"
	if diff := cmp.Diff(want, buf.String()); diff != "" {
		t.Error(diff)
	}
	ours := decode(t, buf.Bytes())
	buf.Reset()
	_ = LogRequest(t.Context(), slog.NewJSONHandler(&buf, nil), &r)
	theirs := decode(t, buf.Bytes())
	delete(ours, "time")
	delete(theirs, "time")
	if diff := cmp.Diff(ours, theirs); diff != "" {
		t.Errorf("another handler writes another schema: %s", diff)
	}
	buf.Reset()
	_ = NewHandler(&buf, Terminal, nil).Request(&Request{System: GRPC, Code: "UNIMPLEMENTED", Call: other, Path: "shop.Orders/\x1b[2J"})
	if !strings.Contains(buf.String(), ` UNIMPLEMENTED shop.Orders/\x1b[2J 0ms`) {
		t.Errorf("text: %q", buf.String())
	}
}

func TestCallLevels(t *testing.T) {
	for _, test := range []struct {
		r    Request
		want slog.Level
	}{
		{Request{System: GRPC, Code: "OK"}, slog.LevelInfo},
		{Request{System: GRPC, Code: "UNAUTHENTICATED"}, slog.LevelInfo},
		{Request{System: GRPC, Code: "UNIMPLEMENTED"}, slog.LevelInfo},
		{Request{System: GRPC, Code: "INTERNAL"}, slog.LevelError},
		{Request{System: GRPC, Code: "DEADLINE_EXCEEDED"}, slog.LevelError},
		{Request{System: GRPC, Code: "NOT_FOUND", Fault: true}, slog.LevelError},
		{Request{System: GRPC, Code: "INTERNAL", Quiet: true}, slog.LevelDebug},
		{Request{System: JSONRPC}, slog.LevelInfo},
		{Request{System: JSONRPC, Code: "-32601"}, slog.LevelInfo},
		{Request{System: JSONRPC, Code: "-32049"}, slog.LevelInfo},
	} {
		if got := test.r.Level(); got != test.want {
			t.Errorf("%s %s is %v, want %v", test.r.System, test.r.Code, got, test.want)
		}
	}
	for _, a := range policy.Answers {
		r := Request{System: JSONRPC, Code: fmt.Sprint(a.JSONRPC)}
		if got := r.Level() == slog.LevelError; got != (a.HTTP >= 500) {
			t.Errorf("%s: HTTP status %d, JSON-RPC code %s is an error: %v", a.Name, a.HTTP, r.Code, got)
		}
	}
}

func TestTrafficMetrics(t *testing.T) {
	clean(t)
	tel := newTelemetry(t, Config{})
	tel.Idempotent("replayed")
	if err := tel.Observe(State{
		AdaptiveLimit: func() int64 { return 40 },
		Admitted:      func(p policy.Priority) int64 { return int64(len(p)) },
	}); err != nil {
		t.Fatal(err)
	}
	text, _ := scrape(t, tel, "")
	for _, want := range []string{
		`aguada_requests_adaptive_limit 40`, `aguada_requests_admitted{priority="high"} 4`, `aguada_requests_admitted{priority="normal"} 6`,
		`aguada_requests_admitted{priority="low"} 3`, `aguada_idempotency_calls_total{outcome="replayed"} 1`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
	promtool(t, text)
}

func TestNilRecordsNoCalls(t *testing.T) {
	var tel *Telemetry
	c := call(tel.RPC(GRPC, &createOrder, createCall), nil, &Request{Code: "OK"})
	call(tel.UnknownRPC(JSONRPC), nil, &Request{})
	tel.RPC(JSONRPC, &createOrder, "a").StartWithin(c, &c.span, &RequestSpan{}, time.Now())
	tel.Idempotent("first")
	if trace.SpanContextFromContext(c).IsValid() {
		t.Error("a trace of nothing")
	}
}

func TestUnsampledCallAllocatesNothing(t *testing.T) {
	r := exported(t, Config{TracesPerSecond: -1}).RPC(GRPC, &createOrder, createCall)
	h := NewHandler(io.Discard, JSON, nil)
	line := &Request{Time: time.Now(), ID: "r", System: GRPC, Call: createCall, Code: "OK", Duration: time.Millisecond}
	md := map[string][]string{"traceparent": {parentHeader + "00"}}
	if n := testing.AllocsPerRun(200, func() {
		call(r, md, line)
		_ = h.Request(line)
	}); n > 1 { // the context itself
		t.Errorf("%v allocations", n)
	}
}

func benchmarkCall(b *testing.B, cfg Config) {
	r := exported(b, cfg).RPC(GRPC, &createOrder, createCall)
	start := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		c := &requestContext{Context: context.Background()}
		r.Start(c.Context, &c.span, nil, start)
		line := Request{Code: "OK", Duration: 1234567, BodyIn: 10, BodyOut: 20}
		r.End(&c.span, &line)
	}
}

func BenchmarkCallUnsampled(b *testing.B) { benchmarkCall(b, Config{TracesPerSecond: -1}) }
func BenchmarkCallLimited(b *testing.B)   { benchmarkCall(b, Config{}) }
func BenchmarkCallSampled(b *testing.B)   { benchmarkCall(b, Config{TracesRatio: 1}) }
