// Package idp is an identity provider under the control of who attacks a
// service: it issues the service's tokens, publishes their keys, answers
// introspection, and forges tokens that the service must refuse.
//
//	p, err := idp.Start(idp.Config{Audience: "orders"})
//	...
//	defer p.Close()
//	good, err := p.Sign(idp.Claims{Scopes: []string{"orders:read"}})
//	for _, f := range p.Forgeries() {
//		bad, err := p.Forge(f.Name, idp.Claims{Scopes: []string{"orders:read"}})
//		...
//	}
//
// Its keys rotate, its endpoints break in several ways, and it counts who asks
// for what. A second server, which is no part of the provider, lies at the
// addresses that forged tokens point to, and remembers who came.
//
// It listens on loopback only, over plain HTTP, and grants nothing to anybody
// who asks: it has no token endpoint. It is not an identity provider for
// production.
package idp

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Config tunes a [Provider]. The zero value works.
type Config struct {
	// Audience is the service's name in the aud of tokens. Where it is empty
	// tokens have no aud.
	Audience string
	// HMACSecret is the secret by which the service verifies its tokens, where
	// it uses HS256. Good tokens are then signed with it and nothing else, and
	// forgeries are those that fit.
	HMACSecret []byte
	// Name is the iss of tokens, where the service knows its issuer by another
	// name than the provider's URL.
	Name string
	// ScopeClaim is the claim that holds scopes, "scope" if empty; ScopeList
	// says that they are a list in it, rather than words of one text.
	ScopeClaim string
	ScopeList  bool
	// Introspection has the provider answer for tokens (RFC 7662).
	Introspection bool
	// ClientID and ClientSecret are what the service must show to ask about
	// tokens: "service" and a random text if empty.
	ClientID, ClientSecret string
	// Claims is what tokens hold where who asks for one does not say otherwise.
	Claims Claims
}

// Provider is an identity provider that is running. It is safe for concurrent
// use.
type Provider struct {
	cfg    Config
	main   *server // the provider's endpoints
	bait   *server // where forged tokens point to
	rogue  *generation
	chain  []byte        // of the rogue key: a certificate, DER
	closed chan struct{} // closed by Close
	end    sync.Once

	keysAsked, discoveryAsked, introspectionAsked, otherAsked atomic.Int64

	mu        sync.RWMutex
	published []*generation // the last of them signs
	made      int           // generations ever
	outage    Outage
	changed   chan struct{} // closed when the outage changes
	fetched   []Fetch
	tokens    map[digest]*opaque
	asked     []Introspection
}

// Start makes keys and starts a provider on a free port of 127.0.0.1.
func Start(cfg Config) (*Provider, error) {
	if cfg.ClientID == "" {
		cfg.ClientID = "service"
	}
	if cfg.ClientSecret == "" {
		cfg.ClientSecret = random(16)
	}
	cfg.HMACSecret = slices.Clone(cfg.HMACSecret)
	p := &Provider{
		cfg: cfg, closed: make(chan struct{}), changed: make(chan struct{}), tokens: map[digest]*opaque{},
	}
	var err error
	if p.rogue, err = newGeneration("rogue"); err != nil {
		return nil, fmt.Errorf("start identity provider: %w", err)
	}
	if p.chain, err = certificate(p.rogue.keys[RS256]); err != nil {
		return nil, fmt.Errorf("start identity provider: %w", err)
	}
	if err := p.add(); err != nil {
		return nil, fmt.Errorf("start identity provider: %w", err)
	}
	if p.main, err = listen(p.endpoints()); err != nil {
		return nil, fmt.Errorf("start identity provider: %w", err)
	}
	if p.bait, err = listen(http.HandlerFunc(p.lure)); err != nil {
		return nil, errors.Join(fmt.Errorf("start identity provider: %w", err), p.main.close())
	}
	return p, nil
}

// Issuer returns the provider's URL, which is also the iss of good tokens unless
// they have a Config.Name. It does not end with a slash.
func (p *Provider) Issuer() string { return p.main.url }

// Audience returns the aud of good tokens; empty if they have none.
func (p *Provider) Audience() string { return p.cfg.Audience }

// KeysURL returns where the key set is (jwks_uri).
func (p *Provider) KeysURL() string { return p.main.url + keysPath }

// DiscoveryURL returns where the provider says where its endpoints are (OpenID
// Connect Discovery 1.0). The same document is at the place of RFC 8414.
func (p *Provider) DiscoveryURL() string { return p.main.url + openidPath }

// IntrospectionURL returns where the provider answers for tokens; empty unless
// Config.Introspection.
func (p *Provider) IntrospectionURL() string {
	if !p.cfg.Introspection {
		return ""
	}
	return p.main.url + introspectionPath
}

// ClientID returns the name by which the service asks about tokens.
func (p *Provider) ClientID() string { return p.cfg.ClientID }

// ClientSecret returns the secret that goes with ClientID.
func (p *Provider) ClientSecret() string { return p.cfg.ClientSecret }

// Close ends the provider and every request to it. It is idempotent.
func (p *Provider) Close() error {
	var err error
	p.end.Do(func() {
		close(p.closed)
		err = errors.Join(p.main.close(), p.bait.close())
	})
	return err
}

// server is an HTTP server on loopback.
type server struct {
	url  string
	http *http.Server
	done chan struct{} // closed when it serves no more
	err  error         // set before done is closed
}

func listen(h http.Handler) (*server, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s := &server{url: "http://" + l.Addr().String(), done: make(chan struct{}), http: &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 128 << 10,
		ErrorLog: log.New(io.Discard, "", 0),
	}}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.err = err
		}
	}()
	return s, nil
}

// close ends the server. Requests under way have a second to end; connections on
// which nothing was sent yet are not waited for beyond that.
func (s *server) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	<-s.done
	return errors.Join(err, s.err)
}

// random returns a text of n random bytes.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
