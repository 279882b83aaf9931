package designs

import (
	. "github.com/aguada-dev/aguada/dsl"
	. "goa.design/goa/v3/dsl"
)

// Streams has WebSockets and Server-Sent Events of all kinds.
func Streams() {
	jwt := JWTSecurity("jwt")
	tick := Type("Tick", func() { Attribute("n", Int); Required("n") })
	Service("clock", func() {
		Security(jwt)
		secured := func(more func()) func() {
			return func() { Token("token", String); Required("token"); more() }
		}
		Method("subscribe", func() {
			Payload(secured(func() {}))
			StreamingResult(tick)
			HTTP(func() { GET("/subscribe") })
		})
		Method("talk", func() {
			Deadline("1h")
			Payload(secured(func() {}))
			StreamingPayload(tick)
			StreamingResult(tick)
			HTTP(func() { GET("/talk") })
		})
		Method("upload", func() {
			Payload(secured(func() {}))
			StreamingPayload(tick)
			Result(String)
			HTTP(func() { GET("/upload") })
		})
		Method("events", func() {
			Payload(secured(func() { Attribute("since", String) }))
			StreamingResult(tick)
			HTTP(func() { GET("/events"); Param("since"); ServerSentEvents() })
		})
		Method("mixed", func() {
			Payload(secured(func() {}))
			Result(func() { Attribute("total", Int) })
			StreamingResult(tick)
			HTTP(func() { GET("/mixed"); ServerSentEvents() })
		})
	})
}

// Odd is what Goa itself has trouble with.
func Odd() {
	API("odd", func() { Error("busy") })
	Service("odd", func() {
		Error("busy")
		Error("gone")
		Method("strings", func() {
			StreamingResult(String)
			HTTP(func() { GET("/strings"); ServerSentEvents() })
		})
		Method("resume", func() {
			Payload(func() { Attribute("last", String) })
			StreamingResult(func() { Attribute("id", String); Attribute("text", String) })
			HTTP(func() {
				GET("/resume")
				ServerSentEvents(func() { SSERequestID("last"); SSEEventID("id"); SSEEventData("text") })
			})
		})
		Method("twice", func() {
			Error("busy")
			Error("gone")
			HTTP(func() {
				GET("/twice")
				Response("busy", StatusServiceUnavailable)
				Response("gone", StatusGone)
			})
		})
	})
}

// FileServers has file servers and redirects, with and without methods beside them.
func FileServers() {
	Service("assets", func() {
		Files("/openapi.json", "public/openapi.json")
		Files("/ui/{*path}", "public/ui")
		Files("/old", "public/old.html", func() { Redirect("/ui/", StatusMovedPermanently) })
		Files("/{*rest}", "public/ui")
	})
	Service("links", func() {
		Method("docs", func() {
			HTTP(func() { GET("/docs"); Redirect("https://example.com/docs", StatusFound) })
		})
		Method("ping", func() {
			NoSecurity()
			HTTP(func() { GET("/ping") })
		})
		Files("/robots.txt", "public/robots.txt")
	})
}

// Transfer has multipart requests and raw bodies.
func Transfer() {
	item := item()
	jwt := JWTSecurity("jwt")
	Service("store", func() {
		Method("import", func() {
			NoSecurity()
			Payload(ArrayOf(item))
			HTTP(func() { POST("/import"); MultipartRequest() })
		})
		Method("attach", func() {
			Security(jwt)
			Payload(func() { Token("token"); Attribute("id", Int); Attribute("text", String); Required("token", "id") })
			HTTP(func() { POST("/attach/{id}"); MultipartRequest() })
		})
		Method("upload", func() {
			NoSecurity()
			Payload(func() { Attribute("name", String, func() { Example("a b.txt") }); Required("name") })
			Result(Int)
			HTTP(func() { PUT("/files/{name}"); SkipRequestBodyEncodeDecode() })
		})
		Method("download", func() {
			NoSecurity()
			Payload(String)
			Result(func() { Attribute("length", Int64); Required("length") })
			HTTP(func() {
				GET("/files/{name}")
				SkipResponseBodyEncodeDecode()
				Response(StatusOK, func() { ContentType("application/octet-stream"); Header("length:Content-Length") })
			})
		})
		Method("query", func() {
			NoSecurity()
			Payload(MapOf(String, ArrayOf(String)), func() { Example(map[string][]string{"tag": {"a", "b"}}) })
			HTTP(func() { GET("/query"); MapParams() })
		})
	})
}

