package store_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aguada-dev/aguada/console/store"
)

func str(s string) store.Value { return store.Value{Kind: store.String, Bytes: []byte(s)} }

func num(n int64) store.Value { return store.Value{Kind: store.Int, Num: uint64(n)} }

func attr(k string, v store.Value) store.Attr { return store.Attr{Key: []byte(k), Value: v} }

func source(service string) store.Source {
	return store.Source{Resource: []store.Attr{
		attr("service.name", str(service)), attr("service.instance.id", str("one")), attr("telemetry.sdk.language", str("go")),
	}, Scope: []byte("aguada"), Version: []byte("1")}
}

func traceID(n int) (id store.TraceID) {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	binary.BigEndian.PutUint64(id[:], r.Uint64())
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

func spanID(n int) (id store.SpanID) {
	binary.BigEndian.PutUint64(id[:], uint64(n+1))
	return id
}

// spans returns a batch of traces of 8 spans each, as a service would send them.
func spans(from, to int) *store.Batch {
	b := &store.Batch{Sources: []store.Source{source("shop")}}
	for t := from; t < to; t++ {
		for i := range 8 {
			v := store.Span{Trace: traceID(t), ID: spanID(8*t + i), Start: int64(t+1) * 1000, Kind: store.KindServer, Name: []byte("POST /orders")}
			if i > 0 {
				v.Parent, v.Kind, v.Name = spanID(8*t), store.KindClient, []byte("INSERT orders")
			}
			v.End = v.Start + int64(1000*(t%100+1))
			if t%100 == 0 {
				v.Status, v.Message = store.StatusError, []byte("it broke")
			}
			v.Attrs = []store.Attr{
				attr("http.request.method", str("POST")), attr("http.route", str("/orders/{id}")), attr("http.response.status_code", num(int64(200+t%5))),
				attr("goa.service", str("orders")), attr("goa.method", str("create")), attr("url.scheme", str("https")),
				attr("request_id", str(fmt.Sprintf("%016x", uint64(t)*0x9e3779b97f4a7c15))), attr("server.address", str("shop.example")),
			}
			b.Spans = append(b.Spans, v)
		}
	}
	return b
}

func open(tb testing.TB, cfg store.Config) *store.Store {
	tb.Helper()
	s, err := store.Open(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// everything holds one item of each kind, with all that it can have.
func everything() *store.Batch {
	trace, span := traceID(1), spanID(1)
	some := []store.Attr{
		attr("text", str("häßlich\x00")), attr("empty", str("")), attr("none", store.Value{}), attr("true", store.Value{Kind: store.Bool, Num: 1}),
		attr("int", num(-5)), attr("big", num(math.MaxInt64)), attr("double", store.Value{Kind: store.Double, Num: math.Float64bits(math.Inf(-1))}),
		attr("binary", store.Value{Kind: store.Binary, Bytes: []byte{0, 255}}), attr("json", store.Value{Kind: store.JSON, Bytes: []byte(`[1,{"a":null}]`)}),
	}
	histogram := store.Metric{Name: []byte("h"), Description: []byte("d"), Unit: []byte("s"), Type: store.Histogram, Temporality: store.Cumulative}
	exponential := histogram
	exponential.Type, exponential.Temporality = store.ExponentialHistogram, store.Delta
	gauge := store.Metric{Name: []byte("g"), Type: store.Gauge}
	summary := store.Metric{Name: []byte("s"), Type: store.Summary}
	exemplar := store.Exemplar{Time: 5, Value: 0.5, Trace: trace, Span: span, Attrs: some[:1]}
	return &store.Batch{
		Sources: []store.Source{source("shop"), source("bank")},
		Spans: []store.Span{{
			Trace: trace, ID: span, Parent: spanID(7), Name: []byte("n"), Start: 1e18, End: 1e18 + 5, Kind: store.KindConsumer, Status: store.StatusError, Message: []byte("m"),
			Attrs: some, Events: []store.Event{{Time: 1e18 - 3, Name: []byte("e"), Attrs: some}, {}}, Links: []store.Link{{Trace: trace, Span: span, Attrs: some}}, Dropped: 3,
		}, {Source: 1, Trace: trace, ID: spanID(2), Start: 7, End: 7}},
		Logs: []store.Log{
			{Time: 9, Severity: 17, Level: []byte("Error"), Event: []byte("ev"), Body: some[8].Value, Trace: trace, Span: span, Attrs: some},
			{Source: 1, Body: str("hello")},
		},
		Points: []store.Point{
			{Metric: &gauge, Time: 1, Value: -1.5, Attrs: some},
			{Metric: &histogram, Source: 1, Start: 1, Time: 2, Value: 3, Count: 6, Min: 0.1, Max: 2, Bounds: []float64{0.5, 1}, Counts: []uint64{1, 2, 3}, Exemplars: []store.Exemplar{exemplar}},
			{Metric: &exponential, Time: 3, Count: 4, Value: 5, Min: 0.1, Max: 2, Scale: -3, Zero: 2, Positive: store.Buckets{Offset: -5, Counts: []uint64{1, 0, 1 << 40}}, Negative: store.Buckets{Offset: 9}},
			{Metric: &summary, Time: 4, Count: 1, Value: 2, Min: 0, Max: 0, Quantiles: []float64{0.5, 1, 0.9, 2}},
		},
	}
}

// compare checks that everything is in s as it was added.
func compare(t *testing.T, s *store.Store, want *store.Batch) {
	t.Helper()
	options := cmp.Options{cmpopts.EquateEmpty(), cmpopts.EquateNaNs(), cmpopts.IgnoreFields(store.Span{}, "Source"), cmpopts.IgnoreFields(store.Log{}, "Source"),
		cmpopts.IgnoreFields(store.Point{}, "Source", "Metric", "Attrs")}
	i := len(want.Spans)
	s.Walk(store.Traces, &store.Filter{}, func(r store.Ref) bool {
		i--
		if diff := cmp.Diff(want.Spans[i], r.Span(), options); diff != "" {
			t.Errorf("span %d (-sent +stored):\n%s", i, diff)
		}
		if diff := cmp.Diff(want.Sources[want.Spans[i].Source], r.Source(), options); diff != "" {
			t.Errorf("source of span %d:\n%s", i, diff)
		}
		return true
	})
	j := len(want.Logs)
	s.Walk(store.Logs, &store.Filter{}, func(r store.Ref) bool {
		j--
		if diff := cmp.Diff(want.Logs[j], r.Log(), options); diff != "" {
			t.Errorf("log %d:\n%s", j, diff)
		}
		return true
	})
	k := len(want.Points)
	s.Walk(store.Metrics, &store.Filter{}, func(r store.Ref) bool {
		k--
		p, of := want.Points[k], r.Series()
		if diff := cmp.Diff(p, r.Point(), options); diff != "" {
			t.Errorf("point %d:\n%s", k, diff)
		}
		if diff := cmp.Diff(*p.Metric, of.Metric, options); diff != "" {
			t.Errorf("metric of point %d:\n%s", k, diff)
		}
		if diff := cmp.Diff(p.Attrs, of.Attrs, options); diff != "" {
			t.Errorf("attributes of point %d:\n%s", k, diff)
		}
		return true
	})
	if i+j+k != 0 {
		t.Errorf("%d spans, %d log records and %d points are missing", i, j, k)
	}
}

func TestWhatIsAddedIsThere(t *testing.T) {
	s := open(t, store.Config{})
	b := everything()
	s.Add(b)
	compare(t, s, b)
}

func TestFilters(t *testing.T) {
	s := open(t, store.Config{})
	s.Add(spans(0, 500))
	for _, test := range []struct {
		name string
		f    store.Filter
		want int
	}{
		{"all", store.Filter{}, 4000},
		{"service", store.Filter{Service: "shop"}, 4000},
		{"another service", store.Filter{Service: "sho"}, 0},
		{"failed", store.Filter{Status: store.StatusError}, 40},
		{"not failed", store.Filter{Status: store.StatusOK}, 3960},
		{"kind", store.Filter{Kind: store.KindServer}, 500},
		{"trace", store.Filter{Trace: traceID(7)}, 8},
		{"longest", store.Filter{MinDuration: 100_000}, 40},
		{"shortest", store.Filter{MaxDuration: 1000}, 40},
		{"since", store.Filter{Since: 499_000}, 16},
		{"until", store.Filter{Until: 2000}, 16},
		{"name", store.Filter{Method: "POST /orders"}, 500},
		{"method", store.Filter{Method: "orders.create"}, 4000},
		{"method alone", store.Filter{Method: "create"}, 4000},
		{"method of another service", store.Filter{Method: "users.create"}, 0},
		{"text in a name", store.Filter{Text: "insert"}, 3500},
		{"text in a value, in another case", store.Filter{Text: "SHOP.Ex"}, 4000},
		{"text in a message", store.Filter{Text: "broke"}, 40},
		{"text of the service", store.Filter{Text: "shop"}, 4000},
		{"no such text", store.Filter{Text: "nowhere"}, 0},
		{"number", store.Filter{Attrs: []store.Match{store.ParseMatch("http.response.status_code=203")}}, 800},
		{"not a number", store.Filter{Attrs: []store.Match{store.ParseMatch("http.response.status_code!=203")}}, 3200},
		{"more", store.Filter{Attrs: []store.Match{store.ParseMatch("http.response.status_code>202")}}, 1600},
		{"less", store.Filter{Attrs: []store.Match{store.ParseMatch("http.response.status_code<201")}}, 800},
		{"there", store.Filter{Attrs: []store.Match{store.ParseMatch("url.scheme")}}, 4000},
		{"not there", store.Filter{Attrs: []store.Match{store.ParseMatch("url.path")}}, 0},
		{"of the resource", store.Filter{Attrs: []store.Match{store.ParseMatch("telemetry.sdk.language=go")}}, 4000},
		{"two", store.Filter{Attrs: []store.Match{store.ParseMatch("http.route=/orders/{id}"), store.ParseMatch("http.response.status_code=204")}}, 800},
		{"service and method as attributes", store.Filter{Method: "orders.create", Attrs: []store.Match{store.ParseMatch("goa.service=orders")}}, 4000},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := 0
			s.Walk(store.Traces, &test.f, func(store.Ref) bool { n++; return true })
			_, scanned := s.Latest(store.Traces, &test.f, 10, nil)
			if n != test.want || scanned.Matched != int64(test.want) {
				t.Errorf("walked over %d, scanned %d, want %d", n, scanned.Matched, test.want)
			}
		})
	}
}

func TestLatestTracesComeFirst(t *testing.T) {
	s := open(t, store.Config{})
	s.Add(spans(0, 500))
	hits, all, _ := s.Found(&store.Filter{}, store.Latest, 3)
	var got []store.TraceID
	for _, h := range hits {
		got = append(got, h.Trace)
		if h.Matched != 8 {
			t.Errorf("%d spans of a trace matched, want 8", h.Matched)
		}
	}
	if diff := cmp.Diff([]store.TraceID{traceID(499), traceID(498), traceID(497)}, got); diff != "" || all != 500 {
		t.Errorf("%d traces, want 500; (-want +got):\n%s", all, diff)
	}
}

// A budget of 4 MiB, into which five times as much is put.
func TestTheOldestGiveWay(t *testing.T) {
	s := open(t, store.Config{Budget: store.MinBudget})
	const traces = 25_600
	for at := 0; at < traces; at += 64 {
		s.Add(spans(at, at+64))
		if held, budget := s.Bytes(); held > budget {
			t.Fatalf("%d bytes are held, of %d", held, budget)
		}
	}
	c := s.Counts(store.Traces)
	if c.Received != 8*traces || c.Kept+c.Evicted != c.Received || c.Kept < 10_000 {
		t.Fatalf("counts are %+v", c)
	}
	seen := make(map[store.TraceID]int)
	s.Walk(store.Traces, &store.Filter{}, func(r store.Ref) bool { seen[r.Trace()]++; return true })
	if seen[traceID(traces-1)] != 8 || seen[traceID(0)] != 0 {
		t.Errorf("of the latest trace %d spans are here, of the first %d", seen[traceID(traces-1)], seen[traceID(0)])
	}
	halves := 0
	for id, n := range seen {
		refs, evicted := s.Of(store.Traces, id)
		if len(refs) != n || n+evicted != 8 {
			t.Fatalf("of a trace of 8 spans %d are here, %d are found, %d are said to have given way", n, len(refs), evicted)
		}
		if evicted > 0 {
			halves++
		}
	}
	if halves > 1 {
		t.Errorf("%d traces are torn; segments end between spans of one", halves)
	}
}

func TestAHalfTraceIsCalledOne(t *testing.T) {
	s := open(t, store.Config{Budget: store.MinBudget})
	first := spans(0, 1)
	rest := first.Spans[4:]
	first.Spans = first.Spans[:4]
	s.Add(first)
	at := 1
	for s.Counts(store.Traces).Evicted == 0 {
		again := spans(0, 1)
		again.Spans = again.Spans[:0]
		again.Spans = append(again.Spans, rest[at%4])
		again.Spans[0].ID = spanID(1_000_000 + at)
		s.Add(again) // the trace goes on
		s.Add(spans(at, at+64))
		at += 64
	}
	refs, evicted := s.Of(store.Traces, traceID(0))
	if evicted < 4 || len(refs) == 0 {
		t.Errorf("%d spans are here, %d gave way; the first 4 must have", len(refs), evicted)
	}
}

func TestSlowestTracesComeFirst(t *testing.T) {
	s := open(t, store.Config{})
	s.Add(spans(0, 500))
	hits, _, _ := s.Found(&store.Filter{}, store.Slowest, 7)
	for i, h := range hits { // the durations repeat every 100 traces
		if want := int64(100_000); i < 5 && h.Longest != want || i >= 5 && h.Longest != want-1000 {
			t.Errorf("trace %d of the slowest takes %d", i, h.Longest)
		}
	}
}

func TestWhatArrivesIsNumbered(t *testing.T) {
	s := open(t, store.Config{Budget: store.MinBudget})
	next := s.Next(store.Traces)
	changed := s.Changed()
	s.Add(spans(0, 10))
	select {
	case <-changed:
	default:
		t.Error("nobody was told of what arrived")
	}
	n := 0
	next, missed := s.After(store.Traces, &store.Filter{}, next, func(r store.Ref) {
		if r.Seq() != uint64(n) {
			t.Fatalf("number %d follows %d", r.Seq(), n)
		}
		n++
	})
	if n != 80 || missed != 0 || next != 80 {
		t.Errorf("%d arrived, %d missed, next is %d", n, missed, next)
	}
	for at := 10; s.Counts(store.Traces).Evicted < 1000; at += 64 {
		s.Add(spans(at, at+64))
	}
	seen := int64(0)
	_, missed = s.After(store.Traces, &store.Filter{}, next, func(store.Ref) { seen++ })
	if c := s.Counts(store.Traces); int64(missed) != c.Evicted-80 || seen != c.Kept {
		t.Errorf("%d seen, %d missed, counts are %+v", seen, missed, c)
	}
}

func TestSendersAreKnown(t *testing.T) {
	s := open(t, store.Config{})
	b := everything()
	s.Add(b)
	got := make(map[string][3]int64)
	for _, v := range s.Senders(0) {
		got[v.Service] = v.Items
	}
	if diff := cmp.Diff(map[string][3]int64{"shop": {1, 1, 3}, "bank": {1, 1, 1}}, got); diff != "" {
		t.Error(diff)
	}
	if all := s.Senders(2e18); len(all) != 0 {
		t.Errorf("%d senders of the future", len(all))
	}
}

func TestAFileKeepsIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "console #1?.db")
	s := open(t, store.Config{File: file, Budget: store.MinBudget})
	b := everything()
	s.Add(b)
	if _, err := store.Open(store.Config{File: file}); err == nil {
		t.Error("two stores have one file")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Size() == 0 {
		t.Fatalf("there is no file: %v", err)
	}
	s = open(t, store.Config{File: file, Budget: store.MinBudget})
	compare(t, s, b)
	refs, _ := s.Of(store.Traces, traceID(1))
	if len(refs) != 2 {
		t.Errorf("%d spans of the trace are found, want 2", len(refs))
	}
	for at := 0; s.Counts(store.Traces).Evicted < 2_000; at += 64 { // what gives way leaves the file too
		s.Add(spans(at, at+64))
	}
	kept := s.Counts(store.Traces).Kept
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Size() > 2*store.MinBudget {
		t.Errorf("the file has %d bytes: %v", info.Size(), err)
	}
	s = open(t, store.Config{File: file, Budget: store.MinBudget})
	if now := s.Counts(store.Traces).Kept; now != kept {
		t.Errorf("%d spans are here after the restart, %d before", now, kept)
	}
}

