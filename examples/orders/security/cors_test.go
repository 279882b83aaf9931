package security

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

const page = "https://shop.example"

func origin(value string) [2]string { return [2]string{"Origin", value} }

// asking returns a preflight.
func asking(origins ...string) request {
	r := request{verb: http.MethodOptions, path: "/orders", header: [][2]string{
		{"Access-Control-Request-Method", "POST"}, {"Access-Control-Request-Headers", "authorization,content-type"},
	}}
	for _, o := range origins {
		r.header = append(r.header, origin(o))
	}
	return r
}

// allowed returns what an answer lets pages do.
func allowed(a *answer) (all []string) {
	for name, values := range a.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			all = append(all, name+": "+strings.Join(values, "; "))
		}
	}
	slices.Sort(all)
	return all
}

func corsAttacks() []attack {
	refused := refusal{status: http.StatusForbidden, name: "cross_origin"}
	stranger := func(name, defence string, origins ...string) attack {
		return attack{name: name, defence: defence, run: func(t *testing.T, s *shop) {
			if got := allowed(s.attack(t, asking(origins...), refused)); len(got) > 0 {
				t.Errorf("preflight: %q", got)
			}
			r := bearing("/orders", token{by: s.rsa})
			for _, o := range origins {
				r.header = append(r.header, origin(o))
			}
			if got := allowed(s.attack(t, r, refusal{status: 200})); len(got) > 0 {
				t.Errorf("answer: %q", got)
			}
		}}
	}
	return []attack{
		{name: "cors_page", defence: "the configured pages may call, without the browser's credentials", run: func(t *testing.T, s *shop) {
			a := s.attack(t, asking(page), refusal{status: http.StatusNoContent})
			if a.Header.Get("Access-Control-Allow-Origin") != page || a.Header.Get("Access-Control-Allow-Credentials") != "" ||
				!strings.Contains(a.Header.Get("Access-Control-Allow-Headers"), "Authorization") || !strings.Contains(strings.Join(a.Header.Values("Vary"), ","), "Origin") {
				t.Errorf("preflight: %v", a.Header)
			}
			for status, r := range map[int]request{200: bearing("/orders", token{by: s.rsa}), 401: get("/orders")} {
				r.header = append(r.header, origin(page))
				a := s.send(t, r)
				if a.StatusCode != status || a.Header.Get("Access-Control-Allow-Origin") != page || a.Header.Get("Access-Control-Allow-Credentials") != "" ||
					!strings.Contains(strings.Join(a.Header.Values("Vary"), ","), "Origin") {
					t.Errorf("%d: %v", a.StatusCode, a.Header)
				}
			}
		}},
		stranger("cors_stranger", "other pages may not call", "https://evil.example"),
		stranger("cors_suffix", "origins are exact", "https://shop.example.evil.example"),
		stranger("cors_subdomain", "origins are exact", "https://evil.shop.example"),
		stranger("cors_scheme", "origins are exact", "http://shop.example"),
		stranger("cors_port", "origins are exact", "https://shop.example:8443"),
		stranger("cors_case", "origins are exact", "https://SHOP.example"),
		stranger("cors_null", "the origin null is nobody's", "null"),
		stranger("cors_two", "a browser sends one origin", page, "https://evil.example"),
		{name: "cors_preflight_unsecured", defence: "a preflight reaches no method", run: func(t *testing.T, s *shop) {
			r := asking(page)
			r.path = "/accounts/me"
			r.header[0][1] = "DELETE"
			a := s.send(t, r)
			if a.StatusCode != http.StatusMethodNotAllowed && a.StatusCode != http.StatusNotFound {
				t.Errorf("%d %v", a.StatusCode, a.Header)
			}
		}},
	}
}
