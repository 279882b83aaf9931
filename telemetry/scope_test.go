package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"
	"pgregory.net/rapid"
)

func TestContextHandlerConforms(t *testing.T) {
	var buf bytes.Buffer
	for name, next := range map[string]slog.Handler{"ours": NewHandler(&buf, JSON, nil), "foreign": slog.NewJSONHandler(&buf, nil)} {
		t.Run(name, func(t *testing.T) {
			slogtest.Run(t, func(*testing.T) slog.Handler {
				buf.Reset()
				return NewContextHandler(next)
			}, func(t *testing.T) map[string]any {
				return decode(t, buf.Bytes())
			})
		})
	}
}

func TestContextHandlerAddsIdsOutsideOfGroups(t *testing.T) {
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	ctx := trace.ContextWithSpanContext(t.Context(), span)
	ctx = WithScope(ctx, &Scope{RequestID: "r1", Service: "orders", Method: "create"})
	var buf bytes.Buffer
	for name, next := range map[string]slog.Handler{"ours": NewHandler(&buf, JSON, nil), "foreign": slog.NewJSONHandler(&buf, nil)} {
		t.Run(name, func(t *testing.T) {
			log := slog.New(NewContextHandler(NewContextHandler(next)))
			for _, l := range []*slog.Logger{log, log.With("a", 1), log.WithGroup("g").With("b", 2), log.With("a", 1).WithGroup("g").WithGroup("h")} {
				buf.Reset()
				l.InfoContext(ctx, "m", "c", 3)
				got := decode(t, buf.Bytes())
				for key, want := range map[string]string{"request_id": "r1", "service": "orders", "method": "create",
					"trace_id": span.TraceID().String(), "span_id": span.SpanID().String()} {
					if got[key] != want || strings.Count(buf.String(), `"`+key+`"`) != 1 {
						t.Errorf("%s is not once outside of groups: %s", key, buf.String())
					}
				}
			}
			buf.Reset()
			log.WithGroup("g").With("b", 2).InfoContext(ctx, "m", "c", 3)
			if diff := cmp.Diff(map[string]any{"b": 2.0, "c": 3.0}, decode(t, buf.Bytes())["g"]); diff != "" {
				t.Error(diff)
			}
			buf.Reset()
			log.InfoContext(t.Context(), "m")
			if strings.Contains(buf.String(), "_id") {
				t.Errorf("ids from nowhere: %s", buf.String())
			}
		})
	}
}

func TestContextHandlerFollowsLeases(t *testing.T) {
	leases, _ := newLeases(t)
	lease := openLease(t, leases, Lease{Kind: LogLevel, Level: slog.LevelDebug, Principal: "ann"}, 0)
	var buf bytes.Buffer
	log := slog.New(NewContextHandler(NewHandler(&buf, JSON, nil)))
	for _, who := range []string{"ann", "bob"} {
		s := &Scope{RequestID: who}
		leases.Apply(s, "a", "m", Caller{Subject: who})
		ctx := WithScope(t.Context(), s)
		log.DebugContext(ctx, "shown")
		if who == "ann" {
			if _, err := leases.End(lease.ID, "op"); err != nil {
				t.Fatal(err)
			}
			log.DebugContext(ctx, "not shown")
		}
	}
	if got := decode(t, buf.Bytes()); got["request_id"] != "ann" || got["msg"] != "shown" {
		t.Errorf("the line is %v", got)
	}
}

