package security

import "slices"

// one makes a mutation of one edit.
func one(defence, kills string, e edit) mutation { return mutation{defence, kills, []edit{e}} }

// several makes one of more: each stands for a line of defence.
func several(defence, kills string, all ...edit) mutation { return mutation{defence, kills, all} }

// never makes a condition false: in an if without a statement, or of a case.
func never(file, condition string) edit {
	return edit{file, "if " + condition + " {", "if false && (" + condition + ") {"}
}

func noCase(file, condition string) edit {
	return edit{file, "case " + condition + ":", "case false && (" + condition + "):"}
}

// mutations are the defences, one after the other.
var mutations = slices.Concat(tokenMutations, claimMutations, opaqueMutations, guardMutations, basicMutations, keyMutations,
	lockoutMutations, transportMutations, browserMutations, bodyMutations, tlsMutations, configMutations, reloadMutations)

const (
	jwtFile    = "auth/jwt/jwt.go"
	tokenFile  = "auth/jwt/token.go"
	claimsFile = "auth/jwt/claims.go"
	jwksFile   = "auth/jwt/jwks.go"
)

var (
	anyAlgorithm = never(jwtFile, "!slices.Contains(v.cfg.Algorithms, t.alg)")
	anyKey       = edit{jwksFile, "if slices.Contains(k.algorithms, alg) {", "if true || slices.Contains(k.algorithms, alg) {"}
)

var tokenMutations = []mutation{
	several("tokens are signed", "jwt_alg_none_signed", anyAlgorithm, anyKey,
		edit{tokenFile, `if strings.EqualFold(t.alg, "none") || parts[2] == "" {`, `if parts[2] == "" {`},
		edit{jwtFile, "if err != nil {\n\t\treturn nil, errSignature\n\t}", "if err != nil {\n\t\treturn candidates[0], nil\n\t}"}),
	several("no symmetric signatures", "jwt_hs256_public_key", anyAlgorithm, anyKey),
	several("algorithms are allowed one by one", "jwt_not_configured_alg", anyAlgorithm, anyKey),
	one("the algorithm fits the key", "jwt_alg_of_another_key", anyKey),
	one("no embedded key", "jwt_jwk", edit{tokenFile, `"jwk", "jku"`, `"jku"`}),
	one("no link to a key set", "jwt_jku", edit{tokenFile, `"jwk", "jku"`, `"jwk"`}),
	one("no link to a certificate", "jwt_x5u", edit{tokenFile, `"x5u", "x5c"`, `"x5c"`}),
	one("no embedded certificate", "jwt_x5c", edit{tokenFile, `"x5u", "x5c"`, `"x5u"`}),
	one("no critical extensions", "jwt_crit", edit{tokenFile, `"crit", "b64"`, `"b64"`}),
	one("no compression", "jwt_zip", edit{tokenFile, `"zip", "enc"`, `"enc"`}),
	one("no token within a token", "jwt_nested", never(tokenFile, `strings.HasSuffix(mediaType(text), "jwt")`)),
	one("members are there once", "jwt_duplicate_subject", edit{"auth/internal/object/object.go", "if _, ok := m[name]; ok {", "if false {"}),
	one("tokens are bounded", "jwt_huge", never(jwtFile, "len(c.Token) > MaxToken")),
	one("tokens are canonical", "jwt_not_canonical", edit{tokenFile, "base64.RawURLEncoding.Strict()", "base64.RawURLEncoding"}),
	one("the type is checked", "jwt_wrong_type", never(jwtFile, "!v.typed(t.typ)")),
	one("signatures are verified", "jwt_stranger", edit{jwtFile, "if _, err := jws.Verify(k.public); err == nil {", "if _, err := jws.Verify(k.public); err == nil || true {"}),
	one("key ids are looked for", "jwt_unknown_kid", never(jwksFile, "named && (!k.named || k.kid != kid)")),
	one("keys belong to their issuer", "jwt_key_of_another_issuer", edit{jwtFile, "k, err := from.Keys.signer(ctx, t, c.Token)",
		"var k *key\n\tfor _, other := range v.issuers {\n\t\tif k, err = other.Keys.signer(ctx, t, c.Token); err == nil {\n\t\t\tbreak\n\t\t}\n\t}"}),
	one("without keys nothing is accepted", "jwt_keys_unavailable", edit{"auth/jwt/fetch.go", "case s.set == nil && s.err != nil:", "case s.set == nil && s.err != nil:\n\t\treturn &keySet{}, nil\n\tcase s.set == nil && s.at.IsZero() && s.err != nil:"}),
	one("remembered tokens end with their key", "rotation_key_set", edit{"auth/jwt/cache.go", "return there && now.Before(v.until)", "return (there || true) && now.Before(v.until)"}),
}

