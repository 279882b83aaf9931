package design

import . "goa.design/goa/v3/dsl"

// Attributes are those of OpenTelemetry.
var attributes = func() { Attribute("attributes", MapOf(String, Any), "Attributes by name.") }

// Rates is how often something was called, and how that went.
var Rates = Type("Rates", func() {
	Description("Calls of the time asked about. Where the service sends http.server.request.duration or rpc.server.call.duration they are counted from it, which is exact, otherwise from spans, which may be a sample.")
	Attribute("calls", Int64, "Calls that ended.")
	Attribute("errors", Int64, "Of these, those that failed on the service's side (status 5xx, or an error status).")
	Attribute("refused", Int64, "Of these, those that were refused to the caller (4xx).")
	Attribute("rate", Float64, "Calls a second.")
	Attribute("p50_ns", Float64, "Half of the calls were at least as fast.")
	Attribute("p95_ns", Float64)
	Attribute("p99_ns", Float64)
	Attribute("spark", ArrayOf(Float64), "Calls a second, in 30 steps.")
	Attribute("failing", ArrayOf(Float64), "Errors a second, in the same steps.")
	Attribute("from", String, "What they were counted from.", func() { Enum("metrics", "spans", "none") })
	Required("calls", "errors", "refused", "rate", "spark", "failing", "from")
})

var Overview = Type("Overview", func() {
	Attribute("services", ArrayOf(ServiceState))
	Attribute("console", ConsoleState)
	Required("services", "console")
})

var ServiceState = Type("ServiceState", func() {
	Attribute("name", String, "service.name")
	Attribute("version", String, "service.version")
	Attribute("instances", Int, "How many processes sent something in the time asked about.")
	Attribute("language", String, "telemetry.sdk.language, or the process's runtime")
	Attribute("last_seen", String, "When it sent something last.")
	Attribute("known", Boolean, "Whether the console knows its contract.")
	Attribute("admin", Boolean, "Whether the console knows its private port.")
	Attribute("health", String, "What /readyz of the private port says, or whether it sends.", func() { Enum("ready", "degraded", "unready", "draining", "unreachable", "sending", "silent") })
	Attribute("checks", ArrayOf(Check))
	Attribute("certificate_expires", String, "When its certificate ends.")
	Attribute("keyset_age_s", Float64, "How old the oldest key set is, in seconds.")
	Attribute("rates", Rates)
	Required("name", "instances", "known", "admin", "health", "rates")
})

var Check = Type("Check", func() {
	Attribute("name", String)
	Attribute("status", String)
	Attribute("error", String)
	Attribute("duration_ms", Float64)
	Attribute("since", String)
	Required("name", "status")
})

var ConsoleState = Type("ConsoleState", func() {
	Attribute("version", String)
	Attribute("started", String)
	Attribute("grpc", String, "Where it takes OTLP over gRPC; empty where it does not.")
	Attribute("http", String, "Where it takes OTLP over HTTP.")
	Attribute("authenticated", Boolean, "Whether senders need the token.")
	Attribute("spans", Kept)
	Attribute("logs", Kept)
	Attribute("points", Kept)
	Attribute("bytes", Int64, "What is held in memory.")
	Attribute("budget", Int64, "What may be held.")
	Attribute("file", String, "The file that keeps it over restarts, if there is one.")
	Required("version", "started", "grpc", "http", "authenticated", "spans", "logs", "points", "bytes", "budget")
})

var Kept = Type("Kept", func() {
	Attribute("received", Int64, "Since the console started.")
	Attribute("kept", Int64, "Of these and those of its file, those that it still holds.")
	Attribute("evicted", Int64, "The oldest, which gave way to newer ones.")
	Attribute("rejected", Int64, "What could not be taken, and was answered as a partial success.")
	Attribute("oldest", String, "When the oldest that is held began.")
	Required("received", "kept", "evicted", "rejected")
})

