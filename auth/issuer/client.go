package issuer

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/aguada-dev/aguada/auth/issuer/state"
)

// errClient tells nobody which of the two was wrong.
var errClient = &refusal{http.StatusUnauthorized, invalidClient, "unknown client, or wrong secret"}

// client returns a client that may be used here.
func (i *Issuer) client(tx *state.Tx, id string) (state.Client, error) {
	c, err := tx.Client(id)
	if errors.Is(err, state.ErrNotFound) {
		return c, errClient
	}
	if err == nil && i.cfg.taken(id) {
		return c, &refusal{http.StatusUnauthorized, invalidClient, "the client is named like a user or an audience; choose another id"}
	}
	return c, err
}

// taken reports whether no client may have an id. An id token's aud is its
// client: it must never pass for an access token. A client's own access tokens
// have its id as sub, which must never pass for a user (RFC 9068, 5).
func (c *Config) taken(id string) bool {
	return slices.Contains(c.Audience, id) || slices.ContainsFunc(c.users(), func(u User) bool { return u.Subject == id })
}

func (c *Config) users() []User {
	if len(c.Users) == 0 {
		return DefaultUsers()
	}
	return c.Users
}

// CheckClient reports why an issuer with these settings would refuse a client
// that is valid in itself, or some of its scopes.
func (c *Config) CheckClient(client state.Client) error {
	var errs []error
	if c.taken(client.ID) {
		errs = append(errs, fmt.Errorf("client %s: a user or an audience has that name; choose another id", client.ID))
	}
	for _, name := range client.Scopes {
		if !slices.ContainsFunc(c.Scopes, func(s Scope) bool { return s.Name == name }) {
			errs = append(errs, fmt.Errorf("client %s: no security scheme of the design declares the scope %q", client.ID, name))
		}
	}
	return errors.Join(errs...)
}

// authenticate returns the client that makes a request: by client_secret_basic,
// client_secret_post, or, where it is public, by its id alone.
func (i *Issuer) authenticate(tx *state.Tx, r *http.Request, f url.Values) (state.Client, error) {
	id, secret := f.Get("client_id"), f.Get("client_secret")
	if headers := r.Header.Values("Authorization"); len(headers) > 0 {
		name, password, ok := parseBasic(headers[0])
		if len(headers) > 1 || !ok {
			return state.Client{}, errClient
		}
		if secret != "" || id != "" && id != name {
			return state.Client{}, refuse(invalidRequest, "the client authenticates in two ways")
		}
		id, secret = name, password
	}
	c, err := i.client(tx, id)
	if err != nil {
		return state.Client{}, err
	}
	if c.Public() && secret == "" || c.Authenticates(secret) {
		return c, nil
	}
	return state.Client{}, errClient
}

// parseBasic reads a client's credentials, which are encoded as in a form
// before they are encoded as Basic (RFC 6749, 2.3.1).
func parseBasic(header string) (id, secret string, ok bool) {
	scheme, encoded, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Basic") || len(encoded) > 1<<10 {
		return "", "", false
	}
	text, err := base64.StdEncoding.Strict().DecodeString(strings.TrimLeft(encoded, " "))
	if err != nil || strings.ContainsAny(encoded, "\r\n") {
		return "", "", false
	}
	id, secret, ok = strings.Cut(string(text), ":")
	if !ok {
		return "", "", false
	}
	id, idErr := url.QueryUnescape(id)
	secret, secretErr := url.QueryUnescape(secret)
	if idErr != nil || secretErr != nil || id == "" {
		return "", "", false
	}
	return id, secret, true
}

// Scopes of OpenID Connect.
var identity = []Scope{
	{"openid", "Know who you are"},
	{"profile", "See your name"},
	{"email", "See your address for e-mail"},
	{"offline_access", "Keep access while you are away"},
}

// describe returns the scope with its description.
func (i *Issuer) describe(name string) Scope {
	for _, s := range slices.Concat(identity, i.cfg.Scopes) {
		if s.Name == name {
			return s
		}
	}
	return Scope{Name: name}
}

// scopes returns what a client asks for; all that it may have where it names
// nothing. Those of OpenID Connect are for users only.
func (i *Issuer) scopes(c state.Client, asked string, user bool) ([]string, error) {
	var may []string
	for _, s := range i.cfg.Scopes {
		if len(c.Scopes) == 0 || slices.Contains(c.Scopes, s.Name) {
			may = append(may, s.Name)
		}
	}
	words := strings.Fields(asked)
	if len(words) == 0 {
		return may, nil
	}
	if user {
		for _, s := range identity {
			may = append(may, s.Name)
		}
	}
	return subset(words, may, refuse(invalidScope, "a scope is unknown, or not for this client"))
}

// targets returns the audience that a request names (RFC 8707); otherwise what
// it would get.
func targets(f url.Values, may, otherwise []string) ([]string, error) {
	errTarget := refuse(invalidTarget, "the service does not go by that name")
	for _, r := range f["resource"] {
		if u, err := url.Parse(r); err != nil || !u.IsAbs() || strings.Contains(r, "#") {
			return nil, refuse(invalidTarget, "a resource is an absolute URI without a fragment")
		}
	}
	words := slices.Concat(f["resource"], f["audience"])
	if len(words) == 0 {
		return otherwise, nil
	}
	return subset(words, may, errTarget)
}

// subset returns words without repetition, if all are among may.
func subset(words, may []string, otherwise *refusal) ([]string, error) {
	var list []string
	for _, w := range words {
		if !slices.Contains(may, w) {
			return nil, otherwise
		}
		if !slices.Contains(list, w) {
			list = append(list, w)
		}
	}
	return list, nil
}
