package layer

import (
	"encoding/json"
	"net/http"
)

// The types of the design, written by hand.
type (
	createOrder struct {
		CustomerID string  `json:"customer_id"`
		Currency   string  `json:"currency"`
		Items      []item  `json:"items"`
		Note       *string `json:"note"`
		Card       *string `json:"card"`
	}
	item struct {
		SKU            string `json:"sku"`
		Quantity       int    `json:"quantity"`
		UnitPriceCents int64  `json:"unit_price_cents"`
	}
	order struct {
		ID         string  `json:"id"`
		CustomerID string  `json:"customer_id"`
		Status     string  `json:"status"`
		Currency   string  `json:"currency"`
		TotalCents int64   `json:"total_cents"`
		PlacedAt   string  `json:"placed_at"`
		Items      []item  `json:"items"`
		Note       *string `json:"note,omitempty"`
	}
)

// valid checks what the design promises of a body.
func (c *createOrder) valid() bool {
	if n := len(c.CustomerID); n < 1 || n > 64 {
		return false
	}
	if c.Currency != "EUR" && c.Currency != "GBP" && c.Currency != "USD" {
		return false
	}
	if n := len(c.Items); n < 1 || n > 50 {
		return false
	}
	for _, i := range c.Items {
		if i.SKU == "" || len(i.SKU) > 64 || i.Quantity < 1 || i.Quantity > 10_000 || i.UnitPriceCents < 0 || i.UnitPriceCents > 1_000_000_000 {
			return false
		}
	}
	return (c.Note == nil || len(*c.Note) <= 500) && (c.Card == nil || len(*c.Card) >= 12 && len(*c.Card) <= 19)
}

// byHand is the service without a framework and without any concern of
// production: the floor.
func byHand() http.Handler {
	note := "Please ring twice."
	known := map[string]*order{OrderID: {
		ID: OrderID, CustomerID: "cust_1042", Status: "placed", Currency: "EUR", TotalCents: 7400, PlacedAt: placedAt, Note: &note,
		Items: []item{{"TEA-ASSAM-250", 2, 1250}, {"POT-CAST-IRON", 1, 4900}},
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		var c createOrder
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil || !c.valid() {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		o := order{
			ID: OrderID, CustomerID: c.CustomerID, Status: "placed", Currency: c.Currency, PlacedAt: placedAt, Items: c.Items, Note: c.Note,
		}
		for _, i := range c.Items {
			o.TotalCents += int64(i.Quantity) * i.UnitPriceCents
		}
		answer(w, http.StatusCreated, &o)
	})
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		o, ok := known[r.PathValue("id")]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		answer(w, http.StatusOK, o)
	})
	return mux
}

func answer(w http.ResponseWriter, status int, o *order) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(o) // the client has gone
}
