package mutants

var requests = []Mutant{
	one("failures are counted", "key_revoked", Edit{"transport/source.go", "c.p.cfg.Telemetry.AuthFailed(e.Scheme, string(e.Reason))", "_ = e.Scheme"}),
	one("failures are audited", "key_revoked", Edit{"transport/observe.go", "if c.failed == nil || c.failed.Reason == auth.Missing ||", "if true || c.failed.Reason == auth.Missing ||"}),
	one("refusals are not cached", "key_revoked", noCase("transport/errors.go", "status == http.StatusUnauthorized || status == http.StatusForbidden")),
	one("request ids are letters and digits", "surface_request_id", Edit{"transport/log.go", "len(ids) == 1 && saneID(ids[0]) {", "len(ids) == 1 {"}),
	one("answers are not sniffed", "surface_sniffing", Edit{serveFile, `header["X-Content-Type-Options"] = noSniff`, "_ = noSniff"}),
	one("verbs are those of the design", "surface_verb", Edit{"transport/internal/route/tree.go", "if r := byVerb(routes, m.Verb); r != nil {\n\t\treturn r\n\t}\n\tfor", "if len(routes) > 0 {\n\t\treturn routes[0]\n\t}\n\tfor"}),
	one("an escaped slash is no slash", "surface_escaped_slash", never("transport/internal/route/tree.go", `u.RawPath != ""`)),
	one("the private port asks for its token", "rotation_admin_token", never("admin/guard.go", "!s.authenticate(w, r)")),
	one("headers arrive in time", "upstream_slow_header", Edit{"run.go", "ReadHeaderTimeout: c.ReadHeaderTimeout,", "ReadHeaderTimeout: 0,"}),
	one("headers are bounded", "surface_huge_header", Edit{"run.go", "MaxHeaderBytes:    int(c.MaxHeaderBytes),", "MaxHeaderBytes:    64 << 20,"}),
	one("what is sent twice is refused, of a login too", "place_two_logins", noCase("transport/source.go", "len(values) > 1")),
}

const corsFile = "transport/internal/cors/cors.go"

var browsers = []Mutant{
	one("origins are exact", "cors_suffix", Edit{corsFile, "if g := x.origins[values[0]]; g != nil {\n\t\treturn g\n\t}", "for o, g := range x.origins {\n\t\tif strings.HasPrefix(values[0], o) {\n\t\t\treturn g\n\t\t}\n\t}"}),
	one("a browser sends one origin", "cors_two", Edit{corsFile, "if len(values) != 1 {", "if len(values) == 0 {"}),
	one("strangers are told nothing", "cors_stranger", Edit{corsFile, "if x.any && values[0] != \"null\" {", "if values[0] != \"null\" {"}),
	one("null is nobody", "cors_null", Edit{corsFile, "if x.any && values[0] != \"null\" {", "if values[0] == \"null\" {"}),
	one("credentials are asked for", "cors_page", Edit{corsFile, "&Grant{origin: []string{o}, Credentials: c.Credentials}", "&Grant{origin: []string{o}, Credentials: true}"}),
	one("pages of strangers use no ambient credential", "tls_foreign_page", never(serveFile, "m.ambient")),
	one("pages of strangers use no login", "login_foreign_form", never(serveFile, "m.ambient")),
	one("a page without credentials uses no login", "login_configured_page", Edit{serveFile, "if m.ambient {", "if m.ambient && c.page == nil {"}),
	one("browsers are told to use TLS", "tls_hsts", never(serveFile, "c.h.strict != nil")),
	one("no page at all uses a login", "start_cors_any_login", never("transport/cors.go", "c.Origins[0] == policy.AnyOrigin && h.ambient(m)")),
}

const (
	decodeFile = "transport/decode.go"
	strictFile = "transport/internal/strict/strict.go"
	bodyFile   = "transport/body.go"
)

var bodies = []Mutant{
	one("unknown members are refused", "body_unknown_member", never(decodeFile, "d.m.StrictBody")),
	one("duplicate members are refused", "body_duplicate_member", Edit{strictFile, "; twice && ok {", "; false && twice && ok {"}),
	several("names are exact", "body_case", Edit{strictFile, "import (\n", "import (\n\t\"bytes\"\n"}, Edit{strictFile, "m, ok := s.members[string(name)]", "m, ok := s.members[string(bytes.ToLower(name))]"}),
	one("depth is bounded", "body_deep", never(decodeFile, "jsonscan.TooDeep(data)")),
	one("bodies are UTF-8", "body_not_utf8", never(decodeFile, "!utf8.Valid(data)")),
	one("a declared size is believed", "body_too_large", never(serveFile, "c.req.ContentLength > m.maxBody")),
	several("the size is bounded", "body_chunked_too_large", never(bodyFile, "int64(len(p))-1 > b.left"), never(bodyFile, "int64(n) > b.left")),
	one("authentication comes before the body", "body_of_stranger", Edit{serveFile, "if m.secured {\n", "if m.secured {\n\t\t_, _ = c.req.Body.Read(make([]byte, 1))\n"}),
	one("types are those of the design", "body_form", never(serveFile, "c.src != nil && len(m.consumes) > 0")),
	one("sensitive values are not echoed", "body_sensitive_echo", noCase("transport/errors.go", "validation.Known(e.Name)")),
	one("long values are not echoed", "body_long_echo", Edit{strictFile, "if text := string(member); shown(text) {", `if text := string(member); text != "" {`}),
}

