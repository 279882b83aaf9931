package idp

import (
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Paths of the endpoints.
const (
	keysPath          = "/keys"
	introspectionPath = "/introspect"
	openidPath        = "/.well-known/openid-configuration"
	oauthPath         = "/.well-known/oauth-authorization-server"
)

// Outage is a way in which the provider's endpoints do not work.
type Outage int

// The outages.
const (
	None    Outage = iota // they work
	Hang                  // no answer until the outage is another one
	Fail                  // status 503
	Drop                  // the connection is reset before an answer
	Garbage               // status 200 and a page that is none of the provider's documents
)

// Outage breaks all endpoints of the provider, or mends them with None. Requests
// that hang follow.
func (p *Provider) Outage(how Outage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outage = how
	close(p.changed)
	p.changed = make(chan struct{})
}

// Requests is how often the provider was asked, outages included.
type Requests struct {
	Keys, Discovery, Introspection int64
	// Other counts requests for what is not there.
	Other int64
}

// Requests returns how often the provider was asked since it started.
func (p *Provider) Requests() Requests {
	return Requests{
		Keys: p.keysAsked.Load(), Discovery: p.discoveryAsked.Load(),
		Introspection: p.introspectionAsked.Load(), Other: p.otherAsked.Load(),
	}
}

// endpoints serves the provider.
func (p *Provider) endpoints() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+keysPath, p.endpoint(&p.keysAsked, p.keys))
	mux.Handle("GET "+openidPath, p.endpoint(&p.discoveryAsked, p.discovery))
	mux.Handle("GET "+oauthPath, p.endpoint(&p.discoveryAsked, p.discovery))
	if p.cfg.Introspection {
		mux.Handle("POST "+introspectionPath, p.endpoint(&p.introspectionAsked, p.introspect))
	}
	mux.Handle("/", p.endpoint(&p.otherAsked, http.NotFound))
	return mux
}

// endpoint counts requests and serves them as the outage lets it.
func (p *Provider) endpoint(count *atomic.Int64, h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count.Add(1)
		for {
			p.mu.RLock()
			how, changed := p.outage, p.changed
			p.mu.RUnlock()
			if how != Hang {
				during(how, h)(w, r)
				return
			}
			select {
			case <-changed:
			case <-r.Context().Done(): // the client left
				reset(w, r)
				return
			case <-p.closed:
				reset(w, r)
				return
			}
		}
	})
}

// during returns what answers in an outage that does not hang.
func during(how Outage, h http.HandlerFunc) http.HandlerFunc {
	switch how {
	case Fail:
		return func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
		}
	case Drop:
		return reset
	case Garbage:
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte("<!doctype html><title>Maintenance</title><p>We are back soon."))
		}
	}
	return h
}

// reset ends a connection without an answer.
func reset(w http.ResponseWriter, _ *http.Request) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // which ends it too
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// keys answers with the key set (RFC 7517).
func (p *Provider) keys(w http.ResponseWriter, _ *http.Request) {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, g := range p.generations() {
		set.Keys = append(set.Keys, g.jwks(g)...)
	}
	answer(w, "application/jwk-set+json", set)
}

// discovery answers with what the provider says of itself.
func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	answer(w, "application/json", metadata(p.Issuer(), p.KeysURL(), p.IntrospectionURL()))
}

func metadata(issuer, keys, introspection string) map[string]any {
	m := map[string]any{
		"issuer": issuer, "jwks_uri": keys, "authorization_endpoint": issuer + "/authorize", "token_endpoint": issuer + "/token",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": algorithms,
	}
	if introspection != "" {
		m["introspection_endpoint"] = introspection
		m["introspection_endpoint_auth_methods_supported"] = []string{basicAuth, postAuth}
	}
	return m
}

func answer(w http.ResponseWriter, kind string, v any) {
	w.Header().Set("Content-Type", kind)
	_ = json.NewEncoder(w).Encode(v) // the client may have left
}

// Fetch is a request to an address that only a forged token named.
type Fetch struct {
	// Forgery is the name of the forgery.
	Forgery string
	// Path is what was asked for.
	Path string
	At   time.Time
}

// maxRecords is how many fetches, and how many introspections, are remembered.
const maxRecords = 10_000

// Fetched returns the requests that forged tokens brought about, the first of
// them first: whoever sent the token made the service call an address of their
// choice (CWE-918). At most 10,000 are remembered.
func (p *Provider) Fetched() []Fetch {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return slices.Clone(p.fetched)
}

// address returns where a forged token points to.
func (p *Provider) address(forgery string) string { return p.bait.url + "/" + forgery }

// lure answers at the addresses of forged tokens, with what would make the token
// good if it was believed: the rogue keys.
func (p *Provider) lure(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	name := ""
	for _, f := range pointing {
		if strings.Contains(path+"/", "/"+f+"/") {
			name = f
		}
	}
	if name == "" {
		http.NotFound(w, r)
		return
	}
	p.mu.Lock()
	if len(p.fetched) < maxRecords {
		p.fetched = append(p.fetched, Fetch{Forgery: name, Path: path, At: time.Now()})
	}
	p.mu.Unlock()
	switch {
	case strings.Contains(path, "/.well-known/"):
		answer(w, "application/json", metadata(p.address(name), p.address(name)+keysPath, ""))
	case name == forgeryX5U:
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		_ = pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: p.chain})
	default: // under every name that a token may use
		keys := p.rogue.jwks(p.rogue)
		for _, g := range p.generations() {
			keys = append(keys, p.rogue.jwks(g)...)
		}
		answer(w, "application/jwk-set+json", jose.JSONWebKeySet{Keys: keys})
	}
}
