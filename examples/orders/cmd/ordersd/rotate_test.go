//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/auth/apikey"
	"github.com/aguada-dev/aguada/auth/basic"
	"github.com/aguada-dev/aguada/auth/jwt"
	"github.com/aguada-dev/aguada/examples/orders/store"
)

// How soon changes are in force.
const (
	byFile     = 2 * time.Second
	byDatabase = apikey.Limit
	byURL      = 11 * time.Second // 10 s between two fetches because of unknown keys, and the fetch
)

// The groups of credentials.
const (
	users, admins                  = "basic", "admin token"
	fileKeys, databaseKeys         = "API key in a file", "API key in the database"
	fileTokens, urlTokens          = "JWT by a file", "JWT by a URL"
	fileAccess, urlAccess          = "OAuth2 token by a file", "OAuth2 token by a URL"
	remoteIssuer                   = "https://remote.example/"
	pepperPath, oldPath, adminPath = "pepper", "old-pepper", "admin-token"
)

// people are who uses passwords. Carol's old password is still tried when she
// has a new one; until the first call with that is through, all are held up, 2 s
// at most, and none is refused.
var people = []string{"carol", "erin", "frank"}

// rotation is two replicas of a shop of which everything that can be replaced
// is. The first has its API keys in a file, the second in the database.
type rotation struct {
	*load
	dir      string
	replicas []*process
	admins   []string // addresses of their private ports
	long     bool
	ca       *authority
	keySet   *keyServer
	pepper   atomic.Pointer[string]
	stores   []*apikey.Registry // of the replicas
	hashes   map[string]string  // of the users' passwords
	remote   *jwt.DevelopmentKey
}

func (r *rotation) path(name string) string { return filepath.Join(r.dir, name) }

// no ends the test at once if there is an error. Only its own goroutine may
// call it.
func (r *rotation) no(err error) {
	if err != nil {
		r.t.Helper()
		r.t.Fatal(err)
	}
}

// Under steady load, everything that proves or hides something is replaced
// while the service runs: JWT keys (by a file and at a URL, which also fails for
// a while), API keys and their pepper (in a file and in the database), users, TLS
// certificates, the token of the private port. No request is refused that is to be
// accepted, none accepted that is to be refused, no connection fails. How long
// the service may take to notice is what credential.judge allows.
func TestRotation(t *testing.T) {
	r := newRotation(t)
	capacity := r.capacity(2 * time.Second)
	rate, window := min(capacity/2, 300), 10*time.Second
	if r.long {
		rate, window = min(capacity/2, 1000), 60*time.Second
	}
	t.Logf("the machine holds %.0f requests a second; the load is %.0f", capacity, rate)
	ctx, cancel := context.WithCancel(t.Context())
	var traffic sync.WaitGroup
	guesses := 0
	traffic.Go(func() {
		r.pace(ctx, rate, r.callers, func(c *credential) bool { return c.good(time.Now()) })
	})
	traffic.Go(func() { guesses = r.pace(ctx, 20, []*http.Client{r.strange}, (*credential).bad) })
	over := make(chan struct{})
	var scripts sync.WaitGroup
	for _, script := range []func(n int) error{r.rotateTLS, r.rotateFileKeys, r.rotateUsers, r.rotateAdminToken} {
		scripts.Go(func() {
			for n := 0; ; n++ {
				if err := script(n); err != nil {
					r.fail("%v", err)
				}
				select {
				case <-over:
					return
				default:
				}
			}
		})
	}
	var longest sync.WaitGroup
	for _, script := range []func() error{func() error { return r.rotateURLKeys(r.remote, window) }, r.rotateAPIKeys} {
		longest.Go(func() {
			if err := script(); err != nil {
				r.fail("%v", err)
			}
		})
	}
	longest.Wait()
	close(over)
	scripts.Wait()
	cancel()
	traffic.Wait()
	r.finish(guesses)
}

// change gives credentials up, makes a change that ends them and lets others
// begin, and waits until both is in force.
func (r *rotation) change(what string, limit time.Duration, do func() error, old, fresh []*credential) error {
	for _, c := range old {
		c.giveUp(time.Now())
	}
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	done := time.Now()
	for _, c := range old {
		c.dies(done.Add(limit))
	}
	for _, c := range fresh {
		c.from = done.Add(limit)
	}
	r.add(fresh...)
	var wg sync.WaitGroup
	for _, c := range old {
		wg.Go(func() { r.inForce(what+", the old one refused", done, limit, c, false) })
	}
	for _, c := range fresh {
		if c.group != users { // asking for a new password too early is to guess
			wg.Go(func() { r.inForce(what+", the new one accepted", done, limit, c, true) })
		}
	}
	wg.Wait()
	time.Sleep(time.Until(done.Add(limit)))
	return nil
}

