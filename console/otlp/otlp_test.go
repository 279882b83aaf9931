package otlp_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"math"
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
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	grpcgzip "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aguada-dev/aguada/console/otlp"
	"github.com/aguada-dev/aguada/console/store"
)

func open(tb testing.TB, cfg otlp.Config) (*otlp.Receiver, *store.Store) {
	tb.Helper()
	st, err := store.Open(store.Config{Budget: 64 << 20})
	if err != nil {
		tb.Fatal(err)
	}
	cfg.GRPC, cfg.HTTP = "127.0.0.1:0", "127.0.0.1:0"
	r, err := otlp.Listen(tb.Context(), st, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			tb.Error(err)
		}
	})
	return r, st
}

func text(k, v string) *common.KeyValue {
	return &common.KeyValue{Key: k, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: v}}}
}

// attributes are of all kinds that there are.
func attributes() []*common.KeyValue {
	value := func(k string, v *common.AnyValue) *common.KeyValue { return &common.KeyValue{Key: k, Value: v} }
	one := &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: -1}}
	return []*common.KeyValue{
		text("text", "häßlich \u2028"),
		value("yes", &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: true}}),
		value("int", &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: math.MinInt64}}),
		value("double", &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: 0.25}}),
		value("bytes", &common.AnyValue{Value: &common.AnyValue_BytesValue{BytesValue: []byte{0, 255}}}),
		value("array", &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{one, {}}}}}),
		value("map", &common.AnyValue{Value: &common.AnyValue_KvlistValue{KvlistValue: &common.KeyValueList{Values: []*common.KeyValue{value("a\"b", one)}}}}),
		value("none", &common.AnyValue{}),
	}
}

// stored are these attributes as they have to arrive.
func stored() []store.Attr {
	minus := int64(math.MinInt64)
	return []store.Attr{
		{Key: []byte("text"), Value: store.Value{Kind: store.String, Bytes: []byte("häßlich \u2028")}},
		{Key: []byte("yes"), Value: store.Value{Kind: store.Bool, Num: 1}},
		{Key: []byte("int"), Value: store.Value{Kind: store.Int, Num: uint64(minus)}},
		{Key: []byte("double"), Value: store.Value{Kind: store.Double, Num: math.Float64bits(0.25)}},
		{Key: []byte("bytes"), Value: store.Value{Kind: store.Binary, Bytes: []byte{0, 255}}},
		{Key: []byte("array"), Value: store.Value{Kind: store.JSON, Bytes: []byte(`[-1,null]`)}},
		{Key: []byte("map"), Value: store.Value{Kind: store.JSON, Bytes: []byte(`{"a\"b":-1}`)}},
		{Key: []byte("none"), Value: store.Value{}},
	}
}

var (
	traceID = bytes.Repeat([]byte{0xab}, 16)
	spanID  = bytes.Repeat([]byte{0xcd}, 8)
)

func from() *resource.Resource {
	return &resource.Resource{Attributes: []*common.KeyValue{text("service.name", "shop")}}
}

func scope() *common.InstrumentationScope {
	return &common.InstrumentationScope{Name: "aguada", Version: "1"}
}

func spans() *tracepb.ExportTraceServiceRequest {
	return &tracepb.ExportTraceServiceRequest{ResourceSpans: []*trace.ResourceSpans{{Resource: from(), ScopeSpans: []*trace.ScopeSpans{{Scope: scope(), Spans: []*trace.Span{{
		TraceId: traceID, SpanId: spanID, ParentSpanId: spanID, Name: "GET /", Kind: trace.Span_SPAN_KIND_SERVER, StartTimeUnixNano: 5, EndTimeUnixNano: 9, Attributes: attributes(),
		Events: []*trace.Span_Event{{TimeUnixNano: 6, Name: "e", Attributes: attributes()}}, Links: []*trace.Span_Link{{TraceId: traceID, SpanId: spanID, Attributes: attributes()}},
		Status: &trace.Status{Code: trace.Status_STATUS_CODE_ERROR, Message: "m"}, DroppedAttributesCount: 1, DroppedEventsCount: 2, DroppedLinksCount: 3, Flags: 1, TraceState: "a=b",
	}}}}}}}
}

