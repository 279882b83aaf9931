package security

import (
	"net/http"
	"strings"
	"time"
)

// listed returns a case about a token for GET /orders.
func listed(name, defence string, want refusal, make func(*shop) any) attack {
	return attack{name: name, defence: defence, want: want, make: func(s *shop) request { return bearing("/orders", make(s)) }}
}

// headed is a case about the header of a token that is good otherwise.
func headed(name, defence, reason string, header members) attack {
	return listed(name, defence, bad(reason), func(s *shop) any { return token{by: s.rsa, alg: "RS256", header: header} })
}

// tokenAttacks are about the form of tokens and their signatures.
func tokenAttacks() []attack {
	cert := []string{"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA"}
	all := []attack{
		listed("jwt_good", "a good token is let in", refusal{status: 200}, func(s *shop) any { return token{by: s.rsa} }),
		listed("jwt_good_es256", "a good token is let in", refusal{status: 200}, func(s *shop) any { return token{by: s.ec} }),
		listed("jwt_good_partner", "each issuer has keys of its own", refusal{status: 200},
			func(s *shop) any { return token{by: s.twin, claims: members{"iss": partner}} }),
		{name: "jwt_missing", defence: "a secured method needs a credential", make: func(*shop) request { return get("/orders") },
			want: refusal{http.StatusUnauthorized, readChallenge, "unauthorized", "jwt", "missing"}},
		listed("jwt_empty", "what is no token is not looked at", bad("malformed"), func(*shop) any { return "" }),
		listed("jwt_garbage", "what is no token is not looked at", bad("malformed"), func(*shop) any { return "let.me.in" }),
		listed("jwt_not_one_token", "there is one token", bad("malformed"), func(s *shop) any { return token{by: s.rsa}.String() + " " + token{by: s.rsa}.String() }),
		headed("jwt_hs256_secret", "symmetric signatures are not accepted", "wrong_algorithm", members{"alg": "HS256"}),
		listed("jwt_hs256_public_key", "a public key is no secret", bad("wrong_algorithm"),
			func(s *shop) any { return token{by: s.rsa, alg: "HS256", header: members{"alg": "HS256"}} }),
		listed("jwt_not_configured_alg", "algorithms are a list of what is allowed", bad("wrong_algorithm"),
			func(s *shop) any { return token{by: s.rsa, header: members{"alg": "PS256"}} }),
		listed("jwt_alg_of_another_key", "the algorithm fits the key", bad("wrong_algorithm"),
			func(s *shop) any { return token{by: s.ec, alg: "ES256", header: members{"alg": "RS256"}} }),
		listed("jwt_alg_key_allows", "a key verifies only by its own algorithm", bad("wrong_algorithm"),
			func(s *shop) any { return token{by: s.ec, header: members{"alg": "EdDSA"}} }),
		headed("jwt_alg_missing", "the algorithm is said", "wrong_algorithm", members{"alg": nil}),
		headed("jwt_alg_list", "header members are strings", "malformed", members{"alg": []string{"RS256"}}),
		headed("jwt_jwk", "a token does not bring its key", "malformed", members{"jwk": members{"kty": "RSA", "n": "AQAB", "e": "AQAB"}}),
		headed("jwt_jku", "a token does not say where its key is", "malformed", members{"jku": "https://evil.example/jwks.json"}),
		headed("jwt_x5u", "a token does not say where its certificate is", "malformed", members{"x5u": "https://evil.example/cert.pem"}),
		headed("jwt_x5c", "a token does not bring its certificate", "malformed", members{"x5c": cert}),
		headed("jwt_crit", "extensions that are not understood are refused", "malformed", members{"crit": []string{"exp"}}),
		headed("jwt_b64", "the payload is encoded", "malformed", members{"b64": false}),
		headed("jwt_zip", "nothing is inflated", "malformed", members{"zip": "DEF"}),
		headed("jwt_nested", "there is no token within a token", "malformed", members{"cty": "JWT"}),
		listed("jwt_wrong_type", "the type is that of an access token", told("wrong_type", "the token is not an access token for its bearer"),
			func(s *shop) any { return token{by: s.rsa, header: members{"typ": "logout+jwt"}} }),
		headed("jwt_unknown_kid", "only keys of the set verify", "unknown_key", members{"kid": "not-in-the-set"}),
		headed("jwt_kid_path", "a key id is no path", "unknown_key", members{"kid": "../../../../dev/null"}),
		headed("jwt_kid_sql", "a key id is no query", "unknown_key", members{"kid": "' UNION SELECT 'secret"}),
		headed("jwt_kid_number", "a key id is a string", "malformed", members{"kid": 1}),
		headed("jwt_kid_empty", "a key id that is there is looked for", "unknown_key", members{"kid": ""}),
		listed("jwt_jwe", "encrypted tokens are refused", bad("malformed"), func(s *shop) any {
			return b64([]byte(`{"alg":"RSA-OAEP","enc":"A256GCM"}`)) + "." + strings.Repeat("aaaaaaaaaaaaaaaa.", 3) + "aaaaaaaaaaaaaaaa"
		}),
		listed("jwt_detached", "the claims are there", bad("malformed"), func(s *shop) any {
			parts := strings.Split(token{by: s.rsa}.String(), ".")
			return parts[0] + ".." + parts[2]
		}),
		listed("jwt_unsigned", "a signature is there", bad("wrong_algorithm"), func(s *shop) any {
			k := token{by: s.rsa}.String()
			return k[:strings.LastIndex(k, ".")+1]
		}),
		listed("jwt_stranger", "the signature is verified", bad("bad_signature"), func(s *shop) any { return token{by: s.stranger} }),
		listed("jwt_changed_claims", "the signature covers the claims", bad("bad_signature"), func(s *shop) any {
			parts := strings.Split(token{by: s.rsa}.String(), ".")
			parts[1] = b64([]byte(fine().with(members{"scope": "api:read api:admin"}).json()))
			return strings.Join(parts, ".")
		}),
		listed("jwt_not_canonical", "there is one way to write a token", bad("malformed"), func(s *shop) any {
			k := token{by: s.ec}.String() // 64 bytes: the last character has spare bits
			last := strings.IndexByte(alphabet64, k[len(k)-1])
			return k[:len(k)-1] + string(alphabet64[last|1])
		}),
		listed("jwt_padded", "there is one way to write a token", bad("malformed"), func(s *shop) any { return token{by: s.rsa}.String() + "=" }),
		listed("jwt_huge", "tokens are bounded in size", bad("malformed"),
			func(s *shop) any { return token{by: s.rsa, claims: members{"more": strings.Repeat("x", 9<<10)}} }),
		listed("jwt_deep", "claims are bounded in depth", bad("malformed"), func(s *shop) any {
			return token{by: s.rsa, rawClaims: insert(fine().json(), `"deep":`+strings.Repeat("[", 100)+strings.Repeat("]", 100))}
		}),
	}
	for _, alg := range []string{"none", "None", "NONE", "nOnE"} {
		all = append(all, listed("jwt_alg_"+alg, "a token is signed", bad("wrong_algorithm"),
			func(s *shop) any {
				return b64([]byte(members{"alg": alg, "kid": s.rsa.id}.json())) + "." + b64([]byte(fine().json())) + "."
			}))
	}
	return append(all, listed("jwt_alg_none_signed", "a token is signed", bad("wrong_algorithm"),
		func(s *shop) any { return token{by: s.rsa, alg: "RS256", header: members{"alg": "none"}} }))
}

