package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"goa.design/goa/v3/jsonrpc"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/telemetry"
	"github.com/aguada-dev/aguada/transport/internal/jsonrpcsvc/gen/desk"
	"github.com/aguada-dev/aguada/transport/internal/jsonrpcsvc/gen/feed"
	desksvr "github.com/aguada-dev/aguada/transport/internal/jsonrpcsvc/gen/http/desk/server"
	deskrpc "github.com/aguada-dev/aguada/transport/internal/jsonrpcsvc/gen/jsonrpc/desk/server"
	feedrpc "github.com/aguada-dev/aguada/transport/internal/jsonrpcsvc/gen/jsonrpc/feed/server"
	linerpc "github.com/aguada-dev/aguada/transport/internal/jsonrpcsvc/gen/jsonrpc/line/server"
	taperpc "github.com/aguada-dev/aguada/transport/internal/jsonrpcsvc/gen/jsonrpc/tape/server"
	"github.com/aguada-dev/aguada/transport/internal/jsonrpcsvc/gen/line"
	rpctape "github.com/aguada-dev/aguada/transport/internal/jsonrpcsvc/gen/tape"
	"github.com/aguada-dev/aguada/transport/internal/media"
)

// deskRig are generated services of JSON-RPC behind HTTP, with real verifiers.
type deskRig struct {
	h                    *HTTP
	log                  *logBuffer
	token, reader, other string
	key                  string
	cfg                  Config
	mu                   sync.Mutex
	calls                []string // of methods, in order
	put                  func(context.Context, *desk.PutPayload) (*desk.Note, error)
	sum                  func(context.Context, []int) (int, error)
	tell                 func(context.Context, *desk.TellPayload) error
	follow               func(context.Context, *rpctape.FollowPayload, rpctape.FollowServerStream) error
	tail                 func(context.Context, *feed.TailPayload, feed.TailServerStream) error
	stream               func(context.Context, line.Stream) error
	echo                 func(context.Context, *line.EchoPayload, line.EchoServerStream) error
}

func (r *deskRig) called(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, name)
}

func (r *deskRig) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.calls)
}

// rpcDesk and the others are the user's code.
type (
	rpcDesk struct{ *deskRig }
	rpcTape struct{ *deskRig }
	rpcFeed struct{ *deskRig }
	rpcLine struct{ *deskRig }
)

func (s rpcDesk) Put(ctx context.Context, p *desk.PutPayload) (*desk.Note, error) {
	s.called("put " + p.ID)
	if s.put != nil {
		return s.put(ctx, p)
	}
	return &desk.Note{ID: p.ID, Text: p.Text}, nil
}

func (s rpcDesk) Get(_ context.Context, p *desk.GetPayload) (*desk.Note, error) {
	s.called("get " + p.ID)
	return &desk.Note{ID: p.ID}, nil
}

func (s rpcDesk) Sum(ctx context.Context, p []int) (int, error) {
	s.called("sum")
	if s.sum != nil {
		return s.sum(ctx, p)
	}
	total := 0
	for _, n := range p {
		total += n
	}
	return total, nil
}

func (s rpcDesk) Ping(context.Context) (string, error) {
	s.called("ping")
	return "pong", nil
}

func (s rpcDesk) Tell(ctx context.Context, p *desk.TellPayload) error {
	s.called("tell " + p.Text)
	if s.tell != nil {
		return s.tell(ctx, p)
	}
	return nil
}

func (s rpcDesk) Login(ctx context.Context, _ *desk.LoginPayload) (string, error) {
	s.called("login")
	p, _ := auth.FromContext(ctx)
	return "hello " + p.Subject, nil
}

func (s rpcDesk) Named(_ context.Context, p *desk.NamedPayload) (*desk.NamedResult, error) {
	s.called("named")
	return &desk.NamedResult{Ref: "another", Text: &p.Ref}, nil
}

func (s rpcTape) Follow(ctx context.Context, p *rpctape.FollowPayload, stream rpctape.FollowServerStream) error {
	s.called("follow")
	return s.follow(ctx, p, stream)
}

