package issuer

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/auth/issuer/state"
)

// tokens is the answer of the token endpoint (RFC 6749, 5.1).
type tokens struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope"`
	IDToken      string `json:"id_token,omitempty"`
}

// exchange is one request to the token endpoint. All of it happens in one
// transaction, so that of two exchanges of a code exactly one succeeds.
type exchange struct {
	*Issuer
	tx     *state.Tx
	client state.Client
	form   url.Values
	now    time.Time
	// refused is the refusal of a request that left traces, which are kept.
	refused *refusal
	// misuse is what the log is told.
	misuse string
}

// token answers the token endpoint.
func (i *Issuer) token(r *http.Request) (any, error) {
	f, err := form(r)
	if err != nil {
		return nil, err
	}
	made, err := i.exchange(r.Context(), f, func(tx *state.Tx) (state.Client, error) { return i.authenticate(tx, r, f) })
	if err != nil {
		return nil, err
	}
	return made, nil
}

// exchange gives a client tokens for what its form holds.
func (i *Issuer) exchange(ctx context.Context, f url.Values, client func(*state.Tx) (state.Client, error)) (*tokens, error) {
	var made *tokens
	x := &exchange{Issuer: i, form: f, now: time.Now()}
	err := i.state.Update(ctx, func(tx *state.Tx) (err error) {
		x.tx = tx
		if x.client, err = client(tx); err != nil {
			return err
		}
		if err := tx.Sweep(x.now); err != nil {
			return err
		}
		made, err = x.grant()
		return err
	})
	if err == nil && x.refused != nil {
		err = x.refused
	}
	switch {
	case x.misuse != "":
		i.log.Warn("token refused", "client", x.client.ID, "reason", x.misuse)
	case err != nil: // a failure is logged where it is answered
		i.log.Info("token refused", "client", x.client.ID, "reason", err)
	default:
		i.log.Info("token made", "client", x.client.ID, "grant", f.Get("grant_type"), "scope", made.Scope)
	}
	return made, err
}

func (x *exchange) grant() (*tokens, error) {
	grant := x.form.Get("grant_type")
	switch grant {
	case state.AuthorizationCode, state.RefreshToken, state.ClientCredentials:
	case "":
		return nil, refuse(invalidRequest, "grant_type is missing")
	default:
		return nil, refuse(unsupportedGrant, "grant_type is not authorization_code, refresh_token or client_credentials")
	}
	if !x.client.May(grant) {
		return nil, refuse(unauthorizedClient, "the client may not use this grant_type")
	}
	switch grant {
	case state.AuthorizationCode:
		return x.code()
	case state.RefreshToken:
		return x.refresh()
	}
	return x.credentials()
}

var errCode = refuse(invalidGrant, "the code is unknown, expired, used, or was given for another request")

