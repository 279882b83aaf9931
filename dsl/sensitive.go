package dsl

import (
	"goa.design/goa/v3/eval"
	goaexpr "goa.design/goa/v3/expr"

	"github.com/aguada-dev/aguada/expr"
)

// Sensitive marks an attribute whose values must not be seen: they are masked
// where the payload or result is logged or printed, and never quoted in an
// error. They are sent and received as any other attribute.
//
// Attributes declared with Goa's Password, Token, APIKey, AccessToken and
// BearerToken are sensitive anyway; marking them is harmless.
//
// Sensitive must appear in an Attribute or Field of a Type, ResultType, Payload,
// Result or Error, in the function given to ArrayOf or MapOf, in Elem or Key, or
// in a Type that is not an object. It takes no argument.
//
//   - An attribute that is an object, an array, a map or a union is masked as a
//     whole.
//   - An array with sensitive elements, a map with sensitive keys or values and a
//     union with a sensitive alternative are masked as a whole.
//   - A whole payload, result or error cannot be sensitive, nor an object Type:
//     mark their attributes.
//
// Example:
//
//	var CardNumber = Type("CardNumber", String, func() {
//	    Pattern("^[0-9]{12,19}$")
//	    Sensitive() // wherever the type is used
//	})
//
//	var _ = Service("orders", func() {
//	    Method("create", func() {
//	        Payload(func() {
//	            Attribute("card", CardNumber)
//	            Attribute("phone", String, func() { Sensitive() })
//	        })
//	    })
//	})
func Sensitive() {
	c := newCall("Sensitive()")
	stack := eval.Context.Stack
	for _, e := range stack {
		if !declaresData(e) {
			c.misplaced("Sensitive", "the Attribute of the Payload, Result, Error or Type")
			return
		}
	}
	switch e := eval.Current().(type) {
	case *goaexpr.AttributeExpr:
		if why := refuseWhole(stack); why != "" {
			c.refuse(why)
			return
		}
		expr.Root.MarkSensitive(e, c.pos)
	case *goaexpr.ResultTypeExpr:
		c.refuse("a whole result type cannot be sensitive; mark the attributes that hold the secret")
	default:
		c.misplaced("Sensitive", "an Attribute")
	}
}

// declaresData reports whether an attribute within e belongs to the service's
// own types. One within a transport's expression describes a header, a
// parameter or the like, which takes its value from the service's types.
func declaresData(e eval.Expression) bool {
	switch e.(type) {
	case nil, *goaexpr.APIExpr, *goaexpr.ServiceExpr, *goaexpr.MethodExpr,
		*goaexpr.AttributeExpr, *goaexpr.UserTypeExpr, *goaexpr.ResultTypeExpr:
		return true
	}
	return false
}

// refuseWhole says why the attribute on top of the stack cannot be marked; ""
// if it can.
func refuseWhole(stack eval.Stack) string {
	var parent eval.Expression
	if len(stack) > 1 {
		parent = stack[len(stack)-2]
	}
	switch p := parent.(type) {
	case nil:
		for _, t := range goaexpr.Root.Types {
			if t.Attribute() == stack.Current() && goaexpr.IsObject(t) {
				return "a whole object type cannot be sensitive; mark the attributes that hold the secret"
			}
		}
	case *goaexpr.APIExpr, *goaexpr.ServiceExpr, *goaexpr.MethodExpr:
		return "a whole payload, result or error cannot be sensitive; make it an object and mark the attributes that hold the secret"
	case *goaexpr.ResultTypeExpr:
		if p.AttributeExpr == stack.Current() {
			return "a whole result type cannot be sensitive; mark the attributes that hold the secret"
		}
	}
	return ""
}
