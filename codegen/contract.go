package codegen

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	goaexpr "goa.design/goa/v3/expr"
	httpcodegen "goa.design/goa/v3/http/codegen"

	"github.com/aguada-dev/aguada/expr"
	"github.com/aguada-dev/aguada/policy"
)

const (
	jsonType        = "application/json"
	multipartType   = "multipart/form-data"
	anyType         = "*/*"
	eventStreamType = "text/event-stream"
)

// corsEndpoint is the name under which Goa's CORS plugin adds its endpoint.
const corsEndpoint = "CORS"

// contract returns what the design promises of s: its methods in design order,
// then file servers and redirects, then what other plugins mount.
func (src *sources) contract(s *goaexpr.ServiceExpr) (policy.Service, error) {
	c := policy.Service{Name: s.Name, DependsOn: expr.Root.DependsOnNames(s), Methods: []policy.Method{}}
	data := src.http[s.Name]
	httpSvc := src.root.API.HTTP.Service(s.Name)
	var errs []error
	for _, m := range s.Methods {
		var ep *goaexpr.HTTPEndpointExpr
		if httpSvc != nil {
			ep = httpSvc.Endpoint(m.Name)
		}
		if ep == nil && jsonrpcEndpoint(src.root, m) == nil && grpcEndpoint(src.root, m) == nil {
			continue // no transport
		}
		pm, err := src.method(m, ep, endpointData(data, m.Name))
		errs = append(errs, err)
		pm.GRPC, err = src.grpcPolicy(m)
		errs = append(errs, err, keyPolicy(&pm, m, expr.Root.Method(m).Idempotency))
		c.Methods = append(c.Methods, pm)
	}
	if data != nil {
		for _, f := range fileServers(data) {
			f.RateLimits = rateLimits(s.Name, f.Name, expr.Root.ServiceRateLimits(s))
			f.ShedPriority = expr.Root.ServicePriority(s)
			errs = append(errs, corsPolicy(&f, src.root, expr.Root.ServiceCORS(s)))
			c.Methods = append(c.Methods, f)
		}
		extra, err := extraEndpoints(data)
		c.Methods = append(c.Methods, extra...)
		errs = append(errs, err)
	}
	return c, errors.Join(errs...)
}

func endpointData(data *httpcodegen.ServiceData, method string) *httpcodegen.EndpointData {
	if data == nil {
		return nil
	}
	for _, e := range data.Endpoints {
		if isDesigned(data.Service, e) && e.Method.Name == method {
			return e
		}
	}
	return nil
}

// method returns the policy of m; ep and e are nil for a method without HTTP.
func (src *sources) method(m *goaexpr.MethodExpr, ep *goaexpr.HTTPEndpointExpr, e *httpcodegen.EndpointData) (policy.Method, error) {
	eff := expr.Root.Method(m)
	pm := policy.Method{
		Service: m.Service.Name, Name: m.Name, Kind: policy.Unary, Routes: []policy.Route{},
		Deadline: eff.Deadline, MaxBody: eff.MaxBody, MaxInFlight: eff.MaxInFlight, Audit: eff.Audit,
		RateLimits:   rateLimits(m.Service.Name, m.Name, eff.RateLimits),
		ShedPriority: eff.ShedPriority, StreamIdle: eff.StreamIdle, MessageRate: eff.MessageRate,
	}
	var err error
	if pm.JSONRPC, err = src.jsonrpcPolicy(m); err != nil {
		return pm, err
	}
	if ep == nil {
		if m.IsStreaming() {
			pm.Kind = policy.Stream
		}
		pm.HasResult = pm.Kind == policy.Unary && m.Result.Type != goaexpr.Empty
		pm.Access = declaredAccess(m)
		if pm.JSONRPC == nil {
			return pm, nil
		}
		return pm, errors.Join(bodyPolicy(&pm, m, eff), corsPolicy(&pm, src.root, eff.CORS))
	}
	if e == nil {
		return pm, fmt.Errorf("method %s.%s: its HTTP endpoint was removed by another plugin", pm.Service, pm.Name)
	}
	pm.Kind = kindOf(e)
	for _, r := range e.Routes {
		pm.Routes = append(pm.Routes, policy.Route{Verb: r.Verb, Pattern: r.Path})
	}
	if pm.Access, pm.Requirements, err = access(m, ep); err != nil {
		return pm, fmt.Errorf("method %s.%s: %w", pm.Service, pm.Name, err)
	}
	overGRPC := grpcEndpoint(src.root, m) != nil
	if pm.Access == policy.Undeclared && pm.Kind == policy.Redirect && !overGRPC {
		pm.Access = policy.Public
	}
	if pm.Kind == policy.Redirect && pm.Late() {
		return pm, fmt.Errorf("method %s.%s: a redirect cannot take a credential from the body, which nothing reads: use a header", pm.Service, pm.Name)
	}
	pm.HasBody = ep.Body.Type != goaexpr.Empty || ep.SkipRequestBodyEncodeDecode
	pm.Sensitive = slices.Compact(slices.Sorted(slices.Values(sensitivePlaces(ep.Body, "", nil))))
	pm.HasResult = (pm.Kind == policy.Unary || pm.Kind == policy.Redirect && overGRPC) && e.Method.Result != ""
	pm.Consumes = consumes(src.root.API.HTTP, ep, pm)
	pm.Produces = produces(src.root.API.HTTP, ep, pm)
	pm.RequestHeaders, pm.ResponseHeaders = headers(pm, e)
	if err := bodyPolicy(&pm, m, eff); err != nil {
		return pm, err
	}
	if err := corsPolicy(&pm, src.root, eff.CORS); err != nil {
		return pm, err
	}
	if pm.Kind == policy.Unary {
		pm.Example = newExample(src.root.API, ep, pm)
	}
	return pm, nil
}

