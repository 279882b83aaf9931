package security

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// What the stage of the alternatives changes in the contract, as the reference
// service has neither: users.list takes a key with a token, or with a login, and
// orders.create, which changes something, a login alone.
const (
	oneScheme = `{Schemes: []policy.Use{{Scheme: "api_key", In: "header", Name: "X-API-Key"}}},`
	twoPairs  = `{Schemes: []policy.Use{{Scheme: "api_key", In: "header", Name: "X-API-Key"}, {Scheme: "jwt", In: "header", Name: "Authorization"}}, Scopes: []string{"api:read"}},
		{Schemes: []policy.Use{{Scheme: "api_key", In: "header", Name: "X-API-Key"}, {Scheme: "basic", In: "header", Name: "Authorization"}}},`

	tokenOnly = `{Schemes: []policy.Use{{Scheme: "jwt", In: "header", Name: "Authorization"}}, Scopes: []string{"api:write"}},
			},
			GRPC: &policy.GRPC{
				Method: "orders.Orders/Create",`
	loginOnly = `{Schemes: []policy.Use{{Scheme: "basic", In: "header", Name: "Authorization"}}},
			},
			GRPC: &policy.GRPC{
				Method: "orders.Orders/Create",`
	contractFile = "examples/orders/gen/production/production.go"
)

// openAlternatives starts the service with another contract.
func openAlternatives(t testing.TB) *shop {
	overlay := map[string]string{}
	if path := os.Getenv(overlayVar); path != "" {
		overlay = readOverlay(t, path)
	}
	for _, e := range []edit{{contractFile, oneScheme, twoPairs}, {contractFile, tokenOnly, loginOnly}} {
		if err := e.apply(overlay, binaries); err != nil {
			t.Fatal(err)
		}
	}
	file, err := writeOverlay(overlay, binaries)
	if err != nil {
		t.Fatal(err)
	}
	path, err := build(filepath.Join(binaries, "alternatives"), file)
	if err != nil {
		t.Fatal(err)
	}
	return newShop(t, newWorld(t), path)
}

func readOverlay(t testing.TB, path string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var overlay struct{ Replace map[string]string }
	if err := json.Unmarshal(data, &overlay); err != nil {
		t.Fatal(err)
	}
	return overlay.Replace
}

// alternativeAttacks are about a method that takes a key and a token, or a key
// and a login.
func alternativeAttacks() []attack {
	const challenges = keyChallenge + "; " + readChallenge + "; " + basicChallenge
	with := func(header ...func(*shop) [2]string) func(*shop) request {
		return func(s *shop) request {
			r := get("/users")
			for _, h := range header {
				r.header = append(r.header, h(s))
			}
			return r
		}
	}
	key := func(name string) func(*shop) [2]string {
		return func(s *shop) [2]string { return [2]string{"X-API-Key", s.keys[name]} }
	}
	jwt := func(claims members) func(*shop) [2]string {
		return func(s *shop) [2]string { return bearer(token{by: s.rsa, claims: claims}) }
	}
	carol := func(password string) func(*shop) [2]string {
		return func(*shop) [2]string { return login("carol", password) }
	}
	return []attack{
		{name: "alternatives_key_and_token", defence: "one alternative is enough", make: with(key("good"), jwt(nil)), want: refusal{status: 200}},
		{name: "alternatives_key_and_login", defence: "one alternative is enough", make: with(key("good"), carol(password)), want: refusal{status: 200}},
		{name: "alternatives_key_alone", defence: "all of an alternative is needed", make: with(key("good")),
			want: refusal{http.StatusUnauthorized, challenges, "unauthorized", "jwt", "missing"}},
		{name: "alternatives_token_alone", defence: "all of an alternative is needed", make: with(jwt(nil)),
			want: refusal{http.StatusUnauthorized, challenges, "unauthorized", "api_key", "missing"}},
		{name: "alternatives_bad_key", defence: "one good credential does not make up for a bad one", make: with(key("revoked"), jwt(nil)),
			want: refusal{http.StatusUnauthorized, challenges, "unauthorized", "api_key", "expired"}},
		{name: "alternatives_bad_login", defence: "one good credential does not make up for a bad one", make: with(key("good"), carol("no password of hers")),
			want: refusal{http.StatusUnauthorized, challenges, "unauthorized", "basic", "unknown"}},
		{name: "alternatives_scope", defence: "scopes are those of the scheme that has them", make: with(key("good"), jwt(members{"scope": "api:write"})),
			want: refusal{http.StatusForbidden, `Bearer realm="shop", error="insufficient_scope", scope="api:read"`, "forbidden", "jwt", "insufficient_scope"}},
		{name: "login_own_page", defence: "pages of the service's own origin use a browser's login", make: func(s *shop) request {
			return post("/orders", order(""), login("carol", password), origin("http://"+s.addr), [2]string{"Sec-Fetch-Site", "same-origin"})
		}, want: refusal{status: http.StatusCreated}},
		{name: "login_foreign_page", defence: "pages of strangers do not use a browser's login", make: func(*shop) request {
			return post("/orders", order(""), login("carol", password), origin("https://evil.example"))
		}, want: refusal{status: http.StatusForbidden, name: "cross_origin"}},
		{name: "login_foreign_form", defence: "browsers say where a form is from", make: func(*shop) request {
			r := post("/orders", order(""), login("carol", password), [2]string{"Sec-Fetch-Site", "cross-site"})
			r.header[len(r.header)-1][1] = "text/plain" // what needs no preflight
			return r
		}, want: refusal{status: http.StatusForbidden, name: "cross_origin"}},
		{name: "login_configured_page", defence: "pages that may call without credentials do not use a browser's", make: func(*shop) request {
			return post("/orders", order(""), login("carol", password), origin(page), [2]string{"Sec-Fetch-Site", "cross-site"})
		}, want: refusal{status: http.StatusForbidden, name: "cross_origin"}},
	}
}

