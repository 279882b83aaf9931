package sink

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// sound checks that what is kept fits what is counted.
func sound(t testing.TB, s *store) {
	t.Helper()
	bytes, refs := 0, map[*Origin]int{}
	for _, v := range s.spans {
		bytes += v.size
		refs[v.Origin]++
	}
	for _, v := range s.records {
		bytes += v.size
		refs[v.Origin]++
	}
	for _, v := range s.series {
		bytes += v.size
		refs[v.Origin]++
	}
	for _, v := range s.texts {
		bytes += v.size()
	}
	for key, o := range s.origins {
		bytes += o.size
		if o.refs != refs[o] || o.refs == 0 || o.key != key {
			t.Errorf("an origin has %d references, and counts %d", refs[o], o.refs)
		}
	}
	if len(refs) != len(s.origins) || len(s.known) != len(s.texts) {
		t.Errorf("%d origins in use, %d kept; %d texts, %d known", len(refs), len(s.origins), len(s.texts), len(s.known))
	}
	if bytes != s.bytes || s.bytes > s.max {
		t.Errorf("%d bytes are kept, %d counted, %d allowed", bytes, s.bytes, s.max)
	}
	n := 0
	for id, spans := range s.traces {
		n += len(spans)
		if !slices.ContainsFunc(s.spans, func(v *Span) bool { return v == spans[0] }) || spans[0].TraceID != id {
			t.Error("a trace has a span that is gone")
		}
	}
	if n != len(s.spans) {
		t.Errorf("%d spans in traces, %d spans", n, len(s.spans))
	}
}

func take(t testing.TB, s *store, sig *signal, body string) {
	t.Helper()
	b, err := decode(sig, []byte(body), true)
	if err != nil {
		t.Fatal(err)
	}
	s.keep(b, sig)
}

// The oldest of all signals go first, and are counted.
func TestBudget(t *testing.T) {
	s := newStore(200_000)
	for i := range 2000 {
		take(t, &s, &signals[0], fmt.Sprintf(`{"resourceSpans":[{"resource":{"attributes":[{"key":"i","value":{"intValue":"%d"}}]},"scopeSpans":[{"spans":[{"traceId":"%032x","spanId":"%016x","name":"n%d"}]}]}]}`, i/10, i/3+1, i+1, i))
		take(t, &s, &signals[2], fmt.Sprintf(`{"resourceLogs":[{"schemaUrl":"u%d","scopeLogs":[{"logRecords":[{"body":{"intValue":"%d"}}]}]}]}`, i, i))
		take(t, &s, &signals[1], fmt.Sprintf(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"steady","gauge":{"dataPoints":[{"asInt":"%d"}]}},
			{"name":"odd","gauge":{"dataPoints":[{"asInt":"1","attributes":[{"key":"i","value":{"intValue":"%d"}}]}]}}]}]}]}`, i, i))
		sound(t, &s)
	}
	d := s.Dropped()
	if d.Spans+len(s.Spans(nil)) != 2000 || d.Records+len(s.Logs(nil)) != 2000 || d.Series+len(s.Metrics(nil)) != 2001 || d.Texts == 0 || len(s.Spans(nil)) < 30 {
		t.Errorf("dropped %+v of 2000, %d spans, %d records, %d series", d, len(s.Spans(nil)), len(s.Logs(nil)), len(s.Metrics(nil)))
	}
	last := s.Spans(nil)
	for i, v := range last {
		if v.Name != fmt.Sprintf("n%d", 2000-len(last)+i) {
			t.Fatalf("span %d is %s", i, v.Name)
		}
	}
	steady := s.Metrics(func(p *Point) bool { return p.Name == "steady" })
	if len(steady) != 1 || steady[0].Value != 1999 {
		t.Errorf("the series that is alive: %v", steady)
	}
	take(t, &s, &signals[2], `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"`+strings.Repeat("x", 300_000)+`"}}]}]}]}`)
	sound(t, &s)
}

// A series is its attributes in whichever order, and the types of their values.
func TestSeries(t *testing.T) {
	s := newStore(1 << 20)
	for i, attrs := range []string{
		`{"key":"a","value":{"stringValue":"1"}},{"key":"b","value":{"stringValue":"2"}}`,
		`{"key":"b","value":{"stringValue":"2"}},{"key":"a","value":{"stringValue":"1"}}`,
		`{"key":"a","value":{"intValue":"1"}},{"key":"b","value":{"stringValue":"2"}}`,
		`{"key":"a","value":{"stringValue":"1"}}`,
		`{"key":"a","value":{"stringValue":"1b"}}`,
		`{"key":"a1","value":{"stringValue":"b"}}`,
	} {
		take(t, &s, &signals[1], fmt.Sprintf(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[{"asInt":"%d","attributes":[%s]}]}}]}]}]}`, i, attrs))
	}
	// The same series of another instance of the service is no other label set.
	take(t, &s, &signals[1], `{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.instance.id","value":{"stringValue":"2"}}]},
		"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[{"asInt":"1","attributes":[{"key":"a","value":{"stringValue":"1"}}]}]}}]}]}]}`)
	if got := s.Series()["m"]; got != 5 {
		t.Errorf("%d sets of attributes, want 5", got)
	}
	if got := s.Metrics(nil); len(got) != 6 || got[0].Value != 1 {
		t.Errorf("%d series, the first is %v", len(got), got[0].Value)
	}
	sound(t, &s)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// What is kept takes no more memory than is counted, whatever its shape.
