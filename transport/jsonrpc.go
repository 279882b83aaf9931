package transport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"goa.design/goa/v3/jsonrpc"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/limit"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/telemetry"
	"github.com/aguada-dev/aguada/transport/internal/media"
)

// JSONRPC serves the methods of a contract over JSON-RPC 2.0. It reads requests
// itself, and gives the handlers of a generated server one call at a time:
//
//	rpc := h.JSONRPC()
//	server := ordersrpc.New(endpoints, h, rpc.Decoder, rpc.Encoder, rpc.ErrorHandler)
//	rpc.Handle("orders", "create", server.Create, func(r *http.Request, req *jsonrpc.RawRequest) error {
//		_, err := ordersrpc.DecodeCreateRequest(h, rpc.Decoder)(r, req)
//		return err
//	})
//	err = h.Ready()
//
// A request is one call or a batch of at most [policy.MaxBatch], and not larger
// than the largest MaxBody of its route's methods. A route whose methods are all
// secured, and not by what is in their params, refuses a request without a valid
// credential before reading it. Each
// call is then authenticated, limited, traced, logged and audited as if it had
// come alone, one after the other; all of them end with the longest Deadline of
// the route's methods but for those that stream, which no batch can hold. A method that has routes besides shares its limits and
// calls in flight with them. A caller whom the route refuses is charged to the
// loosest limits per address of its methods, if all have some, and an overloaded
// process that would refuse every call of a route does not read requests for it.
//
// What is wrong with a request as a whole is answered with its HTTP status (400,
// 401, 403, 408, 413, 415, 429, 503) and a JSON-RPC error; what is wrong with a call,
// and a body that is no JSON, with status 200 and the code that [policy.Answers]
// and [policy.ErrorKinds] have, or the design. An error's data is that of Goa's
// errors, with retry_after, in seconds, where the call may succeed later. A
// request of notifications alone is answered 204.
//
// Handle must not be called after HTTP.Ready, nor concurrently.
type JSONRPC struct {
	h      *HTTP
	fronts []*front
	all    []*procedure
	errs   []error
}

// front is a route that calls come by.
type front struct {
	h       *HTTP
	m       *method       // stands for the route until the method of a call is known
	longest time.Duration // what a batch may take; 0 for any
	methods map[string]*procedure
	order   []*procedure
	unknown *procedure
}

// procedure is a method as it is called over JSON-RPC.
type procedure struct {
	policy.JSONRPC
	m           *method
	f           *front
	guard       *auth.Guard
	who         string // what the guard asks for, but for scopes
	instruments *telemetry.RPCInstruments
	stream      *method // stands for the call while it streams events
	bodyOf      func(err error) any
	handle      Handler
	check       Checker
}

// Handler is a generated handler of one JSON-RPC method.
type Handler = func(context.Context, *http.Request, *jsonrpc.RawRequest, http.ResponseWriter) error

// Checker returns what a generated decoder returns of a call's params.
type Checker = func(*http.Request, *jsonrpc.RawRequest) error

// JSONRPC returns what serves the contract over JSON-RPC.
func (h *HTTP) JSONRPC() *JSONRPC { return h.jrpc }

// compileJSONRPC makes what serves the contract over JSON-RPC.
func (h *HTTP) compileJSONRPC() {
	h.jrpc = &JSONRPC{h: h}
	byRoute := map[policy.Route]*front{}
	for _, m := range h.all {
		j := m.JSONRPC
		if j == nil {
			continue
		}
		if m.Idempotency != nil {
			h.errs = append(h.errs, fmt.Errorf("method %s.%s has idempotency keys, which JSON-RPC has no place for", m.Service, m.Name))
		}
		f := byRoute[j.Route]
		if f == nil {
			f = &front{h: h, methods: map[string]*procedure{}}
			byRoute[j.Route] = f
			h.jrpc.fronts = append(h.jrpc.fronts, f)
		}
		if f.methods[j.Method] != nil {
			h.errs = append(h.errs, fmt.Errorf("JSON-RPC method %q of route %s %s is in the contract twice", j.Method, j.Route.Verb, j.Route.Pattern))
		}
		p := &procedure{JSONRPC: *j, m: m, f: f, instruments: h.cfg.Telemetry.RPC(telemetry.JSONRPC, &m.Method, j.Method)}
		p.who = identity(j.Requirements)
		f.methods[j.Method], f.order = p, append(f.order, p)
		h.jrpc.all = append(h.jrpc.all, p)
	}
	for _, f := range h.jrpc.fronts {
		f.compile()
	}
}

