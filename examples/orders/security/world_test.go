package security

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/auth/apikey"
	"github.com/aguada-dev/aguada/auth/basic"
)

const (
	issuer   = "https://issuer.example/"
	partner  = "https://partner.example/" // another issuer that is trusted
	down     = "https://down.example/"    // one whose keys cannot be fetched
	audience = "shop"

	password = "correct horse battery staple"
	// older is ann's, of which there is a hash of bcrypt.
	older     = "an older password"
	olderHash = "$2a$10$89M2/AS2bP0NZ8xNqZEFi.kD02LlIph4Hl5HYXk32wsqGI5mbnj2C"
	// longHash is of bert's longPassword, as long as bcrypt looks at.
	longHash = "$2a$10$hjkkKVRvJaCgggwUDXr4ROTBjJSeyQLrMDAKucYYFRuVo10.Kw/5C"

	pepper      = "a pepper that only tests may use"
	oldPepper   = "the pepper before, of tests only"
	otherPepper = "a pepper that nobody configured!"

	adminToken = "the-token-of-the-private-port"
	clientID   = "ordersd"
	clientKey  = "the secret of the introspection"
)

var longPassword = strings.Repeat("longer ", 11)[:72]

// world is what surrounds the service: files, issuers, and who may call it.
type world struct {
	dir     string
	environ []string

	rsa, ec, leaving *signer // of issuer
	twin             *signer // of partner, under the key id of issuer's rsa
	stranger         *signer // of nobody

	keys    map[string]string // API keys by what is wrong with them
	records []apikey.Record

	introspection *httptest.Server
	silent        atomic.Bool // the introspection fails
	closers       []func()
	spans         *lines // what was exported
}

func (w *world) file(name string) string { return filepath.Join(w.dir, name) }