var MethodState = Type("MethodState", func() {
	Attribute("app", String, "service.name of the process that serves it.")
	Attribute("service", String, "Goa's name of the service.")
	Attribute("method", String, "Goa's name of the method.")
	Attribute("kind", String, "unary, or the kind of stream")
	Attribute("routes", ArrayOf(String), "As verb and pattern; gRPC's full method; JSON-RPC's method.")
	Attribute("access", String, "Whether callers must authenticate.")
	Attribute("requirements", ArrayOf(String), "Any of these must be met.")
	Attribute("deadline_ns", Int64, "0 where there is none.")
	Attribute("max_body", Int64, "bytes")
	Attribute("max_in_flight", Int)
	Attribute("rate_limits", ArrayOf(String))
	Attribute("idempotency", String, "The header of its idempotency keys.")
	Attribute("audit", Boolean)
	Attribute("promised", Boolean, "Whether a contract declares it; otherwise it is known by what it did.")
	Attribute("rates", Rates)
	Attribute("refusals", ArrayOf(Count), "By cause: unauthenticated, forbidden, rate_limited, in_flight, overload, deadline, too_large, invalid, other.")
	Attribute("verdicts", ArrayOf(Count), "Of the last proof, by verdict.")
	Required("app", "service", "method", "kind", "routes", "access", "promised", "rates", "refusals")
})

var Count = Type("Count", func() {
	Attribute("name", String)
	Attribute("count", Int64)
	Required("name", "count")
})

var TraceList = Type("TraceList", func() {
	Attribute("traces", ArrayOf(TraceSummary))
	Attribute("matched", Int64, "Spans that matched, in all.")
	Attribute("scanned", Int64, "Spans that were looked at.")
	Attribute("more", Boolean, "Whether there are further traces.")
	Required("traces", "matched", "scanned", "more")
})

var TraceSummary = Type("TraceSummary", func() {
	Attribute("id", String, "The trace id.")
	Attribute("name", String, "Of the root span, or of the first that is known.")
	Attribute("service", String, "Of that span.")
	Attribute("start", String)
	Attribute("duration_ns", Int64, "From the first start to the last end.")
	Attribute("spans", Int)
	Attribute("errors", Int, "Spans that failed.")
	Attribute("status", String, "Of the root span: HTTP's status or gRPC's, where there is one.")
	Attribute("services", ArrayOf(String))
	Attribute("matched", Int, "Spans of it that matched.")
	Attribute("partial", Boolean, "Spans of it gave way to newer ones, or a parent never came.")
	Required("id", "name", "service", "start", "duration_ns", "spans", "errors", "services", "matched", "partial")
})

var Trace = Type("Trace", func() {
	Attribute("id", String)
	Attribute("start", String)
	Attribute("duration_ns", Int64)
	Attribute("spans", ArrayOf(Span))
	Attribute("logs", ArrayOf(LogRecord))
	Attribute("critical_path", ArrayOf(Segment), "What the trace waited for, from its start to its end.")
	Attribute("partial", Boolean, "Spans of it gave way to newer ones, or a parent never came.")
	Attribute("evicted", Int, "How many spans gave way.")
	Attribute("orphans", Int, "Spans whose parent never came.")
	Required("id", "start", "duration_ns", "spans", "logs", "critical_path", "partial", "evicted", "orphans")
})

var Segment = Type("Segment", func() {
	Attribute("span_id", String)
	Attribute("offset_ns", Int64, "From the start of the trace.")
	Attribute("duration_ns", Int64)
	Required("span_id", "offset_ns", "duration_ns")
})

var Span = Type("Span", func() {
	Attribute("trace_id", String)
	Attribute("span_id", String)
	Attribute("parent_id", String, "Empty of a root.")
	Attribute("service", String)
	Attribute("scope", String, "The instrumentation's name.")
	Attribute("name", String)
	Attribute("kind", String)
	Attribute("start", String)
	Attribute("offset_ns", Int64, "From the start of the trace.")
	Attribute("duration_ns", Int64)
	Attribute("status", String, func() { Enum("unset", "ok", "error") })
	Attribute("status_message", String)
	attributes()
	Attribute("resource", MapOf(String, Any), "Attributes of the service.")
	Attribute("events", ArrayOf(Event))
	Attribute("links", ArrayOf(Link))
	Attribute("dropped", Int, "Attributes, events and links that the sender left out.")
	Required("trace_id", "span_id", "service", "name", "kind", "start", "offset_ns", "duration_ns", "status")
})

var Event = Type("Event", func() {
	Attribute("name", String)
	Attribute("offset_ns", Int64, "From the start of the trace.")
	attributes()
	Required("name", "offset_ns")
})

var Link = Type("Link", func() {
	Attribute("trace_id", String)
	Attribute("span_id", String)
	attributes()
	Required("trace_id", "span_id")
})

var LogRecord = Type("LogRecord", func() {
	Attribute("seq", Int64, "Counts up, in order of arrival.")
	Attribute("time", String)
	Attribute("level", String)
	Attribute("severity", Int, "OpenTelemetry's number, 1 to 24.")
	Attribute("service", String)
	Attribute("scope", String)
	Attribute("event", String, "The name of the event, if it is one.")
	Attribute("body", Any)
	attributes()
	Attribute("trace_id", String)
	Attribute("span_id", String)
	Required("seq", "time", "level", "severity", "service", "body")
})

