// Package wallet makes the credentials that the prover calls with, good ones and
// ones that once were, and the files by which a service that uses Aguada knows
// them.
//
//	w, err := wallet.New(dir, service, wallet.Config{Token: issuer.Sign})
//	env := w.Environment() // AUTH_USERS_FILE, AUTH_API_KEYS_FILE, …
//	creds, err := w.Credentials(m, 0, wallet.Holder{Name: "prover"})
//
// Every credential is random and told to Secrets.
package wallet

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/auth/apikey"
	"github.com/aguada-dev/aguada/auth/basic"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/target"
)

// Credential is what a caller presents for one scheme.
type Credential struct {
	Kind policy.SchemeKind
	// User and Password are Basic's; Token is everything else.
	User, Password string
	Token          string
}

// Holder is whom a credential stands for.
type Holder struct {
	// Name is one of Names; the first of them if empty.
	Name string
	// Without is a scope that the credential shall lack, "" for none; None
	// leaves out all of them.
	Without string
	None    bool
}

// Names are the holders whom a service knows.
var Names = []string{"prover", "prover-two", "prover-three"}

// Config says where credentials come from that are not the wallet's own.
type Config struct {
	// Token makes a token with the scopes; nil where the service takes none.
	Token func(subject string, scopes []string) (string, error)
	// Users are the passwords of users whom the service knows already, by name,
	// and Keys API keys that it knows. Where given, no file is made.
	Users map[string]string
	Keys  []string
	// Secrets is told every credential.
	Secrets *target.Secrets
}

// Wallet is safe for concurrent use.
type Wallet struct {
	cfg     Config
	service *model.Service
	env     map[string]string
	users   map[string]string // passwords
	keys    map[string]string // by owner and scopes
	spent   map[string]string // keys that must be refused, by what is wrong
}

// New makes the credentials, and in dir the files by which the service knows
// them.
func New(dir string, s *model.Service, cfg Config) (*Wallet, error) {
	if cfg.Secrets == nil {
		cfg.Secrets = &target.Secrets{}
	}
	w := &Wallet{cfg: cfg, service: s, env: map[string]string{}, users: cfg.Users, keys: map[string]string{}, spent: map[string]string{}}
	var errs []error
	if s.Uses(policy.Basic) && cfg.Users == nil {
		errs = append(errs, w.makeUsers(filepath.Join(dir, "users")))
	}
	if s.Uses(policy.APIKey) && cfg.Keys == nil {
		errs = append(errs, w.makeKeys(filepath.Join(dir, "api-keys.json")))
	}
	for user, password := range w.users {
		cfg.Secrets.Add("the password of "+user, password)
		cfg.Secrets.Add("the Basic credentials of "+user, user+":"+password)
	}
	for _, key := range slices.Concat(slices.Collect(maps.Values(w.keys)), slices.Collect(maps.Values(w.spent)), cfg.Keys) {
		cfg.Secrets.Add("an API key", key)
	}
	return w, errors.Join(errs...)
}

// Environment returns the variables by which a service that uses Aguada knows
// the credentials. The caller may change it.
func (w *Wallet) Environment() map[string]string { return maps.Clone(w.env) }

// Spent returns API keys that the service must refuse, by what is wrong with
// them, such as "expired" and "revoked". It is empty where the keys are not the
// wallet's own.
func (w *Wallet) Spent() map[string]string { return maps.Clone(w.spent) }

func (w *Wallet) makeUsers(file string) error {
	w.users = map[string]string{}
	var text strings.Builder
	for _, name := range Names {
		password := rand.Text()
		hash, err := basic.HashPassword(password)
		if err != nil {
			return fmt.Errorf("make users: %w", err)
		}
		w.users[name] = password
		text.WriteString(name + ":" + hash + "\n")
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		return fmt.Errorf("make users: %w", err)
	}
	w.env["AUTH_USERS_FILE"] = file
	return nil
}

// ChangePassword gives a user of a users file another password, and returns it.
// The file takes the place of the old one in one step; the wallet's own
// credentials stay what they are.
func (w *Wallet) ChangePassword(ctx context.Context, file, name string) (string, error) {
	password := rand.Text()
	w.cfg.Secrets.Add("a new password", password)
	hash, err := basic.HashPassword(password)
	if err != nil {
		return "", err
	}
	err = basic.EditFile(ctx, file, func(t *basic.FileText) error { return t.Set(name, hash) })
	return password, err
}

func (w *Wallet) makeKeys(file string) error {
	pepper := rand.Text()
	w.cfg.Secrets.Add("the pepper of the API keys", pepper)
	var records []apikey.Record
	mint := func(pepper, owner string, scopes []string) (string, *apikey.Record, error) {
		key, r, err := apikey.Mint(pepper, apikey.Request{Owner: owner, Scopes: scopes})
		if err != nil {
			return "", nil, err
		}
		records = append(records, r)
		return key, &records[len(records)-1], nil
	}
	for _, owner := range Names {
		for _, scopes := range w.keyScopes() {
			key, _, err := mint(pepper, owner, scopes)
			if err != nil {
				return err
			}
			w.keys[owner+" "+strings.Join(scopes, " ")] = key
		}
	}
	all := w.scopes(policy.APIKey)
	for what, spoil := range spoilt {
		with := pepper
		if what == ofAnotherPepper {
			with = rand.Text()
		}
		key, r, err := mint(with, Names[0], all)
		if err != nil {
			return err
		}
		spoil(r)
		w.spent[what] = key
	}
	var err error
	if w.spent["never stored"], _, err = apikey.Mint(pepper, apikey.Request{Owner: Names[0], Scopes: all}); err != nil {
		return err
	}
	text, err := json.Marshal(apikey.File{Keys: records})
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("make API keys: %w", err)
	}
	w.env["AUTH_API_KEYS_FILE"], w.env["AUTH_API_KEYS_PEPPER"] = file, pepper
	return nil
}

