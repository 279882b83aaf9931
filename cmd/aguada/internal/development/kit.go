// Package development makes what a service needs to start on one machine
// without any preparation: a database file, an issuer of tokens, a user, an API
// key.
//
//	kit, err := development.Open(dir, "ordersd", contract, os.Getenv)
//	...
//	env := process.Environ(os.Environ(), kit.Environment())
//	token, err := kit.Token("dev", []string{"api:read"}, time.Hour)
//
// Everything is random, made once, and kept in the project's state folder with
// modes that only its owner can read. It is never meant for production, and
// only what the contract's schemes need is made. What the environment sets is
// the user's own: the kit neither makes nor knows it.
package development

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/apikey"
	"github.com/aguada-dev/aguada/auth/basic"
	"github.com/aguada-dev/aguada/policy"
)

// StateDir is the name of the folder, within the project's, that holds the
// kit's files.
const StateDir = ".aguada"

// User is the name of the development user, and whom its API key and tokens
// stand for.
const User = "dev"

// Kit is a project's development credentials. It is not modified after Open.
type Kit struct {
	state    string
	name     string
	contract *policy.Contract
	lookup   func(string) string
	secrets  secrets
	url      string // the issuer's
}

// secrets is the content of credentials.json.
type secrets struct {
	Note         string         `json:"note"`
	User         string         `json:"user,omitempty"`
	Password     string         `json:"password,omitempty"`
	APIKey       string         `json:"api_key,omitempty"`
	Record       *apikey.Record `json:"api_key_record,omitempty"`
	Pepper       string         `json:"api_keys_pepper,omitempty"`
	ClientSecret string         `json:"client_secret,omitempty"`
	Idempotency  string         `json:"idempotency_secret,omitempty"`
}

const note = "Made by aguada run for development on this machine only. Delete this file to get new ones."

// Files of the state folder.
const (
	secretsFile = "credentials.json"
	usersFile   = "users"
	apiKeysFile = "api-keys.json" //nolint:gosec // the name of a file
)

// Open returns the kit of the project in dir, whose program is called name,
// making what is missing of it. The lookup reads the environment. A file that
// cannot be used is a *CorruptError.
func Open(dir, name string, c *policy.Contract, lookup func(string) string) (*Kit, error) {
	state, err := MakeState(dir)
	if err != nil {
		return nil, err
	}
	unlock, err := lock(state)
	if err != nil {
		return nil, err
	}
	defer unlock()
	k := &Kit{state: state, name: name, contract: c, lookup: lookup}
	if _, err := readJSON(k.file(secretsFile), &k.secrets); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		needed bool
		make   func() error
	}{
		{k.MakesUser(), k.openUser},
		{k.MakesAPIKey(), k.openAPIKey},
		{k.MakesTokens(), k.openIssuer},
		{k.makesSecret(), k.openSecret},
	} {
		if !part.needed {
			continue
		}
		if err := part.make(); err != nil {
			return nil, err
		}
	}
	return k, nil
}

func (k *Kit) file(name string) string { return filepath.Join(k.state, name) }

func (k *Kit) uses(kinds ...policy.SchemeKind) bool {
	return slices.ContainsFunc(k.contract.Schemes, func(s policy.Scheme) bool { return slices.Contains(kinds, s.Kind) })
}

func (k *Kit) ownFile(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return k.lookup(name) != "" })
}

// MakesUser reports whether the service checks Basic credentials against the
// kit's users file.
func (k *Kit) MakesUser() bool { return k.uses(policy.Basic) && !k.ownFile("AUTH_USERS_FILE") }

// MakesAPIKey reports whether the service checks API keys against the kit's.
func (k *Kit) MakesAPIKey() bool {
	return k.uses(policy.APIKey) &&
		!k.ownFile("AUTH_API_KEYS_FILE", "AUTH_API_KEYS_PEPPER", "AUTH_API_KEYS_PEPPER_FILE")
}

// MakesTokens reports whether the service trusts the kit's issuer.
func (k *Kit) MakesTokens() bool { return NeedsIssuer(k.contract, k.lookup) }

// NeedsIssuer reports whether a method of the contract takes a token, and the
// environment leaves open who makes it.
func NeedsIssuer(c *policy.Contract, lookup func(string) string) bool {
	k := &Kit{contract: c, lookup: lookup}
	return k.uses(policy.JWT, policy.OAuth2, policy.Bearer) &&
		!k.ownFile("AUTH_ISSUER", "AUTH_JWKS_FILE", "AUTH_JWKS_URL", "AUTH_INTROSPECTION_URL")
}

// UsesGRPC reports whether a method of the contract is called over gRPC.
func (k *Kit) UsesGRPC() bool { return k.any(func(m *policy.Method) bool { return m.GRPC != nil }) }

// makesSecret reports whether stored answers are sealed with the kit's secret.
func (k *Kit) makesSecret() bool {
	return k.any(func(m *policy.Method) bool { return m.Idempotency != nil }) && !k.ownFile("IDEMPOTENCY_SECRET", "IDEMPOTENCY_SECRET_FILE")
}

func (k *Kit) any(f func(*policy.Method) bool) bool {
	for i := range k.contract.Services {
		methods := k.contract.Services[i].Methods
		for j := range methods {
			if f(&methods[j]) {
				return true
			}
		}
	}
	return false
}

// openSecret makes sure that there is a secret for stored answers.
func (k *Kit) openSecret() (err error) {
	if k.secrets.Idempotency != "" {
		return nil
	}
	if k.secrets.Idempotency, err = random(32); err != nil {
		return err
	}
	return k.save()
}