func records() *logspb.ExportLogsServiceRequest {
	return &logspb.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{Resource: from(), ScopeLogs: []*logs.ScopeLogs{{Scope: scope(), LogRecords: []*logs.LogRecord{{
		ObservedTimeUnixNano: 7, SeverityNumber: logs.SeverityNumber_SEVERITY_NUMBER_WARN, SeverityText: "Warning", EventName: "ev", TraceId: traceID, SpanId: spanID,
		Body: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: "hello"}}, Attributes: attributes(), Flags: 1,
	}}}}}}}
}

func points() *metricspb.ExportMetricsServiceRequest {
	exemplar := []*metrics.Exemplar{{TimeUnixNano: 3, TraceId: traceID, SpanId: spanID, Value: &metrics.Exemplar_AsDouble{AsDouble: 0.5}, FilteredAttributes: attributes()}}
	half, two := 0.5, 2.0
	return &metricspb.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{Resource: from(), ScopeMetrics: []*metrics.ScopeMetrics{{Scope: scope(), Metrics: []*metrics.Metric{
		{Name: "g", Unit: "1", Description: "d", Data: &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: []*metrics.NumberDataPoint{
			{TimeUnixNano: 2, Value: &metrics.NumberDataPoint_AsInt{AsInt: -3}, Attributes: attributes(), Exemplars: exemplar},
			{TimeUnixNano: 2, Flags: 1},
		}}}},
		{Name: "s", Data: &metrics.Metric_Sum{Sum: &metrics.Sum{AggregationTemporality: 2, IsMonotonic: true, DataPoints: []*metrics.NumberDataPoint{
			{StartTimeUnixNano: 1, TimeUnixNano: 2, Value: &metrics.NumberDataPoint_AsDouble{AsDouble: 1.5}},
		}}}},
		{Name: "h", Data: &metrics.Metric_Histogram{Histogram: &metrics.Histogram{AggregationTemporality: 1, DataPoints: []*metrics.HistogramDataPoint{
			{StartTimeUnixNano: 1, TimeUnixNano: 2, Count: 3, Sum: &two, Min: &half, Max: &two, BucketCounts: []uint64{1, 2}, ExplicitBounds: []float64{1}, Exemplars: exemplar, Attributes: attributes()},
		}}}},
		{Name: "x", Data: &metrics.Metric_ExponentialHistogram{ExponentialHistogram: &metrics.ExponentialHistogram{AggregationTemporality: 2, DataPoints: []*metrics.ExponentialHistogramDataPoint{
			{TimeUnixNano: 2, Count: 3, Sum: &two, Scale: -2, ZeroCount: 1, Positive: &metrics.ExponentialHistogramDataPoint_Buckets{Offset: -4, BucketCounts: []uint64{1, 300}},
				Negative: &metrics.ExponentialHistogramDataPoint_Buckets{Offset: 2, BucketCounts: []uint64{5}}, Attributes: attributes(), Exemplars: exemplar},
		}}}},
		{Name: "q", Data: &metrics.Metric_Summary{Summary: &metrics.Summary{DataPoints: []*metrics.SummaryDataPoint{
			{TimeUnixNano: 2, Count: 3, Sum: 2, QuantileValues: []*metrics.SummaryDataPoint_ValueAtQuantile{{Quantile: 0.5, Value: 7}}, Attributes: attributes()},
		}}}},
	}}}}}}
}

