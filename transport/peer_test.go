package transport

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/mtls"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/testsvc/gen/shop"
)

// authority vouches for clients.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(tb testing.TB) *authority {
	tb.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(tb)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(tb)
	return &authority{must(x509.ParseCertificate(der))(tb), key}
}

func (a *authority) issue(tb testing.TB, name string) tls.Certificate {
	tb.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(tb)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	return tls.Certificate{Certificate: [][]byte{must(x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key))(tb)}, PrivateKey: key}
}

// mutual is a rig behind mutual TLS.
type mutual struct {
	*rig
	url       string
	vouches   *authority
	pool      *x509.CertPool // of the server's authority
	http2     bool
	withdrawn atomic.Bool
	asked     atomic.Int64 // for identities
	identify  func(*tls.ConnectionState) (*auth.Principal, error)

	mu     sync.Mutex
	events []Event
}

// newMutual serves a rig by mutual TLS. Its identities are the certificates'
// subjects, unless change says otherwise.
func newMutual(t *testing.T, http2 bool, change func(*mutual)) *mutual {
	t.Helper()
	m := &mutual{vouches: newAuthority(t), pool: x509.NewCertPool(), http2: http2}
	m.identify = must(mtls.New(mtls.Subject))(t).Principal
	m.rig = newRig(t, func(r *rig) {
		m.rig = r
		r.cfg.Trusts = func(*tls.ConnectionState) bool { return !m.withdrawn.Load() }
		r.cfg.Identity = func(s *tls.ConnectionState) (*auth.Principal, error) { m.asked.Add(1); return m.identify(s) }
		r.cfg.Audit = func(e *Event) { m.mu.Lock(); defer m.mu.Unlock(); m.events = append(m.events, *e) }
		if change != nil {
			change(m)
		}
	})
	clients := x509.NewCertPool()
	clients.AddCert(m.vouches.cert)
	server := httptest.NewUnstartedServer(m.h)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	server.Config.ConnContext = ConnContext
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.EnableHTTP2 = http2
	server.StartTLS()
	t.Cleanup(server.Close)
	m.url = server.URL
	m.pool.AddCert(server.Certificate())
	return m
}

// client returns a client with a certificate, of one connection at a time.
func (m *mutual) client(t *testing.T, name string) *http.Client {
	t.Helper()
	tr := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: m.pool, Certificates: []tls.Certificate{m.vouches.issue(t, name)}},
		ForceAttemptHTTP2: m.http2,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// send returns the status and the body, and whether the connection had been
// used before.
func (m *mutual) send(t *testing.T, c *http.Client, verb, path, token string, header ...string) (status int, body string, reused bool) {
	t.Helper()
	req := request(verb, path, token, "")
	u := *req.URL
	u.Scheme, u.Host = "https", strings.TrimPrefix(m.url, "https://")
	req.URL, req.Host = &u, ""
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	req = req.WithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }}))
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if want := map[bool]int{true: 2, false: 1}[m.http2]; res.ProtoMajor != want {
		t.Fatalf("HTTP/%d", res.ProtoMajor)
	}
	return res.StatusCode, string(must(io.ReadAll(res.Body))(t)), reused
}

// failures are the audit events of callers who were not let in.
func (m *mutual) failures() []Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Event
	for _, e := range m.events {
		if e.Failed {
			all = append(all, e)
		}
	}
	return all
}

// both runs a test under HTTP/1.1 and HTTP/2.
func both(t *testing.T, f func(t *testing.T, http2 bool)) {
	t.Run("HTTP/1.1", func(t *testing.T) { f(t, false) })
	t.Run("HTTP/2", func(t *testing.T) { f(t, true) })
}

