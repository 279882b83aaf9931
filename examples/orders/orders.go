// Package orders is the business of a small shop, and the reference service of
// Aguada: a design with the production DSL in design, what goa gen makes of it
// in gen, and here the only code that a team writes.
//
// What is not here is the point. Authentication, limits, deadlines, logs and
// errors that must not leak are the chassis' work; the code asks
// [auth.FromContext] who is calling, and returns plain errors for what went
// wrong inside.
package orders

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	goa "goa.design/goa/v3/pkg"

	"github.com/aguada-dev/aguada/auth"
	genorders "github.com/aguada-dev/aguada/examples/orders/gen/orders"
	"github.com/aguada-dev/aguada/examples/orders/store"
	"github.com/aguada-dev/aguada/telemetry"
)

// maxTotal is the most that one order may cost, in the currency's minor unit.
// It keeps the sums of reports far from the limit of an int64.
const maxTotal int64 = 10_000_000_000

// adminScope lifts the rule that callers reach their own orders only.
const adminScope = "api:admin"

var _ genorders.Service = (*Orders)(nil)

// Orders is the service orders. An order belongs to the subject that placed it.
// Anybody else is told not_found, whether the order exists or not, unless the
// caller's token has the scope api:admin, which reaches everybody's orders.
// Subjects are told apart by name alone: the service trusts one issuer.
type Orders struct {
	db   *store.Store
	feed *Feed
	cfg  Config
	own  *instruments
}

// NewOrders returns the service orders on an open store and its feed. The meter
// gets the shop's own figures, orders_total and order_latency_seconds; nil means
// that nobody wants them.
func NewOrders(db *store.Store, feed *Feed, cfg Config, meter metric.Meter) (*Orders, error) {
	own, err := newInstruments(meter)
	if err != nil {
		return nil, err
	}
	return &Orders{db: db, feed: feed, cfg: cfg, own: own}, nil
}

// Create places an order. Nothing of the card but its last four digits is kept;
// whether it can be charged is for the payment provider to say. A traced call
// has a span create_order.
func (s *Orders) Create(ctx context.Context, p *genorders.CreateOrder) (*genorders.Order, error) {
	var (
		o   *store.Order
		err error
	)
	begun := time.Now()
	ctx, span := telemetry.Start(ctx, "create_order")
	defer func() { // also after a panic
		s.own.record(ctx, begun, o, err)
		telemetry.End(span, err)
	}()
	if o, err = s.create(ctx, p); err != nil {
		return nil, err
	}
	return order(o, o.PlacedAt), nil
}

func (s *Orders) create(ctx context.Context, p *genorders.CreateOrder) (*store.Order, error) {
	reach, err := reachOf(ctx)
	if err != nil {
		return nil, err
	}
	items := make([]store.Item, len(p.Items))
	for i, it := range p.Items {
		if it == nil { // a null in the JSON array
			return nil, genorders.MakeBadRequest(errors.New("an item is null"))
		}
		items[i] = store.Item{SKU: it.Sku, Quantity: it.Quantity, UnitPriceCents: it.UnitPriceCents}
	}
	sum, ok := total(items)
	if !ok {
		return nil, genorders.MakeBadRequest(errors.New("the order's total is out of range"))
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	o := &store.Order{
		Summary: store.Summary{
			ID: newID(), CreatedBy: reach.Owner, CustomerID: p.CustomerID, Currency: p.Currency,
			TotalCents: sum, PlacedAt: now, ShipsAt: now.Add(s.cfg.ShipAfter),
		},
		Items: items, Note: p.Note, CardLast4: last4(p.Card), Address: addressOf(p.ShippingAddress),
	}
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(attribute.String("order.id", o.ID), attribute.Int64("order.amount", sum),
			attribute.String("order.currency", o.Currency)) // the amount is in its minor unit
	}
	if err := s.db.Insert(ctx, o); err != nil {
		return nil, declared(err)
	}
	return o, nil
}

// Get shows one order within the caller's reach.
func (s *Orders) Get(ctx context.Context, p *genorders.OrderRef) (*genorders.Order, error) {
	reach, err := reachOf(ctx)
	if err != nil {
		return nil, err
	}
	o, err := s.db.Order(ctx, reach, p.ID)
	if err != nil {
		return nil, declared(err)
	}
	return order(o, time.Now()), nil
}

