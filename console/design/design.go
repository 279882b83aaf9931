// Package design is the API of the console, which its own pages, `aguada console
// query` and anybody's scripts use.
//
// Times are RFC 3339 with nine digits of a second, in UTC. Durations are in
// nanoseconds where a name ends in _ns. Of numbers that can be missing, such as
// the percentiles of no calls, none is sent.
package design

import (
	. "github.com/aguada-dev/aguada/dsl"
	. "goa.design/goa/v3/dsl"
)

var _ = API("console", func() {
	Title("Aguada console")
	Version("1.0.0")
	Description("Telemetry that services sent, and what is promised for their methods. " +
		"On loopback without a token, requests from this machine need none.")
	Server("console", func() {
		Host("local", func() { URI("http://127.0.0.1:7070") })
	})
	Security(ConsoleToken)
	Deadline("30s")
	MaxBody("64KiB")
})

// ConsoleToken is what the console was started with.
var ConsoleToken = APIKeySecurity("token", func() {
	Description("The token of the console, as `Authorization: Bearer TOKEN`.")
})

var _ = Service("console", func() {
	Description("What services sent, and what they promised.")
	Error("bad_request", ErrorResult, "A filter that cannot be read.")
	Error("not_found", ErrorResult, "Nothing of that name is known, or it is not kept any more.")
	Error("unreachable", ErrorResult, "The private port of the service did not answer, or refused.", func() { Temporary() })
	HTTP(func() {
		Path("/api")
		Response("bad_request", StatusBadRequest)
		Response("not_found", StatusNotFound)
		Response("unreachable", StatusBadGateway)
	})

	Method("overview", func() {
		Description("The services that are known, and what the console itself holds.")
		Payload(func() { window() })
		Result(Overview)
		HTTP(func() { GET("/overview"); windowParams() })
	})
	Method("methods", func() {
		Description("Every method of every contract, against what happened.")
		Payload(func() {
			window()
			Attribute("service", String, "Only those of this service.")
		})
		Result(ArrayOf(MethodState))
		HTTP(func() { GET("/methods"); windowParams(); Param("service") })
	})
	Method("traces", func() {
		Description("Traces with a span that the filters match.")
		Payload(func() {
			spanFilters(500)
			Attribute("order", String, "Which come first: the latest, or those with the longest span that matches.", func() { Enum("latest", "slowest"); Default("latest") })
		})
		Result(TraceList)
		HTTP(func() { GET("/traces"); spanParams(); Param("order") })
	})
	Method("export_spans", func() {
		Description("The spans that the filters match, the latest first, one JSON object a line (NDJSON).")
		Deadline("5m")
		Payload(func() { spanFilters(1000000) })
		Result(func() { exported() })
		HTTP(func() { GET("/traces.ndjson"); spanParams(); raw() })
	})
	Method("trace", func() {
		Description("One trace: its spans, each before those below it and these in order of their start, and the logs inside it.")
		Payload(func() {
			token()
			Attribute("id", String, "The trace id.", func() { Pattern("^[0-9a-f]{32}$") })
			Required("id")
		})
		Result(Trace)
		HTTP(func() { GET("/traces/{id}"); Header("token:Authorization") })
	})
	Method("logs", func() {
		Description("Records that the filters match, the latest first, and how many there were over time.")
		Payload(func() { logFilters(2000) })
		Result(LogList)
		HTTP(func() { GET("/logs"); logParams() })
	})
	Method("export_logs", func() {
		Description("The records that the filters match, the latest first, one JSON object a line (NDJSON).")
		Deadline("5m")
		Payload(func() { logFilters(1000000) })
		Result(func() { exported() })
		HTTP(func() { GET("/logs.ndjson"); logParams(); raw() })
	})
	Method("tail", func() {
		Description("Records that the filters match, as they arrive. Where they arrive faster than can be read, some are left out, and skipped says how many; the store has them all.")
		Deadline("0s")
		StreamIdle("0s")
		Payload(func() { logFilters(2000) })
		StreamingResult(LogBatch)
		HTTP(func() { GET("/logs/live"); logParams(); ServerSentEvents() })
	})
	Method("instruments", func() {
		Description("The metrics that are known.")
		Payload(func() {
			window()
			Attribute("service", String, "Only those of this service.")
		})
		Result(ArrayOf(Instrument))
		HTTP(func() { GET("/metrics"); windowParams(); Param("service") })
	})
	Method("series", func() {
		Description("One metric over time: a series for each set of attributes, or for each value of the attribute to group by.")
		Payload(func() { metricFilters() })
		Result(MetricSeries)
		HTTP(func() { GET("/metrics/series"); metricParams() })
	})
	Method("export_points", func() {
		Description("The points of metrics as they were sent, one JSON object a line (NDJSON).")
		Deadline("5m")
		Payload(func() { metricFilters() })
		Result(func() { exported() })
		HTTP(func() { GET("/metrics.ndjson"); metricParams(); raw() })
	})
	Method("security", func() {
		Description("Failed authentication, lock-outs, refusals, audit events, and what expires when.")
		Payload(func() {
			window()
			Attribute("service", String, "Only of this service.")
		})
		Result(SecurityState)
		HTTP(func() { GET("/security"); windowParams(); Param("service") })
	})
	Method("map", func() {
		Description("Services and what they depend on, from spans.")
		Payload(func() { window() })
		Result(Graph)
		HTTP(func() { GET("/map"); windowParams() })
	})
	Method("runtime", func() {
		Description("What the private port of a service says: its state, checks, configuration (masked) and leases.")
		Payload(func() { service() })
		Result(Runtime)
		HTTP(func() { GET("/services/{service}/runtime"); Header("token:Authorization") })
	})
	Method("profile", func() {
		Description("Take a profile from the private port of a service.")
		Deadline("90s")
		MaxInFlight(2)
		Payload(func() {
			service()
			Attribute("kind", String, "What to take.", func() { Enum("cpu", "heap", "allocs", "goroutine", "block", "mutex") })
			Attribute("seconds", Int, "How long a CPU profile lasts.", func() { Minimum(1); Maximum(60); Default(5) })
			Required("kind")
		})
		Result(Profile)
		HTTP(func() { POST("/services/{service}/profile"); Header("token:Authorization") })
	})
	Method("open_lease", func() {
		Description("Open debugging that ends by itself: a lower log level, or payloads in the log, redacted.")
		Payload(func() {
			service()
			leaseFields()
			Attribute("extends", String, "The lease that this one takes the place of, which is ended once this one is open.", func() { MaxLength(64) })
			Required("kind", "seconds", "reason")
		})
		Result(Lease)
		HTTP(func() { POST("/services/{service}/leases"); Header("token:Authorization"); Response(StatusCreated) })
	})
	Method("end_lease", func() {
		Description("End a lease before it expires.")
		Payload(func() {
			service()
			Attribute("id", String, "The lease.", func() { Pattern("^[A-Za-z0-9_-]{1,64}$") })
			Required("id")
		})
		HTTP(func() {
			DELETE("/services/{service}/leases/{id}")
			Header("token:Authorization")
			Response(StatusNoContent)
		})
	})
	Method("contract", func() {
		Description("The contract of a service, and the verdicts of its last proof by method.")
		Payload(func() { service() })
		Result(Contract)
		HTTP(func() { GET("/services/{service}/contract"); Header("token:Authorization") })
	})
	Method("changes", func() {
		Description("How much arrived, at most twice a second, and only when something did.")
		Deadline("0s")
		StreamIdle("0s")
		Payload(func() { token() })
		StreamingResult(Received)
		HTTP(func() { GET("/changes"); Header("token:Authorization"); ServerSentEvents() })
	})
})

