// Package designs holds the designs of the generator's golden cases. Each is a
// function, so that one process can evaluate all of them.
package designs

import (
	. "github.com/aguada-dev/aguada/dsl"
	. "goa.design/goa/v3/dsl"
	"goa.design/goa/v3/expr"
)

// Blank declares nothing of the production DSL, nor any security.
func Blank() {
	Service("calc", func() {
		Method("add", func() {
			Payload(func() {
				Field(1, "a", Int)
				Field(2, "b", Int)
				Required("a", "b")
			})
			Result(Int)
			HTTP(func() { GET("/add/{a}/{b}") })
		})
	})
}

// Shop uses all kinds of scheme, at all levels, in all places but the body.
func Shop() {
	basic := BasicAuthSecurity("basic", func() { Scope("api:read") })
	key := APIKeySecurity("api_key")
	jwt := JWTSecurity("jwt", func() { Scope("api:write"); Scope("api:read") })
	oauth := OAuth2Security("oauth2", func() {
		AuthorizationCodeFlow("/authorize", "/token", "/refresh")
		Scope("api:read")
	})
	bearer := BearerSecurity("bearer")

	item := item()
	order := Type("Order", func() {
		Attribute("id", String)
		Attribute("items", ArrayOf(item))
		Required("id", "items")
	})
	API("shop", func() {
		Title("The shop")
		Version("1.2")
		Security(basic)
		Deadline("5s")
		MaxBody("64KiB")
		DependsOn("database")
	})
	Service("orders", func() {
		DependsOn("queue")
		Security(jwt, func() { Scope("api:read") })
		HTTP(func() { Path("/orders") })
		Method("create", func() {
			Security(jwt, func() { Scope("api:write") })
			MaxInFlight(200)
			MaxBody("1MiB")
			Audit()
			Payload(func() {
				Token("token", String)
				Attribute("customer_id", String, func() { Format(FormatUUID) })
				Attribute("card", String, func() { Sensitive(); Example("4111 1111 1111 1111") })
				Attribute("items", ArrayOf(item), func() { MinLength(1); MaxLength(50) })
				Attribute("note", String)
				Required("customer_id", "card", "items")
			})
			Result(order)
			Error("sold_out")
			HTTP(func() {
				POST("")
				Response(StatusCreated)
				Response("sold_out", StatusConflict)
			})
		})
		Method("get", func() {
			Payload(func() {
				Token("token", String)
				Attribute("id", String, func() { Example("o-17") })
				Attribute("fields", ArrayOf(String), func() { Example([]string{"id", "total"}) })
				Attribute("trace", String, func() { Example("t & t") })
				Required("token", "id", "fields", "trace")
			})
			Result(order)
			HTTP(func() {
				GET("/{id}")
				GET("//legacy/orders/{id}")
				Param("fields")
				Header("trace:X-Trace")
			})
		})
		Method("health", func() {
			NoSecurity()
			Deadline("1500ms")
			HTTP(func() { GET("/health") })
		})
	})
	Service("users", func() {
		Security(key)
		Method("list", func() {
			Payload(func() { APIKey("api_key", "key", String); Required("key") })
			HTTP(func() { GET("/users"); Header("key:X-API-Key") })
		})
		Method("either", func() {
			Security(jwt, key, func() { Scope("api:read") })
			Security(oauth, func() { Scope("api:read") })
			Security(bearer)
			Payload(func() {
				Token("token")
				APIKey("api_key", "key")
				AccessToken("access")
				BearerToken("bear")
			})
			HTTP(func() {
				GET("/users/{key}")
				Param("access:at")
				Cookie("bear:session")
				Header("token:X-Token")
			})
		})
	})
	Service("accounts", func() {
		Method("me", func() {
			Payload(func() { Username("user"); Password("pass"); Required("user", "pass") })
			Result(String)
			HTTP(func() { GET("/accounts/me") })
		})
	})
}

func item() expr.UserType {
	return Type("Item", func() {
		Attribute("sku", String, func() { Example("tea-1") })
		Attribute("quantity", Int, func() { Minimum(1); Example(2) })
		Required("sku", "quantity")
	})
}

// Late takes credentials from the body.
func Late() {
	key := APIKeySecurity("api_key")
	jwt := JWTSecurity("jwt")
	Service("accounts", func() {
		Security(key)
		Method("login", func() {
			Payload(func() {
				APIKey("api_key", "key", String)
				Attribute("name", String, func() { Example("ana") })
				Required("key", "name")
			})
			HTTP(func() {
				POST("/login")
				Body(func() { Attribute("key"); Attribute("name"); Required("key", "name") })
			})
		})
		Method("both", func() {
			Security(key, jwt)
			Payload(func() {
				APIKey("api_key", "key", String)
				Token("token", String)
				Required("key")
			})
			HTTP(func() {
				POST("/both")
				Header("key:X-Key")
				Body(func() { Attribute("token") })
			})
		})
		Method("watch", func() {
			Payload(func() { APIKey("api_key", "key", String) })
			StreamingResult(func() { Attribute("n", Int) })
			HTTP(func() {
				POST("/watch")
				Body(func() { Attribute("key") })
				ServerSentEvents()
			})
		})
	})
}
