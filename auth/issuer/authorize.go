package issuer

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/auth/issuer/state"
)

// authorization is a request that waits for a user's consent.
type authorization struct {
	ClientID    string   `json:"client_id"`
	RedirectURI string   `json:"redirect_uri"`
	State       string   `json:"state"`
	Scopes      []string `json:"scopes"`
	Audience    []string `json:"audience"`
	Nonce       string   `json:"nonce"`
	Challenge   string   `json:"code_challenge"`
}

// longest is the longest state and nonce that is kept, in bytes.
const longest = 4 << 10

// authorize answers an authorization request (RFC 6749, 4.1.1) with the consent
// page. A request whose client or redirect URI is wrong is answered with a page
// of its own; any other mistake goes to the client.
func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		i.problem(w, http.StatusBadRequest, "The request cannot be read.")
		return
	}
	// A page that is loaded as an image, by a script or into a frame is for
	// nobody to read. Each would push out a request that somebody does read.
	mode, dest := r.Header.Get("Sec-Fetch-Mode"), r.Header.Get("Sec-Fetch-Dest")
	if mode != "" && mode != "navigate" || dest != "" && dest != "document" {
		i.problem(w, http.StatusBadRequest, "This page is for a person to look at.")
		return
	}
	f := r.Form
	if r.Method == http.MethodPost {
		f = r.PostForm
	}
	var c state.Client
	var secret string
	var a authorization
	var unanswerable string
	err := i.state.Update(r.Context(), func(tx *state.Tx) (err error) {
		if c, unanswerable, err = i.recipient(tx, f); err != nil || unanswerable != "" {
			return err
		}
		if a, err = i.parseAuthorization(c, f); err != nil {
			return err
		}
		secret = rand.Text()
		now := time.Now()
		return errors.Join(tx.Sweep(now), tx.SaveRequest(secret, a, now.Add(consentLifetime)))
	})
	var refused *refusal
	switch {
	case unanswerable != "":
		i.log.Warn("authorization request refused", "reason", unanswerable)
		i.problem(w, http.StatusBadRequest, unanswerable)
	case errors.As(err, &refused):
		i.log.Warn("authorization request refused", "client", c.ID, "reason", refused)
		given := ""
		if len(f["state"]) == 1 {
			given = f.Get("state")
		}
		i.redirect(w, r, f.Get("redirect_uri"), url.Values{
			"error": {refused.code}, "error_description": {refused.description}, "state": {given},
		})
	case err != nil:
		i.failed(w, err)
	default:
		i.ask(w, c, a, secret, f.Get("login_hint"))
	}
}

// recipient returns the client to answer. Where there is none, the reason is for
// the user alone: redirecting would send them wherever the request says.
func (i *Issuer) recipient(tx *state.Tx, f url.Values) (c state.Client, reason string, err error) {
	if len(f["client_id"]) != 1 {
		return c, "The request does not name one client (client_id).", nil
	}
	c, err = i.client(tx, f.Get("client_id"))
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		return c, "The client is unknown, or its name is taken (client_id).", nil
	}
	if err != nil {
		return c, "", err
	}
	if len(f["redirect_uri"]) != 1 || !c.Redirects(f.Get("redirect_uri")) {
		return c, "The client has not registered that address (redirect_uri). " + registered(c), nil
	}
	return c, "", nil
}

// registered says where a client may be answered.
func registered(c state.Client) string {
	if len(c.RedirectURIs) == 0 {
		return "It has registered none."
	}
	return "It has registered " + strings.Join(c.RedirectURIs, ", ") + "; on loopback the port may be any."
}