// List pages through the orders within the caller's reach, newest first.
func (s *Orders) List(ctx context.Context, p *genorders.ListPayload) (*genorders.OrderPage, error) {
	reach, err := reachOf(ctx)
	if err != nil {
		return nil, err
	}
	var after string
	if p.Cursor != nil {
		var ok bool
		if after, ok = parseCursor(*p.Cursor); !ok {
			return nil, declared(store.ErrPosition)
		}
	}
	limit := s.cfg.page(p.Limit)
	found, err := s.db.Page(ctx, reach, after, limit+1)
	if err != nil {
		return nil, declared(err)
	}
	page := &genorders.OrderPage{Orders: make([]*genorders.OrderSummary, 0, limit)}
	if len(found) > limit {
		found = found[:limit]
		next := cursor(found[limit-1].ID)
		page.NextCursor = &next
	}
	now := time.Now()
	for i := range found {
		page.Orders = append(page.Orders, summary(&found[i], now))
	}
	return page, nil
}

// Cancel cancels an order within the caller's reach. It may be repeated.
func (s *Orders) Cancel(ctx context.Context, p *genorders.OrderRef) (*genorders.Order, error) {
	reach, err := reachOf(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	o, err := s.db.Cancel(ctx, reach, p.ID, now)
	if err != nil {
		return nil, declared(err)
	}
	return order(o, now), nil
}

// reachOf returns whose orders the caller may touch. The subject must have a
// name: otherwise all callers without one would share their orders.
func reachOf(ctx context.Context) (store.Reach, error) {
	p, ok := auth.FromContext(ctx)
	if !ok {
		return store.Reach{}, errNobody
	}
	if p.Subject == "" {
		return store.Reach{}, genorders.MakeForbidden(errors.New("the token names no subject"))
	}
	return store.Reach{Owner: p.Subject, All: p.HasScope(adminScope)}, nil
}

// errNobody means that the service runs without the authentication that its
// design asks for.
var errNobody = errors.New("find caller: the context holds no principal")

// declared turns the store's errors into those of the design. A database that
// may be back soon is no fault of the service's, and worth another try. Others
// stay as they are: they are faults, whose text is for the log.
func declared(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return genorders.MakeNotFound(errors.New("there is no such order"))
	case errors.Is(err, store.ErrShipped):
		return genorders.MakeConflict(errors.New("the order has shipped"))
	case errors.Is(err, store.ErrPosition):
		return genorders.MakeBadRequest(errors.New("the cursor is not one that was given out for this list"))
	case errors.Is(err, store.ErrText):
		return genorders.MakeBadRequest(errors.New("a text holds a zero byte, or the caller's name is too long"))
	}
	return available(err)
}

// available says in Goa's terms, for any service, that the database may be back
// soon. The error keeps what happened, for the log and the span.
func available(err error) error {
	if errors.Is(err, store.ErrUnavailable) {
		return fmt.Errorf("%w: %w", goa.TemporaryError("unavailable", "the shop is busy, try again"), err)
	}
	return err
}

// total adds up the lines. It reports false for a line that makes no sense and
// for a sum beyond maxTotal, and never wraps around.
func total(items []store.Item) (int64, bool) {
	var sum int64
	for _, it := range items {
		n := int64(it.Quantity)
		if n <= 0 || it.UnitPriceCents < 0 || it.UnitPriceCents > math.MaxInt64/n {
			return 0, false
		}
		line := n * it.UnitPriceCents
		if line > maxTotal-sum {
			return 0, false
		}
		sum += line
	}
	return sum, true
}

// last4 returns the end of a card number, or nil for one that is absent or too
// short for its end to be harmless.
func last4(card *string) *string {
	if card == nil || len(*card) < 12 {
		return nil
	}
	end := strings.Clone((*card)[len(*card)-4:]) // without keeping the number in memory
	return &end
}

// newID returns an identifier with 130 random bits.
func newID() string { return "ord_" + strings.ToLower(rand.Text()) }

// A cursor is the identifier of a page's last order in a form that callers do
// not take for one. It reveals nothing: the place of that order in the list is
// looked up, within the caller's reach, when the cursor comes back.
const cursorVersion = "1:"

func cursor(id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursorVersion + id))
}

func parseCursor(text string) (id string, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return "", false
	}
	id, ok = strings.CutPrefix(string(b), cursorVersion)
	return id, ok && id != "" && cursor(id) == text
}
