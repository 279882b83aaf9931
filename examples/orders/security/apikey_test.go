package security

import (
	"net/http"
	"strings"
)

func keyAttacks() []attack {
	by := func(name string) func(*shop) request {
		return func(s *shop) request { return keyed(s.keys[name]) }
	}
	change := func(f func(string) string) func(*shop) request {
		return func(s *shop) request { return keyed(f(s.keys["good"])) }
	}
	return []attack{
		{name: "key_good", defence: "the right key is let in", make: by("good"), want: refusal{status: 200}},
		{name: "key_old_pepper", defence: "keys of the pepper before live on", make: by("old"), want: refusal{status: 200}},
		{name: "key_in_grace", defence: "a key that was rotated lives on for its grace period", make: by("retiring"), want: refusal{status: 200}},
		{name: "key_missing", defence: "a secured method needs a credential", make: func(*shop) request { return get("/users") },
			want: refusal{http.StatusUnauthorized, keyChallenge, "unauthorized", "api_key", "missing"}},
		{name: "key_empty", defence: "an empty key is none", make: func(*shop) request { return keyed("") },
			want: refusal{http.StatusUnauthorized, keyChallenge, "unauthorized", "api_key", "missing"}},
		{name: "key_malformed", defence: "what is no key is not looked up", make: func(*shop) request { return keyed("let-me-in-please") }, want: badKey("malformed")},
		{name: "key_bad_check", defence: "check characters are checked", make: change(func(k string) string {
			if strings.HasSuffix(k, "a") {
				return k[:len(k)-1] + "b"
			}
			return k[:len(k)-1] + "a"
		}), want: badKey("malformed")},
		{name: "key_upper_case", defence: "keys have one way to be written", make: change(strings.ToUpper), want: badKey("malformed")},
		{name: "key_truncated", defence: "the whole key is compared", make: change(func(k string) string { return checked(k[:len(k)-15]) }), want: badKey("malformed")},
		{name: "key_huge", defence: "keys are bounded in size", make: func(*shop) request { return keyed("agd_" + strings.Repeat("a", 100<<10)) }, want: badKey("malformed")},
		{name: "key_unknown_id", defence: "only keys of the store are good", make: by("absent"), want: badKey("unknown")},
		{name: "key_wrong_secret", defence: "the secret is compared", make: by("wrong secret"), want: badKey("unknown")},
		{name: "key_other_pepper", defence: "keys of no configured pepper are refused", make: by("other pepper"), want: badKey("unknown")},
		{name: "key_forged_pepper", defence: "a digest is made with the pepper that the record names", make: by("forged pepper"), want: badKey("unknown")},
		{name: "key_expired", defence: "keys end", make: by("expired"), want: badKey("expired")},
		{name: "key_revoked", defence: "keys can be revoked", make: by("revoked"), want: badKey("expired")},
		{name: "key_after_grace", defence: "a key that was rotated ends after its grace period", make: by("retired"), want: badKey("expired")},
	}
}
