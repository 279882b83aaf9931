package codegen

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	goaexpr "goa.design/goa/v3/expr"
	httpcodegen "goa.design/goa/v3/http/codegen"

	"github.com/aguada-dev/aguada/expr"
	"github.com/aguada-dev/aguada/policy"
)

// headers returns the headers that the design reads and writes, canonical and
// sorted. Pages can neither set Cookie nor see Set-Cookie, and the media types
// speak for Content-Type.
func headers(m policy.Method, e *httpcodegen.EndpointData) (request, response []string) {
	add := func(list *[]string, name string) {
		name = http.CanonicalHeaderKey(name)
		if name != "Content-Type" && name != "Cookie" && name != "Set-Cookie" {
			*list = append(*list, name)
		}
	}
	for _, r := range m.Requirements {
		for _, u := range r.Schemes {
			if u.In == policy.InHeader {
				add(&request, u.Name)
			}
		}
	}
	if e.Payload != nil && e.Payload.Request != nil {
		for _, h := range e.Payload.Request.Headers {
			add(&request, h.HTTPName)
		}
	}
	written := func(r *httpcodegen.ResponseData) {
		if r == nil {
			return
		}
		for _, h := range r.Headers {
			add(&response, h.HTTPName)
		}
		if r.ErrorHeader != "" {
			add(&response, "Goa-Error")
		}
	}
	if e.Result != nil {
		for _, r := range e.Result.Responses {
			written(r)
		}
	}
	for _, group := range e.Errors {
		for _, declared := range group.Errors {
			written(declared.Response)
		}
	}
	return sorted(request), sorted(response)
}

func isJSON(media string) bool { return media == jsonType || strings.HasSuffix(media, "+json") }

// bodyPolicy sets what the design says of the form of bodies. What an API or a
// service says is meant for their methods that have a JSON body; what a method
// says must be true of it.
func bodyPolicy(pm *policy.Method, m *goaexpr.MethodExpr, eff expr.Effective) error {
	if eff.StrictBody == nil {
		return nil
	}
	if slices.ContainsFunc(pm.Consumes, isJSON) || pm.JSONRPC != nil && pm.JSONRPC.HasParams {
		pm.StrictBody = true
		return nil
	}
	if own := expr.Root.Policy(m).StrictBody; own != nil {
		return fmt.Errorf("[%s] StrictBody() in %s: the method has no JSON body over HTTP; remove StrictBody", own.Pos, m.EvalName())
	}
	return nil
}

// corsPolicy sets the origins that may call the method.
func corsPolicy(pm *policy.Method, root *goaexpr.RootExpr, declared *expr.Setting[policy.CORS]) error {
	if declared == nil {
		return nil
	}
	cors := declared.Value
	if slices.Contains(cors.Origins, policy.AnyOrigin) {
		if scheme := ambientScheme(pm, root); scheme != "" {
			return fmt.Errorf("[%s] CORSOrigins(\"*\"): method %s.%s takes scheme %q, which browsers send by themselves, so any page could act for its visitors: name the origins, or say NoCORS() in the method",
				declared.Pos, pm.Service, pm.Name, scheme)
		}
	}
	pm.CORS = &cors
	return nil
}

// ambientScheme returns a scheme of the method whose credential browsers add
// to requests by themselves, or "".
func ambientScheme(pm *policy.Method, root *goaexpr.RootExpr) string {
	reqs := pm.Requirements
	if pm.JSONRPC != nil {
		reqs = slices.Concat(reqs, pm.JSONRPC.Requirements)
	}
	for _, r := range reqs {
		for _, u := range r.Schemes {
			if u.In == policy.InCookie || slices.ContainsFunc(root.Schemes, func(s *goaexpr.SchemeExpr) bool {
				return s.SchemeName == u.Scheme && s.Kind == goaexpr.BasicAuthKind
			}) {
				return u.Scheme
			}
		}
	}
	return ""
}

// checkPreflights refuses origins on a path whose preflights Goa's CORS plugin
// answers: a page would be told two things.
func checkPreflights(c *policy.Contract) error {
	plugins := make(map[string]bool)
	each := func(do func(m *policy.Method, r policy.Route)) {
		for i := range c.Services {
			for j := range c.Services[i].Methods {
				for _, r := range c.Services[i].Methods[j].Routes {
					do(&c.Services[i].Methods[j], r)
				}
			}
		}
	}
	each(func(m *policy.Method, r policy.Route) {
		if m.Kind == policy.Preflight {
			plugins[anonymous(r.Pattern)] = true
		}
	})
	var errs []error
	each(func(m *policy.Method, r policy.Route) {
		if m.CORS != nil && plugins[anonymous(r.Pattern)] {
			errs = append(errs, fmt.Errorf("method %s.%s: both CORSOrigins and Goa's CORS plugin govern %s %s: remove one of them", m.Service, m.Name, r.Verb, r.Pattern))
		}
	})
	return errors.Join(errs...)
}
