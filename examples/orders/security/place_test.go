package security

import (
	"net/http"
	"net/url"
)

// placeAttacks are about where credentials are, and how often.
func placeAttacks() []attack {
	good := func(s *shop) string { return token{by: s.rsa}.String() }
	twice := func(scheme, challenge string) refusal {
		return refusal{http.StatusUnauthorized, challenge, "unauthorized", scheme, "duplicate"}
	}
	missing := refusal{http.StatusUnauthorized, readChallenge, "unauthorized", "jwt", "missing"}
	query := func(name, defence, parameter string) attack {
		return attack{name: name, defence: defence, want: missing, make: func(s *shop) request {
			r := get("/orders?" + parameter + "=" + url.QueryEscape(good(s)))
			r.secrets = []string{r.path[len("/orders?")+len(parameter)+1:]}
			return r
		}}
	}
	return []attack{
		{name: "place_two_tokens", defence: "a credential is presented once", make: func(s *shop) request {
			return get("/orders", bearer(good(s)), bearer(good(s)))
		}, want: twice("jwt", readInvalid)},
		{name: "place_good_and_bad", defence: "a credential is presented once", make: func(s *shop) request {
			return get("/orders", bearer(good(s)), bearer(token{by: s.stranger}))
		}, want: twice("jwt", readInvalid)},
		{name: "place_two_logins", defence: "a credential is presented once", make: func(*shop) request {
			return account(login("carol", password), login("carol", "another password"))
		}, want: twice("basic", basicChallenge)},
		{name: "place_two_schemes", defence: "a credential is presented once", make: func(s *shop) request {
			return account(login("carol", password), bearer(good(s)))
		}, want: twice("basic", basicChallenge)},
		{name: "place_two_keys", defence: "a credential is presented once", make: func(s *shop) request {
			return get("/users", [2]string{"X-API-Key", s.keys["good"]}, [2]string{"X-Api-Key", s.keys["good"]})
		}, want: twice("api_key", keyChallenge)},
		{name: "place_joined", defence: "a list is no credential", make: func(s *shop) request {
			return get("/orders", [2]string{"Authorization", "Bearer " + good(s) + ", Bearer " + good(s)})
		}, want: bad("malformed")},
		{name: "place_wrong_scheme", defence: "each scheme takes its own credentials", make: func(*shop) request {
			return get("/orders", login("carol", password))
		}, want: missing},
		{name: "place_key_for_token", defence: "each scheme takes its own credentials", make: func(s *shop) request {
			return get("/orders", [2]string{"X-API-Key", s.keys["good"]})
		}, want: missing},
		{name: "place_token_for_key", defence: "each scheme takes its own credentials", make: func(s *shop) request {
			return get("/users", bearer(good(s)))
		}, want: refusal{http.StatusUnauthorized, keyChallenge, "unauthorized", "api_key", "missing"}},
		{name: "place_key_as_bearer", defence: "a key is where the design puts it", make: func(s *shop) request {
			return get("/users", bearer(s.keys["good"]))
		}, want: refusal{http.StatusUnauthorized, keyChallenge, "unauthorized", "api_key", "missing"}},
		query("place_token_in_query", "a token in a URL is none, and is not logged", "access_token"),
		query("place_payload_in_query", "a token in a URL is none, and is not logged", "token"),
		{name: "place_key_in_query", defence: "a key in a URL is none, and is not logged", make: func(s *shop) request {
			r := get("/users?key=" + s.keys["good"] + "&X-API-Key=" + s.keys["good"])
			r.secrets = []string{s.keys["good"]}
			return r
		}, want: refusal{http.StatusUnauthorized, keyChallenge, "unauthorized", "api_key", "missing"}},
		{name: "place_token_in_cookie", defence: "a token in a cookie is none", make: func(s *shop) request {
			return get("/orders", [2]string{"Cookie", "token=" + good(s) + "; Authorization=" + good(s)})
		}, want: missing},
		{name: "place_login_in_body", defence: "a login in a body is none", make: func(*shop) request {
			r := get("/accounts/me", [2]string{"Content-Type", "application/json"})
			r.body = `{"username":"carol","password":"` + password + `"}`
			return r
		}, want: refusal{http.StatusUnauthorized, basicChallenge, "unauthorized", "basic", "missing"}},
		{name: "place_forwarded_user", defence: "headers of proxies are no credentials", make: func(*shop) request {
			return account([2]string{"X-Forwarded-User", "carol"}, [2]string{"X-Remote-User", "carol"}, [2]string{"Proxy-Authorization", login("carol", password)[1]})
		}, want: refusal{http.StatusUnauthorized, basicChallenge, "unauthorized", "basic", "missing"}},
		{name: "place_long_s", defence: "names of schemes are ASCII", make: func(*shop) request {
			return account([2]string{"Authorization", "Ba\u017fic " + login("carol", password)[1][len("Basic "):]})
		}, want: refusal{http.StatusUnauthorized, basicChallenge, "unauthorized", "basic", "missing"}},
	}
}
