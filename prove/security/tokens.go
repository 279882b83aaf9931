package security

import (
	"context"
	"net/http"
	"slices"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/idp"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
)

// tokens returns a probe for each way to forge a token.
func tokens() []probe.Probe {
	var all []probe.Probe
	for _, f := range idp.Catalogue() {
		if f.Must { // the rest is left to the service
			all = append(all, forged(f))
		}
	}
	return append(all, fetched)
}

func forged(f idp.Forgery) probe.Probe {
	p := describe("token."+f.Name, "Is a token refused with 401: "+f.Description+"?",
		"Whoever can make such a token is whoever they want to be.",
		"Verify tokens with one maintained library, a list of allowed algorithms, and issuer, audience and expiry required. The answer to any failure is 401.",
		f.References...)
	want := []int{http.StatusUnauthorized}
	if !visible(f.Name) {
		want = append(want, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusRequestHeaderFieldsTooLarge)
	}
	return probe.Probe{
		Probe: p,
		Needs: lab.Issuer,
		Each:  takesToken,
		Omit: func(l *lab.Lab) string {
			switch {
			case l.Issuer == nil:
				return "the service takes no tokens"
			case !slices.ContainsFunc(l.Issuer.Forgeries(), func(x idp.Forgery) bool { return x.Name == f.Name }):
				return "the forgery does not fit how the service verifies tokens"
			}
			return ""
		},
		Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
			r, err := t.Valid(ctx, t.Client, t.Method)
			if err != nil {
				return probe.Skip("%v", err)
			}
			creds, err := t.Credentials(t.Method)
			if err != nil {
				return probe.Skip("%v", err)
			}
			for _, u := range t.Method.Alternative() {
				if !t.Method.TakesToken(u) {
					continue
				}
				c := creds[u.Scheme]
				if c.Token, err = t.Issuer.Forge(f.Name, idp.Claims{Scopes: t.Method.Requirements[0].Scopes}); err != nil {
					return probe.Skip("%v", err)
				}
				t.Secrets.Add("a forged token", c.Token)
				creds[u.Scheme] = c
			}
			return refused(ctx, t, t.Attach(r, t.Method, 0, creds), want...)
		},
	}
}

// visible reports whether the forgery makes a header that every server reads as
// one with a token: what is too long, or nothing, may be refused before.
func visible(name string) bool { return !slices.Contains([]string{"huge", "empty", "blank"}, name) }

// takesToken chooses the methods to which a token is sent in a header.
func takesToken(m method) bool {
	return probe.Secured(m) && slices.ContainsFunc(m.Alternative(), func(u policy.Use) bool { return u.In == policy.InHeader && m.TakesToken(u) })
}

var fetched = probe.Probe{
	Probe: describe("token.fetches", "Does the service never fetch an address that a token names?",
		"A token's header can name a key set anywhere (jku, x5u): fetching it lets a stranger sign tokens, and makes the service call addresses of their choice.",
		"Ignore jku, x5u and jwk in tokens; take keys only from what is configured.",
		"RFC 8725 §3.10", "CWE-918", "OWASP API7:2023"),
	Needs: lab.Issuer,
	Omit: func(l *lab.Lab) string {
		if l.Issuer == nil {
			return "the service takes no tokens"
		}
		return ""
	},
	Alone: true, // after the forged tokens were sent
	Run: func(_ context.Context, t *probe.Try) finding.Outcome {
		if all := t.Issuer.Fetched(); len(all) > 0 {
			return probe.Fail(nil, "%d requests came to addresses that only forged tokens named; the first for %s, of the forgery %s", len(all), all[0].Path, all[0].Forgery)
		}
		return probe.Pass("no request came to any of them")
	},
}
