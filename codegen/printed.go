package codegen

import goaexpr "goa.design/goa/v3/expr"

// printedTypes returns the IDs of the user types whose values Goa's code prints
// with fmt: those of parameters, headers and cookies, and of gRPC's metadata,
// headers and trailers.
func printedTypes(root *goaexpr.RootExpr) map[string]bool {
	p := printed{}
	for _, s := range root.API.HTTP.Services {
		for _, e := range s.HTTPEndpoints {
			p.mapped(e.Params, e.Headers, e.Cookies)
			for _, r := range e.Responses {
				p.mapped(r.Headers, r.Cookies)
			}
			for _, failure := range e.HTTPErrors {
				if failure != nil && failure.Response != nil {
					p.mapped(failure.Response.Headers, failure.Response.Cookies)
				}
			}
		}
	}
	for _, s := range root.API.GRPC.Services {
		for _, e := range s.GRPCEndpoints {
			p.mapped(e.Metadata)
			if e.Response != nil {
				p.mapped(e.Response.Headers, e.Response.Trailers)
			}
		}
	}
	return p
}

type printed map[string]bool

func (p printed) mapped(attributes ...*goaexpr.MappedAttributeExpr) {
	for _, ma := range attributes {
		if ma == nil || ma.AttributeExpr == nil {
			continue
		}
		if obj := goaexpr.AsObject(ma.Type); obj != nil {
			for _, nat := range *obj {
				p.attribute(nat.Attribute)
			}
		}
	}
}

func (p printed) attribute(att *goaexpr.AttributeExpr) {
	if att == nil {
		return
	}
	switch t := att.Type.(type) {
	case goaexpr.UserType:
		if !p[t.ID()] {
			p[t.ID()] = true
			p.attribute(t.Attribute())
		}
	case *goaexpr.Array:
		p.attribute(t.ElemType)
	case *goaexpr.Map:
		p.attribute(t.KeyType)
		p.attribute(t.ElemType)
	}
}