var verifier = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`) // RFC 7636, 4.1

// code exchanges an authorization code. A proof that is wrong uses the code up.
// What cannot be a theft leaves it alone: another client's attempt, one without
// a code verifier, and one that proves all but names a wrong audience.
func (x *exchange) code() (*tokens, error) {
	code := x.form.Get("code")
	if code == "" || x.form.Get("code_verifier") == "" {
		return nil, refuse(invalidRequest, "code or code_verifier is missing")
	}
	c, err := x.tx.Code(code)
	if errors.Is(err, state.ErrNotFound) {
		return nil, errCode
	}
	if err != nil {
		return nil, err
	}
	g, err := x.tx.Grant(c.GrantID)
	if err != nil {
		return nil, err
	}
	if g.ClientID != x.client.ID {
		x.misuse = "the code is another client's"
		return nil, errCode
	}
	if c.Used {
		x.misuse, x.refused = "a code was used again: all that it gave is revoked", errCode
		return nil, x.tx.RevokeGrant(c.GrantID)
	}
	if err := x.tx.UseCode(code); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(x.form.Get("code_verifier")))
	proof := base64.RawURLEncoding.EncodeToString(sum[:])
	switch {
	case !x.now.Before(c.Expires), g.Revoked:
		x.misuse = "the code expired or was revoked"
	case x.form.Get("redirect_uri") != c.RedirectURI:
		x.misuse = "the redirect URI is not that of the authorization request"
	case !verifier.MatchString(x.form.Get("code_verifier")) || subtle.ConstantTimeCompare([]byte(proof), []byte(c.Challenge)) != 1:
		x.misuse = "the code verifier is wrong"
	}
	if x.misuse != "" {
		x.refused = errCode
		return nil, nil // the refusal is in x, so that the use of the code is kept
	}
	audience, err := targets(x.form, g.Audience, g.Audience)
	if err != nil {
		return nil, err
	}
	return x.issue(g, g.Scopes, audience, g.Nonce)
}

var errRefresh = refuse(invalidGrant, "the refresh token is unknown, expired, revoked or used")

// refresh exchanges a refresh token for the next one. A used one revokes the
// consent: either its thief or its owner is too late, and nobody knows which.
func (x *exchange) refresh() (*tokens, error) {
	token := x.form.Get("refresh_token")
	if token == "" {
		return nil, refuse(invalidRequest, "refresh_token is missing")
	}
	found, err := x.tx.Refresh(token)
	if errors.Is(err, state.ErrNotFound) {
		return nil, errRefresh
	}
	if err != nil {
		return nil, err
	}
	g, err := x.tx.Grant(found.GrantID)
	if err != nil {
		return nil, err
	}
	switch {
	case g.ClientID != x.client.ID:
		x.misuse = "the refresh token is another client's"
		return nil, errRefresh
	case found.Used:
		x.misuse, x.refused = "a refresh token was used again: its consent is revoked", errRefresh
		return nil, x.tx.RevokeGrant(found.GrantID)
	case g.Revoked, !x.now.Before(found.Expires):
		return nil, errRefresh
	}
	scopes := g.Scopes
	if asked := strings.Fields(x.form.Get("scope")); len(asked) > 0 {
		if scopes, err = subset(asked, g.Scopes, refuse(invalidScope, "a scope is more than the user allowed")); err != nil {
			return nil, err
		}
	}
	audience, err := targets(x.form, g.Audience, g.Audience)
	if err != nil {
		return nil, err
	}
	if err := x.tx.UseRefresh(token); err != nil {
		return nil, err
	}
	return x.issue(g, scopes, audience, "")
}

// credentials makes a token for the client itself.
func (x *exchange) credentials() (*tokens, error) {
	scopes, err := x.scopes(x.client, x.form.Get("scope"), false)
	if err != nil {
		return nil, err
	}
	audience, err := targets(x.form, x.cfg.Audience, x.cfg.Audience[:1])
	if err != nil {
		return nil, err
	}
	a := state.Access{
		ClientID: x.client.ID, Subject: x.client.ID, Scopes: scopes, Audience: audience,
		Issued: x.now, Expires: x.now.Add(AccessLifetime),
	}
	token, err := x.access(x.tx, a, time.Time{}, x.client.Opaque)
	if err != nil {
		return nil, err
	}
	return x.answer(token, a), nil
}

// issue makes the tokens that follow from a consent.
func (x *exchange) issue(g state.Grant, scopes, audience []string, nonce string) (*tokens, error) {
	a := state.Access{
		GrantID: g.ID, ClientID: g.ClientID, Subject: g.Subject, Scopes: scopes, Audience: audience,
		Issued: x.now, Expires: x.now.Add(AccessLifetime),
	}
	if a.Expires.After(g.Expires) {
		a.Expires = g.Expires
	}
	token, err := x.access(x.tx, a, g.AuthTime, x.client.Opaque)
	if err != nil {
		return nil, err
	}
	made := x.answer(token, a)
	if x.client.May(state.RefreshToken) {
		made.RefreshToken = rand.Text() + rand.Text()
		if err := x.tx.SaveRefresh(made.RefreshToken, state.Refresh{GrantID: g.ID, Expires: g.Expires}); err != nil {
			return nil, err
		}
	}
	made.IDToken, err = x.idToken(x.tx, a, g.AuthTime, nonce, token)
	return made, err
}

func (x *exchange) answer(token string, a state.Access) *tokens {
	return &tokens{
		AccessToken: token, TokenType: "Bearer", Scope: strings.Join(a.Scopes, " "),
		ExpiresIn: int64(a.Expires.Sub(a.Issued) / time.Second),
	}
}
