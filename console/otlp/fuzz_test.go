package otlp_test

import (
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/aguada-dev/aguada/console/otlp"
	"github.com/aguada-dev/aguada/console/store"
)

// What generated code reads is read in the same way, and what it does not read
// is refused or has less in it; nothing panics.
func FuzzTraces(f *testing.F) {
	b, _ := proto.Marshal(spans())
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := store.Open(store.Config{Budget: store.MinBudget})
		if err != nil {
			t.Fatal(err)
		}
		_, err = otlp.Decode(store.Traces, b, st)
		var m tracepb.ExportTraceServiceRequest
		if proto.Unmarshal(b, &m) != nil {
			return
		}
		if err != nil {
			t.Skip("stricter: groups, and fields of another type than theirs")
		}
		want := 0
		for _, r := range m.GetResourceSpans() {
			for _, s := range r.GetScopeSpans() {
				for _, v := range s.GetSpans() {
					if len(v.GetTraceId()) == 16 && len(v.GetSpanId()) == 8 && string(v.GetTraceId()) != string(make([]byte, 16)) && string(v.GetSpanId()) != string(make([]byte, 8)) {
						want++
					}
				}
			}
		}
		if kept := st.Counts(store.Traces).Kept; kept != int64(want) {
			t.Errorf("%d spans are kept, generated code reads %d", kept, want)
		}
	})
}

func FuzzLogs(f *testing.F) {
	b, _ := proto.Marshal(records())
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) { fuzz(t, store.Logs, b) })
}

func FuzzMetrics(f *testing.F) {
	b, _ := proto.Marshal(points())
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) { fuzz(t, store.Metrics, b) })
}

// fuzz reads a request, and all that was kept of it.
func fuzz(t *testing.T, sig store.Signal, b []byte) {
	st, err := store.Open(store.Config{Budget: store.MinBudget})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := otlp.Decode(sig, b, st); err != nil && st.Counts(sig).Kept != 0 {
		t.Errorf("a part of what was refused is kept")
	}
	st.Walk(sig, &store.Filter{Text: "x"}, func(r store.Ref) bool {
		if sig == store.Logs {
			r.Log()
		} else {
			r.Point()
			r.Series()
		}
		return true
	})
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"}]}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if pb, err := otlp.FromJSON(store.Traces, b); err == nil {
			fuzz(t, store.Traces, pb)
		}
	})
}

func BenchmarkExport(b *testing.B) {
	r, _ := open(b, otlp.Config{})
	client := tracepb.NewTraceServiceClient(dial(b, r))
	req := spans()
	one := req.ResourceSpans[0].ScopeSpans[0].Spans[0]
	one.Events, one.Links = nil, nil
	for range 511 {
		req.ResourceSpans[0].ScopeSpans[0].Spans = append(req.ResourceSpans[0].ScopeSpans[0].Spans, one)
	}
	for b.Loop() {
		if _, err := client.Export(b.Context(), req); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(512*float64(b.N)/b.Elapsed().Seconds(), "spans/s")
}
