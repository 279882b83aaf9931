package designs

import (
	. "github.com/aguada-dev/aguada/dsl"
	. "goa.design/goa/v3/dsl"
)

// Traffic has priorities, idempotency keys and bounds of streams on all levels
// and on all transports that are served.
func Traffic() {
	key := APIKeySecurity("key")
	order := Type("Order", func() {
		Field(1, "id", String)
		Field(2, "amount", Int, func() { Example(1200) })
		Required("amount")
	})
	keyed := func(more func()) func() {
		return func() {
			APIKeyField(1, "key", "key", String)
			Required("key")
			more()
		}
	}
	amount := func() { Field(2, "amount", Int, func() { Example(1200) }); Required("amount") }
	API("traffic", func() {
		Security(key)
		ShedPriority("low")
		StreamIdle("1m")
		MessageRate(50, "1s", Burst(100))
	})
	Service("orders", func() {
		Error("sold_out")
		ShedPriority("normal")
		Method("create", func() {
			ShedPriority("high")
			IdempotencyKey("Idempotency-Key", KeepFor("72h"), WaitFor("1500ms"), KeyRequired())
			CORSOrigins("https://shop.example")
			MaxInFlight(9)
			Payload(keyed(amount))
			Result(order)
			HTTP(func() {
				POST("/orders")
				Header("key:X-Key")
				Response(StatusCreated, func() { Header("id:X-Id") })
				Response("sold_out", StatusGone)
			})
			GRPC(func() { Response("sold_out", CodeFailedPrecondition) })
		})
		Method("pay", func() {
			IdempotencyKey("request-key")
			RateLimit(10, "1s", PerPrincipal)
			Payload(keyed(amount))
			HTTP(func() {
				PUT("/orders/{amount}")
				Header("key:X-Key")
				Response(StatusNoContent)
				Response("sold_out", StatusConflict)
			})
			GRPC(func() { Response("sold_out", CodeFailedPrecondition) })
		})
		Method("ship", func() { // over gRPC alone
			IdempotencyKey("Idempotency-Key")
			Payload(keyed(amount))
			GRPC(func() { Response("sold_out", CodeFailedPrecondition) })
		})
		Method("list", func() {
			NoSecurity()
			Deadline("0s")
			HTTP(func() { GET("/orders"); Response("sold_out", StatusGone) })
		})
	})
	Service("chat", func() {
		Files("/chat/{*path}", "chat")
		Method("watch", func() {
			StreamIdle("1h30m")
			Payload(keyed(func() {}))
			StreamingResult(order)
			HTTP(func() { GET("/watch"); Header("key:X-Key"); ServerSentEvents() })
			GRPC(func() {})
		})
		Method("talk", func() {
			MessageRate(600, "1m")
			Payload(keyed(func() {}))
			StreamingPayload(order)
			StreamingResult(order)
			HTTP(func() { GET("/talk"); Header("key:X-Key") })
			GRPC(func() {})
		})
		Method("feed", func() {
			StreamIdle("0s")
			Payload(keyed(func() {}))
			StreamingPayload(order)
			GRPC(func() {})
		})
	})
}

// ReplayClash writes the header that marks answers which were given before.
func ReplayClash() {
	key := APIKeySecurity("key")
	Service("orders", func() {
		Method("create", func() {
			Security(key)
			IdempotencyKey("Idempotency-Key")
			Payload(func() { APIKey("key", "key", String); Required("key") })
			Result(func() { Attribute("again", String) })
			HTTP(func() {
				POST("/orders")
				Header("key:X-Key")
				Response(StatusOK, func() { Header("again:idempotency-replayed") })
			})
		})
	})
}

// MetadataClash has the idempotency key where gRPC has a user name.
func MetadataClash() {
	basic := BasicAuthSecurity("basic")
	Service("orders", func() {
		Method("create", func() {
			Security(basic)
			IdempotencyKey("User")
			Payload(func() {
				UsernameField(1, "user", String)
				PasswordField(2, "password", String)
				Required("user", "password")
			})
			GRPC(func() {})
		})
	})
}
