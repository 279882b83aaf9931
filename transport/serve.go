package transport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"runtime/debug"
	"time"

	goa "goa.design/goa/v3/pkg"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/telemetry"
)

// Header values that all answers share; capacity one, so that Add copies.
var (
	noSniff         = []string{"nosniff"}
	noStore         = []string{"no-store"}
	closeConnection = []string{"close"}
	retryAfter      = []string{"1"}
	varyOn          = []string{"Accept"}
)

// origins refuses unsafe requests that a browser makes for a page of another
// origin.
var origins http.CrossOriginProtection

// ServeHTTP serves one request.
func (h *HTTP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{h: h, w: w, parent: r.Context(), start: time.Now()}
	h.inFlight.Add(1)
	defer h.inFlight.Add(-1)
	defer c.end()
	c.serve(r)
}

// serve takes the request along its path up to Goa's handler.
func (c *call) serve(r *http.Request) {
	header := c.w.Header()
	c.id[0] = requestID(r.Header)
	header["X-Request-Id"] = c.id[:1:1]
	header["X-Content-Type-Options"] = noSniff
	if c.h.strict != nil {
		header["Strict-Transport-Security"] = c.h.strict
	}
	draining := c.h.cfg.Draining != nil && c.h.cfg.Draining()
	if draining {
		header["Connection"] = closeConnection
	}
	c.req = *r.WithContext(c)
	refusal := c.find()
	if c.m.cors != nil {
		c.share()
	}
	r.Pattern = c.req.Pattern
	c.observe()
	if d := c.m.Deadline; d > 0 {
		c.deadline = c.start.Add(time.Duration(d))
	}
	c.takeBody()
	if untrusted := c.checkPeer(); untrusted != nil {
		refusal = untrusted
	}
	if refusal == nil && draining && c.m.Kind.Stream() {
		refusal = stopping()
	}
	if refusal == nil {
		refusal = c.admit()
	}
	if refusal != nil {
		c.h.cfg.Telemetry.Refused(cmp.Or(refusal.counted, refusal.name))
		c.refuse(refusal)
		return
	}
	c.setDeadlines()
	c.route.f(c, &c.req)
}

// find matches the request to a route.
func (c *call) find() *refused {
	m, r := &c.match, &c.req
	m.verb = r.Method
	path, escaped := routingPath(r.URL)
	var found *route
	if c.h.asked != nil && m.verb == http.MethodOptions {
		found = c.asks(path)
	}
	if found == nil {
		found = c.h.tree.find(m, path)
	}
	if found != nil {
		c.m, c.route, c.escaped = found.m, found, escaped
		r.Pattern = found.name
		return nil
	}
	c.m = c.h.unmatched
	if len(m.allowed) == 0 {
		return notFound()
	}
	c.w.Header()["Allow"] = []string{m.allow()}
	return &refused{status: http.StatusMethodNotAllowed, name: "method_not_allowed", message: "the resource does not have this method"}
}

// admit decides, before the body is read, whether the call may go on.
func (c *call) admit() *refused {
	m := c.m
	if m.ambient {
		if err := c.foreign(); err != nil {
			return err
		}
	}
	if m.secured {
		if err := c.authenticate(); err != nil {
			return err
		}
	}
	if m.MaxInFlight > 0 {
		if m.running.Add(1) > int64(m.MaxInFlight) {
			m.running.Add(-1)
			return &refused{status: http.StatusServiceUnavailable, name: "too_many_in_flight", message: "too many calls at once", temporary: true}
		}
		c.admitted = true
	}
	if err := c.charge(); err != nil {
		return err
	}
	if c.req.ContentLength > m.maxBody {
		c.tooLarge.Store(true)
		return bodyTooLarge(m.maxBody)
	}
	if c.src != nil && len(m.consumes) > 0 {
		return c.checkMedia()
	}
	return nil
}

