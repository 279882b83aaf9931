package main

import "github.com/aguada-dev/aguada/codegen"

// generatorVersion is what a contract says when this version generated it.
const generatorVersion = "aguada " + codegen.Version

// hashDesign returns the digest that the generator writes into a contract.
func hashDesign(dir string) (string, error) { return codegen.HashDir(dir) }
