package codegen

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	goaexpr "goa.design/goa/v3/expr"

	"github.com/aguada-dev/aguada/policy"
)

// serves reports whether the design has anything on a transport that is served.
func serves(root *goaexpr.RootExpr) bool {
	return slices.ContainsFunc(root.API.HTTP.Services, func(s *goaexpr.HTTPServiceExpr) bool {
		return len(s.HTTPEndpoints) > 0 || len(s.FileServers) > 0
	}) || slices.ContainsFunc(root.API.GRPC.Services, func(s *goaexpr.GRPCServiceExpr) bool {
		return len(s.GRPCEndpoints) > 0
	}) || slices.ContainsFunc(root.API.JSONRPC.Services, func(s *goaexpr.HTTPServiceExpr) bool { return len(s.HTTPEndpoints) > 0 })
}

// warnings returns what the user should know, in a stable order.
func (d *Design) warnings() []string {
	var warnings []string
	for _, s := range d.Contract.Services {
		for _, m := range s.Methods {
			name := s.Name + "." + m.Name
			if m.Access == policy.Undeclared && (len(m.Routes) > 0 || m.GRPC != nil || m.JSONRPC != nil) {
				warnings = append(warnings, name+" is open to anyone: the design gives it neither Security nor NoSecurity")
			}
		}
	}
	slices.Sort(warnings)
	return warnings
}

// checkRoutes refuses two methods on one route: only one could be served. The
// methods of a service that are called over JSON-RPC share theirs.
func checkRoutes(c *policy.Contract) error {
	var errs []error
	owners := make(map[string]string)
	claim := func(r policy.Route, name string) {
		key := r.Verb + " " + anonymous(r.Pattern)
		if other, ok := owners[key]; ok {
			errs = append(errs, fmt.Errorf("route %s %s belongs to both %s and %s: change one of them", r.Verb, r.Pattern, other, name))
			return
		}
		owners[key] = name
	}
	for _, s := range c.Services {
		shared := make(map[policy.Route]bool)
		for _, m := range s.Methods {
			for _, r := range m.Routes {
				claim(r, s.Name+"."+m.Name)
			}
			if j := m.JSONRPC; j != nil && !shared[j.Route] {
				shared[j.Route] = true
				claim(j.Route, s.Name+" over JSON-RPC")
			}
		}
	}
	return errors.Join(errs...)
}

// anonymous returns a pattern without the names of its wildcards, which do not
// tell routes apart.
func anonymous(pattern string) string {
	return goaexpr.HTTPWildcardRegex.ReplaceAllStringFunc(pattern, func(wildcard string) string {
		if strings.Contains(wildcard, "*") {
			return "/{*}"
		}
		return "/{}"
	})
}

// openAPIPath returns a pattern as OpenAPI documents spell it.
func openAPIPath(pattern string) string {
	return goaexpr.HTTPWildcardRegex.ReplaceAllString(pattern, "/{$1}")
}
