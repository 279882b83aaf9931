package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aguada-dev/aguada"
	"github.com/aguada-dev/aguada/auth/apikey"
	"github.com/aguada-dev/aguada/auth/basic"
	"github.com/aguada-dev/aguada/auth/jwt"
	"github.com/aguada-dev/aguada/examples/orders/internal/pgtest"
	"github.com/aguada-dev/aguada/policy"
)

const (
	issuer   = "https://issuer.example/"
	audience = "shop"
	password = "correct horse battery staple"
	pepper   = "a pepper that only tests may use"
	sealing  = "a key for replies that only tests may use"
)

// world is what surrounds a shop: an environment that it can start with, and
// who may call it.
type world struct {
	environ []string
	apiKey  string
	key     *jwt.DevelopmentKey // signs tokens
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	check := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	key, err := jwt.NewDevelopmentKey()
	check(err)
	check(key.Save(file("key.json"), file("jwks.json")))
	hash, err := basic.HashPassword(password)
	check(err)
	check(os.WriteFile(file("users"), []byte("carol:"+hash+"\n"), 0o600))
	apiKey, record, err := apikey.Mint(pepper, apikey.Request{Owner: "partner"})
	check(err)
	keys, err := json.Marshal(apikey.File{Keys: []apikey.Record{record}})
	check(err)
	check(os.WriteFile(file("keys.json"), keys, 0o600))
	return &world{key: key, apiKey: apiKey, environ: []string{
		"HTTP_ADDR=127.0.0.1:0", "GRPC_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "LOG_FORMAT=json", "LOG_LEVEL=debug",
		"DATABASE_URL=sqlite:" + file("shop.db"),
		"AUTH_USERS_FILE=" + file("users"),
		"AUTH_API_KEYS_FILE=" + file("keys.json"), "AUTH_API_KEYS_PEPPER=" + pepper,
		"AUTH_JWKS_FILE=" + file("jwks.json"), "AUTH_ISSUER=" + issuer, "AUTH_AUDIENCE=" + audience,
		"IDEMPOTENCY_SECRET=" + sealing,
	}}
}

// running is the shop as a process would run it, on a port of its own.
type running struct {
	*world
	t    *testing.T
	addr string
	grpc string // the address for it
	log  *logBuffer
	stop func() error
}

// start starts the shop; environ wins over the world's.
func start(t *testing.T, environ ...string) *running {
	t.Helper()
	w := newWorld(t)
	w.environ = append(w.environ, environ...)
	return startIn(t, w)
}

