// Package issuer is an OAuth 2.0 and OpenID Connect provider for development on
// one machine.
//
//	s, err := state.Open(ctx, ".aguada/issuer.db")
//	...
//	l, err := issuer.Listen(ctx, "127.0.0.1:9096")
//	...
//	i, err := issuer.New(s, issuer.Config{
//		URL: "http://127.0.0.1:9096", Audience: []string{"orders"},
//		Scopes: []issuer.Scope{{Name: "orders:read", Description: "Read orders"}},
//	})
//	...
//	err = issuer.Serve(ctx, l, i, logger)
//
// It speaks authorization code with PKCE (RFC 7636, S256 alone), refresh tokens
// that rotate, client credentials, revocation (RFC 7009), introspection
// (RFC 7662), user info and discovery (OpenID Connect, RFC 8414), and signs
// access tokens per RFC 9068.
//
// Never use it in production. Nobody types a password: whoever reaches it may
// be any of its users. So it refuses every caller that is not on the same
// machine, every Host but its own loopback address, and everything that a proxy
// says it forwarded; [Listen] and [Serve] refuse every address but a loopback one. No
// package that a service links imports this one, and a test keeps that so.
//
// It keeps no login sessions, knows no implicit or password grant, and never
// redirects to an address that its client has not registered.
package issuer

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/auth/issuer/state"
	"github.com/aguada-dev/aguada/policy"
)

// How long what the issuer gives out is good for.
const (
	// CodeLifetime is that of an authorization code, which works once.
	CodeLifetime = time.Minute
	// AccessLifetime is that of access and id tokens.
	AccessLifetime = 15 * time.Minute
	// RefreshLifetime is counted from the consent: each refresh token of a
	// consent ends with it, and works once.
	RefreshLifetime = 30 * 24 * time.Hour
	// consentLifetime is how long a consent page may stay unanswered.
	consentLifetime = 10 * time.Minute
)

// Warning stands on every page and in the log.
const Warning = "development issuer: loopback only, never use in production"

// Config says for which service the issuer makes tokens.
type Config struct {
	// URL is the issuer's identifier (iss) and address: http, a loopback
	// host, a port, no path. Required.
	URL string
	// Audience lists what the aud of access tokens may hold. A request names
	// some of it by resource (RFC 8707) or audience, and gets the first
	// otherwise. Required.
	Audience []string
	// Service is the name of the service on the pages; the first audience if
	// empty.
	Service string
	// Scopes are those that clients may ask for, besides openid, profile,
	// email and offline_access.
	Scopes []Scope
	// Flows are the OAuth 2.0 flows of the service's design. Authorization
	// and token endpoints answer at their paths too.
	Flows []policy.Flow
	// Users may be chosen on the consent page; DefaultUsers if empty.
	Users []User
	// Login is the public client as which the page /login gets a person a
	// token to try; it must have registered URL/callback. Without it there is
	// no such page.
	Login string
	// Logger is told of consents, tokens and misuse, never of a secret;
	// slog.Default() if nil.
	Logger *slog.Logger
}

// Scope is a scope of the service's design.
type Scope struct{ Name, Description string }

// User is one of the people of a development machine. None has a password.
type User struct{ Subject, Name, Email string }

// DefaultUsers returns the users of an issuer that configures none.
func DefaultUsers() []User {
	return []User{
		{Subject: "dev", Name: "Dev Eloper", Email: "dev@example.com"},
		{Subject: "alice", Name: "Alice Example", Email: "alice@example.com"},
		{Subject: "bob", Name: "Bob Example", Email: "bob@example.com"},
	}
}

// Issuer answers the issuer's requests. It is safe for concurrent use, and
// several may share one state.
type Issuer struct {
	cfg    Config
	state  *state.State
	log    *slog.Logger
	hosts  []string // values of Host that are answered
	routes map[string]route
	pages  *pages
	// loginKey makes the code verifiers of the page /login.
	loginKey []byte
}

var _ http.Handler = (*Issuer)(nil)

// Paths of the endpoints.
const (
	authorizePath  = "/authorize"
	tokenPath      = "/token"
	consentPath    = "/consent"
	jwksPath       = "/jwks.json"
	userInfoPath   = "/userinfo"
	introspectPath = "/introspect"
	revokePath     = "/revoke"
	stylePath      = "/style.css"
	openIDPath     = "/.well-known/openid-configuration"
	oauthPath      = "/.well-known/oauth-authorization-server"
)

// route is one path: its handlers by method.
type route struct {
	get, post http.HandlerFunc
	// shared says that pages of other loopback origins may call it.
	shared bool
}

var scopeName = regexp.MustCompile(`^[\x21\x23-\x5b\x5d-\x7e]+$`)

