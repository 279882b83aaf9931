package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The outcomes of an Event.
const (
	Success = "success"
	Failure = "failure"
	Denied  = "denied"
)

// Event says who did what, and how it went. Its names in JSON are those of the
// log.
type Event struct {
	// Seq counts the events of the process from 1; the Ring sets it.
	Seq uint64 `json:"seq"`
	// Time is when it ended; the Ring sets it where it is zero.
	Time time.Time `json:"time"`
	// Count is how many events this one stands for, which differ in their
	// times only, and First when the first of several was; the Ring sets
	// both.
	Count int       `json:"count"`
	First time.Time `json:"first,omitzero"`
	// Action is "call" for a call of a method, "authentication" for a caller
	// who was not let in and "lockout" for one who has to wait. This port's own
	// are "admin.access" for a refusal, "profile", and "lease.opened" for a
	// lease that was refused.
	Action    string `json:"action"`
	User      string `json:"enduser.id,omitempty"`
	Scheme    string `json:"auth.scheme,omitempty"`
	Client    string `json:"client.address,omitempty"`
	Service   string `json:"service,omitempty"`
	Method    string `json:"method,omitempty"`
	Outcome   string `json:"outcome"`
	Status    int    `json:"http.response.status_code,omitempty"`
	ErrorType string `json:"error.type,omitempty"`
	RequestID string `json:"request_id,omitempty"`
	TraceID   string `json:"trace_id,omitempty"`
	// Detail is a text for people; of a lease, its reason.
	Detail string `json:"detail,omitempty"`
	// What follows describes a lease, along with Service and Method.
	LeaseID        string    `json:"lease.id,omitempty"`
	LeaseKind      string    `json:"lease.kind,omitempty"`
	LeaseLevel     string    `json:"lease.level,omitempty"`
	LeaseScheme    string    `json:"lease.scheme,omitempty"`
	LeasePrincipal string    `json:"lease.principal,omitempty"`
	LeaseOpenedBy  string    `json:"lease.opened_by,omitempty"`
	LeaseExpires   time.Time `json:"lease.expires,omitzero"`
}

// LogValue implements slog.LogValuer: a group with the names of the JSON form.
func (e Event) LogValue() slog.Value {
	var all []slog.Attr
	for _, f := range []struct{ key, value string }{
		{"action", e.Action}, {"enduser.id", e.User}, {"auth.scheme", e.Scheme}, {"client.address", e.Client},
		{"service", e.Service}, {"method", e.Method}, {"outcome", e.Outcome}, {"error.type", e.ErrorType},
		{"request_id", e.RequestID}, {"trace_id", e.TraceID}, {"detail", e.Detail},
		{"lease.id", e.LeaseID}, {"lease.kind", e.LeaseKind}, {"lease.level", e.LeaseLevel}, {"lease.scheme", e.LeaseScheme},
		{"lease.principal", e.LeasePrincipal}, {"lease.opened_by", e.LeaseOpenedBy},
	} {
		if f.value != "" {
			all = append(all, slog.String(f.key, f.value))
		}
	}
	if e.Status != 0 {
		all = append(all, slog.Int("http.response.status_code", e.Status))
	}
	if !e.LeaseExpires.IsZero() {
		all = append(all, slog.Time("lease.expires", e.LeaseExpires))
	}
	return slog.GroupValue(all...)
}

// record writes an event of this port into the ring and the log.
func (s *Server) record(ctx context.Context, e Event) {
	e.Time = time.Now()
	s.cfg.Audit.Add(e)
	level := slog.LevelInfo
	if e.Outcome != Success {
		level = slog.LevelWarn
	}
	s.cfg.Logger.LogAttrs(ctx, level, "audit", e.LogValue().Group()...)
}

// audit answers /audit.
func (s *Server) audit(w http.ResponseWriter, r *http.Request, _ string) {
	form, ok := formOf(w, r, asText)
	if !ok {
		return
	}
	q := r.URL.Query()
	after, err := strconv.ParseUint(q.Get("after"), 10, 64)
	if err != nil && q.Has("after") {
		fail(w, http.StatusBadRequest, "after is no sequence number")
		return
	}
	limit, err := strconv.Atoi(q.Get("limit"))
	if q.Has("limit") && (err != nil || limit < 1) {
		fail(w, http.StatusBadRequest, "limit is no number above 0")
		return
	}
	action, outcome := q.Get("action"), q.Get("outcome")
	events := slices.DeleteFunc(s.cfg.Audit.Events(after, 0), func(e Event) bool {
		return action != "" && e.Action != action || outcome != "" && e.Outcome != outcome
	})
	if limit > 0 && len(events) > limit {
		events = events[len(events)-limit:]
	}
	switch form {
	case asJSON:
		writeJSON(w, http.StatusOK, struct {
			Total  uint64  `json:"total"`
			Events []Event `json:"events"`
		}{s.cfg.Audit.Total(), events})
	case asNDJSON:
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		for _, v := range events {
			if err := e.Encode(v); err != nil {
				fail(w, http.StatusInternalServerError, "encode event: "+err.Error())
				return
			}
		}
		write(w, http.StatusOK, "application/x-ndjson", escape(b.Bytes()))
	default:
		writeText(w, http.StatusOK, auditText(events, after))
	}
}

// auditText shows events to people, the latest first.
func auditText(events []Event, after uint64) []byte {
	if len(events) == 0 {
		since := "since the start"
		if after > 0 {
			since = "after that one"
		}
		return []byte("No such event " + since + ". Shown are callers who were not let in (action=authentication), clients that have\n" +
			"to wait (lockout), calls of methods whose design asks for an audit (call), debug leases, profiles, and what\n" +
			"this port has refused. ?action=NAME and ?outcome=success|denied|failure choose among them.\n")
	}
	slices.Reverse(events)
	t := newTable("SEQ", "TIME", "TIMES", "ACTION", "WHO", "CLIENT", "METHOD", "OUTCOME", "STATUS", "REQUEST", "DETAIL")
	for _, e := range events {
		method, status, who := e.Service, "", e.User
		if e.Method != "" {
			method += "." + e.Method
		}
		if e.Status != 0 {
			status = strconv.Itoa(e.Status)
		}
		if e.Scheme != "" {
			who += " (" + e.Scheme + ")"
		}
		t.row(strconv.FormatUint(e.Seq, 10), stamp(e.Time), strconv.Itoa(e.Count), e.Action, who, e.Client, method,
			e.Outcome, status, e.RequestID, e.details())
	}
	return t.bytes()
}

// details is what of the event has no column.
func (e *Event) details() string {
	all := []string{e.LeaseKind, e.LeaseLevel, e.LeaseID}
	for _, f := range []struct{ name, value string }{
		{"scheme", e.LeaseScheme}, {"principal", e.LeasePrincipal}, {"opened by", e.LeaseOpenedBy}, {"until", stamp(e.LeaseExpires)},
	} {
		if f.value != "" && (f.name != "opened by" || f.value != e.User) {
			all = append(all, f.name+" "+f.value)
		}
	}
	all = append(all, e.ErrorType, e.Detail)
	if e.Count > 1 {
		all = append(all, "(first "+stamp(e.First)+")")
	}
	return strings.Join(slices.DeleteFunc(all, func(s string) bool { return s == "" }), " ")
}
