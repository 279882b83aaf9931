package design

import (
	. "github.com/aguada-dev/aguada/dsl"
	. "goa.design/goa/v3/dsl"
)

var _ = Service("users", func() {
	Description("Those who have placed orders.")
	Security(APIKeyAuth)
	DependsOn("database")
	HTTP(func() {
		Path("/users")
	})

	Method("list", func() {
		Description("List the users by name.")
		RateLimit(5000, "1s", PerCredential, Burst(10000))
		Payload(func() {
			APIKey("api_key", "key", String, "An API key.")
			userPage()
			Required("key")
		})
		Result(func() {
			Attribute("users", ArrayOf(User), "The users of this page, by name.")
			Required("users")
		})
		HTTP(func() {
			GET("")
			Header("key:X-API-Key")
			Param("limit")
			Param("after")
			Response(StatusOK)
		})
	})

	Method("admin", func() {
		Description("List the users by name, with what became of their orders.")
		// It reads all orders.
		RateLimit(100, "1s", PerPrincipal)
		Security(JWTAuth, func() {
			Scope("api:admin")
		})
		Payload(func() {
			Token("token", String, "A JWT.")
			userPage()
			Required("token")
		})
		Result(func() {
			Attribute("users", ArrayOf(UserRecord), "The users of this page, by name.")
			Required("users")
		})
		HTTP(func() {
			GET("/admin")
			Param("limit")
			Param("after")
			Response(StatusOK)
		})
	})

	Method("public", func() {
		Description("Tell what anybody may know before they become a user.")
		NoSecurity()
		Result(func() {
			Attribute("shop", String, "Name of the shop.", func() {
				Example("Shop")
			})
			Attribute("currencies", ArrayOf(String), "ISO 4217 codes that an order may be in.", func() {
				Example([]string{"EUR", "USD"})
			})
			Required("shop", "currencies")
		})
		HTTP(func() {
			GET("/public")
			Response(StatusOK)
		})
	})
})

// userPage adds what a caller may say about the page it wants.
func userPage() {
	Attribute("limit", Int, "The most users to answer with; the server decides where it is absent.", func() {
		Minimum(1)
		Maximum(100)
		Example(20)
	})
	Attribute("after", String, "Name of the last user of the page before; absent for the first page.", func() {
		MinLength(1)
		MaxLength(256)
		Example("alice")
	})
}

// User is somebody who has placed an order.
var User = Type("User", func() {
	Attribute("name", String, "The subject of the user's tokens.", func() {
		Example("alice")
	})
	Attribute("orders", Int64, "How many orders the user has placed.", func() {
		Example(3)
	})
	Attribute("last_order_at", String, "When the user placed the latest (RFC 3339, UTC).", func() {
		Format(FormatDateTime)
		Example("2026-11-22T18:23:07Z")
	})
	Required("name", "orders", "last_order_at")
})

// UserRecord is what administrators see of a user.
var UserRecord = Type("UserRecord", func() {
	Extend(User)
	Attribute("cancelled", Int64, "How many of the orders were cancelled.", func() {
		Example(1)
	})
	Attribute("first_order_at", String, "When the user placed the first (RFC 3339, UTC).", func() {
		Format(FormatDateTime)
		Example("2026-10-01T09:00:00Z")
	})
	Required("cancelled", "first_order_at")
})
