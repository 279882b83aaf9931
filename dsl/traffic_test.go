package dsl_test

import (
	. "goa.design/goa/v3/dsl"

	. "github.com/aguada-dev/aguada/dsl"
)

// goodTraffic are accepted designs with priorities, idempotency keys and bounds
// of streams.
var goodTraffic = []golden{
	{"priorities", func() {
		API("shop", func() { ShedPriority("low") })
		Service("orders", func() {
			ShedPriority("high")
			Method("inherits", func() {})
			Method("normal", func() { ShedPriority("normal") })
			Method("low", func() { ShedPriority("low") })
		})
		Service("reports", func() { Method("inherits", func() {}) })
	}},
	{"idempotency-keys", inSecured(func(secured func(string, func())) {
		secured("defaults", func() { IdempotencyKey("Idempotency-Key") })
		secured("everything", func() { IdempotencyKey("idempotency-key", KeyRequired(), WaitFor("5s"), KeepFor("72h")) })
		secured("shortest", func() {
			Deadline("2ms")
			IdempotencyKey("K", KeepFor("1s"), WaitFor("1ms"))
		})
		secured("longest", func() {
			Deadline("0s")
			IdempotencyKey("X-Request-Key", KeepFor("8784h"), WaitFor("8783h"))
		})
		secured("transports", func() {
			IdempotencyKey("Idempotency-Key")
			Result(String)
			Idempotent() // Goa's, which says something else
			HTTP(func() {
				POST("/transports")
				PATCH("/transports")
				Header("trace:X-Trace")
			})
			GRPC(func() {})
		})
		once := KeyRequired() // one argument may be made for several
		secured("one", func() { IdempotencyKey("Idempotency-Key", once) })
		secured("two", func() { IdempotencyKey("Idempotency-Key", once) })
	})},
	{"idempotency-key-of-the-api's-security", func() {
		basic := BasicAuthSecurity("basic")
		API("shop", func() { Security(basic) })
		Service("orders", func() {
			Method("create", func() {
				credentials()
				IdempotencyKey("Idempotency-Key")
			})
		})
	}},
	{"streams", func() {
		API("chat", func() {
			StreamIdle("30s")
			MessageRate(50, "1s", Burst(100))
		})
		Service("chat", func() {
			Method("unary", func() {}) // neither concerns it
			Method("watch", func() { StreamingResult(String) })
			Method("feed", func() { StreamingPayload(String) })
			Method("talk", func() {
				StreamingPayload(String)
				StreamingResult(String)
				StreamIdle("0s")
				MessageRate(1, "60s")
			})
		})
		Service("slow", func() {
			StreamIdle("1h30m")
			MessageRate(10, "24h", Burst(1))
			Method("talk", func() {
				StreamingPayload(String)
				StreamingResult(String)
			})
			Method("shortest", func() {
				StreamingResult(String)
				StreamIdle("1s")
			})
			Method("mixed", func() {
				Result(func() { Attribute("total", Int) })
				StreamingResult(func() { Attribute("n", Int) })
				StreamIdle("2s")
				HTTP(func() {
					GET("/mixed")
					ServerSentEvents()
				})
			})
		})
	}},
}

// inSecured returns a design whose service needs a password; the function given
// to do adds a method to it, with a payload that has credentials.
func inSecured(do func(secured func(method string, dsl func()))) func() {
	return func() {
		basic := BasicAuthSecurity("basic")
		Service("orders", func() {
			Security(basic)
			do(func(method string, dsl func()) {
				Method(method, func() {
					Payload(func() {
						Field(1, "user", String, func() { Meta("security:username") })
						Field(2, "password", String, func() { Meta("security:password") })
						Field(3, "trace", String)
						Field(4, "key", String)
					})
					dsl()
				})
			})
		})
	}
}

