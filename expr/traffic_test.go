package expr_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	goa "goa.design/goa/v3/dsl"
	goaexpr "goa.design/goa/v3/expr"

	"github.com/aguada-dev/aguada/dsl"
	"github.com/aguada-dev/aguada/expr"
	"github.com/aguada-dev/aguada/policy"
)

// TestNearestTrafficWins tries each subset of the three levels: what is not
// declared comes from the next one, and a method is concerned only by what it
// does.
func TestNearestTrafficWins(t *testing.T) {
	declare := func(level int) {
		dsl.ShedPriority([]string{"low", "normal", "high"}[level])
		dsl.StreamIdle([]string{"1s", "0s", "3s"}[level])
		dsl.MessageRate(level+1, "1s", dsl.Burst(9))
	}
	at := func(level int) expr.Effective {
		return expr.Effective{
			ShedPriority: []policy.Priority{policy.LowPriority, "", policy.HighPriority}[level],
			StreamIdle:   policy.Duration([]time.Duration{time.Second, 0, 3 * time.Second}[level]),
			MessageRate:  &policy.MessageRate{Rate: level + 1, Per: policy.Duration(time.Second), Burst: 9},
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
			goa.Service("chat", func() {
				declares(1)()
				goa.Method("talk", func() {
					goa.StreamingPayload(goa.String)
					declares(2)()
				})
				goa.Method("watch", func() { goa.StreamingResult(goa.String) })
				goa.Method("unary", func() {})
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		var want, inherited expr.Effective
		for level := range 3 {
			if subset&(1<<level) == 0 {
				continue
			}
			want = at(level)
			if level < 2 {
				inherited = at(level)
			}
		}
		s := goaexpr.Root.Service("chat")
		traffic := func(method string) expr.Effective {
			e := expr.Root.Method(s.Method(method))
			return expr.Effective{ShedPriority: e.ShedPriority, StreamIdle: e.StreamIdle, MessageRate: e.MessageRate}
		}
		if diff := cmp.Diff(want, traffic("talk")); diff != "" {
			t.Errorf("subset %03b, a client that streams (-want +got):\n%s", subset, diff)
		}
		inherited.MessageRate = nil
		if diff := cmp.Diff(inherited, traffic("watch")); diff != "" {
			t.Errorf("subset %03b, a server that streams (-want +got):\n%s", subset, diff)
		}
		inherited.StreamIdle = 0
		if diff := cmp.Diff(inherited, traffic("unary")); diff != "" {
			t.Errorf("subset %03b, no stream (-want +got):\n%s", subset, diff)
		}
		if got := expr.Root.ServicePriority(s); got != inherited.ShedPriority {
			t.Errorf("subset %03b: file servers have priority %q, want %q", subset, got, inherited.ShedPriority)
		}
	}
}

// TestArgumentsOfAnotherDesign: what one design leaves over is no error of the
// next.
func TestArgumentsOfAnotherDesign(t *testing.T) {
	if err := expr.Evaluate(func() { dsl.KeepFor("1h") }); err == nil {
		t.Fatal("an option without a key is accepted")
	}
	if err := expr.Evaluate(func() { goa.Service("orders", func() {}) }); err != nil {
		t.Error(err)
	}
}
