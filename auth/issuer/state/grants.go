package state

import (
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Grant is a user's consent. Every code and token that follows from it belongs
// to it and goes when it is revoked.
type Grant struct {
	ID       string    `json:"-"`
	ClientID string    `json:"client_id"`
	Subject  string    `json:"sub"`
	Scopes   []string  `json:"scopes"`
	Audience []string  `json:"aud"`
	Nonce    string    `json:"nonce,omitempty"`
	AuthTime time.Time `json:"auth_time"`
	Expires  time.Time `json:"-"`
	Revoked  bool      `json:"-"`
}

// Code is what a code was given for.
type Code struct {
	GrantID     string    `json:"-"`
	RedirectURI string    `json:"redirect_uri"`
	Challenge   string    `json:"code_challenge"` // S256
	Expires     time.Time `json:"-"`
	Used        bool      `json:"-"`
}

// Refresh is what is known of a refresh token.
type Refresh struct {
	GrantID string
	Expires time.Time
	Used    bool
}

// Access is what is known of an access token.
type Access struct {
	GrantID  string    `json:"-"` // empty where no user consented
	KeyID    string    `json:"-"` // empty where the token is opaque
	ID       string    `json:"jti"`
	ClientID string    `json:"client_id"`
	Subject  string    `json:"sub"`
	Scopes   []string  `json:"scopes"`
	Audience []string  `json:"aud"`
	Issued   time.Time `json:"iat"`
	Expires  time.Time `json:"-"`
	Revoked  bool      `json:"-"`
}

// MaxRequests is how many requests may wait for consent; the oldest make room.
const MaxRequests = 1000

// SaveRequest keeps a request that waits for consent under a secret.
func (t *Tx) SaveRequest(secret string, request any, expires time.Time) error {
	record, err := json.Marshal(request)
	if err == nil {
		err = t.exec(`INSERT INTO requests VALUES (?, ?, ?)`, digest(secret), record, expires.Unix())
	}
	if err == nil {
		err = t.exec(`DELETE FROM requests WHERE rowid <= (SELECT max(rowid) FROM requests) - ?`, MaxRequests)
	}
	if err != nil {
		return fmt.Errorf("save request: %w", err)
	}
	return nil
}

// TakeRequest reads a request into v and forgets it; ErrNotFound where there
// is none, or it was too long ago.
func (t *Tx) TakeRequest(secret string, now time.Time, v any) error {
	return t.record(v, `DELETE FROM requests WHERE digest = ? AND expires > ? RETURNING record`, digest(secret), now.Unix())
}

// SaveGrant keeps a new grant and sets its ID.
func (t *Tx) SaveGrant(g *Grant) error {
	g.ID = rand.Text()
	record, err := json.Marshal(g)
	if err == nil {
		err = t.exec(`INSERT INTO grants VALUES (?, ?, ?, 0)`, g.ID, string(record), g.Expires.Unix())
	}
	if err != nil {
		return fmt.Errorf("save grant: %w", err)
	}
	return nil
}

// Grant returns a grant, revoked or not; ErrNotFound where there is none.
func (t *Tx) Grant(id string) (Grant, error) {
	g := Grant{ID: id}
	var record string
	var expires int64
	err := t.row(`SELECT record, expires, revoked FROM grants WHERE id = ?`, id).Scan(&record, &expires, &g.Revoked)
	g.Expires = time.Unix(expires, 0)
	return g, decoded("grant", err, record, &g)
}

// RevokeGrant takes back all that belongs to a grant.
func (t *Tx) RevokeGrant(id string) error {
	return errors.Join(
		t.exec(`UPDATE grants SET revoked = 1 WHERE id = ?`, id),
		t.exec(`UPDATE access_tokens SET revoked = 1 WHERE grant_id = ?`, id))
}

// SaveCode keeps a new code.
func (t *Tx) SaveCode(code string, c Code) error {
	record, err := json.Marshal(c)
	if err == nil {
		err = t.exec(`INSERT INTO codes VALUES (?, ?, ?, ?, 0)`, digest(code), c.GrantID, string(record), c.Expires.Unix())
	}
	if err != nil {
		return fmt.Errorf("save code: %w", err)
	}
	return nil
}

// Code returns what a code was given for, used or not; ErrNotFound where there
// is none.
func (t *Tx) Code(code string) (c Code, err error) {
	var record string
	var expires int64
	err = t.row(`SELECT grant_id, record, expires, used FROM codes WHERE digest = ?`, digest(code)).
		Scan(&c.GrantID, &record, &expires, &c.Used)
	c.Expires = time.Unix(expires, 0)
	return c, decoded("code", err, record, &c)
}

// UseCode marks a code as used.
func (t *Tx) UseCode(code string) error {
	return t.changed(`UPDATE codes SET used = 1 WHERE digest = ?`, digest(code))
}

// SaveRefresh keeps a new refresh token.
func (t *Tx) SaveRefresh(token string, r Refresh) error {
	if err := t.exec(`INSERT INTO refresh_tokens VALUES (?, ?, ?, 0)`, digest(token), r.GrantID, r.Expires.Unix()); err != nil {
		return fmt.Errorf("save refresh token: %w", err)
	}
	return nil
}

// Refresh returns what is known of a refresh token; ErrNotFound where there is
// none.
func (t *Tx) Refresh(token string) (r Refresh, err error) {
	var expires int64
	err = t.row(`SELECT grant_id, expires, used FROM refresh_tokens WHERE digest = ?`, digest(token)).Scan(&r.GrantID, &expires, &r.Used)
	r.Expires = time.Unix(expires, 0)
	return r, decoded("refresh token", err, "{}", &struct{}{})
}

// UseRefresh marks a refresh token as used.
func (t *Tx) UseRefresh(token string) error {
	return t.changed(`UPDATE refresh_tokens SET used = 1 WHERE digest = ?`, digest(token))
}

// SaveAccess keeps a new access token.
func (t *Tx) SaveAccess(token string, a Access) error {
	record, err := json.Marshal(a)
	if err == nil {
		err = t.exec(`INSERT INTO access_tokens VALUES (?, ?, ?, ?, ?, 0)`, digest(token),
			sql.NullString{String: a.GrantID, Valid: a.GrantID != ""}, a.KeyID, string(record), a.Expires.Unix())
	}
	if err != nil {
		return fmt.Errorf("save access token: %w", err)
	}
	return nil
}

// Access returns what is known of an access token; ErrNotFound where there is
// none.
func (t *Tx) Access(token string) (a Access, err error) {
	var record string
	var expires int64
	var grant sql.NullString
	err = t.row(`SELECT grant_id, key_id, record, expires, revoked FROM access_tokens WHERE digest = ?`, digest(token)).
		Scan(&grant, &a.KeyID, &record, &expires, &a.Revoked)
	a.GrantID, a.Expires = grant.String, time.Unix(expires, 0)
	return a, decoded("access token", err, record, &a)
}

// RevokeAccess takes back one access token.
func (t *Tx) RevokeAccess(token string) error {
	return t.changed(`UPDATE access_tokens SET revoked = 1 WHERE digest = ?`, digest(token))
}

// decoded finishes the reading of a row.
func decoded(what string, err error, record string, v any) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	if err == nil {
		err = json.Unmarshal([]byte(record), v)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	return nil
}
