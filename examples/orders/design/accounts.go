package design

import (
	. "goa.design/goa/v3/dsl"
)

// accounts says nothing about security: the API's Basic holds.
var _ = Service("accounts", func() {
	Description("The caller's own account.")
	HTTP(func() {
		Path("/accounts")
	})

	Method("me", func() {
		Description("Tell who the caller is.")
		Payload(func() {
			UsernameField(14, "username", String, "The account's name.")
			PasswordField(15, "password", String, "The account's password.")
			Required("username", "password")
		})
		Result(func() {
			Field(1, "username", String, "The account's name, as authenticated.", func() {
				Example("alice")
			})
			Required("username")
		})
		HTTP(func() {
			GET("/me")
			Response(StatusOK)
		})
		GRPC(func() {
			Response(CodeOK)
		})
	})
})
