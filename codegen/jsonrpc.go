package codegen

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	goacodegen "goa.design/goa/v3/codegen"
	goaexpr "goa.design/goa/v3/expr"
	httpcodegen "goa.design/goa/v3/http/codegen"

	"github.com/aguada-dev/aguada/policy"
)

// jsonrpcServices returns the data of the JSON-RPC servers that have something
// to serve, by service name.
func jsonrpcServices(files []*goacodegen.File) map[string]*httpcodegen.ServiceData {
	services := make(map[string]*httpcodegen.ServiceData)
	for _, f := range files {
		if !strings.HasPrefix(filepath.ToSlash(f.Path), goacodegen.Gendir+"/jsonrpc/") {
			continue
		}
		for _, section := range f.Section("jsonrpc-server-struct") {
			data, ok := section.Data.(*httpcodegen.ServiceData)
			if ok && len(data.Endpoints) > 0 {
				services[data.Service.Name] = data
			}
		}
	}
	return services
}

// jsonrpcEndpoint returns the expression of m's JSON-RPC endpoint, nil if it has
// none.
func jsonrpcEndpoint(root *goaexpr.RootExpr, m *goaexpr.MethodExpr) *goaexpr.HTTPEndpointExpr {
	if s := root.API.JSONRPC.Service(m.Service.Name); s != nil {
		return s.Endpoint(m.Name)
	}
	return nil
}

// jsonrpcPolicy returns how m is called over JSON-RPC, nil if it is not.
func (src *sources) jsonrpcPolicy(m *goaexpr.MethodExpr) (*policy.JSONRPC, error) {
	ep := jsonrpcEndpoint(src.root, m)
	if ep == nil {
		return nil, nil
	}
	wrong := func(err error) error {
		return fmt.Errorf("%smethod %s.%s over JSON-RPC: %w", positionOf(ep.DSLFunc, m.DSLFunc), m.Service.Name, m.Name, err)
	}
	e := endpointData(src.jsonrpc[m.Service.Name], m.Name)
	if e == nil || len(e.Routes) == 0 {
		return nil, wrong(errors.New("its endpoint was removed by another plugin"))
	}
	j := &policy.JSONRPC{
		Method: m.Name, Route: policy.Route{Verb: e.Routes[0].Verb, Pattern: e.Routes[0].Path}, Kind: policy.Unary,
		HasParams: e.Payload != nil && e.Payload.Ref != "",
	}
	switch {
	case httpcodegen.IsWebSocketEndpoint(e):
		j.Kind = policy.WebSocket
	case httpcodegen.IsSSEEndpoint(e):
		j.Kind = policy.EventStream
	}
	if declaredAccess(m) == policy.Secured {
		var err error
		if j.Requirements, err = requirements(m, ep.Requirements, func(s *goaexpr.SchemeExpr) (policy.Use, error) { return place(ep, s) }); err != nil {
			return nil, wrong(err)
		}
		if j.Kind == policy.WebSocket && j.Late() {
			return nil, wrong(errors.New("over a WebSocket a credential cannot be in the params, which are read before the caller is known: take it from the handshake"))
		}
	}
	j.RequestHeaders, _ = headers(policy.Method{Requirements: j.Requirements}, e)
	for _, group := range e.Errors {
		for _, declared := range group.Errors {
			if declared.Response == nil {
				continue
			}
			if j.Errors == nil {
				j.Errors = make(map[string]int)
			}
			j.Errors[declared.Name] = declared.Response.Code
		}
	}
	return j, nil
}

// remote returns how the JSON-RPC server of a service is made.
func (src *sources) remote(data *httpcodegen.ServiceData) *Remote {
	sd := data.Service
	r := &Remote{
		Server:    src.names.add(sd.PkgName+"rpc", src.genpkg+"/jsonrpc/"+sd.PathName+"/server"),
		WebSocket: httpcodegen.HasWebSocket(data),
	}
	if r.WebSocket {
		return r
	}
	for _, e := range data.Endpoints {
		p := Procedure{Name: e.Method.Name, Field: e.Method.VarName}
		if e.Payload != nil && e.Payload.Ref != "" {
			p.Decoder = e.RequestDecoder
		}
		r.Procedures = append(r.Procedures, p)
	}
	return r
}

// checkJSONRPC refuses methods of a service that cannot share their route: pages
// of different origins may call them, or they come over one WebSocket and not all
// are under StrictBody. Routes of two services are refused by checkRoutes.
func checkJSONRPC(c *policy.Contract) error {
	var errs []error
	for i := range c.Services {
		first := make(map[policy.Route]*policy.Method)
		decoded := make(map[policy.Route]*policy.Method)
		for k := range c.Services[i].Methods {
			m := &c.Services[i].Methods[k]
			if m.JSONRPC == nil {
				continue
			}
			if m.JSONRPC.Kind == policy.WebSocket && m.JSONRPC.HasParams {
				if other := decoded[m.JSONRPC.Route]; other == nil {
					decoded[m.JSONRPC.Route] = m
				} else if other.StrictBody != m.StrictBody {
					errs = append(errs, fmt.Errorf("methods %s.%s and %s.%s share a WebSocket of JSON-RPC, whose server decodes params before it is known whose they are: let both have StrictBody, or none",
						other.Service, other.Name, m.Service, m.Name))
				}
			}
			other := first[m.JSONRPC.Route]
			if other == nil {
				first[m.JSONRPC.Route] = m
				continue
			}
			if !sameOrigins(other.CORS, m.CORS) {
				errs = append(errs, fmt.Errorf("methods %s.%s and %s.%s share the JSON-RPC route %s %s, and a browser asks about the route: let pages of the same origins call both",
					other.Service, other.Name, m.Service, m.Name, m.JSONRPC.Route.Verb, m.JSONRPC.Route.Pattern))
			}
		}
	}
	return errors.Join(errs...)
}

func sameOrigins(a, b *policy.CORS) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Credentials == b.Credentials && slices.Equal(a.Origins, b.Origins)
}
