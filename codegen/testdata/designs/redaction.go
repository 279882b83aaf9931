package designs

import (
	. "github.com/aguada-dev/aguada/dsl"
	. "goa.design/goa/v3/dsl"
)

// Redaction has sensitive attributes wherever Goa lets them be.
func Redaction() {
	jwt := JWTSecurity("jwt")
	card := Type("Card", func() {
		Attribute("number", String, func() { Sensitive() })
		Attribute("holder", String)
		Required("number")
	})
	shared := Type("Shared", func() {
		Meta("struct:pkg:path", "types")
		Attribute("pin", String, func() { Sensitive(); Meta("struct:field:name", "PINCode") })
		Attribute("note", String)
	})
	nested := Type("Nested", func() {
		Attribute("card", card)
		Attribute("cards", ArrayOf(card))
		Attribute("by_name", MapOf(String, card))
		Attribute("shared", shared)
		Attribute("inline", func() {
			Attribute("secret", String, func() { Sensitive() })
			Attribute("open", String)
		})
		Attribute("self", "Nested")
	})
	refused := Type("Refused", func() {
		Attribute("card", card)
		ErrorName("name", String)
		Required("name")
	})
	pin := Type("Pin", String, func() { Sensitive() })
	plain := Type("Plain", func() { Attribute("name", String) })
	Service("pay", func() {
		Error("refused", refused)
		Error("plain", plain)
		Method("pay", func() {
			Security(jwt)
			Payload(func() {
				Token("token", String)
				Attribute("nested", nested)
				OneOf("means", func() {
					Attribute("by_card", card)
					Attribute("by_name", String)
				})
				Attribute("phones", ArrayOf(String), func() { Sensitive() })
				Attribute("plain", plain)
				Attribute("pin", pin)
			})
			Result(ArrayOf(nested))
			HTTP(func() { POST("/pay"); Response("refused", StatusConflict); Response("plain", StatusBadRequest) })
		})
		Method("export", func() {
			Security(jwt)
			Payload(func() { Token("token"); Attribute("format", String) })
			Result(plain)
			HTTP(func() { POST("/export") })
		})
		Method("watch", func() {
			Security(jwt)
			Payload(func() { Token("token") })
			StreamingResult(card)
			HTTP(func() { GET("/watch") })
		})
		Method("send", func() {
			Security(jwt)
			Payload(func() { Token("token") })
			HTTP(func() { POST("/send"); SkipRequestBodyEncodeDecode() })
		})
		Method("mixed", func() {
			NoSecurity()
			Payload(shared)
			Result(plain)
			StreamingResult(func() { Attribute("pin", String, func() { Sensitive() }) })
			HTTP(func() { POST("/mixed"); ServerSentEvents() })
		})
	})
	code := Type("Code", String, func() { Sensitive() })
	Service("other", func() {
		Method("redeem", func() {
			NoSecurity()
			Payload(func() {
				Attribute("code", code)
				Attribute("codes", ArrayOf(code))
				Attribute("path", code)
				Required("path")
			})
			HTTP(func() { GET("/redeem/{path}"); Param("codes"); Header("code:X-Code") })
		})
		Method("shared", func() {
			NoSecurity()
			Payload(shared)
			Result(shared)
			HTTP(func() { POST("/shared") })
		})
	})
}
