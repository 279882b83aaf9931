package lab

import (
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/wallet"
)

// Good is the holder who may do everything.
var Good = wallet.Holder{}

// Sign returns the request with credentials of the holder for the method's first
// alternative. Where none can be made the request is returned as it is, and the
// service's refusal shows.
func (l *Lab) Sign(r Request, m *model.Method, h wallet.Holder) Request {
	creds, err := l.Wallet.Credentials(m, 0, h)
	if err != nil {
		return r
	}
	return l.Attach(r, m, 0, creds)
}

// Attach returns the request with credentials, by scheme, in the places where
// the n-th alternative of the method wants them. Schemes without credential are
// left out.
func (l *Lab) Attach(r Request, m *model.Method, n int, creds map[string]wallet.Credential) Request {
	r = r.Clone()
	if n >= len(m.Requirements) {
		return r
	}
	for _, u := range m.Requirements[n].Schemes {
		if c, ok := creds[u.Scheme]; ok {
			r = Put(r, u, c)
		}
	}
	return r
}

// Put returns the request with one credential in one place.
func Put(r Request, u policy.Use, c wallet.Credential) Request {
	r = r.Clone()
	switch u.In {
	case policy.InHeader:
		r.Header.Set(u.Name, c.Header(http.CanonicalHeaderKey(u.Name)))
	case policy.InQuery:
		path, query, _ := strings.Cut(r.Path, "?")
		values, _ := url.ParseQuery(query)
		values.Set(u.Name, c.Token)
		r.Path = path + "?" + values.Encode()
	case policy.InCookie:
		r.Header.Add("Cookie", u.Name+"="+c.Token)
	}
	return r
}

// Credentials returns what Good presents to the method, by scheme, to be
// tampered with.
func (l *Lab) Credentials(m *model.Method) (map[string]wallet.Credential, error) {
	creds, err := l.Wallet.Credentials(m, 0, Good)
	return maps.Clone(creds), err
}
