// Package admin serves the private port of a service: what the people on call
// and their scripts look at, and the few things that they may change.
//
//	s, err := admin.New(ln.Addr(), contract, admin.Config{
//		Token: token, Metrics: metrics, State: state, Checks: checks, Audit: ring, Logger: logger,
//	})
//	if err != nil {
//		return err
//	}
//	return group.Serve("admin", ln, s.HTTP())
//
// GET / lists the pages. Each answers text to people and JSON to scripts, by
// the Accept header or by ?format=. There is no HTML and no script.
//
// The package refuses to listen off loopback without a credential. On loopback
// without one it believes that the caller is on this machine, and refuses
// whatever hints at the contrary: a Host that is a name other than localhost
// (DNS rebinding), a foreign Origin, a browser's request from another site, a
// header of a proxy. It registers nothing on http.DefaultServeMux, and never
// imports net/http/pprof, which does.
package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/policy"
)

// Bounds and defaults.
const (
	// MinToken is the least length of a token, in bytes.
	MinToken = 16
	// DefaultMaxLease is the longest a lease may last, unless Config says
	// otherwise.
	DefaultMaxLease = time.Hour

	maxHeader    = 16 << 10
	readTimeout  = 10 * time.Second
	writeTimeout = 30 * time.Second
	idleTimeout  = time.Minute
)

// Config is what the port shows. With its zero value the port works on
// loopback; a page whose source is nil is not there.
type Config struct {
	// Token returns what every request must present, on loopback too, as a
	// bearer token or as the password of Basic authentication, which is all
	// that `go tool pprof` can send: at least MinToken random bytes, of
	// visible ASCII. It is asked for each request, so that a token that is
	// replaced is in force at once and the former one is not: there is one
	// token at a time. New decides whether one is needed: nil and a function
	// that returns "" mean none. From then on nobody is let in while it
	// returns none, or one that New would refuse. It must be safe for
	// concurrent use.
	Token func() string
	// TLS is the server's side of TLS; nil means plain HTTP. Without a Token,
	// a port off loopback needs one that verifies client certificates. Its
	// ClientCAs must then certify operators only: everyone whom they certify
	// is one here. Its GetConfigForClient, if set, is also asked for each
	// request, with an empty hello, for the authorities that hold now:
	// removing one ends what its clients may do on open connections, too.
	// That is the only revocation; lists of revoked certificates are not read.
	TLS *tls.Config
	// Hosts are further names, without a port, under which the port is
	// reached without a token; IP addresses and localhost always are.
	Hosts []string
	// Metrics answers /metrics.
	Metrics http.Handler
	// Settings returns the configuration for /config. Secrets must be masked.
	Settings func() []Setting
	// State says where the service stands and must not block; nil means that
	// it is ready.
	State func() State
	// Checks returns the results of all checks, bounded in time; nil means
	// that there are none.
	Checks func(context.Context) []Check
	// Leases keeps the leases that /debug/leases shows and changes.
	Leases Leases
	// MaxLease bounds the duration of a lease; 0 means DefaultMaxLease.
	MaxLease time.Duration
	// Audit holds the recent events for /audit, and gets those of this port;
	// nil means a new Ring.
	Audit *Ring
	// Version is the chassis' version, for /build.
	Version string
	// Draining, once closed, ends profiles under way with what they have. nil
	// means never.
	Draining <-chan struct{}
	// Logger gets the port's own audit events and errors; nil means none.
	Logger *slog.Logger
}

// Setting is one row of /config.
type Setting struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Default  string `json:"default"`
	Required string `json:"required"`
	Meaning  string `json:"meaning"`
	Value    string `json:"value"`
	Source   string `json:"source"`
}

// Server is the handler of the private port. Use New. It is safe for
// concurrent use.
type Server struct {
	cfg      Config
	contract *policy.Contract
	tokened  bool // a token is needed
	guesses  guesses
	refusals meter
	origins  *http.CrossOriginProtection
	pages    []page
	busy     chan struct{} // holds one value while a profile is taken over time
	snapping chan struct{} // holds one while a snapshot is taken
	profiled meter
	collects meter // garbage collections
	begun    time.Time
}

// page is one path and what answers it.
type page struct {
	path    string // ends in "/" if it has paths below it
	meaning string // for the index
	methods map[string]handler
}

// handler answers one request of the given caller.
type handler func(w http.ResponseWriter, r *http.Request, who string)

// New returns the Server of a port that listens on addr, the address of its
// listener. It refuses an address off loopback without Token and without
// verified client certificates, and a token that is too short.
func New(addr net.Addr, contract *policy.Contract, cfg Config) (*Server, error) {
	if contract == nil {
		return nil, errors.New("open admin port: no contract")
	}
	tokened, err := secured(addr, &cfg)
	if err != nil {
		return nil, fmt.Errorf("open admin port: %w", err)
	}
	if cfg.MaxLease <= 0 {
		cfg.MaxLease = DefaultMaxLease
	}
	if cfg.Audit == nil {
		cfg.Audit = NewRing(0)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		cfg: cfg, contract: contract, tokened: tokened, origins: http.NewCrossOriginProtection(),
		refusals: meter{burst: refusalBurst, every: refusalEvery},
		profiled: meter{burst: profileBurst, every: profileEvery}, collects: meter{burst: collectBurst, every: collectEvery},
		busy: make(chan struct{}, 1), snapping: make(chan struct{}, 1), begun: time.Now(),
	}
	s.mount()
	return s, nil
}

