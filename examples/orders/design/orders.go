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
	GRPC(func() {
		Response("forbidden", CodePermissionDenied)
	})

	Method("create", func() {
		Description("Place an order.")
		Security(JWTAuth, func() {
			Scope("api:write")
		})
		// A client that got no answer asks again under the same key: one order.
		IdempotencyKey("Idempotency-Key", KeepFor("24h"), WaitFor("2s"))
		ShedPriority("high")
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
		GRPC(func() {
			Response(CodeOK)
			Response("bad_request", CodeInvalidArgument)
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
		GRPC(func() {
			Response(CodeOK)
			Response("not_found", CodeNotFound)
		})
	})

	Method("list", func() {
		Description("List the caller's orders, newest first. Pages stay stable while orders arrive: " +
			"each order that existed when the first page was read is on exactly one page.")
		Error("bad_request", ErrorResult, "The cursor is not one that was given out for this list.")
		Payload(func() {
			TokenField(15, "token", String, "A JWT.")
			Field(1, "limit", Int, "The most orders to answer with; the server decides where it is absent.", func() {
				Minimum(1)
				Maximum(100)
				Example(20)
			})
			Field(2, "cursor", String, "The next_cursor of the page before; absent for the first page.", func() {
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
		GRPC(func() {
			Response(CodeOK)
			Response("bad_request", CodeInvalidArgument)
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
		GRPC(func() {
			Response(CodeOK)
			Response("not_found", CodeNotFound)
			Response("conflict", CodeFailedPrecondition)
		})
	})

	Method("watch_orders", func() {
		Description("Follow what becomes of the caller's orders, from now on or from an event on. The stream begins " +
			"with an event alive, and has one whenever nothing else happened for a while.")
		lasting()
		Payload(Watch)
		StreamingResult(OrderEvent)
		HTTP(func() {
			GET("/events")
			Header("since:Last-Event-ID")
			ServerSentEvents(func() {
				SSEEventID("id")
				SSEEventType("kind")
			})
			Response(StatusOK)
			Response("gone", StatusGone)
			Response("slow", StatusServiceUnavailable)
		})
		GRPC(func() {
			Response(CodeOK)
			Response("gone", CodeOutOfRange)
			Response("slow", CodeAborted)
		})
	})

	Method("live", func() {
		Description("Follow what becomes of the caller's orders, and say meanwhile which events are of interest. " +
			"Each filter is answered, and holds for the events after its answer.")
		lasting()
		MaxBody("4KiB")
		MessageRate(10, "1s", Burst(20))
		Payload(Watch)
		StreamingPayload(LiveFilter)
		StreamingResult(LiveUpdate)
		HTTP(func() {
			GET("/live")
			Param("since")
			Response(StatusOK)
			Response("gone", StatusGone)
			Response("slow", StatusServiceUnavailable)
		})
		GRPC(func() {
			Metadata(func() {
				Attribute("since")
			})
			Response(CodeOK)
			Response("gone", CodeOutOfRange)
			Response("slow", CodeAborted)
		})
	})
})

// CreateOrder is what a caller sends to place an order.
var CreateOrder = Type("CreateOrder", func() {
	TokenField(15, "token", String, "A JWT.")
	Field(1, "customer_id", String, "Who the order is for, by the caller's own reference.", func() {
		Pattern(reference)
		MinLength(1)
		MaxLength(64)
		Example("cust_1042")
	})
	Field(2, "currency", String, "ISO 4217 code of all the order's prices.", func() {
		Enum(currencies...)
		Example("EUR")
	})
	Field(3, "items", ArrayOf(OrderItem), "What is ordered.", func() {
		MinLength(1)
		MaxLength(50)
		Example([]map[string]any{
			{"sku": "TEA-ASSAM-250", "quantity": 2, "unit_price_cents": 1250},
			{"sku": "POT-CAST-IRON", "quantity": 1, "unit_price_cents": 4900},
		})
	})
	Field(4, "note", String, "What the customer wants to tell the shop.", func() {
		MaxLength(500)
		Example("Please ring twice.")
	})
	Field(5, "shipping_address", Address, "Where the order goes; absent when it is collected.")
	Field(6, "card", String, "Number of the payment card, digits only; absent when paid on invoice. "+
		"Only the last four digits are kept.", func() {
		Pattern(`^[0-9]{12,19}$`)
		Example("4242424242424242")
		Sensitive()
	})
	Required("token", "customer_id", "currency", "items")
})

// OrderItem is one line of an order.
var OrderItem = Type("OrderItem", func() {
	Field(1, "sku", String, "Article number.", func() {
		Pattern(reference)
		MinLength(1)
		MaxLength(64)
		Example("TEA-ASSAM-250")
	})
	Field(2, "quantity", Int, "How many.", func() {
		Minimum(1)
		Maximum(10_000)
		Example(2)
	})
	Field(3, "unit_price_cents", Int64, "Price of one, in the currency's minor unit.", func() {
		Minimum(0)
		Maximum(1_000_000_000)
		Example(1250)
	})
	Required("sku", "quantity", "unit_price_cents")
})

// Address is a postal address.
var Address = Type("Address", func() {
	Field(1, "name", String, "Who receives it.", func() {
		line(100)
		Example("Ada Lovelace")
	})
	Field(2, "street", String, "Street and number.", func() {
		line(200)
		Example("12 Crown Street")
	})
	Field(3, "city", String, "City or town.", func() {
		line(100)
		Example("London")
	})
	Field(4, "postal_code", String, "Postal code, where the country has them.", func() {
		line(16)
		Example("SW1Y 4JH")
	})
	Field(5, "country", String, "ISO 3166-1 alpha-2 code.", func() {
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
	TokenField(15, "token", String, "A JWT.")
	Field(1, "id", String, "The order's identifier.", func() {
		Pattern(orderID)
		Example(exampleID)
	})
	Required("token", "id")
})

// OrderSummary is an order in a list.
var OrderSummary = Type("OrderSummary", func() {
	Field(1, "id", String, "The order's identifier: random, so that it says nothing and cannot be guessed.", func() {
		Pattern(orderID)
		Example(exampleID)
	})
	Field(2, "customer_id", String, "Who the order is for.", func() {
		Example("cust_1042")
	})
	Field(3, "created_by", String, "The subject that placed the order.", func() {
		Example("alice")
	})
	Field(4, "status", String, "How far the order has come. A placed order ships by itself, "+
		"and can be cancelled until then.", func() {
		Enum("placed", "shipped", "cancelled")
		Example("placed")
	})
	Field(5, "currency", String, "ISO 4217 code of the prices.", func() {
		Enum(currencies...)
		Example("EUR")
	})
	Field(6, "total_cents", Int64, "Sum of all lines, in the currency's minor unit.", func() {
		Minimum(0)
		Example(7400)
	})
	Field(7, "placed_at", String, "When the order was placed (RFC 3339, UTC).", func() {
		Format(FormatDateTime)
		Example("2026-11-22T18:23:07Z")
	})
	Required("id", "customer_id", "created_by", "status", "currency", "total_cents", "placed_at")
})

// Order is all that the shop tells of an order.
var Order = Type("Order", func() {
	Extend(OrderSummary)
	Field(8, "items", ArrayOf(OrderItem), "What is ordered.")
	Field(9, "note", String, "What the customer told the shop.", func() {
		Example("Please ring twice.")
	})
	Field(10, "shipping_address", Address, "Where the order goes; absent when it is collected.")
	Field(11, "card_last4", String, "The card's last four digits; absent when paid on invoice.", func() {
		Pattern(`^[0-9]{4}$`)
		Example("4242")
	})
	Field(12, "ships_at", String, "When the order ships, unless it is cancelled before (RFC 3339, UTC).", func() {
		Format(FormatDateTime)
		Example("2026-11-22T18:53:07Z")
	})
	Field(13, "cancelled_at", String, "When the order was cancelled (RFC 3339, UTC); absent when it was not.", func() {
		Format(FormatDateTime)
		Meta("openapi:example", "false")
	})
	Required("items", "ships_at")
})

// OrderPage is a part of a list of orders.
var OrderPage = Type("OrderPage", func() {
	Field(1, "orders", ArrayOf(OrderSummary), "The orders of this page, newest first.")
	Field(2, "next_cursor", String, "What to send as cursor for the next page; absent on the last.", func() {
		Meta("openapi:example", "false")
	})
	Required("orders")
})
