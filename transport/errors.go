package transport

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	goahttp "goa.design/goa/v3/http"
	goa "goa.design/goa/v3/pkg"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/media"
	"github.com/aguada-dev/aguada/transport/internal/validation"
)

// refused is an answer that Aguada gives by itself. It is no goa.GoaErrorNamer,
// so that generated code leaves it to the formatter, and it does not unwrap.
type refused struct {
	*policy.Answer
	status  int           // over HTTP, if not the answer's
	message string        // for the caller, if not the answer's
	id      string        // of this occurrence
	kind    string        // error.type of the log, if not the name
	counted string        // cause of the metric, if not the name
	wait    time.Duration // for Retry-After; 0 for what goes with the status
	cause   error         // for the log
}

// refuse returns the refusal of an answer.
func refuse(a *policy.Answer) *refused { return &refused{Answer: a} }

// Error returns the text for the caller.
func (r *refused) Error() string { return cmp.Or(r.message, r.Message) }

// saying replaces the text for the caller.
func (r *refused) saying(message string) *refused {
	r.message = message
	return r
}

// reason is the refusal's name in the log, and where a stream says why it ends.
func (r *refused) reason() string { return cmp.Or(r.kind, r.Name) }

// after says when to come back.
func (r *refused) after(wait time.Duration) *refused {
	r.wait = wait
	return r
}

// httpStatus returns the status code over HTTP.
func (r *refused) httpStatus() int { return cmp.Or(r.status, r.HTTP) }

// because adds the error that only the log has.
func (r *refused) because(err error) *refused {
	r.cause = err
	return r
}

func stopping() *refused {
	return refuse(&policy.Unavailable).saying("the server is about to stop")
}

// fileError is what Goa's file server says in plain text.
func (c *call) fileError(status int) *refused {
	text := strings.ToLower(http.StatusText(status))
	switch {
	case status == http.StatusNotFound:
		return refuse(&policy.NotFound)
	case status >= http.StatusInternalServerError || text == "":
		return c.fault(fmt.Errorf("file server answered %d", status))
	default:
		return refuse(&policy.Answer{Name: strings.ReplaceAll(text, " ", "_"), HTTP: status, Message: text})
	}
}

// asAuthError returns err as an *auth.Error; what is not one is unavailable.
func asAuthError(err error) *auth.Error {
	if e, ok := errors.AsType[*auth.Error](err); ok && e != nil {
		return e
	}
	return &auth.Error{Reason: auth.Unavailable, Err: err}
}

// answer is an error as a caller sees it: the shape of Goa's ErrorResponse.
type answer struct {
	goahttp.ErrorResponse
	status  int
	grpc    string // the code's name; "" for what the status says
	jsonrpc int
	details []validation.Detail
}

// StatusCode returns the status that the design does not say.
func (a *answer) StatusCode() int { return a.status }

// MarshalXML writes the error as Goa does.
func (a *answer) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	return a.ErrorResponse.MarshalXML(e, start)
}

// problem is an error as application/problem+json (RFC 9457), with Goa's
// fields and the violated constraints as extensions.
type problem struct {
	Type      string              `json:"type"`
	Title     string              `json:"title"`
	Status    int                 `json:"status"`
	Detail    string              `json:"detail,omitempty"`
	Name      string              `json:"name"`
	ID        string              `json:"id"`
	Temporary bool                `json:"temporary"`
	Timeout   bool                `json:"timeout"`
	Fault     bool                `json:"fault"`
	Errors    []validation.Detail `json:"errors,omitempty"`
}

// StatusCode returns the status that the design does not say.
func (p *problem) StatusCode() int { return p.Status }

// declared is the generated body of an error of the design's own type.
type declared struct{ body any }

// StatusCode is not used: the design says the status.
func (*declared) StatusCode() int { return http.StatusInternalServerError }

var (
	_ goahttp.Statuser = (*answer)(nil)
	_ goahttp.Statuser = (*problem)(nil)
	_ goahttp.Statuser = (*declared)(nil)
)

// Formatter returns what the caller is told of an error. Statuses follow Goa's
// rules. The text of a fault or of an error that is not Goa's is kept for the
// log, under the id that the caller gets; validation errors are rebuilt from
// name, field and constraint, so that no value is echoed. The answer is a
// problem document (RFC 9457) where the request accepts one.
func (h *HTTP) Formatter(ctx context.Context, err error) goahttp.Statuser {
	c := callOf(ctx)
	if c == nil {
		c = &call{core: core{m: h.unmatched}, h: h}
	}
	if c.replay != nil {
		return &answer{status: c.status}
	}
	if c.m.front != nil {
		return c.refuseRequest(err)
	}
	err = c.unread(err)
	if body := c.declaredBody(err); body != nil {
		return body
	}
	a := c.describe(err)
	if !media.AcceptsProblem(c.req.Header) {
		return a
	}
	return &problem{
		Type: "about:blank", Title: http.StatusText(a.status), Status: a.status, Detail: a.Message,
		Name: a.Name, ID: a.ID, Temporary: a.Temporary, Timeout: a.Timeout, Fault: a.Fault, Errors: a.details,
	}
}

