// Package transport is the path of a request: what happens between the server
// and the user's method.
//
// [HTTP] is a Goa muxer that knows the contract. Given to the generated New and
// Mount in place of Goa's own, it matches each request once and then, per
// method and in this order: recovers from panics, gives the request an id,
// tells browsers which pages may read the answer (CORS),
// authenticates before the body is touched, bounds the calls in flight and the
// body, sets deadlines, lets Goa decode, call and encode, maps errors, and
// writes one line of log.
//
//	h, err := transport.New(transport.Config{Contract: contract, Verifiers: verifiers, Logger: logger})
//	endpoints.Create = h.Endpoint("orders", "create", endpoints.Create)
//	server := orderssvr.New(endpoints, h, h.Decoder, h.Encoder, h.ErrorHandler, h.Formatter)
//	orderssvr.Mount(h, server)
//	err = h.Ready()
//
// It refuses to serve what the contract does not know: a route without a
// policy, a policy without a route, a scheme without a verifier are errors of
// [HTTP.Ready]. It listens on nothing: any http.Server does that.
package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	goahttp "goa.design/goa/v3/http"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/idempotency"
	"github.com/aguada-dev/aguada/limit"
	"github.com/aguada-dev/aguada/limit/adaptive"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/telemetry"
	"github.com/aguada-dev/aguada/transport/internal/cors"
	"github.com/aguada-dev/aguada/transport/internal/media"
	"github.com/aguada-dev/aguada/transport/internal/route"
)

// Config is what an HTTP is made of. Only Contract is required.
type Config struct {
	Contract *policy.Contract
	// Verifiers prove the credentials of the contract's schemes.
	Verifiers auth.Verifiers
	// Logger writes the log; nil discards it. With a *telemetry.Handler
	// behind it the line of a request costs no allocation.
	Logger *slog.Logger
	// ReadTimeout bounds the reading of a request's body; 0 means none but
	// the method's deadline. It takes the place of http.Server.ReadTimeout,
	// which should stay 0: that one also cancels requests under way.
	ReadTimeout time.Duration
	// WriteTimeout is that of the http.Server, for the sake of methods that
	// may take longer; 0 means none.
	WriteTimeout time.Duration
	// Telemetry records traces and metrics; nil records none.
	Telemetry *telemetry.Telemetry
	// Leases may lower the log's level and show payloads for chosen calls;
	// nil means that there are none.
	Leases *telemetry.Leases
	// Context, if set, returns the context in which a method is called, made
	// from that of the request, such as one with another library's logger.
	Context func(context.Context) context.Context
	// Audit, if set, is given the audit events that the log gets.
	Audit func(*Event)
	// Trusts, if set, says whether the authority of a connection's client
	// certificate is still trusted. Where it is not, the request is answered
	// 421 and the connection closed.
	Trusts func(*tls.ConnectionState) bool
	// Identity, if set, returns who the holder of a connection's client
	// certificate is, or nil for nobody. For an error the request is answered
	// 403 and the connection closed, and so it is once the principal has
	// expired. The holder is the principal of methods that ask for no
	// credential. See [ConnContext].
	Identity func(*tls.ConnectionState) (*auth.Principal, error)
	// StrictTransport is how long browsers are told to come by TLS only
	// (RFC 6797), in whole seconds; less than one tells them nothing.
	StrictTransport time.Duration
	// Limits, if set, returns where the contract's rate limits are counted; it is
	// asked by Ready. Without it, and for nil, that is in this process.
	Limits func() limit.Driver
	// Idempotency, if set, returns what keeps the answers of methods with
	// idempotency keys; it is asked by Ready, which fails without one where the
	// contract has such methods. It remains the caller's.
	Idempotency func() *idempotency.Keeper
	// Load, if set, bounds what the process serves at once. It is not asked for
	// streams, preflights and what the chassis itself answers.
	Load *adaptive.Limiter
	// OneAddress says that clients cannot be told apart by their addresses, as
	// behind a proxy that is not in TrustedProxies: limits per client address
	// are off.
	OneAddress bool
	// TrustedProxies are the networks whose X-Forwarded-For is believed: the
	// client of a request is then the last address in it that is not one of
	// theirs. Without any it is the peer of the connection.
	TrustedProxies []netip.Prefix
	// CORS, if set, takes the place of the origins of the contract, for every
	// method. New fails on origins that no browser sends, and on "*" with
	// credentials or where a method takes ambient ones.
	CORS *policy.CORS
	// Draining reports whether the process is about to stop: answers then
	// close their connection, and new streams are refused. Nil means never.
	Draining func() bool
}

