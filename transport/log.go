package transport

import (
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/aguada-dev/aguada/telemetry"
)

// statusGone is what the log has for a client that left before its answer.
const statusGone = 499

// Bounds of what a request may put into its line, in bytes.
const (
	maxVerb  = 32
	maxPath  = 256
	maxError = 4 << 10
	maxStack = 16 << 10
)

// writeLog writes the line of the request, which ended at the given moment, and
// its audit event.
func (c *call) writeLog(now time.Time) {
	line := telemetry.Request{
		Verb: cut(c.req.Method, maxVerb), Status: c.status, BodyIn: c.bodyIn.Load(), BodyOut: c.bodyOut,
	}
	if c.route != nil {
		line.Route = c.route.Pattern
	} else {
		line.Path = cut(c.req.URL.Path, maxPath)
	}
	if c.failure.gone {
		line.Status = statusGone
	}
	c.fill(&line, now)
	line.Quiet = line.Quiet || c.carried
	if line.Status >= http.StatusInternalServerError || line.Fault || c.span.Traced() {
		c.scope.Show()
	}
	line.Forced = c.leased && c.scope.Lowered(line.Level())
	_ = telemetry.LogRequest(c, c.h.log.Handler(), &line)
	c.instruments.End(&c.span, &line)
	c.audit(&line)
}

// fill adds to a line what there is to say of a call on any transport.
func (c *core) fill(line *telemetry.Request, now time.Time) {
	line.Time, line.ID, line.Duration = now, c.id[0], now.Sub(c.start)
	line.Service, line.Method, line.Quiet = c.m.Service, c.m.Name, c.m.probe
	line.Client, line.Peer, line.Trace = c.client(), c.peer, c.span.SpanContext()
	line.ErrorType, line.ErrorID, line.Error = c.failure.kind, c.failure.id, cut(c.failure.text, maxError)
	line.Stack, line.Fault = cut(c.failure.stack, maxStack), c.failure.fault
	if p := c.principal; p != nil {
		line.User, line.Scheme = p.Subject, p.Scheme
	} else if p := c.denied; p != nil {
		line.User, line.Scheme = p.Subject, p.Scheme
	}
	if e := c.failed; e != nil {
		line.Account = e.Account
		if line.Scheme == "" {
			line.Scheme = e.Scheme
		}
	}
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// maxID is the longest request id that is taken over from a caller.
const maxID = 64

// requestID takes over the caller's id if it is sane, else makes one.
func requestID(ids []string) string {
	if len(ids) == 1 && saneID(ids[0]) {
		return ids[0]
	}
	return newID()
}

func saneID(id string) bool {
	if id == "" || len(id) > maxID {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// newID returns 24 random letters and digits, 120 bits. It is no secret.
func newID() string {
	const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
	var id [24]byte
	hi, lo := rand.Uint64(), rand.Uint64() //nolint:gosec // an id, no secret
	for i := range 12 {
		id[i] = alphabet[hi>>(5*i)&31]
		id[i+12] = alphabet[lo>>(5*i)&31]
	}
	return string(id[:])
}