// identity tells requirements apart but for their scopes.
func identity(reqs []policy.Requirement) string {
	text := ""
	for _, r := range reqs {
		text += fmt.Sprintf("%q;", r.Schemes)
	}
	return text
}

// compile makes the method that stands for the route: what is the loosest of all
// holds until it is known which one is called.
func (f *front) compile() {
	h, route := f.h, f.order[0].Route
	p := policy.Method{
		Service: f.order[0].m.Service, Kind: policy.Unary, Access: policy.Public, Routes: []policy.Route{route},
		HasBody: true, Consumes: []string{media.TypeJSON}, Produces: []string{media.TypeJSON}, CORS: f.order[0].m.CORS,
		Deadline: f.order[0].m.Deadline, StreamIdle: f.order[0].m.StreamIdle, MessageRate: f.order[0].m.MessageRate,
	}
	for _, o := range f.order {
		m := o.m
		if o.Kind == policy.WebSocket {
			p.Kind, p.HasBody, p.Consumes = policy.WebSocket, false, nil
		}
		p.MaxBody = max(p.MaxBody, m.maxBody)
		p.Deadline = longest(p.Deadline, m.Deadline)
		p.StreamIdle = longest(p.StreamIdle, m.StreamIdle)
		p.MessageRate = loosest(p.MessageRate, m.MessageRate)
		p.Requirements = append(p.Requirements, o.Requirements...)
		p.RequestHeaders = append(p.RequestHeaders, o.RequestHeaders...)
		if !sameOrigins(p.CORS, m.CORS) {
			h.errs = append(h.errs, fmt.Errorf("methods %s and %s share the JSON-RPC route %s %s, and pages of different origins may call them: a page's browser asks before it says which",
				f.order[0].m.Name, m.Name, route.Verb, route.Pattern))
		}
	}
	for _, o := range f.order {
		if (o.Kind == policy.WebSocket) != (p.Kind == policy.WebSocket) {
			h.errs = append(h.errs, fmt.Errorf("JSON-RPC route %s %s has both WebSockets and others", route.Verb, route.Pattern))
		}
	}
	if p.Kind == policy.WebSocket {
		p.Deadline, p.StrictBody = 0, f.strict()
	}
	slices.Sort(p.RequestHeaders)
	p.RequestHeaders = slices.Compact(p.RequestHeaders)
	f.m = f.stand(p)
	f.unknown = &procedure{m: h.unmatched, f: f, instruments: h.cfg.Telemetry.UnknownRPC(telemetry.JSONRPC)}
	p.Kind, p.Deadline = policy.EventStream, 0
	for _, o := range f.order {
		if o.Kind == policy.EventStream {
			p.StreamIdle, p.Name = o.m.StreamIdle, o.m.Name
			o.stream = f.stand(p)
		}
	}
	f.longest, f.m.load = f.bound(), f.door()
	key := routeKey{route.Verb, route.Pattern}
	if other := h.routes[key]; other != nil {
		h.errs = append(h.errs, fmt.Errorf("route %s %s belongs to %s.%s and to JSON-RPC", route.Verb, route.Pattern, other.Service, other.Name))
		return
	}
	h.routes[key] = f.m
}

func (f *front) stand(p policy.Method) *method {
	m := f.h.compile(p)
	m.front, m.load = f, nil // its calls are counted
	return m
}

// strict reports whether the params of a WebSocket's calls are under StrictBody.
// They are decoded before it is known which method is called.
func (f *front) strict() bool {
	var seen [2]string
	for _, o := range f.order {
		switch {
		case !o.HasParams:
		case o.m.StrictBody:
			seen[1] = o.m.Name
		default:
			seen[0] = o.m.Name
		}
	}
	if seen[0] != "" && seen[1] != "" {
		f.h.errs = append(f.h.errs, fmt.Errorf("method %s of %s has StrictBody, and %s of the same WebSocket has not: its server decodes params before it is known whose they are",
			seen[1], f.order[0].m.Service, seen[0]))
	}
	return seen[1] != ""
}

