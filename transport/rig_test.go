package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"goa.design/goa/v3/security"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/apikey"
	"github.com/aguada-dev/aguada/auth/jwt"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/telemetry"
	shopsvr "github.com/aguada-dev/aguada/transport/internal/testsvc/gen/http/shop/server"
	"github.com/aguada-dev/aguada/transport/internal/testsvc/gen/shop"
)

// rig is a generated Goa service behind HTTP, with real verifiers.
type rig struct {
	h        *HTTP
	log      *logBuffer
	shop     *shopService
	token    string // may read and write
	renewed  string // the same, of the same caller
	reader   string // may read
	other    string // another subject, may read and write
	key      string
	contract *policy.Contract
	cfg      Config
	auther   shop.Auther
}

// logBuffer keeps the log of a test.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// lines returns the log's lines with the message.
func (l *logBuffer) lines(t *testing.T, msg string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(l.String()) {
		m := map[string]any{}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("log line: %v: %s", err, line)
		}
		if m["msg"] == msg {
			all = append(all, m)
		}
	}
	return all
}

// last returns the log's one line of a request.
func (l *logBuffer) last(t *testing.T) map[string]any {
	t.Helper()
	lines := l.lines(t, "request")
	if len(lines) == 0 {
		t.Fatal("the request is not in the log")
	}
	return lines[len(lines)-1]
}

func (l *logBuffer) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

// shopService is the user's code; tests replace its methods.
type shopService struct {
	create   func(context.Context, *shop.CreatePayload) (*shop.Order, error)
	show     func(context.Context, *shop.ShowPayload) (*shop.Order, error)
	find     func(context.Context, *shop.FindPayload) (any, error)
	cancel   func(context.Context, *shop.CancelPayload) error
	login    func(context.Context, *shop.LoginPayload) (string, error)
	check    func(context.Context, *shop.CheckPayload) (*shop.CheckResult, error)
	upload   func(context.Context, io.ReadCloser) (int64, error)
	download func(context.Context) (io.ReadCloser, error)
	watch    func(context.Context, shop.WatchServerStream) error
	echo     func(context.Context, shop.EchoServerStream) error
}

var _ shop.Service = (*shopService)(nil)

func (s *shopService) Create(ctx context.Context, p *shop.CreatePayload) (*shop.Order, error) {
	if s.create != nil {
		return s.create(ctx, p)
	}
	o := &shop.Order{ID: "o1", CustomerID: p.CustomerID, Currency: p.Currency, Items: p.Items, Note: p.Note}
	for _, i := range p.Items {
		o.TotalCents += int64(i.Quantity) * i.UnitPriceCents
	}
	return o, nil
}

var stored = &shop.Order{ID: "o1", CustomerID: "c1", Currency: "EUR", TotalCents: 10, Items: []*shop.Item{{Sku: "AB-123", Quantity: 1, UnitPriceCents: 10}}}

func (s *shopService) Show(ctx context.Context, p *shop.ShowPayload) (*shop.Order, error) {
	if s.show != nil {
		return s.show(ctx, p)
	}
	return stored, nil
}

func (s *shopService) Find(ctx context.Context, p *shop.FindPayload) (any, error) {
	if s.find != nil {
		return s.find(ctx, p)
	}
	return map[string]any{"limit": p.Limit}, nil
}

func (s *shopService) Cancel(ctx context.Context, p *shop.CancelPayload) error {
	if s.cancel != nil {
		return s.cancel(ctx, p)
	}
	return nil
}

func (s *shopService) Login(ctx context.Context, p *shop.LoginPayload) (string, error) {
	if s.login != nil {
		return s.login(ctx, p)
	}
	caller, _ := auth.FromContext(ctx)
	return "hello " + caller.Subject, nil
}

func (s *shopService) Check(ctx context.Context, p *shop.CheckPayload) (*shop.CheckResult, error) {
	if s.check != nil {
		return s.check(ctx, p)
	}
	return &shop.CheckResult{Seen: "yes"}, nil
}

func (s *shopService) Page(context.Context) (string, error) { return "<p>hello</p>", nil }

func (s *shopService) Upload(ctx context.Context, _ *shop.UploadPayload, body io.ReadCloser) (int64, error) {
	if s.upload != nil {
		return s.upload(ctx, body)
	}
	return io.Copy(io.Discard, body)
}

func (s *shopService) Download(ctx context.Context) (io.ReadCloser, error) {
	if s.download != nil {
		return s.download(ctx)
	}
	return io.NopCloser(strings.NewReader("data")), nil
}