var challenge = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`) // base64url of a SHA-256

// parseAuthorization reads what is left of a request once it is known who to
// answer.
func (i *Issuer) parseAuthorization(c state.Client, f url.Values) (a authorization, err error) {
	if err := once(f); err != nil {
		return a, err
	}
	switch {
	case f.Has("request"):
		return a, refuse(requestNotSupported, "request objects are not supported")
	case f.Has("request_uri"):
		return a, refuse(requestURIUnsupported, "request objects are not supported")
	case f.Get("response_type") == "":
		return a, refuse(invalidRequest, "response_type is missing")
	case f.Get("response_type") != "code":
		return a, refuse(unsupportedResponse, "the only response_type is code")
	case f.Has("response_mode") && f.Get("response_mode") != "query":
		return a, refuse(invalidRequest, "the only response_mode is query")
	case !c.May(state.AuthorizationCode):
		return a, refuse(unauthorizedClient, "the client may not use authorization codes")
	case f.Get("code_challenge") == "":
		return a, refuse(invalidRequest, "code_challenge is missing: PKCE is required")
	case f.Get("code_challenge_method") != "S256":
		return a, refuse(invalidRequest, "the only code_challenge_method is S256")
	case !challenge.MatchString(f.Get("code_challenge")):
		return a, refuse(invalidRequest, "code_challenge is not the base64url of a SHA-256")
	case len(f.Get("state")) > longest || len(f.Get("nonce")) > longest:
		return a, refuse(invalidRequest, "state or nonce is too long")
	case slices.Contains(strings.Fields(f.Get("prompt")), "none"):
		return a, refuse(loginRequired, "there are no sessions: the user is always asked")
	}
	a = authorization{
		ClientID: c.ID, RedirectURI: f.Get("redirect_uri"), State: f.Get("state"),
		Nonce: f.Get("nonce"), Challenge: f.Get("code_challenge"),
	}
	if a.Scopes, err = i.scopes(c, f.Get("scope"), true); err != nil {
		return a, err
	}
	a.Audience, err = targets(f, i.cfg.Audience, i.cfg.Audience[:1])
	return a, err
}

// redirect answers the client. Empty parameters are left out, and the issuer's
// name is added (RFC 9207).
func (i *Issuer) redirect(w http.ResponseWriter, r *http.Request, uri string, params url.Values) {
	u, err := url.Parse(uri)
	if err != nil { // a registered one is a URI
		i.failed(w, err)
		return
	}
	params.Set("iss", i.cfg.URL)
	for name, v := range params {
		if v[0] == "" {
			params.Del(name)
		}
	}
	if u.RawQuery != "" { // what was registered stays as it is
		u.RawQuery += "&"
	}
	u.RawQuery += params.Encode()
	http.Redirect(w, r, u.String(), http.StatusSeeOther) //nolint:gosec // the callers have compared it with what the client registered
}

// consent receives the answer of the consent page.
func (i *Issuer) consent(w http.ResponseWriter, r *http.Request) {
	// A proxy that does not say so may have made the Host ours; the browser
	// still tells which site it looks at.
	origin, sent := r.Header["Origin"]
	foreign := sent && (len(origin) != 1 || !slices.Contains(i.hosts, strings.TrimPrefix(strings.ToLower(origin[0]), "http://")))
	if err := new(http.CrossOriginProtection).Check(r); err != nil || foreign {
		i.log.Warn("consent refused", "reason", "another site sent it")
		i.problem(w, http.StatusForbidden, "Another site sent this answer. It was not taken.")
		return
	}
	if err := r.ParseForm(); err != nil || r.URL.RawQuery != "" {
		i.problem(w, http.StatusBadRequest, "The answer cannot be read.")
		return
	}
	f := r.PostForm
	now := time.Now()
	var a authorization
	var params url.Values
	var reason string
	err := i.state.Update(r.Context(), func(tx *state.Tx) error {
		err := tx.TakeRequest(f.Get("transaction"), now, &a)
		if errors.Is(err, state.ErrNotFound) {
			reason = "This question was answered already, or too long ago. Start again from your program."
			return nil
		}
		if err == nil {
			params, reason, err = i.decide(tx, a, f, now)
		}
		return err
	})
	switch {
	case err != nil:
		i.failed(w, err)
	case reason != "":
		i.problem(w, http.StatusBadRequest, reason)
	default:
		i.log.Info("consent answered", "client", a.ClientID, "user", f.Get("user"), "allowed", params.Has("code"))
		i.redirect(w, r, a.RedirectURI, params)
	}
}

// decide returns what the client is told, or the reason why it is told nothing.
func (i *Issuer) decide(tx *state.Tx, a authorization, f url.Values, now time.Time) (params url.Values, reason string, err error) {
	c, err := i.client(tx, a.ClientID)
	refused := (*refusal)(nil)
	switch {
	case errors.As(err, &refused), err == nil && !c.Redirects(a.RedirectURI):
		return nil, "The client has changed since. Start again from your program.", nil
	case err != nil:
		return nil, "", err
	}
	params = url.Values{"state": {a.State}}
	if f.Get("decision") != "allow" {
		params.Set("error", accessDenied)
		params.Set("error_description", "the user said no")
		return params, "", nil
	}
	if _, ok := i.user(f.Get("user")); !ok {
		return nil, "There is no such user. Start again from your program.", nil
	}
	code, err := i.allow(tx, a, f.Get("user"), f["scope"], now)
	params.Set("code", code)
	return params, "", err
}

// allow keeps a consent and returns its code. The user may have allowed less
// than was asked for.
func (i *Issuer) allow(tx *state.Tx, a authorization, user string, ticked []string, now time.Time) (string, error) {
	g := state.Grant{
		ClientID: a.ClientID, Subject: user, Audience: a.Audience, Nonce: a.Nonce,
		AuthTime: now, Expires: now.Add(RefreshLifetime), Scopes: []string{},
	}
	for _, s := range a.Scopes {
		if s == "openid" || slices.Contains(ticked, s) {
			g.Scopes = append(g.Scopes, s)
		}
	}
	if err := tx.SaveGrant(&g); err != nil {
		return "", err
	}
	code := rand.Text()
	return code, tx.SaveCode(code, state.Code{
		GrantID: g.ID, RedirectURI: a.RedirectURI, Challenge: a.Challenge, Expires: now.Add(CodeLifetime),
	})
}
