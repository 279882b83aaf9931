package admin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/config"
)

// Client certificates of the right authority are enough, and needed.
func TestClientCertificates(t *testing.T) {
	ca, caKey := certificate(t, "ca", nil, nil)
	server, serverKey := certificate(t, "127.0.0.1", ca, caKey)
	ann, annKey := certificate(t, "ann", ca, caKey)
	otherCA, otherKey := certificate(t, "other", nil, nil)
	eve, eveKey := certificate(t, "eve", otherCA, otherKey)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	pair := func(c *x509.Certificate, k *ecdsa.PrivateKey) []tls.Certificate {
		return []tls.Certificate{{Certificate: [][]byte{c.Raw}, PrivateKey: k}}
	}
	for _, mode := range []tls.ClientAuthType{tls.RequireAndVerifyClientCert, tls.VerifyClientCertIfGiven} {
		g := newRig(t, func(c *Config) {
			c.TLS = &tls.Config{Certificates: pair(server, serverKey), ClientCAs: pool, ClientAuth: mode, MinVersion: tls.VersionTLS12}
		})
		for name, c := range map[string]struct {
			certs []tls.Certificate
			ok    bool
		}{"ann": {pair(ann, annKey), true}, "eve": {pair(eve, eveKey), false}, "nobody": {nil, false}} {
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: c.certs, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
			g.http = &http.Client{Transport: transport}
			res, err := g.http.Get(g.url + "/debug/pprof/heap")
			got := err == nil && res.StatusCode == 200
			if err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
			if got != c.ok {
				t.Errorf("mode %d, %s: %v %v", mode, name, err, res)
			}
			if c.ok {
				if a := g.get("/", "Host", "evil.example"); a.status != 403 {
					t.Errorf("rebinding with a certificate: %d", a.status)
				}
			}
			transport.CloseIdleConnections()
		}
		if !strings.Contains(g.actions(), "profile success certificate ann") {
			t.Errorf("audited: %s", g.actions())
		}
	}
}

// Authorities are removed from their file: new connections are refused, and
// what is open may do no more, over HTTP/1.1 and HTTP/2.
func TestAuthorityIsRemoved(t *testing.T) {
	ca, caKey := certificate(t, "ca", nil, nil)
	otherCA, otherKey := certificate(t, "other", nil, nil)
	server, serverKey := certificate(t, "127.0.0.1", ca, caKey)
	ann, annKey := certificate(t, "ann", ca, caKey)
	bob, bobKey := certificate(t, "bob", otherCA, otherKey)
	dir := t.TempDir()
	write := func(name, kind string, all ...[]byte) string {
		t.Helper()
		var text []byte
		for _, der := range all {
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path+".new", text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	der, err := x509.MarshalECPrivateKey(serverKey)
	if err != nil {
		t.Fatal(err)
	}
	const cert = "CERTIFICATE"
	cfg, err := config.Load([]string{
		"HTTP_ADDR=127.0.0.1:0", "TLS_CERT_FILE=" + write("cert", cert, server.Raw), "TLS_KEY_FILE=" + write("key", "EC PRIVATE KEY", der),
		"ADMIN_CLIENT_CA_FILE=" + write("cas", cert, ca.Raw, otherCA.Raw),
	}, config.Needs{})
	if err != nil {
		t.Fatal(err)
	}
	files, err := cfg.OpenTLS()
	if err != nil {
		t.Fatal(err)
	}
	g := newRig(t, func(c *Config) { c.TLS = files.Admin() })
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	client := func(c *x509.Certificate, k *ecdsa.PrivateKey, http2 bool) *http.Client {
		transport := &http.Transport{ForceAttemptHTTP2: http2, TLSClientConfig: &tls.Config{
			RootCAs: pool, MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{c.Raw}, PrivateKey: k}},
		}}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport}
	}
	status := func(c *http.Client) (int, bool) {
		t.Helper()
		reused := false
		trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }}
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, g.url+"/livez", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.Do(req)
		if err != nil {
			return 0, reused
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		return res.StatusCode, reused
	}
	open := []*http.Client{client(bob, bobKey, false), client(bob, bobKey, true)}
	friend := client(ann, annKey, true)
	for _, c := range append(open, friend) {
		if got, _ := status(c); got != 200 {
			t.Fatalf("before: %d", got)
		}
	}
	write("cas", cert, ca.Raw)
	for i, c := range open {
		begun := time.Now()
		got, reused := status(c)
		for ; got == 200; got, reused = status(c) {
			if time.Since(begun) > 3*time.Second {
				t.Fatalf("client %d: its open connection goes on", i)
			}
			time.Sleep(20 * time.Millisecond)
		}
		if got != 401 || !reused {
			t.Errorf("client %d: %d, on an open connection: %t", i, got, reused)
		}
		if got, reused := status(c); got != 0 || reused {
			t.Errorf("client %d: %d on a new connection, reused %t", i, got, reused)
		}
	}
	if got, reused := status(friend); got != 200 || !reused {
		t.Errorf("a client of the authority that stays: %d, reused %t", got, reused)
	}
	if !strings.Contains(g.log.String(), "authority was removed") {
		t.Errorf("the log does not tell:\n%s", g.log)
	}
}

// With both, both are needed, and the audit knows whose certificate it was.
func TestTokenAndCertificate(t *testing.T) {
	ca, caKey := certificate(t, "ca", nil, nil)
	server, serverKey := certificate(t, "127.0.0.1", ca, caKey)
	ann, annKey := certificate(t, "ann", ca, caKey)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	g := newRig(t, func(c *Config) {
		c.Token = fixed(goodToken)
		c.TLS = &tls.Config{
			Certificates: []tls.Certificate{{Certificate: [][]byte{server.Raw}, PrivateKey: serverKey}},
			ClientCAs:    pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
		}
	})
	transport := &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: pool, MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{ann.Raw}, PrivateKey: annKey}},
	}}
	defer transport.CloseIdleConnections()
	g.http = &http.Client{Transport: transport}
	if a := g.get("/debug/pprof/heap"); a.status != 401 {
		t.Errorf("the certificate alone: %d", a.status)
	}
	if a := g.get("/debug/pprof/heap", "Authorization", "Bearer "+goodToken); a.status != 200 {
		t.Errorf("both: %d", a.status)
	}
	if g.actions() != "profile success certificate ann" {
		t.Errorf("audited: %s", g.actions())
	}
	g.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	if res, err := g.http.Get(g.url + "/livez"); err == nil {
		res.Body.Close()
		t.Errorf("the token alone: %s", res.Status)
	}
}

func certificate(t *testing.T, name string, ca *x509.Certificate, caKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if ca == nil {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
		ca, caKey = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, ca, &key.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}
