package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"goa.design/clue/interceptors"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/telemetry"
	tapesvr "github.com/aguada-dev/aguada/transport/internal/streamsvc/gen/http/tape/server"
	"github.com/aguada-dev/aguada/transport/internal/streamsvc/gen/tape"
)

// tapeRig is a generated service of streams behind HTTP.
type tapeRig struct {
	h    *HTTP
	log  *logBuffer
	svc  tapeService
	cfg  Config
	wrap func(http.Handler) http.Handler // the server's handler; nil leaves it
}

type tapeService struct {
	ticks func(context.Context, *tape.TicksPayload, tape.TicksServerStream) error
	blobs func(context.Context, tape.BlobsServerStream) error
	words func(context.Context, tape.WordsServerStream) error
	talk  func(context.Context, tape.TalkServerStream) error
	trace func(context.Context, tape.TracedServerStream) error
}

var _ tape.Service = (*tapeService)(nil)

func (s *tapeService) Ticks(ctx context.Context, p *tape.TicksPayload, stream tape.TicksServerStream) error {
	return s.ticks(ctx, p, stream)
}

func (s *tapeService) Blobs(ctx context.Context, stream tape.BlobsServerStream) error {
	return s.blobs(ctx, stream)
}

func (s *tapeService) Words(ctx context.Context, stream tape.WordsServerStream) error {
	return s.words(ctx, stream)
}

func (s *tapeService) Talk(ctx context.Context, stream tape.TalkServerStream) error {
	return s.talk(ctx, stream)
}

// tracing are Clue's interceptors.
type tracing struct {
	interceptors.TraceBidirectionalStreamServerInterceptor[*tape.TraceBidirectionalStreamInfo, tape.TraceBidirectionalStreamStreamingPayload, tape.TraceBidirectionalStreamStreamingResult]
	interceptors.TraceServerToClientStreamServerInterceptor[*tape.TraceServerToClientStreamInfo, tape.TraceServerToClientStreamStreamingResult]
}

// fixed proves every token to be a principal's.
type fixed struct{ p func() *auth.Principal }

func (f fixed) Verify(context.Context, auth.Credential) (*auth.Principal, error) { return f.p(), nil }

func (s *tapeService) Traced(ctx context.Context, stream tape.TracedServerStream) error {
	return s.trace(ctx, stream)
}

func tapeContract() *policy.Contract {
	m := func(name string, kind policy.Kind) policy.Method {
		return policy.Method{
			Service: "tape", Name: name, Kind: kind, Access: policy.Public, MaxBody: 4 << 10,
			Routes: []policy.Route{{Verb: "GET", Pattern: "/" + name}}, Produces: []string{"application/json"},
		}
	}
	return &policy.Contract{
		API: policy.API{Name: "tape"}, Schemes: []policy.Scheme{{Name: "jwt", Kind: policy.JWT}},
		Services: []policy.Service{{Name: "tape", Methods: []policy.Method{
			m("ticks", policy.EventStream), m("blobs", policy.EventStream), m("words", policy.EventStream), m("talk", policy.WebSocket),
			m("traced", policy.WebSocket),
		}}},
	}
}

// newTape makes a rig; change may alter each method's policy.
func newTape(tb testing.TB, change func(*policy.Method), configure ...func(*Config)) *tapeRig {
	tb.Helper()
	r := &tapeRig{log: &logBuffer{}}
	r.cfg = Config{Contract: tapeContract(), Logger: slog.New(telemetry.NewHandler(r.log, telemetry.JSON, nil))}
	for i := range r.cfg.Contract.Services[0].Methods {
		if change != nil {
			change(&r.cfg.Contract.Services[0].Methods[i])
		}
	}
	for _, f := range configure {
		f(&r.cfg)
	}
	r.h = must(New(r.cfg))(tb)
	e := tape.NewEndpoints(&r.svc, &tracing{})
	e.Ticks, e.Blobs = r.h.Endpoint("tape", "ticks", e.Ticks), r.h.Endpoint("tape", "blobs", e.Blobs)
	e.Words, e.Talk = r.h.Endpoint("tape", "words", e.Words), r.h.Endpoint("tape", "talk", e.Talk)
	e.Traced = r.h.Endpoint("tape", "traced", e.Traced)
	tapesvr.Mount(r.h, tapesvr.New(e, r.h, r.h.Decoder, r.h.Encoder, r.h.ErrorHandler, r.h.Formatter, r.h.Upgrader(), nil))
	if err := r.h.Ready(); err != nil {
		tb.Fatal(err)
	}
	return r
}

// secured asks for a token, which ends after some time.
func secured(m *policy.Method) {
	m.Access = policy.Secured
	m.Requirements = []policy.Requirement{{Schemes: []policy.Use{{Scheme: "jwt", In: policy.InHeader, Name: "Authorization"}}}}
}

// measured makes the rig count.
func measured(tb testing.TB, t **telemetry.Telemetry) func(*Config) {
	return func(c *Config) {
		*t = must(telemetry.New(context.Background(), telemetry.Config{Service: "tape"}))(tb)
		tb.Cleanup(func() { _ = (*t).Shutdown(context.Background()) })
		c.Telemetry = *t
	}
}

// refusals returns how many refusals of a cause the metrics have.
func refusals(t *telemetry.Telemetry, cause string) string {
	w := httptest.NewRecorder()
	t.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	_, rest, _ := strings.Cut(w.Body.String(), fmt.Sprintf("\naguada_requests_refused_total{cause=%q} ", cause))
	n, _, _ := strings.Cut(rest, "\n")
	return n
}

// listen serves over real sockets, and returns the address.
func (r *tapeRig) listen(tb testing.TB) string {
	tb.Helper()
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(tb)
	r.start(tb, ln)
	return ln.Addr().String()
}

// pipes serves over memory, for tests whose time is not that of the clock.
func (r *tapeRig) pipes(tb testing.TB) (*http.Client, func(context.Context, string, string) (net.Conn, error)) {
	tb.Helper()
	p := newPipes()
	r.start(tb, p)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dial(ctx) }
	transport := &http.Transport{DialContext: dial}
	tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}, dial
}

func (r *tapeRig) start(tb testing.TB, ln net.Listener) {
	handler := http.Handler(r.h)
	if r.wrap != nil {
		handler = r.wrap(handler)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(ln) })
	tb.Cleanup(func() {
		_ = server.Close()
		wg.Wait()
	})
}

// dialTalk opens the WebSocket over real sockets.
func dialTalk(tb testing.TB, addr string) *websocket.Conn {
	tb.Helper()
	conn, _, err := websocket.DefaultDialer.Dial("ws://"+addr+"/talk", http.Header{"Authorization": {"Bearer t"}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// closedWith reads until the connection is closed, and returns how.
func closedWith(conn *websocket.Conn) (int, string) {
	for {
		_, _, err := conn.ReadMessage()
		if closed, ok := errors.AsType[*websocket.CloseError](err); ok {
			return closed.Code, closed.Text
		}
		if err != nil {
			return 0, err.Error()
		}
	}
}

// ended waits until no request is in flight; their lines are then written.
func (r *tapeRig) ended(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(time.Minute); r.h.InFlight() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d requests are still in flight", r.h.InFlight())
		}
	}
}

// last returns the line of the last request, once it has ended.
func (r *tapeRig) last(t *testing.T) map[string]any {
	t.Helper()
	r.ended(t)
	return r.log.last(t)
}