// authenticate finds the principal. Where a credential is in the body, the
// decision waits until it is decoded.
func (c *call) authenticate() *refused {
	p, err := c.m.guard.Check(c, (*source)(c))
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

// Endpoint wraps an endpoint of Goa's: it finishes authentication where the
// credential is in the body, turns a missing result into a fault, and maps
// errors. A method that the contract does not know is an error of Ready. The
// endpoint refuses to be called outside of a request for its own method.
func (h *HTTP) Endpoint(service, name string, e goa.Endpoint) goa.Endpoint {
	m := h.method(service, name)
	if m != nil {
		m.wrapped = true
	}
	return func(ctx context.Context, req any) (any, error) {
		c := callOf(ctx)
		if c == nil || m == nil || c.m != m {
			return nil, goa.Fault("endpoint %s.%s called outside of a request for it", service, name)
		}
		if c.pending {
			c.late = req
			if err := c.admitLate(); err != nil {
				h.cfg.Telemetry.Refused(cmp.Or(err.counted, err.name))
				return nil, err
			}
		}
		if m.Kind.Stream() {
			if !h.track(c) {
				c.w.Header()["Retry-After"] = retryAfter
				return nil, stopping()
			}
			defer h.untrack(c)
		}
		c.applyLeases()
		if h.cfg.Context != nil {
			ctx = h.cfg.Context(ctx)
		}
		c.showPayload(ctx, telemetry.RequestPayload, req)
		res, err := e(ctx, req)
		if err != nil {
			return res, c.methodError(err)
		}
		if m.HasResult && m.Kind == policy.Unary && absent(res) {
			return nil, c.methodError(fmt.Errorf("method %s.%s returned neither result nor error", service, name))
		}
		c.showPayload(ctx, telemetry.ResultPayload, res)
		return res, nil
	}
}

// admitLate decides, once the credential in the body is known, whether the
// call may go on.
func (c *call) admitLate() *refused {
	if err := c.authenticate(); err != nil {
		return err
	}
	return c.chargeLate()
}

// absent reports whether a result is nil, or a nil pointer.
func absent(res any) bool {
	if res == nil {
		return true
	}
	v := reflect.ValueOf(res)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

// end is deferred: it turns a panic into an answer, finishes the answer and
// the context, and writes the log.
func (c *call) end() {
	abort := false
	if p := recover(); p != nil {
		abort = c.recovered(p)
	}
	if !abort {
		c.finishAnswer()
	}
	now := c.start.Add(time.Since(c.start)) // a reading of the clock for all that ends with the call
	c.finishContext(now)
	if c.admitted {
		c.m.running.Add(-1)
	}
	if c.req.MultipartForm != nil {
		_ = c.req.MultipartForm.RemoveAll() // the server does so only for its own copy
	}
	c.writeLog(now)
	if abort {
		panic(http.ErrAbortHandler)
	}
}

// recovered answers a panic, or reports that only closing the connection tells
// the client that its answer is not whole.
func (c *call) recovered(p any) (abort bool) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		c.note("aborted", "", "")
		c.closeStream(true, "")
		if !c.begun && !c.hijacked {
			c.status = http.StatusInternalServerError
		}
		return true
	}
	id := goa.NewErrorID()
	c.failure = failure{kind: "panic", id: id, text: fmt.Sprint(p), stack: string(debug.Stack()), fault: true}
	if c.hijacked {
		c.closeStream(true, "")
		return false
	}
	if c.begun {
		return true
	}
	c.answer(&refused{status: http.StatusInternalServerError, name: "fault", message: faultText, id: id, fault: true})
	return false
}

// finishAnswer writes the header of an answer without a body.
func (c *call) finishAnswer() {
	if c.hijacked {
		c.closeStream(false, "")
		return
	}
	c.leaveBody()
	if !c.begun && (c.status != 0 && c.status != http.StatusOK || c.tooLarge.Load() || c.stalled.Load()) {
		c.begin()
	}
	if c.status == 0 {
		c.status = http.StatusOK
	}
}

// methodError maps what a method returned. Only the log has the text of an
// error that the design does not know.
func (c *call) methodError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return bodyTooLarge(tooLarge.Limit).because(err)
	}
	var named goa.GoaErrorNamer
	if errors.As(err, &named) {
		if fault, ok := errors.AsType[*goa.ServiceError](err); ok && fault.Fault {
			return c.hide(fault, err)
		}
		return err
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(c.Err(), context.DeadlineExceeded):
		return deadlineExceeded().because(err)
	case errors.Is(err, os.ErrDeadlineExceeded) && c.stalled.Load():
		return bodyStalled().because(err)
	case errors.Is(c.Err(), context.Canceled):
		c.failure.gone = c.parent.Err() != nil
		return (&refused{status: http.StatusServiceUnavailable, name: "canceled", message: "the call was canceled", temporary: true}).because(err)
	}
	return c.fault(err)
}

// fault hides an error behind an id.
func (c *call) fault(err error) *refused {
	f := &refused{status: http.StatusInternalServerError, name: "fault", message: faultText, id: goa.NewErrorID(), fault: true}
	return f.because(err)
}

// hide replaces the text of a declared fault, which keeps its name and id.
func (c *call) hide(fault *goa.ServiceError, err error) error {
	c.note(fault.Name, fault.ID, err.Error())
	c.failure.fault = true
	masked := *fault
	masked.Message = faultText
	return &masked
}

// setAuthenticate adds the headers that go with a refusal of the guard.
func (c *call) setAuthenticate(e *auth.Error) {
	header := c.w.Header()
	if challenges := c.m.guard.Challenges(e); len(challenges) > 0 {
		header["Www-Authenticate"] = challenges
	}
	header["Cache-Control"] = noStore
}