var LogList = Type("LogList", func() {
	Attribute("records", ArrayOf(LogRecord))
	Attribute("histogram", ArrayOf(LogBar), "How many matched over time, in 60 steps.")
	Attribute("matched", Int64)
	Attribute("scanned", Int64)
	Required("records", "histogram", "matched", "scanned")
})

var LogBar = Type("LogBar", func() {
	Attribute("start", String)
	Attribute("debug", Int64, "trace and debug")
	Attribute("info", Int64)
	Attribute("warn", Int64)
	Attribute("error", Int64, "error and fatal")
	Required("start", "debug", "info", "warn", "error")
})

var LogBatch = Type("LogBatch", func() {
	Attribute("records", ArrayOf(LogRecord), "In order of arrival.")
	Attribute("skipped", Int64, "Matching records that were left out of this batch.")
	Attribute("evicted", Int64, "Records that gave way before they could be looked at.")
	Required("records", "skipped", "evicted")
})

var Instrument = Type("Instrument", func() {
	Attribute("name", String)
	Attribute("description", String)
	Attribute("unit", String)
	Attribute("type", String, func() { Enum("gauge", "sum", "histogram", "exponential_histogram", "summary") })
	Attribute("monotonic", Boolean)
	Attribute("temporality", String, func() { Enum("delta", "cumulative", "") })
	Attribute("services", ArrayOf(String))
	Attribute("series", Int, "How many sets of attributes there are.")
	Attribute("attributes", ArrayOf(String), "Their names.")
	Required("name", "unit", "type", "monotonic", "services", "series", "attributes")
})

var MetricSeries = Type("MetricSeries", func() {
	Attribute("name", String)
	Attribute("unit", String)
	Attribute("type", String)
	Attribute("rate", Boolean, "Whether values are per second: of what only grows.")
	Attribute("times", ArrayOf(String), "The end of each step.")
	Attribute("series", ArrayOf(Line), "At most 50, the largest first.")
	Attribute("more", Int, "How many series are left out.")
	Attribute("heat", Heat, "Of a histogram.")
	Attribute("exemplars", ArrayOf(Exemplar))
	Required("name", "unit", "type", "rate", "times", "series", "more", "exemplars")
})

var Line = Type("Line", func() {
	Attribute("service", String)
	attributes()
	Attribute("values", ArrayOf(Any), "A number for each step; null where there is none. Of histograms: the mean.")
	Attribute("p50", ArrayOf(Any), "Of histograms.")
	Attribute("p95", ArrayOf(Any))
	Attribute("p99", ArrayOf(Any))
	Attribute("count", ArrayOf(Any), "Of histograms: values a second.")
	Required("values")
})

var Heat = Type("Heat", func() {
	Attribute("bounds", ArrayOf(Float64), "Upper bounds of the buckets, but the last, which has none.")
	Attribute("counts", ArrayOf(ArrayOf(Float64)), "For each step, the values of each bucket.")
	Required("bounds", "counts")
})

var Exemplar = Type("Exemplar", func() {
	Attribute("time", String)
	Attribute("value", Float64)
	Attribute("trace_id", String)
	Attribute("span_id", String)
	attributes()
	Required("time", "value", "trace_id")
})

var SecurityState = Type("Security", func() {
	Attribute("failures", ArrayOf(Failure), "Failed authentication, by scheme, reason and client, the most first.")
	Attribute("lockouts", ArrayOf(Count), "By scheme.")
	Attribute("refusals", ArrayOf(Count), "Calls that were refused, by cause.")
	Attribute("events", ArrayOf(LogRecord), "Audit events and refused logins, the latest first.")
	Attribute("expiries", ArrayOf(Expiry), "What expires, or is fetched anew; the soonest first.")
	Required("failures", "lockouts", "refusals", "events", "expiries")
})

var Failure = Type("Failure", func() {
	Attribute("service", String)
	Attribute("scheme", String)
	Attribute("reason", String)
	Attribute("client", String, "The address, where the log tells it.")
	Attribute("count", Int64)
	Attribute("last", String)
	Required("service", "count", "last")
})

var Expiry = Type("Expiry", func() {
	Attribute("service", String)
	Attribute("what", String, "certificate or key set")
	Attribute("name", String)
	Attribute("expires", String, "Of a certificate.")
	Attribute("age_s", Float64, "Of a key set, in seconds.")
	Required("service", "what", "name")
})

