package transport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/gorilla/websocket"
	goa "goa.design/goa/v3/pkg"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/media"
)

// Header values that all answers share; capacity one, so that Add copies.
var (
	noSniff         = []string{"nosniff"}
	noStore         = []string{"no-store"}
	closeConnection = []string{"close"}
	retryAfter      = []string{"1"}
)

// origins refuses unsafe requests that a browser makes for a page of another
// origin.
var origins http.CrossOriginProtection

// ServeHTTP serves one request.
func (h *HTTP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{h: h, w: w, core: core{
		p: &h.path, parent: r.Context(), start: time.Now(), head: w.Header(), remote: r.RemoteAddr, via: r.Header["X-Forwarded-For"],
	}}
	c.http = c
	h.inFlight.Add(1)
	defer c.end()
	c.serve(r)
}

// serve takes the request along its path up to Goa's handler.
func (c *call) serve(r *http.Request) {
	header := c.w.Header()
	c.id[0] = requestID(r.Header["X-Request-Id"])
	header["X-Request-Id"] = c.id[:1:1]
	header["X-Content-Type-Options"] = noSniff
	if c.h.strict != nil {
		header["Strict-Transport-Security"] = c.h.strict
	}
	draining := c.h.cfg.Draining != nil && c.h.cfg.Draining()
	if draining || ambiguous(r) {
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
	if untrusted := c.checkPeer(c.req.TLS); untrusted != nil {
		header["Connection"] = closeConnection
		refusal = untrusted
	}
	if refusal == nil && draining && c.m.Kind.Stream() {
		refusal = stopping()
	}
	if refusal == nil {
		refusal = c.shed()
	}
	if refusal == nil {
		refusal = c.admit()
	}
	if refusal != nil {
		c.h.cfg.Telemetry.Refused(cmp.Or(refusal.counted, refusal.Name))
		c.refuse(refusal)
		return
	}
	c.setDeadlines()
	if c.mayOutgrow() {
		c.runApart()
		return
	}
	c.route.Value.f(c, &c.req)
}

// ambiguous reports whether a proxy in front may see the request's end elsewhere:
// net/http hides a Content-Length beside Transfer-Encoding, after which RFC 9112
// (section 6.3) has the connection closed. So no request follows a chunked one.
func ambiguous(r *http.Request) bool { return len(r.TransferEncoding) > 0 && r.ProtoMajor == 1 }

// find matches the request to a route.
func (c *call) find() *refused {
	r := &c.req
	c.match.Verb = r.Method
	var found *mounted
	if c.h.asked != nil && r.Method == http.MethodOptions {
		found = c.asks()
	}
	if found == nil {
		found = c.h.tree.Find(&c.match, r.URL)
	}
	if found != nil {
		m := found.Value.m
		c.m, c.guard, c.route = m, m.guard, found
		if k := m.Idempotency; k != nil {
			c.keys = r.Header[k.Header]
		}
		r.Pattern = found.Name
		return nil
	}
	c.m = c.h.unmatched
	allow := c.match.Allow()
	if allow == "" {
		return refuse(&policy.NotFound)
	}
	c.w.Header()["Allow"] = []string{allow}
	return refuse(&policy.MethodNotAllowed)
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
		if err := c.authenticate((*source)(c)); err != nil {
			return err
		}
	}
	if err := c.enter(); err != nil {
		return err
	}
	if err := c.charge(); err != nil {
		return err
	}
	if c.req.ContentLength > m.maxBody {
		c.tooLarge.Store(true)
		return refuse(&policy.BodyTooLarge)
	}
	if c.src != nil && len(m.consumes) > 0 {
		return c.checkMedia()
	}
	return nil
}

// checkMedia refuses a body in a form that the design does not consume.
func (c *call) checkMedia() *refused {
	if c.m.consumes[0] == "*/*" { // the method reads the raw body
		return nil
	}
	if media.Compressed(c.req.Header) {
		c.w.Header()["Accept-Encoding"] = []string{"identity"}
		return refuse(&policy.UnsupportedMediaType).saying("compressed bodies are not accepted")
	}
	kind, why := media.Consumed(c.req.Header["Content-Type"], c.m.consumes)
	if why != "" {
		return refuse(&policy.UnsupportedMediaType).saying(why)
	}
	c.media = kind
	return nil
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
		on := coreOf(ctx)
		if on == nil || m == nil || on.m != m || on.m.front != nil || on.entry != nil {
			return on.indirect(ctx, m, e, req, service, name)
		}
		if err := on.http.arrive(req); err != nil {
			return nil, err
		}
		if m.Idempotency != nil {
			return on.once(ctx, e, req)
		}
		return on.run(ctx, e, req)
	}
}

