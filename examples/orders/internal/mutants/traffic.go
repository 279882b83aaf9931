package mutants

const (
	callFile      = "transport/grpccall.go"
	codecFile     = "transport/grpccodec.go"
	rpcServerFile = "transport/grpcserver.go"
	rpcSourceFile = "transport/grpcsource.go"
	rpcStreamFile = "transport/grpcstream.go"
	coreFile      = "transport/core.go"
)

// confirmed takes the second line of defence of secured methods away.
var confirmed = Edit{coreFile, "c != nil && c.m.secured && c.principal != nil", "c != nil && c.m.secured"}

var calls = []Mutant{
	several("calls are guarded", "grpc_jwt_missing", never(callFile, "c.m.secured"), confirmed),
	several("streams of events are guarded", "watch_jwt_missing", Edit{callFile, "if c.m.secured {", "if c.m.secured && c.r.unary != nil {"}, confirmed),
	several("streams are guarded", "live_jwt_missing", Edit{callFile, "if c.m.secured {", "if c.m.secured && c.r.unary != nil {"}, confirmed),
	one("authentication comes before the message", "message_of_stranger", Edit{callFile, "if c.m.secured {\n", "if c.m.secured {\n\t\t_ = c.ss.RecvMsg(&inbound{})\n"}),
	one("a panic is one call's", "panic_isolated", Edit{callFile, "if p := recover(); p != nil {\n\t\t\terr = c.recovered(p)", "if p := any(nil); p != nil {\n\t\t\terr = c.recovered(p)"}),
	one("what a panic says is not told", "panic_isolated", Edit{callFile, "r.id = goa.NewErrorID()\n", "r.id, r.message = goa.NewErrorID(), fmt.Sprint(p)\n"}),
	one("ids of callers are letters and digits, over gRPC too", "metadata_request_id", Edit{callFile, `c.id[0] = requestID(c.from.md["x-request-id"])`,
		`if ids := c.from.md["x-request-id"]; len(ids) > 0 {` + "\n\t\tc.id[0] = ids[0]\n\t}"}),
	one("clients behind proxies are told apart, over gRPC too", "together_appended_address", Edit{callFile, `a.md["x-forwarded-for"]`, "nil"}),
	one("strangers' X-Forwarded-For is not believed, over gRPC either", "together_forged_address", Edit{"transport/internal/forwarded/forwarded.go", "!among(addr, trusted) ||", "false && !among(addr, trusted) ||"}),
	one("holders of certificates are known, over gRPC too", "tls_rpc_no_identity", Edit{callFile, "if refusal := c.checkConnection(); refusal != nil {", "if refusal := c.checkConnection(); false && refusal != nil {"}),
	one("clients of gRPC present a certificate", "tls_rpc_no_certificate", Edit{rpcServerFile, "transport = credentials.NewTLS(cfg.TLS)",
		"open := cfg.TLS.Clone()\n\t\topen.ClientAuth, open.GetConfigForClient, open.VerifyConnection = tls.NoClientCert, nil, nil\n\t\ttransport = credentials.NewTLS(open)"}),
	one("limits hold over gRPC too", "rpc_limits", Edit{callFile, "return c.charge()", "return nil"}),
	one("who has to wait learns how long", "rpc_limits", never("transport/grpcstatus.go", "wait > 0")),
	one("what a decoder says is not told", "message_malformed", Edit{codecFile, "in.err = c.CodecV2.Unmarshal(data, in.m)", "return c.CodecV2.Unmarshal(data, in.m)"}),
	one("messages are bounded by their method", "message_over_its_method", Edit{codecFile, "in.n > in.max;", "in.n > 1<<30;"}),
	one("inflated messages are bounded by their method", "message_compressed", Edit{codecFile, "in.n > in.max;", "in.n > 1<<30;"}),
	one("messages are bounded", "message_announced", Edit{rpcServerFile, "int(min(g.largest, math.MaxInt32))", "math.MaxInt32"}),
	one("metadata is bounded", "metadata_huge", Edit{rpcServerFile, "headerBytes), 0), math.MaxInt32)", "headerBytes), 0)+64<<20, math.MaxInt32)"}),
	one("reflection is off", "rpc_reflection", Edit{rpcServerFile, "if cfg.Reflection {", "if true {"}),
	one("what does not exist is refused as all else", "rpc_undeclared", Edit{rpcServerFile, "grpc.UnknownServiceHandler(g.unknown.serve),", ""}),
	one("what does not exist has one name", "rpc_unknown_labels", Edit{callFile, "\tc.r.instruments.Start(",
		"\tif c.r.name == \"\" {\n\t\tname, _ := grpc.MethodFromServerStream(c.ss)\n\t\tc.r.instruments = c.p.cfg.Telemetry.RPC(telemetry.GRPC, &c.m.Method, name)\n\t}\n\tc.r.instruments.Start("}),
	one("a credential is there once in metadata", "grpc_place_good_and_bad", Edit{rpcSourceFile, "single(s.from.md[u.Name])", "single(s.from.md[u.Name][:min(1, len(s.from.md[u.Name]))])"}),
	one("each half of a login is there once", "metadata_two_passwords", Edit{rpcSourceFile, "len(names) > 1 || len(passwords) > 1", "len(names) > 1"}),
	one("a login has two halves", "metadata_user_alone", Edit{rpcSourceFile, "len(names) == 0 && len(passwords) == 0", "len(names) == 0 || len(passwords) == 0"}),
	several("a login in metadata is printable", "metadata_user_not_utf8", Edit{rpcSourceFile, "case !printable(names[0]) || !printable(passwords[0]) ||", "case"},
		Edit{usersFile, `!strings.Contains(name, ":") && text.Printable(name) &&`, `!strings.Contains(name, ":") &&`}),
	several("a user name has no colon", "metadata_user_colon", Edit{rpcSourceFile, ` || strings.Contains(names[0], ":")`, ""},
		Edit{usersFile, `!strings.Contains(name, ":") && text.Printable(name) &&`, "text.Printable(name) &&"}),
	one("authorization names its scheme, in metadata too", "grpc_place_wrong_scheme", Edit{rpcSourceFile, `u.Name == "authorization" && strings.Contains(value, " ")`, "false"}),
	one("sensitive values are not echoed, over gRPC either", "message_sensitive_echo", noCase("transport/errors.go", "validation.Known(e.Name)")),
	one("messages of gRPC's streams are bounded in number", "message_flood", Edit{rpcStreamFile, "f.rate.cost > 0 && !f.rate.take(", "false && !f.rate.take("}),
	one("the one message of a stream arrives in time", "upstream_stalled_message", never(rpcStreamFile, "!f.c.r.client && f.c.r.readTimeout > 0")),
	one("the message of a call arrives in time", "upstream_stalled_message", Edit{callFile, "\tc.r.patience.wait(&c.from)\n", ""}),
	one("pings of connections are bounded", "rpc_pings", Edit{rpcServerFile, "MinTime: pingMinimum", "MinTime: 1"}),
	one("calls at once are bounded", "rpc_pings", Edit{rpcServerFile, "grpc.MaxConcurrentStreams(maxStreams),", ""}),
	one("metadata is in no span", "upstream_spans", Edit{"telemetry/rpc.go", "sampled := s.begin(r.t, parent, start); sampled {\n\t\ts.record(ctx, parent, c, r.name, r.spanStart)",
		"sampled := s.begin(r.t, parent, start); sampled {\n\t\ts.record(ctx, parent, c, r.name, r.spanStart)\n\t\ts.sdk.SetAttributes(attribute.StringSlice(\"metadata\", metadata[\"authorization\"]))"}),
	one("who is waited for takes no place", "upstream_stalled_many", Edit{callFile, "\tc.stepOut()\n", ""}),
	one("streams of gRPC end with their credential", "streams_expire", Edit{rpcStreamFile, "c.validUntil(), f.end", "time.Time{}, f.end"}),
	one("plain gRPC stays on loopback", "start_plain_grpc", never(tlsFile, "!secure && exposed(addr)")),
}

