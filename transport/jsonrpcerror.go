package transport

import (
	"errors"
	"net/http"
	"time"

	goahttp "goa.design/goa/v3/http"
	goa "goa.design/goa/v3/pkg"

	"github.com/aguada-dev/aguada/transport/internal/validation"
)

// rpcError is the error member of an answer.
type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

// rpcData says more about an error: it is that of Goa's errors.
type rpcData struct {
	goahttp.ErrorResponse
	RetryAfter int                 `json:"retry_after,omitempty"` // in seconds
	Errors     []validation.Detail `json:"errors,omitempty"`
}

// describeCall returns the error of a call, and notes it for the log.
func (e *entry) describeCall(err error) *rpcError {
	if own := e.ownError(err); own != nil {
		return own
	}
	a := e.describe(err)
	out := newRPCError(a, waitOf(err, a.status))
	if _, ok := errors.AsType[*goa.ServiceError](err); ok && !isRefused(err) {
		if code, ok := e.proc.code(a.Name); ok {
			out.Code = code
		}
	}
	return out
}

func newRPCError(a *answer, wait time.Duration) *rpcError {
	data := &rpcData{ErrorResponse: a.ErrorResponse, Errors: a.details}
	if wait > 0 {
		data.RetryAfter = int(max(wait+time.Second-1, time.Second) / time.Second)
	}
	return &rpcError{Code: a.jsonrpc, Message: a.Message, Data: data}
}

// ownError returns a declared error of the design's own type, or nil.
func (e *entry) ownError(err error) *rpcError {
	var named goa.GoaErrorNamer
	if e.proc.bodyOf == nil || isRefused(err) || !errors.As(err, &named) {
		return nil
	}
	if _, ok := named.(*goa.ServiceError); ok {
		return nil
	}
	code, ok := e.proc.code(named.GoaErrorName())
	if !ok {
		return nil
	}
	body := e.proc.bodyOf(named.(error))
	if body == nil {
		return nil
	}
	e.note(named.GoaErrorName(), "", "")
	message := named.(error).Error()
	if message == "" {
		message = named.GoaErrorName()
	}
	return &rpcError{Code: code, Message: message, Data: body}
}

// waitOf returns after what time a refused call may be tried again; 0 for none.
func waitOf(err error, status int) time.Duration {
	r, ok := errors.AsType[*refused](err)
	switch {
	case !ok || !r.Temporary:
		return 0
	case r.wait > 0:
		return r.wait
	case status == http.StatusServiceUnavailable:
		return time.Second
	}
	return 0
}

// rpcRefusal is the answer to a request that is refused as a whole.
type rpcRefusal struct {
	JSONRPC string    `json:"jsonrpc"`
	Error   *rpcError `json:"error"`
	ID      any       `json:"id"`

	status int
}

// StatusCode returns the status over HTTP.
func (r *rpcRefusal) StatusCode() int { return r.status }

var _ goahttp.Statuser = (*rpcRefusal)(nil)

// refuseRequest returns what the caller is told who gets no answer to any call.
func (c *call) refuseRequest(err error) goahttp.Statuser {
	a := c.describe(err)
	return &rpcRefusal{JSONRPC: "2.0", Error: newRPCError(a, waitOf(err, a.status)), status: a.status}
}
