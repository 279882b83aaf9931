package console_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	logspb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/aguada-dev/aguada/console"
	"github.com/aguada-dev/aguada/console/target"
)

// running is a console that runs, with its addresses.
type running struct {
	t  *testing.T
	at console.Addresses
}

// start runs a console until the test ends.
func start(t *testing.T, cfg console.Config) *running {
	t.Helper()
	cfg.Addr, cfg.GRPC, cfg.HTTP = "127.0.0.1:0", console.Off, "127.0.0.1:0"
	cfg.Log = t.Output()
	started, done := make(chan console.Addresses, 1), make(chan error, 1)
	cfg.Started = func(a console.Addresses) { started <- a }
	ctx, stop := context.WithCancel(context.Background())
	go func() { done <- console.Run(ctx, context.Background(), cfg) }()
	select {
	case a := <-started:
		t.Cleanup(func() {
			stop()
			if err := <-done; err != nil {
				t.Errorf("the console ended with %v", err)
			}
		})
		return &running{t, a}
	case err := <-done:
		t.Fatal(err)
		return nil
	}
}

// ask makes a request.
func (r *running) ask(method, path string, header ...string) *http.Response {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.at.Pages+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// get reads a JSON answer.
func (r *running) get(path string, to any) {
	r.t.Helper()
	res := r.ask("GET", path)
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		r.t.Fatalf("%s is answered %d: %s, %v", path, res.StatusCode, b, err)
	}
	if err := json.Unmarshal(b, to); err != nil {
		r.t.Fatalf("%s: %v in %s", path, err, b)
	}
}

// send sends an export request.
func (r *running) send(path string, m proto.Message) {
	r.t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		r.t.Fatal(err)
	}
	res, err := http.Post("http://"+r.at.HTTP+path, "application/x-protobuf", bytes.NewReader(b))
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		r.t.Fatalf("%s is answered %d", path, res.StatusCode)
	}
}

func kv(k string, v any) *common.KeyValue {
	switch v := v.(type) {
	case int:
		return &common.KeyValue{Key: k, Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: int64(v)}}}
	default:
		return &common.KeyValue{Key: k, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: fmt.Sprint(v)}}}
	}
}

func service(name string) *resource.Resource {
	return &resource.Resource{Attributes: []*common.KeyValue{kv("service.name", name), kv("service.version", "1.2"), kv("telemetry.sdk.language", "go")}}
}

const id = "0102030405060708090a0b0c0d0e0f10"

var traceID = []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