// openUpstream starts the service behind a proxy that it was not told of.
func openUpstream(t testing.TB) *shop {
	w := newWorld(t)
	w.environ = slices.DeleteFunc(w.environ, func(v string) bool { return strings.HasPrefix(v, "TRUSTED_PROXIES=") })
	return newShop(t, w, mustBuild(t), "TLS_MODE=upstream", "READ_HEADER_TIMEOUT=500ms")
}

func upstreamAttacks() []attack {
	return []attack{
		{name: "upstream_slow_header", defence: "a header arrives in time", run: func(t *testing.T, s *shop) {
			conn, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(time.Now().Add(patience / 4))
			_, _ = io.WriteString(conn, "GET /users/public HTTP/1.1\r\nHost: x\r\nX-Slow: ")
			text, err := io.ReadAll(conn)
			if err != nil || strings.Contains(string(text), " 200 ") {
				t.Errorf("%v: %s", err, text)
			}
		}},
		{name: "upstream_no_lockout", defence: "clients that cannot be told apart do not lock one another out", run: func(t *testing.T, s *shop) {
			if l, _ := s.out.find(func(l line) bool {
				return l.text("level") == "WARN" && strings.Contains(l.text("msg"), "TLS_MODE=upstream") && strings.Contains(l.text("msg"), "TRUSTED_PROXIES")
			}); l == nil {
				t.Error("the start does not warn")
			}
			for i := range 15 {
				a := s.send(t, request{path: "/users", from: "192.0.2.1", header: [][2]string{{"X-API-Key", forge(s.keys["good"])}}})
				if a.StatusCode != http.StatusUnauthorized || a.log.text("client.address") != "127.0.0.1" {
					t.Errorf("guess %d: %d from %s", i+1, a.StatusCode, a.log.text("client.address"))
				}
			}
		}},
	}
}

// start is a configuration with which the service must not start.
type start struct {
	name, defence string
	environ       []string
	say           string // what the service says, with the variable's name
}

