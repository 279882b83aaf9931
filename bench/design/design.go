// Package design is the service that every layer of the benchmark serves: an
// order is placed with a POST and shown with a GET.
package design

import (
	. "github.com/aguada-dev/aguada/dsl"
	. "goa.design/goa/v3/dsl"
)

var _ = API("bench", func() {
	Title("Bench")
	Version("1.0.0")
	Deadline("5s")
	MaxBody("1MiB")
})

// JWTAuth is the one scheme.
var JWTAuth = JWTSecurity("jwt", func() {
	Scope("api:read", "Read access")
	Scope("api:write", "Write access")
})

var _ = Service("orders", func() {
	Security(JWTAuth, func() {
		Scope("api:read")
	})
	HTTP(func() {
		Path("/orders")
	})
	Method("create", func() {
		Description("Place an order.")
		Security(JWTAuth, func() {
			Scope("api:write")
		})
		MaxInFlight(200)
		Payload(CreateOrder)
		Result(Order)
		HTTP(func() {
			POST("")
			Response(StatusCreated)
		})
	})
	Method("get", func() {
		Description("Show one order.")
		MaxInFlight(200)
		Error("not_found", ErrorResult, "There is no such order.")
		Payload(func() {
			Token("token", String, "A JWT.")
			Attribute("id", String, "The order's identifier.", func() {
				Pattern(`^ord_[a-z2-7]{26}$`)
				Example("ord_5r7wq3kzv2ncl4xgy6tjd2hame")
			})
			Required("token", "id")
		})
		Result(Order)
		HTTP(func() {
			GET("/{id}")
			Response(StatusOK)
			Response("not_found", StatusNotFound)
		})
	})
})

// CreateOrder is what a caller sends to place an order.
var CreateOrder = Type("CreateOrder", func() {
	Token("token", String, "A JWT.")
	Attribute("customer_id", String, "Who the order is for.", func() {
		MinLength(1)
		MaxLength(64)
		Example("cust_1042")
	})
	Attribute("currency", String, "ISO 4217 code of the prices.", func() {
		Enum("EUR", "GBP", "USD")
		Example("EUR")
	})
	Attribute("items", ArrayOf(Item), "What is ordered.", func() {
		MinLength(1)
		MaxLength(50)
	})
	Attribute("note", String, "What the customer wants to tell the shop.", func() {
		MaxLength(500)
		Example("Please ring twice.")
	})
	Attribute("card", String, "Number of the payment card.", func() {
		MinLength(12)
		MaxLength(19)
		Example("4242424242424242")
		Sensitive()
	})
	Required("token", "customer_id", "currency", "items")
})

// Item is one line of an order.
var Item = Type("Item", func() {
	Attribute("sku", String, "Article number.", func() {
		MinLength(1)
		MaxLength(64)
		Example("TEA-ASSAM-250")
	})
	Attribute("quantity", Int, "How many.", func() {
		Minimum(1)
		Maximum(10_000)
		Example(2)
	})
	Attribute("unit_price_cents", Int64, "Price of one.", func() {
		Minimum(0)
		Maximum(1_000_000_000)
		Example(1250)
	})
	Required("sku", "quantity", "unit_price_cents")
})

// Order is what the shop tells of an order.
var Order = Type("Order", func() {
	Attribute("id", String, "The order's identifier.")
	Attribute("customer_id", String, "Who the order is for.")
	Attribute("status", String, "How far the order has come.")
	Attribute("currency", String, "ISO 4217 code of the prices.")
	Attribute("total_cents", Int64, "Sum of all lines.")
	Attribute("placed_at", String, "When the order was placed.", func() {
		Format(FormatDateTime)
		Example("2026-11-22T18:23:07Z")
	})
	Attribute("items", ArrayOf(Item), "What is ordered.")
	Attribute("note", String, "What the customer told the shop.")
	Required("id", "customer_id", "status", "currency", "total_cents", "placed_at", "items")
})
