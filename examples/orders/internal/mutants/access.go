package mutants

const (
	guardFile         = "auth/guard.go"
	authorizationFile = "auth/authorization.go"
	serveFile         = "transport/serve.go"
)

var guards = []Mutant{
	several("methods are guarded", "jwt_missing", never(serveFile, "m.secured"),
		Edit{"transport/core.go", "c != nil && c.m.secured && c.principal != nil", "c != nil && c.m.secured"}),
	one("scopes are needed", "jwt_no_scope", never(guardFile, "!outs[a.parts[i].use].p.HasScope(s)")),
	one("all of an alternative is needed", "alternatives_key_alone", Edit{guardFile, "worst = max(worst, o.state)", "if i == 0 {\n\t\t\tworst = max(worst, o.state)\n\t\t}"}),
	one("one bad credential is enough", "alternatives_bad_login", Edit{guardFile, "worst = max(worst, o.state)", "worst = max(worst, o.state)\n\t\tif i > 0 && worst == refused {\n\t\t\tworst = proved\n\t\t}"}),
	one("a credential is there once", "place_good_and_bad", noCase("transport/source.go", "len(values) > 1")),
	one("Authorization names its scheme", "place_wrong_scheme", never(authorizationFile, "authorization && !isBearer")),
	one("names of schemes are ASCII", "place_long_s", Edit{authorizationFile, "if len(word) != len(scheme) {", "if strings.EqualFold(word, scheme) {\n\t\treturn true\n\t}\n\tif len(word) != len(scheme) {"}),
	several("a bearer token is one word", "opaque_two_words", never(guardFile, "!token68(c.Token)"),
		Edit{introspectFile, "len(c.Token) > maxToken || !text.Visible(c.Token)", "len(c.Token) > maxToken || text.Visible(c.Token) && false"}),
}

const usersFile = "auth/basic/users.go"

var logins = []Mutant{
	one("passwords are compared", "basic_wrong_password", Edit{usersFile, "!matches || old == \"\" {", "!matches && old == \"\" {"}),
	one("an unknown user costs a hash", "basic_same_answer", Edit{usersFile, "if matches := h.Matches(c.Password);", "if matches := old != \"\" && h.Matches(c.Password);"}),
	one("an unknown user is not told", "basic_same_answer", Edit{usersFile, "return nil, \"\", \"\", errUser\n", "return nil, \"\", \"\", auth.Refuse(auth.Unavailable, \"no such user\")\n"}),
	one("unknown names are not logged", "basic_unknown_user", Edit{usersFile, "return nil, \"\", \"\", errUser\n", "return nil, \"\", \"\", &auth.Error{Reason: auth.Unknown, Account: c.Password}\n"}),
	several("control characters are refused", "basic_nul", Edit{authorizationFile, "if err != nil || !text.Printable(string(raw)) {", "if err != nil {"},
		Edit{usersFile, "len(s) <= maxPassword && text.Printable(s)", "len(s) <= maxPassword"}),
	one("base64 is strict", "basic_not_base64", Edit{authorizationFile, "raw, err := base64.StdEncoding.Strict().DecodeString(s)", "raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, \"=!\"))"}),
	one("waiting logins are bounded", "basic_flood", never("auth/basic/turns.go", "t.waiting.Add(1) > t.most")),
	one("remembered logins pass a flood", "basic_flood", never(usersFile, "!c.Stranger")),
	one("bcrypt's limit is no door", "basic_bcrypt_tail", Edit{"auth/basic/internal/password/password.go", "return err == nil && len(b) <= bcryptMost", "return err == nil"}),
	one("outdated hashes are replaced", "basic_bcrypt_upgrade", never(usersFile, "h.Outdated() && u.upgrades()")),
	one("weak hashes are refused", "start_weak_hash", Edit{"auth/basic/internal/password/argon2id.go", "if m >= uint64(w.memory) && t >= uint64(w.passes) {", "if m > 0 || m >= uint64(w.memory) && t >= uint64(w.passes) {"}),
	one("remembered logins end with their hash", "rotation_password", Edit{usersFile, `case !ok || hash != s.hash && (s.next == "" || hash != s.next):`, `case !ok || hash == "":`}),
}

