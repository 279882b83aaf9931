package transport

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
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

// writeLog writes the line of the request, and its audit event.
func (c *call) writeLog() {
	now := c.start.Add(time.Since(c.start))
	r := &c.req
	line := telemetry.Request{
		Time: now, ID: c.id[0], Service: c.m.Service, Method: c.m.Name, Verb: cut(r.Method, maxVerb), Status: c.status,
		Duration: now.Sub(c.start), Client: host(r.RemoteAddr), BodyIn: c.bodyIn.Load(), BodyOut: c.bodyOut,
		ErrorType: c.failure.kind, ErrorID: c.failure.id, Error: cut(c.failure.text, maxError), Stack: cut(c.failure.stack, maxStack),
		Fault: c.failure.fault, Quiet: c.m.probe,
	}
	if c.route != nil {
		line.Route = c.route.pattern
	} else {
		line.Path = cut(r.URL.Path, maxPath)
	}
	if c.failure.gone {
		line.Status = statusGone
	}
	if p := c.principal; p != nil {
		line.User, line.Scheme = p.Subject, p.Scheme
	} else if p := c.denied; p != nil {
		line.User, line.Scheme = p.Subject, p.Scheme
	}
	_ = telemetry.LogRequest(context.Background(), c.h.log.Handler(), &line)
	if c.m.Audit {
		c.audit(&line)
	}
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// audit writes who did what, and how it went, whatever the log's level.
func (c *call) audit(line *telemetry.Request) {
	outcome := "success"
	switch {
	case line.Status == http.StatusUnauthorized || line.Status == http.StatusForbidden:
		outcome = "denied"
	case line.Status >= 400 || line.ErrorType != "": // a stream fails after its status
		outcome = "failure"
	}
	event := slog.NewRecord(line.Time, slog.LevelInfo, "audit", 0)
	event.AddAttrs(
		slog.String("request_id", line.ID), slog.String("service", line.Service), slog.String("method", line.Method),
		slog.String("enduser.id", line.User), slog.String("auth.scheme", line.Scheme),
		slog.String("client.address", line.Client), slog.String("outcome", outcome),
		slog.Int("http.response.status_code", line.Status), slog.String("error.type", line.ErrorType))
	_ = c.h.log.Handler().Handle(context.Background(), event)
}

// host returns an address without its port.
func host(addr string) string {
	i := strings.LastIndexByte(addr, ':')
	if i < 0 {
		return addr
	}
	return strings.Trim(addr[:i], "[]")
}

// maxID is the longest request id that is taken over from a caller.
const maxID = 64

// requestID takes over the caller's id if it is sane, else makes one.
func requestID(h http.Header) string {
	if ids := h["X-Request-Id"]; len(ids) == 1 && saneID(ids[0]) {
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
