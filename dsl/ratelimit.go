package dsl

import (
	"slices"
	"strconv"
	"strings"

	"goa.design/goa/v3/eval"

	"github.com/aguada-dev/aguada/expr"
	"github.com/aguada-dev/aguada/policy"
)

// Who a [RateLimit] counts together.
const (
	// PerPrincipal counts for each principal, whichever credential it shows.
	PerPrincipal = policy.PerPrincipal
	// PerClientIP counts for each client address: for IPv6, each /64 network.
	PerClientIP = policy.PerClientIP
	// PerCredential counts for each key, token or user name and password.
	PerCredential = policy.PerCredential
	// Global counts all callers together.
	Global = policy.Global
)

// RateLimit bounds how often a method may be called. A call beyond the bound is
// answered 429 Too Many Requests with Retry-After, and is not counted. The
// headers RateLimit and RateLimit-Policy tell callers how they stand. Of a
// method that streams, the calls are limited, not what they send.
//
// RateLimit must appear in an API, Service or Method expression. It may be
// called up to four times in one, with different partitions or windows: a call
// must pass all of them, and is charged to none that another refuses. The
// nearest expression with a RateLimit or a [NoRateLimit] wins: its limits
// replace those of the others. In an API or a Service they are the bounds of each
// of their methods, and of each file server, alone, never ones that the methods
// share. Without any there is no bound.
//
// RateLimit accepts three or four arguments: the number of calls, from 1 to a
// million a second; the window in which they may begin, of "1s" to "24h" in
// whole seconds; who counts together, which is PerPrincipal, PerClientIP,
// PerCredential or Global; and a [Burst]. PerPrincipal and PerCredential are
// refused where anybody may call.
//
// Example:
//
//	var _ = Service("orders", func() {
//	    RateLimit(100, "1s", PerPrincipal, Burst(200)) // for each method
//	    RateLimit(10000, "1h", PerPrincipal)
//	    Method("prices", func() {
//	        NoSecurity()
//	        RateLimit(20, "1s", PerClientIP)
//	    })
//	})
func RateLimit(calls int, window string, partition policy.Partition, burst ...*expr.Burst) {
	args := append([]string{strconv.Itoa(calls), strconv.Quote(window), partitionText(partition)}, take(burst)...)
	c := newCall("RateLimit(" + strings.Join(args, ", ") + ")")
	p := c.policy("RateLimit")
	if p == nil {
		return
	}
	l := expr.RateLimit{
		RateLimit: policy.RateLimit{Rate: calls, Partition: partition},
		Text:      c.text, Owner: eval.Current().EvalName(), Pos: c.pos,
	}
	var ok bool
	if l.Burst, ok = c.burst(calls, burst); !ok {
		return
	}
	if err := fill(&l, window); err != nil {
		c.refuse(err.Error())
		return
	}
	c.addRateLimit(p, l)
}

// fill sets the window of l, and returns what is wrong with the arguments.
func fill(l *expr.RateLimit, window string) error {
	var err error
	if l.Per, err = parseWindow(window); err != nil {
		return err
	}
	if err := checkRate(l.Rate, l.Burst, l.Per, "leave RateLimit out for no bound, or say NoRateLimit()"); err != nil {
		return err
	}
	return checkPartition(l.Partition)
}

// addRateLimit declares l, unless the same expression has it already.
func (c call) addRateLimit(p *expr.PolicyExpr, l expr.RateLimit) {
	same := slices.IndexFunc(p.RateLimits, func(o expr.RateLimit) bool { return o.Partition == l.Partition && o.Per == l.Per })
	switch {
	case p.NoRateLimit != nil:
		c.refuse("NoRateLimit() is declared already, at " + p.NoRateLimit.Pos.String() + "; keep one of them")
	case same >= 0:
		c.refuse("one with this partition and window is declared already, at " + p.RateLimits[same].Pos.String() + "; keep one of them")
	case len(p.RateLimits) == mostRateLimits:
		c.refuse("there are " + strconv.Itoa(mostRateLimits) + " limits already, which is the most; leave some out")
	default:
		p.RateLimits = append(p.RateLimits, l)
	}
}

// Burst is an argument of [RateLimit] and of [MessageRate]: how many calls, or
// messages, may come at once after a pause. Without it that is the rate. A
// larger burst lets callers catch up, a smaller one spreads calls over the
// window. In the long run the rate counts.
//
// Burst must appear in the arguments of a RateLimit or a MessageRate.
//
// Burst accepts a single argument: the number of calls or messages, at least 1.
//
// Example:
//
//	var _ = Service("orders", func() {
//	    RateLimit(100, "1s", PerPrincipal, Burst(200))
//	    RateLimit(60, "1m", PerClientIP, Burst(1)) // no two within a second
//	})
func Burst(calls int) *expr.Burst {
	text := "Burst(" + strconv.Itoa(calls) + ")"
	return &expr.Burst{Argument: expr.Root.NewArgument(text, "the last argument of a RateLimit or a MessageRate", expr.Here()), Calls: calls}
}

// take takes the arguments, and returns them as an error quotes them.
func take(bursts []*expr.Burst) []string {
	var texts []string
	for _, b := range bursts {
		if b != nil {
			b.Take()
			texts = append(texts, b.Text)
		}
	}
	return texts
}

// burst returns the burst that a call was given, or else its rate; false, with
// an error recorded, for one that is no burst.
func (c call) burst(rate int, given []*expr.Burst) (int, bool) {
	switch {
	case len(given) > 1:
		c.refuse("a limit has one Burst; keep one of them")
		return 0, false
	case len(given) == 1 && given[0] == nil:
		c.refuse("the burst is nil; write one, such as Burst(" + strconv.Itoa(max(rate, 1)) + "), or leave it out")
		return 0, false
	case len(given) == 1:
		return given[0].Calls, true
	}
	return rate, true
}

// NoRateLimit switches inherited [RateLimit]s off, all of them.
//
// NoRateLimit must appear in a Service or Method expression.
//
// NoRateLimit takes no argument.
//
// Example:
//
//	var _ = Service("orders", func() {
//	    RateLimit(100, "1s", PerPrincipal)
//	    Method("status", func() {
//	        NoSecurity()
//	        NoRateLimit()
//	    })
//	})
func NoRateLimit() {
	c := newCall("NoRateLimit()")
	p := c.inherited("NoRateLimit", "a RateLimit")
	if p == nil {
		return
	}
	if len(p.RateLimits) > 0 {
		c.refuse("a RateLimit is declared already, at " + p.RateLimits[0].Pos.String() + "; keep one of them")
		return
	}
	set(c, &p.NoRateLimit, true)
}