var claimMutations = []mutation{
	one("iss is checked", "jwt_wrong_issuer", edit{jwtFile, "from := v.issuers[iss] // none has the name \"\"",
		"from := v.issuers[iss]\n\tif from == nil {\n\t\tfrom = v.issuers[\"" + issuer + "\"]\n\t}"}),
	one("aud is checked", "jwt_wrong_audience", edit{claimsFile, "if err := audience(from.Audience, claims); err != nil {", "if err := audience(from.Audience, claims); false && err != nil {"}),
	one("exp is checked", "jwt_expired", never(claimsFile, "!now.Before(ends.Add(v.cfg.Leeway))")),
	one("exp is there", "jwt_no_expiry", edit{claimsFile, "return none, errNoExpiry", "ends = now.Add(time.Hour)"}),
	one("nbf and iat are checked", "jwt_not_before", never(claimsFile, "there && now.Add(v.cfg.Leeway).Before(t)")),
	one("the age is bounded", "jwt_max_age", never(claimsFile, "!now.Before(oldest.Add(v.cfg.Leeway))")),
	one("bound tokens are refused", "jwt_bound", edit{claimsFile, `if _, there := claims["cnf"]; there {`, "if false {"}),
	one("sub is there", "jwt_no_subject", never(claimsFile, `p.Subject == ""`)),
	one("scopes are separated by spaces", "jwt_scope_separator", edit{claimsFile, "strings.FieldsFunc(value, func(r rune) bool { return r == ' ' })", "strings.Fields(value)"}),
	one("scope and scp agree", "jwt_scopes_differ", never(claimsFile, "said && !slices.Equal(list, found)")),
}

const (
	introspectFile = "auth/introspect/introspect.go"
	answerFile     = "auth/introspect/answer.go"
)

var opaqueMutations = []mutation{
	several("inactive tokens are refused", "opaque_inactive", noCase(answerFile, "!a.active"),
		edit{answerFile, "if !a.active { //", "if false { //"}),
	one("the answer's aud is checked", "opaque_wrong_audience", edit{answerFile, "case !v.cfg.AnyAudience && !slices", "case false && !slices"}),
	one("the answer's iss is checked", "opaque_wrong_issuer", edit{answerFile, `case a.iss != "" && len`, `case false && len`}),
	one("only access tokens", "opaque_refresh_token", noCase(answerFile, "!a.bearer()")),
	one("the answer's cnf is seen", "opaque_bound", noCase(answerFile, `a.members["cnf"] != nil`)),
	one("the answer's exp is checked", "opaque_expired", edit{answerFile, "case !a.exp.IsZero() && !now.Before", "case false && !now.Before"}),
	one("an unclear answer is none", "opaque_unclear_answer", edit{answerFile, `if a.active, ok = m["active"].(bool); !ok {`, `if a.active, ok = m["active"].(bool); !ok {` + "\n\t\ta.active = true\n\t}\n\tif false {"}),
	one("an outage lets nobody in", "opaque_outage", edit{introspectFile, "f.err = &auth.Error{Reason: auth.Unavailable, Err: err}", `f.p = &auth.Principal{Subject: "anybody", Scopes: []string{"api:read"}}`}),
	one("signed tokens are not asked about", "opaque_signed_not_asked", never("auth/introspect/choose.go", "signed(credential.Token)")),
}

const (
	guardFile         = "auth/guard.go"
	authorizationFile = "auth/authorization.go"
	serveFile         = "transport/serve.go"
)

