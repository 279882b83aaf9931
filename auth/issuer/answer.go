package issuer

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
)

// refusal is an error of the protocol (RFC 6749, 4.1.2.1 and 5.2). Its texts
// are constants: no part of a request is ever repeated in them.
type refusal struct {
	status            int
	code, description string
}

func (e *refusal) Error() string { return e.code + ": " + e.description }

func refuse(code, description string) *refusal {
	return &refusal{http.StatusBadRequest, code, description}
}

// Codes of refusals.
const (
	invalidRequest        = "invalid_request"
	invalidClient         = "invalid_client"
	invalidGrant          = "invalid_grant"
	invalidScope          = "invalid_scope"
	invalidTarget         = "invalid_target"
	unauthorizedClient    = "unauthorized_client"
	unsupportedGrant      = "unsupported_grant_type"
	unsupportedResponse   = "unsupported_response_type"
	accessDenied          = "access_denied"
	loginRequired         = "login_required"
	requestNotSupported   = "request_not_supported"
	requestURIUnsupported = "request_uri_not_supported"
)

// answer makes a handler of an endpoint that answers with JSON.
func (i *Issuer) answer(f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := f(r)
		status := http.StatusOK
		if err != nil {
			var refused *refusal
			if !errors.As(err, &refused) {
				i.log.Error("request failed", "path", r.URL.Path, "error", err)
				refused = &refusal{http.StatusInternalServerError, "server_error", "the issuer failed; its log says why"}
			}
			status = refused.status
			if status == http.StatusUnauthorized && r.Header.Get("Authorization") != "" {
				w.Header().Set("WWW-Authenticate", `Basic realm="development issuer"`)
			}
			v = map[string]string{"error": refused.code, "error_description": refused.description}
		}
		if v == nil {
			w.WriteHeader(status)
			return
		}
		writeJSON(w, status, v)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Pragma", "no-cache") // RFC 6749, 5.1
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // who asked has gone
}

// form returns the parameters of a form, each of which may be there once
// (RFC 6749, 3.2). Those in the URL are refused: it ends up in logs.
func form(r *http.Request) (url.Values, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		return nil, refuse(invalidRequest, "the body is not application/x-www-form-urlencoded")
	}
	if r.URL.RawQuery != "" {
		return nil, refuse(invalidRequest, "parameters belong into the body")
	}
	if err := r.ParseForm(); err != nil {
		return nil, refuse(invalidRequest, "the body is not a form, or too large")
	}
	return r.PostForm, once(r.PostForm)
}

// once refuses repeated parameters, except for those that may be (RFC 8707).
func once(values url.Values) error {
	for name, v := range values {
		if len(v) > 1 && !slices.Contains([]string{"resource", "audience"}, name) {
			return refuse(invalidRequest, "a parameter is repeated")
		}
	}
	return nil
}
