package expr

import (
	"fmt"

	"goa.design/goa/v3/eval"
)

// Pos is a line of a design. File is relative to the working directory where
// possible, as in Goa's own errors. The zero value is an unknown place.
type Pos struct {
	File string
	Line int
}

// String returns "file:line", or "" for an unknown place.
func (p Pos) String() string {
	if p.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Here returns the line of the design that is calling the DSL: the nearest
// caller outside Goa and the packages of registered DSLs.
//
// Goa computes that place only for an error that it records, so Here has it
// record one and takes it back: the places of our errors and of Goa's can then
// never differ.
func Here() Pos {
	before := eval.Context.Errors
	eval.ReportError("here")
	last := eval.Context.Errors[len(eval.Context.Errors)-1]
	eval.Context.Errors = before
	return Pos{File: last.File, Line: last.Line}
}

// Report records an error of the design at p. Goa prints it as
// "[file:line] message" and generates nothing. Report may be called while the
// DSL runs and during validation.
func (p Pos) Report(format string, args ...any) {
	eval.Context.Record(&eval.Error{GoError: fmt.Errorf(format, args...), File: p.File, Line: p.Line})
}
