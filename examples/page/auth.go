package page

import (
	"context"
	"crypto/subtle"
	"strings"

	"github.com/golang-jwt/jwt/v5"
	goa "goa.design/goa/v3/pkg"
	"goa.design/goa/v3/security"
)

// Credentials are what callers have to present. All fields are required.
type Credentials struct {
	User, Password string
	APIKey         string
	// Secret is the HMAC key of tokens, Issuer and Audience what they have to
	// say.
	Secret           []byte
	Issuer, Audience string
}

// Auth checks credentials. Not on the page, which leaves these functions out:
// they are written as Goa's examples have them, and with more care, so that what
// is found in the service is the page's and Goa's. It is safe for concurrent use.
type Auth struct {
	c      Credentials
	parser *jwt.Parser
}

// NewAuth returns the functions that check credentials against c.
func NewAuth(c Credentials) *Auth {
	return &Auth{c: c, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired(), jwt.WithIssuer(c.Issuer), jwt.WithAudience(c.Audience))}
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func unauthorized(what string) error { return goa.PermanentError("unauthorized", "invalid %s", what) }

// BasicAuth implements the Auther of the generated code.
func (a *Auth) BasicAuth(ctx context.Context, user, pass string, _ *security.BasicScheme) (context.Context, error) {
	known, right := same(user, a.c.User), same(pass, a.c.Password)
	if !known || !right {
		return ctx, unauthorized("user or password")
	}
	return ctx, nil
}

// APIKeyAuth implements the Auther of the generated code.
func (a *Auth) APIKeyAuth(ctx context.Context, key string, _ *security.APIKeyScheme) (context.Context, error) {
	if !same(key, a.c.APIKey) {
		return ctx, unauthorized("API key")
	}
	return ctx, nil
}

// JWTAuth implements the Auther of the generated code.
func (a *Auth) JWTAuth(ctx context.Context, token string, scheme *security.JWTScheme) (context.Context, error) {
	scopes, err := a.scopes(token)
	if err != nil {
		return ctx, err
	}
	return ctx, scheme.Validate(scopes)
}

// OAuth2Auth implements the Auther of the generated code.
func (a *Auth) OAuth2Auth(ctx context.Context, token string, scheme *security.OAuth2Scheme) (context.Context, error) {
	scopes, err := a.scopes(token)
	if err != nil {
		return ctx, err
	}
	return ctx, scheme.Validate(scopes)
}

// scopes returns what a token allows: the claim scope, separated by blanks as in
// RFC 8693, section 4.2.
func (a *Auth) scopes(token string) ([]string, error) {
	var claims struct {
		jwt.RegisteredClaims
		Scope string `json:"scope"`
	}
	_, err := a.parser.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return a.c.Secret, nil })
	if err != nil {
		return nil, unauthorized("token")
	}
	return strings.Fields(claims.Scope), nil
}