// fill sends a call from the web to the shop, which asks its database and fails,
// with its log line, its metrics, and a login that was refused.
func (r *running) fill(now time.Time) {
	at := func(ms int) uint64 { return uint64(now.Add(time.Duration(ms-5000) * time.Millisecond).UnixNano()) }
	span := func(id, parent byte, name string, kind trace.Span_SpanKind, from, to int, attrs ...*common.KeyValue) *trace.Span {
		s := &trace.Span{TraceId: traceID, SpanId: []byte{0, 0, 0, 0, 0, 0, 0, id}, Name: name, Kind: kind, StartTimeUnixNano: at(from), EndTimeUnixNano: at(to), Attributes: attrs}
		if parent > 0 {
			s.ParentSpanId = []byte{0, 0, 0, 0, 0, 0, 0, parent}
		}
		return s
	}
	failed := span(3, 2, "POST /orders", trace.Span_SPAN_KIND_SERVER, 10, 90, kv("goa.service", "orders"), kv("goa.method", "create"), kv("http.response.status_code", 500))
	failed.Status = &trace.Status{Code: trace.Status_STATUS_CODE_ERROR, Message: "<b>it broke</b>"}
	r.send("/v1/traces", &tracepb.ExportTraceServiceRequest{ResourceSpans: []*trace.ResourceSpans{
		{Resource: service("web"), ScopeSpans: []*trace.ScopeSpans{{Spans: []*trace.Span{
			span(1, 0, "GET /cart", trace.Span_SPAN_KIND_SERVER, 0, 100, kv("http.response.status_code", 200)),
			span(2, 1, "POST", trace.Span_SPAN_KIND_CLIENT, 5, 95, kv("server.address", "shop.example")),
		}}}},
		{Resource: service("shop"), ScopeSpans: []*trace.ScopeSpans{{Spans: []*trace.Span{
			failed, span(4, 3, "INSERT", trace.Span_SPAN_KIND_CLIENT, 20, 80, kv("db.system.name", "postgresql"), kv("db.namespace", "orders")),
		}}}},
	}})
	line := func(ms int, severity logs.SeverityNumber, body string, attrs ...*common.KeyValue) *logs.LogRecord {
		return &logs.LogRecord{TimeUnixNano: at(ms), SeverityNumber: severity, Body: kv("", body).Value, Attributes: attrs}
	}
	inside := line(50, logs.SeverityNumber_SEVERITY_NUMBER_ERROR, "request", kv("service", "orders"), kv("method", "create"), kv("http.response.status_code", 500))
	inside.TraceId, inside.SpanId = traceID, failed.SpanId
	r.send("/v1/logs", &logspb.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{Resource: service("shop"), ScopeLogs: []*logs.ScopeLogs{{LogRecords: []*logs.LogRecord{
		inside,
		line(60, logs.SeverityNumber_SEVERITY_NUMBER_INFO, "request", kv("auth.scheme", "basic"), kv("error.type", "unknown"), kv("http.response.status_code", 401), kv("client.address", "192.0.2.7")),
		line(70, logs.SeverityNumber_SEVERITY_NUMBER_WARN, "audit", kv("action", "lockout"), kv("outcome", "denied")),
	}}}}}})
	duration := func(count uint64, status int, cause string) *metrics.HistogramDataPoint {
		attrs := []*common.KeyValue{kv("goa.service", "orders"), kv("goa.method", "create"), kv("http.response.status_code", status), kv("http.route", "/orders"), kv("http.request.method", "POST")}
		if cause != "" {
			attrs = append(attrs, kv("error.type", cause))
		}
		sum := float64(count) * 0.08
		return &metrics.HistogramDataPoint{StartTimeUnixNano: at(-2000), TimeUnixNano: at(100), Count: count, Sum: &sum, ExplicitBounds: []float64{0.05, 0.1}, BucketCounts: []uint64{0, count, 0}, Attributes: attrs,
			Exemplars: []*metrics.Exemplar{{TimeUnixNano: at(90), TraceId: traceID, SpanId: failed.SpanId, Value: &metrics.Exemplar_AsDouble{AsDouble: 0.08}}}}
	}
	gauge := func(name string, v float64, attrs ...*common.KeyValue) *metrics.Metric {
		return &metrics.Metric{Name: name, Data: &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: []*metrics.NumberDataPoint{{TimeUnixNano: at(100), Value: &metrics.NumberDataPoint_AsDouble{AsDouble: v}, Attributes: attrs}}}}}
	}
	r.send("/v1/metrics", &metricspb.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{Resource: service("shop"), ScopeMetrics: []*metrics.ScopeMetrics{{Metrics: []*metrics.Metric{
		{Name: "http.server.request.duration", Unit: "s", Data: &metrics.Metric_Histogram{Histogram: &metrics.Histogram{AggregationTemporality: 2, DataPoints: []*metrics.HistogramDataPoint{
			duration(90, 201, ""), duration(6, 500, "500"), duration(4, 429, "rate_limited"),
		}}}},
		gauge("aguada.tls.certificate.not_after", float64(now.Add(48*time.Hour).Unix())), gauge("aguada.auth.keyset.age", 12, kv("keyset", "https://issuer.example")),
		gauge("queue", 7, kv("name", "mail")),
	}}}}}})
}

type rates struct {
	Calls, Errors, Refused int64
	P95                    float64 `json:"p95_ns"`
	From                   string
}

