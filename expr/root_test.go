package expr_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	goa "goa.design/goa/v3/dsl"
	"goa.design/goa/v3/eval"
	goaexpr "goa.design/goa/v3/expr"

	"github.com/aguada-dev/aguada/dsl"
	"github.com/aguada-dev/aguada/expr"
	"github.com/aguada-dev/aguada/policy"
)

// TestNearestWins tries each subset of the three levels.
func TestNearestWins(t *testing.T) {
	declare := func(level int) {
		dsl.Deadline([]string{"1s", "2s", "3s"}[level])
		dsl.MaxBody([]string{"1B", "2B", "3B"}[level])
		dsl.MaxInFlight(level + 1)
		if level == 1 {
			dsl.NoAudit()
		} else {
			dsl.Audit()
		}
	}
	at := func(level int64) expr.Effective {
		return expr.Effective{
			Deadline: policy.Duration(time.Duration(level+1) * time.Second),
			MaxBody:  level + 1, MaxInFlight: int(level) + 1, Audit: level != 1,
		}
	}
	for subset := range 8 {
		declares := func(level int) func() {
			return func() {
				if subset&(1<<level) != 0 {
					declare(level)
				}
			}
		}
		err := expr.Evaluate(func() {
			goa.API("shop", declares(0))
			goa.Service("orders", func() {
				declares(1)()
				goa.Method("create", declares(2))
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		want := expr.Effective{Deadline: policy.DefaultDeadline, MaxBody: policy.DefaultMaxBody}
		for level := range 3 {
			if subset&(1<<level) != 0 {
				want = at(int64(level))
			}
		}
		got := expr.Root.Method(goaexpr.Root.Service("orders").Method("create"))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("levels %03b (-want +got):\n%s", subset, diff)
		}
	}
}

// TestOneDesignAfterTheOther: what one design declares never reaches the next.
func TestOneDesignAfterTheOther(t *testing.T) {
	root := expr.Root
	err := expr.Evaluate(func() {
		goa.API("shop", func() { dsl.Deadline("1s"); dsl.DependsOn("database") })
		goa.Service("orders", func() { goa.Method("create", func() { dsl.Deadline("x") }) })
	})
	if err == nil {
		t.Fatal("bad design accepted")
	}
	err = expr.Evaluate(func() {
		goa.Service("orders", func() { goa.Method("create", func() {}) })
	})
	if err != nil {
		t.Fatal(err)
	}
	if expr.Root != root {
		t.Error("Root was replaced; a generator that kept it would read the old design")
	}
	s := goaexpr.Root.Service("orders")
	want := expr.Effective{Deadline: policy.DefaultDeadline, MaxBody: policy.DefaultMaxBody}
	if diff := cmp.Diff(want, expr.Root.Method(s.Method("create"))); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
	if names := expr.Root.DependsOnNames(s); names != nil {
		t.Errorf("depends on %q", names)
	}
}

// TestZeroRoot: a root that no DSL has filled in answers with the defaults.
func TestZeroRoot(t *testing.T) {
	expr.Reset()
	var root expr.RootExpr
	s := &goaexpr.ServiceExpr{Name: "orders"}
	m := &goaexpr.MethodExpr{Name: "create", Service: s, Stream: goaexpr.NoStreamKind}
	want := expr.Effective{Deadline: policy.DefaultDeadline, MaxBody: policy.DefaultMaxBody}
	if diff := cmp.Diff(want, root.Method(m)); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
	if names := root.DependsOnNames(s); names != nil {
		t.Errorf("depends on %q", names)
	}
}

// TestRegistered: importing the package is enough for Goa to evaluate its root,
// after Goa's own.
func TestRegistered(t *testing.T) {
	expr.Reset()
	roots, err := eval.Context.Roots()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range roots {
		names = append(names, r.EvalName())
	}
	if got := strings.Join(names, ", "); got != "design, generated result types, production design" {
		t.Errorf("roots are evaluated in the order %s", got)
	}
	if err := eval.Register(expr.Root); err == nil {
		t.Error("the root could be registered twice")
	}
}

// TestHere: asking for the place leaves no trace among the errors.
func TestHere(t *testing.T) {
	expr.Reset()
	if p := expr.Here(); p.File != "root_test.go" || p.Line == 0 {
		t.Errorf("Here() = %v", p)
	}
	if eval.Context.Errors != nil {
		t.Errorf("Here left %v", eval.Context.Errors)
	}
	expr.Pos{File: "design.go", Line: 7}.Report("bad %s", "thing")
	expr.Pos{}.Report("nowhere")
	if got, want := eval.Context.Error(), "[design.go:7] bad thing\nnowhere"; got != want {
		t.Errorf("reported %q, want %q", got, want)
	}
	expr.Here()
	if n := len(eval.Context.Errors); n != 2 {
		t.Errorf("%d errors after Here, want the 2 from before", n)
	}
}
