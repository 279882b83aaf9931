package codegen

import (
	"errors"
	"fmt"
	"slices"

	goaexpr "goa.design/goa/v3/expr"
	httpcodegen "goa.design/goa/v3/http/codegen"

	"github.com/aguada-dev/aguada/policy"
)

// access returns how the design opens or closes m over HTTP. Goa has resolved
// inheritance by then, and given the endpoint copies of the requirements that
// say where each credential is.
func access(m *goaexpr.MethodExpr, ep *goaexpr.HTTPEndpointExpr) (policy.Access, []policy.Requirement, error) {
	if declared := declaredAccess(m); declared != policy.Secured {
		return declared, nil, nil
	}
	reqs, err := requirements(m, ep.Requirements, func(s *goaexpr.SchemeExpr) (policy.Use, error) { return place(ep, s) })
	return policy.Secured, reqs, err
}

// requirements returns those of m as one of its endpoints has them; place says
// where the endpoint takes a scheme's credential from.
func requirements(m *goaexpr.MethodExpr, declared []*goaexpr.SecurityExpr, place func(*goaexpr.SchemeExpr) (policy.Use, error)) ([]policy.Requirement, error) {
	if len(declared) != len(m.Requirements) {
		return nil, errors.New("its security requirements did not reach its endpoint: this is a bug, please report it")
	}
	reqs := make([]policy.Requirement, 0, len(declared))
	for _, r := range declared {
		req := policy.Requirement{Scopes: sorted(r.Scopes)}
		for _, s := range r.Schemes {
			use, err := place(s)
			if err != nil {
				return nil, err
			}
			req.Schemes = append(req.Schemes, use)
		}
		if len(req.Schemes) == 0 {
			return nil, errors.New("a security requirement names no scheme, so anyone would satisfy it")
		}
		reqs = append(reqs, req)
	}
	return reqs, nil
}

// declaredAccess returns how the design opens or closes m.
func declaredAccess(m *goaexpr.MethodExpr) policy.Access {
	switch {
	case goaexpr.HasNoSecurity(m.Requirements):
		return policy.Public
	case len(m.Requirements) == 0:
		return policy.Undeclared
	}
	return policy.Secured
}

// place returns where the endpoint takes the credential of s from. Goa calls
// path parameters "query" too.
func place(ep *goaexpr.HTTPEndpointExpr, s *goaexpr.SchemeExpr) (policy.Use, error) {
	use := policy.Use{Scheme: s.SchemeName, In: policy.In(s.In), Name: s.Name}
	switch use.In {
	case policy.InHeader, policy.InCookie, policy.InBody:
	case policy.InQuery:
		if slices.ContainsFunc(ep.Routes, func(r *goaexpr.RouteExpr) bool { return slices.Contains(r.Params(), s.Name) }) {
			use.In = policy.InPath
		}
	default:
		return use, fmt.Errorf("scheme %q: its credential is in %q, which Aguada does not know", s.SchemeName, s.In)
	}
	if use.Name == "" {
		return use, fmt.Errorf("scheme %q: the design does not say where its credential is", s.SchemeName)
	}
	return use, nil
}

// late returns how to find the credentials that a method's body holds; nil if
// it holds none.
func (src *sources) late(svc Service, m *goaexpr.MethodExpr, e *httpcodegen.EndpointData) (*Late, error) {
	late := &Late{Name: m.Name}
	for _, r := range e.Requirements {
		for _, s := range r.Schemes {
			if s.In != string(policy.InBody) || slices.ContainsFunc(late.Credentials, func(c Credential) bool { return c.Scheme == s.SchemeName }) {
				continue
			}
			if att := m.Payload.Find(s.KeyAttr); att == nil || unalias(att.Type) != goaexpr.String {
				return nil, fmt.Errorf("method %s.%s: the credential of scheme %q in the body must be a String attribute", svc.Name, m.Name, s.SchemeName)
			}
			late.Credentials = append(late.Credentials, Credential{Scheme: s.SchemeName, Field: s.CredField, Pointer: s.CredPointer})
		}
	}
	if len(late.Credentials) == 0 {
		return nil, nil
	}
	switch md := e.Method; {
	case md.ServerStream != nil:
		late.Request, late.Payload = "*"+svc.Package+"."+md.ServerStream.EndpointStruct, ".Payload"
	case md.SkipRequestBodyEncodeDecode:
		late.Request, late.Payload = "*"+svc.Package+"."+md.RequestStruct, ".Payload"
	default:
		late.Request = src.payloadRef(svc, e)
	}
	return late, nil
}

// addLate adds how to find the credentials in the body of one of a method's
// endpoints, or in its params, to what is known of another.
func (src *sources) addLate(svc *Service, m *goaexpr.MethodExpr, e *httpcodegen.EndpointData) error {
	late, err := src.late(*svc, m, e)
	if late == nil {
		return err
	}
	i := slices.IndexFunc(svc.Late, func(l Late) bool { return l.Name == late.Name })
	if i < 0 {
		svc.Late = append(svc.Late, *late)
		return err
	}
	for _, c := range late.Credentials {
		if !slices.Contains(svc.Late[i].Credentials, c) {
			svc.Late[i].Credentials = append(svc.Late[i].Credentials, c)
		}
	}
	return err
}

// payloadRef returns the Go type of the payload as production.go refers to it.
func (src *sources) payloadRef(svc Service, e *httpcodegen.EndpointData) string {
	loc := e.Method.PayloadLoc
	if loc == nil {
		return "*" + svc.Package + "." + e.Method.Payload
	}
	return "*" + src.names.named(loc.PackageName(), src.genpkg+"/"+loc.RelImportPath) + "." + e.Method.Payload
}

func unalias(t goaexpr.DataType) goaexpr.DataType {
	for {
		ut, ok := t.(goaexpr.UserType)
		if !ok {
			return t
		}
		t = ut.Attribute().Type
	}
}

func newScheme(s *goaexpr.SchemeExpr) policy.Scheme {
	scheme := policy.Scheme{Name: s.SchemeName, Kind: schemeKinds[s.Kind]}
	for _, sc := range s.Scopes {
		scheme.Scopes = append(scheme.Scopes, sc.Name)
		if sc.Description != "" {
			if scheme.ScopeDescriptions == nil {
				scheme.ScopeDescriptions = make(map[string]string)
			}
			scheme.ScopeDescriptions[sc.Name] = sc.Description
		}
	}
	slices.Sort(scheme.Scopes)
	for _, f := range s.Flows {
		scheme.Flows = append(scheme.Flows, policy.Flow{Type: f.Type(), AuthorizationURL: f.AuthorizationURL, TokenURL: f.TokenURL, RefreshURL: f.RefreshURL})
	}
	return scheme
}

var schemeKinds = map[goaexpr.SchemeKind]policy.SchemeKind{
	goaexpr.BasicAuthKind: policy.Basic,
	goaexpr.APIKeyKind:    policy.APIKey,
	goaexpr.JWTKind:       policy.JWT,
	goaexpr.OAuth2Kind:    policy.OAuth2,
	goaexpr.BearerKind:    policy.Bearer,
}

// sorted returns a sorted copy without duplicates, nil for none.
func sorted(names []string) []string {
	if len(names) == 0 {
		return nil
	}
	s := slices.Clone(names)
	slices.Sort(s)
	return slices.Compact(s)
}
