package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// admit says who the caller is; it has answered if the request is refused.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) (who string, ok bool) {
	if text := s.foreign(r); text != "" {
		s.refuse(w, r, http.StatusForbidden, text)
		return "", false
	}
	who = "local" // without a credential: New has made sure that the listener is on loopback
	if s.cfg.verifiesClients() {
		if who, ok = s.certified(w, r); !ok {
			return "", false
		}
	}
	if !s.tokened {
		return who, true
	}
	if !s.authenticate(w, r) {
		return "", false
	}
	if who == "local" {
		who = "token"
	}
	return who, true
}

// certified says who the caller is by the client certificate. The handshake
// verified it; but a connection lives on when the certificate expires or its
// authority is removed, which it therefore is asked about again.
func (s *Server) certified(w http.ResponseWriter, r *http.Request) (who string, ok bool) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		if s.tokened {
			return "local", true // the token decides; a listener that wants both has refused the handshake
		}
		s.refuse(w, r, http.StatusUnauthorized, "a client certificate is needed")
		return "", false
	}
	leaf, between := r.TLS.PeerCertificates[0], x509.NewCertPool()
	for _, c := range r.TLS.PeerCertificates[1:] {
		between.AddCert(c)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{
		Roots: s.authorities(), Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}); err != nil {
		w.Header().Set("Connection", "close")
		s.refuse(w, r, http.StatusUnauthorized, "the client certificate is no longer valid: it has expired, or its authority was removed")
		return "", false
	}
	return "certificate " + printable(cut(leaf.Subject.CommonName)), true
}

// authorities returns those that a handshake would accept now, never nil: that
// would be the system's.
func (s *Server) authorities() *x509.CertPool {
	c := s.cfg.TLS
	if now := c.GetConfigForClient; now != nil {
		switch latest, err := now(&tls.ClientHelloInfo{}); {
		case err != nil:
			return x509.NewCertPool()
		case latest != nil:
			c = latest
		}
	}
	if c.ClientCAs == nil {
		return x509.NewCertPool()
	}
	return c.ClientCAs
}

// foreign says why a request looks like one that a web page has made its
// visitor's browser send; "" if it does not.
func (s *Server) foreign(r *http.Request) string {
	if origins := r.Header["Origin"]; len(origins) > 0 {
		u, err := url.Parse(origins[0])
		if len(origins) > 1 || err != nil || u.Host != r.Host || u.Host == "" {
			return "cross-origin requests are refused"
		}
	}
	switch site := r.Header["Sec-Fetch-Site"]; {
	case len(site) == 0:
	case len(site) > 1 || site[0] != "same-origin" && site[0] != "none":
		return "requests from other sites are refused"
	}
	if s.origins.Check(r) != nil {
		return "cross-origin requests are refused"
	}
	if s.tokened {
		return "" // no browser sends a token that it was not given for this very origin
	}
	if !s.knows(r.Host) {
		return "the Host is neither an address of this port, localhost, nor a name that it was given"
	}
	if s.cfg.verifiesClients() {
		return ""
	}
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || !peer.Addr().Unmap().IsLoopback() {
		return "the request is not from this machine"
	}
	for name := range r.Header {
		if name == "Forwarded" || name == "Via" || name == "X-Real-Ip" || strings.HasPrefix(name, "X-Forwarded-") {
			return "the request came through a proxy, so that loopback proves nothing: set ADMIN_TOKEN"
		}
	}
	return ""
}

// knows reports whether a Host header can be this port's: an attacker's name
// that resolves to this machine cannot.
func (s *Server) knows(host string) bool {
	name := host
	if h, port, err := net.SplitHostPort(host); err == nil {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return false
		}
		name = h
	} else {
		name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		// Where nothing but loopback admits, 0.0.0.0 is an address by which a
		// browser reaches this machine without saying for whom.
		return s.cfg.verifiesClients() || addr.Zone() == "" && addr.Unmap().IsLoopback()
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return name == "localhost" || slices.ContainsFunc(s.cfg.Hosts, func(h string) bool { return strings.EqualFold(h, name) })
}