// A connection that is open when its client's authority is withdrawn is used
// for one answer more, whatever that is asked for, and the next one is new.
func TestWithdrawnAuthority(t *testing.T) {
	asks := []string{"Origin", "https://shop.example", "Access-Control-Request-Method", "GET"}
	both(t, func(t *testing.T, http2 bool) {
		m := newMutual(t, http2, func(m *mutual) { pages(policy.CORS{Origins: []string{"https://shop.example"}}, "find")(m.rig) })
		c := m.client(t, "billing")
		for _, r := range []struct {
			verb, path string
			header     []string
		}{
			{"GET", "/find", nil}, {"GET", "/orders/1", nil}, {"POST", "/orders", nil}, {"GET", "/nothing", nil}, {"PUT", "/find", nil},
			{"GET", "/watch", nil}, {"GET", "/files/key", nil}, {"GET", "/old", nil}, {"OPTIONS", "/find", asks},
		} {
			if status, body, _ := m.send(t, c, "GET", "/find", ""); status != 200 {
				t.Fatalf("trusted: %d %s", status, body)
			}
			m.withdrawn.Store(true)
			status, body, reused := m.send(t, c, r.verb, r.path, m.token, r.header...)
			if status != http.StatusMisdirectedRequest || !strings.Contains(body, "certificate_withdrawn") || !reused {
				t.Errorf("%s %s of a withdrawn client: %d %s, same connection: %t", r.verb, r.path, status, body, reused)
			}
			if line := m.log.last(t); line["tls.client.subject"] != "CN=billing" && r.verb != "OPTIONS" {
				t.Errorf("%s %s: who it was is not in %v", r.verb, r.path, line)
			}
			m.withdrawn.Store(false)
			if status, body, reused := m.send(t, c, "GET", "/find", ""); status != 200 || reused {
				t.Errorf("after %s %s: %d %s, same connection: %t", r.verb, r.path, status, body, reused)
			}
		}
		failures := m.failures()
		if len(failures) != 9 {
			t.Fatalf("%d audit events: %+v", len(failures), failures)
		}
		if e := failures[0]; e.User != "CN=billing" || e.Scheme != mtls.Scheme || e.Status != 421 || e.Outcome != "denied" || e.Client == "" || e.Method != "find" {
			t.Errorf("%+v", e)
		}
	})
}

// Who the holder is is found out once for each connection, and never for
// another one.
func TestIdentityOfConnections(t *testing.T) {
	both(t, func(t *testing.T, http2 bool) {
		var caller atomic.Value
		m := newMutual(t, http2, nil)
		m.shop.find = func(ctx context.Context, _ *shop.FindPayload) (any, error) {
			p, _ := auth.FromContext(ctx)
			caller.Store(p.Subject)
			return 1, nil
		}
		for i, name := range []string{"billing", "stock"} {
			c := m.client(t, name)
			for range 3 {
				if status, body, _ := m.send(t, c, "GET", "/find", ""); status != 200 {
					t.Fatalf("%d %s", status, body)
				}
				if got := caller.Load(); got != "CN="+name {
					t.Errorf("%s is taken for %v", name, got)
				}
			}
			if n := m.asked.Load(); n != int64(i+1) {
				t.Errorf("asked %d times for %d connections", n, i+1)
			}
		}
	})
}

// The holder is the caller of open methods, never of those that ask for a
// credential, and is in the log of both.
func TestHolderIsCallerOfOpenMethods(t *testing.T) {
	m := newMutual(t, false, nil)
	c := m.client(t, "billing")
	for _, r := range []struct {
		path, token  string
		status       int
		user, scheme string
	}{
		{"/find", "", 200, "CN=billing", mtls.Scheme},
		{"/find", m.token, 200, "CN=billing", mtls.Scheme},
		{"/orders/1", m.token, 200, "ann", "jwt"},
		{"/orders/1", "", 401, "", "jwt"},
		{"/orders/1", "nonsense", 401, "", "jwt"},
		{"/nothing", "", 404, "CN=billing", mtls.Scheme},
	} {
		status, body, _ := m.send(t, c, "GET", r.path, r.token)
		text := func(name string) string { s, _ := m.log.last(t)[name].(string); return s }
		if status != r.status || text("enduser.id") != r.user || text("auth.scheme") != r.scheme || text("tls.client.subject") != "CN=billing" {
			t.Errorf("%s %q: %d %s, logged %v", r.path, r.token, status, body, m.log.last(t))
		}
	}
}

