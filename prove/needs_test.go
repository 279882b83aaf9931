package prove_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/prove/lab"
)

// owned are the members of a lab and its processes that a service which runs
// already does not have, and what has to be declared for them. Start, Island and
// Secure are not among them: without a process they say so themselves.
var owned = map[string]lab.Control{
	"Log": lab.Log, "Sink": lab.Telemetry, "Issuer": lab.Issuer, "Launch": lab.Process,
	"PID": lab.Process, "Memory": lab.Process, "Peak": lab.Process, "Done": lab.Process, "Terminate": lab.Process, "LastWords": lab.Process,
}

var controls = map[string]lab.Control{
	"Process": lab.Process, "Log": lab.Log, "Telemetry": lab.Telemetry, "Issuer": lab.Issuer, "Scopes": lab.Scopes, "GRPC": lab.GRPC, "Floods": lab.Floods,
}

// Every probe declares what it uses that a service which runs already does not
// have. What its source mentions counts, itself and through functions of its
// package.
func TestProbesDeclareWhatTheyNeed(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	folders := map[string]*source{}
	for _, name := range files {
		dir := filepath.Dir(name)
		if strings.HasSuffix(name, "_test.go") || dir == "lab" || dir == "probe" {
			continue
		}
		if folders[dir] == nil {
			folders[dir] = &source{funcs: map[string]ast.Node{}}
		}
		folders[dir].read(t, name)
	}
	n := 0
	for dir, s := range folders {
		for name, p := range s.probes {
			n++
			used := s.uses(p, map[string]bool{})
			if used&lab.Process != 0 {
				used = lab.Process // which implies all else
			}
			has := needs(p)
			if has&lab.Process == 0 && used&^has != 0 && !(dir == "carriers" && strings.HasPrefix(name, "rpc")) {
				t.Errorf("%s: the probe %s uses what a service that runs already does not have: Needs is %b, want %b too", dir, name, has, used&^has)
			}
		}
	}
	if n < 100 {
		t.Errorf("only %d probes were found", n)
	}
}

// source is what the test knows of a package.
type source struct {
	funcs  map[string]ast.Node // functions and methods by name
	probes map[string]*ast.CompositeLit
}

func (s *source) read(t *testing.T, name string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if s.probes == nil {
		s.probes = map[string]*ast.CompositeLit{}
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			s.funcs[d.Name.Name] = d
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				v, ok := spec.(*ast.ValueSpec)
				if !ok || len(v.Values) == 0 {
					continue
				}
				if lit, ok := v.Values[0].(*ast.CompositeLit); ok && isProbe(lit) {
					s.probes[v.Names[0].Name] = lit
				}
			}
		}
	}
}

func isProbe(lit *ast.CompositeLit) bool {
	x, ok := lit.Type.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	of, ok := x.X.(*ast.Ident)
	return ok && of.Name == "probe" && x.Sel.Name == "Probe"
}

// uses returns what the node mentions, and what the functions do that it names.
func (s *source) uses(n ast.Node, seen map[string]bool) (used lab.Control) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.KeyValueExpr:
			if key, ok := x.Key.(*ast.Ident); ok && key.Name == "Omit" {
				return false // not called where a need is missing
			}
		case *ast.SelectorExpr:
			used |= owned[x.Sel.Name] & s.ofLab(x)
			used |= s.follow(x.Sel.Name, seen)
		case *ast.Ident:
			used |= s.follow(x.Name, seen)
		}
		return true
	})
	return used
}

// ofLab leaves out members of other things than labs and processes, such as
// ctx.Done.
func (s *source) ofLab(x *ast.SelectorExpr) lab.Control {
	if of, ok := x.X.(*ast.Ident); ok && (of.Name == "lab" || x.Sel.Name == "Done" && of.Name != "in") {
		return 0
	}
	return ^lab.Control(0)
}

func (s *source) follow(name string, seen map[string]bool) lab.Control {
	f, ok := s.funcs[name]
	if !ok || seen[name] {
		return 0
	}
	seen[name] = true
	return s.uses(f, seen)
}

// needs returns what the probe declares.
func needs(p *ast.CompositeLit) (all lab.Control) {
	for _, e := range p.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		if key, ok := kv.Key.(*ast.Ident); !ok || key.Name != "Needs" {
			continue
		}
		ast.Inspect(kv.Value, func(n ast.Node) bool {
			if x, ok := n.(*ast.SelectorExpr); ok {
				all |= controls[x.Sel.Name]
			}
			return true
		})
	}
	return all
}
