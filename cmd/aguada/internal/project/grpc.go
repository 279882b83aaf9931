package project

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/aguada-dev/aguada/policy"
)

const goaDSL = "goa.design/goa/v3/dsl"

// UsesGRPC reports whether the design may have gRPC endpoints, for which goa
// needs protoc: whether the design package, or one that it imports, calls GRPC
// of Goa's DSL. Packages that do not compile count by what can be read of them.
func (p *Project) UsesGRPC(ctx context.Context) (bool, error) {
	out, err := p.goCommand(ctx, "list", "-e", "-deps", "-json=Dir,GoFiles,CgoFiles,Imports", "--", p.DesignPath)
	if err != nil {
		return false, fmt.Errorf("list the design's packages: %w", err)
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var pkg struct {
			Dir                        string
			GoFiles, CgoFiles, Imports []string
		}
		if err := dec.Decode(&pkg); err != nil {
			return false, fmt.Errorf("read go list: %w", err)
		}
		if !slices.Contains(pkg.Imports, goaDSL) {
			continue
		}
		for _, file := range slices.Concat(pkg.GoFiles, pkg.CgoFiles) {
			if callsGRPC(filepath.Join(pkg.Dir, file)) {
				return true, nil
			}
		}
	}
	return false, nil
}

// callsGRPC reports whether a file calls Goa's GRPC, under whatever name it
// imports the DSL.
func callsGRPC(file string) bool {
	// The errors of the file are Goa's to report.
	tree, _ := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if tree == nil {
		return false
	}
	name := ""
	for _, i := range tree.Imports {
		if i.Path.Value == strconv.Quote(goaDSL) || i.Path.Value == "`"+goaDSL+"`" {
			name = path.Base(goaDSL)
			if i.Name != nil {
				name = i.Name.Name
			}
		}
	}
	found := false
	ast.Inspect(tree, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			switch f := call.Fun.(type) {
			case *ast.Ident:
				found = found || name == "." && f.Name == "GRPC"
			case *ast.SelectorExpr:
				pkg, ok := f.X.(*ast.Ident)
				found = found || ok && pkg.Name == name && f.Sel.Name == "GRPC"
			}
		}
		return !found
	})
	return found
}

// incomplete says what protoc did not write, or what was removed since: goa
// writes all files at once, so a contract may be there when protoc has failed.
func (p *Project) incomplete(c *policy.Contract) (string, error) {
	services := 0
	for _, s := range c.Services {
		if slices.ContainsFunc(s.Methods, func(m policy.Method) bool { return m.GRPC != nil }) {
			services++
		}
	}
	tree := os.DirFS(p.Dir)
	protos, err := fs.Glob(tree, "gen/grpc/*/pb/*.proto")
	if err != nil {
		return "", fmt.Errorf("find gRPC code: %w", err)
	}
	if len(protos) < services {
		return "gRPC code is missing", nil
	}
	for _, proto := range protos {
		base := strings.TrimSuffix(proto, ".proto")
		for _, file := range []string{base + ".pb.go", base + "_grpc.pb.go"} {
			if _, err := fs.Stat(tree, file); errors.Is(err, fs.ErrNotExist) {
				return path.Base(file) + " is missing", nil
			} else if err != nil {
				return "", fmt.Errorf("find gRPC code: %w", err)
			}
		}
	}
	return "", nil
}
