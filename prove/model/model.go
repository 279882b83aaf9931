// Package model is what the prover knows of a service before it sends a
// byte: the methods, where they are mounted, who may call them, what they take
// and what was promised for each.
//
//	s, err := model.Read(contractJSON, openapiJSON)
//	for _, m := range s.Methods {
//		fmt.Println(m.ID(), m.Verb, m.Pattern, m.Secured())
//	}
//
// It is read from Aguada's contract and Goa's OpenAPI 3 document together, or
// from the document alone, which every Goa service has. The package reads; it
// opens no file and no connection.
package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aguada-dev/aguada/policy"
)

// Service is all that one design serves. It is not modified after Read and
// Require.
type Service struct {
	Name    string
	Title   string
	Version string
	// Contracted says that the policies are the design's own: without a
	// contract nothing is known of deadlines, limits and scopes.
	Contracted bool
	// Schemes are the security schemes that some method uses.
	Schemes []policy.Scheme
	// DependsOn names the dependencies that readiness waits for.
	DependsOn []string
	// Methods are in design order.
	Methods []*Method
}

// Method is one method as the prover attacks it.
type Method struct {
	policy.Method
	// Verb and Pattern are of the first route; empty without HTTP.
	Verb, Pattern string
	// Parameters are those of path, query and header, credentials excepted.
	Parameters []Parameter
	// Body is the schema of the JSON body; nil without one.
	Body *Schema
	// BodyRequired says that a call without body is refused.
	BodyRequired bool
	// Unmade is why no request can be made from the document, such as a body
	// that has to be something else than JSON; "" where one can.
	Unmade string
	// Statuses are the documented status codes, ascending.
	Statuses []int
	// Results are the schemas of documented JSON answers by status code.
	Results map[int]*Schema

	service *Service
}

// Parameter is one value outside the body.
type Parameter struct {
	Name string
	// In is "path", "query" or "header".
	In       string
	Required bool
	Schema   *Schema
	// Example is nil where the design gives none.
	Example any
}

// ID is "service.method".
func (m *Method) ID() string { return m.Service + "." + m.Name }

// Secured reports whether a call needs a credential.
func (m *Method) Secured() bool { return len(m.Requirements) > 0 }

// HTTP reports whether the method has a route.
func (m *Method) HTTP() bool { return m.Pattern != "" }

// Changes reports whether a call may change what the service keeps: every verb
// but those that RFC 9110, section 9.2.1, calls safe.
func (m *Method) Changes() bool { return !Safe(m.Verb) }

// Safe reports whether RFC 9110, section 9.2.1, calls the verb safe: it only
// reads.
func Safe(verb string) bool {
	return slices.Contains([]string{"GET", "HEAD", "OPTIONS", "TRACE"}, verb)
}

// Method returns the method with the id, nil when there is none.
func (s *Service) Method(id string) *Method {
	for _, m := range s.Methods {
		if m.ID() == id {
			return m
		}
	}
	return nil
}

// Require says which scopes each alternative of a method requires that has a
// token: Goa's OpenAPI documents do not say it of JWT. It is called before the
// service is attacked, if at all.
func (s *Service) Require(id string, scopes []string) error {
	m := s.Method(id)
	if m == nil {
		return fmt.Errorf("the design has no method %q", id)
	}
	for i := range m.Requirements {
		r := &m.Requirements[i]
		if slices.ContainsFunc(r.Schemes, m.TakesToken) {
			r.Scopes = slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(r.Scopes), scopes...))))
		}
	}
	return nil
}

// Scheme returns the scheme with the name, nil when there is none.
func (s *Service) Scheme(name string) *policy.Scheme {
	for i := range s.Schemes {
		if s.Schemes[i].Name == name {
			return &s.Schemes[i]
		}
	}
	return nil
}

// SchemeKind returns the kind of a scheme that the method uses, "" where the
// design does not say.
func (m *Method) SchemeKind(u policy.Use) policy.SchemeKind {
	if s := m.service.Scheme(u.Scheme); s != nil {
		return s.Kind
	}
	return ""
}

