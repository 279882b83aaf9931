package state

import (
	"crypto/rand"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Grant types that a client may use.
const (
	AuthorizationCode = "authorization_code"
	RefreshToken      = "refresh_token"
	ClientCredentials = "client_credentials"
)

// Client is a program that asks for tokens.
type Client struct {
	// ID is the client_id, Name what the consent page calls the client.
	ID   string `json:"id"`
	Name string `json:"name"`
	// SecretDigest is the SHA-256 of the client's secret. A client without one
	// is public: nothing but its redirect URIs and PKCE protects it.
	SecretDigest []byte `json:"secret_digest,omitempty"`
	// RedirectURIs are compared character by character, except that the port
	// of a loopback http URI may be any (RFC 8252, 7.3); here localhost
	// counts as loopback too.
	RedirectURIs []string `json:"redirect_uris,omitempty"`
	// Grants are the grant types that the client may use.
	Grants []string `json:"grants"`
	// Scopes are those that the client may have; empty means every scope of
	// the design.
	Scopes []string `json:"scopes,omitempty"`
	// Opaque access tokens say nothing and must be introspected (RFC 7662).
	Opaque bool `json:"opaque,omitempty"`
}

// Public reports whether the client has no secret.
func (c Client) Public() bool { return len(c.SecretDigest) == 0 }

// May reports whether the client may use a grant type.
func (c Client) May(grant string) bool { return slices.Contains(c.Grants, grant) }

// NewSecret gives the client a new random secret and returns it.
func (c *Client) NewSecret() string {
	secret := rand.Text() + rand.Text()
	c.SetSecret(secret)
	return secret
}

// SetSecret gives the client a secret, which must be random: a fast digest of
// it is kept. An empty one makes the client public.
func (c *Client) SetSecret(secret string) {
	c.SecretDigest = nil
	if secret != "" {
		c.SecretDigest = digest(secret)
	}
}

// Authenticates reports whether secret is the client's. It takes the same time
// for every secret of one length.
func (c Client) Authenticates(secret string) bool {
	return !c.Public() && subtle.ConstantTimeCompare(c.SecretDigest, digest(secret)) == 1
}

// Redirects reports whether the client may be answered at uri.
func (c Client) Redirects(uri string) bool {
	return slices.ContainsFunc(c.RedirectURIs, func(registered string) bool {
		return uri == registered || sameLoopback(registered, uri)
	})
}

// sameLoopback compares loopback URIs without their ports. Only a port may be
// different: its digits are cut out and the rest is compared as text.
func sameLoopback(registered, uri string) bool {
	a, ok := cutPort(registered)
	if !ok {
		return false
	}
	b, ok := cutPort(uri)
	return ok && a == b
}

var loopbackURI = regexp.MustCompile(`^(http://(?:127\.0\.0\.1|\[::1\]|localhost))(?::([0-9]{1,5}))?(/[^#\\\x00-\x20\x7f]*)?$`)

func cutPort(uri string) (string, bool) {
	m := loopbackURI.FindStringSubmatch(uri)
	if m == nil {
		return "", false
	}
	if m[2] != "" {
		if _, err := netip.ParseAddrPort("127.0.0.1:" + m[2]); err != nil {
			return "", false
		}
	}
	return m[1] + m[3], true
}

var (
	clientID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	scopeRE  = regexp.MustCompile(`^[\x21\x23-\x5b\x5d-\x7e]+$`) // RFC 6749, 3.3
	hostRE   = regexp.MustCompile(`^(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$`)
)

// Validate reports everything that is wrong with the client.
func (c Client) Validate() error {
	var errs []error
	if !clientID.MatchString(c.ID) {
		errs = append(errs, fmt.Errorf("id %q is not made of letters, digits, dots, dashes and underlines, 64 at most", c.ID))
	}
	for _, g := range c.Grants {
		if !slices.Contains([]string{AuthorizationCode, RefreshToken, ClientCredentials}, g) {
			errs = append(errs, fmt.Errorf("grant %q is not one of %s, %s, %s", g, AuthorizationCode, RefreshToken, ClientCredentials))
		}
	}
	if len(c.Grants) == 0 {
		errs = append(errs, errors.New("it has no grant"))
	}
	if c.May(ClientCredentials) && c.Public() {
		errs = append(errs, errors.New("client_credentials need a secret"))
	}
	if c.May(RefreshToken) && !c.May(AuthorizationCode) {
		errs = append(errs, errors.New("refresh_token needs authorization_code, where its tokens come from"))
	}
	if c.May(AuthorizationCode) && len(c.RedirectURIs) == 0 {
		errs = append(errs, errors.New("authorization_code needs a redirect URI"))
	}
	for _, uri := range c.RedirectURIs {
		if err := validRedirect(uri); err != nil {
			errs = append(errs, fmt.Errorf("redirect URI %q: %w", uri, err))
		}
	}
	for _, s := range c.Scopes {
		if !scopeRE.MatchString(s) {
			errs = append(errs, fmt.Errorf("%q is no scope", s))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("client %s: %w", c.ID, err)
	}
	return nil
}

// validRedirect refuses URIs to which a code should not go: those that send it
// in the clear to another machine, and those that a browser would run.
func validRedirect(uri string) error {
	u, err := url.Parse(uri)
	switch {
	case err != nil || strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' }):
		return errors.New("not a URI")
	case strings.Contains(uri, "#"):
		return errors.New("it has a fragment")
	case u.User != nil:
		return errors.New("it names a user")
	}
	switch {
	case u.Scheme == "https" && hostRE.MatchString(u.Host):
		return nil
	case u.Scheme == "http":
		if _, ok := cutPort(uri); ok {
			return nil
		}
		return errors.New("http is for loopback only")
	case strings.Contains(u.Scheme, "."): // RFC 8252, 7.1
		return nil
	}
	return errors.New("neither https, nor http on loopback, nor a private-use scheme such as com.example.app")
}

// PutClient adds a client or replaces the one with its id.
func (t *Tx) PutClient(c Client) error {
	if err := c.Validate(); err != nil {
		return err
	}
	record, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("write client: %w", err)
	}
	if err := t.exec(`INSERT INTO clients VALUES (?, ?) ON CONFLICT DO UPDATE SET record = excluded.record`, c.ID, string(record)); err != nil {
		return fmt.Errorf("write client: %w", err)
	}
	return nil
}

// Client returns a client, or ErrNotFound.
func (t *Tx) Client(id string) (c Client, err error) {
	return c, t.record(&c, `SELECT record FROM clients WHERE id = ?`, id)
}

// Clients returns all clients by id.
func (t *Tx) Clients() (clients []Client, err error) {
	rows, err := t.tx.QueryContext(t.ctx, `SELECT record FROM clients ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("read clients: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var record string
		var c Client
		if err := rows.Scan(&record); err != nil {
			return nil, fmt.Errorf("read clients: %w", err)
		}
		if err := json.Unmarshal([]byte(record), &c); err != nil {
			return nil, fmt.Errorf("read clients: %w", err)
		}
		clients = append(clients, c)
	}
	return clients, rows.Err()
}

// DeleteClient forgets a client and revokes all that it has; ErrNotFound if
// there is none.
func (t *Tx) DeleteClient(id string) error {
	return errors.Join(
		t.exec(`DELETE FROM grants WHERE record ->> 'client_id' = ?`, id),
		t.exec(`DELETE FROM access_tokens WHERE record ->> 'client_id' = ?`, id),
		t.changed(`DELETE FROM clients WHERE id = ?`, id))
}

// record reads one row of JSON into v; ErrNotFound if there is none.
func (t *Tx) record(v any, query string, args ...any) error {
	var text []byte
	err := t.row(query, args...).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("read record: %w", err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("read record: %w", err)
	}
	return nil
}
