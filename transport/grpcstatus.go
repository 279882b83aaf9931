package transport

import (
	"errors"
	"net/http"
	"strings"
	"time"

	goapb "goa.design/goa/v3/grpc/pb"
	goa "goa.design/goa/v3/pkg"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/aguada-dev/aguada/policy"
)

// codeNames are the status codes of gRPC in their order, as the conventions
// write them.
var codeNames = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

// codeOf returns the code of a name; Unknown for one that there is not.
func codeOf(name string) codes.Code {
	for i, n := range codeNames {
		if n == name {
			return codes.Code(i)
		}
	}
	return codes.Unknown
}

// nameOf returns the name of a code.
func nameOf(code codes.Code) string {
	if int(code) < len(codeNames) {
		return codeNames[code]
	}
	return codeNames[codes.Unknown]
}

// conclude decides what the client is told, and notes it for the log. Err is
// what generated code made of what went wrong.
func (c *rpc) conclude(err error) error {
	c.mu.Lock()
	raw, wire := c.raw, c.wire
	c.mu.Unlock()
	if c.flow != nil {
		err = c.flow.outcome(err)
	}
	switch {
	case wire != nil:
		return c.concludeWire(wire)
	case err == nil:
		c.code = codeNames[codes.OK]
		return nil
	case c.m.probe && !isRefused(err): // ours, with a status of its own
		st, ok := status.FromError(err)
		if !ok {
			st = status.FromContextError(err)
		}
		c.code = nameOf(st.Code())
		return st.Err()
	case raw == nil || isRefused(err):
		raw = err
	}
	st := c.statusOf(raw, status.Convert(err))
	c.code = nameOf(st.Code())
	return st.Err()
}

func isRefused(err error) bool {
	_, ok := errors.AsType[*refused](err)
	return ok
}

// concludeWire notes why the server ended the call by itself: it was then told
// to the client already.
func (c *rpc) concludeWire(err error) error {
	code, kind := status.Code(err), "message_malformed"
	switch {
	case c.ending.Load() != nil:
		kind = c.ending.Load().Name
	case code == codes.DeadlineExceeded && c.from.late.Load():
		kind = policy.BodyTimeout.Name
	case code == codes.DeadlineExceeded:
		kind = policy.DeadlineExceeded.Name
	case code == codes.ResourceExhausted:
		kind = policy.BodyTooLarge.Name
	case code == codes.Canceled || code == codes.Unavailable:
		kind, c.failure.gone = policy.Canceled.Name, true
	}
	c.note(kind, "", status.Convert(err).Message())
	c.code = nameOf(code)
	return err
}

// statusOf returns the status of an error; made is what generated code made of
// it, which knows the code that the design declares.
func (c *rpc) statusOf(err error, made *status.Status) *status.Status {
	if st := c.declared(err, made); st != nil {
		return st
	}
	a := c.describe(err)
	code := codeOf(a.grpc)
	if _, ok := errors.AsType[*goa.ServiceError](err); ok && !isRefused(err) && made.Code() != codes.Unknown {
		code = made.Code()
	}
	a.Name, a.Message = utf8Text(a.Name), utf8Text(a.Message) // else the status would be sent without its details
	body := &goapb.ErrorResponse{Name: a.Name, Id: a.ID, Msg: a.Message, Temporary: a.Temporary, Timeout: a.Timeout, Fault: a.Fault}
	if len(a.details) > 1 {
		for _, d := range a.details {
			body.History = append(body.History, &goapb.ErrorField{Name: d.Name, Field: d.Field, Msg: d.Detail})
		}
	}
	return c.complete(code, a.Message, a.Name, toAny(body), c.wait(err, a.status))
}

// declared returns the status of a declared error of the design's own type, or
// nil. Its text and its message are the service's.
func (c *rpc) declared(err error, made *status.Status) *status.Status {
	var named goa.GoaErrorNamer
	if !errors.As(err, &named) {
		return nil
	}
	if _, ok := named.(*goa.ServiceError); ok {
		return nil
	}
	details := made.Proto().GetDetails()
	if len(details) == 0 || details[0].MessageIs((*goapb.ErrorResponse)(nil)) { // the design does not know it
		return nil
	}
	c.note(named.GoaErrorName(), "", "")
	return c.complete(made.Code(), made.Message(), named.GoaErrorName(), details[0], 0)
}

// wait returns after what time a refused call may be tried again; 0 for none.
func (c *rpc) wait(err error, httpStatus int) time.Duration {
	r, ok := errors.AsType[*refused](err)
	switch {
	case !ok || !r.Temporary:
		return 0
	case r.wait > 0:
		return r.wait
	case httpStatus == http.StatusServiceUnavailable:
		return time.Second
	}
	return 0
}

// complete makes the status of an error. The body comes first, where Goa's
// clients look for it.
func (c *rpc) complete(code codes.Code, text, name string, body *anypb.Any, wait time.Duration) *status.Status {
	p := status.New(code, utf8Text(text)).Proto()
	if body != nil {
		p.Details = append(p.Details, body)
	}
	p.Details = append(p.Details, toAny(&errdetails.ErrorInfo{Reason: reason(name), Domain: c.r.g.domain()}))
	if wait > 0 {
		p.Details = append(p.Details, toAny(&errdetails.RetryInfo{RetryDelay: durationpb.New(wait)}))
	}
	return status.FromProto(p)
}

// toAny wraps a message of our own making.
func toAny(m proto.Message) *anypb.Any {
	a, err := anypb.New(m)
	if err != nil { // as only text that is no UTF-8 makes it
		a = new(anypb.Any)
	}
	return a
}

func utf8Text(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