// check compares what is in the store with what was sent, n times.
func check(t *testing.T, st *store.Store, n int) {
	t.Helper()
	options := cmp.Options{cmpopts.EquateEmpty(), cmpopts.EquateNaNs()}
	var id store.TraceID
	var span store.SpanID
	copy(id[:], traceID)
	copy(span[:], spanID)
	attrs := stored()
	wantSpan := store.Span{
		Trace: id, ID: span, Parent: span, Name: []byte("GET /"), Start: 5, End: 9, Kind: store.KindServer, Status: store.StatusError, Message: []byte("m"), Attrs: attrs,
		Events: []store.Event{{Time: 6, Name: []byte("e"), Attrs: attrs}}, Links: []store.Link{{Trace: id, Span: span, Attrs: attrs}}, Dropped: 6,
	}
	wantLog := store.Log{
		Time: 7, Severity: 13, Level: []byte("Warning"), Event: []byte("ev"), Body: store.Value{Kind: store.String, Bytes: []byte("hello")}, Trace: id, Span: span, Attrs: attrs,
	}
	exemplar := []store.Exemplar{{Time: 3, Value: 0.5, Trace: id, Span: span, Attrs: attrs}}
	nan := math.NaN()
	wantPoints := map[string]store.Point{
		"g": {Time: 2, Value: -3, Exemplars: exemplar},
		"s": {Start: 1, Time: 2, Value: 1.5},
		"h": {Start: 1, Time: 2, Count: 3, Value: 2, Min: 0.5, Max: 2, Counts: []uint64{1, 2}, Bounds: []float64{1}, Exemplars: exemplar},
		"x": {Time: 2, Count: 3, Value: 2, Min: nan, Max: nan, Scale: -2, Zero: 1, Positive: store.Buckets{Offset: -4, Counts: []uint64{1, 300}}, Negative: store.Buckets{Offset: 2, Counts: []uint64{5}}, Exemplars: exemplar},
		"q": {Time: 2, Count: 3, Value: 2, Min: nan, Max: nan, Quantiles: []float64{0.5, 7}},
	}
	counts := map[string]int{}
	st.Walk(store.Traces, &store.Filter{}, func(r store.Ref) bool {
		counts["span"]++
		if diff := cmp.Diff(wantSpan, r.Span(), options); diff != "" || r.Service() != "shop" || string(r.Source().Scope) != "aguada" {
			t.Errorf("span of %s (-sent +stored):\n%s", r.Service(), diff)
		}
		return true
	})
	st.Walk(store.Logs, &store.Filter{}, func(r store.Ref) bool {
		counts["log"]++
		if diff := cmp.Diff(wantLog, r.Log(), options); diff != "" {
			t.Errorf("log record (-sent +stored):\n%s", diff)
		}
		return true
	})
	st.Walk(store.Metrics, &store.Filter{}, func(r store.Ref) bool {
		of := r.Series()
		name := string(of.Name)
		counts[name]++
		if diff := cmp.Diff(wantPoints[name], r.Point(), options); diff != "" {
			t.Errorf("point of %s (-sent +stored):\n%s", name, diff)
		}
		if name != "s" && len(of.Attrs) != len(attrs) {
			t.Errorf("series of %s has %d attributes, want %d", name, len(of.Attrs), len(attrs))
		}
		return true
	})
	want := map[string]int{"span": n, "log": n, "g": n, "s": n, "h": n, "x": n, "q": n}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("what arrived (-sent +stored):\n%s", diff)
	}
}