// secured reports whether a token is needed, or why the port must not be
// opened.
func secured(addr net.Addr, cfg *Config) (tokened bool, err error) {
	if cfg.Token != nil {
		if token := cfg.Token(); token != "" {
			return true, usable(token)
		}
	}
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsLoopback() || cfg.verifiesClients() {
		return false, nil
	}
	return false, fmt.Errorf("%v is reachable from other machines: set ADMIN_TOKEN, verify client certificates, or listen on 127.0.0.1", addr)
}

// usable says what is wrong with a token.
func usable(token string) error {
	if len(token) < MinToken {
		return fmt.Errorf("ADMIN_TOKEN is too short: it needs at least %d bytes", MinToken)
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return errors.New("ADMIN_TOKEN holds a character that no header can carry: use visible ASCII without spaces")
	}
	return nil
}

// verifiesClients reports whether TLS asks for certificates of an authority
// that somebody chose; the system's own would admit anybody.
func (c *Config) verifiesClients() bool {
	return c.TLS != nil && c.TLS.ClientCAs != nil && c.TLS.ClientAuth >= tls.VerifyClientCertIfGiven
}

// HTTP returns an http.Server for the port, with its limits set.
func (s *Server) HTTP() *http.Server {
	return &http.Server{
		Handler:                      s,
		TLSConfig:                    s.cfg.TLS,
		ReadHeaderTimeout:            readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeader,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelWarn),
	}
}

// mount lists the pages that have a source.
func (s *Server) mount() {
	get := func(path, meaning string, h handler) {
		s.pages = append(s.pages, page{path, meaning, map[string]handler{http.MethodGet: h}})
	}
	get("/", "this list", s.index)
	get("/livez", "whether the process serves requests", s.live)
	get("/readyz", "whether it should get requests, with every check", s.ready)
	get("/startupz", "whether it has started", s.started)
	get("/healthz", "what /readyz says, in the form of Clue's health package", s.healthz)
	if s.cfg.Metrics != nil {
		get("/metrics", "metrics, for Prometheus", func(w http.ResponseWriter, r *http.Request, _ string) { s.cfg.Metrics.ServeHTTP(w, r) })
	}
	if s.cfg.Settings != nil {
		get("/config", "the configuration, masked, and where each value came from", s.settings)
	}
	get("/methods", "the methods and their policies; as JSON, the contract", s.methods)
	get("/audit", "recent audit events, the latest first: ?action=NAME, ?outcome=denied, ?after=SEQ, ?limit=N", s.audit)
	get("/build", "what was built from what, and with what", s.build)
	get("/debug/pprof/", "profiles and stacks, with the commands that take them", s.profile)
	if s.cfg.Leases != nil {
		s.pages = append(s.pages, page{"/debug/leases", "debugging that ends by itself, with the commands that open and end it",
			map[string]handler{http.MethodGet: s.leases, http.MethodPost: s.openLease}})
		s.pages = append(s.pages, page{"/debug/leases/", "", map[string]handler{http.MethodDelete: s.endLease}})
	}
}

// find returns the page of a path; nil if there is none.
func (s *Server) find(path string) *page {
	for i := range s.pages {
		p := &s.pages[i]
		if p.path == path || p.path == path+"/" && p.meaning != "" || p.path != "/" && strings.HasSuffix(p.path, "/") && strings.HasPrefix(path, p.path) {
			return p
		}
	}
	return nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	defer s.recovered(w, r)
	if r.ContentLength != 0 { // only then, since the end of a read deadline cancels the request
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTimeout))
	}
	who, ok := s.admit(w, r)
	if !ok {
		return
	}
	p := s.find(r.URL.Path)
	if p == nil {
		fail(w, http.StatusNotFound, "no such page: GET / lists them")
		return
	}
	method := r.Method
	if method == http.MethodHead && p.path != "/debug/pprof/" {
		method = http.MethodGet
	}
	serve := p.methods[method]
	if serve == nil {
		h.Set("Allow", p.allow())
		fail(w, http.StatusMethodNotAllowed, "method not allowed: this page takes "+p.allow())
		return
	}
	serve(w, r, who)
}

// allow lists the methods of a page.
func (p *page) allow() string {
	var all []string
	for m := range p.methods {
		all = append(all, m)
		if m == http.MethodGet && p.path != "/debug/pprof/" {
			all = append(all, http.MethodHead)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// recovered answers for a handler that panicked. What it was goes to the log.
func (s *Server) recovered(w http.ResponseWriter, r *http.Request) {
	switch v := recover(); v {
	case nil:
	case http.ErrAbortHandler:
		panic(v)
	default:
		s.cfg.Logger.Error("admin page panics", "path", printable(r.URL.Path), "error", fmt.Sprint(v))
		if w.Header().Get("Content-Type") != "" {
			panic(http.ErrAbortHandler) // the answer may have begun
		}
		fail(w, http.StatusInternalServerError, "the page failed; the log says why")
	}
}