// Nor is the holder the caller where the service itself asks for a credential.
func TestHolderIsNotCallerOfOwnAuther(t *testing.T) {
	m := newMutual(t, false, func(m *mutual) { m.auther, m.cfg.Verifiers = open{}, nil })
	m.shop.show = func(ctx context.Context, _ *shop.ShowPayload) (*shop.Order, error) {
		if p, ok := auth.FromContext(ctx); ok {
			t.Errorf("%s is the caller of a method whose credential the service verifies", p.Subject)
		}
		return stored, nil
	}
	if status, body, _ := m.send(t, m.client(t, "billing"), "GET", "/orders/1", ""); status != 200 {
		t.Errorf("%d %s", status, body)
	}
}

// A certificate that expires while its connection is kept is worth nothing any
// more.
func TestExpiredHolder(t *testing.T) {
	both(t, func(t *testing.T, http2 bool) {
		var end time.Time
		m := newMutual(t, http2, func(m *mutual) {
			identify := m.identify
			m.identify = func(s *tls.ConnectionState) (*auth.Principal, error) {
				p, err := identify(s)
				p.ExpiresAt = end
				return p, err
			}
		})
		c := m.client(t, "billing")
		end = time.Now().Add(300 * time.Millisecond)
		for {
			status, body, reused := m.send(t, c, "GET", "/find", "")
			switch {
			case status == 200 && time.Now().Before(end.Add(10*time.Second)):
				continue
			case status != 403 || !strings.Contains(body, "certificate_refused") || !reused || time.Now().Before(end):
				t.Fatalf("%d %s, same connection: %t", status, body, reused)
			}
			break
		}
		if e := m.failures(); len(e) != 1 || e[0].User != "CN=billing" || e[0].ErrorType != string(auth.Expired) {
			t.Errorf("audited: %+v", e)
		}
		end = time.Now().Add(time.Minute)
		if status, body, reused := m.send(t, c, "GET", "/find", ""); status != 200 || reused {
			t.Errorf("then: %d %s, same connection: %t", status, body, reused)
		}
	})
}

// Who cannot be named is let in nowhere, and neither is who comes again on the
// connection for which naming failed in whatever way.
func TestUnnamedHolder(t *testing.T) {
	for name, identify := range map[string]func(*tls.ConnectionState) (*auth.Principal, error){
		"error": func(*tls.ConnectionState) (*auth.Principal, error) { return nil, errors.New("no such client") },
		"error beside": func(*tls.ConnectionState) (*auth.Principal, error) {
			return &auth.Principal{Subject: "x"}, errors.New("no")
		},
		"refusal": func(*tls.ConnectionState) (*auth.Principal, error) {
			return nil, &auth.Error{Reason: auth.Malformed, Scheme: mtls.Scheme}
		},
	} {
		both(t, func(t *testing.T, http2 bool) {
			m := newMutual(t, http2, func(m *mutual) { m.identify = identify })
			c := m.client(t, "billing")
			for _, path := range []string{"/find", "/orders/1", "/nothing", "/watch"} {
				if status, body, _ := m.send(t, c, "GET", path, m.token); status != 403 || !strings.Contains(body, "certificate_refused") || strings.Contains(body, "such client") {
					t.Errorf("%s: %s: %d %s", name, path, status, body)
				}
			}
			if n := len(m.failures()); n != 4 {
				t.Errorf("%s: %d audit events of 4 refusals", name, n)
			}
		})
	}
	both(t, func(t *testing.T, http2 bool) {
		m := newMutual(t, http2, func(m *mutual) {
			m.identify = func(*tls.ConnectionState) (*auth.Principal, error) { panic("a bug") }
		})
		c := m.client(t, "billing")
		for i, want := range []int{500, 403} {
			if status, body, reused := m.send(t, c, "GET", "/find", ""); status != want || reused != (i > 0) {
				t.Errorf("request %d after a panic: %d %s, same connection: %t", i+1, status, body, reused)
			}
		}
	})
}

