package designs

import (
	. "github.com/aguada-dev/aguada/dsl"
	. "goa.design/goa/v3/dsl"
)

// tick is a message of a stream.
func tick() any {
	return Type("Tick", func() {
		Field(1, "n", Int, func() { Example(7) })
		Field(2, "pin", String, func() { Sensitive() })
		Required("n")
	})
}

// OverGRPC has gRPC beside HTTP: every kind of credential, the four kinds of
// streams, errors of the design's own types, views and interceptors.
func OverGRPC() {
	basic := BasicAuthSecurity("basic")
	jwt := JWTSecurity("jwt", func() { Scope("api:read"); Scope("api:write") })
	key := APIKeySecurity("key")
	oauth := OAuth2Security("oauth", func() { ClientCredentialsFlow("/token", "/refresh") })
	bearer := BearerSecurity("bearer")
	audit := Interceptor("Audit")
	tick := tick()
	sold := Type("SoldOut", func() {
		ErrorName(1, "name", String)
		Field(2, "sku", String)
		Required("name", "sku")
	})
	page := ResultType("application/vnd.page", func() {
		TypeName("Page")
		Attributes(func() { Field(1, "id", String); Field(2, "text", String) })
		View("default", func() { Attribute("id"); Attribute("text") })
		View("tiny", func() { Attribute("id") })
	})
	Service("store", func() {
		Security(jwt, func() { Scope("api:read") })
		ServerInterceptor(audit)
		Error("busy", func() { Temporary(); Timeout() })
		Error("sold_out", sold)
		HTTP(func() {
			Response("busy", StatusServiceUnavailable)
			Response("sold_out", StatusConflict)
		})
		GRPC(func() {
			Response("busy", CodeUnavailable)
			Response("sold_out", CodeFailedPrecondition)
		})
		Method("show", func() {
			Payload(func() { TokenField(2, "token"); Field(1, "id", String); Required("token", "id") })
			Result(page)
			HTTP(func() { GET("/pages/{id}") })
			GRPC(func() {})
		})
		Method("login", func() {
			Security(basic)
			Payload(func() { Username("user"); Password("pass"); Required("user", "pass") })
			Result(String)
			HTTP(func() { POST("/login") })
			GRPC(func() { Metadata(func() { Attribute("pass:X-Pass") }) })
		})
		Method("either", func() { // the credential's form decides
			Security(jwt)
			Security(key)
			Security(oauth)
			Security(bearer)
			Payload(func() {
				Token("token")
				APIKey("key", "key")
				AccessToken("access")
				BearerToken("bearer")
			})
			GRPC(func() {})
		})
		Method("both", func() {
			Security(jwt, key, func() { Scope("api:write") })
			Payload(func() { Token("token"); APIKey("key", "key"); Field(3, "tick", tick); Required("token", "key") })
			HTTP(func() { POST("/both"); Header("key:X-Key") })
			GRPC(func() { Metadata(func() { Attribute("key:X-API-Key") }) })
		})
		Method("late", func() { // over gRPC it is early
			Security(key)
			Payload(func() { APIKey("key", "key"); Required("key") })
			HTTP(func() { POST("/late"); Body(func() { Attribute("key") }) })
			GRPC(func() {})
		})
		Method("docs", func() {
			NoSecurity()
			HTTP(func() { GET("/docs"); Redirect("https://example.com/docs", StatusFound) })
		})
		Method("moved", func() {
			NoSecurity()
			Result(Int)
			HTTP(func() { GET("/moved"); Redirect("https://example.com/", StatusFound) })
			GRPC(func() {})
		})
		Method("health", func() {
			NoSecurity()
			GRPC(func() {})
		})
	})
	Service("clock", func() {
		Security(jwt)
		secured := func(more func()) func() {
			return func() { TokenField(1, "token"); Required("token"); more() }
		}
		Method("pull", func() {
			Deadline("1h")
			Payload(secured(func() { Field(2, "from", Int) }))
			StreamingResult(tick)
			HTTP(func() { GET("/pull"); Param("from"); ServerSentEvents() })
			GRPC(func() {})
		})
		Method("push", func() {
			Payload(secured(func() {}))
			StreamingPayload(tick)
			Result(Int)
			GRPC(func() {})
		})
		Method("chat", func() {
			Payload(secured(func() {}))
			StreamingPayload(tick)
			StreamingResult(tick)
			HTTP(func() { GET("/chat") })
			GRPC(func() {})
		})
		Method("compat", func() { // the payload is in the metadata too
			Meta("grpc:stream:compat", "v1")
			Payload(secured(func() { Field(2, "room", String); Required("room") }))
			StreamingPayload(tick)
			Result(Int)
			GRPC(func() {})
		})
		Method("talk", func() { // the first message is the payload
			Payload(secured(func() { Field(2, "room", String); Required("room") }))
			StreamingPayload(tick)
			StreamingResult(page)
			GRPC(func() {})
		})
	})
}

