// Package expr holds what the production DSL declares, and answers what each
// method ends up with.
//
// The functions of package dsl fill in [Root] while Goa evaluates a design.
// Once eval.RunDSL has returned without error, a generator reads it:
//
//	for _, s := range goaexpr.Root.Services {
//		needs := expr.Root.DependsOnNames(s)
//		for _, m := range s.Methods {
//			e := expr.Root.Method(m) // deadline, body limit, …; defaults filled in
//		}
//	}
//
// The package registers its root with Goa's evaluation engine when it is
// imported, as Goa requires. It generates nothing and changes nothing of the
// design but one thing: a mark that Goa loses when an attribute is declared
// again under Reference is put back (see [RootExpr.Prepare]).
//
// Like Goa's own expressions, nothing here is safe for concurrent use while a
// design is being evaluated.
package expr

import (
	"maps"
	"slices"

	"goa.design/goa/v3/eval"
	goaexpr "goa.design/goa/v3/expr"

	"github.com/aguada-dev/aguada/policy"
)

// Root is the root of the production DSL. It is registered with Goa's
// evaluation engine; [Reset] empties it.
var Root = new(RootExpr)

func init() {
	if err := eval.Register(Root); err != nil {
		panic(err) // two copies of this package in one program
	}
}

// RootExpr is everything that the production DSL declares in one design. The
// zero value is a design that declares nothing: every answer is a default.
type RootExpr struct {
	policies map[eval.Expression]*PolicyExpr
	// marks is where Sensitive was called, in order.
	marks []Pos
	// arguments are those that calls made for others, in order.
	arguments []*Argument
}

// PolicyExpr is what one API, service or method declares for itself, without
// inheritance. A nil setting is one that it does not declare.
type PolicyExpr struct {
	Deadline    *Setting[policy.Duration] // 0 switches an inherited one off
	MaxBody     *Setting[int64]           // bytes
	MaxInFlight *Setting[int]
	RateLimits  []RateLimit    // in the order of declaration
	NoRateLimit *Setting[bool] // switches inherited ones off; without RateLimits
	Audit       *Setting[bool]
	StrictBody  *Setting[bool]
	CORSOrigins *Setting[[]string] // empty switches an inherited one off
	// CORSCredentials belongs to the CORSOrigins beside it.
	CORSCredentials *Setting[bool]
	ShedPriority    *Setting[policy.Priority]
	Idempotency     *Setting[policy.Idempotency]  // of methods alone
	StreamIdle      *Setting[policy.Duration]     // 0 switches an inherited one off
	MessageRate     *Setting[*policy.MessageRate] // never of nil
	DependsOn       []Setting[string]             // in the order of declaration
}

// Setting is a declared value and where the design declares it.
type Setting[T any] struct {
	Value T
	// Text is the call as an error quotes it.
	Text string
	Pos  Pos
}

// Effective is what a method ends up with: inheritance is resolved and
// defaults are filled in.
type Effective struct {
	Deadline    policy.Duration // 0 means none
	MaxBody     int64           // bytes, always positive
	MaxInFlight int             // 0 means no bound
	// RateLimits are those of the nearest level that declares any, with their
	// burst filled in and without a name.
	RateLimits []RateLimit
	Audit      bool
	// StrictBody is where the contract asks for strict bodies; nil for not.
	StrictBody *Setting[bool]
	// CORS is what the nearest CORSOrigins allows, and where; nil for nothing.
	CORS *Setting[policy.CORS]
	// ShedPriority is empty for the normal one.
	ShedPriority policy.Priority
	// Idempotency is the method's key, and where it is declared; nil for none.
	Idempotency *Setting[policy.Idempotency]
	// StreamIdle is 0 where streams may stay silent, and for a method that does
	// not stream.
	StreamIdle policy.Duration
	// MessageRate is nil for no bound, and where the client does not stream.
	MessageRate *policy.MessageRate
}

// Policy returns what owner, an API, a service or a method, declares for
// itself, to be filled in. It never returns nil.
func (r *RootExpr) Policy(owner eval.Expression) *PolicyExpr {
	if p, ok := r.policies[owner]; ok {
		return p
	}
	if r.policies == nil {
		r.policies = make(map[eval.Expression]*PolicyExpr)
	}
	p := new(PolicyExpr)
	r.policies[owner] = p
	return p
}