func (s *shopService) Watch(ctx context.Context, stream shop.WatchServerStream) error {
	return s.watch(ctx, stream)
}

func (s *shopService) Echo(ctx context.Context, _ *shop.EchoPayload, stream shop.EchoServerStream) error {
	return s.echo(ctx, stream)
}

// confirming is what Aguada generates.
type confirming struct{}

func (confirming) JWTAuth(ctx context.Context, _ string, _ *security.JWTScheme) (context.Context, error) {
	return ctx, Confirm(ctx)
}

func (confirming) APIKeyAuth(ctx context.Context, _ string, _ *security.APIKeyScheme) (context.Context, error) {
	return ctx, Confirm(ctx)
}

// shopContract is what Aguada generates from the design.
func shopContract() *policy.Contract {
	secured := func(scopes ...string) []policy.Requirement {
		return []policy.Requirement{{Schemes: []policy.Use{{Scheme: "jwt", In: policy.InHeader, Name: "Authorization"}}, Scopes: scopes}}
	}
	json := []string{"application/json"}
	m := func(name, verb, pattern string) policy.Method {
		return policy.Method{
			Service: "shop", Name: name, Kind: policy.Unary, Access: policy.Public, Deadline: policy.DefaultDeadline,
			MaxBody: policy.DefaultMaxBody, Routes: []policy.Route{{Verb: verb, Pattern: pattern}}, Produces: json,
		}
	}
	create, show, find, cancel := m("create", "POST", "/orders"), m("show", "GET", "/orders/{id}"), m("find", "GET", "/find"), m("cancel", "POST", "/orders/{id}:cancel")
	create.Access, create.Requirements, create.HasBody, create.Consumes, create.HasResult = policy.Secured, secured("api:write"), true, json, true
	show.Access, show.Requirements, show.HasResult = policy.Secured, secured("api:read"), true
	show.Produces = []string{"application/json", "application/xml", "application/gob"}
	find.HasResult = true
	cancel.Access, cancel.Requirements, cancel.Audit = policy.Secured, secured("api:write"), true
	login := m("login", "POST", "/login")
	login.Access, login.HasBody, login.Consumes, login.HasResult = policy.Secured, true, []string{"application/json", "application/xml"}, true
	login.Requirements = []policy.Requirement{{Schemes: []policy.Use{{Scheme: "key", In: policy.InBody, Name: "secret"}}}}
	check := m("check", "POST", "/check/{num}")
	check.HasBody, check.Consumes, check.HasResult = true, json, true
	check.RequestHeaders, check.ResponseHeaders = []string{"X-Kind", "X-Level", "X-Pin"}, []string{"X-Seen"}
	page, upload, download := m("page", "GET", "/page"), m("upload", "POST", "/upload"), m("download", "GET", "/download")
	page.HasResult = true
	upload.Access, upload.Requirements = policy.Secured, secured()
	watch, echo := m("watch", "GET", "/watch"), m("echo", "GET", "/echo")
	watch.Kind, watch.Deadline = policy.EventStream, 0
	echo.Kind, echo.Deadline, echo.Access, echo.Requirements = policy.WebSocket, 0, policy.Secured, secured()
	files, old := m("files", "GET", "/files/{*path}"), m("old", "GET", "/old")
	files.Kind, old.Kind = policy.Files, policy.Redirect
	return &policy.Contract{
		API:      policy.API{Name: "shop"},
		Schemes:  []policy.Scheme{{Name: "jwt", Kind: policy.JWT, Scopes: []string{"api:read", "api:write"}}, {Name: "key", Kind: policy.APIKey}},
		Services: []policy.Service{{Name: "shop", Methods: []policy.Method{create, show, find, cancel, login, check, page, upload, download, watch, echo, files, old}}},
	}
}

// policyOf returns a method of the contract, to change it before start.
func (r *rig) policyOf(name string) *policy.Method {
	methods := r.contract.Services[0].Methods
	for i := range methods {
		if methods[i].Name == name {
			return &methods[i]
		}
	}
	panic(name)
}

