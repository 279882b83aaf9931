// Package guard stands in front of the console's pages and its API.
//
//	g, err := guard.New(guard.Config{Pages: static.Files(), OpenAPI: document})
//	if err != nil {
//		return err
//	}
//	rt.Verify("token", g)
//	rt.Wrap(g.Wrap)
//
// It lets in programs of this machine, and pages of the console itself; or,
// once there is a token, whoever has it. It refuses what a foreign page makes a
// browser send, by its origin, by what the browser says of its site, and by a
// Host that is a name of somebody else's (DNS rebinding). The API asks for a
// credential all the same, and the guard gives it to requests that it let in: a
// request that went around the guard has none.
package guard

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/aguada-dev/aguada/auth"
)

// Config says who is let in, and what is shown.
type Config struct {
	// Token returns the console's token; nil means that there is none, which
	// the caller must allow on loopback only. A token that becomes "" lets
	// nobody in.
	Token func() string
	// TLS says that browsers come by TLS; cookies are then kept to it.
	TLS bool
	// Pages are the files of the pages.
	Pages fs.FS
	// OpenAPI is served as /openapi.json.
	OpenAPI []byte
}

// Guard is the guard. Use New. It is safe for concurrent use.
type Guard struct {
	cfg      Config
	key      string // what the API is told where there is no token
	origins  *http.CrossOriginProtection
	files    map[string]*file
	sessions sessions
}

var _ auth.Verifier = (*Guard)(nil)

// New returns a guard. It reads the pages.
func New(cfg Config) (*Guard, error) {
	g := &Guard{cfg: cfg, key: rand.Text(), origins: http.NewCrossOriginProtection()}
	var err error
	g.files, err = readFiles(cfg.Pages, cfg.OpenAPI)
	return g, err
}

// secret is what the API takes: the token, or where there is none, a key that
// the guard alone knows.
func (g *Guard) secret() string {
	if g.cfg.Token == nil {
		return g.key
	}
	return g.cfg.Token()
}

// Verify implements auth.Verifier for the API's scheme.
func (g *Guard) Verify(_ context.Context, c auth.Credential) (*auth.Principal, error) {
	if secret := g.secret(); secret == "" || !same(c.Token, secret) {
		return nil, &auth.Error{Reason: auth.Unknown}
	}
	return &auth.Principal{Subject: "operator"}, nil
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// Wrap puts the guard in front of the API.
func (g *Guard) Wrap(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protect(w.Header())
		if why := g.foreign(r); why != "" {
			refuse(w, http.StatusForbidden, why)
			return
		}
		switch path := r.URL.Path; {
		case path == "/login" && r.Method == http.MethodPost && g.cfg.Token != nil:
			g.login(w, r)
		case strings.HasPrefix(path, "/api/") || isProbe(path):
			w.Header().Set("Cache-Control", "no-store")
			g.admit(r)
			api.ServeHTTP(w, r)
		default:
			g.page(w, r)
		}
	})
}

// isProbe reports whether a path is one by which the chassis says that it runs.
func isProbe(path string) bool { return path == "/livez" || path == "/readyz" }

// protect sets the headers of every answer.
func protect(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "+
		"base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// admit gives a request that was let in the credential of the API.
func (g *Guard) admit(r *http.Request) {
	secret := g.secret()
	if g.cfg.Token == nil || len(r.Header.Values("Authorization")) == 0 && g.sessions.has(r, secret) {
		r.Header.Set("Authorization", "Bearer "+secret)
	}
}

// foreign says why a request is not let in; "" if it is.
func (g *Guard) foreign(r *http.Request) string {
	if origins := r.Header["Origin"]; len(origins) > 0 {
		u, err := url.Parse(origins[0])
		if len(origins) > 1 || err != nil || u.Host == "" || u.Host != r.Host {
			return "requests of other origins are refused"
		}
	}
	sites := r.Header["Sec-Fetch-Site"]
	// A link from elsewhere may open a page, which is then of this origin.
	opens := r.Method == http.MethodGet && !strings.HasPrefix(r.URL.Path, "/api/") &&
		r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
	if len(sites) > 1 || len(sites) == 1 && sites[0] != "same-origin" && sites[0] != "none" && !opens {
		return "requests from other sites are refused"
	}
	if g.origins.Check(r) != nil {
		return "requests of other origins are refused"
	}
	if g.cfg.Token != nil {
		return "" // no browser sends a token or cookie to a name that it did not get it for
	}
	if !local(r.Host) {
		return "the Host is no address of this machine: without a token the console is for this machine only"
	}
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || !peer.Addr().Unmap().IsLoopback() {
		return "the request is not from this machine"
	}
	for name := range r.Header {
		if name == "Forwarded" || name == "Via" || name == "X-Real-Ip" || strings.HasPrefix(name, "X-Forwarded-") {
			return "the request came through a proxy: start the console with a token"
		}
	}
	return ""
}

// local reports whether a Host header names this machine, and is no name that
// somebody else could have resolve to it.
func local(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if strings.EqualFold(name, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.Zone() == "" && addr.Unmap().IsLoopback()
}

// refuse answers in the form of the API's errors.
func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // the caller may be gone
}