// TakesToken reports whether the scheme is one whose credential is an access
// token.
func (m *Method) TakesToken(u policy.Use) bool {
	return slices.Contains([]policy.SchemeKind{policy.JWT, policy.OAuth2, policy.Bearer}, m.SchemeKind(u))
}

// Fixed reports whether the path names nothing that would have to be made first.
func (m *Method) Fixed() bool { return !strings.Contains(m.Pattern, "{") }

// Alternative returns the schemes of the method's first alternative; none where
// it is open.
func (m *Method) Alternative() []policy.Use {
	if !m.Secured() {
		return nil
	}
	return m.Requirements[0].Schemes
}

// Uses reports whether some method needs a scheme of one of the kinds.
func (s *Service) Uses(kinds ...policy.SchemeKind) bool {
	return slices.ContainsFunc(s.Schemes, func(x policy.Scheme) bool { return slices.Contains(kinds, x.Kind) })
}

// GRPC reports whether some method is called over gRPC.
func (s *Service) GRPC() bool {
	return slices.ContainsFunc(s.Methods, func(m *Method) bool { return m.Method.GRPC != nil })
}

// Read returns the service of a contract (gen/production/contract.json), an
// OpenAPI 3 document (gen/http/openapi3.json), or both. Either may be nil, not
// both. Without the document the payloads are the contract's examples and
// nothing is known of their constraints; without the contract every policy is
// unknown, and security is what the document says.
func Read(contract, openapi []byte) (*Service, error) {
	var doc *document
	if openapi != nil {
		doc = &document{}
		if err := json.Unmarshal(openapi, doc); err != nil {
			return nil, fmt.Errorf("read OpenAPI document: %w", err)
		}
		if !strings.HasPrefix(doc.OpenAPI, "3.") {
			return nil, fmt.Errorf("read OpenAPI document: version %q: want an OpenAPI 3 document in JSON, such as gen/http/openapi3.json", doc.OpenAPI)
		}
		for _, x := range doc.Components.Schemas {
			x.within(doc) // now, as probes resolve them side by side
		}
	}
	switch {
	case contract != nil:
		return fromContract(contract, doc)
	case doc != nil:
		return doc.service()
	}
	return nil, errors.New("read model: neither a contract nor an OpenAPI document")
}

func fromContract(text []byte, doc *document) (*Service, error) {
	var c policy.Contract
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("read contract: %w", err)
	}
	if len(c.Services) == 0 {
		return nil, errors.New("read contract: it has no service: want gen/production/contract.json")
	}
	s := &Service{Name: c.API.Name, Title: c.API.Title, Version: c.API.Version, Contracted: true, Schemes: c.Schemes}
	for _, svc := range c.Services {
		for _, d := range svc.DependsOn {
			if !slices.Contains(s.DependsOn, d) {
				s.DependsOn = append(s.DependsOn, d)
			}
		}
		for i := range svc.Methods {
			m := &Method{Method: svc.Methods[i], service: s}
			if len(m.Routes) > 0 {
				m.Verb, m.Pattern = m.Routes[0].Verb, m.Routes[0].Pattern
			}
			if err := doc.describe(m); err != nil {
				return nil, err
			}
			s.Methods = append(s.Methods, m)
		}
	}
	return s, nil
}

// Serves reports whether some route of the design takes the verb at the path,
// which is as it goes over the wire.
func (s *Service) Serves(verb, path string) bool {
	for _, m := range s.Methods {
		for _, r := range m.Routes {
			if r.Verb == verb && matches(r.Pattern, path) {
				return true
			}
		}
	}
	return false
}

// matches reports whether a pattern of Goa takes the path: {name} is one
// segment, {*name} the rest.
func matches(pattern, path string) bool {
	for pattern != "" {
		if strings.HasPrefix(pattern, "{*") {
			return true
		}
		if strings.HasPrefix(pattern, "{") {
			_, rest, _ := strings.Cut(pattern, "}")
			end := strings.IndexByte(path, '/')
			if end < 0 {
				end = len(path)
			}
			if end == 0 {
				return false
			}
			pattern, path = rest, path[end:]
			continue
		}
		if path == "" || pattern[0] != path[0] {
			return false
		}
		pattern, path = pattern[1:], path[1:]
	}
	return path == ""
}