// authenticate compares the caller's token with the one in force, in a time
// that does not depend on either. The right one passes always: whoever shares
// an address with somebody who guesses must not be locked out. Guessing finds
// no random token of MinToken bytes, however fast it is; that wrong ones have
// to wait bounds what they cost in connections and in the log.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) bool {
	all := r.Header["Authorization"]
	if len(all) == 0 {
		w.Header().Set("WWW-Authenticate", `Bearer realm="admin"`)
		fail(w, http.StatusUnauthorized, "a token is needed: Authorization: Bearer ADMIN_TOKEN")
		return false
	}
	token := s.cfg.Token()
	if usable(token) != nil {
		s.refuse(w, r, http.StatusServiceUnavailable, "the port has no usable token now: look at what ADMIN_TOKEN_FILE names")
		return false
	}
	want, got := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(bearer(r)))
	if len(all) == 1 && subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
		return true
	}
	if retry := s.guesses.wrong(client(r)); retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(retry/time.Second)+1))
		w.Header().Set("Connection", "close") // the next guess costs a handshake
		s.refuse(w, r, http.StatusTooManyRequests, "too many wrong tokens from this address; the right one still works")
		return false
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="admin", error="invalid_token"`)
	s.refuse(w, r, http.StatusUnauthorized, "the token is wrong: it is what ADMIN_TOKEN or the file of ADMIN_TOKEN_FILE holds now")
	return false
}

// bearer returns the token of a request: the bearer token, or the password of
// Basic authentication.
func bearer(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimLeft(token, " ")
}

// refuse answers, and audits within bounds: what does not fit is counted in
// the next event that does.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, status int, text string) {
	if ok, dropped := s.refusals.take(time.Now()); ok {
		detail := text
		if dropped > 0 {
			detail += " (and " + strconv.Itoa(dropped) + " more refusals before)"
		}
		detail = cut(detail + ": " + r.Method + " " + printable(cut(r.URL.Path)))
		s.record(context.WithoutCancel(r.Context()), Event{
			Action: "admin.access", Client: address(r), Outcome: Denied, Status: status, Detail: detail,
		})
	}
	fail(w, status, text)
}

// address returns the peer's address without its port.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// client returns the network that is one client: an IPv4 address, or the /64
// of an IPv6 one.
func client(r *http.Request) netip.Prefix {
	a, err := netip.ParseAddr(address(r))
	if err != nil {
		return netip.Prefix{} // all of them are one
	}
	a, bits := a.Unmap().WithZone(""), 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits)
	return p
}

// A client may guess guessBurst times, and once more every guessEvery.
const (
	guessBurst = 10
	guessEvery = 5 * time.Second
	maxClients = 1024
)

// guesses bounds the wrong tokens of each client, in bounded memory. The zero
// value works.
type guesses struct {
	mu sync.Mutex
	// until is when the client is believed to have made no guess at all: each
	// one moves it by guessEvery.
	until map[netip.Prefix]time.Time
}

// wrong counts a wrong token, unless the client has to wait, for retry.
func (g *guesses) wrong(c netip.Prefix) (retry time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	debt := max(g.until[c].Sub(now), 0)
	if excess := debt - (guessBurst-1)*guessEvery; excess > 0 {
		return excess
	}
	if g.until == nil {
		g.until = make(map[netip.Prefix]time.Time)
	}
	if len(g.until) >= maxClients {
		g.forget(now)
	}
	g.until[c] = now.Add(debt + guessEvery)
	return 0
}

// forget makes room: whoever has no debt goes, and someone if nobody does.
func (g *guesses) forget(now time.Time) {
	for c, until := range g.until {
		if !until.After(now) {
			delete(g.until, c)
		}
	}
	for c := range g.until {
		if len(g.until) < maxClients {
			return
		}
		delete(g.until, c)
	}
}

// Refusals are audited as often as this, at most.
const (
	refusalBurst = 60
	refusalEvery = time.Second
)

// meter bounds how often something is done: burst times at once, and once more
// in every. It is safe for concurrent use.
type meter struct {
	burst int
	every time.Duration

	mu      sync.Mutex
	until   time.Time
	dropped int
}

// take reports whether to do it now, and how often it said no before.
func (m *meter) take(now time.Time) (ok bool, dropped int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	debt := max(m.until.Sub(now), 0)
	if debt > time.Duration(m.burst-1)*m.every {
		m.dropped++
		return false, 0
	}
	m.until = now.Add(debt + m.every)
	dropped, m.dropped = m.dropped, 0
	return true, dropped
}
