package codegen

import (
	"strings"

	"goa.design/goa/v3/codegen/service"
	httpcodegen "goa.design/goa/v3/http/codegen"
)

// errorBodies returns how the errors of e that are of the design's own types
// become bodies, by a function of the server. Goa's encoder calls the formatter for every declared error, so
// the formatter has to be told what the encoder would have done without it.
func (src *sources) errorBodies(server string, svc Service, sd *service.Data, e *httpcodegen.EndpointData) []ErrorBody {
	var bodies []ErrorBody
	for _, group := range e.Errors {
		for _, declared := range group.Errors {
			r := declared.Response
			if strings.HasSuffix(declared.Ref, "goa.ServiceError") || r == nil || r.ErrorHeader == "" || len(r.ServerBody) != 1 || r.ServerBody[0].Init == nil {
				continue // Goa's own type, or no body, or one that the formatter is not asked for
			}
			init := r.ServerBody[0].Init
			if len(init.ServerArgs) != 1 {
				continue
			}
			arg, ok := strings.CutPrefix(init.ServerArgs[0].Ref, "res")
			if !ok {
				continue
			}
			bodies = append(bodies, ErrorBody{
				Error: declared.Name, Type: src.qualified(svc, sd, declared.Ref),
				Init: server + "." + init.Name, Arg: "e" + arg,
			})
		}
	}
	return bodies
}

// qualified returns a reference of the generated server's code, such as
// "*orders.SoldOut", as production.go refers to the type.
func (src *sources) qualified(svc Service, sd *service.Data, ref string) string {
	pointer := ""
	if strings.HasPrefix(ref, "*") {
		pointer, ref = "*", ref[1:]
	}
	pkg, name, _ := strings.Cut(ref, ".")
	if pkg == sd.PkgName {
		return pointer + svc.Package + "." + name
	}
	for _, i := range sd.UserTypeImports {
		if i.Name == pkg {
			return pointer + src.names.named(pkg, i.Path) + "." + name
		}
	}
	return pointer + ref
}