const (
	tlsFile  = "config/tls.go"
	peerFile = "transport/peer.go"
)

var (
	anyPeer = Edit{tlsFile, "if !clients.Value().trust(&s, time.Now()) {", "if false && !clients.Value().trust(&s, time.Now()) {"}
)

var certificates = []Mutant{
	several("TLS is 1.2 at least", "tls_1_1", Edit{tlsFile, "MinVersion:     tls.VersionTLS12,", "MinVersion:     tls.VersionTLS10,"},
		Edit{tlsFile, "CipherSuites:   suites,", "CipherSuites:   append(suites[:len(suites):len(suites)], tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA),"}),
	one("suites are authenticated", "tls_weak_cipher", Edit{tlsFile, "CipherSuites:   suites,", "CipherSuites:   append(suites[:len(suites):len(suites)], tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA),"}),
	several("clients present a certificate", "tls_no_certificate", anyPeer, Edit{tlsFile, "tls.RequireAndVerifyClientCert", "tls.VerifyClientCertIfGiven"}),
	several("certificates are verified", "tls_wrong_authority", anyPeer, Edit{tlsFile, "tls.RequireAndVerifyClientCert", "tls.RequireAnyClientCert"}),
	one("connections end with their authority", "tls_withdrawn_authority", Edit{peerFile, "case cfg.Trusts != nil && !cfg.Trusts(state):", "case false:"}),
	several("handshakes follow the file", "tls_withdrawn_authority", anyPeer, Edit{tlsFile, "c.ClientCAs = clients.Value().pool", "_ = clients.Value().pool"}),
	one("who has no name is refused", "tls_no_identity", Edit{peerFile, "\tcase err != nil:\n\t\treturn c.distrust(", "\tcase false:\n\t\treturn c.distrust("}),
	one("the holder is the caller", "tls_identity", Edit{peerFile, "c.principal = p\n", "_ = p\n"}),
	one("a certificate is no credential", "tls_identity_is_no_token", never(peerFile, "c.m.Access != policy.Secured").flipped()),
	one("names are SPIFFE IDs", "tls_web_identity", Edit{"auth/mtls/spiffe.go", "return uris[0], CheckSPIFFE(uris[0])", "return uris[0], nil"}),
	one("there is one name", "tls_two_identities", Edit{"auth/mtls/spiffe.go", "if len(uris) != 1 {", "if len(uris) == 0 {"}),
	one("authorities are no workloads", "tls_authority_as_workload", never("auth/mtls/spiffe.go", "c.IsCA || c.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0")),
}

const checkFile = "config/check.go"

var settings = []Mutant{
	one("plain HTTP stays on loopback", "start_plain_http", never(tlsFile, "!secure && exposed(addr)")),
	one("not everybody is a proxy", "start_all_proxies", never(checkFile, "p.Bits() == 0")),
	several("symmetric algorithms are refused", "start_symmetric", never(checkFile, "!slices.Contains(algorithms, a)"), never(jwtFile, "!slices.Contains(asymmetric, a)")),
	several("keys come by https", "start_plain_key_set", Edit{checkFile, `return u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname())`, "return true"},
		Edit{"auth/internal/endpoint/endpoint.go", `if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {`, `if u.Scheme == "" && !loopback {`}),
	one("the leeway is bounded", "start_long_leeway", Edit{checkFile, "cfg.AuthLeeway > maxLeeway {", "cfg.AuthLeeway > 100*maxLeeway {"}),
	one("private keys are not published", "start_private_key_set", never(jwksFile, "secret(jwk)")),
	one("keys are long enough", "start_weak_rsa", Edit{jwksFile, "bits < minRSA ||", "bits < 512 ||"}),
	one("an identity has authorities", "start_identity_without_authority", noCase(checkFile, `cfg.TLSClientIdentity != "off" && cfg.TLSClientCAFile == ""`)),
	one("origins are no patterns", "start_cors_pattern", never(checkFile, "o != policy.AnyOrigin && policy.CheckOrigin(o) != nil")),
	several("a secret is long enough", "start_short_admin_token", never("admin/admin.go", "len(token) < MinToken"),
		Edit{checkFile, "len(l.env[f.name]) < n {", "len(l.env[f.name]) < 0*n {"}),
}

var files = []Mutant{
	one("files are followed", "rotation_key_revoked", Edit{"internal/reload/reload.go", "if now < f.next.Load() {", "if now < f.next.Load() || true {"}),
	one("bad files are not taken", "rotation_broken_file", Edit{"internal/reload/reload.go", "if err != nil {\n\t\treturn fmt.Errorf(\"read %s: %w\", f.paths[0], err)", "if err != nil {\n\t\tf.value.Store(new(T))\n\t\treturn fmt.Errorf(\"read %s: %w\", f.paths[0], err)"}),
}
