package development

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/apikey"
	"github.com/aguada-dev/aguada/auth/basic"
	"github.com/aguada-dev/aguada/auth/issuer"
	"github.com/aguada-dev/aguada/auth/issuer/state"
	"github.com/aguada-dev/aguada/auth/jwt"
	"github.com/aguada-dev/aguada/policy"
)

var schemes = []policy.Scheme{
	{Name: "basic", Kind: policy.Basic}, {Name: "key", Kind: policy.APIKey},
	{Name: "jwt", Kind: policy.JWT, Scopes: []string{"b", "a"}}, {Name: "o", Kind: policy.OAuth2, Scopes: []string{"b"}},
}

func contractOf(schemes ...policy.Scheme) *policy.Contract {
	return &policy.Contract{API: policy.API{Name: "shop"}, Schemes: schemes}
}

func lookup(env map[string]string) func(string) string {
	return func(name string) string { return env[name] }
}

func open(t *testing.T, dir string, c *policy.Contract, env map[string]string) *Kit {
	t.Helper()
	k, err := Open(dir, "shopd", c, lookup(env))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// accepted fails the test unless a service that reads the kit's environment
// accepts all of its credentials.
func accepted(t *testing.T, k *Kit) {
	t.Helper()
	env := k.Environment()
	users, err := basic.Open(env["AUTH_USERS_FILE"], basic.Config{})
	if err != nil {
		t.Fatal(err)
	}
	name, password := k.User()
	if _, err := users.Verify(context.Background(), auth.Credential{Username: name, Password: password}); err != nil {
		t.Errorf("user: %v", err)
	}
	keys, err := apikey.Open(env["AUTH_API_KEYS_FILE"], apikey.Peppers{Current: func() string { return env["AUTH_API_KEYS_PEPPER"] }}, apikey.Config{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := keys.Verify(context.Background(), auth.Credential{Token: k.APIKey()})
	if err != nil {
		t.Errorf("API key: %v", err)
	} else if diff := cmp.Diff(k.Scopes(), p.Scopes); diff != "" {
		t.Errorf("scopes of the API key: %s", diff)
	}
	verifier := verifierOf(t, k)
	token, err := k.Token("eve", []string{"a", "b"}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	p, err = verifier.Verify(context.Background(), auth.Credential{Token: token})
	if err != nil {
		t.Fatalf("token: %v", err)
	}
	if p.Subject != "eve" || !p.HasScope("a") || !p.HasScope("b") || time.Until(p.ExpiresAt) > time.Minute {
		t.Errorf("principal of the token: %+v", p)
	}
}

// direct gives requests to a handler, as if they came from this machine.
type direct struct{ h http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	r.RemoteAddr, r.Host = "127.0.0.1:40000", r.URL.Host
	w := httptest.NewRecorder()
	d.h.ServeHTTP(w, r)
	return w.Result(), nil
}

// verifierOf verifies tokens as a service does that gets the kit's environment.
func verifierOf(t *testing.T, k *Kit) *jwt.Verifier {
	t.Helper()
	env := k.Environment()
	s, err := state.Open(t.Context(), k.file(issuerFile))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	cfg, err := k.Issuer(nil)
	if err != nil {
		t.Fatal(err)
	}
	i, err := issuer.New(s, cfg)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := jwt.NewURLKeySet(env["AUTH_JWKS_URL"], jwt.KeySetConfig{Transport: direct{i}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keys.Close() })
	audience := strings.Split(env["AUTH_AUDIENCE"], ",")
	v, err := jwt.New([]jwt.Issuer{{Name: env["AUTH_ISSUER"], Keys: keys}}, jwt.Config{Audience: audience})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestOpenMakesCredentialsOnce(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir, contractOf(schemes...), nil)
	accepted(t, first)
	files := map[string]string{}
	for _, name := range []string{secretsFile, usersFile, apiKeysFile} {
		content, err := os.ReadFile(first.file(name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(content)
	}
	token, err := first.Token("eve", nil, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	second := open(t, dir, contractOf(schemes...), nil)
	accepted(t, second)
	if _, err := verifierOf(t, second).Verify(t.Context(), auth.Credential{Token: token}); err != nil {
		t.Errorf("the first kit's token: %v", err)
	}
	for name, want := range files {
		if content, _ := os.ReadFile(second.file(name)); string(content) != want {
			t.Errorf("%s changed", name)
		}
	}
}

func TestOpenClosesFilesToOthers(t *testing.T) {
	dir := t.TempDir()
	k := open(t, dir, contractOf(schemes...), nil)
	secret := []string{secretsFile, usersFile, apiKeysFile, issuerFile}
	for round := range 2 {
		info, err := os.Stat(k.state)
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("round %d: state folder: %v %v", round, info.Mode(), err)
		}
		for _, name := range secret {
			if info, err := os.Stat(k.file(name)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("round %d: %s: %v %v", round, name, info.Mode(), err)
			}
			if err := os.Chmod(k.file(name), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(k.state, 0o755); err != nil {
			t.Fatal(err)
		}
		k = open(t, dir, contractOf(schemes...), nil)
	}
	if ignore, _ := os.ReadFile(k.file(".gitignore")); string(ignore) != "*\n" {
		t.Errorf(".gitignore holds %q", ignore)
	}
}

func TestOpenMakesOnlyWhatIsNeeded(t *testing.T) {
	for _, test := range []struct {
		name     string
		contract *policy.Contract
		env      map[string]string
		want     []string // variables
	}{
		{"no scheme", contractOf(), nil, []string{"DATABASE_URL"}},
		{"basic", contractOf(schemes[0]), nil, []string{"AUTH_USERS_FILE", "DATABASE_URL"}},
		{"API key", contractOf(schemes[1]), nil, []string{"AUTH_API_KEYS_FILE", "AUTH_API_KEYS_PEPPER", "DATABASE_URL"}},
		{"token", contractOf(schemes[3]), nil, []string{"AUTH_AUDIENCE", "AUTH_ISSUER", "AUTH_JWKS_URL", "DATABASE_URL"}},
		{"the user's own", contractOf(schemes...), map[string]string{
			"AUTH_USERS_FILE": "u", "AUTH_API_KEYS_PEPPER_FILE": "p", "AUTH_JWKS_URL": "j", "DATABASE_URL": "d",
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			k := open(t, dir, test.contract, test.env)
			var got []string
			for name, value := range k.Environment() {
				got = append(got, name)
				if file, ok := strings.CutPrefix(value, k.state); ok {
					if _, err := os.Stat(k.state + file); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
			}
			if diff := cmp.Diff(test.want, got, cmp.Transformer("sorted", sorted)); diff != "" {
				t.Errorf("variables (-want +got):\n%s", diff)
			}
			if len(test.want) <= 1 {
				if _, err := os.Stat(k.file(secretsFile)); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("credentials were made: %v", err)
				}
				if _, err := k.Token("x", nil, time.Hour); err == nil {
					t.Error("a token without a key")
				}
				if user, _ := k.User(); user != "" || k.APIKey() != "" {
					t.Error("credentials that the service does not know")
				}
			}
		})
	}
}

func sorted(names []string) map[string]bool {
	set := map[string]bool{}
	for _, name := range names {
		set[name] = true
	}
	return set
}

func TestOpenUsesTheUsersAudience(t *testing.T) {
	k := open(t, t.TempDir(), contractOf(schemes...), map[string]string{"AUTH_AUDIENCE": "mine, other"})
	if got := k.Environment()["AUTH_AUDIENCE"]; got != "mine,other" {
		t.Errorf("audience %q", got)
	}
	accepted(t, k)
}

// A project whose environment names an issuer gets none of ours.
func TestOpenLeavesTokensToTheUsersIssuer(t *testing.T) {
	for _, name := range []string{"AUTH_ISSUER", "AUTH_JWKS_FILE", "AUTH_JWKS_URL", "AUTH_INTROSPECTION_URL"} {
		k := open(t, t.TempDir(), contractOf(schemes...), map[string]string{name: "https://id.example.test"})
		env := k.Environment()
		if k.MakesTokens() || k.ClientSecret() != "" || env["AUTH_ISSUER"] != "" || env["AUTH_JWKS_URL"] != "" {
			t.Errorf("%s: environment %v", name, env)
		}
		if _, err := k.Issuer(nil); err == nil {
			t.Errorf("%s: there are settings of an issuer", name)
		}
		if _, err := os.Stat(k.file(issuerFile)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: an issuer was made: %v", name, err)
		}
	}
}

func TestOpenFollowsTheContract(t *testing.T) {
	dir := t.TempDir()
	k := open(t, dir, contractOf(schemes[1], policy.Scheme{Name: "jwt", Kind: policy.JWT, Scopes: []string{"a"}}), nil)
	key := k.APIKey()
	k = open(t, dir, contractOf(schemes...), nil)
	if k.APIKey() != key {
		t.Error("the API key changed with the scopes")
	}
	accepted(t, k)
}

func TestOpenKeepsWhatTheUserAdded(t *testing.T) {
	dir := t.TempDir()
	k := open(t, dir, contractOf(schemes...), nil)
	hash, err := basic.HashPassword("other")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(k.file(usersFile), []byte("# mine\neve:"+hash), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(k.file(apiKeysFile), []byte(`{"keys":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	accepted(t, open(t, dir, contractOf(schemes...), nil))
	users, err := basic.Open(k.file(usersFile), basic.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := users.Verify(context.Background(), auth.Credential{Username: "eve", Password: "other"}); err != nil {
		t.Errorf("added user: %v", err)
	}
}

func TestOpenSaysWhatToDelete(t *testing.T) {
	const secret = "c2VjcmV0LWluLXRoZS1maWxl"
	for _, name := range []string{secretsFile, usersFile, apiKeysFile, issuerFile} {
		for _, content := range []string{"", secret, `{"keys":"` + secret + `"}`, "\x00\xff"} {
			if (name == usersFile || name == issuerFile) && content == "" {
				continue // an empty file of these is a good one
			}
			dir := t.TempDir()
			k := open(t, dir, contractOf(schemes...), nil)
			if err := os.WriteFile(k.file(name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(dir, "shopd", contractOf(schemes...), lookup(nil))
			if name == secretsFile && strings.HasPrefix(content, "{") && err == nil {
				continue // JSON without credentials: they are made
			}
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) || corrupt.File != k.file(name) {
				t.Errorf("%s holding %q: %v", name, content, err)
				continue
			}
			if text := err.Error(); !strings.Contains(text, "delete this file") || strings.Contains(text, secret) {
				t.Errorf("%s holding %q: %s", name, content, text)
			}
			if err := os.Remove(corrupt.File); err != nil {
				t.Fatal(err)
			}
			accepted(t, open(t, dir, contractOf(schemes...), nil))
		}
	}
}

func TestOpenRefusesAStateThatIsNoFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(t.TempDir(), filepath.Join(dir, StateDir)); err != nil {
		t.Skip(err)
	}
	if _, err := Open(dir, "shopd", contractOf(schemes...), lookup(nil)); err == nil || !strings.Contains(err.Error(), "not a folder") {
		t.Errorf("error %v", err)
	}
	dir = t.TempDir()
	k := open(t, dir, contractOf(schemes...), nil)
	elsewhere := filepath.Join(t.TempDir(), "users")
	if err := os.Rename(k.file(usersFile), elsewhere); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, k.file(usersFile)); err != nil {
		t.Fatal(err)
	}
	var corrupt *CorruptError
	if _, err := Open(dir, "shopd", contractOf(schemes...), lookup(nil)); !errors.As(err, &corrupt) {
		t.Errorf("a linked file: %v", err)
	}
}

// Two first runs at once agree on the credentials.
func TestOpenAtOnce(t *testing.T) {
	dir := t.TempDir()
	kits := make([]*Kit, 8)
	var wait sync.WaitGroup
	for i := range kits {
		wait.Go(func() {
			k, err := Open(dir, "shopd", contractOf(schemes...), lookup(nil))
			if err != nil {
				t.Error(err)
			}
			kits[i] = k
		})
	}
	wait.Wait()
	if t.Failed() {
		return
	}
	for _, k := range kits {
		if k.secrets.Password != kits[0].secrets.Password || k.APIKey() != kits[0].APIKey() {
			t.Error("different credentials")
		}
		accepted(t, k)
	}
}