func TestMemory(t *testing.T) {
	attr := func(k, v string) *commonpb.KeyValue {
		return &commonpb.KeyValue{Key: k, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: v}}}
	}
	list := func(n int, f func(i int) *commonpb.KeyValue) (all []*commonpb.KeyValue) {
		for i := range n {
			all = append(all, f(i))
		}
		return all
	}
	for name, attributes := range map[string]func(i int) []*commonpb.KeyValue{
		"plain": func(int) []*commonpb.KeyValue { return nil },
		"usual": func(i int) []*commonpb.KeyValue {
			return list(10, func(k int) *commonpb.KeyValue { return attr(fmt.Sprint("http.attribute", k), fmt.Sprint("value ", i)) })
		},
		"keys": func(i int) []*commonpb.KeyValue {
			return list(10, func(k int) *commonpb.KeyValue { return attr(fmt.Sprint("k", k, i), "") })
		},
	} {
		const limit = 16 << 20
		before := heap()
		s := newStore(limit)
		for at := 0; at < 45_000; at += 500 {
			r := &coltrace.ExportTraceServiceRequest{}
			ss := &tracepb.ScopeSpans{}
			for i := at; i < at+500; i++ {
				id := fmt.Appendf(nil, "%016d", i)
				ss.Spans = append(ss.Spans, &tracepb.Span{TraceId: id, SpanId: id[8:], Name: "GET /orders/{id}", Attributes: attributes(i)})
			}
			r.ResourceSpans = []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{ss}, Resource: &resourcepb.Resource{}}}
			b := &batch{}
			b.traces(r)
			s.keep(b, &signals[0])
		}
		took := int(heap() - before)
		t.Logf("%s: %d spans, %d bytes each, %d counted of which %d%% taken", name, len(s.spans), took/len(s.spans), s.bytes, 100*took/s.bytes)
		if took > s.bytes*5/4 || s.Dropped().Spans == 0 {
			t.Errorf("%s: %d bytes are taken, %d counted, %+v", name, took, s.bytes, s.Dropped())
		}
		runtime.KeepAlive(&s)
	}
}

// hexIDs makes of protobuf's JSON OTLP's.
func hexIDs(value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			if text, ok := inner.(string); ok && slices.Contains([]string{"traceId", "spanId", "parentSpanId"}, key) {
				raw, _ := base64.StdEncoding.DecodeString(text)
				v[key] = hex.EncodeToString(raw)
			}
			hexIDs(inner)
		}
	case []any:
		for _, inner := range v {
			hexIDs(inner)
		}
	}
}

func dump(b *batch) string {
	var all bytes.Buffer
	fmt.Fprintf(&all, "%d %s %v\n", b.rejected, b.why, b.texts)
	for _, p := range b.parts {
		fmt.Fprintf(&all, "%q %+v\n", p.key, *p.origin)
		for _, v := range p.spans {
			c := *v
			c.Origin = nil
			fmt.Fprintf(&all, "%#v\n", c)
		}
		for _, v := range p.records {
			c := *v
			c.Origin = nil
			fmt.Fprintf(&all, "%#v\n", c)
		}
		for _, v := range p.points {
			c := *v
			c.Origin = nil
			fmt.Fprintf(&all, "%#v\n", c)
		}
	}
	return all.String()
}

