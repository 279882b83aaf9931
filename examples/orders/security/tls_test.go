package security

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{}
	pair := a.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	a.cert, a.key = pair.Leaf, pair.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// issue issues a certificate by a template; to itself, before it has one.
func (a *authority) issue(t testing.TB, c *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber = new(big.Int).SetUint64(uint64(time.Now().UnixNano()))
	if c.NotBefore.IsZero() {
		c.NotBefore = time.Now().Add(-2 * time.Hour)
	}
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(time.Hour)
	}
	parent, by := a.cert, a.key
	if parent == nil {
		parent, by = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// client issues a client's certificate with a URI.
func (a *authority) client(t testing.TB, uri string, change ...func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: "mallory"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if u, err := url.Parse(uri); err == nil && uri != "" {
		c.URIs = []*url.URL{u}
	}
	for _, f := range change {
		f(c)
	}
	return a.issue(t, c)
}

const workload = "spiffe://shop.example/billing"

// secured is what the TLS stage's cases know of it.
var secured struct {
	server, clients, leaving, strangers *authority
}

func openTLS(t testing.TB) *shop {
	w, p := newWorld(t), &secured
	p.server, p.clients, p.leaving, p.strangers = newAuthority(t, "server"), newAuthority(t, "clients"), newAuthority(t, "leaving"), newAuthority(t, "strangers")
	pair := p.server.issue(t, &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	w.replace(t, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}))
	w.replace(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	w.replace(t, "clients.pem", append(p.clients.pem(), p.leaving.pem()...))
	s := newShop(t, w, mustBuild(t), "TLS_CERT_FILE="+w.file("cert.pem"), "TLS_KEY_FILE="+w.file("key.pem"),
		"TLS_CLIENT_CA_FILE="+w.file("clients.pem"), "TLS_CLIENT_IDENTITY=spiffe", "CORS_CREDENTIALS=true")
	s.scheme = "https"
	s.client = presenting(p.clients.client(t, workload))
	s.rpc = speaking(configuration(p.clients.client(t, workload)))
	return s
}

// configuration is that of a client with certificates, or without.
func configuration(certs ...tls.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(secured.server.cert)
	return &tls.Config{
		RootCAs: pool, ServerName: "127.0.0.1",
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { // whatever the server asks for
			if len(certs) == 0 {
				return &tls.Certificate{}, nil
			}
			return &certs[0], nil
		},
	}
}

func presenting(certs ...tls.Certificate) *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: configuration(certs...)}}
}

