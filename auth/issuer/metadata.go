package issuer

import (
	"net/http"

	"github.com/aguada-dev/aguada/auth/issuer/state"
)

// metadata answers discovery: OpenID Connect Discovery 1.0 and RFC 8414 share
// their names.
func (i *Issuer) metadata(*http.Request) (any, error) {
	scopes := []string{}
	for _, s := range identity {
		scopes = append(scopes, s.Name)
	}
	for _, s := range i.cfg.Scopes {
		scopes = append(scopes, s.Name)
	}
	url := i.cfg.URL
	clients := []string{"client_secret_basic", "client_secret_post"}
	return map[string]any{
		"issuer":                                         url,
		"authorization_endpoint":                         url + authorizePath,
		"token_endpoint":                                 url + tokenPath,
		"jwks_uri":                                       url + jwksPath,
		"userinfo_endpoint":                              url + userInfoPath,
		"introspection_endpoint":                         url + introspectPath,
		"revocation_endpoint":                            url + revokePath,
		"scopes_supported":                               scopes,
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{state.AuthorizationCode, state.RefreshToken, state.ClientCredentials},
		"code_challenge_methods_supported":               []string{"S256"},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{state.ES256, state.RS256, state.EdDSA},
		"token_endpoint_auth_methods_supported":          append([]string{"none"}, clients...),
		"revocation_endpoint_auth_methods_supported":     append([]string{"none"}, clients...),
		"introspection_endpoint_auth_methods_supported":  clients,
		"claims_supported":                               []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "name", "preferred_username", "email", "email_verified"},
		"prompt_values_supported":                        []string{"login", "consent", "select_account"},
		"authorization_response_iss_parameter_supported": true,
		"claims_parameter_supported":                     false,
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false,
	}, nil
}