const (
	keyFile      = "auth/apikey/apikey.go"
	keyVerifier  = "auth/apikey/verifier.go"
	keyRecord    = "auth/apikey/record.go"
	compareCheck = "subtle.ConstantTimeCompare(sum[:], k.sum[:]) != 1"
)

var keys = []Mutant{
	one("check characters are checked", "key_bad_check", Edit{keyFile, "return id, string(check[:]) == key[len(key)-keyCheck:]", "return id, len(check) > 0"}),
	one("keys are compared", "key_wrong_secret", never(keyVerifier, compareCheck)),
	one("digests are keyed", "key_forged_pepper", never(keyVerifier, compareCheck)),
	one("a pepper is one of the configured", "key_other_pepper", Edit{keyVerifier, "if p == nil {", "if p == nil {\n\t\treturn k.principal, nil\n\t}\n\tif false {"}),
	one("keys can be revoked", "key_revoked", never(keyVerifier, "k.revoked")),
	one("keys end", "key_expired", Edit{keyVerifier, "!end.IsZero() && !", "false && !"}),
	one("the grace period ends", "key_after_grace", never(keyRecord, "r.ExpiresAt.IsZero() || (!r.RetiresAt.IsZero() && r.RetiresAt.Before(r.ExpiresAt))")),
}

const lockoutFile = "auth/lockout/verifier.go"

var locks = []Mutant{
	one("guessers are locked out", "lockout", Edit{lockoutFile, "; blocked {", "; false && blocked {"}),
	one("what is known passes a lock", "lockout", Edit{lockoutFile, "known := l.knows(m)", "known := false && l.knows(m)"}),
	one("a lock does not tell what is right", "lockout", Edit{"auth/lockout/known.go", "a := account{from,", "a := account{client{bits: from.bits & 0},"}),
	one("all schemes count together", "lockout_schemes", Edit{"verifiers.go", "for name, v := range all {\n\t\tall[name] = l.Guard", "for name, v := range all {\n\t\tif l, err = rt.lockout(); err != nil {\n\t\t\treturn err\n\t\t}\n\t\tall[name] = l.Guard"}),
	one("an IPv6 network is one client", "lockout_ipv6", Edit{"auth/lockout/lockout.go", "range a[:8] {", "range a[8:] {"}),
	one("a success forgives nothing", "lockout_success_resets_nothing", Edit{lockoutFile, "\t\tif !known {\n\t\t\tl.remember(m)\n\t\t}\n", "\t\tif !known {\n\t\t\tl.remember(m)\n\t\t}\n\t\tfrom, _ := clientOf(addr)\n\t\tmu, b := l.bucket(from)\n\t\tfor i := range b {\n\t\t\tif b[i].client == from {\n\t\t\t\tb[i] = entry{}\n\t\t\t}\n\t\t}\n\t\tmu.Unlock()\n"}),
	one("strangers' X-Forwarded-For is not believed", "lockout_forged_address", Edit{"transport/internal/forwarded/forwarded.go", "!among(addr, trusted) ||", "false && !among(addr, trusted) ||"}),
	one("only what proxies appended is believed", "lockout_appended_address", Edit{"transport/internal/forwarded/forwarded.go", "!among(addr, trusted) ||", "false && !among(addr, trusted) ||"}),
	one("lock-outs are audited", "lockout", Edit{"operate.go", "o.audit.Add(event)\n\to.logger.LogAttrs(context.Background(), slog.LevelWarn,", "o.logger.LogAttrs(context.Background(), slog.LevelWarn,"}),
	one("one address for all locks out nobody", "upstream_no_lockout", noCase("verifiers.go", `c.TLSMode != "" && len(c.TrustedProxies) == 0`)),
}
