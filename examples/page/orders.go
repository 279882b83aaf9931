package page

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"goa.design/clue/log"

	genservice "github.com/aguada-dev/aguada/examples/page/gen/orders"
)

// Service is the service orders: the page's three versions of CreateOrder in
// one, and what is needed around them.
type Service struct {
	*Auth
	store        *Store
	orderCounter metric.Int64Counter
	orderLatency metric.Float64Histogram

	mu       sync.Mutex
	watchers map[chan string]struct{}
}

var (
	_ genservice.Service = (*Service)(nil)
	_ genservice.Auther  = (*Service)(nil)
)

// NewService returns the service on a store.
func NewService(auth *Auth, store *Store, meter metric.Meter) *Service {
	counter, _ := meter.Int64Counter("orders_total",
		metric.WithDescription("Total number of orders"))
	// As on the page: a histogram in seconds with the default buckets, which
	// are made for milliseconds.
	latency, _ := meter.Float64Histogram("order_latency_seconds",
		metric.WithDescription("Order processing latency"))

	return &Service{Auth: auth, store: store, orderCounter: counter, orderLatency: latency, watchers: map[chan string]struct{}{}}
}

// CreateOrder keeps an order.
func (s *Service) CreateOrder(ctx context.Context, order *genservice.Order) error {
	ctx, span := otel.Tracer("service").Start(ctx, "create_order")
	defer span.End()

	span.SetAttributes(
		attribute.String("order.id", order.ID),
		attribute.Float64("order.amount", order.Amount))

	start := time.Now()
	defer func() {
		s.orderLatency.Record(ctx, time.Since(start).Seconds())
	}()

	// As on the page: what the client sends is a label. Corrected: an option
	// instead of an attribute.
	s.orderCounter.Add(ctx, 1, metric.WithAttributes(attribute.String("type", order.Type)))

	// Corrected: the message is a pair too. As on the page: Clue writes what
	// the client sent as it is, so that a control character breaks the JSON.
	log.Info(ctx, log.KV{K: "msg", V: "processing order"},
		log.KV{K: "order_id", V: order.ID},
		log.KV{K: "amount", V: order.Amount})

	if err := s.processOrder(ctx, order); err != nil {
		// As on the page: the span's status stays unset.
		span.RecordError(err)
		log.Error(ctx, err, log.KV{K: "msg", V: "failed to process order"},
			log.KV{K: "order_id", V: order.ID})
		// As on the page: a plain error, whose text reaches the client.
		return err
	}

	return nil
}

func (s *Service) processOrder(ctx context.Context, order *genservice.Order) error {
	if err := s.store.put(ctx, order); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watchers {
		select {
		case w <- order.Type:
		default: // a slow watcher misses it
		}
	}
	return nil
}

// ShowOrder returns an order. Not on the page: one that there is not is nil
// without an error, the slip that shows that nothing recovers from a panic.
func (s *Service) ShowOrder(ctx context.Context, p *genservice.ShowOrderPayload) (*genservice.StoredOrder, error) {
	return s.store.find(ctx, p.ID)
}

// WatchOrders tells of new orders. Not on the page.
func (s *Service) WatchOrders(ctx context.Context, _ *genservice.WatchOrdersPayload, stream genservice.WatchOrdersServerStream) error {
	events := make(chan string, 16)
	s.mu.Lock()
	s.watchers[events] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, events)
	}()
	kind := "watching"
	for {
		if err := stream.Send(&genservice.OrderEvent{Type: kind}); err != nil {
			return err
		}
		select {
		case kind = <-events:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// TrackOrders answers questions about orders. Not on the page.
func (s *Service) TrackOrders(ctx context.Context, _ *genservice.TrackOrdersPayload, stream genservice.TrackOrdersServerStream) error {
	for {
		question, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.Close()
		}
		if err != nil {
			return err
		}
		order, err := s.store.find(ctx, question.ID)
		if err != nil {
			return err
		}
		if order == nil {
			return errors.New("there is no such order")
		}
		if err := stream.Send(order); err != nil {
			return err
		}
	}
}
