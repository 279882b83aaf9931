package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"reflect"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	goa "goa.design/goa/v3/pkg"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/idempotency"
	"github.com/aguada-dev/aguada/limit"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/telemetry"
)

// path is what the transports of a process share.
type path struct {
	cfg      Config
	log      *slog.Logger
	all      []*method
	methods  map[methodKey]*method // those that have an endpoint
	counted  limit.Driver
	keeper   *idempotency.Keeper // nil where no method has keys
	errs     []error
	inFlight atomic.Int64
	admitted [3]atomic.Int64 // calls that count towards the adaptive limit, by priority

	streamsMu sync.Mutex
	streams   map[stream]struct{}
	closing   bool // CloseStreams was called
	lookout   lookout
}

type methodKey struct{ service, name string }

// core is what a call is on every transport. Each embeds it in what it makes of
// a call, and it is the call's context. It is never reused: a goroutine that
// outlives its call keeps its own caller.
type core struct {
	p      *path
	m      *method
	http   *call  // the call, if it came over HTTP
	entry  *entry // the call, if it came over JSON-RPC
	parent context.Context
	start  time.Time
	id     [1]string // request id, as a header's value
	quota  [1]string // RateLimit, as a header's value

	guard  *auth.Guard
	head   map[string][]string // of the answer
	lower  bool                // head's keys are in lower case
	remote string              // address of the connection's peer
	via    []string            // X-Forwarded-For

	// What observers see (observe.go).
	span   telemetry.RequestSpan
	scope  telemetry.Scope
	leased bool // a debugging lease applies

	principal *auth.Principal
	denied    *auth.Principal // authenticated, but lacks a scope
	failed    *auth.Error     // why the caller was not let in
	peer      string          // the holder of the client's certificate
	peerEnds  time.Time       // when the certificate expires; zero if it does not
	pending   bool            // authentication waits for the body
	admitted  bool            // counted in the method's in-flight calls
	charged   bool            // to the limits of its address, before the others
	loaded    bool            // counted towards the adaptive limit
	outside   bool            // was, and will be again when its method is called
	reached   bool            // the method was called
	waited    atomic.Int64    // for the client's message, in nanoseconds

	// The idempotency key (idempotent.go).
	keys   []string // values of its header
	claim  *idempotency.Claim
	replay *idempotency.Reply

	// The context (context.go).
	deadline time.Time // zero: none of its own
	mu       sync.Mutex
	std      atomic.Pointer[standard]
	ended    atomic.Bool
	endErr   error // set before ended

	watch   *watch                  // of a stream
	ending  atomic.Pointer[refused] // why the chassis ended the stream
	late    any                     // decoded payload, for credentials in the body
	stalled atomic.Bool             // a read ran into its deadline
	failure failure
}

// failure is what the log says about a call that went wrong.
type failure struct {
	kind, id, text, stack string
	gone                  bool // the client left
	fault                 bool // ours, not the caller's
}

// note keeps the first failure; later ones are its consequences.
func (c *core) note(kind, id, text string) {
	if c.failure.kind == "" {
		c.failure.kind, c.failure.id, c.failure.text = kind, id, text
	}
}

// callKey is the context key of a call's *core.
type callKey struct{}

// coreOf returns the call that ctx belongs to, on whatever transport, or nil.
func coreOf(ctx context.Context) *core {
	if c, ok := ctx.(*call); ok {
		return &c.core
	}
	c, _ := ctx.Value(callKey{}).(*core)
	return c
}

// callOf returns the HTTP call that ctx belongs to, or nil.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.(*call); ok {
		return c
	}
	if c := coreOf(ctx); c != nil {
		return c.http
	}
	return nil
}

// RequestID returns the id of the call that ctx belongs to, or "". It is what
// the answer's X-Request-ID header and the log line hold.
func RequestID(ctx context.Context) string {
	if c := coreOf(ctx); c != nil {
		return c.id[0]
	}
	return ""
}

// Confirm returns nil if ctx is that of a call that was authenticated here. It
// is what generated security functions call: the credential was verified
// before the payload was read.
func Confirm(ctx context.Context) error {
	if c := coreOf(ctx); c != nil && c.m.secured && c.principal != nil {
		return nil
	}
	return goa.Fault("method called without authentication")
}

// field is the name of a header of answers, as HTTP/1 and as gRPC write it.
type field struct{ name, lower string }

// The headers that a call on any transport may have.
var (
	fieldRateLimit       = field{"Ratelimit", "ratelimit"}
	fieldRateLimitPolicy = field{"Ratelimit-Policy", "ratelimit-policy"}
	fieldRetryAfter      = field{"Retry-After", "retry-after"}
	fieldAuthenticate    = field{"Www-Authenticate", "www-authenticate"}
	fieldReplayed        = field{policy.Replayed, "idempotency-replayed"}
	fieldCacheControl    = field{"Cache-Control", "cache-control"}
)

// key returns how the call's transport writes the name.
func (c *core) key(f field) string {
	if c.lower {
		return f.lower
	}
	return f.name
}

