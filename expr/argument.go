package expr

import (
	"goa.design/goa/v3/eval"

	"github.com/aguada-dev/aguada/policy"
)

// Argument is a value that a call of the DSL makes for another call to take. It
// has no effect by itself.
type Argument struct {
	// Text is the call that makes it, as an error quotes it; Pos is its place.
	Text string
	Pos  Pos

	owner, of string
	taken     bool
}

// NewArgument returns the argument that the call text makes at p. It is an
// error of the design if nothing takes it; of says what would.
func (r *RootExpr) NewArgument(text, of string, p Pos) *Argument {
	a := &Argument{Text: text, Pos: p, of: of}
	if _, ok := eval.Current().(eval.TopExpr); !ok {
		a.owner = " in " + eval.Current().EvalName()
	}
	r.arguments = append(r.arguments, a)
	return a
}

// Take notes that a call takes the argument. Several may.
func (a *Argument) Take() { a.taken = true }

// Burst is an argument of a rate limit or of a message rate.
type Burst struct {
	*Argument
	// Calls is how many calls or messages may come at once.
	Calls int
}

// KeyOption is an argument of an idempotency key.
type KeyOption struct {
	*Argument
	// Name is the function that makes it: one key takes one of each name.
	Name string
	// Value holds what the option sets, and nothing else.
	Value policy.Idempotency
	// Wrong is why the option cannot be used; empty for one that can.
	Wrong string
}

// validateArguments refuses arguments that nothing takes.
func (r *RootExpr) validateArguments() {
	for _, a := range r.arguments {
		if !a.taken {
			a.Pos.Report("%s%s has no effect: make it %s", a.Text, a.owner, a.of)
		}
	}
}
