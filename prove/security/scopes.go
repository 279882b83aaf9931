package security

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/wallet"
)

func scopes() []probe.Probe { return []probe.Probe{unusedScopes, eachScope, noScopes, otherScopes} }

// scoped chooses the methods whose first alternative requires scopes.
func scoped(m method) bool { return probe.Secured(m) && len(m.Requirements[0].Scopes) > 0 }

// forbidden is how a caller without a scope is refused: with 403, or with the 401
// of another alternative, which a service may have tried last.
func forbidden(m method) []int {
	if len(m.Requirements) > 1 {
		return []int{http.StatusForbidden, http.StatusUnauthorized}
	}
	return []int{http.StatusForbidden}
}

var unusedScopes = probe.Probe{
	Probe: describe("scope.declared", "Do the methods of a scheme with scopes require any of them?",
		"A scheme that declares scopes says that they matter. Where no method requires one, every token opens everything.",
		"Name the scopes inside Security(scheme, func() { Scope(…) }) of each method or service: naming the scheme alone requires none.",
		"RFC 6749 §3.3", "OWASP API5:2023", "CWE-862"),
	Run: func(_ context.Context, t *probe.Try) finding.Outcome {
		declared := 0
		for _, s := range t.Service.Schemes {
			if len(s.Scopes) == 0 {
				continue
			}
			declared++
			var of []string
			required := false
			for _, m := range t.Service.Methods {
				for _, r := range m.Requirements {
					if slices.ContainsFunc(r.Schemes, func(u policy.Use) bool { return u.Scheme == s.Name }) {
						of = append(of, m.ID())
						required = required || len(r.Scopes) > 0
					}
				}
			}
			if len(of) > 0 && !required {
				return probe.Fail(nil, "the scheme %s declares %s, and none of its methods requires one: %s", s.Name, strings.Join(s.Scopes, ", "), strings.Join(of, ", "))
			}
		}
		return probe.Pass("%d schemes with scopes", declared)
	},
}

var eachScope = probe.Probe{
	Probe: describe("scope.missing", "Is a caller who lacks one required scope refused with 403?",
		"A scope that nobody checks gives every caller the rights of all.",
		"In Goa, scopes are declared inside Security(…, func() { Scope(…) }); check them in the auther, for every scheme that carries scopes.",
		"RFC 6750 §3.1", "OWASP API5:2023", "CWE-862"),
	Needs: lab.Scopes,
	Each:  scoped,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := t.Valid(ctx, t.Client, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		required := t.Method.Requirements[0].Scopes
		for _, scope := range required {
			creds, err := t.Wallet.Credentials(t.Method, 0, wallet.Holder{Without: scope})
			if err != nil {
				return probe.Skip("%v", err)
			}
			if o := refused(ctx, t, t.Attach(r, t.Method, 0, creds), forbidden(t.Method)...); o.Verdict != finding.Pass {
				o.Detail = fmt.Sprintf("without the scope %s %s", scope, o.Detail)
				return o
			}
		}
		return probe.Pass("403 without %s", strings.Join(required, ", without "))
	},
}

var noScopes = probe.Probe{
	Probe: describe("scope.none", "Is a caller without any scope refused with 403?",
		"A token without scopes is what the least trusted client gets; it opens nothing that requires one.",
		"Treat a missing scope claim as no scope, never as all of them.",
		"RFC 6749 §3.3", "OWASP API5:2023", "CWE-862"),
	Needs: lab.Scopes,
	Each:  scoped,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := t.Valid(ctx, t.Client, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		creds, err := t.Wallet.Credentials(t.Method, 0, wallet.Holder{None: true})
		if err != nil {
			return probe.Skip("%v", err)
		}
		return refused(ctx, t, t.Attach(r, t.Method, 0, creds), forbidden(t.Method)...)
	},
}

var otherScopes = probe.Probe{
	Probe: describe("scope.other", "Is a caller with only the scopes of other methods refused with 403?",
		"A check for \"has some scope\" lets the reader write, and a check by prefix takes api:readonly for api:read.",
		"Compare whole scopes, each required one against those of the credential.",
		"RFC 6749 §3.3", "OWASP API5:2023", "CWE-863"),
	Needs: lab.Scopes,
	Each:  func(m method) bool { return scoped(m) && takesToken(m) },
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := t.Valid(ctx, t.Client, t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		required := t.Method.Requirements[0].Scopes
		var others []string
		for _, s := range t.Service.Schemes {
			others = append(others, s.Scopes...)
		}
		others = slices.DeleteFunc(others, func(s string) bool { return slices.Contains(required, s) })
		for _, s := range required {
			others = append(others, s+"x", strings.ToUpper(s), "x"+s, s+":more")
		}
		creds, err := t.Credentials(t.Method)
		if err != nil {
			return probe.Skip("%v", err)
		}
		for _, u := range t.Method.Alternative() {
			if !t.Method.TakesToken(u) {
				continue
			}
			c, err := t.Wallet.Credential(t.Method.SchemeKind(u), others, lab.Good)
			if err != nil {
				return probe.Skip("%v", err)
			}
			creds[u.Scheme] = c
		}
		return refused(ctx, t, t.Attach(r, t.Method, 0, creds), forbidden(t.Method)...)
	},
}