// Method returns the policy of m. For each setting the nearest declaration
// wins: the method's, then its service's, then the API's. Without any, the
// deadline is [policy.DefaultDeadline] (none for a method that streams its
// payload or result), the body limit is [policy.DefaultMaxBody], neither calls
// in flight nor their rate are bounded, nothing is audited, bodies are not
// strict, no page of another origin may call, the priority is the normal one,
// and streams may be silent and send as they like.
func (r *RootExpr) Method(m *goaexpr.MethodExpr) Effective {
	levels := []*PolicyExpr{r.policies[m], r.policies[m.Service], r.policies[goaexpr.Root.API]}
	deadline := policy.DefaultDeadline
	if m.IsStreaming() {
		deadline = 0
	}
	e := Effective{
		Deadline:    nearest(levels, deadline, func(p *PolicyExpr) *Setting[policy.Duration] { return p.Deadline }),
		MaxBody:     nearest(levels, policy.DefaultMaxBody, func(p *PolicyExpr) *Setting[int64] { return p.MaxBody }),
		MaxInFlight: nearest(levels, 0, func(p *PolicyExpr) *Setting[int] { return p.MaxInFlight }),
		RateLimits:  nearestRateLimits(levels),
		Audit:       nearest(levels, false, func(p *PolicyExpr) *Setting[bool] { return p.Audit }),
		StrictBody:  nearestStrict(levels),
		CORS:        nearestCORS(levels),

		ShedPriority: nearestPriority(levels),
	}
	if own := levels[0]; own != nil {
		e.Idempotency = own.Idempotency
	}
	e.stream(m, levels)
	return e
}

// ServiceCORS returns what the nearest CORSOrigins of s or its API allows, and
// where it is declared; nil for nothing. It holds for file servers, which are
// no methods.
func (r *RootExpr) ServiceCORS(s *goaexpr.ServiceExpr) *Setting[policy.CORS] {
	return nearestCORS([]*PolicyExpr{r.policies[s], r.policies[goaexpr.Root.API]})
}

func nearestStrict(levels []*PolicyExpr) *Setting[bool] {
	for _, p := range levels {
		if p != nil && p.StrictBody != nil {
			if p.StrictBody.Value {
				return p.StrictBody
			}
			return nil
		}
	}
	return nil
}

// nearestCORS returns the nearest origins, with the credentials of the same
// level alone: what an API allows to its origins is not for a service's.
func nearestCORS(levels []*PolicyExpr) *Setting[policy.CORS] {
	for _, p := range levels {
		if p == nil || p.CORSOrigins == nil {
			continue
		}
		if len(p.CORSOrigins.Value) == 0 {
			return nil
		}
		return &Setting[policy.CORS]{
			Value: policy.CORS{Origins: p.CORSOrigins.Value, Credentials: p.CORSCredentials != nil},
			Pos:   p.CORSOrigins.Pos,
		}
	}
	return nil
}

func nearest[T any](levels []*PolicyExpr, otherwise T, of func(*PolicyExpr) *Setting[T]) T {
	for _, p := range levels {
		if p == nil {
			continue
		}
		if s := of(p); s != nil {
			return s.Value
		}
	}
	return otherwise
}

// DependsOnNames returns the names of the checks that must pass before s is
// ready: those of the API and those of the service, sorted, each once. It
// returns nil for none.
func (r *RootExpr) DependsOnNames(s *goaexpr.ServiceExpr) []string {
	names := make(map[string]struct{})
	for _, p := range []*PolicyExpr{r.policies[goaexpr.Root.API], r.policies[s]} {
		if p == nil {
			continue
		}
		for _, n := range p.DependsOn {
			names[n.Value] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// EvalName is the name of the DSL.
func (*RootExpr) EvalName() string { return "production design" }

// WalkSets walks nothing: the expressions that carry the production DSL are
// Goa's, and Goa walks them.
func (*RootExpr) WalkSets(eval.SetWalker) {}

// DependsOn makes Goa evaluate its own design first.
func (*RootExpr) DependsOn() []eval.Root { return []eval.Root{goaexpr.Root} }

// Packages returns the packages that Goa skips when it looks for the line of
// the design behind an error.
func (*RootExpr) Packages() []string {
	return []string{"github.com/aguada-dev/aguada/dsl", "github.com/aguada-dev/aguada/expr"}
}

// Evaluate evaluates a design in this process: [Reset], then design, which
// calls DSL functions as the package-level variables of a design package do,
// then the rest of Goa's evaluation. The error holds everything that Goa and
// the production DSL found, as goa gen prints it.
//
// It is for tests of generators: one process can evaluate many designs, one
// after the other.
func Evaluate(design func()) error {
	Reset()
	if !eval.Execute(design, nil) {
		return eval.Context.Errors
	}
	return eval.RunDSL()
}

// Reset starts an empty design: Goa's evaluation context and roots are
// replaced by new ones, [Root] is emptied, and all are registered again.
func Reset() {
	eval.Reset()
	goaexpr.Root = new(goaexpr.RootExpr)
	goaexpr.GeneratedResultTypes = new(goaexpr.ResultTypesRoot)
	*Root = RootExpr{}
	for _, r := range []eval.Root{goaexpr.Root, goaexpr.GeneratedResultTypes, Root} {
		if err := eval.Register(r); err != nil {
			panic(err) // impossible: the context is new and the names differ
		}
	}
}