// Nobody is let in as nobody, and an identity without ConnContext is asked for
// with each request.
func TestIdentityWithoutConnContext(t *testing.T) {
	asked := 0
	r := newRig(t, func(r *rig) {
		r.cfg.Identity = func(*tls.ConnectionState) (*auth.Principal, error) { asked++; return nil, nil }
	})
	for range 2 {
		req := request("GET", "/find", "", "")
		req.TLS = &tls.ConnectionState{}
		if w := r.do(req); w.Code != 200 || r.log.last(t)["enduser.id"] != nil {
			t.Errorf("%d %s, logged %v", w.Code, w.Body, r.log.last(t))
		}
	}
	if w := r.do(request("GET", "/find", "", "")); w.Code != 200 || asked != 2 {
		t.Errorf("%d %s, asked %d times", w.Code, w.Body, asked)
	}
}

// Every answer tells browsers to come by TLS, also those that refuse.
func TestStrictTransport(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.cfg.StrictTransport = 8760 * time.Hour
		r.cfg.Trusts = func(s *tls.ConnectionState) bool { return s.ServerName != "withdrawn" }
		pages(policy.CORS{Origins: []string{"https://shop.example"}}, "find")(r)
	})
	r.shop.cancel = func(context.Context, *shop.CancelPayload) error { panic("a bug") }
	large := request("POST", "/orders", r.token, order)
	large.ContentLength = 1 << 40
	withdrawn := request("GET", "/find", "", "")
	withdrawn.TLS = &tls.ConnectionState{ServerName: "withdrawn"}
	for _, c := range []struct {
		req  *http.Request
		want int
	}{
		{request("GET", "/find", "", ""), 200}, {request("GET", "/old", "", ""), 301}, {request("GET", "/files/none", "", ""), 404},
		{request("POST", "/check/1", "", "{"), 400}, {request("GET", "/orders/1", "", ""), 401}, {request("POST", "/orders", r.reader, order), 403},
		{request("GET", "/none", "", ""), 404}, {request("PUT", "/find", "", ""), 405}, {large, 413}, {withdrawn, 421},
		{request("POST", "/orders/1:cancel", r.token, ""), 500},
		{asking("/find", "GET", "https://shop.example"), 204}, {asking("/find", "GET", "https://evil.example"), 403},
	} {
		w := r.do(c.req)
		if got := w.Header()["Strict-Transport-Security"]; w.Code != c.want || len(got) != 1 || got[0] != "max-age=31536000" {
			t.Errorf("%s %s: %d, want %d, %q", c.req.Method, c.req.URL.Path, w.Code, c.want, got)
		}
	}
	for _, age := range []time.Duration{0, time.Second - 1, -time.Hour} {
		r := newRig(t, func(r *rig) { r.cfg.StrictTransport = age })
		if w := r.do(request("GET", "/find", "", "")); w.Header()["Strict-Transport-Security"] != nil {
			t.Errorf("%s: %v", age, w.Header())
		}
	}
}

// To judge a holder who is known already costs nothing.
func TestPeerAllocations(t *testing.T) {
	r := newRig(t, nil)
	p := &auth.Principal{Subject: "billing", ExpiresAt: time.Now().Add(time.Hour)}
	r.h.cfg.Trusts = func(*tls.ConnectionState) bool { return true }
	r.h.cfg.Identity = func(*tls.ConnectionState) (*auth.Principal, error) { return p, nil }
	c := &call{h: r.h, core: core{p: &r.h.path, m: r.h.unmatched, parent: ConnContext(t.Context(), nil)}}
	state := &tls.ConnectionState{}
	if n := testing.AllocsPerRun(100, func() {
		if c.checkPeer(state) != nil || c.principal != p {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
