package security

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/examples/orders/internal/mutants"
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

	// users.list over gRPC as over HTTP: a login is two keys of metadata.
	keyInMetadata = `{Schemes: []policy.Use{{Scheme: "api_key", In: "metadata", Name: "x-api-key"}}},`
	pairsThere    = `{Schemes: []policy.Use{{Scheme: "api_key", In: "metadata", Name: "x-api-key"}, {Scheme: "jwt", In: "metadata", Name: "authorization"}}, Scopes: []string{"api:read"}},
		{Schemes: []policy.Use{{Scheme: "api_key", In: "metadata", Name: "x-api-key"}, {Scheme: "basic", In: "metadata", Name: "username", Password: "password"}}},`

	// orders.create takes ten calls of one, and no more for a long time.
	createRate = `{Name: "orders/create:principal-1s", Rate: 2000, Per: policy.Duration(1 * time.Second), Burst: 4000,`
	fewCreates = `{Name: "orders/create:principal-1s", Rate: 1, Per: policy.Duration(time.Hour), Burst: 10,`

	// A service that breaks, and one whose strings have lines where events must not.
	meReturns = "return &genaccounts.MeResult{Username: p.Subject}, nil"
	mePanics  = `if p.Subject == "bert" {
		panic("what only the log may say")
	}
	` + meReturns
	namedEvent = "ID: e.ID(), Kind: e.Kind, OrderID"
	linedEvent = `ID: e.ID() + "\r\n\r\nevent: forged\ndata: x\n\n", Kind: e.Kind + "\nretry: 1\r\n\r\x00", OrderID`
)

// openAlternatives starts the service with another contract.
func openAlternatives(t testing.TB) *shop {
	overlay := mutants.Overlay{}
	if path := os.Getenv(overlayVar); path != "" {
		overlay = readOverlay(t, path)
	}
	for _, e := range []mutants.Edit{
		{File: contractFile, Old: oneScheme, Text: twoPairs}, {File: contractFile, Old: tokenOnly, Text: loginOnly}, {File: contractFile, Old: keyInMetadata, Text: pairsThere}, {File: contractFile, Old: createRate, Text: fewCreates},
		{File: "examples/orders/accounts.go", Old: meReturns, Text: mePanics}, {File: "examples/orders/streams.go", Old: namedEvent, Text: linedEvent},
	} {
		if err := overlay.Add(e, root, binaries); err != nil {
			t.Fatal(err)
		}
	}
	file, err := overlay.Write(binaries)
	if err != nil {
		t.Fatal(err)
	}
	path, err := build(filepath.Join(binaries, "alternatives"), file)
	if err != nil {
		t.Fatal(err)
	}
	return newShop(t, newWorld(t), path)
}