// startIn starts the shop in a world, in which there may be others.
func startIn(t *testing.T, w *world) *running {
	t.Helper()
	r := &running{world: w, t: t, log: &logBuffer{}}
	ctx, cancel := context.WithCancel(context.Background())
	addr, done := make(chan [2]string, 1), make(chan error, 1)
	go func() {
		done <- shop().Run(ctx, context.Background(), aguada.Process{
			Environ: r.environ, Stdout: r.log, Started: func(http, grpc string) { addr <- [2]string{http, grpc} },
		})
	}()
	select {
	case at := <-addr:
		r.addr, r.grpc = at[0], at[1]
	case err := <-done:
		cancel()
		t.Fatal(err)
	}
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// token returns the value of an Authorization header.
func (r *running) token(subject string, scopes ...string) string {
	r.t.Helper()
	token, err := r.key.Mint(jwt.Claims{
		Issuer: issuer, Subject: subject, Audience: []string{audience}, Scopes: scopes, Lifetime: time.Hour,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return "Bearer " + token
}

// call sends a request with one header and returns the answer with its body.
func (r *running) call(verb, path, header, value string, body []byte) (*http.Response, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), verb, "http://"+r.addr+path, bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if header != "" {
		req.Header.Set(header, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res, string(text)
}

// logBuffer is a log that may be read while it is written.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// methods reads what the generator promises of the shop's methods that answer
// once.
func methods(t *testing.T) (all []policy.Method) {
	t.Helper()
	data, err := os.ReadFile("../../gen/production/contract.json")
	if err != nil {
		t.Fatal(err)
	}
	var c policy.Contract
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	for _, s := range c.Services {
		for _, m := range s.Methods {
			if m.Kind == policy.Unary {
				all = append(all, m)
			}
		}
	}
	return all
}

// Every example of the contract is answered as it promises with the right
// credential, and with 401 or 403 without.
func TestContractHolds(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { start(t).contractHolds() })
	t.Run("postgres", func(t *testing.T) { start(t, "DATABASE_URL="+pgtest.URL(t)).contractHolds() })
}

func (r *running) contractHolds() {
	t := r.t
	t.Helper()
	order := regexp.MustCompile(`ord_[a-z2-7]{26}`)
	all := methods(t)
	i := slices.IndexFunc(all, func(m policy.Method) bool { return m.Name == "create" })
	all[0], all[i] = all[i], all[0] // the order that the others' examples are about
	placed := ""
	for _, m := range all {
		m.Example.Path = order.ReplaceAllString(m.Example.Path, placed)
		text := r.promise(m)
		var answer struct{ ID, Username string }
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			t.Errorf("%s %s: %v", m.Service, m.Name, err)
		}
		switch {
		case m.Name == "create":
			placed = answer.ID
		case m.Name == "me" && answer.Username != "carol":
			t.Errorf("me is %s", text)
		}
	}
}

// promise sends the example of a method with every kind of credential, and
// returns the answer to the right one.
func (r *running) promise(m policy.Method) string {
	r.t.Helper()
	var body []byte
	if m.Example.Body != nil {
		var err error
		if body, err = json.Marshal(m.Example.Body); err != nil {
			r.t.Fatal(err)
		}
	}
	send := func(why, header, value string, want int) (*http.Response, string) {
		res, text := r.call(m.Example.Verb, m.Example.Path, header, value, body)
		if res.StatusCode != want {
			r.t.Errorf("%s %s %s: %d %s, want %d", m.Example.Verb, m.Example.Path, why, res.StatusCode, text, want)
		}
		return res, text
	}
	if m.Access == policy.Public {
		_, text := send("by anybody", "", "", m.Example.Status)
		return text
	}
	if res, _ := send("without credentials", "", "", 401); res.Header.Get("WWW-Authenticate") == "" {
		r.t.Errorf("%s %s does not say how to authenticate", m.Service, m.Name)
	}
	header, value := "Authorization", ""
	switch m.Requirements[0].Schemes[0].Scheme {
	case "basic":
		value = "Basic " + base64.StdEncoding.EncodeToString([]byte("carol:"+password))
		send("with a wrong password", header, "Basic "+base64.StdEncoding.EncodeToString([]byte("carol:x")), 401)
	case "api_key":
		header, value = "X-API-Key", r.apiKey
		send("with a wrong key", header, r.apiKey[:len(r.apiKey)-1], 401)
	default:
		value = r.token("alice", m.Requirements[0].Scopes...)
		send("without the scope", header, r.token("alice", "other"), 403)
	}
	_, text := send("with credentials", header, value, m.Example.Status)
	return text
}

// Nothing that a caller trusts the shop with is in the log or in an answer.
func TestSecretsStaySecret(t *testing.T) {
	r := start(t)
	token := r.token("alice", "api:write", "api:read")
	const card = "4000123412341234"
	order := func(card, currency string) []byte {
		return fmt.Appendf(nil, `{"customer_id":"c1","currency":%q,"card":%q,"items":[{"sku":"TEA","quantity":1,"unit_price_cents":5}]}`, currency, card)
	}
	var answers strings.Builder
	for _, c := range []struct {
		body []byte
		want int
	}{
		{order(card, "EUR"), 201}, {order(card, "XXX"), 400}, {order(card+"secret", "EUR"), 400}, {order(card, "EUR")[:80], 400},
	} {
		res, text := r.call("POST", "/orders", "Authorization", token, c.body)
		if res.StatusCode != c.want {
			t.Errorf("%s: %d %s, want %d", c.body, res.StatusCode, text, c.want)
		}
		answers.WriteString(text)
	}
	basic := base64.StdEncoding.EncodeToString([]byte("carol:" + password))
	for _, h := range [][3]string{{"/accounts/me", "Authorization", "Basic " + basic}, {"/users", "X-API-Key", r.apiKey}, {"/users/admin", "Authorization", token}} {
		_, text := r.call("GET", h[0], h[1], h[2], nil)
		answers.WriteString(text)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	written := r.log.String() + answers.String()
	for what, secret := range map[string]string{
		"card": card, "password": password, "basic": basic, "key": r.apiKey, "token": strings.TrimPrefix(token, "Bearer "), "pepper": pepper,
	} {
		if strings.Contains(written, secret) {
			t.Errorf("the %s is in a log line or an answer:\n%s", what, written)
		}
	}
	if !strings.Contains(written, "orders") {
		t.Error("nothing was logged")
	}
}

// The shop's own settings are checked like the chassis'.
func TestOwnSettings(t *testing.T) {
	for _, c := range []struct{ env, want string }{
		{"PAGE_SIZE=many", "PAGE_SIZE"}, {"PAGE_SIZE=101", "PAGE_SIZE"}, {"SHIP_AFTER=-1s", "SHIP_AFTER"}, {"DATABASE_URL=mysql://u:hunter2@h/d", "sqlite:FILE"},
		{"DATABASE_URL=postgres://u:hunter2@h/d", "sslmode"}, {"DATABASE_URL=postgres://u:hunter2@127.0.0.1:1/d", "unavailable"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		err := shop().Run(ctx, ctx, aguada.Process{
			Environ: append(newWorld(t).environ, c.env),
			Started: func(string, string) { cancel() },
		})
		cancel()
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", c.env, err)
		}
	}
}
