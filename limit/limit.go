// Package limit decides whether a call may pass: how often, per whom, counted
// where.
//
//	mem, err := limit.NewMemory(limit.MemoryConfig{})
//	...
//	l, err := limit.New(mem,
//		limit.Rule{Name: "orders.create", Rate: 100, Per: time.Second, Burst: 200},
//		limit.Rule{Name: "everybody", Rate: 5000, Per: time.Second})
//	...
//	d := l.Take(ctx, limit.Partitions{limit.Text(subject), limit.Everyone})
//	header = l.AppendRateLimit(header, &d)
//	if !d.Allowed {
//		// 429, Retry-After: d.RetrySeconds()
//	}
//
// The algorithm is GCRA (ITU-T I.371), which is a token bucket that remembers
// one instant per key: a key may spend Burst units at once and gets one back
// every Per/Rate. The rules of one call are decided together: either all pass
// and each is charged one unit, or nobody is charged.
//
// A [Driver] holds the state: [Memory] for one process, package redislimit for
// many. The package knows neither HTTP nor principals, it never waits for a unit
// to come back, and it has no errors while deciding: a driver whose store is away
// decides otherwise and says so.
package limit

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// MaxRules is how many rules one call can have.
const MaxRules = 4

// Bounds of a [Rule]. Within them no arithmetic overflows.
const (
	// MinInterval is the shortest time between two units, Per/Rate.
	MinInterval = time.Microsecond
	// MaxFill is the longest time in which an empty bucket fills,
	// Burst*Per/Rate.
	MaxFill = 366 * 24 * time.Hour
	// MaxName is the longest name of a rule, in bytes.
	MaxName = 64
)

// Rule is one limit. Its name is its identity: rules of one name in one driver
// share their state, and must be equal.
type Rule struct {
	// Name is told to callers, in headers: 1 to 64 letters, digits and "._:/-".
	Name string
	// Rate is how many units come back in Per; at least 1.
	Rate int
	// Per is in whole milliseconds; at least one.
	Per time.Duration
	// Burst is how many units can be spent at once; Rate if 0.
	Burst int
}

// Check returns why the rule cannot be kept.
func (r Rule) Check() error {
	if !nameOK(r.Name) {
		return fmt.Errorf("check rate limit: the name %.80q is not 1 to %d letters, digits and \"._:/-\"", r.Name, MaxName)
	}
	wrong := func(text string) error { return fmt.Errorf("check rate limit %q: %s", r.Name, text) }
	switch {
	case r.Rate < 1:
		return wrong("the rate is not positive")
	case r.Burst < 0:
		return wrong("the burst is negative")
	case r.Per < time.Millisecond || r.Per%time.Millisecond != 0:
		return wrong("the time is not in whole milliseconds")
	case r.Per > MaxFill:
		return wrong("the time is longer than " + MaxFill.String())
	case int64(r.Per)/int64(r.Rate) < int64(MinInterval):
		return wrong("the rate is above one in " + MinInterval.String())
	case int64(r.burst()) > int64(MaxFill)/int64(r.Interval()):
		return wrong("the burst takes longer than " + MaxFill.String() + " to come back")
	}
	return nil
}

func nameOK(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == ':', c == '/', c == '-':
		default:
			return false
		}
	}
	return name != "" && len(name) <= MaxName
}

func (r Rule) burst() int {
	if r.Burst == 0 {
		return r.Rate
	}
	return r.Burst
}

// Interval is the time in which one unit comes back: Per/Rate, rounded up to a
// nanosecond, so that a limit is never exceeded by rounding. The rule must pass
// [Rule.Check].
func (r Rule) Interval() time.Duration {
	return (r.Per + time.Duration(r.Rate) - 1) / time.Duration(r.Rate)
}

// Fill is the time in which an empty bucket fills: Burst times [Rule.Interval].
func (r Rule) Fill() time.Duration { return time.Duration(r.burst()) * r.Interval() }

// Driver holds what was spent. It is safe for concurrent use.
type Driver interface {
	// Open prepares to decide the rules together, of which there are 1 to
	// MaxRules, checked, with different names and with Burst filled in. Rules of
	// one name share their state over all sets; a rule that was opened with other
	// numbers is an error.
	Open(rules []Rule) (Set, error)
}

// Set decides the rules with which it was opened. It is safe for concurrent use.
type Set interface {
	// Take spends one unit of each rule, that of p[i] for the rule i, or of
	// none. It returns within the driver's own deadline whatever happens; ctx
	// only carries values.
	Take(ctx context.Context, p Partitions) Decision
}

