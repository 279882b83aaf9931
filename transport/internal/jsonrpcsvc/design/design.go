//go:build design

// Package design is the design behind the generated services that the tests of
// JSON-RPC drive: over HTTP with Server-Sent Events beside, over events alone, and
// over a WebSocket; and a service of multipart requests. After a change:
//
//	goa gen github.com/aguada-dev/aguada/transport/internal/jsonrpcsvc/design
//
// run without the build tag; of what it writes, the clients, the command lines
// and the OpenAPI documents are left out.
package design

import . "goa.design/goa/v3/dsl"

var _ = API("desk", func() {
	Title("A desk")
})

var jwt = JWTSecurity("jwt", func() {
	Scope("api:read")
	Scope("api:write")
})

var key = APIKeySecurity("key")

var basic = BasicAuthSecurity("basic")

var note = Type("Note", func() {
	Attribute("id", String, func() { Pattern(`^[a-z]{1,12}$`) })
	Attribute("text", String, func() { MaxLength(20) })
	Required("id")
})

var gone = Type("Gone", func() {
	ErrorName("name", String)
	Attribute("note_id", String)
	Required("name", "note_id")
})

var _ = Service("desk", func() {
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
	JSONRPC(func() {
		POST("/rpc")
		Response("conflict", func() { Code(4090) })
		Response("busy", func() { Code(4290) })
		Response("broken", func() { Code(5020) })
		Response("gone", func() { Code(4100) })
	})

	Method("put", func() {
		Security(jwt, func() { Scope("api:write") })
		Payload(func() {
			Token("token", String)
			Extend(note)
			Attribute("trace", String, func() { MaxLength(8) })
			Attribute("pin", String, func() {
				Pattern("^[0-9]{4}$")
				Meta("aguada:sensitive")
			})
			Required("token")
		})
		Result(note)
		HTTP(func() { POST("/notes") })
		JSONRPC(func() { Header("trace:X-Trace") })
	})
	Method("get", func() {
		Security(jwt, func() { Scope("api:read") })
		Payload(func() {
			Token("token", String)
			Attribute("id", String)
			Required("token", "id")
		})
		Result(note)
		JSONRPC(func() {})
	})
	Method("sum", func() {
		NoSecurity()
		Payload(ArrayOf(Int, func() { Maximum(100) }))
		Result(Int)
		JSONRPC(func() {})
	})
	Method("ping", func() {
		NoSecurity()
		Result(String)
		JSONRPC(func() {})
	})
	Method("tell", func() {
		NoSecurity()
		Payload(func() {
			Attribute("text", String)
			Required("text")
		})
		JSONRPC(func() {})
	})
	// The credential is in the params.
	Method("login", func() {
		Security(key)
		Payload(func() {
			APIKey("key", "secret", String)
			Attribute("name", String)
			Required("secret")
		})
		Result(String)
		JSONRPC(func() {
			Body(func() {
				Attribute("secret")
				Attribute("name")
				Required("secret")
			})
		})
	})
	Method("named", func() {
		NoSecurity()
		Payload(func() {
			ID("ref", String)
			Attribute("text", String)
			Required("ref")
		})
		Result(func() {
			ID("ref", String)
			Attribute("text", String)
			Required("ref")
		})
		JSONRPC(func() {})
	})
})

// tape has streams of events beside plain calls. Of results, Goa 3.30 takes only
// objects here.
var _ = Service("tape", func() {
	Error("gone", gone)
	Error("broken", func() { Fault() })
	JSONRPC(func() {
		POST("/tape")
		Response("gone", func() { Code(4100) })
		Response("broken", func() { Code(5020) })
	})
	Method("follow", func() {
		Security(jwt, func() { Scope("api:read") })
		Payload(func() {
			Token("token", String)
			Attribute("count", Int, func() { Maximum(10) })
			Required("token", "count")
		})
		StreamingResult(note)
		JSONRPC(func() { ServerSentEvents() })
	})
	Method("last", func() {
		Security(jwt, func() { Scope("api:read") })
		Payload(func() {
			Token("token", String)
			Required("token")
		})
		Result(func() {
			Attribute("text", String)
			Required("text")
		})
		JSONRPC(func() {})
	})
})

// feed has nothing but streams of events.
var _ = Service("feed", func() {
	JSONRPC(func() { POST("/feed") })
	Method("tail", func() {
		NoSecurity()
		Payload(func() {
			Attribute("count", Int, func() { Maximum(10) })
			Required("count")
		})
		StreamingResult(note)
		JSONRPC(func() { ServerSentEvents() })
	})
})

var _ = Service("line", func() {
	Error("conflict")
	JSONRPC(func() {
		GET("/line")
		Response("conflict", func() { Code(4090) })
	})
	Method("echo", func() {
		NoSecurity()
		StreamingPayload(func() {
			ID("ref", String)
			Extend(note)
			Required("ref")
		})
		StreamingResult(func() {
			ID("ref", String)
			Extend(note)
			Required("ref")
		})
		JSONRPC(func() {})
	})
	Method("notify", func() {
		NoSecurity()
		StreamingResult(note)
		JSONRPC(func() {})
	})
})

// parcels come as forms of several parts, which the service reads itself.
var _ = Service("parcels", func() {
	Method("send", func() {
		Security(jwt, func() { Scope("api:write") })
		Payload(func() {
			Token("token", String)
			Attribute("name", String, func() { MaxLength(8) })
			Required("token", "name")
		})
		Result(Int)
		HTTP(func() {
			POST("/parcels")
			MultipartRequest()
		})
	})
})