var guardMutations = []mutation{
	several("methods are guarded", "jwt_missing", never(serveFile, "m.secured"),
		edit{"transport/core.go", "c != nil && c.m.secured && c.principal != nil", "c != nil && c.m.secured"}),
	one("scopes are needed", "jwt_no_scope", never(guardFile, "!outs[a.parts[i].use].p.HasScope(s)")),
	one("all of an alternative is needed", "alternatives_key_alone", edit{guardFile, "worst = max(worst, o.state)", "if i == 0 {\n\t\t\tworst = max(worst, o.state)\n\t\t}"}),
	one("one bad credential is enough", "alternatives_bad_login", edit{guardFile, "worst = max(worst, o.state)", "worst = max(worst, o.state)\n\t\tif i > 0 && worst == refused {\n\t\t\tworst = proved\n\t\t}"}),
	one("a credential is there once", "place_good_and_bad", noCase("transport/source.go", "len(values) > 1")),
	one("Authorization names its scheme", "place_wrong_scheme", never(authorizationFile, "authorization && !isBearer")),
	one("names of schemes are ASCII", "place_long_s", edit{authorizationFile, "if len(word) != len(scheme) {", "if strings.EqualFold(word, scheme) {\n\t\treturn true\n\t}\n\tif len(word) != len(scheme) {"}),
	several("a bearer token is one word", "opaque_two_words", never(guardFile, "!token68(c.Token)"),
		edit{introspectFile, "len(c.Token) > maxToken || !text.Visible(c.Token)", "len(c.Token) > maxToken || text.Visible(c.Token) && false"}),
}

const usersFile = "auth/basic/users.go"

var basicMutations = []mutation{
	one("passwords are compared", "basic_wrong_password", edit{usersFile, "!matches || old == \"\" {", "!matches && old == \"\" {"}),
	one("an unknown user costs a hash", "basic_same_answer", edit{usersFile, "if matches := h.Matches(c.Password);", "if matches := old != \"\" && h.Matches(c.Password);"}),
	one("an unknown user is not told", "basic_same_answer", edit{usersFile, "return nil, \"\", \"\", errUser\n", "return nil, \"\", \"\", auth.Refuse(auth.Unavailable, \"no such user\")\n"}),
	one("unknown names are not logged", "basic_unknown_user", edit{usersFile, "return nil, \"\", \"\", errUser\n", "return nil, \"\", \"\", &auth.Error{Reason: auth.Unknown, Account: c.Password}\n"}),
	several("control characters are refused", "basic_nul", edit{authorizationFile, "if err != nil || !text.Printable(string(raw)) {", "if err != nil {"},
		edit{usersFile, "len(s) <= maxPassword && text.Printable(s)", "len(s) <= maxPassword"}),
	one("base64 is strict", "basic_not_base64", edit{authorizationFile, "raw, err := base64.StdEncoding.Strict().DecodeString(s)", "raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, \"=!\"))"}),
	one("waiting logins are bounded", "basic_flood", never("auth/basic/turns.go", "t.waiting.Add(1) > t.most")),
	one("remembered logins pass a flood", "basic_flood", never(usersFile, "!c.Stranger")),
	one("bcrypt's limit is no door", "basic_bcrypt_tail", edit{"auth/basic/internal/password/password.go", "return err == nil && len(b) <= bcryptMost", "return err == nil"}),
	one("outdated hashes are replaced", "basic_bcrypt_upgrade", never(usersFile, "h.Outdated() && u.upgrades()")),
	one("weak hashes are refused", "start_weak_hash", edit{"auth/basic/internal/password/argon2id.go", "if m >= uint64(w.memory) && t >= uint64(w.passes) {", "if m > 0 || m >= uint64(w.memory) && t >= uint64(w.passes) {"}),
	one("remembered logins end with their hash", "rotation_password", edit{usersFile, `case !ok || hash != s.hash && (s.next == "" || hash != s.next):`, `case !ok || hash == "":`}),
}

const (
	keyFile      = "auth/apikey/apikey.go"
	keyVerifier  = "auth/apikey/verifier.go"
	keyRecord    = "auth/apikey/record.go"
	compareCheck = "subtle.ConstantTimeCompare(sum[:], k.sum[:]) != 1"
)