// GRPCOnly has nothing on HTTP, and services whose names clash.
func GRPCOnly() {
	jwt := JWTSecurity("jwt")
	ping := func() {
		Method("ping", func() {
			NoSecurity()
			Payload(String)
			Result(String)
			GRPC(func() {})
		})
	}
	Service("production", func() {
		DependsOn("database")
		ping()
	})
	Service("shop", func() {
		Method("watch orders", func() {
			Security(jwt)
			Payload(func() { Token("token"); Required("token") })
			StreamingResult(String)
			GRPC(func() {})
		})
		GRPC(func() { Package("acme.shop.v1") })
	})
	Service("shopgrpc", ping)
	Service("shoppb", ping)
	Service("forgotten", func() {
		Method("open", func() { GRPC(func() {}) })
	})
}

// KeyClash has credentials over gRPC that could not be told apart, or come too
// late.
func KeyClash() {
	basic := BasicAuthSecurity("basic")
	jwt := JWTSecurity("jwt")
	other := JWTSecurity("other")
	key := APIKeySecurity("partner")
	Service("store", func() {
		Method("both", func() {
			Security(jwt, key)
			Payload(func() { Token("token"); APIKey("partner", "key"); Required("token", "key") })
			HTTP(func() { GET("/both"); Header("key:X-Key") })
			GRPC(func() {})
		})
		Method("case", func() {
			Security(jwt, basic)
			Payload(func() { Token("token"); Username("user"); Password("pass"); Required("token", "user", "pass") })
			GRPC(func() { Metadata(func() { Attribute("token:X-Pass"); Attribute("pass:x-pass") }) })
		})
		Method("same", func() {
			Security(basic)
			Payload(func() { Username("user"); Password("pass"); Required("user", "pass") })
			GRPC(func() { Metadata(func() { Attribute("user:login"); Attribute("pass:login") }) })
		})
		Method("twins", func() {
			Security(jwt, other)
			Payload(func() { Token("token"); Required("token") })
			GRPC(func() {})
		})
		Method("message", func() {
			Security(key)
			Payload(func() { APIKeyField(1, "partner", "key"); Required("key") })
			GRPC(func() { Message(func() { Attribute("key") }) })
		})
		Method("password", func() {
			Security(basic)
			Payload(func() { Username("user"); PasswordField(2, "pass"); Required("user", "pass") })
			GRPC(func() { Message(func() { Attribute("pass") }) })
		})
		Method("reserved", func() {
			Security(key)
			Payload(func() { APIKey("partner", "apiKey"); Required("apiKey") })
			GRPC(func() { Metadata(func() { Attribute("apiKey:grpc-key") }) })
		})
		Method("binary", func() {
			Security(key)
			Payload(func() { APIKey("partner", "key"); Required("key") })
			GRPC(func() { Metadata(func() { Attribute("key:key-bin") }) })
		})
		Method("odd", func() {
			Security(key)
			Payload(func() { APIKey("partner", "key"); Required("key") })
			GRPC(func() { Metadata(func() { Attribute("key:my key") }) })
		})
	})
}

// MethodClash has two methods under one name of gRPC's.
func MethodClash() {
	for _, name := range []string{"http shop", "http_shop"} {
		Service(name, func() {
			Method("get", func() { NoSecurity(); GRPC(func() {}) })
		})
	}
}
