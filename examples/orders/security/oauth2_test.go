package security

import (
	"crypto/rand"
	"net/http"
	"testing"
)

// sales returns a request with a token for the method that takes OAuth2.
func sales(token any) request { return bearing("/reports/sales", token) }

func opaqueAttacks() []attack {
	opaque := func(name, defence, kind string, want refusal) attack {
		return attack{name: name, defence: defence, want: want, make: func(*shop) request { return sales(kind + "." + rand.Text()) }}
	}
	bad := func(reason, why string) refusal {
		challenge := readInvalid
		if why != "" {
			challenge = described(why)
		}
		return refusal{http.StatusUnauthorized, challenge, "unauthorized", "oauth2", reason}
	}
	return []attack{
		opaque("opaque_good", "a token that is active is let in", "good", refusal{status: 200}),
		{name: "opaque_missing", defence: "a secured method needs a credential", make: func(*shop) request { return get("/reports/sales") },
			want: refusal{http.StatusUnauthorized, readChallenge, "unauthorized", "oauth2", "missing"}},
		opaque("opaque_inactive", "a token that is not active is refused", "inactive", bad("unknown", "")),
		opaque("opaque_wrong_audience", "aud names this service", "audience", bad("wrong_audience", "the token is for another audience")),
		opaque("opaque_wrong_issuer", "iss is one of the configured issuers", "issuer", bad("wrong_issuer", "the token is from another issuer")),
		opaque("opaque_expired", "tokens end", "expired", bad("expired", "the token expired")),
		opaque("opaque_refresh_token", "a refresh token is no access token", "refresh", bad("wrong_type", "the token is not an access token for its bearer")),
		opaque("opaque_bound", "a token that is bound to a key is not for its bearer", "bound", bad("wrong_type", "the token is not an access token for its bearer")),
		opaque("opaque_nobody", "a token says whose it is", "nobody", bad("malformed", "")),
		opaque("opaque_unscoped", "a method has its scope", "unscoped",
			refusal{http.StatusForbidden, `Bearer realm="shop", error="insufficient_scope", scope="api:read"`, "forbidden", "oauth2", "insufficient_scope"}),
		opaque("opaque_unclear_answer", "without a clear answer nothing is accepted", "unclear", refusal{http.StatusServiceUnavailable, "", "unavailable", "oauth2", "unavailable"}),
		{name: "opaque_two_words", defence: "a token is one word", make: func(*shop) request { return sales("good." + rand.Text() + " " + rand.Text()) },
			want: bad("malformed", "")},
		{name: "opaque_jwt_good", defence: "signed tokens are verified here", make: func(s *shop) request { return sales(token{by: s.rsa}) }, want: refusal{status: 200}},
		{name: "opaque_signed_not_asked", defence: "a signed token is nobody else's to judge", make: func(s *shop) request { return sales(token{by: s.stranger}) },
			want: bad("bad_signature", "")},
		{name: "opaque_for_jwt", defence: "a method that takes JWTs takes no others", make: func(*shop) request { return bearing("/orders", "good."+rand.Text()) },
			want: refusal{http.StatusUnauthorized, readInvalid, "unauthorized", "jwt", "malformed"}},
		{name: "opaque_outage", defence: "while the issuer does not answer nothing new is accepted", run: outage},
	}
}

func outage(t *testing.T, s *shop) {
	known := sales("good." + rand.Text())
	s.attack(t, known, refusal{status: 200})
	s.silent.Store(true)
	defer s.silent.Store(false)
	unknown := sales("good." + rand.Text())
	for _, r := range append(everywhere(unknown), unknown) {
		a := s.attack(t, r, refusal{http.StatusServiceUnavailable, "", "unavailable", "oauth2", "unavailable"})
		if a.Header.Get("Retry-After") == "" {
			t.Error("nobody says when to come again")
		}
	}
	for _, r := range append(everywhere(known), known) {
		s.attack(t, r, refusal{status: 200}) // was verified less than 30 s ago
	}
}
