// Package dsl is the production DSL: it declares a Goa service's operational
// contract in the design, next to the API contract. One goa gen then produces
// both.
//
//	import (
//		. "goa.design/goa/v3/dsl"
//		. "github.com/aguada-dev/aguada/dsl"
//	)
//
//	var _ = API("shop", func() {
//		Deadline("5s")
//		MaxBody("1MiB")
//	})
//
//	var _ = Service("orders", func() {
//		DependsOn("database")
//		Method("create", func() {
//			Payload(func() {
//				Attribute("card", String, func() { Sensitive() })
//			})
//			MaxInFlight(200)
//			Audit()
//			HTTP(func() { POST("/orders") })
//		})
//	})
//
// No name collides with one of Goa's, so that both packages can be
// dot-imported. Where a name collides with one of the design's own, import the
// package by name:
//
//	import prod "github.com/aguada-dev/aguada/dsl"
//
// # Levels
//
// Deadline, MaxBody, MaxInFlight, RateLimit, ShedPriority, StreamIdle,
// MessageRate, Audit, StrictBody, CORSOrigins and CORSCredentials may be
// declared by an API, a Service and a Method. The nearest declaration wins: the
// method's, then the service's, then the API's. IdempotencyKey is a Method's.
// A design that declares nothing still gets every default, through a blank
// import of this package:
//
//	import _ "github.com/aguada-dev/aguada/dsl"
//
// # What it refuses
//
// Wrong use is an error of goa gen with the file and the line of the call: a
// function in the wrong place, a value that is malformed or makes no sense, a
// setting declared twice in one expression, a mark without effect. Whatever the
// package accepts, the runtime enforces.
package dsl

import (
	"goa.design/goa/v3/eval"
	goaexpr "goa.design/goa/v3/expr"

	"github.com/aguada-dev/aguada/expr"
)

// call is one call of a function of this package by a design.
type call struct {
	// text is the call as an error quotes it, such as `Deadline("5s")`.
	text string
	pos  expr.Pos
}

func newCall(text string) call { return call{text: text, pos: expr.Here()} }

// refuse records that the call is wrong where it stands.
func (c call) refuse(why string) {
	c.pos.Report("%s in %s: %s", c.text, eval.Current().EvalName(), why)
}

// misplaced records that the call stands where it has no meaning.
func (c call) misplaced(name, places string) {
	where := "in " + eval.Current().EvalName()
	if _, ok := eval.Current().(eval.TopExpr); ok {
		where = "at top level"
	}
	c.pos.Report("invalid use of %s %s: move it directly into %s", name, where, places)
}

// policy returns the policy of the API, service or method whose DSL is
// running; nil, with an error recorded, anywhere else.
func (c call) policy(name string) *expr.PolicyExpr {
	switch e := eval.Current().(type) {
	case *goaexpr.APIExpr, *goaexpr.ServiceExpr, *goaexpr.MethodExpr:
		return expr.Root.Policy(e)
	}
	c.misplaced(name, "an API, a Service or a Method")
	return nil
}

// set declares a setting, unless the same expression has done so already.
func set[T any](c call, at **expr.Setting[T], value T) {
	if first := *at; first != nil {
		c.refuse("it is declared already, at " + first.Pos.String() + "; keep one of them")
		return
	}
	*at = &expr.Setting[T]{Value: value, Text: c.text, Pos: c.pos}
}
