package transport

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/policy"
)

// source is the call as the source of its credentials.
type source call

var _ auth.Source = (*source)(nil)

// Credential finds a credential where the design puts it.
func (s *source) Credential(u *policy.Use, kind policy.SchemeKind) (auth.Credential, error) {
	c := (*call)(s)
	var value string
	var err error
	authorization := false
	switch u.In {
	case policy.InHeader:
		key := u.Name
		if key != "Authorization" {
			key = http.CanonicalHeaderKey(key)
		}
		authorization = key == "Authorization"
		value, err = single(c.req.Header[key])
	case policy.InQuery:
		var query url.Values
		if query, err = url.ParseQuery(c.req.URL.RawQuery); err != nil {
			return auth.Credential{}, auth.Refuse(auth.Malformed, "the query is malformed")
		}
		value, err = single(query[u.Name])
	case policy.InCookie:
		var all []string
		for _, cookie := range c.req.CookiesNamed(u.Name) {
			all = append(all, cookie.Value)
		}
		value, err = single(all)
	case policy.InPath:
		value, err = c.pathCredential(u.Name)
	case policy.InBody:
		return c.lateCredential(u)
	default:
		return auth.Credential{}, auth.Refuse(auth.Unavailable, "unknown place of a credential")
	}
	if err != nil {
		return auth.Credential{}, err
	}
	return auth.CutAuthorization(kind, value, authorization)
}

func single(values []string) (string, error) {
	switch {
	case len(values) == 0:
		return "", auth.ErrMissing
	case len(values) > 1:
		return "", auth.ErrDuplicate
	}
	return strings.Trim(values[0], " \t"), nil
}

func (c *call) pathCredential(name string) (string, error) {
	if c.route != nil {
		for i, p := range c.route.params {
			if p == name {
				return c.param(i), nil
			}
		}
	}
	return "", auth.ErrMissing
}

// lateCredential finds a credential in the decoded body.
func (c *call) lateCredential(u *policy.Use) (auth.Credential, error) {
	if c.late == nil {
		return auth.Credential{}, auth.ErrLate
	}
	if c.m.late == nil {
		return auth.Credential{}, auth.Refuse(auth.Unavailable, "nothing finds the credential in the body")
	}
	credential, ok := c.m.late(c.late, u.Scheme)
	if !ok || credential == (auth.Credential{}) {
		return auth.Credential{}, auth.ErrMissing
	}
	return credential, nil
}

// unauthenticated maps a refusal of the guard.
func (c *call) unauthenticated(err error) *refused {
	e := asAuthError(err)
	c.h.cfg.Telemetry.AuthFailed(e.Scheme, string(e.Reason))
	c.setAuthenticate(e)
	r := &refused{status: e.Status(), cause: err, kind: string(e.Reason)}
	switch r.status {
	case http.StatusForbidden:
		r.name, r.message = "forbidden", "the credential does not allow this call"
	case http.StatusUnauthorized:
		r.name, r.message = "unauthorized", "authentication is required"
		if e.Reason != auth.Missing && e.Reason != auth.Late {
			r.message = "the credential is not valid"
		}
	case http.StatusTooManyRequests:
		r.name, r.message, r.temporary = "too_many_failures", "too many wrong credentials came from this address", true
		c.w.Header()["Retry-After"] = []string{seconds(e.RetryAfter)}
	default:
		r.status = http.StatusServiceUnavailable
		r.name, r.message, r.temporary = "unavailable", "authentication is not possible now", true
		c.w.Header()["Retry-After"] = retryAfter
	}
	c.denied, c.failed = e.Principal, e
	return r
}

// seconds writes a duration for Retry-After (RFC 9110, 10.2.3): whole seconds,
// rounded up.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64(max(d+time.Second-1, time.Second)/time.Second), 10)
}