// What is shown is the newest of what was held, in order, within the limits,
// and nothing that is gone goes without being counted.
func TestHeldLinesModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{Lines: rapid.IntRange(1, 20).Draw(t, "lines"), Bytes: rapid.IntRange(100, 4000).Draw(t, "bytes")}
		var buf bytes.Buffer
		h := NewHandler(&buf, JSON, nil)
		s := &Scope{}
		var model []string
		var sizes []int
		total, dropped := 0, 0
		pop := func() {
			model, total, sizes = model[1:], total-sizes[0], sizes[1:]
			dropped++
		}
		for i := range rapid.IntRange(0, 100).Draw(t, "n") {
			msg := fmt.Sprint(i, strings.Repeat("x", rapid.IntRange(0, 500).Draw(t, "size")))
			s.Hold(context.Background(), h, limits, time.Now(), slog.LevelInfo, msg, nil)
			size := heldLineSize + len(msg)
			if size > limits.Bytes {
				dropped++
				continue
			}
			for total+size > limits.Bytes || len(model) >= limits.Lines {
				pop()
			}
			model, sizes, total = append(model, msg), append(sizes, size), total+size
		}
		if s.held != nil && (s.held.bytes != total || len(s.held.ring) > limits.Lines) {
			t.Fatalf("%d bytes are counted, not %d; room for %d lines", s.held.bytes, total, len(s.held.ring))
		}
		s.Show()
		var got []string
		for line := range strings.Lines(buf.String()) {
			var m struct {
				Msg     string
				Dropped int `json:"log.dropped"`
			}
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatal(err)
			}
			dropped -= m.Dropped
			if m.Dropped == 0 {
				got = append(got, m.Msg)
			}
		}
		if diff := cmp.Diff(model, got, cmp.Transformer("len", func(s []string) []string { return append([]string{}, s...) })); diff != "" && len(model)+len(got) > 0 {
			t.Fatal(diff)
		}
		if dropped != 0 {
			t.Fatalf("%d lines went uncounted", dropped)
		}
	})
}

// Each line comes once, before or after Show, whoever is first.
func TestHoldAndShowConcurrently(t *testing.T) {
	for range 50 {
		var buf bytes.Buffer
		h := NewHandler(&buf, JSON, nil)
		s := &Scope{}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 20 {
					s.Hold(context.Background(), h, Limits{}, time.Time{}, slog.LevelInfo, "m", nil)
				}
			})
		}
		wg.Go(s.Flush)
		wg.Go(s.Show)
		wg.Wait()
		if n := strings.Count(buf.String(), "\n"); n != 80 {
			t.Fatalf("%d lines, want 80", n)
		}
	}
}

type endless struct{}

func (endless) LogValue() slog.Value { return slog.GroupValue(slog.Any("again", endless{})) }

func TestSnapshot(t *testing.T) {
	list, raw := []string{"a"}, json.RawMessage(`{"a":1}`)
	for _, v := range []any{nil, 1, "x", 1.5, math.NaN(), true, time.Second, time.Unix(1, 0), list, raw, secret{"4111"}, valuer{}, panics{},
		&panicsError{}, map[string]any{"a": 1}, []any{1, "b"}, slog.GroupValue(slog.Any("p", &secret{"4111"}))} {
		var before, after bytes.Buffer
		slog.New(NewHandler(&before, JSON, nil)).Info("m", "v", v)
		kept := Snapshot(slog.AnyValue(v), 100)
		slog.New(NewHandler(&after, JSON, nil)).Info("m", slog.Attr{Key: "v", Value: kept})
		a, b := decode(t, before.Bytes()), decode(t, after.Bytes())
		if diff := cmp.Diff(a["v"], b["v"]); diff != "" {
			t.Errorf("%T is printed otherwise: %s", v, diff)
		}
	}
	keptList, keptRaw := Snapshot(slog.AnyValue(list), 100), Snapshot(slog.AnyValue(raw), 100)
	list[0], raw[1] = "changed", 'x'
	if keptList.Any().([]string)[0] != "a" || string(keptRaw.Any().(json.RawMessage)) != `{"a":1}` {
		t.Error("a snapshot changes")
	}
	if s := Snapshot(slog.StringValue("aé"), 2).String(); s != "a"+Truncated {
		t.Errorf("cut to %q", s)
	}
	Snapshot(slog.AnyValue(endless{}), 100) // ends
}
