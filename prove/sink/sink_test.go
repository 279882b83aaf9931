package sink_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/aguada-dev/aguada/prove/sink"
)

func start(t testing.TB, cfg sink.Config) *sink.Sink {
	t.Helper()
	s, err := sink.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Close(ctx)
	})
	return s
}

// post sends a body and returns the status and the body of the answer.
func post(t testing.TB, s *sink.Sink, path string, body []byte, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.HTTP()+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if want := r.Header.Get("Content-Type"); res.StatusCode == 200 && res.Header.Get("Content-Type") != want {
		t.Errorf("the answer to %s is %s", want, res.Header.Get("Content-Type"))
	}
	return res.StatusCode, string(answer)
}

func postJSON(t testing.TB, s *sink.Sink, path, body string) string {
	t.Helper()
	code, answer := post(t, s, path, []byte(body), "Content-Type", "application/json")
	if code != 200 {
		t.Fatalf("status %d: %s", code, answer)
	}
	return answer
}

func compressed(b []byte) []byte {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	_, _ = z.Write(b)
	_ = z.Close()
	return buf.Bytes()
}

const (
	traceID = "5b8efff798038103d269b633813fc60c"
	spanID  = "eee19b7ec3c1b174"
	otherID = "eee19b7ec3c1b173"
)

