package transport

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/aguada-dev/aguada/policy"
)

// corsMaxAge is how long a browser may remember a preflight, in seconds: what
// an origin loses, it loses within ten minutes.
const corsMaxAge = "600"

// Headers that pages may send to, and see of, every method: those of the
// chassis. Names that need no permission are there too, for it is the values
// that may need it.
var (
	corsRequest  = []string{"Accept", "Content-Type", "Traceparent", "Tracestate", "X-Request-Id"}
	corsResponse = []string{
		"Allow", "Ratelimit", "Ratelimit-Limit", "Ratelimit-Policy", "Ratelimit-Remaining", "Ratelimit-Reset",
		"Retry-After", "Www-Authenticate", "X-Request-Id",
	}
)

// Header values that answers share; capacity one, so that Add copies.
var (
	varyOrigin       = []string{"Origin"}
	varyOriginAccept = []string{"Origin", "Accept"}
	varyPreflight    = []string{"Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"}
	corsTrue         = []string{"true"}
	corsAny          = []string{policy.AnyOrigin}
	corsAge          = []string{corsMaxAge}
)

// cors is what pages of other origins may do, compiled: header values are made
// at start.
type cors struct {
	origins map[string]*grant
	any     bool // "*" for those that are not in origins
	expose  []string
	allow   []string // Access-Control-Allow-Headers
}

// grant is what an origin gets.
type grant struct {
	origin      []string
	credentials bool
}

// anyone is what "*" gives.
var anyone = &grant{origin: corsAny}