var Graph = Type("Graph", func() {
	Attribute("nodes", ArrayOf(Node))
	Attribute("edges", ArrayOf(Edge))
	Required("nodes", "edges")
})

var Node = Type("Node", func() {
	Attribute("id", String)
	Attribute("name", String)
	Attribute("kind", String, func() { Enum("service", "database", "messaging", "external", "caller") })
	Attribute("system", String, "sqlite, postgresql, redis, kafka …")
	Attribute("calls", Int64)
	Attribute("errors", Int64)
	Required("id", "name", "kind", "calls", "errors")
})

var Edge = Type("Edge", func() {
	Attribute("from", String)
	Attribute("to", String)
	Attribute("calls", Int64)
	Attribute("errors", Int64)
	Attribute("rate", Float64, "Calls a second, of those that were sampled.")
	Attribute("p95_ns", Float64)
	Required("from", "to", "calls", "errors", "rate")
})

var Runtime = Type("Runtime", func() {
	Attribute("service", String)
	Attribute("admin", String, "The address of the private port.")
	Attribute("state", String)
	Attribute("uptime_s", Float64)
	Attribute("checks", ArrayOf(Check))
	Attribute("settings", ArrayOf(Setting))
	Attribute("leases", ArrayOf(Lease))
	Attribute("build", Any, "What /build says.")
	Attribute("goa_services", ArrayOf(String), "The services of its contract, for leases.")
	Required("service", "admin", "state", "checks", "settings", "leases", "goa_services")
})

var Setting = Type("Setting", func() {
	Attribute("name", String)
	Attribute("value", String, "Masked where it is a secret.")
	Attribute("source", String, "default, environment or file")
	Attribute("default", String)
	Attribute("type", String)
	Attribute("meaning", String)
	Required("name", "value", "source", "default", "type", "meaning")
})

var Lease = Type("Lease", func() {
	Attribute("id", String)
	Attribute("kind", String)
	Attribute("level", String)
	Attribute("goa_service", String)
	Attribute("method", String)
	Attribute("scheme", String)
	Attribute("principal", String)
	Attribute("reason", String)
	Attribute("opened_by", String)
	Attribute("opened", String)
	Attribute("expires", String)
	Required("id", "kind", "reason", "opened_by", "opened", "expires")
})

var Profile = Type("Profile", func() {
	Attribute("service", String)
	Attribute("kind", String)
	Attribute("unit", String, "nanoseconds, bytes or count")
	Attribute("taken", String)
	Attribute("duration_ns", Int64, "How long it was taken for.")
	Attribute("total", Int64)
	Attribute("frames", ArrayOf(Frame), "A tree, parents before their children; the first is its root.")
	Attribute("top", ArrayOf(Top), "Functions, the most expensive first.")
	Required("service", "kind", "unit", "taken", "total", "frames", "top")
})

var Frame = Type("Frame", func() {
	Attribute("parent", Int, "The index of its caller in frames; -1 of the root.")
	Attribute("name", String, "The function.")
	Attribute("file", String, "Where it is, as file:line.")
	Attribute("value", Int64, "Of it and all that it called.")
	Attribute("self", Int64, "Of it alone.")
	Required("parent", "name", "value", "self")
})

var Top = Type("Top", func() {
	Attribute("name", String)
	Attribute("self", Int64)
	Attribute("total", Int64, "Of it and all that it called, counted once in recursion.")
	Required("name", "self", "total")
})

var Contract = Type("Contract", func() {
	Attribute("service", String)
	Attribute("contract", Any, "contract.json of the service.")
	Attribute("proof", Proof)
	Required("service", "contract")
})

var Proof = Type("Proof", func() {
	Attribute("time", String, "When it was made.")
	Attribute("passed", Int64)
	Attribute("failed", Int64)
	Attribute("skipped", Int64)
	Attribute("waived", Int64)
	Attribute("findings", ArrayOf(Finding))
	Required("time", "passed", "failed", "skipped", "waived", "findings")
})

var Finding = Type("Finding", func() {
	Attribute("code", String)
	Attribute("target", String, "service.method, or empty for the whole service.")
	Attribute("verdict", String)
	Attribute("question", String)
	Attribute("detail", String)
	Attribute("fix", String)
	Required("code", "verdict", "question")
})

var Received = Type("Received", func() {
	Attribute("spans", Int64)
	Attribute("logs", Int64)
	Attribute("points", Int64)
	Required("spans", "logs", "points")
})