func TestAFileOfSomethingElse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(file, []byte("not a database at all, but something that somebody needs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(store.Config{File: file}); err == nil {
		t.Error("it was taken for a store")
	}
	if b, err := os.ReadFile(file); err != nil || len(b) != 56 {
		t.Errorf("it was changed: %q, %v", b, err)
	}
}

func TestAddingAndSearchingAtOnce(t *testing.T) {
	s := open(t, store.Config{Budget: store.MinBudget})
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			for at := w * 100_000; at < w*100_000+3000; at += 50 {
				s.Add(spans(at, at+50))
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for range 30 {
				hits, _, _ := s.Found(&store.Filter{Text: "broke"}, store.Latest, 10)
				for _, h := range hits {
					refs, _ := s.Of(store.Traces, h.Trace)
					for _, r := range refs {
						if v := r.Span(); v.Trace != h.Trace || len(v.Attrs) != 8 {
							t.Errorf("a span is torn: %+v", v)
						}
					}
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkAdd(b *testing.B) {
	s := open(b, store.Config{Budget: 64 << 20})
	batch := spans(0, 64)
	b.ReportAllocs()
	n := uint64(0)
	for b.Loop() {
		n++
		for i := range batch.Spans {
			binary.BigEndian.PutUint64(batch.Spans[i].Trace[8:], uint64(i/8)+n<<8)
		}
		s.Add(batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*512), "ns/span")
}

func BenchmarkSearch(b *testing.B) {
	s := open(b, store.Config{Budget: 512 << 20})
	for t := 0; t < 125_000; t += 64 {
		s.Add(spans(t, t+64))
	}
	for name, f := range map[string]store.Filter{
		"errors": {Status: store.StatusError}, "all": {}, "number": {Attrs: []store.Match{store.ParseMatch("http.response.status_code=203")}},
		"text": {Text: "0123"}, "method": {Method: "orders.create"}, "slow": {MinDuration: 99_000}, "string": {Attrs: []store.Match{store.ParseMatch("request_id=0123")}},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s.Found(&f, store.Latest, 100)
			}
		})
	}
}

// The figures of the console: a million spans, at most 320 bytes each, found in
// at most 100 ms. Without the race detector only, and generous to a busy machine.
func TestFigures(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("measures: not under the race detector")
	}
	s := open(t, store.Config{Budget: 512 << 20})
	for at := 0; at < 125_000; at += 64 {
		s.Add(spans(at, at+64))
	}
	held, _ := s.Bytes()
	kept := s.Counts(store.Traces).Kept
	if each := held / kept; each > 320 {
		t.Errorf("a span takes %d bytes, want 320 at most", each)
	}
	best := time.Hour
	for range 5 {
		began := time.Now()
		s.Found(&store.Filter{Text: "0123", Attrs: []store.Match{store.ParseMatch("http.response.status_code=203")}}, store.Latest, 100)
		best = min(best, time.Since(began))
	}
	t.Logf("%d spans, %d bytes each, searched in %v", kept, held/kept, best)
	if best > 200*time.Millisecond {
		t.Errorf("a search takes %v, want 100ms at most", best)
	}
}