const socketFile = "transport/websocket.go"

var streams = []Mutant{
	several("WebSockets are guarded", "websocket_jwt_missing", Edit{serveFile, "if m.secured {", "if m.secured && m.Kind != policy.WebSocket {"}, confirmed),
	several("events are guarded", "sse_jwt_missing", Edit{serveFile, "if m.secured {", "if m.secured && m.Kind != policy.EventStream {"}, confirmed),
	one("pages of strangers open no WebSocket", "socket_foreign_page", Edit{socketFile, "open := &u.Upgrader\n", "open := &u.shared\n"}),
	one("messages of WebSockets are bounded", "socket_fragments_too_large", Edit{socketFile, "conn.SetReadLimit(c.m.maxBody)", "conn.SetReadLimit(0)"}),
	one("messages of WebSockets are bounded in number", "socket_flood", Edit{socketFile, "return s.messages.take(now)", "return true"}),
	one("pings are bounded in number", "socket_pings", Edit{socketFile, "return s.extras.take(now)", "return true"}),
	one("fragments are bounded in number", "socket_fragments", Edit{socketFile, "case f.Control(), f.Continues() && f.Left() < smallFragment:", "case f.Control():"}),
	one("messages of WebSockets are UTF-8", "socket_not_utf8", Edit{socketFile, "if inside && !s.texts.Take(", "if inside && false && !s.texts.Take("}),
	one("frames are followed", "socket_pings", Edit{"transport/internal/frames/frames.go", "f.inside, f.left, f.have = false, 0, 0", "f.inside, f.left, f.have = true, 1<<62, 0"}),
	one("streams of HTTP end with their credential", "streams_expire", Edit{"transport/stream.go", "c.validUntil(), c.cut", "time.Time{}, c.cut"}),
	one("strings of events stay in their line", "events_lines", Edit{"transport/events.go", `if c == '\r' || c == '\n' || c == 0 {`, "if c == 0 {"}),
	one("a carriage return ends a line, too", "events_lines", Edit{"transport/events.go", `if c == '\r' || c == '\n' || c == 0 {`, `if c == '\n' || c == 0 {`}),
	one("events are not kept on their way", "events_of_others", Edit{"transport/events.go", `header["Cache-Control"] = noStore[:1:1]`, "_ = noStore"}),
}

