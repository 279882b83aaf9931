// Package codegen generates what makes a Goa service fit for production. It is
// a plugin of goa gen, which runs after Goa's own generators and all others:
//
//	codegen.Register() // in dsl/plugins.go, which every design imports
//
// From Goa's roots and the sections that Goa is about to render it builds a
// [Design], which is all that the templates see, and adds to the user's gen/:
//
//   - production/production.go: the Services to fill in, App, and the policies
//     as Go literals
//   - production/contract.json: the same policies as JSON (see [Schema])
//   - redaction.go beside every type that holds something sensitive
//   - the answers of the chassis (401, 413, 503, …) in the OpenAPI documents
//
// It refuses what could not be served safely: two methods on one route, and
// endpoints that it does not know. It never changes
// the design nor the text of Goa's templates.
package codegen

import (
	"embed"
	"fmt"
	"io"
	"os"

	goacodegen "goa.design/goa/v3/codegen"
	"goa.design/goa/v3/eval"
	goaexpr "goa.design/goa/v3/expr"
)

// Version is the version of the generator, written into contracts.
const Version = "0.1.0-dev"

//go:embed templates/*.tpl
var templates embed.FS

// Register adds the plugin to goa gen and goa example, after all others. It is
// called once, by package dsl.
func Register() {
	goacodegen.RegisterPluginLast("aguada", "gen", nil, Generate)
	goacodegen.RegisterPluginLast("aguada", "example", nil, GenerateExample)
}

// Generate adds the production package, the contract and the redaction to
// files, and completes the OpenAPI documents among them. It prints warnings to
// standard error.
func Generate(genpkg string, roots []eval.Root, files []*goacodegen.File) ([]*goacodegen.File, error) {
	return generate(genpkg, roots, files, outputDir(), os.Stderr)
}

func generate(genpkg string, roots []eval.Root, files []*goacodegen.File, out string, warnings io.Writer) ([]*goacodegen.File, error) {
	root := goaRoot(roots)
	if root == nil {
		return files, nil
	}
	redacted, shown, err := redactionFiles(root, files)
	if err != nil {
		return nil, fmt.Errorf("aguada: %w", err)
	}
	for _, w := range shown {
		warn(warnings, w)
	}
	if !serves(root) {
		warn(warnings, "the design serves nothing: gen/production is not generated")
		return append(files, redacted...), nil
	}
	d, err := newDesign(genpkg, root, files, out)
	if err != nil {
		return nil, fmt.Errorf("aguada: %w", err)
	}
	for _, w := range d.warnings() {
		warn(warnings, w)
	}
	production, err := productionFiles(d)
	if err != nil {
		return nil, fmt.Errorf("aguada: %w", err)
	}
	completeOpenAPI(d.Contract, files)
	return append(append(files, redacted...), production...), nil
}

// goaRoot returns the root of the design proper; others belong to plugins.
func goaRoot(roots []eval.Root) *goaexpr.RootExpr {
	for _, r := range roots {
		if root, ok := r.(*goaexpr.RootExpr); ok {
			return root
		}
	}
	return nil
}

func warn(w io.Writer, text string) {
	fmt.Fprintln(w, "aguada: warning: "+text)
}

func readTemplate(name string) string {
	text, err := templates.ReadFile("templates/" + name + ".tpl")
	if err != nil {
		panic(err) // the files are part of the binary
	}
	return string(text)
}