// badTraffic are refused designs with priorities, idempotency keys and bounds of
// streams.
var badTraffic = []golden{
	{"traffic-top-level", func() {
		ShedPriority("high")
		IdempotencyKey("Idempotency-Key", KeepFor("1h"))
		StreamIdle("1s")
		MessageRate(1, "1s")
	}},
	{"shed-priority", func() {
		API("shop", func() {
			ShedPriority("")
			ShedPriority("High")
			ShedPriority("urgent%s\n")
			ShedPriority("low")
			ShedPriority("low")
		})
		Service("orders", func() {
			Method("create", func() {
				Payload(func() { ShedPriority("high") })
			})
			Files("/{*path}", "public", func() {
				ShedPriority("high")
			})
		})
	}},
	{"idempotency-key-headers", inSecured(func(secured func(string, func())) {
		secured("create", func() {
			IdempotencyKey("")
			IdempotencyKey("Idempotency Key")
			IdempotencyKey("Idempotency-Key:")
			IdempotencyKey("Idempotency_Key")
			IdempotencyKey("-Key")
			IdempotencyKey("1Key")
			IdempotencyKey("Schlüssel")
			IdempotencyKey("Key\r\nX-Admin: 1")
			IdempotencyKey("A2345678901234567890123456789012345678901234567890123456789012345")
			IdempotencyKey("Idempotency-bin")
			IdempotencyKey("authorization")
			IdempotencyKey("COOKIE")
			IdempotencyKey("Host")
			IdempotencyKey("Content-Anything")
			IdempotencyKey("Sec-Fetch-Site")
			IdempotencyKey("grpc-timeout")
			IdempotencyKey("X-Forwarded-For")
			IdempotencyKey("x-request-id")
			IdempotencyKey("If-Match", KeepFor("1h"))
		})
	})},
	{"idempotency-key-options", inSecured(func(secured func(string, func())) {
		secured("keep", func() {
			IdempotencyKey("Idempotency-Key", KeepFor(""))
			IdempotencyKey("Idempotency-Key", KeepFor("1"))
			IdempotencyKey("Idempotency-Key", KeepFor("1d"))
			IdempotencyKey("Idempotency-Key", KeepFor("0s"))
			IdempotencyKey("Idempotency-Key", KeepFor("-1h"))
			IdempotencyKey("Idempotency-Key", KeepFor("999ms"))
			IdempotencyKey("Idempotency-Key", KeepFor("8784h1s"))
			IdempotencyKey("Idempotency-Key", KeepFor("1h"), KeepFor("2h"))
		})
		secured("wait", func() {
			IdempotencyKey("Idempotency-Key", WaitFor("soon"))
			IdempotencyKey("Idempotency-Key", WaitFor("0s"))
			IdempotencyKey("Idempotency-Key", WaitFor("-1s"))
			IdempotencyKey("Idempotency-Key", WaitFor("1us"))
			IdempotencyKey("Idempotency-Key", KeepFor("2s"), WaitFor("2s"))
			IdempotencyKey("Idempotency-Key", WaitFor("1s"), KeyRequired(), WaitFor("1s"))
		})
		secured("required", func() {
			IdempotencyKey("Idempotency-Key", KeyRequired(), KeyRequired())
			IdempotencyKey("Idempotency-Key", nil)
			IdempotencyKey("Idempotency-Key", nil, KeepFor("1"), WaitFor("x"))
			IdempotencyKey(
				"Idempotency-Key",
				KeepFor("one hour"),
				WaitFor("5 seconds"),
			)
		})
		secured("twice", func() {
			IdempotencyKey("Idempotency-Key")
			IdempotencyKey("Request-Key")
		})
	})},
	{"idempotency-key-deadlines", inSecured(func(secured func(string, func())) {
		secured("deadline", func() {
			Deadline("5s")
			IdempotencyKey("Idempotency-Key", WaitFor("5s"))
		})
		secured("default-deadline", func() {
			IdempotencyKey("Idempotency-Key", WaitFor("31s"))
		})
	})},
	{"idempotency-key-places", func() {
		API("shop", func() {
			IdempotencyKey("Idempotency-Key")
		})
		Service("orders", func() {
			IdempotencyKey("Idempotency-Key")
			Files("/{*path}", "public", func() {
				IdempotencyKey("Idempotency-Key")
			})
			Method("create", func() {
				HTTP(func() {
					POST("/")
					IdempotencyKey("Idempotency-Key")
				})
			})
		})
	}},
	{"idempotency-key-options-alone", func() {
		KeepFor("1h")
		Service("orders", func() {
			WaitFor("1")
			Method("create", func() {
				KeyRequired()
			})
		})
	}},
	{"idempotency-key-of-nobody", func() {
		basic := BasicAuthSecurity("basic")
		Service("open", func() {
			Method("undeclared", func() {
				IdempotencyKey("Idempotency-Key")
			})
		})
		Service("orders", func() {
			Security(basic)
			Method("public", func() {
				NoSecurity()
				IdempotencyKey("Idempotency-Key", KeyRequired())
			})
		})
	}},
	{"idempotency-key-methods", inSecured(func(secured func(string, func())) {
		secured("streams", func() {
			StreamingResult(String)
			IdempotencyKey("Idempotency-Key")
			HTTP(func() {
				GET("/streams")
				ServerSentEvents()
			})
		})
		secured("streams over gRPC", func() {
			StreamingResult(String)
			IdempotencyKey("Idempotency-Key")
			GRPC(func() {})
		})
		secured("reads", func() {
			IdempotencyKey("Idempotency-Key")
			HTTP(func() {
				POST("/reads")
				Header("key:X-Key")
				Header("trace:X-Trace")
				SkipRequestBodyEncodeDecode()
			})
		})
		secured("writes", func() {
			IdempotencyKey("Idempotency-Key")
			HTTP(func() {
				POST("/writes")
				SkipResponseBodyEncodeDecode()
			})
		})
		secured("multipart", func() {
			IdempotencyKey("Idempotency-Key")
			HTTP(func() {
				POST("/multipart")
				MultipartRequest()
			})
		})
		secured("redirects", func() {
			IdempotencyKey("Idempotency-Key")
			HTTP(func() {
				GET("/redirects")
				Redirect("/elsewhere", StatusFound)
			})
		})
		secured("safe", func() {
			IdempotencyKey("Idempotency-Key")
			HTTP(func() {
				GET("/safe")
				HEAD("/safe")
			})
		})
		secured("half-safe", func() {
			IdempotencyKey("Idempotency-Key")
			HTTP(func() {
				POST("/half")
				GET("/half")
			})
		})
	})},
	{"idempotency-key-read-by-the-design", func() {
		basic := BasicAuthSecurity("basic")
		Service("orders", func() {
			Security(basic)
			JSONRPC(func() {
				POST("/rpc")
			})
			payload := func() {
				Payload(func() {
					Field(1, "user", String, func() { Meta("security:username") })
					Field(2, "password", String, func() { Meta("security:password") })
					Field(3, "key", String)
				})
			}
			Method("http", func() {
				payload()
				IdempotencyKey("Idempotency-Key")
				HTTP(func() {
					POST("/http")
					Header("key:IDEMPOTENCY-KEY")
				})
			})
			Method("grpc", func() {
				payload()
				IdempotencyKey("Idempotency-Key")
				GRPC(func() {
					Metadata(func() {
						Attribute("key:idempotency-key")
					})
				})
			})
			Method("jsonrpc", func() {
				payload()
				IdempotencyKey("Key")
				JSONRPC(func() {
					Headers(func() { Header("key") })
				})
			})
		})
	}},
	{"stream-idle", func() {
		API("shop", func() {
			StreamIdle("")
			StreamIdle("30")
			StreamIdle("30 s")
			StreamIdle("-1s")
			StreamIdle("999ms")
			StreamIdle("1ns")
			StreamIdle("30s")
			StreamIdle("0s")
		})
		Service("orders", func() {
			Method("feed", func() {
				StreamingPayload(func() { StreamIdle("30s") })
			})
		})
	}},
	{"bounds-of-no-stream", func() {
		Service("orders", func() {
			Method("create", func() {
				StreamIdle("30s")
				MessageRate(1, "1s")
			})
			Method("off", func() {
				StreamIdle("0s")
			})
			Method("watch", func() {
				StreamingResult(String)
				MessageRate(1, "1s", Burst(2))
			})
		})
	}},
	{"message-rate", func() {
		Service("orders", func() {
			Method("values", func() {
				StreamingPayload(String)
				MessageRate(0, "1s")
				MessageRate(-1, "1s", Burst(1))
				MessageRate(1000001, "1s")
				MessageRate(1, "100ms")
				MessageRate(1, "25h")
				MessageRate(1, "often")
				MessageRate(1, "1s", Burst(0))
				MessageRate(1, "24h", Burst(367))
				MessageRate(1, "1s", nil)
				MessageRate(1, "1s", Burst(1), Burst(2))
				MessageRate(1, "1s")
				MessageRate(1, "1s")
			})
		})
	}},
}
