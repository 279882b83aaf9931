//go:build design

// Package design is the design behind the generated service that the tests and
// benchmarks of transport drive. After a change:
//
//	goa gen github.com/aguada-dev/aguada/transport/internal/testsvc/design
//
// run without the build tag; of what it writes, gen/http/cli, the client and the
// OpenAPI documents are left out.
package design

import . "goa.design/goa/v3/dsl"

var _ = API("shop", func() {
	Title("A shop")
})

var jwt = JWTSecurity("jwt", func() {
	Scope("api:read")
	Scope("api:write")
})

var key = APIKeySecurity("key")

var item = Type("Item", func() {
	Attribute("sku", String, func() { Pattern(`^[A-Z]{2}-[0-9]{3,6}$`) })
	Attribute("quantity", Int, func() {
		Minimum(1)
		Maximum(100)
	})
	Attribute("unit_price_cents", Int64)
	Required("sku", "quantity", "unit_price_cents")
})

var order = ResultType("application/vnd.shop.order", func() {
	TypeName("Order")
	Attributes(func() {
		Attribute("id", String)
		Attribute("customer_id", String)
		Attribute("currency", String)
		Attribute("total_cents", Int64)
		Attribute("items", ArrayOf(item))
		Attribute("note", String)
		Required("id", "customer_id", "currency", "total_cents", "items")
	})
})

var outOfStock = Type("OutOfStock", func() {
	ErrorName("name", String)
	Attribute("sku", String)
	Attribute("left", Int)
	Required("name", "sku", "left")
})

var _ = Service("shop", func() {
	Error("conflict")
	Error("busy", func() {
		Temporary()
		Timeout()
	})
	Error("broken", func() { Fault() })
	Error("out_of_stock", outOfStock)
	HTTP(func() {
		Response("conflict", StatusConflict)
		Response("busy", StatusTooManyRequests)
		Response("broken", StatusBadGateway)
		Response("out_of_stock", StatusUnprocessableEntity)
	})

	Method("create", func() {
		Security(jwt, func() { Scope("api:write") })
		Payload(func() {
			TokenField(1, "token", String)
			Attribute("customer_id", String, func() { Format(FormatUUID) })
			Attribute("currency", String, func() { Enum("EUR", "USD") })
			Attribute("items", ArrayOf(item), func() {
				MinLength(1)
				MaxLength(50)
			})
			Attribute("note", String, func() { MaxLength(20) })
			Attribute("card", String, func() { MinLength(12) })
			Attribute("extra", MapOf(String, Any))
			Required("customer_id", "currency", "items")
		})
		Result(order)
		HTTP(func() {
			POST("/orders")
			Response(StatusCreated)
		})
	})
	Method("show", func() {
		Security(jwt, func() { Scope("api:read") })
		Payload(func() {
			TokenField(1, "token", String)
			Attribute("id", String)
			Required("id")
		})
		Result(order)
		HTTP(func() { GET("/orders/{id}") })
	})
	Method("find", func() {
		Payload(func() {
			Attribute("limit", Int, func() { Maximum(100) })
			Attribute("ids", ArrayOf(Int))
			Attribute("kind", String, func() { Enum("a", "b") })
		})
		Result(Any)
		HTTP(func() {
			GET("/find")
			Param("limit")
			Param("ids")
			Param("kind")
		})
	})
	Method("cancel", func() {
		Security(jwt, func() { Scope("api:write") })
		Payload(func() {
			TokenField(1, "token", String)
			Attribute("id", String)
			Required("id")
		})
		HTTP(func() { POST("/orders/{id}:cancel") })
	})
	Method("login", func() {
		Security(key)
		Payload(func() {
			APIKeyField(1, "key", "secret", String)
			Attribute("name", String)
			Required("secret")
		})
		Result(String)
		HTTP(func() {
			POST("/login")
			Body(func() {
				Attribute("secret")
				Attribute("name")
				Required("secret")
			})
		})
	})
	Method("page", func() {
		Result(String)
		HTTP(func() {
			GET("/page")
			Response(func() { ContentType("text/html") })
		})
	})
	Method("upload", func() {
		Security(jwt)
		Payload(func() { TokenField(1, "token", String) })
		Result(Int64)
		HTTP(func() {
			POST("/upload")
			SkipRequestBodyEncodeDecode()
		})
	})
	Method("download", func() {
		HTTP(func() {
			GET("/download")
			SkipResponseBodyEncodeDecode()
		})
	})
	Method("watch", func() {
		StreamingResult(item)
		HTTP(func() {
			GET("/watch")
			ServerSentEvents()
		})
	})
	Method("echo", func() {
		Security(jwt)
		Payload(func() { TokenField(1, "token", String) })
		StreamingPayload(item)
		StreamingResult(item)
		HTTP(func() { GET("/echo") })
	})
	Files("/files/{*path}", "files")
	Files("/old", "old.txt", func() { Redirect("/files/a.txt", StatusMovedPermanently) })
})