// tell sets a header of the answer; it keeps values.
func (c *core) tell(f field, values []string) {
	if c.head == nil {
		c.head = make(map[string][]string, 4)
	}
	c.head[c.key(f)] = values
}

// authenticate finds the principal by what src presents. Where a credential is
// in the body, the decision waits until it is decoded.
func (c *core) authenticate(src auth.Source) *refused {
	p, err := c.guard.Check(c, src)
	switch {
	case err == nil && p != nil:
		c.principal, c.pending = p, false
		return nil
	case err == nil:
		err = auth.Refuse(auth.Unavailable, "no principal")
	case !c.pending && c.late == nil && errors.Is(err, auth.ErrLate):
		c.pending = true
		return nil
	}
	return c.stranger(c.unauthenticated(err))
}

// enter counts the call among those in flight; leave ends that.
func (c *core) enter() *refused {
	m := c.m
	if m.MaxInFlight <= 0 {
		return nil
	}
	if m.running.Add(1) > int64(m.MaxInFlight) {
		m.running.Add(-1)
		return refuse(&policy.TooManyInFlight)
	}
	c.admitted = true
	return nil
}

func (c *core) leave() {
	if c.admitted {
		c.admitted = false
		c.m.running.Add(-1)
	}
}

// invoke calls the method's endpoint, once for each idempotency key.
func (c *core) invoke(ctx context.Context, e goa.Endpoint, req any) (any, error) {
	if c.m.Idempotency != nil {
		return c.once(ctx, e, req)
	}
	return c.run(ctx, e, req)
}

// run calls the method's endpoint and maps its errors. A stream waits in it: it
// leaves the stack to the method.
func (c *core) run(ctx context.Context, e goa.Endpoint, req any) (any, error) {
	ctx, err := c.reach(ctx, req)
	if err != nil {
		return nil, err
	}
	res, err := e(ctx, req)
	return c.returned(ctx, res, err)
}

// reach does what comes right before the method is called, with the context
// that it returns.
func (c *core) reach(ctx context.Context, req any) (context.Context, error) {
	if r := c.stepIn(); r != nil {
		c.p.cfg.Telemetry.Refused(r.Name)
		return nil, r
	}
	c.applyLeases()
	if c.p.cfg.Context != nil {
		ctx = c.p.cfg.Context(ctx)
	}
	c.reached = true
	c.showPayload(ctx, telemetry.RequestPayload, req)
	return ctx, nil
}

// returned maps what the method has returned.
func (c *core) returned(ctx context.Context, res any, err error) (any, error) {
	if r := c.ending.Load(); r != nil {
		return nil, r
	}
	if err != nil && c.http != nil {
		err = c.http.socketError(err)
	}
	if err != nil {
		return res, c.methodError(err)
	}
	if c.m.HasResult && c.m.Kind == policy.Unary && absent(res) {
		return nil, c.methodError(fmt.Errorf("method %s.%s returned neither result nor error", c.m.Service, c.m.Name))
	}
	c.showPayload(ctx, telemetry.ResultPayload, res)
	return res, nil
}

// absent reports whether a result is nil, or a nil pointer.
func absent(res any) bool {
	if res == nil {
		return true
	}
	v := reflect.ValueOf(res)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

// methodError maps what a method returned. Only the log has the text of an
// error that the design does not know.
func (c *core) methodError(err error) error {
	if r, ok := errors.AsType[*refused](err); ok { // what its stream told it
		return r
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return refuse(&policy.BodyTooLarge).because(err)
	}
	var named goa.GoaErrorNamer
	if errors.As(err, &named) {
		if fault, ok := errors.AsType[*goa.ServiceError](err); ok && fault.Fault {
			return c.hide(fault, err)
		}
		return err
	}
	switch {
	case c.claim != nil && idempotency.Answer(err) != nil: // of the transaction that it joined
		return c.keyRefused(err)
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(c.Err(), context.DeadlineExceeded):
		return refuse(&policy.DeadlineExceeded).because(err)
	case errors.Is(err, os.ErrDeadlineExceeded) && c.stalled.Load():
		return refuse(&policy.BodyTimeout).because(err)
	case errors.Is(c.Err(), context.Canceled):
		c.failure.gone = c.deserted()
		return refuse(&policy.Canceled).because(err)
	}
	return c.fault(err)
}

// mishap gives up what a call holds that net/http does not run: what its end
// tells others of it panicked, which must not end the process.
func (c *core) mishap(p any) {
	c.leave()
	defer func() { _ = recover() }() // the log's
	c.p.log.Error("panic at the end of a call", "request_id", c.id[0], "error", cut(fmt.Sprint(p), maxError), "stack", cut(string(debug.Stack()), maxStack))
}

// fault hides an error behind an id.
func (c *core) fault(err error) *refused {
	f := refuse(&policy.InternalFault)
	f.id = goa.NewErrorID()
	return f.because(err)
}

// hide replaces the text of a declared fault, which keeps its name and id.
func (c *core) hide(fault *goa.ServiceError, err error) error {
	c.note(fault.Name, fault.ID, err.Error())
	c.failure.fault = true
	masked := *fault
	masked.Message = policy.InternalFault.Message
	return &masked
}