// bound returns what a batch may take: the longest Deadline of the methods that it
// can hold; 0 for any time.
func (f *front) bound() time.Duration {
	most := policy.Duration(-1)
	for _, o := range f.order {
		switch {
		case o.Kind == policy.EventStream:
		case most < 0:
			most = o.m.Deadline
		default:
			most = longest(most, o.m.Deadline)
		}
	}
	return time.Duration(max(most, 0))
}

// door returns what a request passes before it is read: if there is no room for
// the most favoured of its methods, there is none for any. It takes no place, as
// its calls do. Nil where a method is always let in.
func (f *front) door() *load {
	best := policy.LowPriority
	for _, o := range f.order {
		switch {
		case o.m.load == nil:
			return nil
		case o.m.ShedPriority == policy.HighPriority || best == policy.LowPriority && o.m.ShedPriority != policy.LowPriority:
			best = cmp.Or(o.m.ShedPriority, policy.NormalPriority)
		}
	}
	return &load{method: f.h.cfg.Load.Method(adaptivePriorities[best]), passing: true}
}

// strangers returns the limits to which callers are charged who are not let in,
// before it is known which method they mean: of those per address the loosest; nil
// where a method has none.
func (f *front) strangers() *limits {
	var loosest *limits
	var least time.Duration
	for _, o := range f.order {
		l := o.m.limits
		if l == nil || l.strangers == nil {
			return nil
		}
		tightest := time.Duration(0)
		for _, r := range o.m.RateLimits {
			if r.Partition == policy.PerClientIP {
				tightest = max(tightest, limit.Rule{Rate: r.Rate, Per: time.Duration(r.Per)}.Interval())
			}
		}
		if loosest == nil || tightest < least {
			loosest, least = &limits{strangers: l.strangers}, tightest
		}
	}
	return loosest
}

// longest returns the longer of two bounds of time, of which 0 is none.
func longest(a, b policy.Duration) policy.Duration {
	if a == 0 || b == 0 {
		return 0
	}
	return max(a, b)
}

// loosest returns the one that lets more messages pass; nil bounds nothing.
func loosest(a, b *policy.MessageRate) *policy.MessageRate {
	if a == nil || b == nil {
		return nil
	}
	if float64(a.Rate)*float64(b.Per) >= float64(b.Rate)*float64(a.Per) {
		return a
	}
	return b
}

func sameOrigins(a, b *policy.CORS) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Credentials == b.Credentials && slices.Equal(a.Origins, b.Origins)
}

// stands returns the methods that stand for routes.
func (j *JSONRPC) stands() []*method {
	all := make([]*method, 0, len(j.fronts))
	for _, f := range j.fronts {
		all = append(all, f.m)
	}
	return all
}

// mount mounts the routes that are not a WebSocket's, which generated code
// mounts.
func (j *JSONRPC) mount() {
	for _, f := range j.fronts {
		for _, other := range f.order {
			if other.stream != nil {
				other.stream.cors = f.m.cors
			}
		}
		if f.m.Kind != policy.WebSocket {
			r := f.m.Routes[0]
			j.h.mount(r.Verb, r.Pattern, f.m, f.serve)
		}
	}
}

// Handle takes the generated handler of a method, and what says why its params
// cannot be decoded; nil for a method without params. A method that the contract
// does not know, and a second handler, are errors of HTTP.Ready. Methods over
// WebSockets have none: their server is mounted as one over HTTP is.
func (j *JSONRPC) Handle(service, name string, handle Handler, check Checker) {
	i := slices.IndexFunc(j.all, func(p *procedure) bool { return p.m.Service == service && p.m.Name == name })
	switch {
	case i < 0 || j.all[i].Kind == policy.WebSocket:
		j.errs = append(j.errs, fmt.Errorf("method %s.%s is not called over JSON-RPC by the contract", service, name))
	case j.all[i].handle != nil:
		j.errs = append(j.errs, fmt.Errorf("method %s.%s is handled over JSON-RPC twice", service, name))
	case handle == nil || check == nil && j.all[i].HasParams:
		j.errs = append(j.errs, fmt.Errorf("method %s.%s has no handler over JSON-RPC", service, name))
	default:
		j.all[i].handle, j.all[i].check = handle, check
	}
}