const (
	onceFile   = "transport/idempotent.go"
	ticketFile = "idempotency/store.go"
	sealFile   = "idempotency/seal.go"
	claimCall  = "c.Issuer, c.Subject, c.Method, c.Key}"
)

var repetitions = []Mutant{
	one("keys are their principals'", "idempotency_other_principal", Edit{ticketFile, claimCall, "c.Issuer, c.Method, c.Key}"}),
	one("subjects are those of their issuer", "idempotency_other_principal", Edit{ticketFile, claimCall, "c.Subject, c.Method, c.Key}"}),
	one("keys are of one request", "idempotency_other_body", Edit{onceFile, "print, err := idempotency.Fingerprint(req, keyed.Credentials...)", "print, err := [32]byte{}, error(nil)"}),
	one("credentials are no part of the request", "idempotency_renewed_token", Edit{onceFile, "idempotency.Fingerprint(req, keyed.Credentials...)", "idempotency.Fingerprint(req)"}),
	one("optional members are part of the request", "idempotency_other_body", Edit{"idempotency/fingerprint.go", "if absent(field) || depth == 0", "if absent(field) || field.Kind() == reflect.Pointer || depth == 0"}),
	one("without its store nothing runs", "idempotency_store_away", Edit{onceFile, "case err != nil:\n\t\treturn nil, c.keyRefused(err)\n\tcase reply != nil:", "case err != nil:\n\t\treturn nil, nil\n\tcase reply != nil:"}),
	one("a malformed key is not none", "idempotency_malformed", Edit{onceFile, "case err != nil:\n\t\treturn nil, c.keyRefused(err)\n\t}\n", "case err != nil:\n\t\treturn nil, nil\n\t}\n"}),
	one("keys are bounded in size", "idempotency_malformed", noCase("idempotency/key.go", "len(key) > MaxKey")),
	one("a key is there once", "idempotency_malformed", never("idempotency/key.go", "len(values) > 1")),
	one("an answer is of its transport", "idempotency_other_transport", noCase("idempotency/idempotency.go", "of != form")),
	several("a stored answer is of its record", "idempotency_moved", Edit{sealFile, "mac.Write(t.ID[:])\n", ""}, Edit{sealFile, "return append(append(append(b, head...), t.ID[:]...), t.Fingerprint[:]...)", "return b"}),
	one("stored answers are sealed", "idempotency_stored", Edit{sealFile, "return aead.Seal(head, nil, plain, bound(head, t)), nil", "_ = aead\n\treturn append(head, plain...), nil"}),
	one("keys hold over gRPC too", "idempotency_replay", Edit{callFile, "c.keys = c.from.md[k]", "_ = k"}),
	one("repetitions at once wait", "idempotency_together", Edit{onceFile, "Wait: time.Duration(keyed.Wait),", "Wait: 0,"}),
	one("a repetition is charged", "idempotency_limits", Edit{serveFile, "if err := c.charge(); err != nil {", "if err := c.charge(); err != nil && len(c.keys) == 0 {"}),
	several("a key is no credential", "idempotency_no_credential", Edit{serveFile, "if m.secured {", "if m.secured && len(c.keys) == 0 {"}, confirmed),
	several("a key is no credential, over gRPC either", "idempotency_no_credential", Edit{callFile, "if c.m.secured {", "if c.m.secured && len(c.keys) == 0 {"}, confirmed),
	one("the secret of stored answers is long enough", "start_short_idempotency_secret", Edit{checkFile, "len(l.env[f.name]) < n {", "len(l.env[f.name]) < 0*n {"}),
}

const locksFile = "limit/redislimit/locks.go"

var replicas = []Mutant{
	one("locks are shared", "replicas_lockout", Edit{locksFile, "client, ok := x.unseal(member); ok &&", "client, ok := x.unseal(member); false && ok &&"}),
	several("addresses are sealed", "replicas_secret", Edit{locksFile, "x.block.Encrypt(b[:], b[:])\n", ""}, Edit{locksFile, "x.block.Decrypt(b, b)\n", ""}),
}