// turnedAway connects and asks: TLS 1.3 tells of a certificate with the first
// answer only.
func (s *shop) turnedAway(t *testing.T, c *tls.Config, want string) {
	t.Helper()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: c}}
	res, err := client.Get("https://" + s.addr + "/users/public")
	if err == nil {
		_ = res.Body.Close()
		t.Fatalf("let in: %s", res.Status)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

func tlsAttacks() []attack {
	nobody := refusal{status: http.StatusForbidden, name: "certificate_refused"}
	holder := func(name, defence, uri string, want refusal, change ...func(*x509.Certificate)) attack {
		return attack{name: name, defence: defence, run: func(t *testing.T, s *shop) {
			s.as(secured.clients.client(t, uri, change...), func() { s.attack(t, get("/users/public"), want) })
		}}
	}
	foreign := refusal{status: http.StatusForbidden, name: "cross_origin"}
	posted := func(s *shop, header ...[2]string) request {
		return post("/orders", order(""), append(header, bearer(token{by: s.rsa, claims: members{"scope": "api:write"}}))...)
	}
	return []attack{
		{name: "tls_identity", defence: "the holder of the certificate is the caller of public methods", run: func(t *testing.T, s *shop) {
			a := s.attack(t, get("/users/public"), refusal{status: 200})
			if a.log.text("enduser.id") != workload || a.log.text("auth.scheme") != "mtls" || a.log.text("tls.client.subject") != workload {
				t.Errorf("the log: %s", a.log.text("raw"))
			}
		}},
		{name: "tls_identity_is_no_token", defence: "a certificate is no credential of a secured method", run: func(t *testing.T, s *shop) {
			a := s.attack(t, get("/orders"), refusal{http.StatusUnauthorized, readChallenge, "unauthorized", "jwt", "missing"})
			if a.log.text("enduser.id") != "" || a.log.text("tls.client.subject") != workload {
				t.Errorf("the log: %s", a.log.text("raw"))
			}
		}},
		{name: "tls_1_1", defence: "TLS is 1.2 at least", run: func(t *testing.T, s *shop) {
			c := configuration(secured.clients.client(t, workload))
			c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
			s.turnedAway(t, c, "protocol version")
		}},
		{name: "tls_weak_cipher", defence: "cipher suites are forward secret and authenticated", run: func(t *testing.T, s *shop) {
			c := configuration(secured.clients.client(t, workload))
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA}
			s.turnedAway(t, c, "handshake failure")
		}},
		{name: "tls_1_2", defence: "TLS 1.2 is served", run: func(t *testing.T, s *shop) {
			c := configuration(secured.clients.client(t, workload))
			c.MaxVersion = tls.VersionTLS12
			s.dialled(t, c, tls.VersionTLS12)
			s.dialled(t, configuration(secured.clients.client(t, workload)), tls.VersionTLS13)
		}},
		{name: "tls_no_certificate", defence: "clients present a certificate", run: func(t *testing.T, s *shop) {
			s.turnedAway(t, configuration(), "certificate required")
		}},
		{name: "tls_wrong_authority", defence: "a certificate is of a configured authority", run: func(t *testing.T, s *shop) {
			s.turnedAway(t, configuration(secured.strangers.client(t, workload)), "unknown certificate authority")
		}},
		{name: "tls_expired_certificate", defence: "certificates end", run: func(t *testing.T, s *shop) {
			s.turnedAway(t, configuration(secured.clients.client(t, workload, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })), "expired certificate")
		}},
		{name: "tls_server_certificate", defence: "a server's certificate is no client's", run: func(t *testing.T, s *shop) {
			s.turnedAway(t, configuration(secured.clients.client(t, workload, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })), "bad certificate")
		}},
		{name: "tls_plain", defence: "a TLS port serves no plain HTTP", run: func(t *testing.T, s *shop) {
			res, err := http.Get("http://" + s.addr + "/users/public")
			if err == nil {
				_ = res.Body.Close()
				if res.StatusCode != http.StatusBadRequest {
					t.Errorf("%s", res.Status)
				}
			}
		}},
		{name: "tls_rpc_identity", defence: "the holder of the certificate is the caller of public methods, over gRPC too", run: func(t *testing.T, s *shop) {
			a := s.attack(t, request{call: "users.Users/About"}, refusal{status: 200})
			if a.log.text("enduser.id") != workload || a.log.text("auth.scheme") != "mtls" || a.log.text("tls.client.subject") != workload {
				t.Errorf("the log: %s", a.log.text("raw"))
			}
		}},
		{name: "tls_rpc_identity_is_no_token", defence: "a certificate is no credential of a secured method, over gRPC either", make: func(*shop) request { return listing() },
			want: refusal{http.StatusUnauthorized, readChallenge, "unauthorized", "jwt", "missing"}},
		{name: "tls_rpc_no_certificate", defence: "clients of gRPC present a certificate", run: func(t *testing.T, s *shop) {
			for _, c := range []*tls.Config{configuration(), configuration(secured.strangers.client(t, workload))} {
				r := request{call: "users.Users/About"}
				req, err := s.http(&r)
				if err != nil {
					t.Fatal(err)
				}
				if res, err := speaking(c).Do(req); err == nil {
					_ = res.Body.Close()
					t.Errorf("let in: %s", res.Status)
				}
			}
		}},
		{name: "tls_rpc_no_identity", defence: "a certificate names a workload, over gRPC too", run: func(t *testing.T, s *shop) {
			s.as(secured.clients.client(t, ""), func() {
				a := s.attack(t, request{call: "users.Users/About"}, nobody)
				if a.code != "PERMISSION_DENIED" {
					t.Error(a.code)
				}
			})
		}},
		{name: "tls_streams_identity_is_no_token", defence: "a certificate is no credential of a stream", run: func(t *testing.T, s *shop) {
			s.attacks(t, everywhere(get("/orders")), refusal{http.StatusUnauthorized, readChallenge, "unauthorized", "jwt", "missing"})
			s.attacks(t, everywhere(bearing("/orders", token{by: s.rsa})), refusal{status: 200})
		}},
		{name: "tls_streams_no_identity", defence: "a certificate names a workload, of streams too", run: func(t *testing.T, s *shop) {
			s.as(secured.clients.client(t, ""), func() { s.attacks(t, everywhere(bearing("/orders", token{by: s.rsa})), nobody) })
		}},
		holder("tls_no_identity", "a certificate names a workload", "", nobody),
		holder("tls_web_identity", "a name is a SPIFFE ID", "https://shop.example/billing", nobody),
		holder("tls_identity_dots", "a SPIFFE ID has one way to be written", "spiffe://shop.example/a/../billing", nobody),
		holder("tls_identity_domain_only", "a SPIFFE ID names a workload", "spiffe://shop.example", nobody),
		holder("tls_two_identities", "a certificate has one SPIFFE ID", workload, nobody, func(c *x509.Certificate) {
			c.URIs = append(c.URIs, &url.URL{Scheme: "spiffe", Host: "shop.example", Path: "/admin"})
		}),
		holder("tls_authority_as_workload", "an authority is no workload", workload, nobody, func(c *x509.Certificate) {
			c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
		}),
		{name: "tls_withdrawn_authority", defence: "an authority can be withdrawn, also from open connections", run: withdrawn},
		{name: "tls_hsts", defence: "browsers are told to come by TLS only", run: func(t *testing.T, s *shop) {
			for status, path := range map[int]string{200: "/users/public", 401: "/orders", 404: "/none"} {
				if a := s.send(t, get(path)); a.StatusCode != status || a.Header.Get("Strict-Transport-Security") != "max-age=31536000" {
					t.Errorf("%s: %d %q", path, a.StatusCode, a.Header.Get("Strict-Transport-Security"))
				}
			}
		}},
		{name: "tls_foreign_page", defence: "pages of strangers do not use a browser's certificate", make: func(s *shop) request {
			return posted(s, origin("https://evil.example"))
		}, want: foreign},
		{name: "tls_foreign_fetch", defence: "browsers say where a request is from", make: func(s *shop) request {
			return posted(s, [2]string{"Sec-Fetch-Site", "cross-site"})
		}, want: foreign},
		{name: "tls_configured_page", defence: "the configured pages may use it", run: func(t *testing.T, s *shop) {
			a := s.attack(t, posted(s, origin(page), [2]string{"Sec-Fetch-Site", "cross-site"}), refusal{status: http.StatusCreated})
			if a.Header.Get("Access-Control-Allow-Origin") != page || a.Header.Get("Access-Control-Allow-Credentials") != "true" {
				t.Errorf("%v", a.Header)
			}
		}},
	}
}

