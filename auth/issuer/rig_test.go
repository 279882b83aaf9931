package issuer_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/oauth2"

	"github.com/aguada-dev/aguada/auth/issuer"
	"github.com/aguada-dev/aguada/auth/issuer/state"
	"github.com/aguada-dev/aguada/policy"
)

const callback = "http://127.0.0.1:5555/callback"

// rig is an issuer with some clients.
type rig struct {
	t      testing.TB
	url    string
	state  *state.State
	issuer *issuer.Issuer
	secret string // of the clients machine, opaque and web
	log    *record
	http   *http.Client
}

// record is a log.
type record struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// direct gives requests to a handler, as if they came from this machine.
type direct struct{ h http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.RequestURI, in.RemoteAddr = r.URL.RequestURI(), "127.0.0.1:40000"
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	d.h.ServeHTTP(w, in)
	return w.Result(), nil
}

func config(url string, log io.Writer) issuer.Config {
	return issuer.Config{
		URL: url, Audience: []string{"shop", "https://shop.example/api"}, Service: "Shop",
		Scopes: []issuer.Scope{{Name: "api:read", Description: "Read access"}, {Name: "api:write", Description: "Write access"}},
		Flows: []policy.Flow{{
			Type: "authorization_code", AuthorizationURL: "/oauth/start", TokenURL: "https://id.example/oauth/token", RefreshURL: "/refresh",
		}},
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	}
}

// newRig returns an issuer that is called without a network.
func newRig(t testing.TB) *rig {
	t.Helper()
	g := &rig{t: t, url: "http://127.0.0.1:9096", log: &record{}}
	var err error
	if g.state, err = state.Open(context.Background(), filepath.Join(t.TempDir(), "issuer.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.state.Close() })
	code := []string{state.AuthorizationCode, state.RefreshToken}
	machine := state.Client{ID: "machine", Name: "A machine", Grants: []string{state.ClientCredentials}}
	g.secret = machine.NewSecret()
	opaque, web := machine, machine
	opaque.ID, opaque.Opaque = "opaque", true
	web.ID, web.Grants, web.RedirectURIs = "web", code, []string{"https://web.example/cb?fixed=1"}
	g.update(func(tx *state.Tx) error {
		for _, c := range []state.Client{
			machine, opaque, web,
			{ID: "browser", Name: "Browser", RedirectURIs: []string{"http://127.0.0.1/callback"}, Grants: code},
			{ID: "other", Name: "Other", RedirectURIs: []string{"http://127.0.0.1/callback"}, Grants: code},
			{ID: "once", Name: "No refresh", RedirectURIs: []string{"http://127.0.0.1/callback"}, Grants: code[:1], Scopes: []string{"api:read"}},
		} {
			if err := tx.PutClient(c); err != nil {
				return err
			}
		}
		return nil
	})
	if g.issuer, err = issuer.New(g.state, config(g.url, g.log)); err != nil {
		t.Fatal(err)
	}
	g.http = &http.Client{
		Transport:     direct{g.issuer},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return g
}

func (g *rig) update(f func(*state.Tx) error) {
	g.t.Helper()
	if err := g.state.Update(context.Background(), f); err != nil {
		g.t.Fatal(err)
	}
}

// client returns the settings of an independent OAuth 2.0 client.
func (g *rig) client(id string, scopes ...string) *oauth2.Config {
	c := &oauth2.Config{
		ClientID: id, RedirectURL: callback, Scopes: scopes,
		Endpoint: oauth2.Endpoint{AuthURL: g.url + "/authorize", TokenURL: g.url + "/token", AuthStyle: oauth2.AuthStyleInParams},
	}
	if id == "web" {
		c.ClientSecret, c.RedirectURL = g.secret, "https://web.example/cb?fixed=1"
	}
	return c
}

func (g *rig) ctx() context.Context {
	return context.WithValue(context.Background(), oauth2.HTTPClient, g.http)
}

var hidden = regexp.MustCompile(`name="transaction" value="([^"]+)"`)

// get reads a page.
func (g *rig) get(address string) (status int, header http.Header, body string) {
	g.t.Helper()
	res, err := g.http.Get(address)
	if err != nil {
		g.t.Fatal(err)
	}
	return read(g.t, res)
}

func read(t testing.TB, res *http.Response) (int, http.Header, string) {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode, res.Header, string(body)
}

// post sends a form. Credentials are client_id:client_secret.
func (g *rig) post(path, credentials string, form url.Values) (int, http.Header, map[string]any) {
	g.t.Helper()
	req, err := http.NewRequest(http.MethodPost, g.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if id, secret, ok := strings.Cut(credentials, ":"); ok {
		req.SetBasicAuth(id, secret)
	}
	res, err := g.http.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	status, header, body := read(g.t, res)
	var said map[string]any
	if body != "" {
		if err := json.Unmarshal([]byte(body), &said); err != nil {
			g.t.Fatalf("%s: %d %s", path, status, body)
		}
	}
	return status, header, said
}

// answer does what a person does on the consent page, and returns where the
// browser is sent.
func (g *rig) answer(authorizeURL string, fields url.Values) url.Values {
	g.t.Helper()
	status, _, page := g.get(authorizeURL)
	found := hidden.FindStringSubmatch(page)
	if status != http.StatusOK || found == nil {
		g.t.Fatalf("no consent page: %d %s", status, page)
	}
	fields.Set("transaction", found[1])
	return g.sent(fields)
}

// sent sends the consent page's form.
func (g *rig) sent(fields url.Values) url.Values {
	g.t.Helper()
	req, _ := http.NewRequest(http.MethodPost, g.url+"/consent", strings.NewReader(fields.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	res, err := g.http.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	status, header, body := read(g.t, res)
	if status != http.StatusSeeOther {
		g.t.Fatalf("consent: %d %s", status, body)
	}
	to, err := url.Parse(header.Get("Location"))
	if err != nil {
		g.t.Fatal(err)
	}
	return to.Query()
}

func allowed(user string, scopes ...string) url.Values {
	return url.Values{"user": {user}, "decision": {"allow"}, "scope": scopes}
}

// login returns a code for all the scopes asked for, and its verifier.
func (g *rig) login(c *oauth2.Config, opts ...oauth2.AuthCodeOption) (code, verifier string) {
	g.t.Helper()
	verifier = oauth2.GenerateVerifier()
	to := g.answer(c.AuthCodeURL("st", append(opts, oauth2.S256ChallengeOption(verifier))...), allowed("alice", c.Scopes...))
	if to.Get("code") == "" || to.Get("state") != "st" || to.Get("iss") != g.url {
		g.t.Fatalf("answer %v", to)
	}
	return to.Get("code"), verifier
}

// claims reads a token without verifying it.
func claims(t testing.TB, token string) (header, payload map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT")
	}
	for n, to := range []*map[string]any{&header, &payload} {
		raw, err := base64URL(parts[n])
		if err == nil {
			err = json.Unmarshal(raw, to)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return header, payload
}