// Decision is what becomes of a call. The zero value refuses.
type Decision struct {
	// Allowed reports whether the call may pass. Every rule was charged then,
	// otherwise none.
	Allowed bool
	// Degraded reports that the shared state was away: the call was decided by
	// what this process knows, or by configuration alone.
	Degraded bool
	// Unavailable reports that the call is refused because the shared state was
	// away and configuration wants it so: no limit was exceeded.
	Unavailable bool
	// Rules is how many elements of Status are known: all, or none where the
	// decision was made without looking at the rules.
	Rules int
	// Status is how each rule stands after the call.
	Status [MaxRules]Status
}

// Status is how a rule stands for one partition.
type Status struct {
	// Refused reports whether this rule stood in the way.
	Refused bool
	// Remaining is how many units could be spent at once.
	Remaining int
	// Reset is when all units are back, from the decision on.
	Reset time.Duration
	// RetryAfter is when the next unit can be spent; 0 if Remaining is not 0.
	RetryAfter time.Duration
}

// status returns how a rule stands whose debt is the time until the bucket is
// full, at the cost of a unit and the time to fill it. All three are positive
// or, for debt, 0.
func status(debt, cost, fill int64, refused bool) Status {
	st := Status{Refused: refused, Reset: time.Duration(debt)}
	if left := fill - debt; left >= cost {
		st.Remaining = int(left / cost)
	} else {
		st.RetryAfter = time.Duration(cost - left)
	}
	return st
}

// RetryAfter is when a refused call can be tried again: when the last of the
// rules that refused it lets it pass, or after a second where no rule did. It is 0 for a
// call that was allowed.
func (d *Decision) RetryAfter() time.Duration {
	if d.Allowed {
		return 0
	}
	var wait time.Duration
	for i := range d.Rules {
		if d.Status[i].Refused {
			wait = max(wait, d.Status[i].RetryAfter)
		}
	}
	if wait == 0 {
		wait = time.Second
	}
	return wait
}

// RetrySeconds is RetryAfter as a Retry-After header has it (RFC 9110, 10.2.3):
// rounded up to seconds.
func (d *Decision) RetrySeconds() int { return seconds(d.RetryAfter()) }

// Refused returns the index of the rule that a refusal is put down to, which is
// the one that makes the caller wait longest; -1 if there is none.
func (d *Decision) Refused() int {
	worst := -1
	for i := range d.Rules {
		if d.Status[i].Refused && (worst < 0 || d.Status[i].RetryAfter > d.Status[worst].RetryAfter) {
			worst = i
		}
	}
	return worst
}

// Limiter decides one kind of call, such as those of a method. It is safe for
// concurrent use. A nil *Limiter allows everything.
type Limiter struct {
	set    Set
	local  *Local // set, if it is one: called without copying
	rules  []Rule
	policy string
	items  []string // `"name";r=`, with what separates it from the one before
}

// New returns a Limiter for 1 to MaxRules rules with different names. It is an
// error if there are none, if one fails [Rule.Check], or if the driver refuses
// them.
func New(d Driver, rules ...Rule) (*Limiter, error) {
	if len(rules) == 0 || len(rules) > MaxRules {
		return nil, fmt.Errorf("make rate limit: %d rules for one call, want 1 to %d", len(rules), MaxRules)
	}
	if d == nil {
		return nil, errors.New("make rate limit: there is no driver")
	}
	l := &Limiter{rules: make([]Rule, len(rules))}
	for i, r := range rules {
		if err := r.Check(); err != nil {
			return nil, fmt.Errorf("make rate limit: %w", err)
		}
		r.Burst = r.burst()
		for _, other := range l.rules[:i] {
			if other.Name == r.Name {
				return nil, fmt.Errorf("make rate limit: two rules of one call have the name %q", r.Name)
			}
		}
		l.rules[i] = r
	}
	l.prepareHeaders()
	var err error
	if l.set, err = d.Open(l.rules); err != nil {
		return nil, fmt.Errorf("make rate limit: %w", err)
	}
	l.local, _ = l.set.(*Local)
	return l, nil
}

// Take decides a call: p[i] says for whom the rule i counts. It allocates
// nothing with [Memory], and never blocks longer than the driver's deadline.
func (l *Limiter) Take(ctx context.Context, p Partitions) (d Decision) {
	switch {
	case l == nil:
		d.Allowed = true
	case l.local != nil:
		l.local.take(&d, &p, 1, false)
	default:
		d = l.set.Take(ctx, p)
	}
	return d
}

// Rules returns the rules with their defaults filled in. The caller must not
// change them.
func (l *Limiter) Rules() []Rule {
	if l == nil {
		return nil
	}
	return l.rules
}
