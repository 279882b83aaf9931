package expr

import (
	"slices"

	"goa.design/goa/v3/eval"
	goaexpr "goa.design/goa/v3/expr"

	"github.com/aguada-dev/aguada/policy"
)

// validateCORS refuses credentials that belong to no origins, or to any.
func (r *RootExpr) validateCORS() {
	check := func(owner eval.Expression) {
		p := r.policies[owner]
		if p == nil || p.CORSCredentials == nil {
			return
		}
		switch at := p.CORSCredentials.Pos; {
		case p.CORSOrigins == nil || len(p.CORSOrigins.Value) == 0:
			at.Report("CORSCredentials() in %s: there is no CORSOrigins beside it; name the origins that may use a browser's credentials", owner.EvalName())
		case slices.Contains(p.CORSOrigins.Value, policy.AnyOrigin):
			at.Report("CORSCredentials() in %s: any page could use a browser's credentials; name the origins instead of \"*\", at %s", owner.EvalName(), p.CORSOrigins.Pos)
		}
	}
	if goaexpr.Root.API != nil {
		check(goaexpr.Root.API)
	}
	for _, s := range goaexpr.Root.Services {
		check(s)
		for _, m := range s.Methods {
			check(m)
		}
	}
}
