package transport

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/telemetry"
)

// call is all that belongs to one request, in one allocation. Under several
// names it is the request's context, its response writer, its body, the source
// of its credentials, its decoder and its encoder. It is never reused: a
// goroutine that outlives its request keeps its own caller.
type call struct {
	h      *HTTP
	m      *method
	route  *route // nil when no route matches
	w      http.ResponseWriter
	req    http.Request // the handler's copy
	parent context.Context
	start  time.Time
	id     [1]string // request id, as a header's value

	// What observers see (observe.go).
	instruments *telemetry.MethodInstruments
	span        telemetry.RequestSpan
	scope       telemetry.Scope
	leased      bool // a debugging lease applies

	principal *auth.Principal
	denied    *auth.Principal // authenticated, but lacks a scope
	failed    *auth.Error     // why the caller was not let in
	peer      string          // the holder of the client's certificate
	pending   bool            // authentication waits for the body
	page      *grant          // what a page of another origin may do; nil for nothing
	admitted  bool            // counted in the method's in-flight calls
	charged   bool            // to the limits of its address, before the others

	match   match
	escaped bool // the match's values are as in a raw path

	// The context (context.go).
	deadline time.Time // zero: none of its own
	mu       sync.Mutex
	std      atomic.Pointer[standard]
	ended    atomic.Bool
	endErr   error // set before ended

	// The request's body (body.go).
	src      io.ReadCloser
	left     int64
	bodyErr  error
	bodyIn   atomic.Int64
	bodyDone atomic.Bool // read to its end
	tooLarge atomic.Bool
	stalled  atomic.Bool // a read ran into its deadline

	// The answer (writer.go).
	status   int
	begun    bool // the header is written
	sealed   bool // the answer is complete: write nothing more
	hijacked bool
	bodyOut  int64
	conn     *websocket.Conn // guarded by mu
	leaving  bool            // the stream is asked to end; guarded by mu

	// Decoding and encoding (decode.go, encode.go).
	media    mediaKind // of the request's body
	in       io.Reader
	late     any // decoded payload, for credentials in the body
	out      mediaKind
	outType  string
	explicit bool // the design names the content type

	failure failure
}

// failure is what the log says about a call that went wrong.
type failure struct {
	kind, id, text, stack string
	gone                  bool // the client left
	fault                 bool // ours, not the caller's
}

// note keeps the first failure; later ones are its consequences.
func (c *call) note(kind, id, text string) {
	if c.failure.kind == "" {
		c.failure.kind, c.failure.id, c.failure.text = kind, id, text
	}
}

// callKey is the context key of the call.
type callKey struct{}

// callOf returns the call that ctx belongs to, or nil.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.(*call); ok {
		return c
	}
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// RequestID returns the id of the request that ctx belongs to, or "". It is
// what the answer's X-Request-ID header and the log line hold.
func RequestID(ctx context.Context) string {
	if c := callOf(ctx); c != nil {
		return c.id[0]
	}
	return ""
}