func readOverlay(t testing.TB, path string) mutants.Overlay {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var overlay struct{ Replace mutants.Overlay }
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
	rpc := func(name, defence string, header func(*shop) [][2]string, want refusal) attack {
		return attack{name: name, defence: defence, want: want, make: func(s *shop) request {
			return request{call: calls["/users"], header: append(header(s), [2]string{"X-API-Key", s.keys["good"]})}
		}}
	}
	return []attack{
		rpc("alternatives_rpc_token", "one alternative is enough, over gRPC too", func(s *shop) [][2]string { return [][2]string{bearer(token{by: s.rsa})} }, refusal{status: 200}),
		rpc("alternatives_rpc_login", "one alternative is enough, over gRPC too", func(*shop) [][2]string { return [][2]string{user("carol"), pass(password)} }, refusal{status: 200}),
		rpc("alternatives_rpc_key_alone", "all of an alternative is needed, over gRPC too", func(*shop) [][2]string { return nil },
			refusal{http.StatusUnauthorized, challenges, "unauthorized", "jwt", "missing"}),
		rpc("alternatives_rpc_half_a_login", "half a login is no part of one", func(*shop) [][2]string { return [][2]string{user("carol")} },
			refusal{http.StatusUnauthorized, challenges, "unauthorized", "basic", "malformed"}),
		rpc("alternatives_rpc_login_as_token", "a login is no token, also not at a token's place", func(*shop) [][2]string { return [][2]string{login("carol", password)} },
			refusal{http.StatusUnauthorized, challenges, "unauthorized", "jwt", "missing"}),
		rpc("alternatives_rpc_bad_login", "one good credential does not make up for a bad one", func(*shop) [][2]string { return [][2]string{user("carol"), pass("no password of hers")} },
			refusal{http.StatusUnauthorized, challenges, "unauthorized", "basic", "unknown"}),
		{name: "panic_isolated", defence: "a call that breaks is one call, and nobody learns why", run: panics},
		{name: "events_lines", defence: "strings stay in their line, whatever a service makes of them", run: eventLines},
		{name: "idempotency_limits", defence: "a repetition is a call", run: func(t *testing.T, s *shop) {
			key, seen := rand.Text(), map[int]int{}
			for range 14 {
				r := post("/orders", order(""), login("zo\u00eb", password), [2]string{"Idempotency-Key", key})
				seen[s.send(t, r).StatusCode]++
			}
			if seen[201] != 10 || seen[429] != 4 {
				t.Errorf("%v", seen)
			}
		}},
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
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		_, _ = w.spans.Write(append(data, '\n'))
	}))
	w.closers = append(w.closers, collector.Close)
	w.environ = append(w.environ, "OTEL_TRACES_EXPORTER=otlp", "OTEL_TRACES_SAMPLER=always_on", "OTEL_BSP_SCHEDULE_DELAY=100",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+collector.URL+"/v1/traces", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf")
	return newShop(t, w, mustBuild(t), "TLS_MODE=upstream", "READ_HEADER_TIMEOUT=500ms", "READ_TIMEOUT=700ms", "GRPC_REFLECTION=true", "LOAD_SHEDDING=on")
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
		{name: "upstream_stalled_message", defence: "a message arrives in time", run: func(t *testing.T, s *shop) {
			for name, head := range map[string]string{"none": "", "part": announced(100) + "x"} {
				r := placing(s, "")
				r.wire = newEndless(head, 0)
				begun := time.Now()
				a := s.send(t, r)
				if took := time.Since(begun); a.code != "DEADLINE_EXCEEDED" || a.log.text("error.type") != "body_timeout" || took > 3*time.Second {
					t.Errorf("%s: %s after %s: %s", name, a.code, took, a.log.text("raw"))
				}
			}
			watch := request{call: "orders.Orders/WatchOrders", header: [][2]string{bearer(token{by: s.rsa})}, wire: newEndless("", 0)}
			if a := s.send(t, watch); a.code != "DEADLINE_EXCEEDED" || a.log.text("error.type") != "body_timeout" {
				t.Errorf("a stream: %s %s", a.code, a.log.text("raw"))
			}
		}},
		{name: "upstream_spans", defence: "spans hold no credentials", run: spans},
		{name: "upstream_stalled_many", defence: "who is waited for takes nobody's place", run: stalledMany},
		{name: "upstream_reflection", defence: "reflection is there only if it is asked for", run: func(t *testing.T, s *shop) {
			r := request{call: "grpc.reflection.v1.ServerReflection/ServerReflectionInfo", wire: newEndless(framed("\x3a\x00"), 0)}
			if a := s.send(t, r); a.message == nil || !strings.Contains(a.text, "orders.Orders") {
				t.Errorf("%s", a.text)
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

// panics calls what breaks for bert, over both transports.
func panics(t *testing.T, s *shop) {
	for name, r := range map[string]request{"HTTP": account(login("bert", longPassword)), "gRPC": me(user("bert"), pass(longPassword))} {
		a := s.send(t, r)
		if a.StatusCode != http.StatusInternalServerError || a.Name != "fault" || a.ID == "" || strings.Contains(a.text, "only the log") || strings.Contains(a.text, ".go:") || len(s.leaks(a.text)) > 0 {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.text)
		}
		if a.log.text("error.type") != "panic" || a.log.text("error.id") != a.ID || a.log.text("exception.stacktrace") == "" {
			t.Errorf("%s: the log: %s", name, a.log.text("raw"))
		}
	}
	s.attack(t, me(user("carol"), pass(password)), refusal{status: 200})
}

// eventLines follows orders whose events have lines in all their strings.
func eventLines(t *testing.T, s *shop) {
	if a := s.send(t, post("/orders", order(""), login("carol", password))); a.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	got := s.follow(t, token{by: s.rsa, claims: members{"sub": "carol"}}, func(text string) bool {
		return strings.Contains(text, "order_id") && strings.HasSuffix(text, "\n\n")
	}, [2]string{"Last-Event-ID", "start"})
	for _, e := range strings.Split(strings.TrimSuffix(got, "\n\n"), "\n\n") {
		lines := strings.Split(e, "\n")
		if len(lines) != 3 || !strings.HasPrefix(lines[0], "id: ") || !strings.HasPrefix(lines[1], "event: ") || !strings.HasPrefix(lines[2], "data: {") || strings.ContainsAny(e, "\r\x00") {
			t.Errorf("an event: %q", e)
		}
	}
	if !strings.Contains(got, "forged") {
		t.Errorf("the service does not say what it should: %q", got)
	}
}

// spans presents credentials, good and bad, over all transports, and reads what
// the service says of that to who collects its spans.
func spans(t *testing.T, s *shop) {
	var last *answer
	requests := []request{me(user("carol"), pass(password)), me(user("carol"), pass("no password of hers")), account(login("carol", "neither is this")),
		keyed(s.keys["good"]), {call: calls["/users"], header: keyed(s.keys["absent"]).header}, placing(s, message(ordered(nil)), [2]string{"Idempotency-Key", "a-key-of-many-words"})}
	for i := range len(carriers) + 1 {
		good := bearing("/orders", token{by: s.rsa})
		if i > 0 {
			good, _ = carriers[i-1].carry(good)
		}
		requests = append(requests, s.wrong(i, ""), good)
	}
	for _, r := range requests {
		r.header = append(r.header, [2]string{"Tracestate", "a=b"}, [2]string{"Baggage", "c=d"})
		last = s.send(t, r)
	}
	until(t, "the last span has come", func() bool { return strings.Contains(s.spans.String(), last.log.text("request_id")) })
	text := s.spans.String()
	for _, want := range []string{"orders.Orders/Live", "orders.Orders/WatchOrders", "users.Users/List", "/orders/live", "/orders/events"} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no span of %s", want)
		}
	}
	if found := s.leaks(text); len(found) > 0 {
		t.Errorf("the spans have %v", found)
	}
}

// stalledMany makes more calls whose messages do not come than the process serves
// at once by its adaptive limit, which begins at 100.
func stalledMany(t *testing.T, s *shop) {
	if runtime.GOMAXPROCS(0) > 6 {
		t.Skip("SKIPPED: the limit begins above 100 on this machine")
	}
	var wg sync.WaitGroup
	begun := s.number.Load()
	for range 150 {
		wg.Go(func() {
			if a, err := s.try(request{call: "users.Users/About", wire: newEndless("", 0)}); err != nil || a.code != "DEADLINE_EXCEEDED" {
				t.Errorf("%v %+v", err, a)
			}
		})
	}
	until(t, "the calls have begun", func() bool { return s.number.Load() >= begun+150 })
	for range 50 {
		for _, r := range []request{get("/users/public"), {call: "users.Users/About"}} {
			if a := s.send(t, r); a.StatusCode != http.StatusOK {
				t.Errorf("%d %s", a.StatusCode, a.Name)
			}
		}
	}
	wg.Wait()
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
		{"start_plain_grpc", "plain gRPC stays on loopback", []string{"GRPC_ADDR=0.0.0.0:0"}, "GRPC_ADDR"},
		{"start_no_idempotency_secret", "stored answers are sealed", []string{"IDEMPOTENCY_SECRET="}, "IDEMPOTENCY_SECRET"},
		{"start_short_idempotency_secret", "a secret is long enough", []string{"IDEMPOTENCY_SECRET=hunter2hunter2"}, "IDEMPOTENCY_SECRET"},
		{"start_short_redis_secret", "a secret is long enough", []string{"REDIS_SECRET=hunter2hunter2"}, "REDIS_SECRET"},
		{"start_redis_scheme", "limits are shared with a Redis", []string{"REDIS_URL=http://127.0.0.1:1/hunter2"}, "Redis"},
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