func (s rpcTape) Last(context.Context, *rpctape.LastPayload) (*rpctape.LastResult, error) {
	s.called("last")
	return &rpctape.LastResult{Text: "last"}, nil
}

func (s rpcFeed) Tail(ctx context.Context, p *feed.TailPayload, stream feed.TailServerStream) error {
	s.called("tail")
	return s.tail(ctx, p, stream)
}

func (s rpcLine) HandleStream(ctx context.Context, stream line.Stream) error {
	return s.stream(ctx, stream)
}

func (s rpcLine) Echo(ctx context.Context, p *line.EchoPayload, stream line.EchoServerStream) error {
	s.called("echo " + p.ID)
	if s.echo != nil {
		return s.echo(ctx, p, stream)
	}
	return stream.SendResponse(ctx, &line.EchoResult{Ref: p.Ref, ID: p.ID, Text: p.Text})
}

func (s rpcLine) Notify(ctx context.Context, stream line.NotifyServerStream) error {
	return stream.SendNotification(ctx, &line.Note{ID: "tick"})
}

// deskContract is what Aguada generates from the design.
func deskContract() *policy.Contract {
	token := func(scopes ...string) []policy.Requirement {
		return []policy.Requirement{{Schemes: []policy.Use{{Scheme: "jwt", In: policy.InHeader, Name: "Authorization"}}, Scopes: scopes}}
	}
	codes := map[string]int{"conflict": 4090, "busy": 4290, "broken": 5020, "gone": 4100}
	m := func(service, name string, kind policy.Kind, reqs []policy.Requirement) policy.Method {
		route := policy.Route{Verb: "POST", Pattern: "/rpc"}
		switch service {
		case "line":
			route = policy.Route{Verb: "GET", Pattern: "/line"}
		case "tape", "feed":
			route.Pattern = "/" + service
		}
		p := policy.Method{
			Service: service, Name: name, Kind: kind, Access: policy.Public, MaxBody: 4 << 10, Deadline: policy.DefaultDeadline,
			JSONRPC: &policy.JSONRPC{Method: name, Route: route, Kind: kind, HasParams: true, Requirements: reqs, Errors: codes},
		}
		if kind != policy.Unary {
			p.Kind, p.Deadline = policy.Stream, 0
		}
		if reqs != nil {
			p.Access = policy.Secured
		}
		return p
	}
	put, get := m("desk", "put", policy.Unary, token("api:write")), m("desk", "get", policy.Unary, token("api:read"))
	put.Routes, put.Requirements, put.HasBody, put.Consumes = []policy.Route{{Verb: "POST", Pattern: "/notes"}}, token("api:write"), true, []string{media.TypeJSON}
	put.HasResult, get.HasResult = true, true
	put.JSONRPC.RequestHeaders = []string{"Authorization", "X-Trace"}
	sum, ping, tell := m("desk", "sum", policy.Unary, nil), m("desk", "ping", policy.Unary, nil), m("desk", "tell", policy.Unary, nil)
	ping.JSONRPC.HasParams = false
	login := m("desk", "login", policy.Unary, []policy.Requirement{{Schemes: []policy.Use{{Scheme: "key", In: policy.InBody, Name: "secret"}}}})
	named := m("desk", "named", policy.Unary, nil)
	last := m("tape", "last", policy.Unary, token("api:read"))
	last.JSONRPC.HasParams = false
	follow, tail := m("tape", "follow", policy.EventStream, token("api:read")), m("feed", "tail", policy.EventStream, nil)
	echo, notify := m("line", "echo", policy.WebSocket, nil), m("line", "notify", policy.WebSocket, nil)
	return &policy.Contract{
		API:     policy.API{Name: "desk"},
		Schemes: []policy.Scheme{{Name: "jwt", Kind: policy.JWT, Scopes: []string{"api:read", "api:write"}}, {Name: "key", Kind: policy.APIKey}},
		Services: []policy.Service{
			{Name: "desk", Methods: []policy.Method{put, get, sum, ping, tell, login, named}},
			{Name: "tape", Methods: []policy.Method{follow, last}},
			{Name: "feed", Methods: []policy.Method{tail}},
			{Name: "line", Methods: []policy.Method{echo, notify}},
		},
	}
}