// token is the credential, which every payload has.
func token() { APIKey("token", "token", String, "The console's token.") }

func service() {
	token()
	Attribute("service", String, "The service, as its telemetry names it (service.name).", func() { MaxLength(256) })
	Required("service")
}

// window is the time that an answer is about.
func window() {
	token()
	moment := func() { MaxLength(40); Example("15m") }
	Attribute("since", String, "Begin of the time asked about: RFC 3339, or how long ago, such as 15m (the default).", moment)
	Attribute("until", String, "Its end; now by default.", moment)
}

func windowParams() {
	Header("token:Authorization")
	Param("since")
	Param("until")
}

// exported is the result of methods that write lines.
func exported() {
	Attribute("type", String, "application/x-ndjson")
	Required("type")
}

func raw() {
	SkipResponseBodyEncodeDecode()
	Response(StatusOK, func() { Header("type:Content-Type") })
}

func common(most int) {
	window()
	Attribute("service", String, "Only of this service.", func() { MaxLength(256) })
	Attribute("q", String, "Text that a name, a body or a value of an attribute contains, in any case.", func() { MaxLength(256) })
	Attribute("attr", ArrayOf(String), "Attributes, each as name=value, name!=value, name (there), name>number or name<number. Those of the service count too.", func() { MaxLength(16) })
	Attribute("limit", Int, "How many are returned at most.", func() { Minimum(1); Maximum(most); Default(min(most, 200)) })
}

