package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// A traced call shows its statements and none of their values; what is not
// traced shows nothing.
func TestSpans(t *testing.T) {
	contract(t, func(t *testing.T, url string) {
		spans, reader := tracetest.NewSpanRecorder(), sdkmetric.NewManualReader()
		tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
		meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test")
		s, err := Open(t.Context(), url, Config{Tracer: tracer, Meter: meter})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		o := sample("alice-the-secret")
		secret := "secret note 4242"
		o.Note, o.CustomerID = &secret, "secret"
		insert(t, s, o)
		if got := spans.Ended(); len(got) != 0 {
			t.Errorf("spans without a trace: %v", got)
		}

		ctx, root := tracer.Start(t.Context(), "root")
		second := sample("alice-the-secret")
		second.Note, second.CustomerID = &secret, "secret"
		if err := s.Insert(ctx, second); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Cancel(ctx, Reach{Owner: "alice-the-secret"}, second.ID, second.PlacedAt); err != nil {
			t.Fatal(err)
		}
		if err := s.Insert(ctx, second); !errors.Is(err, ErrExists) {
			t.Fatal(err)
		}
		root.End()
		var names []string
		failures := 0
		for _, span := range spans.Ended() {
			if span.Name() == "root" {
				continue
			}
			names = append(names, span.Name())
			if span.SpanContext().TraceID() != root.SpanContext().TraceID() {
				t.Errorf("%s is in another trace", span.Name())
			}
			if span.Status().Code == codes.Error {
				failures++
				if set := attribute.NewSet(span.Attributes()...); !set.HasValue("error.type") || !set.HasValue("db.response.status_code") {
					t.Errorf("the failed span does not say why: %v", span.Attributes())
				}
			}
			if text := fmt.Sprint(span.Name(), span.Attributes(), span.Events(), span.Status()); strings.Contains(text, "secret") || strings.Contains(text, second.ID) || strings.Contains(text, "4242") {
				t.Errorf("a value is in a span: %s", text)
			}
		}
		names = slices.Compact(names) // SQLite inserts the lines one by one
		want := []string{
			"BEGIN", "INSERT orders", "INSERT order_items", "INSERT users", "INSERT order_events", "COMMIT",
			"BEGIN", "UPDATE orders", "UPDATE users", "INSERT order_events", "COMMIT", "SELECT orders", "SELECT order_items",
			"BEGIN", "INSERT orders", "ROLLBACK",
		}
		if d := cmp.Diff(want, names); d != "" {
			t.Error(d)
		}
		if failures != 1 {
			t.Errorf("%d spans failed, want 1", failures)
		}
		measured(t, reader, s.read == s.write)
	})
}

func measured(t *testing.T, reader *sdkmetric.ManualReader, pooled bool) {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	found, failed := map[string]bool{}, uint64(0)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			found[m.Name] = true
			if h, ok := m.Data.(metricdata.Histogram[float64]); ok {
				for _, p := range h.DataPoints {
					if p.Attributes.HasValue("error.type") {
						failed += p.Count
					}
				}
			}
			if text := fmt.Sprint(m.Data); strings.Contains(text, "secret") {
				t.Errorf("a value is in a metric: %s", text)
			}
		}
	}
	if !found["db.client.operation.duration"] || found["db.client.connection.count"] != pooled || found["db.client.connection.max"] != pooled {
		t.Errorf("metrics %v", found)
	}
	if failed != 1 {
		t.Errorf("%d operations failed, want 1", failed)
	}
}

// What is not traced costs next to nothing to watch.
func TestWatchingIsCheap(t *testing.T) {
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())).Tracer("test")
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())).Meter("test")
	cost := func(cfg Config) float64 {
		s, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "x.db"), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		ctx, span := tracer.Start(t.Context(), "root")
		defer span.End()
		return testing.AllocsPerRun(200, func() {
			if err := s.Insert(ctx, sample("alice")); err != nil {
				t.Fatal(err)
			}
		})
	}
	if plain, watched := cost(Config{}), cost(Config{Tracer: tracer, Meter: meter}); watched > plain+5 {
		t.Errorf("an insert allocates %.0f times, and %.0f when it is watched", plain, watched)
	} else {
		t.Logf("an insert allocates %.0f times, and %.0f when it is watched", plain, watched)
	}
}
