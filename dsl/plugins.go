package dsl

import "github.com/aguada-dev/aguada/codegen"

// Goa finds the generators of a design by what the design imports: importing
// this package is all that a user does to have one. It is the only place that
// registers the generator.
func init() { codegen.Register() }
