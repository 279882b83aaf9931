//go:build design

package design

import . "goa.design/goa/v3/dsl"

var basic = BasicAuthSecurity("basic")

var note = Type("Note", func() {
	Field(1, "id", String, func() { Pattern(`^[a-z]{1,12}$`) })
	Field(2, "text", String, func() { MaxLength(20) })
	Field(3, "size", Int, func() { Maximum(100) })
	Required("id")
})

var page = ResultType("application/vnd.shop.page", func() {
	TypeName("Page")
	Attributes(func() {
		Field(1, "id", String)
		Field(2, "text", String)
		Field(3, "by", String)
		Required("id")
	})
	View("default", func() {
		Attribute("id")
		Attribute("text")
		Attribute("by")
	})
	View("tiny", func() { Attribute("id") })
})

var gone = Type("Gone", func() {
	ErrorName(1, "name", String)
	Field(2, "id", String)
	Required("name", "id")
})

// feed is served over gRPC and, in part, over HTTP: all four kinds of streams,
// every kind of credential, every kind of error.
var _ = Service("feed", func() {
	Error("conflict")
	Error("busy", func() {
		Temporary()
		Timeout()
	})
	Error("broken", func() { Fault() })
	Error("gone", gone)
	HTTP(func() {
		Response("conflict", StatusConflict)
		Response("busy", StatusTooManyRequests)
		Response("broken", StatusBadGateway)
		Response("gone", StatusGone)
	})
	GRPC(func() {
		Response("conflict", CodeAlreadyExists)
		Response("busy", CodeResourceExhausted)
		Response("broken", CodeInternal)
		Response("gone", CodeNotFound)
	})

	Method("put", func() {
		Security(jwt, func() { Scope("api:write") })
		Payload(func() {
			TokenField(1, "token", String)
			Extend(note)
			Field(5, "data", Bytes)
			Field(6, "trace", String)
			Field(7, "pin", String, func() {
				Pattern("^[0-9]{4}$")
				Meta("aguada:sensitive")
			})
			Required("token")
		})
		Result(note)
		HTTP(func() {
			POST("/feed")
			Header("trace:X-Trace")
		})
		GRPC(func() {
			Metadata(func() { Attribute("trace:x-trace") })
		})
	})
	// Either of two credentials, which gRPC has under one key.
	Method("either", func() {
		Security(jwt, func() { Scope("api:read") })
		Security(key)
		Payload(func() {
			Token("token", String)
			APIKey("key", "key", String)
			Field(3, "id", String)
		})
		Result(String)
		HTTP(func() {
			GET("/feed/{id}/either")
			Header("key:X-Key")
		})
		GRPC(func() {})
	})
	// Both of two credentials, under keys of the design's choice.
	Method("both", func() {
		Security(jwt, key)
		Payload(func() {
			Token("token", String)
			APIKey("key", "key", String)
			Required("token", "key")
		})
		Result(String)
		GRPC(func() {
			Metadata(func() {
				Attribute("token:authorization")
				Attribute("key:X-API-Key")
			})
		})
	})
	Method("login", func() {
		Security(basic)
		Payload(func() {
			Username("user", String)
			Password("pass", String)
			Required("user", "pass")
		})
		Result(String)
		HTTP(func() { POST("/feed/login") })
		GRPC(func() {})
	})
	Method("ping", func() {
		NoSecurity()
		GRPC(func() {})
	})
	Method("look", func() {
		Payload(func() {
			Field(1, "id", String)
			Field(2, "view", String)
		})
		Result(page)
		GRPC(func() {})
	})

	// The four kinds of streams: pull, push, chat, and chat after a first message.
	Method("pull", func() {
		Security(jwt, func() { Scope("api:read") })
		Payload(func() {
			Token("token", String)
			Field(2, "count", Int, func() { Maximum(1000) })
			Required("token", "count")
		})
		StreamingResult(note)
		GRPC(func() {})
	})
	Method("push", func() {
		Security(jwt, func() { Scope("api:write") })
		Payload(func() {
			Token("token", String)
			Required("token")
		})
		StreamingPayload(note)
		Result(Int)
		GRPC(func() {})
	})
	Method("chat", func() {
		Security(jwt)
		Payload(func() {
			Token("token", String)
			Required("token")
		})
		StreamingPayload(note)
		StreamingResult(note)
		GRPC(func() {})
	})
	Method("talk", func() {
		Security(jwt)
		Payload(func() {
			Token("token", String)
			Field(2, "room", String, func() { MaxLength(10) })
			Required("token", "room")
		})
		StreamingPayload(note)
		StreamingResult(note)
		GRPC(func() {})
	})
	Method("open", func() {
		NoSecurity()
		StreamingPayload(note)
		StreamingResult(note)
		GRPC(func() {})
	})
	Method("browse", func() {
		StreamingResult(page)
		GRPC(func() {})
	})
})