// find returns what the request's origin gets; nil for none. More than one
// Origin header is no browser's, and "null" is nobody's.
func (x *cors) find(header http.Header) *grant {
	values := header["Origin"]
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

// compileCORS gives every method its origins: those of the configuration, or
// else of the contract.
func (h *HTTP) compileCORS() {
	if h.cfg.CORS != nil {
		if err := checkCORS(h.cfg.CORS); err != nil {
			h.errs = append(h.errs, err)
			return
		}
	}
	shared := &cors{origins: map[string]*grant{}}
	for _, m := range slices.Concat(h.all, h.jrpc.stands()) {
		declared := m.CORS
		if h.cfg.CORS != nil {
			declared = h.cfg.CORS
		}
		if declared == nil || m.Kind == policy.Preflight || len(m.Routes) == 0 {
			continue
		}
		if h.cfg.CORS == nil {
			if err := checkCORS(declared); err != nil {
				h.errs = append(h.errs, fmt.Errorf("method %s.%s: %w", m.Service, m.Name, err))
				continue
			}
		}
		h.errs = append(h.errs, h.refuseCORS(m, declared)...)
		m.cors = newCORS(declared, m)
		shared.merge(m.cors)
	}
	if len(shared.origins) > 0 || shared.any { // requests that no route matches
		shared.expose = corsList(corsResponse)
		h.unmatched.cors = shared
		h.asked = h.compile(policy.Method{Kind: policy.Preflight, Access: policy.Public})
		h.asked.probe = true
	}
}

// checkCORS refuses origins that no browser sends, and credentials for any.
func checkCORS(c *policy.CORS) error {
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

// refuseCORS returns why a method cannot have such origins.
func (h *HTTP) refuseCORS(m *method, c *policy.CORS) []error {
	var errs []error
	if c.Origins[0] == policy.AnyOrigin && h.ambient(m) {
		errs = append(errs, fmt.Errorf(`method %s.%s takes a credential that browsers send by themselves, so the CORS origin "*" would let any page act for its visitors: name the origins`, m.Service, m.Name))
	}
	for _, r := range m.Routes {
		if o := h.routes[routeKey{http.MethodOptions, r.Pattern}]; o != nil && o.Kind == policy.Preflight {
			errs = append(errs, fmt.Errorf("route %s %s: its preflights are answered by Goa's CORS plugin already; keep the plugin or Aguada's origins, not both", r.Verb, r.Pattern))
		}
	}
	return errs
}

func newCORS(c *policy.CORS, m *method) *cors {
	x := &cors{
		origins: make(map[string]*grant, len(c.Origins)),
		expose:  corsList(corsResponse, m.ResponseHeaders),
		allow:   corsList(corsRequest, m.RequestHeaders),
	}
	for _, o := range c.Origins {
		if o == policy.AnyOrigin {
			x.any = true
		} else {
			x.origins[o] = &grant{origin: []string{o}, credentials: c.Credentials}
		}
	}
	return x
}

// merge adds the origins of y. What matches no route is told to all of them.
func (x *cors) merge(y *cors) {
	x.any = x.any || y.any
	for o, g := range y.origins {
		if old := x.origins[o]; old == nil || g.credentials {
			x.origins[o] = g
		}
	}
}

// corsList returns the value of a header that lists headers.
func corsList(lists ...[]string) []string {
	names := slices.Concat(lists...)
	slices.Sort(names)
	return []string{strings.Join(slices.Compact(names), ", ")}
}

// share tells the browser whether the page may read the answer, whatever it
// will be, and keeps what the origin gets.
func (c *call) share() {
	x := c.m.cors
	header := c.w.Header()
	header["Vary"] = varyOrigin[:1:1]
	g := x.find(c.req.Header)
	if g == nil {
		return
	}
	c.page = g
	header["Access-Control-Allow-Origin"] = g.origin[:1:1]
	header["Access-Control-Expose-Headers"] = x.expose[:1:1]
	if g.credentials {
		header["Access-Control-Allow-Credentials"] = corsTrue[:1:1]
	}
}

// askRoute returns the route on which browsers ask whether a page may call r.
func (h *HTTP) askRoute(r *route) *route {
	ask := policy.Route{Verb: http.MethodOptions, Pattern: r.pattern}
	return &route{
		verb: ask.Verb, pattern: ask.Pattern, name: ask.Verb + " " + ask.Pattern, m: h.asked,
		f:           func(_ http.ResponseWriter, req *http.Request) { callOf(req.Context()).preflight(r) },
		instruments: h.cfg.Telemetry.Method(&h.asked.Method, ask),
	}
}

// asks returns the route of a preflight about a method that has origins; nil
// for any other request. Browsers send no credentials with it.
func (c *call) asks(path string) *route {
	asked := c.req.Header["Access-Control-Request-Method"]
	if len(asked) != 1 || len(c.req.Header["Origin"]) == 0 {
		return nil
	}
	if found := c.h.tree.find(&match{verb: asked[0]}, path); found != nil {
		return found.ask
	}
	return nil
}

// preflight says whether the page may call r, and nothing else to pages that
// may not.
func (c *call) preflight(r *route) {
	header := c.w.Header()
	header["Vary"] = varyPreflight[:3:3]
	x := r.m.cors
	g := x.find(c.req.Header)
	if g == nil {
		refusal := refuse(&policy.CrossOrigin)
		c.h.cfg.Telemetry.Refused(refusal.Name)
		c.refuse(refusal)
		return
	}
	path, _ := routingPath(c.req.URL)
	header["Access-Control-Allow-Origin"] = g.origin[:1:1]
	header["Access-Control-Allow-Methods"] = []string{c.allowedVerbs(path, r)}
	header["Access-Control-Allow-Headers"] = x.allow[:1:1]
	header["Access-Control-Max-Age"] = corsAge[:1:1]
	if g.credentials {
		header["Access-Control-Allow-Credentials"] = corsTrue[:1:1]
	}
	c.status = http.StatusNoContent
}

// allowedVerbs returns the verbs of the path that the page may use, so that
// one preflight serves for all of them; that of found is one.
func (c *call) allowedVerbs(path string, found *route) string {
	all := match{verb: "\x00"} // no route has it: allowed holds them all
	c.h.tree.find(&all, path)
	verbs := []string{found.verb}
	for _, verb := range all.allowed {
		if r := c.h.tree.find(&match{verb: verb}, path); r != nil && r.m.cors != nil && r.m.cors.find(c.req.Header) != nil {
			verbs = append(verbs, verb)
		}
	}
	slices.Sort(verbs)
	return strings.Join(slices.Compact(verbs), ", ")
}

// foreign refuses what a page of another origin does with a credential that
// its browser adds, unless the origin may use it.
func (c *call) foreign() *refused {
	if c.page != nil && c.page.credentials {
		return nil
	}
	if err := origins.Check(&c.req); err != nil {
		return refuse(&policy.CrossOrigin).saying("a page of another origin may not make this call").because(err)
	}
	return nil
}

// borrow gives a refusal the headers that Goa's CORS plugin would have given
// to an answer: its wrapper is around the handler that is not reached. They
// are taken from the preflight that it mounts on the same path.
func (c *call) borrow() {
	if c.route == nil || len(c.req.Header["Origin"]) == 0 {
		return
	}
	path, _ := routingPath(c.req.URL)
	plugin := c.h.tree.find(&match{verb: http.MethodOptions}, path)
	if plugin == nil || plugin.m.Kind != policy.Preflight {
		return
	}
	w := &headerOnly{header: http.Header{}}
	plugin.f(w, &http.Request{Method: http.MethodOptions, URL: c.req.URL, Header: http.Header{"Origin": c.req.Header["Origin"]}, Body: http.NoBody})
	header := c.w.Header()
	for name, values := range w.header {
		if name == "Vary" || strings.HasPrefix(name, "Access-Control-") {
			header[name] = values
		}
	}
}

// headerOnly keeps the header of an answer that nobody gets.
type headerOnly struct{ header http.Header }

// Header returns the header.
func (w *headerOnly) Header() http.Header { return w.header }

// Write drops p.
func (w *headerOnly) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader does nothing.
func (w *headerOnly) WriteHeader(int) {}