func commonParams() {
	windowParams()
	Param("service")
	Param("q")
	Param("attr")
	Param("limit")
}

func spanFilters(most int) {
	common(most)
	Attribute("method", String, "Only of this name: of a span, or of a method as service.method.", func() { MaxLength(256) })
	Attribute("status", String, "Only spans that failed, or that did not.", func() { Enum("error", "ok") })
	Attribute("min", String, "Shortest duration, such as 20ms.", func() { MaxLength(20) })
	Attribute("max", String, "Longest duration.", func() { MaxLength(20) })
	Attribute("trace", String, "Only of this trace.", func() { Pattern("^[0-9a-f]{32}$") })
	Attribute("kind", String, "Only spans of this kind.", func() { Enum("internal", "server", "client", "producer", "consumer") })
}

func spanParams() {
	commonParams()
	for _, p := range []string{"method", "status", "min", "max", "trace", "kind"} {
		Param(p)
	}
}

func logFilters(most int) {
	common(most)
	Attribute("method", String, "Only of this method, as service.method or method.", func() { MaxLength(256) })
	Attribute("level", String, "The least level.", func() { Enum("trace", "debug", "info", "warn", "error", "fatal") })
	Attribute("trace", String, "Only of this trace.", func() { Pattern("^[0-9a-f]{32}$") })
}

func logParams() {
	commonParams()
	Param("method")
	Param("level")
	Param("trace")
}

func metricFilters() {
	window()
	Attribute("name", String, "The metric.", func() { MaxLength(256); Example("http.server.request.duration") })
	Attribute("service", String, "Only of this service.", func() { MaxLength(256) })
	Attribute("attr", ArrayOf(String), "Attributes, as of traces.", func() { MaxLength(16) })
	Attribute("by", String, "The attribute by which series are put together; - puts all together.", func() { MaxLength(256) })
	Attribute("steps", Int, "Into how many steps the time is divided.", func() { Minimum(1); Maximum(1000); Default(120) })
}

func metricParams() {
	windowParams()
	for _, p := range []string{"name", "service", "attr", "by", "steps"} {
		Param(p)
	}
}

func leaseFields() {
	Attribute("kind", String, "What the lease does.", func() { Enum("log-level", "payloads") })
	Attribute("level", String, "The log level, of a log-level lease.", func() { Enum("debug", "info", "warn", "error") })
	Attribute("goa_service", String, "Only calls of this service of the contract.", func() { MaxLength(128) })
	Attribute("method", String, "Only calls of this method.", func() { MaxLength(128) })
	Attribute("scheme", String, "Only callers whom this scheme proved.", func() { MaxLength(128) })
	Attribute("principal", String, "Only this caller.", func() { MaxLength(256) })
	Attribute("seconds", Int, "How long it lasts.", func() { Minimum(1); Maximum(3600) })
	Attribute("reason", String, "Why; it is audited.", func() { MinLength(1); MaxLength(200) })
}
