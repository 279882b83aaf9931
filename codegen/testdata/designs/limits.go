package designs

import (
	. "github.com/aguada-dev/aguada/dsl"
	. "goa.design/goa/v3/dsl"
)

// Limits has rate limits at all levels, by everybody that can be counted, and
// methods whose names do not fit into those of limits.
func Limits() {
	key := APIKeySecurity("key")
	keyed := func() {
		Payload(func() { APIKey("key", "key", String); Required("key") })
	}
	const long = "a method with a name that is as long as it is hard to read aloud"
	API("limits", func() {
		Security(key)
		RateLimit(1000, "1s", PerClientIP, Burst(2000))
		RateLimit(10000, "1h", PerPrincipal)
	})
	Service("orders", func() {
		Method("create", func() {
			keyed()
			RateLimit(100, "1s", PerPrincipal, Burst(200))
			RateLimit(500, "60s", PerCredential, Burst(1))
			RateLimit(5000, "1h30m", Global)
			HTTP(func() { POST("/orders"); Header("key:X-Key"); Response(StatusNoContent) })
		})
		Method("list", func() { // has the API's
			keyed()
			HTTP(func() { GET("/orders"); Header("key:X-Key"); Response(StatusNoContent) })
		})
		Method("status", func() {
			NoSecurity()
			NoRateLimit()
			HTTP(func() { GET("/status"); Response(StatusNoContent) })
		})
		Method(long+" 1", func() {
			keyed()
			HTTP(func() { GET("/long/1"); Header("key:X-Key"); Response(StatusNoContent) })
		})
		Method(long+" 2", func() {
			keyed()
			HTTP(func() { GET("/long/2"); Header("key:X-Key"); Response(StatusNoContent) })
		})
		Method("watch", func() {
			keyed()
			RateLimit(10, "1m", PerCredential)
			StreamingResult(func() { Attribute("n", Int) })
			HTTP(func() { GET("/watch"); Header("key:X-Key"); Response(StatusOK); ServerSentEvents() })
		})
	})
	Service("pages", func() {
		RateLimit(50, "1s", PerClientIP)
		Files("/app/{*path}", "app/pages")
		Files("/old/{*path}", "app/pages")
		Method("full", func() {
			keyed()
			Error("full")
			HTTP(func() {
				GET("/full")
				Header("key:X-Key")
				Response(StatusNoContent)
				Response("full", StatusTooManyRequests)
			})
		})
	})
}
