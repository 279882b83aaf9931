package orders

import (
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/aguada-dev/aguada/examples/orders/store"
)

func TestFigures(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	db := database(t)
	s, err := NewOrders(db, feedOf(t, db), Config{}, sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("shop"))
	if err != nil {
		t.Fatal(err)
	}
	ctx := as(t, "alice")
	for i := range 4 {
		p := payload()
		if i > 0 {
			p.ShippingAddress = nil
		}
		if i > 1 {
			p.Currency = fmt.Sprint("X", i, "X") // as if the design let anything in
		}
		if _, err := s.Create(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	p := payload()
	p.Items[0] = nil
	if _, err := s.Create(ctx, p); err == nil {
		t.Fatal("created")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(ctx, payload()); err == nil {
		t.Fatal("created")
	}

	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	name := func(metric string, set attribute.Set) string {
		return metric + " " + set.Encoded(attribute.DefaultEncoder())
	}
	for _, m := range all.ScopeMetrics[0].Metrics {
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range data.DataPoints {
				got[name(m.Name, p.Attributes)] = p.Value
			}
		case metricdata.Histogram[float64]:
			for _, p := range data.DataPoints {
				got[name(m.Name, p.Attributes)] = int64(p.Count)
				if d := cmp.Diff(latencyBuckets, p.Bounds); d != "" {
					t.Error(d)
				}
				if p.Sum <= 0 || p.Sum > 60 {
					t.Errorf("%v s", p.Sum)
				}
			}
		}
	}
	want := map[string]int64{
		"orders_total currency=EUR,type=delivery":     1,
		"orders_total currency=EUR,type=collection":   1,
		"orders_total currency=other,type=collection": 2,
		"order_latency_seconds outcome=placed":        4,
		"order_latency_seconds outcome=refused":       1,
		"order_latency_seconds outcome=failed":        1,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestCreateSpan(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
	s := newOrders(t, database(t), Config{})
	ctx, root := tracer.Start(as(t, "alice"), "root")
	o, err := s.Create(ctx, payload())
	if err != nil {
		t.Fatal(err)
	}
	p := payload()
	p.Items[0].Quantity = math.MaxInt
	if _, err := s.Create(ctx, p); err == nil {
		t.Fatal("created")
	}
	root.End()
	ended := spans.Ended()
	if len(ended) != 3 || ended[0].Name() != "create_order" || ended[1].Name() != "create_order" {
		t.Fatalf("spans %v", ended)
	}
	attrs := attribute.NewSet(ended[0].Attributes()...)
	if got := attrs.Encoded(attribute.DefaultEncoder()); got != "order.amount=7400,order.currency=EUR,order.id="+o.ID {
		t.Errorf("attributes %s", got)
	}
	if ended[0].Parent().SpanID() != root.SpanContext().SpanID() || ended[0].Status().Code == codes.Error {
		t.Errorf("span %v", ended[0])
	}
	if ended[1].Status().Code != codes.Error || ended[1].Status().Description == "" {
		t.Errorf("status of a failure: %+v", ended[1].Status())
	}
}

// Recording what a call did allocates nothing.
func TestRecordingIsFree(t *testing.T) {
	in, err := newInstruments(sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())).Meter("shop"))
	if err != nil {
		t.Fatal(err)
	}
	o := &store.Order{Summary: store.Summary{Currency: "EUR"}}
	in.orders.Add(t.Context(), 1, in.kinds[kindOf(o)]...)
	if n := testing.AllocsPerRun(100, func() { in.orders.Add(t.Context(), 1, in.kinds[kindOf(o)]...) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
