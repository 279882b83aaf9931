package expr_test

import (
	"fmt"
	"slices"
	"testing"

	goa "goa.design/goa/v3/dsl"
	goaexpr "goa.design/goa/v3/expr"

	"github.com/aguada-dev/aguada/dsl"
	"github.com/aguada-dev/aguada/expr"
)

// TestNearestRateLimitsWin tries what each of the three levels may say: the
// limits of one level never join those of another.
func TestNearestRateLimitsWin(t *testing.T) {
	const nothing, limits, none = 0, 1, 2
	rates := func(level int) []int { return []int{10 * (level + 1), 10*(level+1) + 1} }
	for says := range 3 * 3 * 3 {
		levels := []int{says % 3, says / 3 % 3, says / 9} // the API's first
		if levels[0] == none {
			continue // inherits nothing
		}
		declare := func(level int) func() {
			return func() {
				switch levels[level] {
				case limits:
					for i, rate := range rates(level) {
						dsl.RateLimit(rate, fmt.Sprintf("%ds", i+1), dsl.Global)
					}
				case none:
					dsl.NoRateLimit()
				}
			}
		}
		err := expr.Evaluate(func() {
			goa.API("shop", declare(0))
			goa.Service("orders", func() {
				declare(1)()
				goa.Method("create", declare(2))
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		nearest := func(levels []int) (want []int) {
			for level, say := range levels { // the last that says anything
				switch say {
				case limits:
					want = rates(level)
				case none:
					want = nil
				}
			}
			return want
		}
		s := goaexpr.Root.Service("orders")
		if got, want := ratesOf(expr.Root.Method(s.Method("create")).RateLimits), nearest(levels); !slices.Equal(got, want) {
			t.Errorf("levels %v: the method has %v, want %v", levels, got, want)
		}
		if got, want := ratesOf(expr.Root.ServiceRateLimits(s)), nearest(levels[:2]); !slices.Equal(got, want) {
			t.Errorf("levels %v: file servers have %v, want %v", levels, got, want)
		}
	}
}

func ratesOf(limits []expr.RateLimit) (rates []int) {
	for _, l := range limits {
		rates = append(rates, l.Rate)
	}
	return rates
}

// TestBurstOfAnotherDesign: what one design leaves over is no error of the next.
func TestBurstOfAnotherDesign(t *testing.T) {
	if err := expr.Evaluate(func() { dsl.Burst(1) }); err == nil {
		t.Fatal("a burst without a limit is accepted")
	}
	if err := expr.Evaluate(func() { goa.Service("orders", func() {}) }); err != nil {
		t.Error(err)
	}
}