// HTTP serves the methods of a contract. Its methods that prepare it (Handle,
// Plain, Endpoint, Late, OwnAuther, ErrorBody) must not be called after Ready,
// nor concurrently; the others are safe for concurrent use.
type HTTP struct {
	path

	tree      route.Tree[served]
	routes    map[routeKey]*method
	mounted   map[routeKey]bool
	unmatched *method
	strict    []string // Strict-Transport-Security; nil for none
	plain     *method
	asked     *method // preflights; nil where no method has origins
	rpc       *GRPC
	jrpc      *JSONRPC
}

var _ goahttp.Muxer = (*HTTP)(nil)

type routeKey struct{ verb, pattern string }

// method is a policy, compiled.
type method struct {
	policy.Method
	guard   *auth.Guard
	secured bool // authenticated here
	ambient bool // by a credential that browsers send by themselves
	cors    *cors.Rules
	maxBody int64

	// For the server's connection; 0 and false leave the server's alone.
	readTimeout, writeTimeout time.Duration
	clearRead, clearWrite     bool

	messages, extras pace // that clients may send on a stream; without bounds if zero

	front    *front       // what it stands for, if it is a route of JSON-RPC
	running  atomic.Int64 // calls in flight, where MaxInFlight bounds them
	limits   *limits      // nil for none
	load     *load        // nil for none
	stored   []string     // headers of answers that go with an idempotency key
	offers   []media.Offer
	probe    bool // the chassis' own, logged quietly
	late     func(req any, scheme string) (auth.Credential, bool)
	wrapped  bool // its endpoint, which verifies a credential that is late
	bodyOf   func(err error) any
	consumes []string
}