// everywhere is a credential for each replica.
func (r *rotation) everywhere(group, path, header, value string) (all []*credential) {
	for _, p := range r.replicas {
		all = append(all, newCredential(group, "https://"+p.addr+path, header, value, time.Now()))
	}
	return all
}

func (r *rotation) user(name, password string) []*credential {
	return r.everywhere(users, "/accounts/me", "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(name+":"+password)))
}

// tokens are a token for each kind of scheme, from an issuer.
func (r *rotation) tokens(by *jwt.DevelopmentKey, issuer string, lifetime time.Duration) ([]*credential, error) {
	token, err := by.Mint(jwt.Claims{Issuer: issuer, Subject: "load", Audience: []string{audience}, Scopes: []string{"api:read"}, Lifetime: lifetime})
	if err != nil {
		return nil, err
	}
	tokens, access := fileTokens, fileAccess
	if issuer == remoteIssuer {
		tokens, access = urlTokens, urlAccess
	}
	return append(r.everywhere(tokens, "/orders", "Authorization", "Bearer "+token),
		r.everywhere(access, "/reports/sales", "Authorization", "Bearer "+token)...), nil
}

// apiKey is a new key of a replica's store.
func (r *rotation) apiKey(i int) (*credential, string, error) {
	key, record, err := r.stores[i].Create(context.Background(), apikey.Request{Owner: "partner"})
	return r.keyOf(i, key), record.ID, err
}

func (r *rotation) keyOf(i int, key string) *credential {
	return newCredential([]string{fileKeys, databaseKeys}[i], "https://"+r.replicas[i].addr+"/users", "X-API-Key", key, time.Now())
}

func (r *rotation) adminToken(token string) (all []*credential) {
	for _, addr := range r.admins {
		all = append(all, newCredential(admins, "http://"+addr+"/methods", "Authorization", "Bearer "+token, time.Now()))
	}
	return all
}

// never makes credentials that are to be refused from the beginning.
func never(all []*credential) []*credential {
	for _, c := range all {
		c.until, c.dead = c.from, c.from
	}
	return all
}

// rotateTLS replaces certificate and key.
func (r *rotation) rotateTLS(n int) error {
	how, serial := deployments[n%len(deployments)], int64(n+10)
	cert, key, err := r.ca.issue(serial)
	if err == nil {
		err = how.put(file{r.path("tls.crt"), cert}, file{r.path("tls.key"), key})
	}
	if err != nil {
		return err
	}
	done, what := time.Now(), "TLS certificate, "+how.name
	for _, p := range r.replicas {
		for {
			begun := time.Now()
			conn, err := tls.Dial("tcp", p.addr, r.tls)
			if err != nil {
				return err
			}
			presented := conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
			_ = conn.Close()
			if presented == serial {
				r.noticed(what, byFile, begun.Sub(done))
				break
			}
			if begun.Sub(done) > byFile {
				return fmt.Errorf("%s: not presented after %s", what, byFile)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	time.Sleep(time.Until(done.Add(byFile)))
	return nil
}

// publicSet is the key set of keys.
func publicSet(dir string, keys ...*jwt.DevelopmentKey) (string, error) {
	scratch, err := os.MkdirTemp(dir, "scratch")
	if err != nil {
		return "", err
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	for _, k := range keys {
		path := filepath.Join(scratch, "set")
		var one struct{ Keys []json.RawMessage }
		if err := k.Save(filepath.Join(scratch, "private"), path); err != nil {
			return "", err
		}
		data, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(data, &one)
		}
		if err != nil {
			return "", err
		}
		set.Keys = append(set.Keys, one.Keys...)
	}
	out, err := json.Marshal(set)
	return string(out), errors.Join(err, os.RemoveAll(scratch))
}

// rotateFileKeys adds a key to the file of the key set, has it sign, and takes
// the former one out. Its tokens are in the caches by then.
func (r *rotation) rotateFileKeys(n int) error {
	next, err := jwt.NewDevelopmentKey()
	if err != nil {
		return err
	}
	put := func(n int, keys ...*jwt.DevelopmentKey) func() error {
		return func() error {
			set, err := publicSet(r.dir, keys...)
			if err != nil {
				return err
			}
			return deployments[n%len(deployments)].put(file{r.path("jwks.json"), set})
		}
	}
	fresh, err := r.tokens(next, issuer, time.Hour)
	if err != nil {
		return err
	}
	how := deployments[n%len(deployments)].name
	if err := r.change("JWT key added, "+how, byFile, put(n, r.replicas[0].key, next), nil, fresh); err != nil {
		return err
	}
	const life = 2 * time.Second
	least := time.Now().Truncate(time.Second).Add(life) // tokens have whole seconds
	brief, err := r.tokens(next, issuer, life)
	if err != nil {
		return err
	}
	for _, c := range brief { // they end by themselves
		c.until, c.dead = least, c.from.Truncate(time.Second).Add(life)
	}
	r.add(brief...)
	old := r.inUse(fileTokens, fileAccess, fresh)
	if err := r.change("JWT key removed, "+how, byFile, put(n, next), old, nil); err != nil {
		return err
	}
	r.replicas[0].key = next
	return nil
}

// inUse returns the good credentials of groups, but for some.
func (r *rotation) inUse(one, two string, but []*credential) (all []*credential) {
	_, by := r.groups(func(c *credential) bool { return c.good(time.Now()) })
	for _, c := range append(by[one], by[two]...) {
		keep := false
		for _, b := range but {
			keep = keep || b == c
		}
		if !keep {
			all = append(all, c)
		}
	}
	return all
}

// rotateUsers changes a password, and adds and removes a user.
func (r *rotation) rotateUsers(n int) error {
	how := deployments[n%len(deployments)]
	password, next := fmt.Sprintf("password %d", n), fmt.Sprintf("password %d", n+1)
	write := func(edit func() error) func() error {
		return func() error {
			err := edit()
			var text strings.Builder
			for name, hash := range r.hashes {
				fmt.Fprintf(&text, "%s:%s\n", name, hash)
			}
			return errors.Join(err, how.put(file{r.path("users"), text.String()}))
		}
	}
	set := func(name, password string) error {
		hash, err := basic.HashPassword(password)
		r.hashes[name] = hash
		return err
	}
	old, guest := r.find(r.user("carol", password)), r.user(fmt.Sprintf("guest%d", n), next)
	err := r.change("password and user added, "+how.name, byFile, write(func() error {
		return errors.Join(set("carol", next), set(fmt.Sprintf("guest%d", n), next))
	}), old, append(r.user("carol", next), guest...))
	if err != nil {
		return err
	}
	time.Sleep(time.Second)
	return r.change("user removed, "+how.name, byFile, write(func() error {
		delete(r.hashes, fmt.Sprintf("guest%d", n))
		return nil
	}), guest, nil)
}

// find returns the credentials that are in use and alike.
func (r *rotation) find(alike []*credential) (found []*credential) {
	_, by := r.groups(func(c *credential) bool { return c.good(time.Now()) })
	for _, a := range alike {
		for _, c := range by[a.group] {
			if c.value == a.value && c.url == a.url {
				found = append(found, c)
			}
		}
	}
	return found
}

func adminSecret(n int) string { return fmt.Sprintf("token-%024d-of-the-private-port", n) }

// rotateAdminToken replaces the token of the private port.
func (r *rotation) rotateAdminToken(n int) error {
	how := deployments[n%len(deployments)]
	time.Sleep(time.Second) // it is used for a while
	return r.change("admin token, "+how.name, byFile, func() error {
		return how.put(file{r.path(adminPath), adminSecret(n+1) + "\n"})
	}, r.find(r.adminToken(adminSecret(n))), r.adminToken(adminSecret(n+1)))
}

// setUp writes the first of all files.
func (r *rotation) setUp() []string {
	cert, key, err := r.ca.issue(2)
	r.no(err)
	r.hashes = map[string]string{}
	for _, name := range append(people, "dave") {
		r.hashes[name], err = basic.HashPassword("password 0")
		r.no(err)
	}
	text := ""
	for name, hash := range r.hashes {
		text += name + ":" + hash + "\n"
	}
	first := pepper
	r.pepper.Store(&first)
	r.no(deployments[0].put(
		file{r.path("tls.crt"), cert}, file{r.path("tls.key"), key}, file{r.path("users"), text}, file{r.path("keys.json"), `{"keys":[]}`},
		file{r.path(pepperPath), pepper}, file{r.path(oldPath), "a pepper before that one"}, file{r.path(adminPath), adminSecret(0)},
	))
	return []string{
		"LOG_LEVEL=warn", "DATABASE_URL=sqlite:" + r.path("shop.db"), "TRUSTED_PROXIES=" + stranger,
		"TLS_CERT_FILE=" + r.path("tls.crt"), "TLS_KEY_FILE=" + r.path("tls.key"), "AUTH_USERS_FILE=" + r.path("users"),
		"AUTH_API_KEYS_PEPPER_FILE=" + r.path(pepperPath), "AUTH_API_KEYS_OLD_PEPPER_FILE=" + r.path(oldPath),
		"ADMIN_TOKEN_FILE=" + r.path(adminPath), "AUTH_LEEWAY=0s",
		"AUTH_ISSUER=" + issuer + "," + remoteIssuer, "AUTH_JWKS_FILE=" + r.path("jwks.json") + ",", "AUTH_JWKS_URL=," + r.keySet.url(),
	}
}

func newRotation(t *testing.T) *rotation {
	ca := newAuthority(t)
	r := &rotation{load: newLoad(t, ca.roots()), dir: inMemory(t), ca: ca, keySet: newKeyServer(t), long: os.Getenv("AGUADA_LONG") == "1"}
	w := newWorld(t)
	set, err := publicSet(r.dir, w.key)
	r.no(err)
	r.no(os.WriteFile(r.path("jwks.json"), []byte(set), 0o600))
	r.remote, err = jwt.NewDevelopmentKey()
	r.no(err)
	r.no(r.keySet.serve(r.dir, r.remote))
	environ := append(without(w.environ, "AUTH_API_KEYS_FILE", "AUTH_API_KEYS_PEPPER"), r.setUp()...)
	for i := range 2 {
		own := *w
		r.admins = append(r.admins, freeAddr(t))
		own.environ = append(environ[:len(environ):len(environ)], "ADMIN_ADDR="+r.admins[i])
		if i == 0 {
			own.environ = append(own.environ, "AUTH_API_KEYS_FILE="+r.path("keys.json"))
		}
		r.replicas = append(r.replicas, spawnFor(t, &own, "https", r.callers[0]))
	}
	db, err := store.Open(t.Context(), "sqlite:"+r.path("shop.db"), store.Config{})
	r.no(err)
	t.Cleanup(func() { r.no(db.Close()) })
	inDatabase, err := db.APIKeys(t.Context())
	r.no(err)
	current := func() string { return *r.pepper.Load() }
	r.stores = []*apikey.Registry{apikey.NewRegistry(apikey.NewFileStore(r.path("keys.json")), current), apikey.NewRegistry(inDatabase, current)}
	r.begin()
	return r
}

// begin makes the first credentials, and those that are good for nothing.
func (r *rotation) begin() {
	for _, name := range people {
		r.add(r.user(name, "password 0")...)
	}
	r.add(never(r.user("dave", "password 1"))...)
	r.add(r.adminToken(adminSecret(0))...)
	r.add(never(r.adminToken("not-the-token-of-the-private-port"))...)
	nobody, err := jwt.NewDevelopmentKey()
	r.no(err)
	for issuer, key := range map[string]*jwt.DevelopmentKey{issuer: r.replicas[0].key, remoteIssuer: r.remote} {
		good, err1 := r.tokens(key, issuer, time.Hour)
		forged, err2 := r.tokens(nobody, issuer, time.Hour)
		expired, err3 := r.tokens(key, issuer, time.Second)
		r.no(errors.Join(err1, err2, err3))
		for _, c := range expired {
			c.until, c.dead = c.from, c.from.Add(time.Second)
		}
		r.add(good...)
		r.add(never(forged)...)
		r.add(expired...)
	}
	for i := range r.stores {
		unknown, _, err := apikey.Mint(pepper, apikey.Request{Owner: "nobody"})
		r.no(err)
		r.add(never([]*credential{r.keyOf(i, unknown)})...)
		r.no(r.change("first API key, "+[]string{"file", "database"}[i], byFile, func() error { return nil }, nil, r.firstKeys(i)))
	}
}

// firstKeys are the first API keys of a store.
func (r *rotation) firstKeys(i int) []*credential {
	c, _, err := r.apiKey(i)
	r.no(err)
	return []*credential{c}
}