// New returns an issuer. The caller closes the state afterwards.
func New(s *state.State, cfg Config) (*Issuer, error) {
	cfg.Users = cfg.users()
	hosts, err := cfg.check()
	if err != nil {
		return nil, fmt.Errorf("make issuer: %w", err)
	}
	if cfg.Service == "" {
		cfg.Service = cfg.Audience[0]
	}
	i := &Issuer{cfg: cfg, state: s, log: cfg.Logger, hosts: hosts, loginKey: []byte(rand.Text() + rand.Text())}
	if i.log == nil {
		i.log = slog.Default()
	}
	if i.pages, err = newPages(); err != nil {
		return nil, fmt.Errorf("make issuer: %w", err)
	}
	i.routes = map[string]route{
		"/":            {get: i.home},
		stylePath:      {get: i.pages.style},
		authorizePath:  {get: i.authorize, post: i.authorize},
		consentPath:    {post: i.consent},
		tokenPath:      {post: i.answer(i.token), shared: true},
		jwksPath:       {get: i.answer(i.jwks), shared: true},
		userInfoPath:   {get: i.userInfo, post: i.userInfo, shared: true},
		introspectPath: {post: i.answer(i.introspect)},
		revokePath:     {post: i.answer(i.revoke), shared: true},
		openIDPath:     {get: i.answer(i.metadata), shared: true},
		oauthPath:      {get: i.answer(i.metadata), shared: true},
	}
	if cfg.Login != "" {
		i.routes[loginPath], i.routes[loggedInPath] = route{get: i.login}, route{get: i.loggedIn}
	}
	if err := i.addFlows(); err != nil {
		return nil, fmt.Errorf("make issuer: %w", err)
	}
	return i, nil
}

// check returns the values of Host that lead to the issuer.
func (c *Config) check() (hosts []string, err error) {
	var errs []error
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" || !loopbackHost(u.Hostname()) || u.Port() == "" || c.URL != "http://"+u.Host {
		return nil, errors.New("the URL is not http://HOST:PORT of a loopback host")
	}
	for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
		hosts = append(hosts, net.JoinHostPort(host, u.Port()))
	}
	if !slices.Contains(hosts, u.Host) {
		hosts = append(hosts, u.Host)
	}
	if len(c.Audience) == 0 || slices.Contains(c.Audience, "") {
		errs = append(errs, errors.New("there is no audience, or an empty one"))
	}
	for _, s := range c.Scopes {
		if !scopeName.MatchString(s.Name) {
			errs = append(errs, fmt.Errorf("%q is no scope", s.Name))
		}
	}
	for _, user := range c.Users {
		if user.Subject == "" {
			errs = append(errs, errors.New("a user has no subject"))
		}
	}
	return hosts, errors.Join(errs...)
}

// addFlows mounts the endpoints at the design's paths.
func (i *Issuer) addFlows() error {
	added := map[string]string{}
	add := func(address string, to string) error {
		if address == "" {
			return nil
		}
		u, err := url.Parse(address)
		if err != nil {
			return fmt.Errorf("the design's %q is not a URL", address)
		}
		at := path.Clean("/" + u.Path)
		if _, ok := i.routes[at]; ok && at != to && added[at] != to {
			return fmt.Errorf("the design's %q is the address of another endpoint of the development issuer: give it a path of its own", address)
		}
		i.routes[at], added[at] = i.routes[to], to
		return nil
	}
	var errs []error
	for _, f := range i.cfg.Flows {
		errs = append(errs, add(f.AuthorizationURL, authorizePath), add(f.TokenURL, tokenPath), add(f.RefreshURL, tokenPath))
	}
	return errors.Join(errs...)
}

// ServeHTTP answers a request that was made on this machine to this issuer.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("Referrer-Policy", "same-origin") // with no-referrer a form's Origin would be null
	h.Set("Cache-Control", "no-store")
	if status, reason := i.refuses(r); status != 0 {
		i.log.Warn("request refused", "reason", reason)
		http.Error(w, Warning+": "+reason, status)
		return
	}
	to, ok := i.routes[r.URL.Path]
	if !ok {
		i.problem(w, http.StatusNotFound, "There is no such page.")
		return
	}
	if to.shared && i.preflight(w, r) {
		return
	}
	var handle http.HandlerFunc
	allow := "POST"
	switch {
	case to.get != nil && to.post != nil:
		allow = "GET, HEAD, POST"
	case to.get != nil:
		allow = "GET, HEAD"
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		handle = to.get
	case http.MethodPost:
		handle = to.post
	}
	if handle == nil {
		h.Set("Allow", allow)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	const largest = 64 << 10
	r.Body = http.MaxBytesReader(w, r.Body, largest)
	handle(w, r)
}

// forwarded are headers by which proxies and tunnels give themselves away,
// besides X-Forwarded-….
var forwarded = []string{"Forwarded", "Via", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "Cf-Ray"}

// refuses returns why a request does not come from this machine, addressed to
// this issuer.
func (i *Issuer) refuses(r *http.Request) (status int, reason string) {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !remote.Addr().Unmap().IsLoopback() {
		return http.StatusForbidden, "the caller is not on this machine"
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Forwarded-") || slices.Contains(forwarded, name) {
			return http.StatusForbidden, "a proxy forwarded the request"
		}
	}
	// A name that somebody else's DNS resolves to this machine is no address
	// of ours: its pages would be of our origin.
	if !slices.Contains(i.hosts, strings.ToLower(r.Host)) {
		return http.StatusMisdirectedRequest, "the request is for another host"
	}
	return 0, ""
}

// preflight lets pages of loopback origins read the answer, such as Swagger UI
// on the service's own port, and answers what their browser asks before.
func (i *Issuer) preflight(w http.ResponseWriter, r *http.Request) (done bool) {
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if u, err := url.Parse(origin); origin == "" || err != nil || !loopbackHost(u.Hostname()) || origin != u.Scheme+"://"+u.Host {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if r.Method != http.MethodOptions {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Requested-With")
	w.WriteHeader(http.StatusNoContent)
	return true
}

func (i *Issuer) user(subject string) (User, bool) {
	n := slices.IndexFunc(i.cfg.Users, func(u User) bool { return u.Subject == subject })
	if n < 0 {
		return User{}, false
	}
	return i.cfg.Users[n], true
}