// New returns an HTTP for the contract, without routes yet.
func New(cfg Config) (*HTTP, error) {
	if cfg.Contract == nil {
		return nil, errors.New("make transport: no contract")
	}
	h := &HTTP{
		path:   path{cfg: cfg, log: cfg.Logger, methods: map[methodKey]*method{}, streams: map[stream]struct{}{}},
		routes: map[routeKey]*method{}, mounted: map[routeKey]bool{},
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	for i := range cfg.Contract.Services {
		for _, p := range cfg.Contract.Services[i].Methods {
			h.addPolicy(p)
		}
	}
	h.unmatched = h.compile(policy.Method{Kind: policy.Unary, Access: policy.Public})
	h.plain = h.compile(policy.Method{Kind: policy.Unary, Access: policy.Public})
	h.plain.probe = true
	if cfg.StrictTransport >= time.Second { // max-age=0 would make them forget
		h.strict = []string{"max-age=" + strconv.FormatInt(int64(cfg.StrictTransport/time.Second), 10)}
	}
	h.compileJSONRPC()
	h.compileCORS()
	h.jrpc.mount()
	h.compileGRPC()
	if err := errors.Join(h.errs...); err != nil {
		return nil, fmt.Errorf("make transport: %w", err)
	}
	return h, nil
}

// addPolicy compiles a policy and claims its routes.
func (h *HTTP) addPolicy(p policy.Method) {
	m := h.compile(p)
	h.all = append(h.all, m)
	if p.Kind != policy.Files && p.Kind != policy.Preflight {
		key := methodKey{p.Service, p.Name}
		if h.methods[key] != nil {
			h.errs = append(h.errs, fmt.Errorf("method %s.%s is in the contract twice", p.Service, p.Name))
		}
		h.methods[key] = m
	}
	for _, r := range p.Routes {
		rk := routeKey{r.Verb, r.Pattern}
		if other, ok := h.routes[rk]; ok && other.Kind != policy.Preflight {
			h.errs = append(h.errs, fmt.Errorf("route %s %s belongs to %s.%s and %s.%s",
				r.Verb, r.Pattern, other.Service, other.Name, p.Service, p.Name))
			continue
		}
		h.routes[rk] = m
	}
}

// writeSlack is the time that an answer may take past its method's deadline.
const writeSlack = 10 * time.Second

func (h *HTTP) compile(p policy.Method) *method {
	m := &method{Method: p, maxBody: p.MaxBody, offers: media.Offers(p.Produces), consumes: p.Consumes}
	if m.maxBody <= 0 {
		m.maxBody = policy.DefaultMaxBody
	}
	m.load = h.compileLoad(&p)
	switch p.Access {
	case policy.Secured:
		m.secured = true
	case policy.Public, policy.Undeclared:
	default:
		h.errs = append(h.errs, fmt.Errorf("method %s.%s: unknown access %q", p.Service, p.Name, p.Access))
	}
	if err := m.compileStream(); err != nil {
		h.errs = append(h.errs, err)
	}
	if p.HasBody && len(m.consumes) == 0 {
		m.consumes = []string{"application/json"}
	}
	deadline := time.Duration(p.Deadline)
	m.readTimeout = h.cfg.ReadTimeout
	if p.Kind.Stream() { // what it is asked by may have a body, and that does not stream
		m.clearRead, m.clearWrite = true, true
		return m
	}
	if deadline > 0 && (m.readTimeout <= 0 || deadline < m.readTimeout) {
		m.readTimeout = deadline
	}
	m.clearRead = h.cfg.ReadTimeout > 0 && (deadline == 0 || deadline > h.cfg.ReadTimeout)
	if h.cfg.WriteTimeout > 0 && p.Kind == policy.Unary && p.Service != "" {
		m.clearWrite = deadline == 0
		if deadline+writeSlack > h.cfg.WriteTimeout {
			m.writeTimeout = deadline + writeSlack
		}
	}
	return m
}

// Handle mounts the handler of a route of the contract (goahttp.Muxer). A
// route that the contract does not know, a bad pattern and a second handler
// are errors of Ready. GET routes of file servers answer HEAD too.
func (h *HTTP) Handle(verb, pattern string, f http.HandlerFunc) {
	m := h.owner(verb, pattern)
	if m == nil {
		h.errs = append(h.errs, fmt.Errorf("route %s %s is not in the contract", verb, pattern))
		return
	}
	h.mount(verb, pattern, m, f)
	if verb == http.MethodGet && (m.Kind == policy.Files || m.Kind == policy.Redirect) && h.routes[routeKey{http.MethodHead, pattern}] == nil {
		h.mount(http.MethodHead, pattern, m, f)
	}
}

// owner returns the method of a route. Goa mounts the folder of a file server
// beside its wildcard; the contract needs to name only the latter.
func (h *HTTP) owner(verb, pattern string) *method {
	if m := h.routes[routeKey{verb, pattern}]; m != nil {
		return m
	}
	if !strings.HasSuffix(pattern, "/") {
		return nil
	}
	for key, m := range h.routes {
		rest, ok := strings.CutPrefix(key.pattern, pattern)
		if m.Kind == policy.Files && ok && key.verb == verb && strings.HasPrefix(rest, "{*") {
			return m
		}
	}
	return nil
}

func (h *HTTP) mount(verb, pattern string, m *method, f http.HandlerFunc) {
	if m.Kind == policy.Preflight && h.mounted[routeKey{verb, pattern}] {
		return // services that share a path have one each: the first answers
	}
	h.mounted[routeKey{verb, pattern}] = true
	r := route.New(verb, pattern, served{m: m, f: f, instruments: h.cfg.Telemetry.Method(&m.Method, policy.Route{Verb: verb, Pattern: pattern})})
	if m.cors != nil {
		r.Value.ask = h.askRoute(r)
	}
	if err := h.tree.Add(r); err != nil {
		h.errs = append(h.errs, err)
	}
}

// Plain mounts a route of the chassis itself, such as a health probe: public,
// logged at debug level. GET routes answer HEAD too. It does nothing where the
// design has the same route.
func (h *HTTP) Plain(verb, pattern string, f http.Handler) {
	if h.routes[routeKey{verb, pattern}] != nil {
		return
	}
	h.mount(verb, pattern, h.plain, f.ServeHTTP)
	if verb == http.MethodGet {
		h.Plain(http.MethodHead, pattern, f)
	}
}

// method returns a method of the contract; an unknown one is an error of Ready.
func (h *HTTP) method(service, name string) *method {
	m := h.methods[methodKey{service, name}]
	if m == nil {
		h.errs = append(h.errs, fmt.Errorf("method %s.%s is not in the contract", service, name))
	}
	return m
}

// Late says how to find a credential that the design puts in the body: f
// returns what the decoded payload holds for the scheme, and whether it does.
func (h *HTTP) Late(service, name string, f func(req any, scheme string) (auth.Credential, bool)) {
	if m := h.method(service, name); m != nil {
		m.late = f
	}
}

// ErrorBody says how the design encodes declared errors of its own types,
// which Goa leaves to the formatter: f returns the generated body for such an
// error, or nil.
func (h *HTTP) ErrorBody(service, name string, f func(err error) any) {
	if m := h.method(service, name); m != nil {
		m.bodyOf = f
	}
}

// OwnAuther says that the service authenticates by functions of its own, as
// Goa has it: the methods of the service are called without a principal.
func (h *HTTP) OwnAuther(service string) {
	found := false
	for _, m := range h.all {
		if m.Service == service {
			m.secured, found = false, true
		}
	}
	if !found {
		h.errs = append(h.errs, fmt.Errorf("service %s is not in the contract", service))
	}
}

// Ready ends the preparation. It returns, joined, all that would make a method
// unreachable or unguarded.
func (h *HTTP) Ready() error {
	errs := h.errs
	for _, m := range h.all {
		for _, r := range m.Routes {
			if !h.mounted[routeKey{r.Verb, r.Pattern}] && m.Kind != policy.Preflight {
				errs = append(errs, fmt.Errorf("route %s %s of %s.%s is not mounted", r.Verb, r.Pattern, m.Service, m.Name))
			}
		}
		m.ambient = h.ambient(m)
		errs = append(errs, h.compileLimits(m), h.compileIdempotency(m))
		if !m.secured || len(m.Routes) == 0 { // without a route nothing calls it
			continue
		}
		guard, err := auth.NewGuard(h.cfg.Contract.API.Name, &m.Method, h.cfg.Contract.Schemes, h.cfg.Verifiers)
		switch {
		case err != nil:
			errs = append(errs, err)
		case guard.Open():
			errs = append(errs, fmt.Errorf("method %s.%s is secured by nothing", m.Service, m.Name))
		case guard.Late() && !m.wrapped:
			errs = append(errs, fmt.Errorf("method %s.%s: its endpoint is not wrapped, and nothing else verifies the credential in its body", m.Service, m.Name))
		case guard.Late() && (m.late == nil || m.Kind == policy.Files || m.Kind == policy.Redirect || m.Kind == policy.Preflight):
			errs = append(errs, fmt.Errorf("method %s.%s: nothing finds the credential in its body", m.Service, m.Name))
		default:
			m.guard = guard
		}
	}
	errs = append(errs, h.rpc.ready()...)
	errs = append(errs, h.jrpc.ready()...)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("mount contract: %w", err)
	}
	return nil
}

// ambient reports whether a browser adds a credential of the method to
// requests that a foreign page makes. Where the design answers preflights, it
// governs origins itself.
func (h *HTTP) ambient(m *method) bool {
	for _, r := range m.Routes {
		if o := h.routes[routeKey{http.MethodOptions, r.Pattern}]; o != nil && o.Kind == policy.Preflight {
			return false
		}
	}
	if h.cfg.Identity != nil { // browsers present certificates by themselves
		return true
	}
	for _, r := range m.Requirements {
		for _, u := range r.Schemes {
			if u.In == policy.InCookie || slices.ContainsFunc(h.cfg.Contract.Schemes, func(s policy.Scheme) bool {
				return s.Name == u.Scheme && s.Kind == policy.Basic
			}) {
				return true
			}
		}
	}
	return false
}