const alphabet64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// claimed is a case about the claims of a token that is signed well.
func claimed(name, defence string, want refusal, claims func(now int64) members) attack {
	return listed(name, defence, want, func(s *shop) any { return token{by: s.rsa, claims: claims(time.Now().Unix())} })
}

func these(m members) func(int64) members { return func(int64) members { return m } }

// told is the refusal of a token for GET /orders of which the caller may learn
// the reason.
func told(reason, why string) refusal {
	return refusal{http.StatusUnauthorized, described(why), "unauthorized", "jwt", reason}
}

// claimAttacks are about what a token says.
func claimAttacks() []attack {
	expired, early := told("expired", "the token expired"), told("not_yet_valid", "the token is not valid yet")
	other := told("wrong_audience", "the token is for another audience")
	lacking := refusal{http.StatusForbidden, `Bearer realm="shop", error="insufficient_scope", scope="api:read"`, "forbidden", "jwt", "insufficient_scope"}
	raw := func(name, defence, member string) attack {
		return listed(name, defence, bad("malformed"), func(s *shop) any { return token{by: s.rsa, rawClaims: insert(fine().json(), member)} })
	}
	return []attack{
		claimed("jwt_expired", "tokens end", expired, func(now int64) members { return members{"exp": now - 60} }),
		claimed("jwt_no_expiry", "a token that never ends is refused", bad("malformed"), these(members{"exp": nil})),
		claimed("jwt_expiry_text", "times are numbers", bad("malformed"), these(members{"exp": "9999999999"})),
		claimed("jwt_not_before", "nbf is kept", early, func(now int64) members { return members{"nbf": now + 120} }),
		claimed("jwt_issued_later", "iat is not in the future", early, func(now int64) members { return members{"iat": now + 120} }),
		claimed("jwt_max_age", "a token is not older than the maximum age", expired, func(now int64) members { return members{"iat": now - 3*3600} }),
		claimed("jwt_max_age_no_iat", "a maximum age needs iat", bad("malformed"), these(members{"iat": nil})),
		claimed("jwt_wrong_issuer", "iss is one of the configured issuers", told("wrong_issuer", "the token is from another issuer"), these(members{"iss": "https://evil.example/"})),
		claimed("jwt_no_issuer", "iss is there", told("wrong_issuer", "the token is from another issuer"), these(members{"iss": nil})),
		claimed("jwt_issuer_slash", "iss is compared byte by byte", told("wrong_issuer", "the token is from another issuer"), these(members{"iss": strings.TrimSuffix(issuer, "/")})),
		claimed("jwt_key_of_another_issuer", "keys of one issuer do not verify tokens of another", bad("bad_signature"), these(members{"iss": partner})),
		listed("jwt_key_id_of_another_issuer", "key ids are those of the issuer's set", bad("unknown_key"),
			func(s *shop) any { return token{by: s.ec, claims: members{"iss": partner}} }),
		{name: "jwt_keys_unavailable", defence: "without keys nothing is accepted", make: func(s *shop) request { return bearing("/orders", token{by: s.rsa, claims: members{"iss": down}}) },
			want: refusal{http.StatusServiceUnavailable, "", "unavailable", "jwt", "unavailable"}},
		claimed("jwt_wrong_audience", "aud names this service", other, these(members{"aud": "another-service"})),
		claimed("jwt_no_audience", "aud is there", other, these(members{"aud": nil})),
		claimed("jwt_audience_prefix", "aud is compared whole", other, these(members{"aud": []string{"shop2", "sho"}})),
		claimed("jwt_bound", "a token that is bound to a key is not for its bearer", told("wrong_type", "the token is not an access token for its bearer"), these(members{"cnf": members{"jkt": "x"}})),
		claimed("jwt_no_subject", "a token says whose it is", bad("malformed"), these(members{"sub": nil})),
		claimed("jwt_subject_list", "a name is a string", bad("malformed"), these(members{"sub": []string{"alice"}})),
		raw("jwt_duplicate_subject", "claims are there once", `"sub":"alice"`),
		raw("jwt_duplicate_escaped", "claims are there once, however they are written", `"s\u0075b":"alice"`),
		listed("jwt_duplicate_header", "header members are there once", bad("malformed"), func(s *shop) any {
			return token{by: s.rsa, alg: "RS256", rawHeader: `{"alg":"none","alg":"RS256","kid":"rsa-1"}`}
		}),
		claimed("jwt_scope_string", "scopes may be words in a string", refusal{status: 200}, these(members{"scope": "other api:read"})),
		claimed("jwt_scope_list", "scopes may be a list", refusal{status: 200}, these(members{"scope": nil, "scp": []string{"other", "api:read"}})),
		claimed("jwt_no_scope", "a method has its scope", lacking, these(members{"scope": nil})),
		claimed("jwt_scope_of_another_method", "a method has its own scope", lacking, these(members{"scope": "api:write"})),
		claimed("jwt_scope_prefix", "scopes are compared whole", lacking, these(members{"scope": "api:rea api:reader api:*"})),
		claimed("jwt_scope_separator", "scopes are separated by spaces only", lacking, these(members{"scope": "x\u00a0api:read"})),
		claimed("jwt_scope_list_words", "a scope of a list is one scope", lacking, these(members{"scope": []string{"x api:read"}})),
		claimed("jwt_scopes_differ", "scope and scp say the same", bad("malformed"), these(members{"scp": []string{"api:read", "api:admin"}})),
		{name: "jwt_admin_scope", defence: "a method has its own scope", make: func(s *shop) request {
			return bearing("/users/admin", token{by: s.rsa, claims: members{"scope": "api:read api:write admin"}})
		}, want: refusal{http.StatusForbidden, `Bearer realm="shop", error="insufficient_scope", scope="api:admin"`, "forbidden", "jwt", "insufficient_scope"}},
		{name: "jwt_write_scope", defence: "a scope is asked for before the body is read", make: func(s *shop) request {
			return post("/orders", `{`, bearer(token{by: s.rsa}))
		}, want: refusal{http.StatusForbidden, `Bearer realm="shop", error="insufficient_scope", scope="api:write"`, "forbidden", "jwt", "insufficient_scope"}},
	}
}
