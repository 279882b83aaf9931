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
	"sync"
	"time"
)

// DefaultEvents is how many events a Ring holds unless told otherwise, and
// MaxText how many bytes of each text of an event: together they bound its
// memory.
const (
	DefaultEvents = 1024
	MaxText       = 256
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
	// Action is "call" for a call of a method. This port's own are
	// "admin.access" for a refusal, "profile", and "lease.opened" for a lease
	// that was refused.
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
	// Detail is a text for people.
	Detail string `json:"detail,omitempty"`
}

// LogValue implements slog.LogValuer: a group with the names of the JSON form.
func (e Event) LogValue() slog.Value {
	var all []slog.Attr
	for _, f := range []struct{ key, value string }{
		{"action", e.Action}, {"enduser.id", e.User}, {"auth.scheme", e.Scheme}, {"client.address", e.Client},
		{"service", e.Service}, {"method", e.Method}, {"outcome", e.Outcome}, {"error.type", e.ErrorType},
		{"request_id", e.RequestID}, {"trace_id", e.TraceID}, {"detail", e.Detail},
	} {
		if f.value != "" {
			all = append(all, slog.String(f.key, f.value))
		}
	}
	if e.Status != 0 {
		all = append(all, slog.Int("http.response.status_code", e.Status))
	}
	return slog.GroupValue(all...)
}

// Ring holds the latest events, in bounded memory. Use NewRing. It is safe for
// concurrent use.
type Ring struct {
	mu     sync.Mutex
	events []Event // the event with sequence number n is at (n-1) % len
	last   uint64
}

// NewRing returns a Ring of the given number of events; 0 means DefaultEvents.
func NewRing(size int) *Ring {
	if size <= 0 {
		size = DefaultEvents
	}
	return &Ring{events: make([]Event, size)}
}

// Add adds an event, in the place of the oldest. Texts above MaxText bytes are
// cut. It does not allocate otherwise, and its lock is held for one copy.
func (r *Ring) Add(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	for _, s := range []*string{
		&e.Action, &e.User, &e.Scheme, &e.Client, &e.Service, &e.Method, &e.Outcome, &e.ErrorType, &e.RequestID, &e.TraceID, &e.Detail,
	} {
		*s = cut(*s)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	e.Seq = r.last
	r.events[(e.Seq-1)%uint64(len(r.events))] = e
}

// cut returns a text of at most MaxText bytes, which keeps no longer one alive.
func cut(s string) string {
	if len(s) <= MaxText {
		return s
	}
	return strings.ToValidUTF8(strings.Clone(s[:MaxText]), "")
}

// Events returns the latest events with a sequence number above after, at most
// limit of them, oldest first; 0 means all that the Ring holds.
func (r *Ring) Events(after uint64, limit int) []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(r.last, uint64(len(r.events)))
	if after >= r.last {
		return []Event{}
	}
	n = min(n, r.last-after)
	if limit > 0 {
		n = min(n, uint64(limit))
	}
	out := make([]Event, 0, n)
	for seq := r.last - n + 1; seq <= r.last; seq++ {
		out = append(out, r.events[(seq-1)%uint64(len(r.events))])
	}
	return out
}

// Total returns how many events were ever added.
func (r *Ring) Total() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
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
	events := s.cfg.Audit.Events(after, limit)
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
		write(w, http.StatusOK, "application/x-ndjson", b.Bytes())
	default:
		slices.Reverse(events) // people look for the latest
		t := newTable("SEQ", "TIME", "ACTION", "WHO", "CLIENT", "METHOD", "OUTCOME", "STATUS", "REQUEST", "DETAIL")
		for _, e := range events {
			method, status := e.Service, ""
			if e.Method != "" {
				method += "." + e.Method
			}
			if e.Status != 0 {
				status = strconv.Itoa(e.Status)
			}
			t.row(strconv.FormatUint(e.Seq, 10), stamp(e.Time), e.Action, e.User, e.Client, method,
				e.Outcome, status, e.RequestID, strings.TrimSpace(e.ErrorType+" "+e.Detail))
		}
		writeText(w, http.StatusOK, t.bytes())
	}
}
