package dsl_test

import (
	. "goa.design/goa/v3/dsl"

	. "github.com/aguada-dev/aguada/dsl"
)

// badLimits are designs with wrong limits of rates.
var badLimits = []golden{
	{"rate-limit-values", inMethod(func() {
		RateLimit(0, "1s", Global)
		RateLimit(-1, "1s", Global)
		RateLimit(1000001, "1s", Global)
		RateLimit(1000000001, "24h", Global)
		RateLimit(1, "", Global)
		RateLimit(1, "1", Global)
		RateLimit(1, "s", Global)
		RateLimit(1, "1 s", Global)
		RateLimit(1, "second", Global)
		RateLimit(1, "1x", Global)
		RateLimit(1, "1d", Global)
		RateLimit(1, "0s", Global)
		RateLimit(1, "-1s", Global)
		RateLimit(1, "999ms", Global)
		RateLimit(1, "1.5s", Global)
		RateLimit(1, "24h1s", Global)
		RateLimit(1, "9999999999h", Global)
		RateLimit(1, "1s\"%d\n", Global)
		RateLimit(1, "1s", "")
		RateLimit(1, "1s", "PerPrincipal%s")
		RateLimit(1, "1s", Global, Burst(0))
		RateLimit(1, "1s", Global, Burst(-1))
		RateLimit(1000000000, "24h", Global, Burst(1000000001))
		RateLimit(1, "24h", Global, Burst(367))
		RateLimit(1, "1s", Global, Burst(1), Burst(2))
		RateLimit(1, "1s", Global, nil)
		RateLimit(0, "1s", Global, nil)
		RateLimit(1, "1s", Global, nil, nil)
	})},
	{"rate-limit-twice", func() {
		API("shop", func() {
			RateLimit(1, "60s", PerClientIP)
			RateLimit(2, "1m", PerClientIP, Burst(3))
			RateLimit(2, "1s", PerClientIP)
		})
		Service("orders", func() {
			NoRateLimit()
			NoRateLimit()
			RateLimit(2, "1s", Global)
			Method("create", func() {
				RateLimit(2, "1s", Global)
				NoRateLimit()
			})
			Method("many", func() {
				RateLimit(1, "1s", Global)
				RateLimit(1, "2s", Global)
				RateLimit(1, "3s", Global)
				RateLimit(1, "4s", Global)
				RateLimit(1, "5s", Global)
			})
		})
		Service("orders", func() {
			RateLimit(2, "1m", Global)
		})
	}},
	{"rate-limit-places", func() {
		API("shop", func() {
			NoRateLimit()
			HTTP(func() { RateLimit(1, "1s", Global) })
		})
		Service("orders", func() {
			Files("/{*path}", "public", func() {
				RateLimit(1, "1s", Global)
			})
			Method("create", func() {
				Payload(func() {
					RateLimit(1, "1s", Global, Burst(2))
					Attribute("a", String, func() { NoRateLimit() })
				})
				HTTP(func() {
					POST("/")
					RateLimit(1, "1s", Global)
				})
			})
		})
	}},
	{"rate-limit-top-level", func() {
		RateLimit(1, "1s", Global)
		NoRateLimit()
	}},
	{"rate-limit-burst-alone", func() {
		burst := Burst(1)
		API("shop", func() {
			RateLimit(10, "1s", Global)
			Burst(20)
		})
		Service("orders", func() {
			Method("create", func() {
				Burst(3)
			})
		})
		_ = burst
	}},
	{"rate-limit-of-nobody", func() {
		basic := BasicAuthSecurity("basic")
		API("shop", func() {
			RateLimit(100, "1s", PerPrincipal, Burst(200))
			RateLimit(100, "1s", PerClientIP)
		})
		Service("orders", func() {
			Security(basic)
			Method("secured", func() { credentials() })
			Method("open", func() {
				NoSecurity()
			})
			Method("counted", func() {
				NoSecurity()
				RateLimit(1, "1m", PerCredential)
				RateLimit(1, "1m", Global)
			})
			Method("well", func() {
				NoSecurity()
				RateLimit(1, "1m", Global)
			})
		})
		Service("undeclared", func() {
			Method("any", func() {})
			Method("secured", func() { Security(basic); credentials() })
		})
		Service("files", func() {
			Security(basic)
			Files("/{*path}", "public")
			Files("/logo.png", "logo.png")
		})
		Service("own-files", func() {
			RateLimit(1, "1s", PerPrincipal)
			RateLimit(1, "1s", PerCredential)
			Files("/own/{*path}", "own")
		})
	}},
}