// Interceptors has server interceptors beside views, and an empty service.
func Interceptors() {
	audit := Interceptor("Audit", func() { ReadPayload(func() { Attribute("id") }) })
	rt := ResultType("application/vnd.thing+json", func() {
		TypeName("Thing")
		Attributes(func() { Attribute("id", String); Attribute("pin", String, func() { Sensitive() }) })
		View("default", func() { Attribute("id"); Attribute("pin") })
		View("tiny", func() { Attribute("id") })
	})
	Service("things", func() {
		ServerInterceptor(audit)
		Method("show", func() {
			NoSecurity()
			Payload(func() { Attribute("id", String); Required("id") })
			Result(rt)
			HTTP(func() { GET("/things/{id}") })
		})
		Method("list", func() {
			NoSecurity()
			Payload(func() { Attribute("id", String); Required("id") })
			Result(CollectionOf(rt))
			HTTP(func() { GET("/lists/{id}") })
		})
	})
	Service("empty", func() {})
}

// Names makes names clash that Goa keeps apart.
func Names() {
	jwt := JWTSecurity("jwt")
	plain := func(path string) func() {
		return func() {
			NoSecurity()
			HTTP(func() { GET(path) })
		}
	}
	secured := func(path string) func() {
		return func() {
			Security(jwt)
			Payload(func() { Token("token") })
			HTTP(func() { GET(path) })
		}
	}
	Service("production", func() { Method("show", plain("/production")) })
	Service("policy", func() { Method("show", plain("/policy")) })
	Service("aguada", func() { Method("show", secured("/aguada")) })
	Service("contract", func() { Method("show", plain("/contract")) })
	Service("http", func() { Method("show", plain("/http")) })
	Service("shop", func() { Method("auther", secured("/a")) })
	Service("shopsvr", func() { Method("show", plain("/b")) })
}

// Mixed has methods on all transports, and services without.
func Mixed() {
	Service("calc", func() {
		JSONRPC(func() { POST("/rpc") })
		Method("add", func() {
			NoSecurity()
			Payload(func() { Field(1, "a", Int); Required("a") })
			Result(Int)
			HTTP(func() { GET("/add/{a}") })
			GRPC(func() {})
			JSONRPC(func() {})
		})
		Method("watch", func() {
			NoSecurity()
			StreamingResult(func() { Field(1, "n", Int) })
			GRPC(func() {})
		})
	})
	Service("rpc", func() {
		Method("only", func() { GRPC(func() {}) })
	})
	Service("internal", func() { Method("none", func() {}) })
}

// RPCOnly has nothing but JSON-RPC.
func RPCOnly() {
	Service("calc", func() {
		JSONRPC(func() { POST("/rpc") })
		Method("add", func() {
			Payload(func() { Attribute("a", Int); Required("a") })
			Result(Int)
			JSONRPC(func() {})
		})
	})
}

