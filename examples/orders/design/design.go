// Package design is the contract of a small shop: the HTTP and gRPC interfaces
// in Goa's language, and beside it what holds in production.
//
// The number of a Field is its number in gRPC's messages. It is as much a part
// of the interface as its name: it never changes, and is never used again.
// Those of credentials are in no message, since gRPC sends them as metadata, as
// HTTP does in headers.
//
// Four services show the four ways to authenticate: orders takes JWTs, users
// API keys, accounts the API's own HTTP Basic, and reports OAuth2. One file
// holds each.
package design

import (
	. "github.com/aguada-dev/aguada/dsl"
	. "goa.design/goa/v3/dsl"
)

var _ = API("shop", func() {
	Title("Shop")
	Version("1.0.0")
	Description("Orders of a small shop, the people who place them, and what was sold.")
	Server("ordersd", func() {
		Description("The shop's one server.")
		Services("orders", "users", "accounts", "reports")
		Host("local", func() {
			URI("http://127.0.0.1:8080")
			URI("grpc://127.0.0.1:8081")
		})
	})
	// Whatever says nothing of its own asks for a user name and a password.
	Security(BasicAuth)
	Deadline("5s")
	MaxBody("1MiB")
	// For each method: far more than one caller needs, far less than a flood.
	RateLimit(10000, "1s", PerClientIP, Burst(20000))
})

// The schemes. The scope api:admin is what the method admin of users asks for.
var (
	BasicAuth = BasicAuthSecurity("basic", func() {
		Description("Basic authentication using username and password")
	})

	APIKeyAuth = APIKeySecurity("api_key", func() {
		Description("Secures endpoint by requiring an API key")
	})

	JWTAuth = JWTSecurity("jwt", func() {
		Description("Secures endpoint by requiring a valid JWT token")
		Scope("api:read", "Read access to API")
		Scope("api:write", "Write access to API")
		Scope("api:admin", "Access to what belongs to others")
	})

	OAuth2 = OAuth2Security("oauth2", func() {
		Description("OAuth2 authentication")
		AuthorizationCodeFlow("/authorize", "/token", "/refresh")
		Scope("api:write", "Write access")
		Scope("api:read", "Read access")
	})
)

// currencies are the ISO 4217 codes of what the shop sells in.
var currencies = []any{"AUD", "BRL", "CAD", "CHF", "DKK", "EUR", "GBP", "INR", "JPY", "NOK", "PLN", "SEK", "USD"}

const (
	orderID = `^ord_[a-z2-7]{26}$`
	// A reference is made by another system; it must be safe to print.
	reference = `^[A-Za-z0-9][A-Za-z0-9._:-]*$`
	exampleID = "ord_5r7wq3kzv2ncl4xgy6tjd2hame"
)
