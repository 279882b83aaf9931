package orders

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	goa "goa.design/goa/v3/pkg"

	"github.com/aguada-dev/aguada/examples/orders/store"
)

// latencyBuckets are in seconds. A method has 5.
var latencyBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// instruments are the shop's own figures. Every set of attributes is made at
// the start, so that there are few and recording allocates nothing: a value
// that a caller sends is never an attribute by itself.
type instruments struct {
	orders  metric.Int64Counter
	latency metric.Float64Histogram
	kinds   map[kind][]metric.AddOption
	ends    map[string][]metric.RecordOption
}

// kind is what orders are told apart by: how they reach the customer, and the
// currency, which is "other" for one that the shop does not know.
type kind struct{ typ, currency string }

const (
	placed  = "placed"
	refused = "refused" // for a reason that the design declares
	faulty  = "failed"
)

// newInstruments makes the instruments; a nil meter makes some that measure
// nothing.
func newInstruments(meter metric.Meter) (*instruments, error) {
	if meter == nil {
		meter = noop.Meter{}
	}
	orders, err := meter.Int64Counter("orders_total", metric.WithUnit("{order}"),
		metric.WithDescription("Orders that were placed"))
	if err != nil {
		return nil, fmt.Errorf("make instrument orders_total: %w", err)
	}
	latency, err := meter.Float64Histogram("order_latency_seconds", metric.WithUnit("s"),
		metric.WithDescription("How long it took to place an order, or to say that it cannot be placed"),
		metric.WithExplicitBucketBoundaries(latencyBuckets...))
	if err != nil {
		return nil, fmt.Errorf("make instrument order_latency_seconds: %w", err)
	}
	in := &instruments{orders: orders, latency: latency, kinds: map[kind][]metric.AddOption{}, ends: map[string][]metric.RecordOption{}}
	for _, typ := range []string{"delivery", "collection"} {
		for _, currency := range append(slices.Clone(currencies), "other") {
			set := attribute.NewSet(attribute.String("type", typ), attribute.String("currency", currency))
			in.kinds[kind{typ, currency}] = []metric.AddOption{metric.WithAttributeSet(set)}
		}
	}
	for _, outcome := range []string{placed, refused, faulty} {
		in.ends[outcome] = []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attribute.String("outcome", outcome)))}
	}
	return in, nil
}

// record counts a call of create that began at begun: o is what it placed, or
// nil.
func (in *instruments) record(ctx context.Context, begun time.Time, o *store.Order, err error) {
	outcome := faulty
	if declared, ok := errors.AsType[*goa.ServiceError](err); o != nil {
		outcome = placed
	} else if ok && !declared.Fault && !declared.Temporary {
		outcome = refused
	}
	in.latency.Record(ctx, time.Since(begun).Seconds(), in.ends[outcome]...)
	if o != nil {
		in.orders.Add(ctx, 1, in.kinds[kindOf(o)]...)
	}
}

func kindOf(o *store.Order) kind {
	k := kind{"collection", o.Currency}
	if o.Address != nil {
		k.typ = "delivery"
	}
	if !slices.Contains(currencies, o.Currency) {
		k.currency = "other"
	}
	return k
}
