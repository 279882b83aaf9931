package transport

import (
	"io"
	"net/http"
	"sync/atomic"

	"github.com/gorilla/websocket"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/telemetry"
	"github.com/aguada-dev/aguada/transport/internal/cors"
	"github.com/aguada-dev/aguada/transport/internal/media"
	"github.com/aguada-dev/aguada/transport/internal/route"
)

// call is all that belongs to one request, in one allocation. Under several
// names it is the request's context, its response writer, its body, the source
// of its credentials, its decoder and its encoder.
type call struct {
	core

	h     *HTTP
	route *mounted // nil when no route matches
	w     http.ResponseWriter
	req   http.Request // the handler's copy

	instruments *telemetry.MethodInstruments
	page        *cors.Grant // what a page of another origin may do; nil for nothing

	carried bool                   // the calls of JSON-RPC in it have lines of their own
	wrong   map[string]*auth.Error // what JSON-RPC presented and is not valid, by who it was to prove
	params  []byte                 // of the call that JSON-RPC has over a WebSocket, from when they are read

	match route.Match

	// The request's body (body.go).
	src      io.ReadCloser
	left     int64
	bodyErr  error
	bodyIn   atomic.Int64
	bodyDone atomic.Bool // read to its end
	tooLarge atomic.Bool

	// The answer (writer.go).
	status   int
	begun    bool // the header is written
	sealed   bool // the answer is complete: write nothing more
	hijacked bool
	bodyOut  int64
	events   *events // of Server-Sent Events, once they have begun

	// The stream (stream.go, websocket.go). The first three are guarded by mu.
	conn         *websocket.Conn
	farewell     int // the close code that the stream was asked to end with
	farewellText string
	socket       *socket // of a WebSocket, once it is hijacked
	opened       bool
	apart        *apart // of a stream that may outgrow the server's goroutine

	// Decoding and encoding (decode.go, encode.go).
	media    media.Kind // of the request's body
	in       io.Reader
	out      media.Kind
	outType  string
	explicit bool // the design names the content type
}