// as sends with another certificate.
func (s *shop) as(cert tls.Certificate, f func()) {
	usual, rpc := s.client, s.rpc
	s.client, s.rpc = presenting(cert), speaking(configuration(cert))
	defer func() {
		s.client.CloseIdleConnections()
		s.rpc.CloseIdleConnections()
		s.client, s.rpc = usual, rpc
	}()
	f()
}

// dialled expects a version of TLS, and a body that may be seen by nobody else.
func (s *shop) dialled(t *testing.T, c *tls.Config, version uint16) {
	t.Helper()
	conn, err := (&tls.Dialer{Config: c}).DialContext(context.Background(), "tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if got := conn.(*tls.Conn).ConnectionState().Version; got != version {
		t.Errorf("version %x, want %x", got, version)
	}
}

// withdrawn takes an authority away from its clients.
func withdrawn(t *testing.T, s *shop) {
	cert := secured.leaving.client(t, workload)
	s.as(cert, func() {
		s.attack(t, get("/users/public"), refusal{status: 200})
		about := request{call: "users.Users/About"}
		s.attack(t, about, refusal{status: 200})
		s.replace(t, "clients.pem", bytes.Clone(secured.clients.pem()))
		var last *answer
		until(t, "the open connection is refused", func() bool {
			a, err := s.try(get("/users/public"))
			last = a
			return err != nil || a.StatusCode != http.StatusOK
		})
		if last == nil || last.StatusCode != http.StatusMisdirectedRequest || last.Name != "certificate_withdrawn" {
			t.Errorf("the open connection: %+v", last)
		}
		if a := s.attack(t, about, refusal{status: http.StatusMisdirectedRequest, name: "certificate_withdrawn"}); a.code != "UNAUTHENTICATED" {
			t.Errorf("the open connection of gRPC: %s", a.code)
		}
	})
	s.turnedAway(t, configuration(cert), "unknown certificate authority")
	s.attack(t, get("/users/public"), refusal{status: 200}) // others stay
}
