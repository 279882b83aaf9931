package issuer

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/aguada-dev/aguada/auth/issuer/state"
)

// Claims are what a token that [Issuer.Token] makes says.
type Claims struct {
	// Subject and ClientID are sub and client_id. Required.
	Subject, ClientID string
	// Audience is the issuer's first if empty.
	Audience []string
	Scopes   []string
	// Lifetime is AccessLifetime if 0.
	Lifetime time.Duration
}

// Token makes an access token outside the protocol, for a command line. It
// needs no server, and any scope goes.
func (i *Issuer) Token(ctx context.Context, c Claims) (token string, err error) {
	if c.Subject == "" || c.ClientID == "" || c.Lifetime < 0 {
		return "", errors.New("make token: it needs a subject, a client and a lifetime that is not negative")
	}
	if c.Lifetime == 0 {
		c.Lifetime = AccessLifetime
	}
	if len(c.Audience) == 0 {
		c.Audience = i.cfg.Audience[:1]
	}
	now := time.Now()
	err = i.state.Update(ctx, func(tx *state.Tx) (err error) {
		token, err = i.access(tx, state.Access{
			ClientID: c.ClientID, Subject: c.Subject, Scopes: c.Scopes, Audience: c.Audience,
			Issued: now, Expires: now.Add(c.Lifetime),
		}, now, false)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("make token: %w", err)
	}
	return token, nil
}

// access makes an access token and keeps it: a JWT (RFC 9068), or one that says
// nothing. Without a user auth is zero.
func (i *Issuer) access(tx *state.Tx, a state.Access, auth time.Time, opaque bool) (string, error) {
	a.ID = rand.Text()
	if opaque {
		token := rand.Text() + rand.Text()
		return token, tx.SaveAccess(token, a)
	}
	key, err := tx.SigningKey(a.Issued, a.Expires)
	if err != nil {
		return "", err
	}
	claims := map[string]any{
		"iss": i.cfg.URL, "sub": a.Subject, "aud": a.Audience, "client_id": a.ClientID, "jti": a.ID,
		"iat": a.Issued.Unix(), "exp": a.Expires.Unix(),
	}
	if len(a.Scopes) > 0 {
		claims["scope"] = strings.Join(a.Scopes, " ")
	}
	if !auth.IsZero() {
		claims["auth_time"] = auth.Unix()
	}
	token, err := sign(key, "at+jwt", claims)
	if err != nil {
		return "", err
	}
	a.KeyID = key.ID
	return token, tx.SaveAccess(token, a)
}

// idToken tells the client who the user is, if it asked by the scope openid.
func (i *Issuer) idToken(tx *state.Tx, a state.Access, auth time.Time, nonce, access string) (string, error) {
	if !slices.Contains(a.Scopes, "openid") {
		return "", nil
	}
	key, err := tx.SigningKey(a.Issued, a.Expires)
	if err != nil {
		return "", err
	}
	claims := i.about(a)
	for name, v := range map[string]any{
		"iss": i.cfg.URL, "aud": a.ClientID, "azp": a.ClientID, "iat": a.Issued.Unix(), "exp": a.Expires.Unix(),
		"auth_time": auth.Unix(),
	} {
		claims[name] = v
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	if key.Algorithm != state.EdDSA { // of which the hash is not agreed upon
		sum := sha256.Sum256([]byte(access))
		claims["at_hash"] = base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
	}
	return sign(key, "JWT", claims)
}

// about returns what a token's scopes tell of its user.
func (i *Issuer) about(a state.Access) map[string]any {
	claims := map[string]any{"sub": a.Subject}
	u, ok := i.user(a.Subject)
	if ok && slices.Contains(a.Scopes, "profile") {
		claims["name"], claims["preferred_username"] = u.Name, u.Subject
	}
	if ok && u.Email != "" && slices.Contains(a.Scopes, "email") {
		claims["email"], claims["email_verified"] = u.Email, true
	}
	return claims
}

// sign makes a compact JWS.
func sign(key state.Key, typ string, claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{
		Algorithm: jose.SignatureAlgorithm(key.Algorithm),
		Key:       jose.JSONWebKey{Key: key.Private, KeyID: key.ID},
	}, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return token, nil
}

// jwks answers with the public keys (RFC 7517).
func (i *Issuer) jwks(r *http.Request) (any, error) {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	err := i.state.Update(r.Context(), func(tx *state.Tx) error {
		keys, err := tx.Keys(time.Now())
		for _, k := range keys {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Private.Public(), KeyID: k.ID, Algorithm: k.Algorithm, Use: "sig"})
		}
		return err
	})
	return set, err
}