// newDesk makes a rig; change may alter each method's policy.
func newDesk(tb testing.TB, change func(*policy.Method), configure ...func(*Config)) *deskRig {
	tb.Helper()
	base := newRig(tb, nil)
	r := &deskRig{log: &logBuffer{}, token: base.token, reader: base.reader, other: base.other, key: base.key, cfg: base.cfg}
	r.cfg.Contract, r.cfg.Logger = deskContract(), slog.New(telemetry.NewHandler(r.log, telemetry.JSON, nil))
	for i := range r.cfg.Contract.Services {
		for j := range r.cfg.Contract.Services[i].Methods {
			if change != nil {
				change(&r.cfg.Contract.Services[i].Methods[j])
			}
		}
	}
	for _, f := range configure {
		f(&r.cfg)
	}
	r.h = must(New(r.cfg))(tb)
	r.mount()
	if err := r.h.Ready(); err != nil {
		tb.Fatal(err)
	}
	return r
}

// checks is what production.go makes of a generated decoder.
func checks[T any](decode func(*http.Request, *jsonrpc.RawRequest) (T, error)) Checker {
	return func(r *http.Request, req *jsonrpc.RawRequest) error {
		_, err := decode(r, req)
		return err
	}
}

// mount is what production.go does.
func (r *deskRig) mount() {
	h, rpc := r.h, r.h.JSONRPC()
	e := desk.NewEndpoints(struct {
		desk.Service
		desk.Auther
	}{rpcDesk{r}, confirming{}})
	e.Put, e.Get, e.Sum = h.Endpoint("desk", "put", e.Put), h.Endpoint("desk", "get", e.Get), h.Endpoint("desk", "sum", e.Sum)
	e.Ping, e.Tell = h.Endpoint("desk", "ping", e.Ping), h.Endpoint("desk", "tell", e.Tell)
	e.Login, e.Named = h.Endpoint("desk", "login", e.Login), h.Endpoint("desk", "named", e.Named)
	h.Late("desk", "login", func(req any, _ string) (auth.Credential, bool) {
		p, ok := req.(*desk.LoginPayload)
		if !ok {
			return auth.Credential{}, false
		}
		return auth.Credential{Token: p.Secret}, true
	})
	rpc.ErrorBody("desk", "put", func(err error) any {
		if e, ok := err.(*desk.Gone); ok && e.GoaErrorName() == "gone" {
			return deskrpc.NewPutGoneResponseBody(e)
		}
		return nil
	})
	desksvr.Mount(h, desksvr.New(e, h, h.Decoder, h.Encoder, h.ErrorHandler, h.Formatter))
	s := deskrpc.New(e, h, rpc.Decoder, rpc.Encoder, rpc.ErrorHandler)
	rpc.Handle("desk", "put", s.Put, checks(deskrpc.DecodePutRequest(h, rpc.Decoder)))
	rpc.Handle("desk", "get", s.Get, checks(deskrpc.DecodeGetRequest(h, rpc.Decoder)))
	rpc.Handle("desk", "sum", s.Sum, checks(deskrpc.DecodeSumRequest(h, rpc.Decoder)))
	rpc.Handle("desk", "ping", s.Ping, nil)
	rpc.Handle("desk", "tell", s.Tell, checks(deskrpc.DecodeTellRequest(h, rpc.Decoder)))
	rpc.Handle("desk", "login", s.Login, checks(deskrpc.DecodeLoginRequest(h, rpc.Decoder)))
	rpc.Handle("desk", "named", s.Named, checks(deskrpc.DecodeNamedRequest(h, rpc.Decoder)))

	t := rpctape.NewEndpoints(struct {
		rpctape.Service
		rpctape.Auther
	}{rpcTape{r}, confirming{}})
	t.Follow, t.Last = h.Endpoint("tape", "follow", t.Follow), h.Endpoint("tape", "last", t.Last)
	rpc.ErrorBody("tape", "follow", func(err error) any {
		if e, ok := err.(*rpctape.Gone); ok && e.GoaErrorName() == "gone" {
			return taperpc.NewFollowGoneResponseBody(e)
		}
		return nil
	})
	ts := taperpc.New(t, h, rpc.Decoder, rpc.Encoder, rpc.ErrorHandler)
	rpc.Handle("tape", "follow", ts.Follow, checks(taperpc.DecodeFollowRequest(h, rpc.Decoder)))
	rpc.Handle("tape", "last", ts.Last, checks(taperpc.DecodeLastRequest(h, rpc.Decoder)))

	f := feed.NewEndpoints(rpcFeed{r})
	f.Tail = h.Endpoint("feed", "tail", f.Tail)
	h.Late("feed", "tail", func(req any, _ string) (auth.Credential, bool) { // asked where the policy has it in the params
		in, ok := req.(*feed.TailEndpointInput)
		if !ok || in.Payload.Count != 1 {
			return auth.Credential{Token: "wrong"}, ok
		}
		return auth.Credential{Token: r.key}, true
	})
	fs := feedrpc.New(f, h, rpc.Decoder, rpc.Encoder, rpc.ErrorHandler)
	rpc.Handle("feed", "tail", fs.Tail, checks(feedrpc.DecodeTailRequest(h, rpc.Decoder)))

	l := line.NewEndpoints(rpcLine{r})
	l.Echo, l.Notify = h.Endpoint("line", "echo", l.Echo), h.Endpoint("line", "notify", l.Notify)
	handle := func(ctx context.Context, stream line.Stream) error {
		return rpc.Ended(ctx, rpcLine{r}.HandleStream(ctx, stream))
	}
	linerpc.Mount(h, linerpc.New(handle, l, h, rpc.Decoder, rpc.Encoder, rpc.ErrorHandler, h.Upgrader(), nil))
}