// ErrorBody says how the design encodes declared errors of its own types: f
// returns the generated body for such an error, or nil.
func (j *JSONRPC) ErrorBody(service, name string, f func(err error) any) {
	i := slices.IndexFunc(j.all, func(p *procedure) bool { return p.m.Service == service && p.m.Name == name })
	if i < 0 {
		j.errs = append(j.errs, fmt.Errorf("method %s.%s is not called over JSON-RPC by the contract", service, name))
		return
	}
	j.all[i].bodyOf = f
}

// ready ends the preparation: it returns what would make a method unreachable or
// unguarded.
func (j *JSONRPC) ready() []error {
	errs := j.errs
	for _, p := range j.all {
		m := p.m
		switch {
		case p.handle == nil && p.Kind != policy.WebSocket:
			errs = append(errs, fmt.Errorf("method %s.%s is not handled over JSON-RPC", m.Service, m.Name))
		case !m.wrapped:
			errs = append(errs, fmt.Errorf("method %s.%s: its endpoint is not wrapped, and JSON-RPC calls nothing else", m.Service, m.Name))
		}
		if !m.secured {
			continue
		}
		guard, err := p.newGuard()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p.guard = guard
	}
	for _, f := range j.fronts {
		f.m.ambient = j.h.ambient(f.m)
		errs = append(errs, f.entrance())
		if r := f.m.Routes[0]; !j.h.mounted[routeKey{r.Verb, r.Pattern}] {
			errs = append(errs, fmt.Errorf("route %s %s of JSON-RPC is not mounted", r.Verb, r.Pattern))
		}
	}
	return errs
}

// newGuard makes what lets callers of the method in.
func (p *procedure) newGuard() (*auth.Guard, error) {
	h, m := p.f.h, p.m.Method
	m.Requirements = p.Requirements
	guard, err := auth.NewGuard(h.cfg.Contract.API.Name, &m, h.cfg.Contract.Schemes, h.cfg.Verifiers)
	switch {
	case err != nil:
		return nil, err
	case guard.Open():
		return nil, fmt.Errorf("method %s.%s is secured by nothing over JSON-RPC", m.Service, m.Name)
	case guard.Late() && p.m.late == nil:
		return nil, fmt.Errorf("method %s.%s: nothing finds the credential in its params", m.Service, m.Name)
	}
	return guard, nil
}

// entrance makes the guard of a route without public methods: what satisfies one
// of them, whatever the scopes, lets a request be read. Credentials in params are
// behind the entrance.
func (f *front) entrance() error {
	m := f.m.Method
	m.Access, m.Requirements = policy.Secured, nil
	seen := map[string]bool{}
	for _, p := range f.order {
		if !p.m.secured || p.Late() {
			return nil
		}
		for _, r := range p.Requirements {
			r.Scopes = nil
			if key := identity([]policy.Requirement{r}); !seen[key] {
				seen[key] = true
				m.Requirements = append(m.Requirements, r)
			}
		}
	}
	guard, err := auth.NewGuard(f.h.cfg.Contract.API.Name, &m, f.h.cfg.Contract.Schemes, f.h.cfg.Verifiers)
	if err == nil && guard.Open() {
		err = errors.New("it is secured by nothing")
	}
	if err != nil {
		return fmt.Errorf("JSON-RPC route %s %s: %w", f.m.Routes[0].Verb, f.m.Routes[0].Pattern, err)
	}
	f.m.guard, f.m.secured, f.m.limits = guard, true, f.strangers()
	return nil
}

// deadlineOf returns when a call that begins now has to end; zero for never.
func (p *procedure) deadlineOf(now time.Time) time.Time {
	if d := time.Duration(p.m.Deadline); d > 0 && p.stream == nil {
		return now.Add(d)
	}
	return time.Time{}
}

// code returns the code of an error that the design declares.
func (p *procedure) code(name string) (int, bool) {
	code, ok := p.Errors[name]
	return code, ok
}