const ofAnotherPepper = "stored by another pepper"

// spoilt has for each kind of key that ended what its record then says.
var spoilt = map[string]func(*apikey.Record){
	"expired":                            func(r *apikey.Record) { r.CreatedAt, r.ExpiresAt = past().Add(-time.Hour), past() },
	"revoked":                            func(r *apikey.Record) { r.RevokedAt = past() },
	"rotated, and its grace period over": func(r *apikey.Record) { r.CreatedAt, r.RetiresAt = past().Add(-time.Hour), past() },
	"like a good one in its id alone":    func(r *apikey.Record) { r.HMAC = fmt.Sprintf("%x", sha256.Sum256([]byte(r.HMAC))) },
	ofAnotherPepper:                      func(*apikey.Record) {},
}

func past() time.Time { return time.Now().Add(-time.Hour) }

// keyScopes are the sets of scopes for which there are keys: what some method
// requires, that without one of them, none.
func (w *Wallet) keyScopes() [][]string {
	sets := map[string][]string{"": {}}
	add := func(scopes []string) { sets[strings.Join(scopes, " ")] = scopes }
	for _, m := range w.service.Methods {
		for _, r := range m.Requirements {
			scopes := w.carried(policy.APIKey, r.Scopes)
			add(scopes)
			for i := range scopes {
				add(slices.Delete(slices.Clone(scopes), i, i+1))
			}
		}
	}
	return slices.Collect(maps.Values(sets))
}

// scopes returns all scopes that the schemes of a kind declare, sorted.
func (w *Wallet) scopes(kind policy.SchemeKind) []string {
	var all []string
	for _, s := range w.service.Schemes {
		if s.Kind == kind {
			all = append(all, s.Scopes...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// carried returns those of the required scopes that schemes of the kind declare:
// the others are not theirs to carry.
func (w *Wallet) carried(kind policy.SchemeKind, required []string) []string {
	declared := w.scopes(kind)
	scopes := slices.DeleteFunc(slices.Clone(required), func(s string) bool {
		return w.service.Contracted && !slices.Contains(declared, s)
	})
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// Credentials returns what the holder presents to the method for its n-th
// alternative, by scheme: exactly the scopes that it requires.
func (w *Wallet) Credentials(m *model.Method, n int, h Holder) (map[string]Credential, error) {
	if n >= len(m.Requirements) {
		return map[string]Credential{}, nil
	}
	r := m.Requirements[n]
	creds := map[string]Credential{}
	for _, u := range r.Schemes {
		s := w.service.Scheme(u.Scheme)
		if s == nil {
			return nil, fmt.Errorf("make credentials of %s: the design has no scheme %q", m.ID(), u.Scheme)
		}
		c, err := w.Credential(s.Kind, r.Scopes, h)
		if err != nil {
			return nil, fmt.Errorf("make credentials of %s: %w", m.ID(), err)
		}
		creds[u.Scheme] = c
	}
	return creds, nil
}

// Credential returns one credential of a kind with the scopes, as far as the
// holder has them.
func (w *Wallet) Credential(kind policy.SchemeKind, scopes []string, h Holder) (Credential, error) {
	if h.Name == "" {
		h.Name = Names[0]
	}
	c := Credential{Kind: kind}
	scopes = slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return h.None || s == h.Without })
	var err error
	switch kind {
	case policy.Basic:
		c.User, c.Password, err = w.user(h.Name)
	case policy.APIKey:
		c.Token, err = w.key(h.Name, w.carried(kind, scopes))
	default:
		if w.cfg.Token == nil {
			return c, errors.New("nobody makes tokens for this service: say in prove.yaml who does (credentials: token)")
		}
		c.Token, err = w.cfg.Token(h.Name, scopes)
	}
	return c, err
}

func (w *Wallet) user(name string) (user, password string, err error) {
	if p, ok := w.users[name]; ok {
		return name, p, nil
	}
	if w.cfg.Users != nil && len(w.users) > 0 {
		// The service's own users have names of their own.
		names := slices.Sorted(maps.Keys(w.users))
		at := max(slices.Index(Names, name), 0)
		return names[at%len(names)], w.users[names[at%len(names)]], nil
	}
	return "", "", errors.New("no user is known: give one in prove.yaml (credentials: basic)")
}

func (w *Wallet) key(owner string, scopes []string) (string, error) {
	if key, ok := w.keys[owner+" "+strings.Join(scopes, " ")]; ok {
		return key, nil
	}
	if len(w.cfg.Keys) > 0 {
		return w.cfg.Keys[max(slices.Index(Names, owner), 0)%len(w.cfg.Keys)], nil
	}
	return "", errors.New("no API key is known: give one in prove.yaml (credentials: api_key)")
}
