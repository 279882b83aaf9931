// Package telemetry makes, keeps and writes what a service has to say about
// itself: traces, metrics and logs.
//
//	handler := telemetry.NewHandler(os.Stdout, telemetry.Auto, slog.LevelInfo)
//	t, err := telemetry.New(ctx, telemetry.Config{Service: "orders", Version: "1.2"})
//	if err != nil {
//		return err
//	}
//	defer t.Shutdown(ctx)
//	logger := slog.New(t.Handler(handler))
//
// # Where it goes
//
// The OTEL_ variables of the process decide, as OpenTelemetry defines them;
// the SDK reads them itself, so that they are no part of any configuration
// value. Nothing is exported unless OTEL_EXPORTER_OTLP_ENDPOINT, one of its
// variants for a signal, or OTEL_{TRACES,METRICS,LOGS}_EXPORTER is set
// (OpenTelemetry's default is OTLP to the local host). OTLP is spoken over
// http/protobuf or grpc. OTEL_SDK_DISABLED turns everything off.
// [Telemetry.Metrics] serves the metrics for Prometheus in any case.
//
// Exporting never holds anybody up. Finished spans and log records wait in
// queues of 2,048 each and are sent in batches of 512; what does not fit, or
// cannot be delivered, is dropped and counted.
//
// # Traces
//
// A request continues the trace of its traceparent header and obeys the
// decision that came with it. Traces that begin here are sampled by number, at
// most [DefaultTracesPerSecond] a second unless configured otherwise, or by
// ratio. A request that is not sampled has valid ids, for its log line and for
// the calls that it makes, but no span of the SDK: that costs no allocation.
//
// A service's own spans need no global:
//
//	ctx, span := telemetry.Start(ctx, "create_order")
//	defer func() { telemetry.End(span, err) }()
//
// # Metrics
//
//	http.server.request.duration         s    histogram: http.request.method, http.route,
//	                                          http.response.status_code, error.type, url.scheme,
//	                                          goa.service, goa.method
//	http.server.request.body.size        By   histogram, the same attributes
//	http.server.response.body.size       By   histogram, the same attributes
//	http.server.active_requests               http.request.method, http.route, url.scheme,
//	                                          goa.service, goa.method
//	rpc.server.call.duration             s    histogram: rpc.system.name, rpc.method,
//	                                          rpc.response.status_code, error.type, goa.error,
//	                                          goa.service, goa.method
//	aguada.auth.failures                      auth.scheme, reason
//	aguada.auth.lockouts
//	aguada.requests.refused                   cause
//	aguada.requests.in_flight
//	aguada.requests.adaptive_limit            requests that are served at once before others are refused
//	aguada.requests.admitted                  priority; those that count towards that limit
//	aguada.idempotency.calls                  outcome
//	aguada.streams.open
//	aguada.ready                              1 while the service takes requests
//	aguada.draining                           1 while it stops
//	aguada.tls.certificate.not_after     s    since 1970
//	aguada.auth.keyset.age               s    keyset
//	aguada.build.info                         version, revision, goversion; always 1
//	aguada.telemetry.items                    signal, state (made, delivered, failed)
//	aguada.log.write.errors                   lines that the log's writer did not take
//	process.cpu.time                     s    cpu.mode; on Unix
//	go.*                                      the Go runtime, by OpenTelemetry's conventions
//
// Attributes are known before a request comes: its method of the design and
// its route, never its host, path or query. A verb that HTTP does not define,
// a remote procedure call of a method that does not exist, and an error type
// beyond the first 32 of a method, is _OTHER. A call's error.type is its status
// code where that is an error of the server's, as OpenTelemetry wants it;
// goa.error is the error's name in the design. For Prometheus
// the names are as OpenTelemetry translates them
// (http_server_request_duration_seconds).
//
// # Logs
//
// There is one schema for every line, whoever writes it, in one of two forms,
// JSON for machines and aligned text for a terminal. [Handler] is an ordinary
// slog.Handler that adds the ids of the context's span. Besides,
// [Handler.Request] writes the one line of a request without allocating.
// [Telemetry.Handler] sends the same records as OTLP logs.
//
// A line is one call of the writer's Write, and a JSON line is valid JSON
// whatever is in it. Values are printed with fmt, never with encoding/json, so
// that a type that masks itself in its Format method stays masked wherever it
// is nested.
//
// The package opens no file, listens nowhere, reads no baggage and sets no
// global. It does not decide what is secret: it leaves out of spans and
// metrics whatever a caller chose, and prints a service's own values as they
// print themselves.
package telemetry