// replace replaces a file as editors and orchestrators do: whole.
func (w *world) replace(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(w.file(name+".new"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(w.file(name+".new"), w.file(name)); err != nil {
		t.Fatal(err)
	}
}

// hash is of the password, made once since it is costly.
var hash = sync.OnceValues(func() (string, error) { return basic.HashPassword(password) })

func newWorld(t testing.TB) *world {
	t.Helper()
	dir, err := os.MkdirTemp(binaries, "world")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{dir: dir, keys: map[string]string{}, spans: newLines()}
	w.rsa, w.ec, w.leaving = newSigner(t, "RS256", "rsa-1"), newSigner(t, "ES256", "ec-1"), newSigner(t, "EdDSA", "ed-1")
	w.twin, w.stranger = newSigner(t, "RS256", "rsa-1"), newSigner(t, "RS256", "rsa-1")
	w.replace(t, "jwks.json", set(w.rsa, w.ec, w.leaving))
	w.replace(t, "partner.json", set(w.twin))
	w.replace(t, "admin", []byte(adminToken+"\n"))
	w.writeUsers(t, password)
	w.mintKeys(t)
	w.introspection = httptest.NewServer(http.HandlerFunc(w.introspect))
	w.environ = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "OTEL_TRACES_EXPORTER=none",
		"HTTP_ADDR=127.0.0.1:0", "GRPC_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "LOG_FORMAT=json", "LOG_LEVEL=debug",
		"IDEMPOTENCY_SECRET=" + pepper,
		"LOAD_SHEDDING=off", // floods are what these tests make
		"ADMIN_TOKEN_FILE=" + w.file("admin"), "TRUSTED_PROXIES=127.0.0.1/32",
		"DATABASE_URL=sqlite:" + w.file("shop.db"),
		"AUTH_USERS_FILE=" + w.file("users"),
		"AUTH_API_KEYS_FILE=" + w.file("keys.json"), "AUTH_API_KEYS_PEPPER=" + pepper, "AUTH_API_KEYS_OLD_PEPPER=" + oldPepper,
		"AUTH_ISSUER=" + strings.Join([]string{issuer, partner, down}, ","), "AUTH_AUDIENCE=" + audience,
		"AUTH_JWKS_FILE=" + w.file("jwks.json") + "," + w.file("partner.json") + ",",
		"AUTH_JWKS_URL=,," + w.introspection.URL + "/jwks", "AUTH_MAX_TOKEN_AGE=2h",
		"AUTH_INTROSPECTION_URL=" + w.introspection.URL + "/introspect",
		"AUTH_INTROSPECTION_CLIENT_ID=" + clientID, "AUTH_INTROSPECTION_CLIENT_SECRET=" + clientKey,
		"CORS_ORIGINS=https://shop.example,http://localhost:3000",
	}
	return w
}

func (w *world) close() {
	w.introspection.Close()
	for _, f := range w.closers {
		f()
	}
	_ = os.RemoveAll(w.dir)
}

// writeUsers writes the users file, in which dora has a password.
func (w *world) writeUsers(t testing.TB, dora string) {
	t.Helper()
	carol, err := hash()
	if err != nil {
		t.Fatal(err)
	}
	other := carol
	if dora != password {
		if other, err = basic.HashPassword(dora); err != nil {
			t.Fatal(err)
		}
	}
	w.replace(t, "users", []byte("carol:"+carol+"\nann:"+olderHash+"\nbert:"+longHash+"\ndora:"+other+"\nzo\u00eb:"+carol+"\n"))
}

// mintKeys makes the API keys.
func (w *world) mintKeys(t testing.TB) {
	t.Helper()
	now := time.Now()
	mint := func(name, by string, change func(*apikey.Record)) {
		key, r, err := apikey.Mint(by, apikey.Request{Owner: name})
		if err != nil {
			t.Fatal(err)
		}
		if w.keys[name] = key; change == nil {
			return
		}
		change(&r)
		w.records = append(w.records, r)
	}
	asIs := func(*apikey.Record) {}
	mint("good", pepper, asIs)
	mint("known", pepper, asIs)
	mint("doomed", pepper, asIs)
	mint("old", oldPepper, asIs)
	mint("expired", pepper, func(r *apikey.Record) { r.ExpiresAt = now.Add(-time.Second) })
	mint("revoked", pepper, func(r *apikey.Record) { r.RevokedAt = now.Add(-time.Hour) })
	mint("retiring", pepper, func(r *apikey.Record) { r.RetiresAt = now.Add(time.Hour) })
	mint("retired", pepper, func(r *apikey.Record) { r.RetiresAt = now.Add(-time.Second) })
	mint("other pepper", otherPepper, asIs)
	mint("forged pepper", otherPepper, func(r *apikey.Record) { r.Pepper = apikey.PepperID(pepper) })
	mint("absent", pepper, nil)
	w.keys["wrong secret"] = forge(w.keys["good"])
	w.writeKeys(t)
}

func (w *world) writeKeys(t testing.TB) {
	t.Helper()
	data, err := json.Marshal(apikey.File{Keys: w.records})
	if err != nil {
		t.Fatal(err)
	}
	w.replace(t, "keys.json", data)
}

// forge returns a key with the id of another, in a form without fault.
func forge(key string) string {
	id, _ := apikey.ID(key)
	raw := make([]byte, 20)
	_, _ = rand.Read(raw)
	return checked(apikey.Prefix + id + "_" + strings.ToLower(base32.StdEncoding.EncodeToString(raw)))
}

// checked adds the check characters of a key.
func checked(s string) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	sum := crc32.ChecksumIEEE([]byte(s))
	var check [7]byte
	for i := range check {
		check[6-i] = alphabet[sum>>(5*i)&31]
	}
	return s + string(check[:])
}

// introspect is an issuer's server that tells what opaque tokens are, and has
// no keys to give.
func (w *world) introspect(rw http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	if w.silent.Load() || r.URL.Path != "/introspect" {
		http.Error(rw, "out of order", http.StatusInternalServerError)
		return
	}
	if id != clientID || strings.ReplaceAll(secret, "+", " ") != clientKey {
		http.Error(rw, "who are you?", http.StatusUnauthorized)
		return
	}
	answer := members{
		"active": true, "iss": issuer, "sub": "mallory", "aud": audience, "scope": "api:read", "token_type": "Bearer",
		"exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
	}
	kind, _, _ := strings.Cut(r.PostFormValue("token"), ".")
	answer = answer.with(map[string]members{
		"inactive": {"active": false}, "audience": {"aud": "another"}, "issuer": {"iss": "https://evil.example/"},
		"expired": {"exp": time.Now().Add(-time.Minute).Unix()}, "refresh": {"token_type": "refresh_token"},
		"unscoped": {"scope": "api:write"}, "bound": {"cnf": members{"jkt": "x"}}, "nobody": {"sub": nil},
		"unclear": {"active": "true"},
	}[kind])
	rw.Header().Set("Content-Type", "application/json")
	_, _ = rw.Write([]byte(answer.json()))
}