// User returns the development user and its password, empty unless MakesUser.
func (k *Kit) User() (name, password string) {
	if !k.MakesUser() {
		return "", ""
	}
	return k.secrets.User, k.secrets.Password
}

// APIKey returns the development API key, empty unless MakesAPIKey. It carries
// every scope of the contract.
func (k *Kit) APIKey() string {
	if !k.MakesAPIKey() {
		return ""
	}
	return k.secrets.APIKey
}

// Scopes returns every scope that a scheme of the contract declares, sorted.
func (k *Kit) Scopes() []string {
	var scopes []string
	for _, s := range k.contract.Schemes {
		scopes = append(scopes, s.Scopes...)
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// Environment returns the variables that make the service use the kit, for
// those that the user's environment leaves open. The caller may change it.
func (k *Kit) Environment() map[string]string {
	env := map[string]string{}
	if !k.ownFile("DATABASE_URL", "DATABASE_URL_FILE") {
		env["DATABASE_URL"] = "sqlite:" + k.file(k.name+".db")
	}
	if k.MakesUser() {
		env["AUTH_USERS_FILE"] = k.file(usersFile)
	}
	if k.MakesAPIKey() {
		env["AUTH_API_KEYS_FILE"] = k.file(apiKeysFile)
		env["AUTH_API_KEYS_PEPPER"] = k.secrets.Pepper
	}
	if k.makesSecret() {
		env["IDEMPOTENCY_SECRET"] = k.secrets.Idempotency
	}
	if k.UsesGRPC() {
		env["GRPC_REFLECTION"] = "true"
	}
	if k.MakesTokens() {
		env["AUTH_ISSUER"] = k.url
		env["AUTH_JWKS_URL"] = k.url + "/jwks.json"
		env["AUTH_AUDIENCE"] = strings.Join(k.audience(), ",")
	}
	return env
}

// random returns n random bytes as text that needs no quoting anywhere.
func random(n int) (string, error) {
	raw := make([]byte, n)
	if _, err := rand.Read(raw); err != nil {
		return "", fmt.Errorf("make credentials: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(raw), nil
}

func (k *Kit) save() error {
	k.secrets.Note = note
	return writeJSON(k.file(secretsFile), k.secrets)
}

// openUser makes sure that the users file knows the development user. Other
// users in the file are left alone.
func (k *Kit) openUser() (err error) {
	s := &k.secrets
	if s.User == "" || s.Password == "" {
		s.User = User
		if s.Password, err = random(15); err != nil {
			return err
		}
		if err := k.save(); err != nil {
			return err
		}
	}
	file := k.file(usersFile)
	content, err := read(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		users, err := basic.Open(file, basic.Config{})
		if err != nil {
			return &CorruptError{File: file, Err: reason(file, err)}
		}
		if _, err := users.Verify(context.Background(), auth.Credential{Username: s.User, Password: s.Password}); err == nil {
			return nil
		}
	}
	hash, err := basic.HashPassword(s.Password)
	if err != nil {
		return &CorruptError{File: k.file(secretsFile), Err: err}
	}
	var text strings.Builder
	for line := range strings.Lines(string(content)) {
		if !strings.HasPrefix(line, s.User+":") {
			text.WriteString(strings.TrimRight(line, "\r\n") + "\n")
		}
	}
	text.WriteString(s.User + ":" + hash + "\n")
	return write(file, []byte(text.String()))
}

// openAPIKey makes sure that the file of API keys knows the development key,
// with every scope of the contract. Other keys in the file are left alone.
func (k *Kit) openAPIKey() (err error) {
	s, scopes := &k.secrets, k.Scopes()
	if s.APIKey == "" || s.Record == nil || s.Pepper == "" {
		if s.Pepper, err = random(32); err != nil {
			return err
		}
		var record apikey.Record
		if s.APIKey, record, err = apikey.Mint(s.Pepper, apikey.Request{Owner: User, Scopes: scopes}); err != nil {
			return err
		}
		s.Record = &record
		if err := k.save(); err != nil {
			return err
		}
	}
	file, keys := k.file(apiKeysFile), apikey.File{Keys: []apikey.Record{}}
	exists, err := readJSON(file, &keys)
	if err != nil {
		return err
	}
	if exists {
		known, err := k.knowsAPIKey(file, scopes)
		if known || err != nil {
			return err
		}
	}
	record := *s.Record
	record.Scopes = scopes
	keys.Keys = slices.DeleteFunc(keys.Keys, func(r apikey.Record) bool { return r.ID == record.ID })
	keys.Keys = append(keys.Keys, record)
	if err := writeJSON(file, keys); err != nil {
		return err
	}
	if known, err := k.knowsAPIKey(file, scopes); err != nil || !known {
		return &CorruptError{File: k.file(secretsFile), Err: errors.New("the API key, its record and the pepper do not fit")}
	}
	return nil
}

func (k *Kit) knowsAPIKey(file string, scopes []string) (bool, error) {
	keys, err := apikey.Open(file, apikey.Peppers{Current: func() string { return k.secrets.Pepper }}, apikey.Config{})
	if err != nil {
		return false, &CorruptError{File: file, Err: reason(file, err)}
	}
	p, err := keys.Verify(context.Background(), auth.Credential{Token: k.secrets.APIKey})
	if err != nil {
		return false, nil //nolint:nilerr // a good file without the key
	}
	return slices.Equal(p.Scopes, scopes), nil
}

// reason leaves the file's name, which a CorruptError gives, out of an error.
func reason(file string, err error) error {
	if _, cause, ok := strings.Cut(err.Error(), file+": "); ok {
		return errors.New(cause)
	}
	return err
}
