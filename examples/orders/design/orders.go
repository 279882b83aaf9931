package design

import (
	. "github.com/aguada-dev/aguada/dsl"
	. "goa.design/goa/v3/dsl"
)

var _ = Service("orders", func() {
	Description("Places, shows and cancels orders. An order belongs to the subject of the token that placed it; " +
		"others get not_found, except for tokens with the scope api:admin.")
	Security(JWTAuth, func() {
		Scope("api:read")
	})
	DependsOn("database")

	Error("forbidden", ErrorResult, "The token names no subject that could own an order.")
	HTTP(func() {
		Path("/orders")
		Response("forbidden", StatusForbidden)
	})

	Method("create", func() {
		Description("Place an order.")
		Security(JWTAuth, func() {
			Scope("api:write")
		})
		MaxInFlight(200)
		// Both count: the address holds back who has many accounts.
		RateLimit(2000, "1s", PerPrincipal, Burst(4000))
		RateLimit(10000, "1s", PerClientIP, Burst(20000))
		// A misspelt member would be a note or an address that is lost.
		StrictBody()
		Error("bad_request", ErrorResult, "An item is null, or the total is out of range.")
		Payload(CreateOrder)
		Result(Order)
		HTTP(func() {
			POST("")
			Response(StatusCreated)
			Response("bad_request", StatusBadRequest)
		})
	})

	Method("get", func() {
		Description("Show one order.")
		Error("not_found", ErrorResult, "There is no such order among the caller's.")
		Payload(OrderRef)
		Result(Order)
		HTTP(func() {
			GET("/{id}")
			Response(StatusOK)
			Response("not_found", StatusNotFound)
		})
	})

	Method("list", func() {
		Description("List the caller's orders, newest first. Pages stay stable while orders arrive: " +
			"each order that existed when the first page was read is on exactly one page.")
		Error("bad_request", ErrorResult, "The cursor is not one that was given out for this list.")
		Payload(func() {
			Token("token", String, "A JWT.")
			Attribute("limit", Int, "The most orders to answer with; the server decides where it is absent.", func() {
				Minimum(1)
				Maximum(100)
				Example(20)
			})
			Attribute("cursor", String, "The next_cursor of the page before; absent for the first page.", func() {
				MinLength(1)
				MaxLength(128)
				Meta("openapi:example", "false")
			})
			Required("token")
		})
		Result(OrderPage)
		HTTP(func() {
			GET("")
			Param("limit")
			Param("cursor")
			Response(StatusOK)
			Response("bad_request", StatusBadRequest)
		})
	})

	Method("cancel", func() {
		Description("Cancel an order that has not shipped. Cancelling again changes nothing and succeeds.")
		Security(JWTAuth, func() {
			Scope("api:write")
		})
		Audit()
		Error("not_found", ErrorResult, "There is no such order among the caller's.")
		Error("conflict", ErrorResult, "The order has shipped already.")
		Payload(OrderRef)
		Result(Order)
		HTTP(func() {
			POST("/{id}/cancel")
			Response(StatusOK)
			Response("not_found", StatusNotFound)
			Response("conflict", StatusConflict)
		})
	})
})

// CreateOrder is what a caller sends to place an order.
var CreateOrder = Type("CreateOrder", func() {
	Token("token", String, "A JWT.")
	Attribute("customer_id", String, "Who the order is for, by the caller's own reference.", func() {
		Pattern(reference)
		MinLength(1)
		MaxLength(64)
		Example("cust_1042")
	})
	Attribute("currency", String, "ISO 4217 code of all the order's prices.", func() {
		Enum(currencies...)
		Example("EUR")
	})
	Attribute("items", ArrayOf(OrderItem), "What is ordered.", func() {
		MinLength(1)
		MaxLength(50)
		Example([]map[string]any{
			{"sku": "TEA-ASSAM-250", "quantity": 2, "unit_price_cents": 1250},
			{"sku": "POT-CAST-IRON", "quantity": 1, "unit_price_cents": 4900},
		})
	})
	Attribute("note", String, "What the customer wants to tell the shop.", func() {
		MaxLength(500)
		Example("Please ring twice.")
	})
	Attribute("shipping_address", Address, "Where the order goes; absent when it is collected.")
	Attribute("card", String, "Number of the payment card, digits only; absent when paid on invoice. "+
		"Only the last four digits are kept.", func() {
		Pattern(`^[0-9]{12,19}$`)
		Example("4242424242424242")
		Sensitive()
	})
	Required("token", "customer_id", "currency", "items")
})

