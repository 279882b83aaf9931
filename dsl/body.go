package dsl

import (
	"goa.design/goa/v3/eval"
	goaexpr "goa.design/goa/v3/expr"

	"github.com/aguada-dev/aguada/expr"
)

// StrictBody refuses JSON request bodies that hold more than the design names:
// a member that it does not have, one in another spelling ("Currency" for
// "currency", which would otherwise be taken for it), or a member twice, of
// which otherwise the last counts. That holds at every depth; what is of type
// Any, and the keys of a map, may be anything, but nothing may be there twice.
// Such a body is answered 400 with the error name unknown_field or
// duplicate_field. Bodies of other media types that the design consumes, and
// the messages of a stream, are not concerned.
//
// StrictBody must appear in an API, Service or Method expression; the nearest
// of it and [NoStrictBody] wins. In an API or a Service it concerns the methods
// that have a JSON body.
//
// StrictBody takes no argument.
//
// Example:
//
//	var _ = Service("orders", func() {
//	    Method("create", func() {
//	        StrictBody()
//	    })
//	})
func StrictBody() {
	c := newCall("StrictBody()")
	if p := c.policy("StrictBody"); p != nil {
		set(c, &p.StrictBody, true)
	}
}

// NoStrictBody switches an inherited [StrictBody] off: members that the design
// does not name are ignored.
//
// NoStrictBody must appear in a Service or Method expression.
//
// NoStrictBody takes no argument.
//
// Example:
//
//	var _ = Service("orders", func() {
//	    StrictBody()
//	    Method("import", func() {
//	        NoStrictBody() // takes what older clients send
//	    })
//	})
func NoStrictBody() {
	c := newCall("NoStrictBody()")
	if p := c.inherited("NoStrictBody", "a StrictBody"); p != nil {
		set(c, &p.StrictBody, false)
	}
}

// inherited returns the policy of the service or method whose DSL is running;
// nil, with an error recorded, anywhere else: only they inherit.
func (c call) inherited(name, what string) *expr.PolicyExpr {
	switch e := eval.Current().(type) {
	case *goaexpr.ServiceExpr, *goaexpr.MethodExpr:
		return expr.Root.Policy(e)
	}
	c.misplaced(name, "a Service or a Method, which alone inherit "+what)
	return nil
}