var keyMutations = []mutation{
	one("check characters are checked", "key_bad_check", edit{keyFile, "return id, string(check[:]) == key[len(key)-keyCheck:]", "return id, len(check) > 0"}),
	one("keys are compared", "key_wrong_secret", never(keyVerifier, compareCheck)),
	one("digests are keyed", "key_forged_pepper", never(keyVerifier, compareCheck)),
	one("a pepper is one of the configured", "key_other_pepper", edit{keyVerifier, "if p == nil {", "if p == nil {\n\t\treturn k.principal, nil\n\t}\n\tif false {"}),
	one("keys can be revoked", "key_revoked", never(keyVerifier, "k.revoked")),
	one("keys end", "key_expired", edit{keyVerifier, "!end.IsZero() && !", "false && !"}),
	one("the grace period ends", "key_after_grace", never(keyRecord, "r.ExpiresAt.IsZero() || (!r.RetiresAt.IsZero() && r.RetiresAt.Before(r.ExpiresAt))")),
}

const lockoutFile = "auth/lockout/verifier.go"

var lockoutMutations = []mutation{
	one("guessers are locked out", "lockout", edit{lockoutFile, "; blocked {", "; false && blocked {"}),
	one("what is known passes a lock", "lockout", edit{lockoutFile, "known := l.knows(m)", "known := false && l.knows(m)"}),
	one("a lock does not tell what is right", "lockout", edit{"auth/lockout/known.go", "a := account{from,", "a := account{client{bits: from.bits & 0},"}),
	one("all schemes count together", "lockout_schemes", edit{"verifiers.go", "for name, v := range all {\n\t\tall[name] = l.Guard", "for name, v := range all {\n\t\tif l, err = rt.lockout(); err != nil {\n\t\t\treturn err\n\t\t}\n\t\tall[name] = l.Guard"}),
	one("an IPv6 network is one client", "lockout_ipv6", edit{"auth/lockout/lockout.go", "range a[:8] {", "range a[8:] {"}),
	one("a success forgives nothing", "lockout_success_resets_nothing", edit{lockoutFile, "\t\tl.remember(m)\n", "\t\tl.remember(m)\n\t\tfrom, _ := clientOf(addr)\n\t\tmu, b := l.bucket(from)\n\t\tfor i := range b {\n\t\t\tif b[i].client == from {\n\t\t\t\tb[i] = entry{}\n\t\t\t}\n\t\t}\n\t\tmu.Unlock()\n"}),
	one("strangers' X-Forwarded-For is not believed", "lockout_forged_address", edit{"transport/client.go", "!among(addr, trusted) ||", "false && !among(addr, trusted) ||"}),
	one("only what proxies appended is believed", "lockout_appended_address", edit{"transport/client.go", "!among(addr, trusted) ||", "false && !among(addr, trusted) ||"}),
	one("lock-outs are audited", "lockout", edit{"operate.go", "o.audit.Add(event)\n\to.logger.LogAttrs(context.Background(), slog.LevelWarn,", "o.logger.LogAttrs(context.Background(), slog.LevelWarn,"}),
	one("one address for all locks out nobody", "upstream_no_lockout", noCase("verifiers.go", `c.TLSMode != "" && len(c.TrustedProxies) == 0`)),
}

var transportMutations = []mutation{
	one("failures are counted", "key_revoked", edit{"transport/source.go", "c.p.cfg.Telemetry.AuthFailed(e.Scheme, string(e.Reason))", "_ = e.Scheme"}),
	one("failures are audited", "key_revoked", edit{"transport/observe.go", "if c.failed == nil || c.failed.Reason == auth.Missing ||", "if true || c.failed.Reason == auth.Missing ||"}),
	one("refusals are not cached", "key_revoked", noCase("transport/errors.go", "status == http.StatusUnauthorized || status == http.StatusForbidden")),
	one("request ids are letters and digits", "surface_request_id", edit{"transport/log.go", "len(ids) == 1 && saneID(ids[0]) {", "len(ids) == 1 {"}),
	one("answers are not sniffed", "surface_sniffing", edit{serveFile, `header["X-Content-Type-Options"] = noSniff`, "_ = noSniff"}),
	one("verbs are those of the design", "surface_verb", edit{"transport/mux.go", "if r := byVerb(routes, m.verb); r != nil {\n\t\treturn r\n\t}\n\tfor", "if len(routes) > 0 {\n\t\treturn routes[0]\n\t}\n\tfor"}),
	one("an escaped slash is no slash", "surface_escaped_slash", never("transport/mux.go", `u.RawPath != ""`)),
	one("the private port asks for its token", "rotation_admin_token", never("admin/guard.go", "!s.authenticate(w, r)")),
	one("headers arrive in time", "upstream_slow_header", edit{"run.go", "ReadHeaderTimeout: c.ReadHeaderTimeout,", "ReadHeaderTimeout: 0,"}),
	one("headers are bounded", "surface_huge_header", edit{"run.go", "MaxHeaderBytes:    int(c.MaxHeaderBytes),", "MaxHeaderBytes:    64 << 20,"}),
	one("what is sent twice is refused, of a login too", "place_two_logins", noCase("transport/source.go", "len(values) > 1")),
}

