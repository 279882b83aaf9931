// Package cors decides what pages of other origins may do, as the Fetch standard
// has browsers ask for it. What a header says is made once.
//
//	rules := cors.New(m.CORS, m.RequestHeaders, m.ResponseHeaders)
//	page := rules.Share(w.Header(), r.Header) // nil: the page may not read the answer
//
// Origins are compared whole, byte by byte: it knows no pattern, and no list in one
// header. It refuses no request: it tells browsers what to keep from a page.
package cors

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/aguada-dev/aguada/policy"
)

// maxAge is how long a browser may remember a preflight, in seconds: what
// an origin loses, it loses within ten minutes.
const maxAge = "600"

// Headers that pages may send to, and see of, every method: those of the
// chassis. Names that need no permission are there too, for it is the values
// that may need it.
var (
	ofRequests = []string{"Accept", "Content-Type", "Traceparent", "Tracestate", "X-Request-Id"}
	ofAnswers  = []string{
		"Allow", "Ratelimit", "Ratelimit-Limit", "Ratelimit-Policy", "Ratelimit-Remaining", "Ratelimit-Reset",
		"Retry-After", "Www-Authenticate", "X-Request-Id",
	}
)

// Header values that answers share; set with no capacity to spare, so that Add
// copies.
var (
	varyOrigin    = []string{"Origin"}
	varyPreflight = []string{"Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"}
	isTrue        = []string{"true"}
	anyOrigin     = []string{policy.AnyOrigin}
	age           = []string{maxAge}
)

// Rules are what pages of other origins may do with a method, compiled. They are
// safe for concurrent use once they are merged.
type Rules struct {
	origins map[string]*Grant
	any     bool // "*" for those that are not in origins
	expose  []string
	allow   []string // Access-Control-Allow-Headers
}

// Grant is what an origin gets: its pages may read answers.
type Grant struct {
	Credentials bool // they may send what the browser adds, such as a cookie
	origin      []string
}

// anyone is what "*" gives.
var anyone = &Grant{origin: anyOrigin}

// Check refuses origins that no browser sends, and credentials for any.
func Check(c *policy.CORS) error {
	if len(c.Origins) == 0 {
		return fmt.Errorf("check CORS: no origins")
	}
	if slices.Contains(c.Origins, policy.AnyOrigin) {
		switch {
		case len(c.Origins) > 1:
			return fmt.Errorf(`check CORS: "*" stands for any origin: leave the others out, or "*"`)
		case c.Credentials:
			return fmt.Errorf(`check CORS: credentials for any page: name the origins instead of "*"`)
		}
		return nil
	}
	for _, o := range c.Origins {
		if err := policy.CheckOrigin(o); err != nil {
			return fmt.Errorf("check CORS: %w", err)
		}
	}
	return nil
}

// New returns the rules for origins that [Check] has let pass. Pages may send and
// see the headers named, in canonical form, besides those of the chassis.
func New(c *policy.CORS, request, answer []string) *Rules {
	x := &Rules{
		origins: make(map[string]*Grant, len(c.Origins)),
		expose:  list(ofAnswers, answer),
		allow:   list(ofRequests, request),
	}
	for _, o := range c.Origins {
		if o == policy.AnyOrigin {
			x.any = true
		} else {
			x.origins[o] = &Grant{origin: []string{o}, Credentials: c.Credentials}
		}
	}
	return x
}

// list returns the value of a header that lists headers.
func list(lists ...[]string) []string {
	names := slices.Concat(lists...)
	slices.Sort(names)
	return []string{strings.Join(slices.Compact(names), ", ")}
}

// Merge adds the origins of y, with credentials where either has them.
func (x *Rules) Merge(y *Rules) {
	x.any = x.any || y.any
	for o, g := range y.origins {
		if old := x.origins[o]; old == nil || g.Credentials {
			x.origins[o] = g
		}
	}
}

// Empty reports whether no page gets anything.
func (x *Rules) Empty() bool { return len(x.origins) == 0 && !x.any }

// Find returns what the request's origin gets; nil for nothing. More than one
// Origin header is no browser's, and "null" is nobody's.
func (x *Rules) Find(request http.Header) *Grant {
	values := request["Origin"]
	if len(values) != 1 {
		return nil
	}
	if g := x.origins[values[0]]; g != nil {
		return g
	}
	if x.any && values[0] != "null" {
		return anyone
	}
	return nil
}

// Share tells the browser, in the header of an answer, whether the page may read
// it, and returns what the origin gets; nil for nothing.
func (x *Rules) Share(answer, request http.Header) *Grant {
	answer["Vary"] = varyOrigin[:1:1]
	g := x.Find(request)
	if g != nil {
		answer["Access-Control-Expose-Headers"] = x.expose[:1:1]
		g.name(answer)
	}
	return g
}

// Preflight begins the answer to a preflight, and returns what the origin gets,
// for [Rules.Allow]; nil for nothing, which the answer does not say.
func (x *Rules) Preflight(answer, request http.Header) *Grant {
	answer["Vary"] = varyPreflight[:3:3]
	return x.Find(request)
}

// Allow tells the browser, in the answer to a preflight, what the page may do: use
// the verbs, listed as in an Allow header, and send headers.
func (x *Rules) Allow(answer http.Header, g *Grant, verbs string) {
	answer["Access-Control-Allow-Methods"] = []string{verbs}
	answer["Access-Control-Allow-Headers"] = x.allow[:1:1]
	answer["Access-Control-Max-Age"] = age[:1:1]
	g.name(answer)
}

// name names the origin.
func (g *Grant) name(answer http.Header) {
	answer["Access-Control-Allow-Origin"] = g.origin[:1:1]
	if g.Credentials {
		answer["Access-Control-Allow-Credentials"] = isTrue[:1:1]
	}
}
