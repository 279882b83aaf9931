package transport

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/aguada-dev/aguada/auth"
)

// peerKey is the context key of a connection's *peer.
type peerKey struct{}

// peer is the holder of a connection's client certificate, found with its first
// request: the handshake comes after the connection.
type peer struct {
	once      sync.Once
	principal *auth.Principal
	err       error
}

// ConnContext is for http.Server.ConnContext. With it, Config.Identity is asked
// once for each connection, otherwise for each request.
func ConnContext(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, new(peer))
}

// find returns who the certificate's holder is.
func (p *peer) find(identify func(*tls.ConnectionState) (*auth.Principal, error), s *tls.ConnectionState) (*auth.Principal, error) {
	if p == nil {
		return identify(s)
	}
	p.once.Do(func() { p.principal, p.err = identify(s) })
	return p.principal, p.err
}

// checkPeer judges the client's certificate. Its holder is the caller of
// methods that ask for no credential, and is logged for the others.
func (c *call) checkPeer() *refused {
	cfg, state := &c.h.cfg, c.req.TLS
	if state == nil {
		return nil
	}
	if cfg.Trusts != nil && !cfg.Trusts(state) {
		c.w.Header()["Connection"] = closeConnection // a new connection finds out more
		return &refused{status: http.StatusMisdirectedRequest, name: "certificate_withdrawn", message: "the client certificate is no longer trusted"}
	}
	if cfg.Identity == nil || c.m.probe {
		return nil
	}
	known, _ := c.parent.Value(peerKey{}).(*peer)
	p, err := known.find(cfg.Identity, state)
	switch {
	case err != nil:
		refusal := &refused{status: http.StatusForbidden, name: "certificate_refused", message: "the client certificate names nobody that this service knows"}
		return refusal.because(err)
	case p == nil:
		return nil
	case !p.ExpiresAt.IsZero() && !time.Now().Before(p.ExpiresAt):
		c.w.Header()["Connection"] = closeConnection
		return &refused{status: http.StatusForbidden, name: "certificate_refused", message: "the client certificate has expired"}
	}
	c.peer = p.Subject
	if !c.m.secured {
		c.principal = p
	}
	return nil
}

// ClientAddr returns the address of the client of the request that ctx belongs
// to, as Config.TrustedProxies has it; invalid where there is no request or no
// address.
func ClientAddr(ctx context.Context) netip.Addr {
	c := callOf(ctx)
	if c == nil {
		return netip.Addr{}
	}
	addr, _ := netip.ParseAddr(c.client())
	return addr
}