func kindOf(e *httpcodegen.EndpointData) policy.Kind {
	switch {
	case e.Redirect != nil:
		return policy.Redirect
	case httpcodegen.IsWebSocketEndpoint(e):
		return policy.WebSocket
	case httpcodegen.IsSSEEndpoint(e):
		return policy.EventStream
	}
	return policy.Unary
}

// goaTypes is what Goa fills in where a design names no media types.
var goaTypes = []string{jsonType, "application/xml", "application/gob"}

// declaredTypes returns the media types of a design, and JSON alone for one
// that names none.
func declaredTypes(types []string) []string {
	if slices.Equal(types, goaTypes) {
		return []string{jsonType}
	}
	var unique []string
	for _, t := range types {
		if !slices.Contains(unique, t) {
			unique = append(unique, t)
		}
	}
	return unique
}

// consumes returns the media types of request bodies: any where the design
// leaves the raw body to the method.
func consumes(api *goaexpr.HTTPExpr, ep *goaexpr.HTTPEndpointExpr, m policy.Method) []string {
	switch {
	case !m.HasBody:
		return nil
	case ep.SkipRequestBodyEncodeDecode:
		return []string{anyType}
	case ep.MultipartRequest:
		return []string{multipartType}
	}
	return declaredTypes(api.Consumes)
}

// produces returns the media types of answers: those that the responses fix,
// then those that Goa's encoder negotiates.
func produces(api *goaexpr.HTTPExpr, ep *goaexpr.HTTPEndpointExpr, m policy.Method) []string {
	var types []string
	add := func(t string) {
		if t != "" && !slices.Contains(types, t) {
			types = append(types, t)
		}
	}
	switch m.Kind {
	case policy.WebSocket, policy.Redirect:
		return nil
	case policy.EventStream:
		add(eventStreamType)
		if !ep.MethodExpr.HasMixedResults() {
			return types
		}
	}
	negotiated := false
	for _, r := range ep.Responses {
		add(r.ContentType)
		negotiated = negotiated || r.ContentType == "" && !ep.SkipResponseBodyEncodeDecode
	}
	if negotiated {
		for _, t := range declaredTypes(api.Produces) {
			add(t)
		}
	}
	return types
}

// fileServers returns the policies of file servers and of the redirects that
// Goa declares as such. Goa serves both to anyone.
func fileServers(data *httpcodegen.ServiceData) []policy.Method {
	var methods []policy.Method
	count := make(map[string]int)
	for _, f := range data.FileServers {
		m := policy.Method{Service: data.Service.Name, Name: f.FilePath, Kind: policy.Files, Access: policy.Public, MaxBody: policy.DefaultMaxBody}
		if f.Redirect != nil {
			m.Kind = policy.Redirect
		}
		if count[f.FilePath]++; count[f.FilePath] > 1 {
			m.Name += " (" + strconv.Itoa(count[f.FilePath]) + ")"
		}
		for _, p := range f.RequestPaths {
			if !f.IsDir {
				m.Routes = append(m.Routes, policy.Route{Verb: "GET", Pattern: p})
				continue
			}
			dir := strings.TrimSuffix(p, "/") + "/"
			m.Routes = append(m.Routes, policy.Route{Verb: "GET", Pattern: dir}, policy.Route{Verb: "GET", Pattern: dir + "{*" + f.PathParam + "}"})
		}
		methods = append(methods, m)
	}
	return methods
}

// extraEndpoints returns the policies of the endpoints that other plugins
// added. Only CORS preflights are known; whatever else turns up would be served
// without a policy, so it is an error.
func extraEndpoints(data *httpcodegen.ServiceData) ([]policy.Method, error) {
	var methods []policy.Method
	var errs []error
	for _, e := range data.Endpoints {
		if isDesigned(data.Service, e) {
			continue
		}
		m := policy.Method{Service: data.Service.Name, Name: e.Method.VarName, Kind: policy.Preflight, Access: policy.Public, MaxBody: policy.DefaultMaxBody}
		known := e.Method.VarName == corsEndpoint
		for _, r := range e.Routes {
			known = known && r.Verb == "OPTIONS"
			m.Routes = append(m.Routes, policy.Route{Verb: r.Verb, Pattern: r.Path})
		}
		switch {
		case !known:
			errs = append(errs, fmt.Errorf("service %q: another plugin adds an endpoint %q that Aguada does not know and so cannot guard: remove that plugin", m.Service, m.Name))
		case len(m.Routes) > 0:
			methods = append(methods, m)
		}
	}
	return methods, errors.Join(errs...)
}

// mergePreflights keeps the first of the preflights on one route: the CORS
// plugin adds one per service, also where services share a path.
func mergePreflights(c *policy.Contract) {
	seen := make(map[string]bool)
	for i := range c.Services {
		s := &c.Services[i]
		for j := range s.Methods {
			m := &s.Methods[j]
			if m.Kind != policy.Preflight {
				continue
			}
			m.Routes = slices.DeleteFunc(m.Routes, func(r policy.Route) bool {
				key := anonymous(r.Pattern)
				dup := seen[key]
				seen[key] = true
				return dup
			})
		}
		s.Methods = slices.DeleteFunc(s.Methods, func(m policy.Method) bool { return m.Kind == policy.Preflight && len(m.Routes) == 0 })
	}
}