const corsFile = "transport/cors.go"

var browserMutations = []mutation{
	one("origins are exact", "cors_suffix", edit{corsFile, "if g := x.origins[values[0]]; g != nil {\n\t\treturn g\n\t}", "for o, g := range x.origins {\n\t\tif strings.HasPrefix(values[0], o) {\n\t\t\treturn g\n\t\t}\n\t}"}),
	one("a browser sends one origin", "cors_two", edit{corsFile, "if len(values) != 1 {", "if len(values) == 0 {"}),
	one("strangers are told nothing", "cors_stranger", edit{corsFile, "if x.any && values[0] != \"null\" {", "if values[0] != \"null\" {"}),
	one("null is nobody", "cors_null", edit{corsFile, "if x.any && values[0] != \"null\" {", "if values[0] == \"null\" {"}),
	one("credentials are asked for", "cors_page", edit{corsFile, "&grant{origin: []string{o}, credentials: c.Credentials}", "&grant{origin: []string{o}, credentials: true}"}),
	one("pages of strangers use no ambient credential", "tls_foreign_page", never(serveFile, "m.ambient")),
	one("pages of strangers use no login", "login_foreign_form", never(serveFile, "m.ambient")),
	one("a page without credentials uses no login", "login_configured_page", edit{serveFile, "if m.ambient {", "if m.ambient && c.page == nil {"}),
	one("browsers are told to use TLS", "tls_hsts", never(serveFile, "c.h.strict != nil")),
	one("no page at all uses a login", "start_cors_any_login", never(corsFile, "c.Origins[0] == policy.AnyOrigin && h.ambient(m)")),
}

const (
	decodeFile = "transport/decode.go"
	strictFile = "transport/strict.go"
	bodyFile   = "transport/body.go"
)

var bodyMutations = []mutation{
	one("unknown members are refused", "body_unknown_member", never(decodeFile, "d.m.StrictBody")),
	one("duplicate members are refused", "body_duplicate_member", edit{strictFile, "; twice && ok {", "; false && twice && ok {"}),
	one("names are exact", "body_case", edit{strictFile, "m, ok := s.members[string(name)]", "m, ok := s.members[string(bytes.ToLower(name))]"}),
	one("depth is bounded", "body_deep", never(decodeFile, "tooDeep(data)")),
	one("bodies are UTF-8", "body_not_utf8", never(decodeFile, "!utf8.Valid(data)")),
	one("a declared size is believed", "body_too_large", never(serveFile, "c.req.ContentLength > m.maxBody")),
	several("the size is bounded", "body_chunked_too_large", never(bodyFile, "int64(len(p))-1 > b.left"), never(bodyFile, "int64(n) > b.left")),
	one("authentication comes before the body", "body_of_stranger", edit{serveFile, "if m.secured {\n", "if m.secured {\n\t\t_, _ = c.req.Body.Read(make([]byte, 1))\n"}),
	one("types are those of the design", "body_form", never(serveFile, "c.src != nil && len(m.consumes) > 0")),
	one("sensitive values are not echoed", "body_sensitive_echo", noCase("transport/errors.go", "rebuilt(e.Name)")),
	one("long values are not echoed", "body_long_echo", edit{strictFile, "if text := string(member); shown(text) {", `if text := string(member); text != "" {`}),
}

const (
	tlsFile  = "config/tls.go"
	peerFile = "transport/peer.go"
)

var (
	anyPeer = edit{tlsFile, "if !clients.Value().trust(&s, time.Now()) {", "if false && !clients.Value().trust(&s, time.Now()) {"}
)