func TestWhatWasSentIsShown(t *testing.T) {
	r := start(t, console.Config{})
	r.fill(time.Now())

	var overview struct {
		Services []struct {
			Name, Health, Version string
			Certificate           string  `json:"certificate_expires"`
			KeySet                float64 `json:"keyset_age_s"`
			Rates                 rates
		}
		Console struct {
			Spans, Logs, Points struct{ Received, Kept int64 }
		}
	}
	r.get("/api/overview", &overview)
	if len(overview.Services) != 2 || overview.Console.Spans.Received != 4 || overview.Console.Logs.Kept != 3 || overview.Console.Points.Kept != 6 {
		t.Fatalf("the overview is %+v", overview)
	}
	shop, web := overview.Services[0], overview.Services[1]
	if want := (rates{100, 6, 4, shop.Rates.P95, "metrics"}); shop.Rates != want || shop.Rates.P95 < 50e6 || shop.Rates.P95 > 100e6 || shop.Health != "sending" || shop.Version != "1.2" {
		t.Errorf("the shop is %+v", shop)
	}
	if shop.Certificate == "" || shop.KeySet != 12 {
		t.Errorf("of the shop expires %q, its keys are %v s old", shop.Certificate, shop.KeySet)
	}
	if web.Rates.Calls != 1 || web.Rates.From != "spans" {
		t.Errorf("the web is %+v", web)
	}

	var methods []struct {
		App, Service, Method string
		Rates                rates
		Refusals             []struct {
			Name  string
			Count int
		}
	}
	r.get("/api/methods?service=shop", &methods)
	if len(methods) != 1 || methods[0].Method != "create" || fmt.Sprint(methods[0].Refusals) != "[{other 6} {rate_limited 4}]" {
		t.Errorf("the methods are %+v", methods)
	}

	var found struct {
		Traces []struct {
			ID, Name, Status string
			Spans, Errors    int
			Services         []string
			Partial          bool
		}
		Matched int
	}
	for filter, want := range map[string]int{
		"": 4, "?service=shop": 2, "?status=error": 1, "?method=orders.create": 1, "?q=BROKE": 1, "?min=90ms": 2, "?attr=db.system.name%3Dpostgresql": 1,
		"?attr=http.response.status_code%3E400": 1, "?kind=client": 2, "?q=nowhere": 0, "?trace=" + id: 4, "?until=1h": 0, "?since=1h&max=80ms": 2,
	} {
		if r.get("/api/traces"+filter, &found); found.Matched != want {
			t.Errorf("%q finds %d spans, want %d", filter, found.Matched, want)
		}
	}
	r.get("/api/traces?order=slowest", &found)
	if v := found.Traces[0]; v.ID != id || v.Name != "GET /cart" || v.Status != "200" || v.Spans != 4 || v.Errors != 1 || len(v.Services) != 2 || v.Partial {
		t.Errorf("the trace is listed as %+v", v)
	}
	r.showsTrace()
	r.showsMetrics()
	r.showsRest()
}

func (r *running) showsTrace() {
	t := r.t
	t.Helper()
	var v struct {
		Duration int64 `json:"duration_ns"`
		Spans    []struct {
			ID      string `json:"span_id"`
			Name    string
			Message string `json:"status_message"`
			Offset  int64  `json:"offset_ns"`
		}
		Logs []struct{ Body, Level string }
		Path []struct {
			Span string `json:"span_id"`
			Took int64  `json:"duration_ns"`
		} `json:"critical_path"`
	}
	r.get("/api/traces/"+id, &v)
	if v.Duration != 100e6 || len(v.Spans) != 4 || v.Spans[2].Message != "<b>it broke</b>" || v.Spans[3].Offset != 20e6 || len(v.Logs) != 1 || v.Logs[0].Level != "error" {
		t.Errorf("the trace is %+v", v)
	}
	waited := map[string]int64{}
	for _, p := range v.Path {
		waited[p.Span] += p.Took
	}
	if waited["0000000000000004"] != 60e6 || waited["0000000000000003"] != 20e6 || waited["0000000000000001"] != 10e6 {
		t.Errorf("what the trace waited for: %v", waited)
	}
	if res := r.ask("GET", "/api/traces/"+strings.Repeat("a", 32)); res.StatusCode != http.StatusNotFound {
		t.Errorf("a trace that is not there is answered %d", res.StatusCode)
	}
}

