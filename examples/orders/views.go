package orders

import (
	"time"

	genorders "github.com/aguada-dev/aguada/examples/orders/gen/orders"
	"github.com/aguada-dev/aguada/examples/orders/store"
)

// rfc3339 is RFC 3339 with the milliseconds that the store keeps.
const rfc3339 = "2006-01-02T15:04:05.000Z07:00"

// status tells how far an order has come at the time now.
func status(o *store.Summary, now time.Time) string {
	switch {
	case !o.CancelledAt.IsZero():
		return "cancelled"
	case !now.Before(o.ShipsAt):
		return "shipped"
	}
	return "placed"
}

func summary(o *store.Summary, now time.Time) *genorders.OrderSummary {
	return &genorders.OrderSummary{
		ID: o.ID, CustomerID: o.CustomerID, CreatedBy: o.CreatedBy, Status: status(o, now),
		Currency: o.Currency, TotalCents: o.TotalCents, PlacedAt: o.PlacedAt.Format(rfc3339),
	}
}

func order(o *store.Order, now time.Time) *genorders.Order {
	v := &genorders.Order{
		ID: o.ID, CustomerID: o.CustomerID, CreatedBy: o.CreatedBy, Status: status(&o.Summary, now),
		Currency: o.Currency, TotalCents: o.TotalCents, PlacedAt: o.PlacedAt.Format(rfc3339),
		ShipsAt: o.ShipsAt.Format(rfc3339), Note: o.Note, CardLast4: o.CardLast4,
		Items: make([]*genorders.OrderItem, 0, len(o.Items)),
	}
	if !o.CancelledAt.IsZero() {
		at := o.CancelledAt.Format(rfc3339)
		v.CancelledAt = &at
	}
	for _, it := range o.Items {
		v.Items = append(v.Items, &genorders.OrderItem{Sku: it.SKU, Quantity: it.Quantity, UnitPriceCents: it.UnitPriceCents})
	}
	if a := o.Address; a != nil {
		v.ShippingAddress = &genorders.Address{
			Name: a.Name, Street: a.Street, City: a.City, PostalCode: a.PostalCode, Country: a.Country,
		}
	}
	return v
}

func addressOf(a *genorders.Address) *store.Address {
	if a == nil {
		return nil
	}
	return &store.Address{Name: a.Name, Street: a.Street, City: a.City, PostalCode: a.PostalCode, Country: a.Country}
}