// newRig makes a rig; change may alter the contract and the configuration.
func newRig(tb testing.TB, change func(*rig)) *rig {
	tb.Helper()
	r := &rig{log: &logBuffer{}, shop: &shopService{}, contract: shopContract(), auther: confirming{}}
	dir := tb.TempDir()
	key := must(jwt.NewDevelopmentKey())(tb)
	if err := key.Save(filepath.Join(dir, "key"), filepath.Join(dir, "set")); err != nil {
		tb.Fatal(err)
	}
	keys := must(jwt.NewFileKeySet(filepath.Join(dir, "set"), jwt.KeySetConfig{}))(tb)
	tb.Cleanup(func() { _ = keys.Close() })
	mint := func(subject string, scopes ...string) string {
		return must(key.Mint(jwt.Claims{Issuer: "test", Subject: subject, Scopes: scopes}))(tb)
	}
	r.token, r.reader, r.other = mint("ann", "api:read", "api:write"), mint("rob", "api:read"), mint("eve", "api:read", "api:write")
	r.renewed = mint("ann", "api:read", "api:write")
	secret, record, err := apikey.Mint("pepper-pepper-pepper-pepper-pepper", apikey.Request{Owner: "kim"})
	if err != nil {
		tb.Fatal(err)
	}
	r.key = secret
	records := must(json.Marshal(apikey.File{Keys: []apikey.Record{record}}))(tb)
	if err := os.WriteFile(filepath.Join(dir, "keys"), records, 0o600); err != nil {
		tb.Fatal(err)
	}
	r.cfg = Config{
		Contract: r.contract, Logger: slog.New(telemetry.NewHandler(r.log, telemetry.JSON, nil)),
		ReadTimeout: 30 * time.Second, WriteTimeout: 60 * time.Second,
		Verifiers: auth.Verifiers{
			"jwt": must(jwt.New([]jwt.Issuer{{Name: "test", Keys: keys}}, jwt.Config{Scheme: "jwt"}))(tb),
			"key": must(apikey.Open(filepath.Join(dir, "keys"), apikey.Peppers{Current: func() string { return "pepper-pepper-pepper-pepper-pepper" }}, apikey.Config{}))(tb),
		},
	}
	if change != nil {
		change(r)
	}
	r.h = must(New(r.cfg))(tb)
	r.mount(dir)
	if err := r.h.Ready(); err != nil {
		tb.Fatal(err)
	}
	return r
}

// mount is what production.go does.
func (r *rig) mount(dir string) {
	h := r.h
	if _, ours := r.auther.(confirming); !ours {
		h.OwnAuther("shop")
	}
	e := shop.NewEndpoints(struct {
		shop.Service
		shop.Auther
	}{r.shop, r.auther})
	e.Create, e.Show, e.Find = h.Endpoint("shop", "create", e.Create), h.Endpoint("shop", "show", e.Show), h.Endpoint("shop", "find", e.Find)
	e.Cancel, e.Login, e.Page = h.Endpoint("shop", "cancel", e.Cancel), h.Endpoint("shop", "login", e.Login), h.Endpoint("shop", "page", e.Page)
	e.Check = h.Endpoint("shop", "check", e.Check)
	e.Upload, e.Download = h.Endpoint("shop", "upload", e.Upload), h.Endpoint("shop", "download", e.Download)
	e.Watch, e.Echo = h.Endpoint("shop", "watch", e.Watch), h.Endpoint("shop", "echo", e.Echo)
	h.Late("shop", "login", func(req any, _ string) (auth.Credential, bool) {
		p, ok := req.(*shop.LoginPayload)
		if !ok {
			return auth.Credential{}, false
		}
		return auth.Credential{Token: p.Secret}, true
	})
	h.ErrorBody("shop", "create", func(err error) any {
		if e, ok := err.(*shop.OutOfStock); ok && e.GoaErrorName() == "out_of_stock" {
			return shopsvr.NewCreateOutOfStockResponseBody(e)
		}
		return nil
	})
	server := shopsvr.New(e, h, h.Decoder, h.Encoder, h.ErrorHandler, h.Formatter, h.Upgrader(), nil, http.Dir(dir), nil)
	shopsvr.Mount(h, server)
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// order is a valid body of create.
const order = `{"customer_id":"2c7f4a1e-7d2c-4f3a-9d58-0c1f6a1f2b11","currency":"EUR","items":[` +
	`{"sku":"AB-1234","quantity":2,"unit_price_cents":1250},{"sku":"CD-987","quantity":1,"unit_price_cents":99}],"note":"ring twice"}`

// request builds a request with a token; an empty one leaves it out.
func request(verb, target, token, body string) *http.Request {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequest(verb, "http://shop.test"+target, reader)
	if err != nil {
		panic(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

// pipes is an in-memory network.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// dial opens a connection whose server side counts what it reads.
func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serve runs an http.Server over pipes, and returns a client of it.
func (r *rig) serve(tb testing.TB) (*pipes, *http.Client) {
	tb.Helper()
	p := newPipes()
	server := &http.Server{Handler: r.h, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: r.cfg.WriteTimeout, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(p)
	}()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dial(ctx) }}
	tb.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		<-done
	})
	return p, &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