// unread returns why a body could not be decoded that was not read to its end.
// What reads multipart requests is the service's, and generated code keeps no
// more of its error than the text.
func (c *call) unread(err error) error {
	e, ok := errors.AsType[*goa.ServiceError](err)
	switch {
	case !ok || e.Name != goa.DecodePayload:
	case c.tooLarge.Load():
		return refuse(&policy.BodyTooLarge).because(err)
	case c.stalled.Load():
		return refuse(&policy.BodyTimeout).because(err)
	}
	return err
}

// declaredBody returns the generated body of a declared error of the design's
// own type, or nil.
func (c *call) declaredBody(err error) goahttp.Statuser {
	var named goa.GoaErrorNamer
	if c.m.bodyOf == nil || !errors.As(err, &named) {
		return nil
	}
	if _, ok := named.(*goa.ServiceError); ok {
		return nil
	}
	body := c.m.bodyOf(named.(error))
	if body == nil {
		return nil
	}
	c.note(named.GoaErrorName(), "", "")
	return &declared{body}
}

// describe returns the answer to an error and notes it for the log.
func (c *core) describe(err error) *answer {
	if r, ok := errors.AsType[*refused](err); ok {
		return c.describeRefused(r)
	}
	e, ok := errors.AsType[*goa.ServiceError](err)
	if !ok {
		return c.describeRefused(c.fault(err))
	}
	a := &answer{ErrorResponse: goahttp.ErrorResponse{
		Name: e.Name, ID: e.ID, Message: e.Message, Temporary: e.Temporary, Timeout: e.Timeout, Fault: e.Fault,
	}}
	a.status = a.ErrorResponse.StatusCode()
	kind := kindOfError(e)
	a.grpc, a.jsonrpc = kind.GRPC, kind.JSONRPC
	text := ""
	switch {
	case e.Fault:
		text, a.Message = e.Message, policy.InternalFault.Message
	case validation.Known(e.Name):
		a.details = validation.Details(e)
		a.Message = validation.Join(a.details)
		text = a.Message
	case err.Error() != e.Message: // wrapped in what only the log may know
		text = err.Error()
	}
	c.note(a.Name, a.ID, text)
	c.failure.fault = c.failure.fault || e.Fault
	return a
}

// kindOfError returns what holds for an error of Goa's by its flags.
func kindOfError(e *goa.ServiceError) *policy.ErrorKind {
	for i := range policy.ErrorKinds {
		k := &policy.ErrorKinds[i]
		if k.Fault == e.Fault && k.Timeout == e.Timeout && k.Temporary == e.Temporary || k.Fault && e.Fault {
			return k
		}
	}
	return &policy.ErrorKinds[len(policy.ErrorKinds)-1]
}

func (c *core) describeRefused(r *refused) *answer {
	if r.id == "" {
		r.id = goa.NewErrorID()
	}
	text := ""
	if r.cause != nil {
		text = r.cause.Error()
	}
	c.note(cmp.Or(r.kind, r.Name), r.id, text)
	c.failure.fault = c.failure.fault || r.Fault
	switch status := r.httpStatus(); {
	case r.wait > 0:
		c.tell(fieldRetryAfter, []string{seconds(r.wait)})
	case status == http.StatusServiceUnavailable:
		c.tell(fieldRetryAfter, retryAfter[:1:1])
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		c.tell(fieldCacheControl, noStore[:1:1])
	}
	return &answer{status: r.httpStatus(), grpc: r.GRPC, jsonrpc: r.JSONRPC, ErrorResponse: goahttp.ErrorResponse{
		Name: r.Name, ID: r.id, Message: r.Error(), Temporary: r.Temporary, Timeout: r.Timeout, Fault: r.Fault,
	}}
}

// refuse answers a request that does not get to Goa's handler.
func (c *call) refuse(r *refused) {
	c.leaveBody()
	if c.m.cors == nil {
		c.borrow()
	}
	c.answer(r)
}

// answer replaces whatever the answer was going to be.
func (c *call) answer(r *refused) {
	c.release()
	c.reset()
	resp := c.h.Formatter(c, r)
	c.out, c.outType, c.explicit = media.JSON, media.TypeJSON, false
	c.w.Header()["Content-Type"] = []string{media.TypeJSON}
	c.status = resp.StatusCode()
	if err := (*encoder)(c).Encode(resp); err != nil {
		c.note("encode", "", err.Error())
	}
	c.sealed = true
}

// ErrorHandler is called by generated code where an answer could not be
// encoded, and where a stream failed after its upgrade. The former becomes a
// fault, the latter closes the connection.
func (h *HTTP) ErrorHandler(ctx context.Context, _ http.ResponseWriter, err error) {
	c := callOf(ctx)
	if c == nil {
		return
	}
	if c.hijacked {
		e := c.describe(err)
		c.closeStream(closeCode(e), e.Name)
		return
	}
	if c.begun || c.sealed { // the client is gone, or has its answer
		c.note("write", "", err.Error())
		return
	}
	c.answer(c.fault(err))
}
