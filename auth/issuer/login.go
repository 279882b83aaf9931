package issuer

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/aguada-dev/aguada/auth/issuer/state"
)

// Paths of the log-in by which a person gets a token to try.
const (
	loginPath    = "/login"
	loggedInPath = "/callback"
)

// login sends a person through the protocol on behalf of a public client, as
// that client would do it.
func (i *Issuer) login(w http.ResponseWriter, r *http.Request) {
	given := rand.Text()
	sum := sha256.Sum256([]byte(i.loginVerifier(given)))
	http.Redirect(w, r, i.cfg.URL+authorizePath+"?"+url.Values{
		"response_type": {"code"}, "client_id": {i.cfg.Login}, "redirect_uri": {i.cfg.URL + loggedInPath}, "state": {given},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode(), http.StatusSeeOther)
}

// loginVerifier returns the code verifier that belongs to a state, so that
// nothing needs to be kept between the two steps: no cookie, which every program
// at this machine's ports would get.
func (i *Issuer) loginVerifier(given string) string {
	mac := hmac.New(sha256.New, i.loginKey)
	mac.Write([]byte(given))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// loggedIn receives the code, exchanges it, and shows the token.
func (i *Issuer) loggedIn(w http.ResponseWriter, r *http.Request) {
	f := r.URL.Query()
	if f.Get("code") == "" {
		i.problem(w, http.StatusBadRequest, "There is no token: the answer was no, or nobody was asked.")
		return
	}
	made, err := i.exchange(r.Context(), url.Values{
		"grant_type": {state.AuthorizationCode}, "client_id": {i.cfg.Login}, "redirect_uri": {i.cfg.URL + loggedInPath},
		"code": {f.Get("code")}, "code_verifier": {i.loginVerifier(f.Get("state"))},
	}, func(tx *state.Tx) (state.Client, error) { return i.client(tx, i.cfg.Login) })
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		i.problem(w, http.StatusBadRequest, "The code was used already, which takes back what it gave, or it is too old. Log in again.")
		return
	}
	if err != nil {
		i.failed(w, err)
		return
	}
	i.show(w, http.StatusOK, i.pages.token, "'none'", map[string]any{
		"Title": "A token for " + i.cfg.Service, "Token": made.AccessToken, "Says": payload(made.AccessToken),
		"Minutes": made.ExpiresIn / 60, "ClientID": i.cfg.Login, "Login": loginPath,
	})
}

// payload returns the claims of a JWT as a person reads them; nothing for an
// opaque token.
func payload(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	var b bytes.Buffer
	if err != nil || json.Indent(&b, raw, "", "  ") != nil {
		return ""
	}
	return b.String()
}
