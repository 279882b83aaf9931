// Package design is the design of the page: its security schemes and its
// service users word for word, given routes and results, which the page leaves
// out; and a service orders around the Go code that the page shows.
package design

import (
	. "goa.design/goa/v3/dsl"
)

// API level: the default for all methods.
var _ = API("myapi", func() {
	Version("1.0.0")
	Security(BasicAuth)
})

// BasicAuth is the page's.
var BasicAuth = BasicAuthSecurity("basic", func() {
	Description("Basic authentication using username and password")
})

// APIKeyAuth is the page's.
var APIKeyAuth = APIKeySecurity("api_key", func() {
	Description("Secures endpoint by requiring an API key")
})

// JWTAuth is the page's.
var JWTAuth = JWTSecurity("jwt", func() {
	Description("Secures endpoint by requiring a valid JWT token")
	Scope("api:read", "Read access to API")
	Scope("api:write", "Write access to API")
})

// OAuth2 is the page's, which uses it nowhere.
var OAuth2 = OAuth2Security("oauth2", func() {
	Description("OAuth2 authentication")
	AuthorizationCodeFlow("/authorize", "/token", "/refresh")
	Scope("api:write", "Write access")
	Scope("api:read", "Read access")
})

// Service level: overrides the default of the API.
var _ = Service("users", func() {
	Security(APIKeyAuth)
	Error("unauthorized")
	HTTP(func() {
		Path("/users")
		Response("unauthorized", StatusUnauthorized)
	})

	Method("list", func() {
		Payload(func() {
			APIKey("api_key", "key", String)
			Required("key")
		})
		Result(ArrayOf(String))
		HTTP(func() {
			GET("")
			Param("key") // as the documentation of Goa's function APIKey has it
		})
	})

	Method("admin", func() {
		// As on the page: without Scope inside, no scope is asked for.
		Security(JWTAuth)
		Payload(func() {
			Token("token", String)
			Required("token")
		})
		Result(String)
		HTTP(func() {
			GET("/admin")
		})
	})

	Method("public", func() {
		NoSecurity()
		Result(String)
		HTTP(func() {
			GET("/public")
		})
	})
})

// Order is what CreateOrder takes: the fields that the page's code reads, and
// the credentials of the default scheme.
var Order = Type("Order", func() {
	Username("username", String)
	Password("password", String)
	Attribute("id", String, func() {
		MinLength(1)
		MaxLength(64)
		Example("ord_1042")
	})
	Attribute("amount", Float64, func() {
		Minimum(0)
		Example(74.5)
	})
	Attribute("type", String, func() {
		Example("online")
	})
	Required("username", "password", "id", "amount", "type")
})

// StoredOrder is an order as it is shown.
var StoredOrder = Type("StoredOrder", func() {
	Attribute("id", String)
	Attribute("amount", Float64)
	Attribute("type", String)
	Required("id", "amount", "type")
})

var _ = Service("orders", func() {
	Error("unauthorized")
	HTTP(func() {
		Path("/orders")
		Response("unauthorized", StatusUnauthorized)
	})

	Method("create_order", func() { // API level: Basic
		Payload(Order)
		HTTP(func() {
			POST("")
			Response(StatusCreated)
		})
	})

	Method("show_order", func() {
		// As on the page: no scope is asked for.
		Security(OAuth2)
		Payload(func() {
			AccessToken("token", String)
			Attribute("id", String)
			Required("token", "id")
		})
		Result(StoredOrder)
		HTTP(func() {
			GET("/{id}")
		})
	})

	Method("watch_orders", func() { // server-sent events
		Payload(func() {
			Username("username", String)
			Password("password", String)
			Required("username", "password")
		})
		StreamingResult(OrderEvent)
		HTTP(func() {
			GET("/watch")
			ServerSentEvents(func() {
				SSEEventData("type")
			})
		})
	})

	Method("track_orders", func() { // WebSocket
		Security(JWTAuth)
		Payload(func() {
			Token("token", String)
			Required("token")
		})
		StreamingPayload(OrderQuestion)
		StreamingResult(StoredOrder)
		HTTP(func() {
			GET("/track")
		})
	})
})

// OrderEvent tells of a new order.
var OrderEvent = Type("OrderEvent", func() {
	Attribute("type", String, "The order's type, as its sender gave it.")
	Required("type")
})

// OrderQuestion asks for an order.
var OrderQuestion = Type("OrderQuestion", func() {
	Attribute("id", String)
	Required("id")
})
