package transport

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/forwarded"
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
	p.once.Do(func() {
		p.err = errUnnamed // and stays so if identify panics
		p.principal, p.err = identify(s)
	})
	return p.principal, p.err
}

// errUnnamed is why a holder is refused whose name was never found out.
var errUnnamed = auth.Refuse(auth.Unavailable, "the holder of the client certificate could not be named")

// checkPeer judges the client's certificate, whatever is asked for. Its holder
// is the caller of methods that ask for no credential, and is logged for the
// others.
func (c *core) checkPeer(state *tls.ConnectionState) *refused {
	cfg := &c.p.cfg
	if state == nil {
		return nil
	}
	var p *auth.Principal
	var err error
	if cfg.Identity != nil && !c.m.probe {
		known, _ := c.parent.Value(peerKey{}).(*peer)
		p, err = known.find(cfg.Identity, state)
	}
	if p != nil {
		c.peer, c.peerEnds = p.Subject, p.ExpiresAt
	}
	switch {
	case cfg.Trusts != nil && !cfg.Trusts(state):
		return c.distrust(holds(p, auth.Unknown), refuse(&policy.CertificateWithdrawn))
	case err != nil:
		return c.distrust(asAuthError(err), refuse(&policy.CertificateRefused).because(err))
	case p == nil:
		return nil
	case !p.ExpiresAt.IsZero() && !time.Now().Before(p.ExpiresAt):
		return c.distrust(holds(p, auth.Expired), refuse(&policy.CertificateRefused).saying("the client certificate has expired"))
	}
	if c.m.Access != policy.Secured { // also of one that its service guards itself
		c.principal = p
	}
	return nil
}

// holds returns the error of a holder, who may be unknown.
func holds(p *auth.Principal, why auth.Reason) *auth.Error {
	if p == nil {
		return &auth.Error{Reason: why}
	}
	return &auth.Error{Reason: why, Scheme: p.Scheme, Account: p.Subject}
}

// distrust refuses the holder of a certificate. The transport ends the
// connection: only a new one finds out more.
func (c *core) distrust(why *auth.Error, r *refused) *refused {
	c.p.cfg.Telemetry.AuthFailed(why.Scheme, string(why.Reason))
	c.failed = why
	return r
}

// ClientAddr returns the address of the client of the request that ctx belongs
// to, as Config.TrustedProxies has it; invalid where there is no request or no
// address.
func ClientAddr(ctx context.Context) netip.Addr {
	c := coreOf(ctx)
	if c == nil {
		return netip.Addr{}
	}
	addr, _ := netip.ParseAddr(c.client())
	return addr
}

// client returns the address of the client, without its port.
func (c *core) client() string {
	return forwarded.Client(c.remote, c.via, c.p.cfg.TrustedProxies)
}
