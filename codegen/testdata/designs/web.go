package designs

import (
	. "github.com/aguada-dev/aguada/dsl"
	. "goa.design/goa/v3/dsl"
)

// Strict has strict bodies at all levels, of types that other bodies use too.
func Strict() {
	item := item()
	address := Type("Address", func() {
		Attribute("street", String, func() { Example("Crown Street 12") })
		Attribute("more", MapOf(String, item), func() { Example(map[string]any{"x": map[string]any{"sku": "tea-1", "quantity": 2}}) })
		Attribute("lines", ArrayOf(item), func() { Example([]any{map[string]any{"sku": "tea-1", "quantity": 2}}) })
		Attribute("any", Any, func() { Example("thing") })
	})
	only := Type("Only", func() {
		Attribute("a", String, func() { Example("a") })
		Attribute("again", "Only", func() { Meta("openapi:example", "false") })
	})
	API("strict", func() { StrictBody() })
	Service("strict", func() {
		Method("create", func() {
			Payload(func() {
				Attribute("address", address)
				Attribute("only", only)
				OneOf("choice", func() {
					Attribute("item", item)
					Attribute("word", String)
				})
				Required("address")
			})
			Result(item)
			HTTP(func() { POST("/strict") })
		})
		Method("shared", func() {
			NoStrictBody()
			Payload(address)
			HTTP(func() { POST("/open") })
		})
		Method("get", func() { HTTP(func() { GET("/strict") }) }) // has no body
		Method("upload", func() {
			NoStrictBody()
			HTTP(func() { POST("/raw"); SkipRequestBodyEncodeDecode() })
		})
	})
}

// StrictNothing is strict about a body that there is not.
func StrictNothing() {
	Service("strict", func() {
		Method("get", func() {
			StrictBody()
			HTTP(func() { GET("/strict") })
		})
		Method("upload", func() {
			StrictBody()
			HTTP(func() { POST("/raw"); SkipRequestBodyEncodeDecode() })
		})
	})
}

// Pages shares methods with pages of other origins, with headers of all kinds.
func Pages() {
	basic := BasicAuthSecurity("basic")
	key := APIKeySecurity("key")
	session := APIKeySecurity("session")
	API("pages", func() {
		CORSOrigins("https://shop.example", "http://localhost:3000")
	})
	Service("pages", func() {
		Error("busy")
		Method("put", func() {
			Security(key)
			Payload(func() {
				APIKey("key", "key", String)
				Attribute("match", String, func() { Example("x") })
				Attribute("kind", String, func() { Example("text/plain") })
				Attribute("n", Int, func() { Example(1) })
				Required("key", "n")
			})
			Result(func() { Attribute("tag", String); Attribute("n", Int); Required("tag") })
			HTTP(func() {
				PUT("/pages/{n}")
				Header("key:x-api-key")
				Header("match:if-match")
				Header("kind:content-type")
				Response(StatusOK, func() { Header("tag:etag") })
				Response("busy", StatusConflict)
			})
		})
		Method("account", func() {
			Security(basic)
			CORSOrigins("https://account.example")
			CORSCredentials()
			Payload(func() { Username("user"); Password("pass") })
			HTTP(func() { GET("/account"); Response(StatusNoContent) })
		})
		Method("session", func() {
			Security(session)
			NoCORS()
			Payload(func() { APIKey("session", "sid", String) })
			HTTP(func() { POST("/session"); Cookie("sid:SID"); Response(StatusNoContent) })
		})
		Method("open", func() {
			NoSecurity()
			CORSOrigins("*")
			HTTP(func() { GET("/open"); Response(StatusNoContent) })
		})
		Files("/app/{*path}", "app")
	})
}

// AnyPage lets any page use what browsers add by themselves.
func AnyPage() {
	basic := BasicAuthSecurity("basic")
	session := APIKeySecurity("session")
	API("pages", func() {
		CORSOrigins("*")
	})
	Service("pages", func() {
		Method("account", func() {
			Security(basic)
			Payload(func() { Username("user"); Password("pass") })
			HTTP(func() { GET("/account") })
		})
		Method("session", func() {
			Security(session)
			Payload(func() { APIKey("session", "sid", String) })
			HTTP(func() { POST("/session"); Cookie("sid:SID") })
		})
	})
}

// Flows has every OAuth2 flow.
func Flows() {
	oauth := OAuth2Security("oauth2", func() {
		AuthorizationCodeFlow("https://id.example/authorize", "https://id.example/token", "https://id.example/refresh")
		ImplicitFlow("/authorize", "/refresh")
		PasswordFlow("/token", "/refresh")
		ClientCredentialsFlow("/token", "")
		Scope("api:read", "Read \"everything\"")
		Scope("api:write")
	})
	Service("reports", func() {
		Security(oauth, func() { Scope("api:read") })
		Method("sales", func() {
			Payload(func() { AccessToken("token", String); Required("token") })
			HTTP(func() { GET("/sales"); Response(StatusNoContent) })
		})
	})
}
