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
			APIKeyField(15, "api_key", "key", String, "An API key.")
			userPage()
			Required("key")
		})
		Result(func() {
			Field(1, "users", ArrayOf(User), "The users of this page, by name.")
			Required("users")
		})
		HTTP(func() {
			GET("")
			Header("key:X-API-Key")
			Param("limit")
			Param("after")
			Response(StatusOK)
		})
		GRPC(func() {
			Metadata(func() {
				Attribute("key:x-api-key")
			})
			Response(CodeOK)
		})
	})

	Method("admin", func() {
		Description("List the users by name, with what became of their orders.")
		// It reads all orders.
		RateLimit(100, "1s", PerPrincipal)
		ShedPriority("low")
		Security(JWTAuth, func() {
			Scope("api:admin")
		})
		Payload(func() {
			TokenField(15, "token", String, "A JWT.")
			userPage()
			Required("token")
		})
		Result(func() {
			Field(1, "users", ArrayOf(UserRecord), "The users of this page, by name.")
			Required("users")
		})
		HTTP(func() {
			GET("/admin")
			Param("limit")
			Param("after")
			Response(StatusOK)
		})
		GRPC(func() {
			Response(CodeOK)
		})
	})

	// It is not called public: gRPC's clients that Goa generates do not compile
	// with a method of that name, which protocol buffers reserve.
	Method("about", func() {
		Description("Tell what anybody may know before they become a user.")
		NoSecurity()
		Result(func() {
			Field(1, "shop", String, "Name of the shop.", func() {
				Example("Shop")
			})
			Field(2, "currencies", ArrayOf(String), "ISO 4217 codes that an order may be in.", func() {
				Example([]string{"EUR", "USD"})
			})
			Required("shop", "currencies")
		})
		HTTP(func() {
			GET("/public")
			Response(StatusOK)
		})
		GRPC(func() {
			Response(CodeOK)
		})
	})
})

// userPage adds what a caller may say about the page it wants.
func userPage() {
	Field(1, "limit", Int, "The most users to answer with; the server decides where it is absent.", func() {
		Minimum(1)
		Maximum(100)
		Example(20)
	})
	Field(2, "after", String, "Name of the last user of the page before; absent for the first page.", func() {
		MinLength(1)
		MaxLength(256)
		Example("alice")
	})
}

// User is somebody who has placed an order.
var User = Type("User", func() {
	Field(1, "name", String, "The subject of the user's tokens.", func() {
		Example("alice")
	})
	Field(2, "orders", Int64, "How many orders the user has placed.", func() {
		Example(3)
	})
	Field(3, "last_order_at", String, "When the user placed the latest (RFC 3339, UTC).", func() {
		Format(FormatDateTime)
		Example("2026-11-22T18:23:07Z")
	})
	Required("name", "orders", "last_order_at")
})

// UserRecord is what administrators see of a user.
var UserRecord = Type("UserRecord", func() {
	Extend(User)
	Field(4, "cancelled", Int64, "How many of the orders were cancelled.", func() {
		Example(1)
	})
	Field(5, "first_order_at", String, "When the user placed the first (RFC 3339, UTC).", func() {
		Format(FormatDateTime)
		Example("2026-10-01T09:00:00Z")
	})
	Required("cancelled", "first_order_at")
})