func dial(tb testing.TB, r *otlp.Receiver) *grpc.ClientConn {
	tb.Helper()
	conn, err := grpc.NewClient(r.GRPC(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestGRPC(t *testing.T) {
	r, st := open(t, otlp.Config{})
	conn := dial(t, r)
	for _, options := range [][]grpc.CallOption{nil, {grpc.UseCompressor(grpcgzip.Name)}} {
		if _, err := tracepb.NewTraceServiceClient(conn).Export(t.Context(), spans(), options...); err != nil {
			t.Fatal(err)
		}
		if _, err := logspb.NewLogsServiceClient(conn).Export(t.Context(), records(), options...); err != nil {
			t.Fatal(err)
		}
		if _, err := metricspb.NewMetricsServiceClient(conn).Export(t.Context(), points(), options...); err != nil {
			t.Fatal(err)
		}
	}
	check(t, st, 2)
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

// send posts a body and returns the status, the media type and the answer.
func send(tb testing.TB, r *otlp.Receiver, path string, body []byte, header map[string]string) (int, string, []byte) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, "http://"+r.HTTP()+path, bytes.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	if host := header["Host"]; host != "" {
		req.Host = host
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Content-Type"), b
}

// toJSON writes a request as OTLP's JSON, whose ids are hexadecimal.
func toJSON(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := protojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range [][]byte{traceID, spanID} {
		base64, _ := json.Marshal(id)
		b = bytes.ReplaceAll(b, base64, []byte(`"`+strings.ToUpper(hex.EncodeToString(id))+`"`))
	}
	return bytes.Replace(b, []byte("{"), []byte(`{"unknownField":{"x":[1]},`), 1)
}

func TestHTTP(t *testing.T) {
	r, st := open(t, otlp.Config{})
	for path, m := range map[string]proto.Message{"/v1/traces": spans(), "/v1/logs": records(), "/v1/metrics": points()} {
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		text := toJSON(t, m)
		for _, test := range []struct {
			body   []byte
			header map[string]string
		}{
			{b, map[string]string{"Content-Type": "application/x-protobuf"}},
			{zipped(b), map[string]string{"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}},
			{text, map[string]string{"Content-Type": "application/json; charset=utf-8"}},
			{zipped(text), map[string]string{"Content-Type": "application/json", "Content-Encoding": "gzip"}},
		} {
			status, media, answer := send(t, r, path, test.body, test.header)
			if want, _, _ := strings.Cut(test.header["Content-Type"], ";"); status != http.StatusOK || media != want {
				t.Errorf("%s %v is answered %d %s: %s", path, test.header, status, media, answer)
			}
		}
	}
	check(t, st, 4)
}

func TestPartialSuccess(t *testing.T) {
	r, st := open(t, otlp.Config{})
	req := spans()
	all := &req.ResourceSpans[0].ScopeSpans[0].Spans
	*all = append(*all, &trace.Span{TraceId: traceID[:3], SpanId: spanID}, &trace.Span{TraceId: make([]byte, 16), SpanId: spanID})
	res, err := tracepb.NewTraceServiceClient(dial(t, r)).Export(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if p := res.GetPartialSuccess(); p.GetRejectedSpans() != 2 || !strings.Contains(p.GetErrorMessage(), "trace id") {
		t.Errorf("the answer is %v", res)
	}
	b, _ := proto.Marshal(req)
	_, _, answer := send(t, r, "/v1/traces", b, map[string]string{"Content-Type": "application/x-protobuf"})
	res.Reset()
	if err := proto.Unmarshal(answer, res); err != nil || res.GetPartialSuccess().GetRejectedSpans() != 2 {
		t.Errorf("over HTTP: %v, %v", res, err)
	}
	_, _, answer = send(t, r, "/v1/traces", toJSON(t, spans()), map[string]string{"Content-Type": "application/json"})
	if string(bytes.TrimSpace(answer)) != "{}" {
		t.Errorf("a whole success in JSON is %s", answer)
	}
	if c := st.Counts(store.Traces); c.Kept != 3 || r.Rejected(store.Traces) != 4 {
		t.Errorf("%d are kept, %d rejected", c.Kept, r.Rejected(store.Traces))
	}
}

func TestRefusals(t *testing.T) {
	r, st := open(t, otlp.Config{})
	good, _ := proto.Marshal(spans())
	pb := map[string]string{"Content-Type": "application/x-protobuf"}
	with := func(more ...string) map[string]string {
		h := map[string]string{"Content-Type": "application/x-protobuf"}
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = more[i+1]
		}
		return h
	}
	bomb := zipped(make([]byte, 64<<20))
	small := bytes.Repeat([]byte{0x0a, 2, 0x12, 0}, 2<<20) // two million scopes
	for _, test := range []struct {
		name   string
		body   []byte
		header map[string]string
		status int
	}{
		{"not protocol buffers", []byte("hello"), pb, 400},
		{"cut off", good[:len(good)-1], pb, 400},
		{"text", good, with("Content-Type", "text/plain"), 415},
		{"no type", good, with("Content-Type", ""), 415},
		{"not JSON", []byte("{"), with("Content-Type", "application/json"), 400},
		{"JSON of something else", []byte(`{"resourceSpans":5}`), with("Content-Type", "application/json"), 400},
		{"an id that is not hexadecimal", []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"zz"}]}]}]}`), with("Content-Type", "application/json"), 400},
		{"too much", make([]byte, otlp.MaxRequest+1), pb, 413},
		{"a gzip bomb", bomb, with("Content-Encoding", "gzip"), 413},
		{"a bomb of small items", small, pb, 400},
		{"no gzip", good, with("Content-Encoding", "gzip"), 400},
		{"another coding", good, with("Content-Encoding", "br"), 415},
		{"a page of somebody else", good, with("Origin", "https://evil.example"), 403},
		{"a name that resolves to this machine", good, with("Host", "evil.example:4318"), 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			if status, _, answer := send(t, r, "/v1/traces", test.body, test.header); status != test.status {
				t.Errorf("is answered %d, want %d: %s", status, test.status, answer)
			}
		})
	}
	_, err := tracepb.NewTraceServiceClient(dial(t, r)).Export(t.Context(), spans(), grpc.ForceCodec(raw("hello")))
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("bytes that are no message are answered %v over gRPC", err)
	}
	if c := st.Counts(store.Traces); c.Kept != 0 {
		t.Errorf("%d spans were kept of what was refused", c.Kept)
	}
}

// raw is a codec that sends the same bytes whatever the message.
type raw string

func (r raw) Marshal(any) ([]byte, error)   { return []byte(r), nil }
func (raw) Unmarshal(b []byte, v any) error { return proto.Unmarshal(b, v.(proto.Message)) }
func (raw) Name() string                    { return "proto" }

func TestToken(t *testing.T) {
	token := "a token of the console"
	r, st := open(t, otlp.Config{Token: func() string { return token }})
	client := tracepb.NewTraceServiceClient(dial(t, r))
	b, _ := proto.Marshal(spans())
	for _, sent := range []string{"", "Bearer ", "Bearer wrong", "Basic " + token, token} {
		if status, _, _ := send(t, r, "/v1/traces", b, map[string]string{"Content-Type": "application/x-protobuf", "Authorization": sent}); status != http.StatusUnauthorized {
			t.Errorf("%q is answered %d", sent, status)
		}
		if _, err := client.Export(metadata.AppendToOutgoingContext(t.Context(), "authorization", sent), spans()); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%q is answered %v over gRPC", sent, err)
		}
	}
	if status, _, _ := send(t, r, "/v1/traces", b, map[string]string{"Content-Type": "application/x-protobuf", "Authorization": "Bearer " + token}); status != http.StatusOK {
		t.Errorf("the token is answered %d", status)
	}
	if _, err := client.Export(metadata.AppendToOutgoingContext(t.Context(), "authorization", "bearer "+token), spans()); err != nil {
		t.Error(err)
	}
	check := st.Counts(store.Traces).Kept
	token = "" // a token that is gone lets nobody in
	if status, _, _ := send(t, r, "/v1/traces", b, map[string]string{"Content-Type": "application/x-protobuf", "Authorization": "Bearer "}); status != http.StatusUnauthorized || check != 2 {
		t.Errorf("without a token: %d; %d spans were kept", status, check)
	}
	if _, err := otlp.Listen(t.Context(), st, otlp.Config{HTTP: "0.0.0.0:0"}); err == nil || !strings.Contains(err.Error(), "set a token") {
		t.Errorf("all addresses without a token: %v", err)
	}
}