func starts(w *world) []start {
	return []start{
		{"start_plain_http", "plain HTTP stays on loopback", []string{"HTTP_ADDR=0.0.0.0:0"}, "HTTP_ADDR"},
		{"start_open_admin", "the private port is not everybody's", []string{"ADMIN_ADDR=0.0.0.0:0", "ADMIN_TOKEN_FILE=", "TLS_MODE=upstream"}, "ADMIN_ADDR"},
		{"start_symmetric", "symmetric algorithms cannot be configured", []string{"AUTH_ALGORITHMS=RS256,HS256"}, "AUTH_ALGORITHMS"},
		{"start_none", "nor can none", []string{"AUTH_ALGORITHMS=none"}, "AUTH_ALGORITHMS"},
		{"start_all_proxies", "not everybody is a proxy", []string{"TRUSTED_PROXIES=0.0.0.0/0"}, "TRUSTED_PROXIES"},
		{"start_short_pepper", "a pepper is long enough", []string{"AUTH_API_KEYS_PEPPER=hunter2hunter2"}, "AUTH_API_KEYS_PEPPER"},
		{"start_short_admin_token", "a token is long enough", []string{"ADMIN_TOKEN_FILE=", "ADMIN_TOKEN=hunter2"}, "ADMIN_TOKEN"},
		{"start_no_users", "a scheme of the design has a verifier", []string{"AUTH_USERS_FILE="}, "AUTH_USERS_FILE"},
		{"start_no_audience", "tokens are for this service", []string{"AUTH_AUDIENCE="}, "AUTH_AUDIENCE"},
		{"start_long_leeway", "clocks are off by minutes", []string{"AUTH_LEEWAY=1h"}, "AUTH_LEEWAY"},
		{"start_plain_key_set", "keys come by https", []string{"AUTH_JWKS_URL=,,http://issuer.example/jwks"}, "AUTH_JWKS_URL"},
		{"start_plain_introspection", "tokens are asked about by https", []string{"AUTH_INTROSPECTION_URL=http://issuer.example/introspect"}, "AUTH_INTROSPECTION_URL"},
		{"start_cors_any_login", "no page at all uses a browser's login", []string{"CORS_ORIGINS=*"}, "CORS origin"},
		{"start_cors_any_credentials", "not every page gets credentials", []string{"CORS_ORIGINS=*", "CORS_CREDENTIALS=true"}, "CORS"},
		{"start_cors_pattern", "origins are exact", []string{"CORS_ORIGINS=https://*.shop.example"}, "CORS_ORIGINS"},
		{"start_identity_without_authority", "an identity is vouched for", []string{"TLS_CLIENT_IDENTITY=spiffe"}, "TLS_CLIENT_IDENTITY"},
		{"start_private_key_set", "a set of public keys has no private ones", []string{"AUTH_JWKS_FILE=" + w.file("private.json") + "," + w.file("partner.json") + ","}, "private"},
		{"start_weak_rsa", "keys are long enough", []string{"AUTH_JWKS_FILE=" + w.file("weak.json") + "," + w.file("partner.json") + ","}, "no key to use"},
		{"start_weak_hash", "hashes are worth having", []string{"AUTH_USERS_FILE=" + w.file("weak")}, "weaker than OWASP"},
	}
}

// TestStarts gives the service configurations that would leave a door open.
func TestStarts(t *testing.T) {
	path := mustBuild(t)
	w := newWorld(t)
	defer w.close()
	private, weak := w.rsa.jwk(), w.rsa.jwk()
	private["d"], weak["n"] = b64([]byte("a secret")), b64(append([]byte{0x80}, make([]byte, 127)...))
	for name, key := range map[string]map[string]any{"private.json": private, "weak.json": weak} {
		data, err := json.Marshal(map[string]any{"keys": []any{key}})
		if err != nil {
			t.Fatal(err)
		}
		w.replace(t, name, data)
	}
	w.replace(t, "weak", []byte("carol:$argon2id$v=19$m=4096,t=1,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"))
	for _, c := range starts(w) {
		t.Run(c.name, func(t *testing.T) {
			code, output := run(t, path, append(slices.Clone(w.environ), c.environ...))
			if code == 0 || strings.Contains(output, `"msg":"serving"`) {
				t.Fatalf("%s: it starts", c.defence)
			}
			if !strings.Contains(output, c.say) || strings.Contains(output, "hunter2") || strings.Contains(output, pepper) {
				t.Errorf("exit %d, want %q:\n%s", code, c.say, output)
			}
		})
	}
}