// The example of the specification, and all that the SDK of this language does
// not send.
func TestJSON(t *testing.T) {
	s := start(t, sink.Config{})
	answer := postJSON(t, s, "/v1/traces", `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"my.service"}}]},
		"scopeSpans":[{"scope":{"name":"my.library","version":"1.0.0","attributes":[{"key":"a","value":{"stringValue":"b"}}]},"unknown":{"x":[{}]},"spans":[{
		"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174","parentSpanId":"EEE19B7EC3C1B173","name":"I'm a server span",
		"startTimeUnixNano":"1544712660000000001","endTimeUnixNano":1544712661000000000,"kind":2,"flags":257,"traceState":"v=1","status":{"code":2,"message":"m"},
		"attributes":[{"key":"n","value":{"intValue":"9007199254740993"}},{"key":"l","value":{"arrayValue":{"values":[{"stringValue":"x"},{"boolValue":true}]}}},
		{"key":"m","value":{"kvlistValue":{"values":[{"key":"k","value":{"doubleValue":1.5}}]}}},{"key":"b","value":{"bytesValue":"aGk="}},{"key":"none","value":{}}],
		"events":[{"timeUnixNano":"1544712660500000000","name":"e"}],"links":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b173"}]}]}]}]}`)
	if answer != "{}" {
		t.Errorf("answer %s", answer)
	}
	if len(s.Trace(traceID)) != 1 {
		t.Fatal("no span of the trace")
	}
	v := s.Trace(traceID)[0]
	if v.SpanID != spanID || v.Parent != otherID || v.Kind != sink.Server || v.Status != sink.Failed || v.Flags != 257 || v.TraceState != "v=1" ||
		v.Start.UnixNano() != 1544712660000000001 || v.End.Sub(v.Start) != 999999999*time.Nanosecond || v.Links[0].TraceID != traceID || v.Links[0].SpanID != otherID {
		t.Errorf("span %+v", v)
	}
	if a := v.Attributes; a.Get("n") != int64(9007199254740993) || a.Text("l") != "x,true" || a.Text("m") != "k=1.5" || a.Text("b") != "hi" || a.Text("none") != "" {
		t.Errorf("attributes %v", a)
	}
	postJSON(t, s, "/v1/logs", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"observedTimeUnixNano":"1544712660300000000","severityNumber":10,"severityText":"Information",
		"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174","eventName":"login","body":{"kvlistValue":{"values":[{"key":"user","value":{"stringValue":"ann"}}]}}},
		{"traceId":"12","spanId":"","body":{"stringValue":"no trace"}}]}]}]}`)
	l := s.Logs(nil)
	if len(l) != 2 || l[0].TraceID != traceID || l[0].SpanID != spanID || l[0].Severity != 10 || l[0].Event != "login" || sink.String(l[0].Body) != "user=ann" ||
		l[0].Time.UnixNano() != 1544712660300000000 || l[1].TraceID != "" || l[1].Body != "no trace" {
		t.Errorf("records %+v", l)
	}
	postJSON(t, s, "/v1/metrics", `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
		{"name":"g","unit":"1","gauge":{"dataPoints":[{"asDouble":10,"timeUnixNano":"1544712660300000000"}]}},
		{"name":"d","sum":{"aggregationTemporality":1,"dataPoints":[{"asInt":"5","exemplars":[{"asInt":"4","traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174"}]}]}},
		{"name":"x","exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[{"count":"3","sum":7,"scale":-2,"zeroCount":"1","positive":{"offset":-3,"bucketCounts":["2"]}}]}},
		{"name":"q","summary":{"dataPoints":[{"count":"9","sum":100,"quantileValues":[{"quantile":0.5,"value":3}]}]}},
		{"name":"gone","gauge":{"dataPoints":[{"flags":1}]}}]}]}]}`)
	m := s.Metrics(nil)
	if len(m) != 5 {
		t.Fatalf("%d series", len(m))
	}
	if m[0].Instrument != sink.Gauge || m[0].Value != 10 || m[1].Value != 5 || !m[1].Delta || m[1].Monotonic || m[1].Exemplars[0].TraceID != traceID || m[1].Exemplars[0].Value != 4 ||
		m[2].Instrument != sink.ExponentialHistogram || m[2].Scale != -2 || m[2].Zero != 1 || m[2].Positive.Offset != -3 || m[2].Positive.Buckets[0] != 2 || m[2].Total != 7 ||
		m[3].Instrument != sink.Summary || m[3].Count != 9 || m[3].Quantiles[0] != (sink.Quantile{Quantile: 0.5, Value: 3}) || !m[4].Absent {
		t.Errorf("points %+v", m)
	}
}

func TestPartialSuccess(t *testing.T) {
	s := start(t, sink.Config{})
	good := `{"traceId":"` + traceID + `","spanId":"` + spanID + `"}`
	for _, test := range []struct{ path, body, want string }{
		{"traces", `{"traceId":"` + traceID[1:] + `","spanId":"` + spanID + `"}`, "trace id"},
		{"traces", `{"traceId":"` + strings.Repeat("0", 32) + `","spanId":"` + spanID + `"}`, "trace id"},
		{"traces", `{"traceId":"W47/95gDgQPSabYzgT/GDA==","spanId":"` + spanID + `"}`, "trace id"}, // base64
		{"traces", `{"spanId":"` + spanID + `"}`, "trace id"},
		{"traces", `{"traceId":"` + traceID + `","spanId":"zzzzzzzzzzzzzzzz"}`, "valid id"},
		{"traces", `{"traceId":"` + traceID + `","spanId":"` + spanID + `","parentSpanId":"12"}`, "parent"},
		{"metrics", `{"name":"h","histogram":{"dataPoints":[{"explicitBounds":[1],"bucketCounts":["1"]}]}}`, "buckets"},
		{"metrics", `{"name":"h","histogram":{"dataPoints":[{"explicitBounds":[1,"NaN"],"bucketCounts":["1","2","3"]}]}}`, "rise"},
		{"metrics", `{"name":"g","gauge":{"dataPoints":[{}]}}`, "value"},
		{"metrics", `{"gauge":{"dataPoints":[{"asInt":"1"}]}}`, "name"},
		{"metrics", `{"name":"q","summary":{"dataPoints":[{"quantileValues":[{"quantile":2}]}]}}`, "quantile"},
	} {
		var answer, count string
		if test.path == "traces" {
			answer, count = postJSON(t, s, "/v1/traces", `{"resourceSpans":[{"scopeSpans":[{"spans":[`+test.body+`,`+good+`]}]}]}`), "rejectedSpans"
		} else {
			answer, count = postJSON(t, s, "/v1/metrics", `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[`+test.body+`]}]}]}`), "rejectedDataPoints"
		}
		answer = strings.ReplaceAll(answer, " ", "")
		if !strings.Contains(answer, `"`+count+`":"1"`) || !strings.Contains(answer, strings.ReplaceAll(test.want, " ", "")) {
			t.Errorf("%s: %s", test.body, answer)
		}
	}
	if r := s.Rejected(); r.Spans != 6 || r.Points != 5 || len(s.Trace(traceID)) != 6 || len(s.Metrics(nil)) != 0 {
		t.Errorf("rejected %+v, %d spans, %d series", r, len(s.Trace(traceID)), len(s.Metrics(nil)))
	}
	postJSON(t, s, "/v1/traces", `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"`+traceID+`","spanId":"`+otherID+`","parentSpanId":"0000000000000000"}]}]}]}`)
	if v := s.Trace(traceID); len(v) != 7 || v[6].Parent != "" {
		t.Error("a parent of zeros is one")
	}
}

const protobuf, plain = "application/x-protobuf", "text/plain"

func TestBadRequests(t *testing.T) {
	s := start(t, sink.Config{MaxRequest: 1 << 20})
	deep := strings.Repeat(`{"arrayValue":{"values":[`, 5000) + strings.Repeat(`]}}`, 5000)
	empty, err := proto.Marshal(&coltrace.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: spans(400_000)}}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		body []byte
		head []string
		want int
	}{
		{"not protobuf", []byte("\xff\xff\xff"), []string{"Content-Type", protobuf}, 400},
		{"cut protobuf", []byte("\x0a\x7f\x01"), []string{"Content-Type", protobuf}, 400},
		{"not UTF-8", []byte("\x0a\x05\x1a\x03\xff\xfe\xfd"), []string{"Content-Type", protobuf}, 400},
		{"not JSON", []byte("{"), []string{"Content-Type", "application/json"}, 400},
		{"no body", nil, []string{"Content-Type", "application/json"}, 400},
		{"wrong shape", []byte(`{"resourceSpans":{}}`), []string{"Content-Type", "application/json"}, 400},
		{"deep", []byte(`{"resourceSpans":[{"resource":{"attributes":[{"key":"a","value":` + deep + `}]}}]}`), []string{"Content-Type", "application/json"}, 400},
		{"not gzip", []byte("x"), []string{"Content-Type", protobuf, "Content-Encoding", "gzip"}, 400},
		{"cut gzip", compressed([]byte("\x0a\x00"))[:15], []string{"Content-Type", protobuf, "Content-Encoding", "gzip"}, 400},
		{"zstd", []byte("x"), []string{"Content-Type", protobuf, "Content-Encoding", "zstd"}, 415},
		{"twice", []byte("x"), []string{"Content-Type", protobuf, "Content-Encoding", "gzip, gzip"}, 415},
		{"text", []byte("x"), []string{"Content-Type", plain}, 415},
		{"no type", []byte("x"), nil, 415},
		{"large", make([]byte, 1<<20+1), []string{"Content-Type", protobuf}, 413},
		{"bomb", compressed(make([]byte, 64<<20)), []string{"Content-Type", protobuf, "Content-Encoding", "gzip"}, 413},
		{"many messages", empty, []string{"Content-Type", protobuf}, 413},
		{"many objects", []byte(`{"resourceSpans":[` + strings.Repeat("{},", 300_000) + `{}]}`), []string{"Content-Type", "application/json"}, 413},
	} {
		code, answer := post(t, s, "/v1/traces", test.body, test.head...)
		if code != test.want {
			t.Errorf("%s: %d %q, want %d", test.name, code, answer, test.want)
		}
		if answer == "" || len(answer) > 200 {
			t.Errorf("%s: the answer has %d bytes", test.name, len(answer))
		}
	}
	if n := s.Rejected().Requests; n != 17 || len(s.Spans(nil)) != 0 {
		t.Errorf("%d requests rejected, %d spans", n, len(s.Spans(nil)))
	}
	for path, want := range map[string]int{"/v1/profiles": 404, "/": 404} {
		if code, _ := post(t, s, path, nil, "Content-Type", protobuf); code != want {
			t.Errorf("%s: %d", path, code)
		}
	}
	res, err := http.Get(s.HTTP() + "/v1/traces")
	if err != nil || res.StatusCode != 405 {
		t.Errorf("GET: %v %v", res, err)
	}
	res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	postJSON(t, s, "/v1/traces", `{}`)
	if code, _ := post(t, s, "/v1/logs", nil, "Content-Type", protobuf); code != 200 {
		t.Errorf("an empty request: %d", code)
	}
}

func spans(n int) []*tracepb.Span {
	one, all := &tracepb.Span{}, make([]*tracepb.Span, n)
	for i := range all {
		all[i] = one
	}
	return all
}

// raw sends bytes that are no protobuf, as protobuf.
type raw struct{ encoding.CodecV2 }

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (raw) Unmarshal(mem.BufferSlice, any) error { return nil }

func TestBadCalls(t *testing.T) {
	s := start(t, sink.Config{MaxRequest: 1 << 20})
	conn, err := grpc.NewClient(s.GRPC(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const export = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
	for _, test := range []struct {
		method string
		body   []byte
		want   codes.Code
		opts   []grpc.CallOption
	}{
		{export, nil, codes.OK, nil},
		{export, nil, codes.OK, []grpc.CallOption{grpc.UseCompressor("gzip")}},
		{export, []byte("\xff\xff\xff"), codes.InvalidArgument, nil},
		{export, []byte("\x0a\x05\x1a\x03\xff\xfe\xfd"), codes.InvalidArgument, nil},
		{export, make([]byte, 1<<20+1), codes.ResourceExhausted, nil},
		{export, make([]byte, 64<<20), codes.ResourceExhausted, []grpc.CallOption{grpc.UseCompressor("gzip")}},
		{export, bytes.Repeat([]byte("\x0a\x00"), 300_000), codes.ResourceExhausted, nil},
		{export + "s", nil, codes.Unimplemented, nil},
		{"/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export", nil, codes.Unimplemented, nil},
	} {
		opts := append([]grpc.CallOption{grpc.ForceCodecV2(raw{})}, test.opts...)
		if err := conn.Invoke(t.Context(), test.method, test.body, nil, opts...); status.Code(err) != test.want {
			t.Errorf("%s, %d bytes: %v, want %s", test.method, len(test.body), err, test.want)
		}
	}
	if n := s.Rejected().Requests; n < 3 { // the library counts for itself what is too large
		t.Errorf("%d requests rejected", n)
	}
	res, err := coltrace.NewTraceServiceClient(conn).Export(t.Context(), &coltrace.ExportTraceServiceRequest{
		ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: spans(3)}}}}})
	if err != nil || res.GetPartialSuccess().GetRejectedSpans() != 3 {
		t.Errorf("%v %v", res, err)
	}
	if res, err := collogs.NewLogsServiceClient(conn).Export(t.Context(), &collogs.ExportLogsServiceRequest{}); err != nil || res.GetPartialSuccess() != nil {
		t.Errorf("%v %v", res, err)
	}
}

func TestTexts(t *testing.T) {
	s := start(t, sink.Config{})
	n := 0
	secret := func() string { n++; return fmt.Sprintf("secret%03d", n) }
	attrs := func() string {
		return fmt.Sprintf(`"attributes":[{"key":%q,"value":{"stringValue":%q}},{"key":"l","value":{"arrayValue":{"values":[{"kvlistValue":{"values":[{"key":%q,"value":{"stringValue":%q}}]}}]}}}]`,
			secret(), secret(), secret(), secret())
	}
	from := func() string {
		return fmt.Sprintf(`"schemaUrl":%q,"resource":{%s,"entityRefs":[{"type":%q,"idKeys":[%q]}]}`, secret(), attrs(), secret(), secret())
	}
	scope := func() string {
		return fmt.Sprintf(`"scope":{"name":%q,"version":%q,%s},"schemaUrl":%q`, secret(), secret(), attrs(), secret())
	}
	span := func(trace string) string {
		return fmt.Sprintf(`{"traceId":%q,"spanId":%q,"name":%q,"traceState":%q,"status":{"message":%q},%s,"events":[{"name":%q,%s}],"links":[{"traceState":%q,%s}]}`,
			trace, spanID, secret(), secret(), secret(), attrs(), secret(), attrs(), secret(), attrs())
	}
	postJSON(t, s, "/v1/traces", fmt.Sprintf(`{"resourceSpans":[{%s,"scopeSpans":[{%s,"spans":[%s,%s]}]}]}`, from(), scope(), span(traceID), span("12")))
	postJSON(t, s, "/v1/traces", fmt.Sprintf(`{"resourceSpans":[{%s,"scopeSpans":[{%s,"spans":[%s]}]}]}`, from(), scope(), span("12")))
	postJSON(t, s, "/v1/logs", fmt.Sprintf(`{"resourceLogs":[{%s,"scopeLogs":[{%s,"logRecords":[{"severityText":%q,"eventName":%q,"body":{"stringValue":%q},%s}]}]}]}`,
		from(), scope(), secret(), secret(), secret(), attrs()))
	exemplar := func() string {
		return fmt.Sprintf(`"exemplars":[{"asInt":"1","filteredAttributes":[{"key":"k","value":{"stringValue":%q}}]}]`, secret())
	}
	metrics := fmt.Sprintf(`{"resourceMetrics":[{%s,"scopeMetrics":[{%s,"metrics":[{"name":%q,"unit":%q,"description":%q,"metadata":[{"key":%q}],"gauge":{"dataPoints":[{"asInt":"1",%s,EXEMPLARS}]}},
		{"name":%q},{"name":%q,"gauge":{"dataPoints":[{%s}]}}]}]}]}`, from(), scope(), secret(), secret(), secret(), secret(), attrs(), secret(), secret(), attrs())
	for range 3 { // the point is the same, its exemplars are not
		postJSON(t, s, "/v1/metrics", strings.ReplaceAll(metrics, "EXEMPLARS", exemplar()))
	}
	if len(s.Metrics(nil)) != 1 {
		t.Errorf("%d series", len(s.Metrics(nil)))
	}
	found := map[string]sink.Text{}
	for text := range s.Texts() {
		found[text.Text] = text
		if text.Where == "" {
			t.Errorf("%+v is nowhere", text)
		}
	}
	for i := range n {
		if name := fmt.Sprintf("secret%03d", i+1); found[name].Where == "" {
			t.Errorf("%s is not found", name)
		}
	}
	for range s.Texts() {
		break // who has seen enough may stop
	}
	postJSON(t, s, "/v1/logs", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"attributes":[{"key":"card","value":{"intValue":"4111111111111111"}}]}]}]}]}`)
	numbers := 0
	for text := range s.Texts() {
		if text.Text == "4111111111111111" && text.Key == "card" && text.Where == "log attribute" {
			numbers++
		}
	}
	if numbers != 1 {
		t.Error("a number is no text")
	}
}