// OverJSONRPC has JSON-RPC in all its forms: credentials in headers and in
// params, errors of the design's own type, events, and a WebSocket.
func OverJSONRPC() {
	jwt := JWTSecurity("jwt", func() { Scope("api:read") })
	key := APIKeySecurity("key")
	basic := BasicAuthSecurity("basic")
	soldOut := Type("SoldOut", func() {
		ErrorName("name", String)
		Attribute("sku", String)
		Required("name", "sku")
	})
	line := Type("Line", func() {
		Attribute("text", String)
		Required("text")
	})
	Service("desk", func() {
		Error("sold_out", soldOut)
		Error("busy", func() { Temporary() })
		JSONRPC(func() {
			POST("/rpc")
			Response("sold_out", func() { Code(4100) })
			Response("busy", func() { Code(4290) })
		})
		HTTP(func() {
			Response("sold_out", StatusGone)
			Response("busy", StatusServiceUnavailable)
		})
		StrictBody()
		CORSOrigins("https://shop.example.com")
		Method("buy", func() {
			Security(jwt, func() { Scope("api:read") })
			Security(basic)
			Payload(func() {
				Token("token", String)
				Username("user", String)
				Password("pass", String)
				Attribute("sku", String)
				Attribute("trace", String)
				Required("sku")
			})
			Result(line)
			HTTP(func() { POST("/buy") })
			JSONRPC(func() { Header("trace:X-Trace") })
			RateLimit(10, "1s", PerPrincipal)
		})
		Method("login", func() {
			Security(key)
			Payload(func() {
				APIKey("key", "secret", String)
				Required("secret")
			})
			Result(line)
			HTTP(func() { POST("/login"); Header("secret:X-Key") })
			JSONRPC(func() {
				Body(func() {
					Attribute("secret")
					Required("secret")
				})
			})
		})
		Method("tell", func() {
			NoSecurity()
			Audit()
			JSONRPC(func() {})
		})
		Method("follow", func() {
			Security(jwt)
			StreamIdle("30s")
			Payload(func() {
				Token("token", String)
				Required("token")
			})
			StreamingResult(line)
			JSONRPC(func() { ServerSentEvents() })
		})
	})
	Service("chat", func() {
		JSONRPC(func() { GET("/chat") })
		Method("echo", func() {
			NoSecurity()
			StreamingPayload(line)
			StreamingResult(line)
			JSONRPC(func() {})
		})
	})
}

// RPCClash has two services on one route of JSON-RPC, and a method that pages of
// other origins may call beside one that they may not.
func RPCClash() {
	for _, name := range []string{"one", "two"} {
		Service(name, func() {
			JSONRPC(func() { POST("/rpc") })
			Method("a", func() { NoSecurity(); JSONRPC(func() {}) })
			Method("b", func() {
				NoSecurity()
				JSONRPC(func() {})
				if name == "two" {
					CORSOrigins("https://shop.example.com")
				}
			})
		})
	}
	Service("three", func() {
		Method("c", func() { NoSecurity(); HTTP(func() { POST("/rpc") }) })
	})
}

// KeyOverRPC has idempotency keys, which JSON-RPC has no place for.
func KeyOverRPC() {
	jwt := JWTSecurity("jwt")
	Service("pay", func() {
		JSONRPC(func() { POST("/rpc") })
		Method("pay", func() {
			Security(jwt)
			Payload(func() {
				Token("token", String)
				Required("token")
			})
			IdempotencyKey("Idempotency-Key")
			HTTP(func() { POST("/pay") })
			JSONRPC(func() {})
		})
	})
}

// Types has no transport at all.
func Types() {
	Service("calc", func() {
		Method("login", func() {
			Payload(func() { Attribute("pin", String, func() { Sensitive() }) })
		})
	})
}

// FieldClash needs two fields of one name.
func FieldClash() {
	jwt := JWTSecurity("jwt")
	Service("orders", func() {
		Method("a", func() { Security(jwt); Payload(func() { Token("token") }); HTTP(func() { GET("/a") }) })
	})
	Service("orders auther", func() {
		Method("b", func() { NoSecurity(); HTTP(func() { GET("/b") }) })
	})
}

// RouteClash has two methods on one route.
func RouteClash() {
	Service("one", func() {
		Method("get", func() { NoSecurity(); Payload(String); HTTP(func() { GET("/x/{id}") }) })
	})
	Service("two", func() {
		Method("get", func() { NoSecurity(); Payload(String); HTTP(func() { GET("/x/{name}") }) })
	})
}

// SecretFormat gives a type no way to mask itself.
func SecretFormat() {
	jwt := JWTSecurity("jwt")
	Service("export", func() {
		Method("run", func() {
			Security(jwt)
			Payload(func() { Token("token"); Attribute("format", String); Attribute("string", String) })
			HTTP(func() { POST("/export") })
		})
	})
}