// indirect calls an endpoint for a call of JSON-RPC, and for nothing else.
func (c *core) indirect(ctx context.Context, m *method, e goa.Endpoint, req any, service, name string) (any, error) {
	switch {
	case c != nil && c.entry == nil && c.m.front != nil && m != nil:
		return c.http.message(ctx, m, e, req)
	case c == nil || m == nil || c.m != m:
		return nil, goa.Fault("endpoint %s.%s called outside of a request for it", service, name)
	case c.entry != nil:
		return c.entry.invoke(ctx, e, req)
	}
	return c.invoke(ctx, e, req)
}

// arrive decides what could not be decided before the payload was there: on a
// credential in it, and whether a stream may begin. C is nil where the call did not
// come over HTTP, and has been through this.
func (c *call) arrive(req any) error {
	if c == nil {
		return nil
	}
	if c.pending {
		c.late = req
		if err := c.admitLate(); err != nil {
			c.h.cfg.Telemetry.Refused(cmp.Or(err.counted, err.Name))
			return err
		}
	}
	if c.m.Kind.Stream() && !c.open() {
		return stopping()
	}
	return nil
}

// admitLate decides, once the credential in the body is known, whether the
// call may go on.
func (c *call) admitLate() *refused {
	if err := c.authenticate((*source)(c)); err != nil {
		return err
	}
	return c.chargeLate()
}

// end is deferred: it turns a panic into an answer, finishes the answer and
// the context, and writes the log.
func (c *call) end() {
	if c.apart != nil {
		return
	}
	defer c.p.inFlight.Add(-1)
	if c.conclude(recover()) {
		panic(http.ErrAbortHandler)
	}
}

// conclude ends the call, whose handler may have panicked. It reports whether the
// connection is to be closed.
func (c *call) conclude(p any) (abort bool) {
	if p != nil {
		abort = c.recovered(p)
	}
	if !abort {
		c.finishAnswer()
	}
	c.release()
	now := c.start.Add(time.Since(c.start)) // a reading of the clock for all that ends with the call
	c.finishContext(now)
	c.unload(now, outcomeOf(c.status))
	c.shut()
	c.leave()
	if c.req.MultipartForm != nil {
		_ = c.req.MultipartForm.RemoveAll() // the server does so only for its own copy
	}
	c.writeLog(now)
	return abort
}

// recovered answers a panic, or reports that only closing the connection tells
// the client that its answer is not whole.
func (c *call) recovered(p any) (abort bool) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		c.note("aborted", "", "")
		c.closeStream(websocket.CloseInternalServerErr, policy.InternalFault.Name)
		if !c.begun && !c.hijacked {
			c.status = http.StatusInternalServerError
		}
		return true
	}
	id := goa.NewErrorID()
	c.failure = failure{kind: "panic", id: id, text: fmt.Sprint(p), stack: string(debug.Stack()), fault: true}
	if c.hijacked {
		c.closeStream(websocket.CloseInternalServerErr, policy.InternalFault.Name)
		return false
	}
	if c.begun {
		return true
	}
	refusal := refuse(&policy.InternalFault)
	refusal.id = id
	c.answer(refusal)
	return false
}

// finishAnswer writes the header of an answer without a body.
func (c *call) finishAnswer() {
	if c.hijacked {
		c.closeStream(websocket.CloseNormalClosure, "")
		return
	}
	if c.opened || c.events != nil {
		c.endEvents()
	}
	c.leaveBody()
	if c.claim != nil && !c.begun {
		c.keep(nil)
	}
	if !c.begun && (c.status != 0 && c.status != http.StatusOK || c.tooLarge.Load() || c.stalled.Load()) {
		c.begin()
	}
	if c.status == 0 {
		c.status = http.StatusOK
	}
}
