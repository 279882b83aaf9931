package dsl_test

import (
	"slices"
	"testing"

	. "goa.design/goa/v3/dsl"

	. "github.com/aguada-dev/aguada/dsl"
)

func TestGood(t *testing.T) {
	checkGolden(t, "good.txtar", slices.Concat(goodCases, goodTraffic), contract)
}

// goodCases are the designs of good.txtar, dot-imported as in most designs.
var goodCases = []golden{
	{"nothing", func() {
		Service("orders", func() {
			Method("create", func() { Payload(String) })
			Method("watch", func() { StreamingResult(String) })
			Method("feed", func() { StreamingPayload(String) })
		})
	}},
	{"no-api", func() {
		Service("orders", func() {
			DependsOn("database")
			Method("create", func() { Deadline("2s") })
		})
	}},
	{"inheritance", func() {
		API("shop", func() {
			Deadline("5s")
			MaxBody("2MB")
			MaxInFlight(100)
			Audit()
		})
		Service("orders", func() {
			Deadline("10s")
			MaxInFlight(50)
			Method("create", func() {
				Deadline("1m30s")
				MaxBody("3GiB")
				MaxInFlight(1)
			})
			Method("list", func() { NoAudit() })
		})
		Service("users", func() {
			NoAudit()
			Method("list", func() {})
			Method("delete", func() { Audit() })
		})
	}},
	{"deadline-off", func() {
		API("shop", func() { Deadline("5s") })
		Service("orders", func() {
			Method("watch", func() {
				StreamingResult(String)
				Deadline("0s")
			})
			Method("inherits", func() { StreamingResult(String) })
			Method("zero", func() { Deadline("0") })
			Method("shortest", func() { Deadline("1ms") })
		})
		Service("files", func() {
			Deadline("0s")
			Method("copy", func() {})
		})
	}},
	{"sizes", func() {
		Service("sizes", func() {
			Method("B", func() { MaxBody("1B") })
			Method("KB", func() { MaxBody("1KB") })
			Method("KiB", func() { MaxBody("1KiB") })
			Method("MB", func() { MaxBody("1MB") })
			Method("MiB", func() { MaxBody("1MiB") })
			Method("GB", func() { MaxBody("1GB") })
			Method("GiB", func() { MaxBody("1GiB") })
			Method("largest", func() { MaxBody("9223372036854775807B") })
		})
	}},
	{"depends-on", func() {
		API("shop", func() { DependsOn("payments") })
		Service("orders", func() {
			DependsOn("database", "cache.eu-1")
			DependsOn("payments") // the API's too: once in the contract
			DependsOn("Stock_2")
			Method("create", func() {})
		})
		Service("users", func() { Method("list", func() {}) })
	}},
	{"service-declared-in-two-files", func() {
		Service("orders", func() {
			Deadline("5s")
			Method("create", func() {})
		})
		Service("orders", func() {
			MaxInFlight(3)
			Method("list", func() {})
		})
	}},
	{"sensitive-attributes", func() {
		Address := Type("Address", func() {
			Attribute("street", String, func() { Sensitive() })
			Attribute("country", String)
		})
		Order := ResultType("application/vnd.order", func() {
			TypeName("Order")
			Attributes(func() {
				Field(1, "id", String)
				Field(2, "card", String, "card number", func() { Sensitive() })
				Field(3, "address", Address)
			})
			View("default", func() {
				Attribute("id")
				Attribute("card")
			})
		})
		Service("orders", func() {
			Method("create", func() {
				Payload(func() {
					Attribute("note", String, func() { MaxLength(10); Sensitive() })
					Attribute("address", Address)
					Attribute("inline", func() {
						Attribute("open", String)
						Attribute("secret", Int, func() { Sensitive() })
					})
				})
				Result(Order)
			})
			Method("list", func() { Result(CollectionOf(Order)) })
			Method("search", func() { Result(ArrayOf(Address)) })
		})
	}},
	{"sensitive-containers", func() {
		Card := Type("Card", func() {
			Attribute("number", String, func() { Sensitive() })
			Attribute("expiry", String)
		})
		Pin := Type("Pin", String, func() { Sensitive() })
		Pins := Type("Pins", ArrayOf(Pin))
		Service("orders", func() {
			Method("create", func() {
				Payload(func() {
					Attribute("object", Card, func() { Sensitive() })
					Attribute("inline", func() {
						Attribute("a", String)
						Sensitive()
					})
					Attribute("elements", ArrayOf(String, func() { Sensitive() }))
					Attribute("keys", MapOf(String, Int, func() { Key(func() { Sensitive() }) }))
					Attribute("values", MapOf(String, Int, func() { Elem(func() { Sensitive() }) }))
					Attribute("map", MapOf(String, Int, func() { Sensitive() }))
					Attribute("elem", ArrayOf(Int), func() { Elem(func() { Sensitive() }) })
					Attribute("cards", ArrayOf(Card))
					Attribute("pin", Pin)
					Attribute("pins", Pins)
					OneOf("secret_choice", func() {
						Attribute("iban", String, func() { Sensitive() })
						Attribute("cash", Boolean)
					})
					OneOf("choice", func() {
						Attribute("card", Card)
						Attribute("none", Boolean)
					})
				})
			})
		})
	}},
	{"sensitive-credentials", func() {
		basic, key := BasicAuthSecurity("basic"), APIKeySecurity("key")
		jwt, oauth, bearer := JWTSecurity("jwt"), OAuth2Security("oauth"), BearerSecurity("bearer")
		Service("users", func() {
			Method("basic", func() {
				Security(basic)
				Payload(func() {
					Username("user", String)
					Password("password", String, func() { Sensitive() })
				})
			})
			Method("key", func() {
				Security(key)
				Payload(func() { APIKey("key", "key", String) })
			})
			Method("jwt", func() {
				Security(jwt)
				Payload(func() { Token("token", String) })
			})
			Method("oauth", func() {
				Security(oauth)
				Payload(func() { AccessToken("token", String) })
			})
			Method("bearer", func() {
				Security(bearer)
				Payload(func() { BearerToken("token", String) })
			})
		})
	}},
	{"sensitive-username", func() {
		basic := BasicAuthSecurity("basic")
		Service("users", func() {
			Method("login", func() {
				Security(basic)
				Payload(func() {
					Username("user", String, func() { Sensitive() })
					Password("password", String)
				})
			})
		})
	}},
	{"sensitive-derived", func() {
		Source := Type("Source", func() {
			Attribute("card", String, func() { Sensitive() })
			Attribute("open", String)
		})
		Service("orders", func() {
			Method("reference", func() {
				Payload(func() {
					Reference(Source)
					Attribute("card")
					Attribute("open")
				})
			})
			Method("extend", func() {
				Payload(func() {
					Extend(Source)
					Attribute("more", String)
				})
			})
			Method("customized", func() {
				Payload(Source, func() { Required("card") })
			})
		})
	}},
	{"sensitive-late-reference", func() {
		// Goa evaluates types before result types, and so copies no mark.
		Order := ResultType("application/vnd.order", func() {
			TypeName("Order")
			Attribute("card", String, func() { Sensitive() })
			Attribute("open", String)
			Attribute("address", func() {
				Attribute("street", String, func() { Sensitive() })
				Attribute("country", String)
			})
		})
		Create := Type("Create", func() {
			Reference(Order)
			Attribute("card", String)
			Attribute("open", String)
			Attribute("address", func() {
				Attribute("street", String)
				Attribute("country", String)
			})
		})
		Service("orders", func() {
			Method("create", func() { Payload(Create) })
		})
	}},
	{"sensitive-overrides-extended", func() {
		Base := Type("Base", func() {
			Attribute("card", String, func() { Sensitive() })
		})
		Service("orders", func() {
			Method("create", func() {
				Payload(func() {
					Extend(Base)
					Attribute("card", String, func() { Sensitive() })
				})
			})
		})
	}},
	{"sensitive-error", func() {
		Declined := Type("Declined", func() {
			ErrorName("name", String)
			Attribute("card", String, func() { Sensitive() })
			Required("name")
		})
		Service("orders", func() {
			Error("declined", Declined)
			Method("create", func() {
				Error("refused", Declined)
				Error("plain")
			})
		})
	}},
	{"strict-body", func() {
		API("shop", func() { StrictBody() })
		Service("orders", func() {
			Method("create", func() {})
			Method("import", func() { NoStrictBody() })
		})
		Service("users", func() {
			NoStrictBody()
			Method("create", func() { StrictBody() })
			Method("list", func() {})
		})
	}},
	{"cors", func() {
		API("shop", func() {
			CORSOrigins("https://shop.example", "http://localhost:3000", "https://xn--mnchen-3ya.example", "http://[::1]:8080", "capacitor://localhost")
			CORSCredentials()
		})
		Service("orders", func() {
			Method("create", func() {})
			Method("import", func() { NoCORS() })
			Method("public", func() { CORSOrigins("*") }) // without the API's credentials
		})
		Service("internal", func() {
			NoCORS()
			Method("list", func() {})
			Method("shared", func() {
				CORSOrigins("https://admin.example")
				CORSCredentials()
			})
		})
	}},
	{"rate-limits", func() {
		basic := BasicAuthSecurity("basic")
		burst := Burst(30)
		API("shop", func() {
			Security(basic)
			RateLimit(1000, "1s", PerClientIP, Burst(2000))
			RateLimit(10000, "1h", PerPrincipal)
		})
		Service("orders", func() {
			Method("inherits", func() { credentials() })
			Method("own", func() {
				credentials()
				RateLimit(100, "1s", PerPrincipal, Burst(200))
				RateLimit(100, "60s", PerPrincipal, burst)
				RateLimit(100, "1s", PerCredential, burst)
				RateLimit(100, "1s", Global, Burst(1))
			})
			Method("unbounded", func() {
				credentials()
				NoRateLimit()
			})
			Method("open", func() {
				NoSecurity()
				RateLimit(20, "1m30s", PerClientIP)
			})
			Method("open-unbounded", func() {
				NoSecurity()
				NoRateLimit()
			})
		})
		Service("files", func() {
			RateLimit(50, "1s", PerClientIP)
			Files("/{*path}", "public")
			Method("replaces", func() { credentials() })
		})
		Service("unbounded", func() {
			NoRateLimit()
			Method("inherits", func() { NoSecurity() })
			Method("own", func() {
				credentials()
				RateLimit(1, "24h", PerCredential)
			})
		})
	}},
	{"rate-limit-bounds", func() {
		Service("orders", func() {
			Method("most", func() { RateLimit(1000000, "1s", Global) })
			Method("most-in-a-day", func() { RateLimit(1000000000, "24h", Global, Burst(1000000000)) })
			Method("fewest", func() { RateLimit(1, "24h", Global, Burst(366)) })
		})
	}},
	{"rate-limits-in-two-files", func() {
		Service("orders", func() {
			RateLimit(1, "1s", Global)
			Method("create", func() {})
		})
		Service("orders", func() {
			RateLimit(2, "2s", Global)
		})
	}},
	{"sensitive-recursive", func() {
		Type("Node", func() {
			Attribute("secret", String, func() { Sensitive() })
			Attribute("children", ArrayOf("Node"))
			Attribute("next", "Node")
		})
		Service("tree", func() {
			Method("get", func() {
				Payload(func() { Attribute("node", "Node") })
			})
		})
	}},
}

func credentials() {
	Payload(func() {
		Username("user", String)
		Password("password", String)
	})
}
