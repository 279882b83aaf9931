package mutants

const (
	jwtFile    = "auth/jwt/jwt.go"
	tokenFile  = "auth/jwt/token.go" //nolint:gosec // the name of a file
	claimsFile = "auth/jwt/claims.go"
	jwksFile   = "auth/jwt/jwks.go"
)

var (
	anyAlgorithm = never(jwtFile, "!slices.Contains(v.cfg.Algorithms, t.alg)")
	anyKey       = Edit{jwksFile, "if slices.Contains(k.algorithms, alg) {", "if true || slices.Contains(k.algorithms, alg) {"}
)

var tokens = []Mutant{
	several("tokens are signed", "jwt_alg_none_signed", anyAlgorithm, anyKey,
		Edit{tokenFile, `if strings.EqualFold(t.alg, "none") || parts[2] == "" {`, `if parts[2] == "" {`},
		Edit{jwtFile, "if err != nil {\n\t\treturn nil, errSignature\n\t}", "if err != nil || t.alg == \"none\" {\n\t\treturn candidates[0], nil\n\t}"}),
	several("no symmetric signatures", "jwt_hs256_public_key", anyAlgorithm, anyKey),
	several("algorithms are allowed one by one", "jwt_not_configured_alg", anyAlgorithm, anyKey),
	one("the algorithm fits the key", "jwt_alg_of_another_key", anyKey),
	one("no embedded key", "jwt_jwk", Edit{tokenFile, `"jwk", "jku"`, `"jku"`}),
	one("no link to a key set", "jwt_jku", Edit{tokenFile, `"jwk", "jku"`, `"jwk"`}),
	one("no link to a certificate", "jwt_x5u", Edit{tokenFile, `"x5u", "x5c"`, `"x5c"`}),
	one("no embedded certificate", "jwt_x5c", Edit{tokenFile, `"x5u", "x5c"`, `"x5u"`}),
	one("no critical extensions", "jwt_crit", Edit{tokenFile, `"crit", "b64"`, `"b64"`}),
	one("no compression", "jwt_zip", Edit{tokenFile, `"zip", "enc"`, `"enc"`}),
	one("no token within a token", "jwt_nested", never(tokenFile, `strings.HasSuffix(mediaType(text), "jwt")`)),
	one("members are there once", "jwt_duplicate_subject", Edit{"auth/internal/object/object.go", "if _, ok := m[name]; ok {", "if false {"}),
	one("tokens are bounded", "jwt_huge", never(jwtFile, "len(c.Token) > MaxToken")),
	one("tokens are canonical", "jwt_not_canonical", Edit{tokenFile, "base64.RawURLEncoding.Strict()", "base64.RawURLEncoding"}),
	one("the type is checked", "jwt_wrong_type", never(jwtFile, "!v.typed(t.typ)")),
	one("signatures are verified", "jwt_stranger", Edit{jwtFile, "if _, err := jws.Verify(k.public); err == nil {", "if _, err := jws.Verify(k.public); err == nil || true {"}),
	one("key ids are looked for", "jwt_unknown_kid", never(jwksFile, "named && (!k.named || k.kid != kid)")),
	one("keys belong to their issuer", "jwt_key_of_another_issuer", Edit{jwtFile, "k, err := from.Keys.signer(ctx, t, c.Token)",
		"var k *key\n\tfor _, other := range v.issuers {\n\t\tif k, err = other.Keys.signer(ctx, t, c.Token); err == nil {\n\t\t\tbreak\n\t\t}\n\t}"}),
	one("without keys nothing is accepted", "jwt_keys_unavailable", Edit{"auth/jwt/fetch.go", "case s.set == nil && s.err != nil:", "case s.set == nil && s.err != nil:\n\t\treturn &keySet{}, nil\n\tcase s.set == nil && s.at.IsZero() && s.err != nil:"}),
	one("remembered tokens end with their key", "rotation_key_set", Edit{"auth/jwt/cache.go", "return there && now.Before(v.until)", "return (there || true) && now.Before(v.until)"}),
}

var claims = []Mutant{
	one("iss is checked", "jwt_wrong_issuer", Edit{jwtFile, "from := v.issuers[iss] // none has the name \"\"",
		"from := v.issuers[iss]\n\tif from == nil {\n\t\tfor _, from = range v.issuers {\n\t\t\tbreak\n\t\t}\n\t}"}),
	one("aud is checked", "jwt_wrong_audience", Edit{claimsFile, "if err := audience(from.Audience, claims); err != nil {", "if err := audience(from.Audience, claims); false && err != nil {"}),
	one("exp is checked", "jwt_expired", never(claimsFile, "!now.Before(ends.Add(v.cfg.Leeway))")),
	one("exp is there", "jwt_no_expiry", Edit{claimsFile, "return none, errNoExpiry", "ends = now.Add(time.Hour)"}),
	one("nbf and iat are checked", "jwt_not_before", never(claimsFile, "there && now.Add(v.cfg.Leeway).Before(t)")),
	one("the age is bounded", "jwt_max_age", never(claimsFile, "!now.Before(oldest.Add(v.cfg.Leeway))")),
	one("bound tokens are refused", "jwt_bound", Edit{claimsFile, `if _, there := claims["cnf"]; there {`, "if false {"}),
	one("sub is there", "jwt_no_subject", never(claimsFile, `p.Subject == ""`)),
	one("scopes are separated by spaces", "jwt_scope_separator", Edit{claimsFile, "strings.FieldsFunc(value, func(r rune) bool { return r == ' ' })", "strings.Fields(value)"}),
	one("scope and scp agree", "jwt_scopes_differ", never(claimsFile, "said && !slices.Equal(list, found)")),
}

const (
	introspectFile = "auth/introspect/introspect.go"
	answerFile     = "auth/introspect/answer.go"
)

var opaqueTokens = []Mutant{
	several("inactive tokens are refused", "opaque_inactive", noCase(answerFile, "!a.active"),
		Edit{answerFile, "if !a.active { //", "if false { //"}),
	one("the answer's aud is checked", "opaque_wrong_audience", Edit{answerFile, "case !v.cfg.AnyAudience && !slices", "case false && !slices"}),
	one("the answer's iss is checked", "opaque_wrong_issuer", Edit{answerFile, `case a.iss != "" && len`, `case false && len`}),
	one("only access tokens", "opaque_refresh_token", noCase(answerFile, "!a.bearer()")),
	one("the answer's cnf is seen", "opaque_bound", noCase(answerFile, `a.members["cnf"] != nil`)),
	one("the answer's exp is checked", "opaque_expired", Edit{answerFile, "case !a.exp.IsZero() && !now.Before", "case false && !now.Before"}),
	one("an unclear answer is none", "opaque_unclear_answer", Edit{answerFile, `if a.active, ok = m["active"].(bool); !ok {`, `if a.active, ok = m["active"].(bool); !ok {` + "\n\t\ta.active = true\n\t}\n\tif false {"}),
	one("an outage lets nobody in", "opaque_outage", Edit{introspectFile, "f.err = &auth.Error{Reason: auth.Unavailable, Err: err}", `f.p = &auth.Principal{Subject: "anybody", Scopes: []string{"api:read"}}`}),
	one("signed tokens are not asked about", "opaque_signed_not_asked", never("auth/introspect/choose.go", "signed(credential.Token)")),
}
