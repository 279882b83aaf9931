package issuer

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/auth/issuer/state"
)

// introspect tells a confidential client about a token (RFC 7662): any access
// token, and the client's own refresh tokens.
func (i *Issuer) introspect(r *http.Request) (any, error) {
	f, err := form(r)
	if err != nil {
		return nil, err
	}
	said := map[string]any{"active": false}
	now := time.Now()
	err = i.state.Update(r.Context(), func(tx *state.Tx) error {
		c, err := i.authenticate(tx, r, f)
		if err != nil {
			return err
		}
		if c.Public() {
			return &refusal{http.StatusUnauthorized, invalidClient, "introspection needs a client that has a secret"}
		}
		token := f.Get("token")
		if token == "" {
			return refuse(invalidRequest, "token is missing")
		}
		a, err := i.active(tx, token, now)
		if errors.Is(err, state.ErrNotFound) {
			return i.introspectRefresh(tx, c, token, now, said)
		}
		if err != nil {
			return err
		}
		said["active"], said["token_type"] = true, "Bearer"
		said["iss"], said["sub"], said["aud"], said["client_id"] = i.cfg.URL, a.Subject, a.Audience, a.ClientID
		said["jti"], said["iat"], said["exp"] = a.ID, a.Issued.Unix(), a.Expires.Unix()
		said["scope"] = strings.Join(a.Scopes, " ")
		if u, ok := i.user(a.Subject); ok {
			said["username"] = u.Subject
		}
		return nil
	})
	return said, err
}

func (i *Issuer) introspectRefresh(tx *state.Tx, c state.Client, token string, now time.Time, said map[string]any) error {
	found, err := tx.Refresh(token)
	if errors.Is(err, state.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	g, err := tx.Grant(found.GrantID)
	if err != nil || g.ClientID != c.ID || g.Revoked || found.Used || !now.Before(found.Expires) {
		return err
	}
	said["active"], said["iss"], said["sub"], said["client_id"] = true, i.cfg.URL, g.Subject, g.ClientID
	said["exp"], said["scope"] = found.Expires.Unix(), strings.Join(g.Scopes, " ")
	return nil
}

// active returns an access token that is good at the time now; ErrNotFound
// otherwise.
func (i *Issuer) active(tx *state.Tx, token string, now time.Time) (state.Access, error) {
	a, err := tx.Access(token)
	if err == nil && (a.Revoked || !now.Before(a.Expires)) {
		err = state.ErrNotFound
	}
	return a, err
}

// revoke takes a token back (RFC 7009). A refresh token goes with all that its
// consent gave.
func (i *Issuer) revoke(r *http.Request) (any, error) {
	f, err := form(r)
	if err != nil {
		return nil, err
	}
	return nil, i.state.Update(r.Context(), func(tx *state.Tx) error {
		c, err := i.authenticate(tx, r, f)
		if err != nil {
			return err
		}
		token := f.Get("token")
		if token == "" {
			return refuse(invalidRequest, "token is missing")
		}
		var owner string
		var forget func() error
		switch a, err := tx.Access(token); {
		case err == nil:
			owner, forget = a.ClientID, func() error { return tx.RevokeAccess(token) }
		case !errors.Is(err, state.ErrNotFound):
			return err
		default:
			found, err := tx.Refresh(token)
			if errors.Is(err, state.ErrNotFound) {
				return nil // gone already is as good
			}
			if err != nil {
				return err
			}
			g, err := tx.Grant(found.GrantID)
			if err != nil {
				return err
			}
			owner, forget = g.ClientID, func() error { return tx.RevokeGrant(found.GrantID) }
		}
		if owner != c.ID {
			return refuse(unauthorizedClient, "the token is another client's")
		}
		i.log.Info("token revoked", "client", c.ID)
		return forget()
	})
}

// userInfo tells who the user of an access token with the scope openid is
// (OpenID Connect Core 1.0, 5.3).
func (i *Issuer) userInfo(w http.ResponseWriter, r *http.Request) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		w.Header().Set("WWW-Authenticate", `Bearer realm="development issuer"`)
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": invalidRequest, "error_description": "an access token is needed"})
		return
	}
	var a state.Access
	err := i.state.Update(r.Context(), func(tx *state.Tx) (err error) {
		a, err = i.active(tx, token, time.Now())
		return err
	})
	switch {
	case errors.Is(err, state.ErrNotFound):
		w.Header().Set("WWW-Authenticate", `Bearer realm="development issuer", error="invalid_token"`)
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "invalid_token", "error_description": "the access token is unknown, expired or revoked"})
	case err != nil:
		i.failed(w, err)
	case !slices.Contains(a.Scopes, "openid"):
		w.Header().Set("WWW-Authenticate", `Bearer realm="development issuer", error="insufficient_scope", scope="openid"`)
		writeJSON(w, http.StatusForbidden, map[string]string{"error": "insufficient_scope", "error_description": "the scope openid is needed"})
	default:
		writeJSON(w, http.StatusOK, i.about(a))
	}
}
