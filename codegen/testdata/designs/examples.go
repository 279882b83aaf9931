package designs

import (
	_ "github.com/aguada-dev/aguada/dsl"
	. "goa.design/goa/v3/dsl"
)

// Examples has requests of all shapes.
func Examples() {
	API("examples", func() {
		HTTP(func() {
			Consumes("application/json", "application/cbor")
			Produces("application/xml", "application/json")
		})
	})
	basic := BasicAuthSecurity("basic")
	Service("shapes", func() {
		Method("whole", func() {
			Security(basic)
			Payload(func() {
				Username("user")
				Password("pass")
				Attribute("id", Int)
				Attribute("lang", String)
				Attribute("name", String)
				Attribute("sizes", ArrayOf(Int))
				Required("user", "pass", "id", "lang", "name")
				Example(Val{"user": "ana", "pass": "secret", "id": 7, "lang": "en", "name": "tea <b>", "sizes": []int{1, 2}})
			})
			HTTP(func() { PUT("/whole/{id}"); Header("lang:Accept-Language") })
		})
		Method("scattered", func() {
			NoSecurity()
			Payload(func() {
				Attribute("ids", ArrayOf(Int), func() { Example([]int{1, 2}) })
				Attribute("tags", ArrayOf(String), func() { Example([]string{"a/b", "c"}) })
				Attribute("filter", MapOf(String, String), func() { Example(map[string]string{"color": "red"}) })
				Attribute("session", String, func() { Example("s1") })
				Attribute("etag", String, func() { Example("e1") })
				Attribute("optional", String)
				Required("ids", "tags", "filter", "session", "etag")
			})
			HTTP(func() {
				GET("/scattered/{ids}")
				Param("tags:t")
				Param("filter")
				Param("optional")
				Cookie("session:SID")
				Header("etag:If-None-Match")
				Response(StatusOK)
				Response(StatusNotModified)
			})
		})
		Method("attribute", func() {
			NoSecurity()
			Payload(func() {
				Attribute("items", ArrayOf(String), func() { Example([]string{"x"}) })
				Attribute("more", MapOf(String, String), func() { Example(map[string]string{"k": "v"}) })
				Required("items", "more")
			})
			Result(String)
			HTTP(func() {
				POST("/attribute")
				Body("items")
				MapParams("more")
				Response(StatusAccepted, func() { ContentType("text/plain") })
			})
		})
		Method("bytes", func() {
			NoSecurity()
			Payload(Bytes, func() { Example([]byte("`raw`")) })
			HTTP(func() { POST("/bytes") })
		})
		Method("none", func() {
			NoSecurity()
			Payload(func() {
				Attribute("id", String, func() { Meta("openapi:example", "false") })
				Required("id")
			})
			HTTP(func() { GET("/none/{id}") })
		})
	})
}

// NoExamples switches examples off, and takes nothing that JSON could be.
func NoExamples() {
	API("quiet", func() {
		Randomizer(nil)
		HTTP(func() { Consumes("application/xml") })
	})
	Service("quiet", func() {
		Method("get", func() {
			NoSecurity()
			Payload(func() { Attribute("id", String); Required("id") })
			HTTP(func() { GET("/get/{id}") })
		})
		Method("post", func() {
			NoSecurity()
			Payload(func() { Attribute("id", String, func() { Example("x") }) })
			HTTP(func() { POST("/post") })
		})
		Method("ping", func() {
			NoSecurity()
			HTTP(func() { GET("/ping") })
		})
	})
}