func (r *running) showsMetrics() {
	t := r.t
	t.Helper()
	var known []struct {
		Name, Type string
		Series     int
	}
	r.get("/api/metrics", &known)
	if fmt.Sprint(known) != "[{aguada.auth.keyset.age gauge 1} {aguada.tls.certificate.not_after gauge 1} {http.server.request.duration histogram 3} {queue gauge 1}]" {
		t.Errorf("the metrics are %v", known)
	}
	var v struct {
		Series []struct {
			Attributes map[string]any
			Values     []*float64
			P95, Count []*float64
		}
		Exemplars []struct {
			Trace string `json:"trace_id"`
		}
		Heat struct {
			Bounds []float64
			Counts [][]float64
		}
	}
	sum := func(all []*float64) (n float64) {
		for _, v := range all {
			if v != nil {
				n += *v
			}
		}
		return n
	}
	r.get("/api/metrics/series?name=http.server.request.duration&by=-&since=10s&steps=10", &v)
	if len(v.Series) != 1 || sum(v.Series[0].Count) < 99.9 || sum(v.Series[0].Count) > 100.1 || len(v.Exemplars) != 1 || v.Exemplars[0].Trace != id {
		t.Errorf("the durations are %+v", v)
	}
	cells := 0.0
	for _, step := range v.Heat.Counts {
		for _, n := range step {
			cells += n
		}
	}
	if cells < 99.9 || cells > 100.1 {
		t.Errorf("the heat map holds %v values", cells)
	}
	r.get("/api/metrics/series?name=http.server.request.duration&by=http.response.status_code", &v)
	if len(v.Series) != 3 || v.Series[0].Attributes["http.response.status_code"] != "201" {
		t.Errorf("by status: %+v", v.Series)
	}
	if res := r.ask("GET", "/api/metrics/series?name=nowhere"); res.StatusCode != http.StatusNotFound {
		t.Errorf("a metric that is not there is answered %d", res.StatusCode)
	}
}

func (r *running) showsRest() {
	t := r.t
	t.Helper()
	var security struct {
		Failures []struct {
			Scheme, Reason, Client string
			Count                  int
		}
		Events   []struct{ Body string }
		Expiries []struct{ What, Name string }
	}
	r.get("/api/security", &security)
	if fmt.Sprint(security.Failures) != "[{basic unknown 192.0.2.7 1}]" || len(security.Events) != 2 || len(security.Expiries) != 2 || security.Expiries[0].What != "certificate" {
		t.Errorf("the security page shows %+v", security)
	}
	var graph struct {
		Edges []struct {
			From, To      string
			Calls, Errors int
		}
	}
	r.get("/api/map", &graph)
	want := "[{caller::callers service::web 1 0} {service::shop database:postgresql:orders 1 0} {service::web service::shop 1 1}]"
	if fmt.Sprint(graph.Edges) != want {
		t.Errorf("the map is %v, want %s", graph.Edges, want)
	}
	var found struct {
		Records []struct {
			Time, Body string
			Attributes map[string]any
		}
		Histogram []struct{ Info, Warn, Error int }
		Matched   int
	}
	for filter, n := range map[string]int{"": 3, "?level=warn": 2, "?q=192.0.2": 1, "?method=orders.create": 1, "?trace=" + id: 1, "?service=web": 0, "?attr=outcome": 1, "?limit=1": 3} {
		if r.get("/api/logs"+filter, &found); found.Matched != n {
			t.Errorf("%q finds %d records, want %d", filter, found.Matched, n)
		}
	}
	r.get("/api/logs", &found)
	bars := [3]int{}
	for _, b := range found.Histogram {
		bars[0], bars[1], bars[2] = bars[0]+b.Info, bars[1]+b.Warn, bars[2]+b.Error
	}
	if bars != [3]int{1, 1, 1} || found.Records[0].Body != "audit" {
		t.Errorf("the histogram holds %v; the latest is %+v", bars, found.Records[0])
	}
	for path, n := range map[string]int{"/api/traces.ndjson": 4, "/api/logs.ndjson?level=warn": 2, "/api/metrics.ndjson": 6, "/api/metrics.ndjson?name=queue": 1, "/api/traces.ndjson?limit=2": 2} {
		res := r.ask("GET", path)
		lines := 0
		for scan := bufio.NewScanner(res.Body); scan.Scan(); lines++ {
			if !json.Valid(scan.Bytes()) {
				t.Errorf("%s has the line %q", path, scan.Text())
			}
		}
		if lines != n || res.Header.Get("Content-Type") != "application/x-ndjson" {
			t.Errorf("%s has %d lines of %s, want %d", path, lines, res.Header.Get("Content-Type"), n)
		}
	}
}

