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
	if value, ok := c.route.Var(&c.match, name); ok {
		return value, nil
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
func (c *core) unauthenticated(err error) *refused {
	e := asAuthError(err)
	c.p.cfg.Telemetry.AuthFailed(e.Scheme, string(e.Reason))
	if challenges := c.guard.Challenges(e); len(challenges) > 0 {
		c.tell(fieldAuthenticate, challenges)
	}
	c.denied, c.failed = e.Principal, e
	var r *refused
	switch e.Status() {
	case http.StatusForbidden:
		r = refuse(&policy.Forbidden)
	case http.StatusUnauthorized:
		r = refuse(&policy.Unauthorized)
		if e.Reason != auth.Missing && e.Reason != auth.Late {
			r.message = "the credential is not valid"
		}
	case http.StatusTooManyRequests:
		r = refuse(&policy.TooManyFailures).after(e.RetryAfter)
	default:
		r = refuse(&policy.Unavailable).saying("authentication is not possible now")
	}
	r.kind = string(e.Reason)
	return r.because(err)
}

// seconds writes a duration for Retry-After (RFC 9110, 10.2.3): whole seconds,
// rounded up, at least one.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64(max(d+time.Second-1, time.Second)/time.Second), 10)
}
