//go:build design

// Package design is the design behind the generated services that the tests and
// benchmarks of transport drive. After a change:
//
//	goa gen github.com/aguada-dev/aguada/transport/internal/testsvc/design
//
// run without the build tag, with protoc 3.21.12, protoc-gen-go 1.36.12 and
// protoc-gen-go-grpc 1.6.2; of what it writes, the command lines, the HTTP
// clients and the OpenAPI documents are left out.
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
	// check has a constraint of every kind in every place.
	Method("check", func() {
		Payload(func() {
			Attribute("num", Int)
			Attribute("flag", Boolean)
			Attribute("ratio", Float64, func() { Minimum(0.5) })
			Attribute("counts", ArrayOf(UInt))
			Attribute("flags", ArrayOf(Boolean))
			Attribute("ratios", ArrayOf(Float32))
			Attribute("day", String, func() { Format(FormatDate) })
			Attribute("level", UInt)
			Attribute("kind", String, func() { Enum("a", "b") })
			Attribute("session", Int)
			Attribute("pin", String, func() {
				Pattern("^[0-9]{4}$")
				Meta("aguada:sensitive")
			})
			Attribute("name", String, func() {
				Pattern("^[a-z]+$")
				MinLength(2)
				MaxLength(40)
			})
			Attribute("email", String, func() { Format(FormatEmail) })
			Attribute("amount", Float64, func() {
				ExclusiveMinimum(0)
				Maximum(10)
			})
			Attribute("codes", ArrayOf(String, func() { Pattern("^[0-9]+$") }), func() { MaxLength(3) })
			Attribute("tags", MapOf(String, Int, func() {
				Key(func() { Pattern("^[a-z]+$") })
				Elem(func() { Maximum(10) })
			}))
			Attribute("data", Bytes)
			Attribute("item", item)
			Attribute("any", Any)
			Attribute("card", String, func() {
				Enum("4111111111111111")
				Meta("aguada:sensitive")
			})
			OneOf("choice", func() {
				Attribute("item", item)
				Attribute("word", String, func() { Pattern("^[a-z]+$") })
				Attribute("list", ArrayOf(item))
			})
			Required("num", "name", "pin")
		})
		Result(func() {
			Attribute("seen", String)
			Required("seen")
		})
		HTTP(func() {
			POST("/check/{num}")
			Param("flag")
			Param("ratio")
			Param("counts")
			Param("flags")
			Param("ratios")
			Param("day")
			Header("level:X-Level")
			Header("kind:X-Kind")
			Header("pin:X-Pin")
			Cookie("session:SID")
			Response(StatusOK, func() { Header("seen:X-Seen") })
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