func TestBadFilters(t *testing.T) {
	r := start(t, console.Config{})
	for _, path := range []string{
		"/api/traces?since=yesterday", "/api/traces?since=1h&until=2h", "/api/traces?min=long", "/api/traces?status=maybe", "/api/traces?limit=0", "/api/traces?limit=100000",
		"/api/traces?trace=zz", "/api/traces?attr=", "/api/traces/xyz", "/api/logs?level=loud", "/api/logs?since=-5m", "/api/metrics/series", "/api/metrics/series?name=a&steps=0",
		"/api/overview?since=0001-01-01T00:00:00Z", "/api/logs?q=" + strings.Repeat("x", 300),
	} {
		if res := r.ask("GET", path); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s is answered %d", path, res.StatusCode)
		}
	}
	for path, want := range map[string]int{"/api/services/nobody/runtime": 404, "/api/services/nobody/contract": 404, "/api/nowhere": 404, "/api/traces/": 404} {
		if res := r.ask("GET", path); res.StatusCode != want {
			t.Errorf("%s is answered %d, want %d", path, res.StatusCode, want)
		}
	}
}

// The tail shows what arrives, and the stream of changes that it did; both end
// when the console does.
func TestLive(t *testing.T) {
	r := start(t, console.Config{})
	next := func(path string) func() string {
		lines := bufio.NewScanner(r.ask("GET", path, "Accept", "text/event-stream").Body)
		return func() string {
			for lines.Scan() {
				if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
					return data
				}
			}
			t.Errorf("%s ended: %v", path, lines.Err())
			return "{}"
		}
	}
	changes := next("/api/changes")
	var now struct{ Spans, Logs int }
	if err := json.Unmarshal([]byte(changes()), &now); err != nil || now.Logs != 0 {
		t.Fatalf("at first %+v, %v", now, err)
	}
	tail := r.ask("GET", "/api/logs/live?level=warn", "Accept", "text/event-stream")
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		r.fill(time.Now())
	}()
	for now.Logs < 3 {
		if err := json.Unmarshal([]byte(changes()), &now); err != nil {
			t.Fatal(err)
		}
	}
	<-sent
	for lines := bufio.NewScanner(tail.Body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var batch struct{ Records []struct{ Level string } }
		if data == `{"records":[],"skipped":0,"evicted":0}` {
			continue
		}
		if err := json.Unmarshal([]byte(data), &batch); err != nil || len(batch.Records) != 2 || batch.Records[0].Level != "error" {
			t.Errorf("the tail shows %s, %v", data, err)
		}
		return
	}
	t.Error("the tail ended")
}

func TestTokens(t *testing.T) {
	token := strings.Repeat("t", 20)
	r := start(t, console.Config{Token: func() string { return token }})
	for header, want := range map[string]int{"": 401, "Bearer " + token + "x": 401, "Bearer " + token: 200} {
		if res := r.ask("GET", "/api/overview", "Authorization", header); res.StatusCode != want {
			t.Errorf("%q is answered %d, want %d", header, res.StatusCode, want)
		}
	}
	if res := r.ask("GET", "/"); res.StatusCode != http.StatusOK {
		t.Errorf("the page that asks for the token is answered %d", res.StatusCode)
	}
	for addr, text := range map[string]string{"0.0.0.0:0": "set a token", "nonsense": "address"} {
		if err := console.Run(t.Context(), t.Context(), console.Config{Addr: addr, GRPC: console.Off, HTTP: console.Off}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want something about %q", addr, err, text)
		}
	}
	if err := console.Run(t.Context(), t.Context(), console.Config{GRPC: console.Off, HTTP: console.Off, Token: func() string { return "short" }}); err == nil {
		t.Error("a short token is taken")
	}
}

// What the environment says of the service is not for the console beside it.
func TestTheEnvironmentOfOthers(t *testing.T) {
	r := start(t, console.Config{Targets: target.New(), Environ: []string{"HTTP_ADDR=nonsense", "LOG_LEVEL=loud", "ADMIN_ADDR=0.0.0.0:1", "OTEL_TRACES_EXPORTER=otlp"}})
	r.get("/api/overview", &struct{}{})
	res := r.ask("GET", "/")
	b, _ := io.ReadAll(res.Body)
	if !bytes.Contains(b, []byte("<script type=\"module\" src=\"/main.js\">")) || strings.Contains(res.Header.Get("Content-Security-Policy"), "unsafe") {
		t.Errorf("the page is %s, under %s", b, res.Header.Get("Content-Security-Policy"))
	}
}
