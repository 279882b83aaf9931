package codegen

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	goaexpr "goa.design/goa/v3/expr"

	"github.com/aguada-dev/aguada/policy"
)

// The transports that Goa generates and that are not served yet, as contracts
// name them.
const (
	grpcTransport    = "grpc"
	jsonrpcTransport = "jsonrpc"
)

// servesHTTP reports whether the design has anything on plain HTTP.
func servesHTTP(root *goaexpr.RootExpr) bool {
	return slices.ContainsFunc(root.API.HTTP.Services, func(s *goaexpr.HTTPServiceExpr) bool {
		return len(s.HTTPEndpoints) > 0 || len(s.FileServers) > 0
	})
}

// checkTransports refuses a design of which nothing would be served.
func checkTransports(root *goaexpr.RootExpr) error {
	if servesHTTP(root) {
		return nil
	}
	var only []string
	for _, s := range root.Services {
		for _, m := range s.Methods {
			if len(notServed(root, m)) > 0 {
				only = append(only, s.Name+"."+m.Name)
			}
		}
	}
	if len(only) == 0 {
		return nil // a design without transports: types only
	}
	return fmt.Errorf("aguada: nothing to serve: all methods use only gRPC or JSON-RPC, which this version of Aguada does not serve yet (%s); "+
		"add HTTP to at least one method, or remove the import of Aguada's dsl", strings.Join(only, ", "))
}

// notServed returns the transports that the design declares for m and that are
// not served.
func notServed(root *goaexpr.RootExpr, m *goaexpr.MethodExpr) []string {
	var names []string
	if s := root.API.GRPC.Service(m.Service.Name); s != nil && s.Endpoint(m.Name) != nil {
		names = append(names, grpcTransport)
	}
	if s := root.API.JSONRPC.Service(m.Service.Name); s != nil && s.Endpoint(m.Name) != nil {
		names = append(names, jsonrpcTransport)
	}
	return names
}

// warnings returns what the user should know, in a stable order.
func (d *Design) warnings() []string {
	var warnings []string
	unserved := make(map[string][]string)
	for _, s := range d.Contract.Services {
		for _, m := range s.Methods {
			name := s.Name + "." + m.Name
			if m.Access == policy.Undeclared && len(m.Routes) > 0 {
				warnings = append(warnings, name+" is open to anyone: the design gives it neither Security nor NoSecurity")
			}
			for _, t := range m.NotServed {
				unserved[t] = append(unserved[t], name)
			}
		}
	}
	for t, title := range map[string]string{grpcTransport: "gRPC", jsonrpcTransport: "JSON-RPC"} {
		if names := unserved[t]; names != nil {
			warnings = append(warnings, title+" is not served yet: "+strings.Join(names, ", "))
		}
	}
	slices.Sort(warnings)
	return warnings
}

// checkRoutes refuses two methods on one route: only one could be served.
func checkRoutes(c *policy.Contract) error {
	var errs []error
	owners := make(map[string]string)
	for _, s := range c.Services {
		for _, m := range s.Methods {
			for _, r := range m.Routes {
				key := r.Verb + " " + anonymous(r.Pattern)
				name := s.Name + "." + m.Name
				if other, ok := owners[key]; ok {
					errs = append(errs, fmt.Errorf("route %s %s belongs to both %s and %s: change one of them", r.Verb, r.Pattern, other, name))
					continue
				}
				owners[key] = name
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