// Whatever comes as protobuf is refused or kept soundly, and means the same as
// JSON.
func FuzzProtobuf(f *testing.F) {
	for i := range signals {
		f.Add(uint8(i), seed(f, i))
	}
	f.Add(uint8(0), []byte("\x0a\x00"))
	f.Fuzz(func(t *testing.T, n uint8, body []byte) {
		sig := &signals[int(n)%len(signals)]
		s := newStore(4096)
		b, err := decode(sig, body, false)
		if err != nil {
			return
		}
		want := dump(b)
		s.keep(b, sig)
		sound(t, &s)
		for text := range s.Texts() {
			_ = text.size()
		}
		m := sig.request()
		if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, m); err != nil {
			t.Fatalf("decoded and does not decode: %v", err)
		}
		asJSON, err := protojson.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var tree any
		dec := json.NewDecoder(bytes.NewReader(asJSON))
		dec.UseNumber()
		if err := dec.Decode(&tree); err != nil {
			t.Fatal(err)
		}
		hexIDs(tree)
		if asJSON, err = json.Marshal(tree); err != nil {
			t.Fatal(err)
		}
		again, err := decode(sig, asJSON, true)
		if err != nil {
			t.Fatalf("not as JSON: %v: %s", err, asJSON)
		}
		if got := dump(again); got != want {
			t.Errorf("as protobuf:\n%s\nas JSON:\n%s", want, got)
		}
	})
}

// Whatever comes as JSON is refused or kept soundly.
func FuzzJSON(f *testing.F) {
	for i := range signals {
		m := signals[i].request()
		if err := proto.Unmarshal(seed(f, i), m); err != nil {
			f.Fatal(err)
		}
		body, err := protojson.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), body)
	}
	f.Add(uint8(0), []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"}]}]}]}`))
	f.Fuzz(func(t *testing.T, n uint8, body []byte) {
		sig := &signals[int(n)%len(signals)]
		s := newStore(4096)
		b, err := decode(sig, body, true)
		if err != nil {
			return
		}
		s.keep(b, sig)
		sound(t, &s)
		for _, v := range s.Spans(nil) {
			if _, err := hex.DecodeString(v.TraceID + v.SpanID + v.Parent); err != nil || len(v.TraceID) != 32 || len(v.SpanID) != 16 {
				t.Errorf("ids %q %q %q", v.TraceID, v.SpanID, v.Parent)
			}
		}
	})
}

// seed is a request with something of everything.
func seed(f *testing.F, i int) []byte {
	f.Helper()
	const id = `"traceId":"W47/95gDgQPSabYzgT/GDA==","spanId":"7uGbfsPBsXQ="`
	const from = `"resource":{"attributes":[{"key":"a","value":{"arrayValue":{"values":[{"boolValue":true},{"kvlistValue":{"values":[{"key":"k","value":{"bytesValue":"AA=="}}]}}]}}}],"entityRefs":[{"type":"t"}]},"schemaUrl":"u"`
	m := signals[i].request()
	body := []string{
		`{"resourceSpans":[{` + from + `,"scopeSpans":[{"scope":{"name":"s"},"spans":[{` + id + `,"parentSpanId":"7uGbfsPBsXQ=","name":"n","kind":2,"status":{"code":2},"events":[{"name":"e"}],"links":[{` + id + `}]},{"name":"bad"}]}]}]}`,
		`{"resourceMetrics":[{` + from + `,"scopeMetrics":[{"metrics":[{"name":"g","gauge":{"dataPoints":[{"asDouble":1.5,"exemplars":[{` + id + `,"asInt":"1"}]}]}},{"name":"h","histogram":{"dataPoints":[{"bucketCounts":["1","2"],"explicitBounds":[1]}]}},
			{"name":"x","exponentialHistogram":{"dataPoints":[{"positive":{"bucketCounts":["1"]}}]}},{"name":"q","summary":{"dataPoints":[{"quantileValues":[{"quantile":0.5}]}]}},{"name":"s","sum":{"dataPoints":[{"asInt":"1"}]}}]}]}]}`,
		`{"resourceLogs":[{` + from + `,"scopeLogs":[{"logRecords":[{` + id + `,"body":{"stringValue":"b"},"severityNumber":9,"timeUnixNano":"18446744073709551615"}]}]}]}`,
	}[i]
	if err := protojson.Unmarshal([]byte(body), m); err != nil {
		f.Fatal(err)
	}
	b, err := proto.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	return b
}