// post sends a request and returns its answer.
func (r *deskRig) post(path, token, body string, header ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest("POST", path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, req)
	return w
}

// rpcAnswer is an answer as a client reads it.
type rpcAnswer struct {
	JSONRPC string          `json:"jsonrpc"`
	Result  json.RawMessage `json:"result"`
	Error   *struct {
		Code    int            `json:"code"`
		Message string         `json:"message"`
		Data    map[string]any `json:"data"`
	} `json:"error"`
	ID json.RawMessage `json:"id"`
}

// read reads one answer, strictly.
func (rpcAnswer) read(tb testing.TB, body []byte) rpcAnswer {
	tb.Helper()
	var a rpcAnswer
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		tb.Fatalf("%v: %s", err, body)
	}
	if a.JSONRPC != "2.0" || (a.Result == nil) == (a.Error == nil) || a.ID == nil {
		tb.Fatalf("not an answer of JSON-RPC 2.0: %s", body)
	}
	if _, err := d.Token(); err != io.EOF {
		tb.Fatalf("more than an answer: %s", body)
	}
	return a
}

// call posts and reads one answer.
func (r *deskRig) call(tb testing.TB, token, body string) rpcAnswer {
	tb.Helper()
	w := r.post("/rpc", token, body)
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
		tb.Fatalf("status %d, %q: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	return rpcAnswer{}.read(tb, w.Body.Bytes())
}

// batch posts and reads the answers of a batch.
func (r *deskRig) batch(tb testing.TB, token, body string) []rpcAnswer {
	tb.Helper()
	w := r.post("/rpc", token, body)
	var raw []json.RawMessage
	if err := json.Unmarshal(w.Body.Bytes(), &raw); err != nil || w.Code != http.StatusOK {
		tb.Fatalf("%v: %d %s", err, w.Code, w.Body)
	}
	var all []rpcAnswer
	for _, one := range raw {
		all = append(all, rpcAnswer{}.read(tb, one))
	}
	return all
}

// listen serves over real sockets.
func (r *deskRig) listen(tb testing.TB) string {
	tb.Helper()
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(tb)
	server := &http.Server{Handler: r.h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(ln) })
	tb.Cleanup(func() {
		_ = server.Close()
		wg.Wait()
	})
	return ln.Addr().String()
}

// wait waits until no call is in flight; their lines are then written.
func (r *deskRig) wait(tb testing.TB) {
	tb.Helper()
	for end := time.Now().Add(time.Minute); r.h.InFlight() > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("%d calls are still in flight", r.h.InFlight())
		}
	}
}
