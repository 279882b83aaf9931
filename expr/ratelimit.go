package expr

import (
	"fmt"
	"strings"

	goaexpr "goa.design/goa/v3/expr"

	"github.com/aguada-dev/aguada/policy"
)

// RateLimit is a declared rate limit. It has no Name; the generator gives one
// to the limits of each method.
type RateLimit struct {
	policy.RateLimit
	// Text is the call as an error quotes it, Owner the name of the expression
	// that it stands in.
	Text, Owner string
	Pos         Pos
}

// nearestRateLimits returns the limits of the nearest level that declares any
// or says that there are none: they are not added to those of other levels.
func nearestRateLimits(levels []*PolicyExpr) []RateLimit {
	for _, p := range levels {
		switch {
		case p == nil:
		case p.NoRateLimit != nil:
			return nil
		case len(p.RateLimits) > 0:
			return p.RateLimits
		}
	}
	return nil
}

// ServiceRateLimits returns the limits of s, or else of its API. They hold for
// each of its file servers, which are no methods.
func (r *RootExpr) ServiceRateLimits(s *goaexpr.ServiceExpr) []RateLimit {
	return nearestRateLimits([]*PolicyExpr{r.policies[s], r.policies[goaexpr.Root.API]})
}

// validateRateLimits refuses limits by the caller of what anybody may call.
func (r *RootExpr) validateRateLimits() {
	// One error for each limit, in the order in which they come up.
	open := make(map[RateLimit][]string)
	var refused []RateLimit
	check := func(limits []RateLimit, what string) {
		for _, l := range limits {
			if !l.Partition.Authenticated() {
				continue
			}
			if open[l] == nil {
				refused = append(refused, l)
			}
			open[l] = append(open[l], what)
		}
	}
	for _, s := range goaexpr.Root.Services {
		for _, m := range s.Methods {
			if anonymous(m) {
				check(r.Method(m).RateLimits, fmt.Sprintf("method %q of service %q", m.Name, s.Name))
			}
		}
		if h := goaexpr.Root.API.HTTP.Service(s.Name); h != nil && len(h.FileServers) > 0 {
			check(r.ServiceRateLimits(s), fmt.Sprintf("the file servers of service %q", s.Name))
		}
	}
	for _, l := range refused {
		l.Pos.Report("%s in %s: anybody may call %s, so there is no %s to count by; use PerClientIP or Global there, or say NoRateLimit()",
			l.Text, l.Owner, strings.Join(open[l], ", "), l.Partition)
	}
}

// anonymous reports whether m may be called without a credential. Goa resolves
// the inheritance of security only after validation.
func anonymous(m *goaexpr.MethodExpr) bool {
	reqs := m.Requirements
	if len(reqs) == 0 {
		reqs = m.Service.Requirements
	}
	if len(reqs) == 0 {
		reqs = goaexpr.Root.API.Requirements
	}
	return len(reqs) == 0 || goaexpr.HasNoSecurity(reqs)
}
