package security

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/idp"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
)

func opaqueTokens() []probe.Probe { return []probe.Probe{introspected, introspectionAway} }

// opaque chooses the methods that may take tokens which say nothing by themselves.
func opaque(m method) bool {
	all := m.Alternative()
	return probe.Unary(m) && !m.Changes() && m.Fixed() && len(all) == 1 && all[0].In == policy.InHeader &&
		slices.Contains([]policy.SchemeKind{policy.OAuth2, policy.Bearer}, m.SchemeKind(all[0]))
}

// unasked says why the service asks nobody about tokens.
func unasked(l *lab.Lab) string {
	switch {
	case l.Issuer == nil:
		return "the service takes no tokens"
	case !slices.ContainsFunc(l.Service.Methods, opaque):
		return "no method that changes nothing, and whose path is fixed, takes a token of OAuth2 alone"
	case l.Introspection == nil:
		return "nobody has said how the service is told whom to ask about tokens: name its variables in prove.yaml (introspection)"
	}
	return ""
}

// newAsking starts an island that asks its issuer about tokens, and shows it one.
func newAsking(ctx context.Context, t *probe.Try) (w *island, err error) {
	w = &island{Try: t}
	at := slices.IndexFunc(t.Service.Methods, opaque)
	if at < 0 {
		return nil, errors.New("no method takes an opaque token")
	}
	w.method = t.Service.Methods[at]
	if w.request, err = t.Valid(ctx, t.Client, w.method); err != nil {
		return nil, err
	}
	if w.in, w.issuer, err = t.Asking(ctx); err != nil {
		return nil, err
	}
	a, err := w.opaque(ctx)
	if err == nil && !lab.Succeeds(w.method, a) {
		err = fmt.Errorf("%s with a good opaque token is answered %s", w.method.ID(), a)
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *island) claims() idp.Claims { return idp.Claims{Scopes: w.method.Requirements[0].Scopes} }

// opaque calls with a good opaque token that was never shown before.
func (w *island) opaque(ctx context.Context) (*lab.Answer, error) {
	token, err := w.issuer.Opaque(w.claims())
	if err != nil {
		return nil, err
	}
	return w.do(ctx, w.bearing(token)), nil
}

func (w *island) bearing(token string) lab.Request {
	w.Secrets.Add("an opaque token", token)
	return w.request.With("Authorization", "Bearer "+token)
}

var introspected = probe.Probe{
	Probe: describe("introspection.answers", "Is a token refused unless the issuer says, without a doubt, that it is active and for this service?",
		"Whoever takes any answer of the issuer for a yes lets in tokens that were revoked, have expired, or were given to somebody else's service.",
		"Accept a token only where active is true, aud and iss are yours and exp has not passed; ask about nothing that is no bearer token, and verify what is signed by its signature.",
		"RFC 7662 §2.2", "RFC 7662 §4", "RFC 9700 §2.3", "CWE-613"),
	Needs: lab.Process,
	Omit:  unasked,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		w, err := newAsking(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer w.close()
		tried := 0
		for _, f := range w.issuer.OpaqueForgeries() {
			if !f.Must && !t.Service.Contracted { // the rest is left to the service
				continue
			}
			token, err := w.issuer.Forge(f.Name, w.claims())
			if err != nil {
				return probe.Skip("%s: %v", f.Name, err)
			}
			r := w.bearing(token)
			c := w.NewClient(w.in)
			// What the issuer says may be no answer at all, which is nobody's token's fault.
			if a := c.Do(ctx, r); a.Status != http.StatusUnauthorized && a.Status != http.StatusServiceUnavailable {
				return probe.Fail(c.Show(r, a), "%s: the answer is %s, not 401", f.Description, a)
			}
			tried++
		}
		if a, err := w.opaque(ctx); err != nil || !lab.Succeeds(w.method, a) {
			return probe.Skip("after that a good token is answered %s (%v)", a, err)
		}
		return probe.Pass("%d tokens refused, two good ones accepted", tried)
	},
}

var introspectionAway = probe.Probe{
	Probe: describe("introspection.outage", "Is a token that nobody can tell of refused while the issuer is away, in time, and accepted when it is back?",
		"A service that lets in what it cannot verify is open whenever its issuer is; one that waits for it without an end is down with it.",
		"Give each question to the issuer a deadline of some seconds, answer 503 (or 401) where there is no answer, and do not remember that.",
		"RFC 7662 §4", "CWE-636", "CWE-400"),
	Needs: lab.Process,
	Omit:  unasked,
	Limit: time.Minute,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		w, err := newAsking(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer w.close()
		for _, away := range []struct {
			how  idp.Outage
			name string
		}{{idp.Fail, "503"}, {idp.Drop, "a cut connection"}, {idp.Garbage, "a page"}, {idp.Hang, "nothing"}} {
			w.issuer.Outage(away.how)
			token, err := w.issuer.Opaque(w.claims())
			if err != nil {
				return probe.Skip("%v", err)
			}
			r, c := w.bearing(token), w.NewClient(w.in)
			bounded, cancel := context.WithTimeout(ctx, 12*time.Second)
			a := c.Do(bounded, r)
			cancel()
			if a.Err != nil || a.Status != http.StatusUnauthorized && a.Status != http.StatusServiceUnavailable && a.Status != http.StatusGatewayTimeout {
				return probe.Fail(c.Show(r, a), "the issuer answers %s; the call is answered %s, not 503 or 401", away.name, a)
			}
		}
		w.issuer.Outage(idp.None)
		a, ok := w.until(ctx, func() lab.Request {
			token, err := w.issuer.Opaque(w.claims())
			if err != nil {
				return w.request
			}
			return w.bearing(token)
		}, func(a *lab.Answer) bool { return lab.Succeeds(w.method, a) })
		if !ok {
			return probe.Fail(nil, "the issuer is back, and a good token is still answered %s", a)
		}
		return probe.Pass("refused in time while the issuer was away, accepted when it was back")
	},
}