// OrderItem is one line of an order.
var OrderItem = Type("OrderItem", func() {
	Attribute("sku", String, "Article number.", func() {
		Pattern(reference)
		MinLength(1)
		MaxLength(64)
		Example("TEA-ASSAM-250")
	})
	Attribute("quantity", Int, "How many.", func() {
		Minimum(1)
		Maximum(10_000)
		Example(2)
	})
	Attribute("unit_price_cents", Int64, "Price of one, in the currency's minor unit.", func() {
		Minimum(0)
		Maximum(1_000_000_000)
		Example(1250)
	})
	Required("sku", "quantity", "unit_price_cents")
})

// Address is a postal address.
var Address = Type("Address", func() {
	Attribute("name", String, "Who receives it.", func() {
		line(100)
		Example("Ada Lovelace")
	})
	Attribute("street", String, "Street and number.", func() {
		line(200)
		Example("12 Crown Street")
	})
	Attribute("city", String, "City or town.", func() {
		line(100)
		Example("London")
	})
	Attribute("postal_code", String, "Postal code, where the country has them.", func() {
		line(16)
		Example("SW1Y 4JH")
	})
	Attribute("country", String, "ISO 3166-1 alpha-2 code.", func() {
		Pattern(`^[A-Z]{2}$`)
		Example("GB")
	})
	Required("name", "street", "city", "country")
})

// line is one printable line of at most max characters.
func line(max int) {
	MinLength(1)
	MaxLength(max)
	Pattern(`^[^\x00-\x1F\x7F]+$`)
}

// OrderRef names one order.
var OrderRef = Type("OrderRef", func() {
	Token("token", String, "A JWT.")
	Attribute("id", String, "The order's identifier.", func() {
		Pattern(orderID)
		Example(exampleID)
	})
	Required("token", "id")
})

// OrderSummary is an order in a list.
var OrderSummary = Type("OrderSummary", func() {
	Attribute("id", String, "The order's identifier: random, so that it says nothing and cannot be guessed.", func() {
		Pattern(orderID)
		Example(exampleID)
	})
	Attribute("customer_id", String, "Who the order is for.", func() {
		Example("cust_1042")
	})
	Attribute("created_by", String, "The subject that placed the order.", func() {
		Example("alice")
	})
	Attribute("status", String, "How far the order has come. A placed order ships by itself, "+
		"and can be cancelled until then.", func() {
		Enum("placed", "shipped", "cancelled")
		Example("placed")
	})
	Attribute("currency", String, "ISO 4217 code of the prices.", func() {
		Enum(currencies...)
		Example("EUR")
	})
	Attribute("total_cents", Int64, "Sum of all lines, in the currency's minor unit.", func() {
		Minimum(0)
		Example(7400)
	})
	Attribute("placed_at", String, "When the order was placed (RFC 3339, UTC).", func() {
		Format(FormatDateTime)
		Example("2026-11-22T18:23:07Z")
	})
	Required("id", "customer_id", "created_by", "status", "currency", "total_cents", "placed_at")
})

// Order is all that the shop tells of an order.
var Order = Type("Order", func() {
	Extend(OrderSummary)
	Attribute("items", ArrayOf(OrderItem), "What is ordered.")
	Attribute("note", String, "What the customer told the shop.", func() {
		Example("Please ring twice.")
	})
	Attribute("shipping_address", Address, "Where the order goes; absent when it is collected.")
	Attribute("card_last4", String, "The card's last four digits; absent when paid on invoice.", func() {
		Pattern(`^[0-9]{4}$`)
		Example("4242")
	})
	Attribute("ships_at", String, "When the order ships, unless it is cancelled before (RFC 3339, UTC).", func() {
		Format(FormatDateTime)
		Example("2026-11-22T18:53:07Z")
	})
	Attribute("cancelled_at", String, "When the order was cancelled (RFC 3339, UTC); absent when it was not.", func() {
		Format(FormatDateTime)
		Meta("openapi:example", "false")
	})
	Required("items", "ships_at")
})

// OrderPage is a part of a list of orders.
var OrderPage = Type("OrderPage", func() {
	Attribute("orders", ArrayOf(OrderSummary), "The orders of this page, newest first.")
	Attribute("next_cursor", String, "What to send as cursor for the next page; absent on the last.", func() {
		Meta("openapi:example", "false")
	})
	Required("orders")
})
