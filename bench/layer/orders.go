package layer

import (
	"context"
	"errors"

	"goa.design/goa/v3/security"

	"github.com/aguada-dev/aguada/bench/gen/orders"
)

// The order that all layers know, and the body that places it.
const (
	OrderID  = "ord_5r7wq3kzv2ncl4xgy6tjd2hame"
	placedAt = "2026-11-22T18:23:07Z"

	Body = `{"customer_id":"cust_1042","currency":"EUR","items":[` +
		`{"sku":"TEA-ASSAM-250","quantity":2,"unit_price_cents":1250},` +
		`{"sku":"POT-CAST-IRON","quantity":1,"unit_price_cents":4900}],` +
		`"note":"Please ring twice.","card":"4242424242424242"}`
)

// shop is the service behind every Goa layer. It does next to nothing, so that
// the layers are what is measured.
type shop struct {
	known map[string]*orders.Order
	// unknown, if set, is told of a get for an order that there is not.
	unknown func(context.Context)
}

var _ orders.Service = (*shop)(nil)

func newShop() *shop {
	note := "Please ring twice."
	return &shop{known: map[string]*orders.Order{OrderID: {
		ID: OrderID, CustomerID: "cust_1042", Status: "placed", Currency: "EUR", TotalCents: 7400, PlacedAt: placedAt, Note: &note,
		Items: []*orders.Item{
			{Sku: "TEA-ASSAM-250", Quantity: 2, UnitPriceCents: 1250},
			{Sku: "POT-CAST-IRON", Quantity: 1, UnitPriceCents: 4900},
		},
	}}}
}

// Create answers with the order as it would be kept.
func (s *shop) Create(_ context.Context, p *orders.CreateOrder) (*orders.Order, error) {
	o := &orders.Order{
		ID: OrderID, CustomerID: p.CustomerID, Status: "placed", Currency: p.Currency, PlacedAt: placedAt, Items: p.Items, Note: p.Note,
	}
	for _, i := range p.Items {
		o.TotalCents += int64(i.Quantity) * i.UnitPriceCents
	}
	return o, nil
}

// Get answers with an order that is known.
func (s *shop) Get(ctx context.Context, p *orders.GetPayload) (*orders.Order, error) {
	o, ok := s.known[p.ID]
	if !ok {
		if s.unknown != nil {
			s.unknown(ctx)
		}
		return nil, orders.MakeNotFound(errors.New("there is no such order"))
	}
	return o, nil
}

// open is the auther of bare Goa: it lets everybody in.
type open struct{}

func (open) JWTAuth(ctx context.Context, _ string, _ *security.JWTScheme) (context.Context, error) {
	return ctx, nil
}

// guarded is a service together with its auther, as Goa wants them.
type guarded struct {
	orders.Service
	orders.Auther
}