var tlsMutations = []mutation{
	several("TLS is 1.2 at least", "tls_1_1", edit{tlsFile, "MinVersion:     tls.VersionTLS12,", "MinVersion:     tls.VersionTLS10,"},
		edit{tlsFile, "CipherSuites:   suites,", "CipherSuites:   append(suites[:len(suites):len(suites)], tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA),"}),
	one("suites are authenticated", "tls_weak_cipher", edit{tlsFile, "CipherSuites:   suites,", "CipherSuites:   append(suites[:len(suites):len(suites)], tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA),"}),
	several("clients present a certificate", "tls_no_certificate", anyPeer, edit{tlsFile, "tls.RequireAndVerifyClientCert", "tls.VerifyClientCertIfGiven"}),
	several("certificates are verified", "tls_wrong_authority", anyPeer, edit{tlsFile, "tls.RequireAndVerifyClientCert", "tls.RequireAnyClientCert"}),
	one("connections end with their authority", "tls_withdrawn_authority", edit{peerFile, "case cfg.Trusts != nil && !cfg.Trusts(state):", "case false:"}),
	several("handshakes follow the file", "tls_withdrawn_authority", anyPeer, edit{tlsFile, "c.ClientCAs = clients.Value().pool", "_ = clients.Value().pool"}),
	one("who has no name is refused", "tls_no_identity", edit{peerFile, "\tcase err != nil:\n\t\treturn c.distrust(", "\tcase false:\n\t\treturn c.distrust("}),
	one("the holder is the caller", "tls_identity", edit{peerFile, "c.principal = p\n", "_ = p\n"}),
	one("a certificate is no credential", "tls_identity_is_no_token", never(peerFile, "c.m.Access != policy.Secured").flipped()),
	one("names are SPIFFE IDs", "tls_web_identity", edit{"auth/mtls/spiffe.go", "return uris[0], CheckSPIFFE(uris[0])", "return uris[0], nil"}),
	one("there is one name", "tls_two_identities", edit{"auth/mtls/spiffe.go", "if len(uris) != 1 {", "if len(uris) == 0 {"}),
	one("authorities are no workloads", "tls_authority_as_workload", never("auth/mtls/spiffe.go", "c.IsCA || c.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0")),
}

// flipped makes the condition true instead.
func (e edit) flipped() edit {
	e.text = "if true || " + e.text[len("if false && "):]
	return e
}

const checkFile = "config/check.go"

var configMutations = []mutation{
	one("plain HTTP stays on loopback", "start_plain_http", never(tlsFile, "!secure && exposed(addr)")),
	one("not everybody is a proxy", "start_all_proxies", never(checkFile, "p.Bits() == 0")),
	several("symmetric algorithms are refused", "start_symmetric", never(checkFile, "!slices.Contains(algorithms, a)"), never(jwtFile, "!slices.Contains(asymmetric, a)")),
	several("keys come by https", "start_plain_key_set", edit{checkFile, `return u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname())`, "return true"},
		edit{"auth/internal/endpoint/endpoint.go", `if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {`, `if u.Scheme == "" && !loopback {`}),
	one("the leeway is bounded", "start_long_leeway", edit{checkFile, "cfg.AuthLeeway > maxLeeway {", "cfg.AuthLeeway > 100*maxLeeway {"}),
	one("private keys are not published", "start_private_key_set", never(jwksFile, "secret(jwk)")),
	one("keys are long enough", "start_weak_rsa", edit{jwksFile, "bits < minRSA ||", "bits < 512 ||"}),
	one("an identity has authorities", "start_identity_without_authority", noCase(checkFile, `cfg.TLSClientIdentity != "off" && cfg.TLSClientCAFile == ""`)),
	one("origins are no patterns", "start_cors_pattern", never(checkFile, "o != policy.AnyOrigin && policy.CheckOrigin(o) != nil")),
	several("a secret is long enough", "start_short_admin_token", never("admin/admin.go", "len(token) < MinToken"),
		edit{checkFile, "len(l.env[f.name]) < n {", "len(l.env[f.name]) < 0*n {"}),
}

var reloadMutations = []mutation{
	one("files are followed", "rotation_key_revoked", edit{"internal/reload/reload.go", "if now < f.next.Load() {", "if now < f.next.Load() || true {"}),
	one("bad files are not taken", "rotation_broken_file", edit{"internal/reload/reload.go", "if err != nil {\n\t\treturn fmt.Errorf(\"read %s: %w\", f.paths[0], err)", "if err != nil {\n\t\tf.value.Store(new(T))\n\t\treturn fmt.Errorf(\"read %s: %w\", f.paths[0], err)"}),
}
