package transport

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/telemetry"
)

// observe begins the request's span and says who writes under its context.
func (c *call) observe() {
	if c.route != nil {
		c.instruments = c.route.Value.instruments
	} else {
		c.instruments = c.h.cfg.Telemetry.Unmatched(c.req.Method)
	}
	c.instruments.Start(c.parent, &c.span, &c.req, c.start)
	c.scope.RequestID, c.scope.Service, c.scope.Method = c.id[0], c.m.Service, c.m.Name
}

// applyLeases lets debugging leases apply to the call, whose caller is known.
func (c *core) applyLeases() {
	var caller telemetry.Caller
	if c.principal != nil {
		caller = telemetry.Caller{Scheme: c.principal.Scheme, Subject: c.principal.Subject}
	}
	c.leased = c.p.cfg.Leases.Apply(&c.scope, c.m.Service, c.m.Name, caller)
}

// showPayload writes what a method gets or returns where a lease says so.
func (c *core) showPayload(ctx context.Context, d telemetry.Direction, v any) {
	if c.leased && v != nil && c.m.Kind == policy.Unary {
		_ = telemetry.PayloadLine(ctx, c.p.log.Handler(), d, withoutBody(v))
	}
}

// withoutBody returns the payload or result out of what Goa makes of a method
// that reads or writes its body itself, which holds the connection.
func withoutBody(v any) any {
	r := reflect.Indirect(reflect.ValueOf(v))
	if r.Kind() != reflect.Struct {
		return v
	}
	if body := r.FieldByName("Body"); !body.IsValid() || body.Type() != reflect.TypeFor[io.ReadCloser]() {
		return v
	}
	for _, name := range [...]string{"Payload", "Result"} {
		if f := r.FieldByName(name); f.IsValid() {
			return f.Interface()
		}
	}
	return nil
}

// Event is an audit event: who did what, and how it went. It holds no payload.
type Event struct {
	Time            time.Time
	RequestID       string
	TraceID         string
	Service, Method string
	User, Scheme    string
	Client          string
	Outcome         string // "success", "denied" or "failure"
	Status          int    // over HTTP
	Code            string // over gRPC and JSON-RPC
	ErrorType       string

	// Failed says that the caller was not let in, for the reason ErrorType: the
	// event of a failure, whatever the method. It has no ids, so that equal
	// ones can be counted; the log has a line of each. User is then the account
	// whose credential it seemed to be, if any.
	Failed bool
}

// audit tells of a call of a method that is audited, and writes that to the
// log, whatever its level; it also tells of callers who were not let in, which
// have their line already. Nothing presented is no failure.
func (c *core) audit(line *telemetry.Request) {
	if !c.m.Audit && c.failed == nil {
		return
	}
	e := Event{
		Time: line.Time, RequestID: line.ID, Service: line.Service, Method: line.Method, User: line.User, Scheme: line.Scheme,
		Client: line.Client, Outcome: "success", Status: line.Status, Code: line.Code, ErrorType: line.ErrorType,
	}
	if line.Trace.IsValid() {
		e.TraceID = line.Trace.TraceID().String()
	}
	switch {
	case c.failed != nil || line.Status == http.StatusUnauthorized || line.Status == http.StatusForbidden:
		e.Outcome = "denied"
	case line.Status >= 400 || line.ErrorType != "": // a stream fails after its status
		e.Outcome = "failure"
	}
	if c.m.Audit {
		c.logAudit(&e)
		if c.p.cfg.Audit != nil {
			c.p.cfg.Audit(&e)
		}
	}
	if c.failed == nil || c.failed.Reason == auth.Missing || c.p.cfg.Audit == nil {
		return
	}
	e.RequestID, e.TraceID, e.Failed, e.ErrorType = "", "", true, string(c.failed.Reason)
	if e.User == "" {
		e.User = line.Account
	}
	c.p.cfg.Audit(&e)
}

func (c *core) logAudit(e *Event) {
	status := slog.Int("http.response.status_code", e.Status)
	if e.Code != "" {
		status = slog.String("rpc.response.status_code", e.Code)
	}
	record := slog.NewRecord(e.Time, slog.LevelInfo, "audit", 0)
	record.AddAttrs(
		slog.String("trace_id", e.TraceID), slog.String("request_id", e.RequestID),
		slog.String("service", e.Service), slog.String("method", e.Method),
		slog.String("enduser.id", e.User), slog.String("auth.scheme", e.Scheme),
		slog.String("client.address", e.Client), slog.String("outcome", e.Outcome),
		status, slog.String("error.type", e.ErrorType))
	_ = c.p.log.Handler().Handle(context.Background(), record)
}
