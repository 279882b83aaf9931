package dsl_test

import (
	"slices"
	"testing"

	. "goa.design/goa/v3/dsl"

	. "github.com/aguada-dev/aguada/dsl"
)

func TestBad(t *testing.T) {
	checkGolden(t, "bad.txtar", slices.Concat(badCases, badLimits, badTraffic), diagnostics)
}

// inMethod returns a design that calls the DSL in a method.
func inMethod(dsl func()) func() {
	return func() {
		Service("orders", func() { Method("create", dsl) })
	}
}

// inPayload returns a design that calls the DSL in a payload.
func inPayload(dsl func()) func() {
	return inMethod(func() { Payload(dsl) })
}

// badCases are the designs of bad.txtar. One call per line: a diagnostic is
// told from others by its line.
var badCases = []golden{
	{"deadline-values", inMethod(func() {
		Deadline("")
		Deadline("5")
		Deadline("s")
		Deadline("5 s")
		Deadline("5x")
		Deadline("1d")
		Deadline("5s ")
		Deadline("five seconds")
		Deadline("-5s")
		Deadline("-1ns")
		Deadline("1ns")
		Deadline("999us")
		Deadline("99999999999h")
		Deadline("5s\"%d\n")
	})},
	{"deadline-twice", func() {
		API("shop", func() {
			Deadline("1s")
			Deadline("2s")
		})
		Service("orders", func() {
			Deadline("3s")
			Deadline("3s")
			Method("create", func() {
				Deadline("0s")
				Deadline("4s")
			})
		})
	}},
	{"top-level", func() {
		Deadline("1s")
		MaxBody("1B")
		MaxInFlight(1)
		Audit()
		NoAudit()
		DependsOn("a")
		Sensitive()
		JWTSecurity("jwt", func() { Deadline("4s") })
	}},
	{"deadline-places", func() {
		API("shop", func() {
			HTTP(func() { Deadline("2s") })
			Server("shop", func() { Deadline("3s") })
		})
		Type("Order", func() { Deadline("5s") })
		ResultType("application/vnd.order", func() { Deadline("6s") })
		Service("orders", func() {
			HTTP(func() { Deadline("7s") })
			Method("create", func() {
				Payload(func() {
					Deadline("8s")
					Attribute("id", String, func() { Deadline("9s") })
				})
				HTTP(func() {
					POST("/")
					Deadline("10s")
					Response(StatusOK, func() { Deadline("11s") })
				})
			})
		})
	}},
	{"max-body-values", inMethod(func() {
		MaxBody("")
		MaxBody("1")
		MaxBody("MiB")
		MaxBody("1 MiB")
		MaxBody("1mib")
		MaxBody("1MIB")
		MaxBody("1M")
		MaxBody("1Mb")
		MaxBody("1TiB")
		MaxBody("1.5MiB")
		MaxBody("1e6B")
		MaxBody("0B")
		MaxBody("0MiB")
		MaxBody("-1MiB")
		MaxBody("9223372036854775808B")
		MaxBody("9007199254740992KiB")
		MaxBody("99999999999GiB")
		MaxBody("1MiB%s\x00")
	})},
	{"max-body-twice", inMethod(func() {
		MaxBody("1MiB")
		MaxBody("1048576B")
	})},
	{"max-body-places", inPayload(func() {
		Attribute("file", Bytes, func() { MaxBody("1MiB") })
	})},
	{"max-in-flight-values", inMethod(func() {
		MaxInFlight(0)
		MaxInFlight(-1)
	})},
	{"max-in-flight-twice", inMethod(func() {
		MaxInFlight(1)
		MaxInFlight(2)
	})},
	{"max-in-flight-places", inMethod(func() {
		Result(func() {
			Attribute("a", Int, func() { MaxInFlight(1) })
		})
	})},
	{"audit-twice", inMethod(func() {
		Audit()
		Audit()
	})},
	{"audit-and-no-audit", inMethod(func() {
		Audit()
		NoAudit()
	})},
	{"audit-places", func() {
		API("shop", func() { NoAudit() })
		Type("Order", func() {
			Attribute("id", String, func() { Audit() })
			Attribute("card", String, func() { NoAudit() })
		})
	}},
	{"depends-on-values", func() {
		Service("orders", func() {
			DependsOn()
			DependsOn("")
			DependsOn("database", "")
			DependsOn(" cache")
			DependsOn("1st")
			DependsOn("a/b", "c d", "é")
			DependsOn("new\nline")
		})
	}},
	{"depends-on-twice", func() {
		API("shop", func() { DependsOn("a", "b", "a") })
		Service("orders", func() {
			DependsOn("database")
			DependsOn("cache", "database")
		})
	}},
	{"depends-on-places", func() {
		Service("orders", func() {
			Method("create", func() { DependsOn("database") })
		})
	}},
	{"twice-in-two-files", func() {
		Service("orders", func() {
			Deadline("5s")
			Method("create", func() {})
		})
		Service("orders", func() {
			Deadline("6s")
		})
	}},
	{"sensitive-places", func() {
		API("shop", func() { Sensitive() })
		Service("orders", func() {
			Sensitive()
			Method("create", func() {
				Sensitive()
				Payload(func() {
					Attribute("card", String)
				})
				Result(func() {
					Attribute("id", String)
				})
				HTTP(func() {
					Sensitive()
					POST("/")
					Header("card:X-Card", String, func() { Sensitive() })
					Body(func() {
						Attribute("card", String, func() { Sensitive() })
					})
					Response(StatusOK, func() {
						Header("id:X-Id", String, func() { Sensitive() })
					})
				})
			})
		})
	}},
	{"sensitive-interceptor", func() {
		Interceptor("trace", func() {
			ReadPayload(func() {
				Attribute("card", String, func() { Sensitive() })
			})
		})
	}},
	{"sensitive-grpc", func() {
		Service("orders", func() {
			Method("create", func() {
				Payload(func() { Field(1, "card", String) })
				GRPC(func() {
					Metadata(func() {
						Attribute("card", String, func() { Sensitive() })
					})
				})
			})
		})
	}},
	{"sensitive-wholes", func() {
		Type("Card", func() {
			Attribute("number", String)
			Sensitive()
		})
		ResultType("application/vnd.card", func() {
			Attributes(func() {
				Sensitive()
				Attribute("number", String)
			})
			Sensitive()
		})
		Service("orders", func() {
			Error("declined", String, func() { Sensitive() })
			Method("create", func() {
				Payload(func() {
					Attribute("card", String)
					Sensitive()
				})
				Result(String, func() { Sensitive() })
			})
			Method("array", func() {
				Payload(ArrayOf(String, func() { Sensitive() }))
			})
		})
	}},
	{"sensitive-whole-types", func() {
		Pin := Type("Pin", String, func() {
			Sensitive()
		})
		Pins := Type("Pins", ArrayOf(Pin))
		Service("orders", func() {
			Error("wrong", Pin)
			Method("create", func() {
				Payload(Pin)
				Result(Pins)
			})
			Method("feed", func() {
				StreamingPayload(Pins)
				Result(MapOf(String, String, func() {
					Elem(func() { Sensitive() })
				}))
			})
			Method("watch", func() {
				Result(func() { Attribute("id", String) })
				StreamingResult(Pin)
				HTTP(func() {
					GET("/watch")
					ServerSentEvents()
				})
			})
		})
	}},
	{"sensitive-view", func() {
		Order := ResultType("application/vnd.order", func() {
			TypeName("Order")
			Attributes(func() {
				Attribute("id", String)
				Attribute("card", String)
			})
			View("default", func() {
				Attribute("id")
				Attribute("card", String, func() {
					Sensitive()
				})
			})
		})
		Service("orders", func() {
			Method("get", func() { Result(Order) })
		})
	}},
	{"sensitive-extended", func() {
		Base := Type("Base", func() {
			Attribute("card", String)
		})
		Service("orders", func() {
			Method("create", func() {
				Payload(func() {
					Extend(Base)
					Attribute("card", String, func() {
						Sensitive()
					})
				})
			})
		})
	}},
	{"sensitive-whole-unnamed", func() {
		Service("orders", func() {
			Method("nested", func() {
				Payload(ArrayOf(ArrayOf(String, func() { Sensitive() })))
			})
			Method("stream", func() {
				StreamingPayload(ArrayOf(String, func() { Sensitive() }))
				StreamingResult(MapOf(String, ArrayOf(String, func() { Sensitive() })))
			})
		})
	}},
	{"sensitive-whole-unnamed-maps", func() {
		Service("orders", func() {
			Method("keys", func() {
				Result(MapOf(String, Int, func() {
					Key(func() { Sensitive() })
				}))
			})
			Method("values", func() {
				Payload(MapOf(String, String, func() {
					Elem(func() { Sensitive() })
				}))
			})
		})
	}},
	{"strict-body-top-level", func() {
		StrictBody()
		NoStrictBody()
		CORSOrigins("https://shop.example")
		CORSCredentials()
		NoCORS()
	}},
	{"strict-body", func() {
		API("shop", func() {
			NoStrictBody()
			StrictBody()
			StrictBody()
		})
		Service("orders", func() {
			StrictBody()
			NoStrictBody()
			Method("create", func() {
				Payload(func() {
					StrictBody()
					Attribute("a", String, func() { NoStrictBody() })
				})
				HTTP(func() {
					POST("/")
					StrictBody()
				})
			})
		})
	}},
	{"cors-origins", inMethod(func() {
		CORSOrigins()
		CORSOrigins("")
		CORSOrigins("null")
		CORSOrigins("shop.example")
		CORSOrigins("//shop.example")
		CORSOrigins("https://")
		CORSOrigins("https://*.shop.example")
		CORSOrigins("https://shop.example/")
		CORSOrigins("https://shop.example/path")
		CORSOrigins("https://shop.example?q")
		CORSOrigins("https://shop.example#f")
		CORSOrigins("https://me@shop.example")
		CORSOrigins("https://Shop.example")
		CORSOrigins("HTTPS://shop.example")
		CORSOrigins("https://shop.example:443")
		CORSOrigins("http://shop.example:80")
		CORSOrigins("https://shop.example:")
		CORSOrigins("https://münchen.example")
		CORSOrigins("https://shop.example https://other.example")
		CORSOrigins("https://shop.example,https://other.example")
		CORSOrigins("https://a.example", "https://a.example")
		CORSOrigins("*", "https://a.example")
		CORSOrigins("mailto:me")
		CORSOrigins("https://[::1")
		CORSOrigins("https://shop.example\n")
	})},
	{"cors-places", func() {
		API("shop", func() {
			NoCORS()
			CORSOrigins("https://shop.example")
			CORSOrigins("https://shop.example")
		})
		Service("orders", func() {
			CORSOrigins("https://shop.example")
			NoCORS()
			Method("create", func() {
				Payload(func() { CORSOrigins("https://shop.example") })
			})
		})
	}},
	{"cors-credentials", func() {
		API("shop", func() {
			CORSCredentials()
		})
		Service("orders", func() {
			CORSOrigins("https://shop.example")
			Method("create", func() {
				CORSCredentials() // the origins are the service's
			})
			Method("any", func() {
				CORSOrigins("*")
				CORSCredentials()
			})
			Method("none", func() {
				NoCORS()
				CORSCredentials()
			})
		})
	}},
	{"beside-goas-own-errors", inMethod(func() {
		Deadline("5x")
		Payload(func() {
			Attribute("a", String, func() { Enum(1) })
		})
		Title("misplaced")
		MaxInFlight(0)
	})},
}