func TestWait(t *testing.T) {
	s := start(t, sink.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	asked, done := make(chan struct{}, 10), make(chan bool)
	go func() {
		done <- s.Wait(ctx, func() bool {
			asked <- struct{}{}
			return len(s.Logs(nil)) == 2
		})
	}()
	<-asked
	const one = `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}`
	postJSON(t, s, "/v1/logs", one)
	<-asked
	postJSON(t, s, "/v1/logs", one)
	if !<-done {
		t.Error("the second record did not end it")
	}
	cancel()
	if s.Wait(ctx, func() bool { return false }) || !s.Wait(ctx, func() bool { return true }) {
		t.Error("when ctx has ended, the condition decides")
	}
}

func TestClose(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, state := range []string{"open", "hung", "refusing"} {
		s, err := sink.Start(sink.Config{})
		if err != nil {
			t.Fatal(err)
		}
		postJSON(t, s, "/v1/logs", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}`)
		var d net.Dialer
		idle, err := d.DialContext(t.Context(), "tcp", s.GRPC())
		if err != nil {
			t.Fatal(err)
		}
		switch state {
		case "hung":
			s.Hang(true)
		case "refusing":
			if err := s.Refuse(true); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		err = s.Close(ctx)
		cancel()
		if state != "open" && err != nil { // the idle connection may be waited for
			t.Errorf("%s: %v", state, err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := s.Refuse(false); err == nil {
			t.Error("a closed sink opens again")
		}
		if c, err := d.DialContext(t.Context(), "tcp", s.GRPC()); err == nil {
			c.Close()
			t.Errorf("%s: the port is open after Close", state)
		}
		if len(s.Logs(nil)) != 1 {
			t.Error("what came is gone")
		}
		idle.Close()
	}
}

func TestLimitsAreJudged(t *testing.T) {
	for _, cfg := range []sink.Config{{MaxBytes: -1}, {MaxRequest: -1}} {
		if s, err := sink.Start(cfg); err == nil {
			_ = s.Close(t.Context())
			t.Errorf("%+v starts", cfg)
		}
	}
}
