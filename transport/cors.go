package transport

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/cors"
	"github.com/aguada-dev/aguada/transport/internal/route"
)

// compileCORS gives every method its origins: those of the configuration, or
// else of the contract.
func (h *HTTP) compileCORS() {
	if h.cfg.CORS != nil {
		if err := cors.Check(h.cfg.CORS); err != nil {
			h.errs = append(h.errs, err)
			return
		}
	}
	shared := cors.New(&policy.CORS{}, nil, nil) // for requests that no route matches
	for _, m := range slices.Concat(h.all, h.jrpc.stands()) {
		declared := m.CORS
		if h.cfg.CORS != nil {
			declared = h.cfg.CORS
		}
		if declared == nil || m.Kind == policy.Preflight || len(m.Routes) == 0 {
			continue
		}
		if h.cfg.CORS == nil {
			if err := cors.Check(declared); err != nil {
				h.errs = append(h.errs, fmt.Errorf("method %s.%s: %w", m.Service, m.Name, err))
				continue
			}
		}
		h.errs = append(h.errs, h.refuseCORS(m, declared)...)
		m.cors = cors.New(declared, m.RequestHeaders, m.ResponseHeaders)
		shared.Merge(m.cors)
	}
	if !shared.Empty() {
		h.unmatched.cors = shared
		h.asked = h.compile(policy.Method{Kind: policy.Preflight, Access: policy.Public})
		h.asked.probe = true
	}
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

// share tells the browser whether the page may read the answer, whatever it
// will be, and keeps what the origin gets.
func (c *call) share() { c.page = c.m.cors.Share(c.w.Header(), c.req.Header) }

// askRoute returns the route on which browsers ask whether a page may call r.
func (h *HTTP) askRoute(r *mounted) *mounted {
	ask := policy.Route{Verb: http.MethodOptions, Pattern: r.Pattern}
	return route.New(ask.Verb, ask.Pattern, served{
		m:           h.asked,
		f:           func(_ http.ResponseWriter, req *http.Request) { callOf(req.Context()).preflight(r) },
		instruments: h.cfg.Telemetry.Method(&h.asked.Method, ask),
	})
}

// asks returns the route of a preflight about a method that has origins; nil
// for any other request. Browsers send no credentials with it.
func (c *call) asks() *mounted {
	asked := c.req.Header["Access-Control-Request-Method"]
	if len(asked) != 1 || len(c.req.Header["Origin"]) == 0 {
		return nil
	}
	if found := c.h.tree.Find(&route.Match{Verb: asked[0]}, c.req.URL); found != nil {
		return found.Value.ask
	}
	return nil
}

// preflight says whether the page may call r, and nothing else to pages that
// may not.
func (c *call) preflight(r *mounted) {
	rules := r.Value.m.cors
	page := rules.Preflight(c.w.Header(), c.req.Header)
	if page == nil {
		refusal := refuse(&policy.CrossOrigin)
		c.h.cfg.Telemetry.Refused(refusal.Name)
		c.refuse(refusal)
		return
	}
	rules.Allow(c.w.Header(), page, c.allowedVerbs(r))
	c.status = http.StatusNoContent
}

// allowedVerbs returns the verbs of the path that the page may use, so that
// one preflight serves for all of them; that of found is one.
func (c *call) allowedVerbs(found *mounted) string {
	verbs := []string{found.Verb}
	for _, verb := range c.h.tree.Verbs(c.req.URL) {
		if r := c.h.tree.Find(&route.Match{Verb: verb}, c.req.URL); r != nil && r.Value.m.cors != nil && r.Value.m.cors.Find(c.req.Header) != nil {
			verbs = append(verbs, verb)
		}
	}
	slices.Sort(verbs)
	return strings.Join(slices.Compact(verbs), ", ")
}

// foreign refuses what a page of another origin does with a credential that
// its browser adds, unless the origin may use it.
func (c *call) foreign() *refused {
	if c.page != nil && c.page.Credentials {
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
	plugin := c.h.tree.Find(&route.Match{Verb: http.MethodOptions}, c.req.URL)
	if plugin == nil || plugin.Value.m.Kind != policy.Preflight {
		return
	}
	w := &headerOnly{header: http.Header{}}
	plugin.Value.f(w, &http.Request{Method: http.MethodOptions, URL: c.req.URL, Header: http.Header{"Origin": c.req.Header["Origin"]}, Body: http.NoBody})
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
