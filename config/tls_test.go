package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/config"
)

// issued is a certificate and what made it.
type issued struct {
	leaf      *x509.Certificate
	key       *ecdsa.PrivateKey
	cert, pem string // the certificate and its key, as files have them
}

// issue has by sign a certificate for a time, or itself if by is nil.
func issue(t testing.TB, by *issued, name string, from, to time.Time) *issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to, DNSNames: []string{"localhost"},
		IsCA: by == nil, BasicConstraintsValid: true,
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.leaf, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{
		leaf: leaf, key: key,
		cert: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		pem:  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})),
	}
}

// fresh is issue for an hour about now.
func fresh(t testing.TB, by *issued, name string) *issued {
	t.Helper()
	return issue(t, by, name, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
}

func (i *issued) tls() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{i.leaf.Raw}, PrivateKey: i.key, Leaf: i.leaf}
}

// deployments are the ways in which files of a folder are replaced. Each
// returns a function that gives the files new contents.
var deployments = map[string]func(t testing.TB, dir string, files map[string]string) func(map[string]string){
	"rewrite": func(t testing.TB, dir string, files map[string]string) func(map[string]string) {
		put := func(files map[string]string) {
			for name, content := range files { // in parts, and one after the other
				f, err := os.Create(filepath.Join(dir, name))
				if err != nil {
					t.Error(err)
					return
				}
				for part := range slices.Chunk([]byte(content), len(content)/2+1) {
					if _, err := f.Write(part); err != nil {
						t.Error(err)
					}
				}
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			}
		}
		put(files)
		return put
	},
	"rename": func(t testing.TB, dir string, files map[string]string) func(map[string]string) {
		put := func(files map[string]string) {
			for name, content := range files {
				path := filepath.Join(dir, name)
				if err := errors.Join(os.WriteFile(path+".new", []byte(content), 0o600), os.Rename(path+".new", path)); err != nil {
					t.Error(err)
				}
			}
		}
		put(files)
		return put
	},
	"kubernetes": func(t testing.TB, dir string, files map[string]string) func(map[string]string) {
		n := 0
		put := func(files map[string]string) {
			n++
			data := fmt.Sprintf("..2026_%d", n)
			err := os.Mkdir(filepath.Join(dir, data), 0o700)
			for name, content := range files {
				err = errors.Join(err, os.WriteFile(filepath.Join(dir, data, name), []byte(content), 0o600))
			}
			err = errors.Join(err, os.Symlink(data, filepath.Join(dir, "..tmp")), os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")))
			if n > 1 {
				err = errors.Join(err, os.RemoveAll(filepath.Join(dir, fmt.Sprintf("..2026_%d", n-1))))
			}
			if err != nil {
				t.Error(err)
			}
		}
		put(files)
		for name := range files {
			if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		return put
	},
}

// open loads a configuration and opens its TLS.
func open(t testing.TB, environ ...string) (*config.Config, *config.TLS) {
	t.Helper()
	cfg, err := config.Load(append([]string{"HTTP_ADDR=127.0.0.1:0"}, environ...), config.Needs{})
	if err != nil {
		t.Fatal(err)
	}
	files, err := cfg.OpenTLS()
	if err != nil {
		t.Fatal(err)
	}
	return cfg, files
}

// serve serves over a real socket until the test ends, and returns its address.
func serve(t testing.TB, c *tls.Config) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{TLSConfig: c, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), Handler: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RemoteAddr) })}
	served := make(chan error, 1)
	go func() { served <- srv.ServeTLS(ln, "", "") }()
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		<-served
	})
	return ln.Addr().String()
}

// caller is a client with one connection.
type caller struct {
	*http.Transport
	conns int
}

func newCaller(http2 bool, c *tls.Config) *caller {
	p := new(http.Protocols)
	p.SetHTTP1(!http2)
	p.SetHTTP2(http2)
	c.ServerName = "localhost"
	return &caller{Transport: &http.Transport{Protocols: p, TLSClientConfig: c}}
}

// get returns the certificate of the connection that served the request.
func (c *caller) get(t testing.TB, addr string) (*x509.Certificate, error) {
	t.Helper()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		if !i.Reused {
			c.conns++
		}
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+addr, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.TLS.PeerCertificates[0], errors.Join(err, resp.Body.Close())
}

// A new certificate is presented within 2 s. No handshake fails meanwhile, and
// connections that are open stay open.
func TestCertificateRotation(t *testing.T) {
	ca := fresh(t, nil, "authority")
	roots := x509.NewCertPool()
	roots.AddCert(ca.leaf)
	for name, deploy := range deployments {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, now := t.TempDir(), fresh(t, ca, "server")
			put := deploy(t, dir, map[string]string{"tls.crt": now.cert, "tls.key": now.pem})
			cfg, files := open(t, "TLS_CERT_FILE="+filepath.Join(dir, "tls.crt"), "TLS_KEY_FILE="+filepath.Join(dir, "tls.key"))
			cfg.OnReloadError(func(err error) { t.Error(err) })
			addr := serve(t, files.Public())
			old := []*caller{newCaller(false, &tls.Config{RootCAs: roots}), newCaller(true, &tls.Config{RootCAs: roots})}
			for _, c := range old {
				if got, err := c.get(t, addr); err != nil || !got.Equal(now.leaf) {
					t.Fatalf("%v, %v", got, err)
				}
			}
			next := fresh(t, ca, "server")
			put(map[string]string{"tls.crt": next.cert, "tls.key": next.pem})
			for since, n := time.Now(), 0; ; n++ {
				c := newCaller(n%2 == 0, &tls.Config{RootCAs: roots})
				got, err := c.get(t, addr)
				c.CloseIdleConnections()
				if err != nil || !got.Equal(now.leaf) && !got.Equal(next.leaf) {
					t.Fatalf("%v, %v", got, err)
				}
				if got.Equal(next.leaf) {
					t.Logf("in force after %s and %d handshakes", time.Since(since).Round(time.Millisecond), n)
					break
				}
				if time.Since(since) > 2*time.Second {
					t.Fatal("the new certificate is not presented after 2 s")
				}
			}
			for _, c := range old {
				if got, err := c.get(t, addr); err != nil || !got.Equal(now.leaf) || c.conns != 1 {
					t.Errorf("an open connection: %v, %v, %d connections", got.SerialNumber, err, c.conns)
				}
				c.CloseIdleConnections()
			}
			if !files.NotAfter().Equal(next.leaf.NotAfter) {
				t.Errorf("it expires at %s", files.NotAfter())
			}
		})
	}
}

// Authorities that are dropped are out of force within 2 s: for new handshakes,
// for sessions that are resumed, and for connections that are open.
func TestAuthorityRotation(t *testing.T) {
	for name, deploy := range deployments {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(name+" "+tls.VersionName(version), func(t *testing.T) {
				t.Parallel()
				dir, server, mine, other := t.TempDir(), fresh(t, nil, "server"), fresh(t, nil, "mine"), fresh(t, nil, "other")
				put := deploy(t, dir, map[string]string{"ca": mine.cert})
				cfg, files := open(t, "TLS_CERT_FILE="+write(t, server.cert), "TLS_KEY_FILE="+write(t, server.pem), "TLS_CLIENT_CA_FILE="+filepath.Join(dir, "ca"))
				cfg.OnReloadError(func(err error) { t.Error(err) })
				s := listen(t, files.Public())
				leaf := fresh(t, mine, "client")
				client := &tls.Config{
					InsecureSkipVerify: true, ServerName: "localhost", MaxVersion: version,
					Certificates: []tls.Certificate{leaf.tls()}, ClientSessionCache: tls.NewLRUClientSessionCache(1),
				}
				state := s.dial(client)
				if state == nil || state.DidResume || !files.Trusts(state) {
					t.Fatalf("a client of the authority: %v", state)
				}
				if again := s.dial(client); again == nil || !again.DidResume {
					t.Fatal("the session is not resumed")
				}
				put(map[string]string{"ca": mine.cert + other.cert}) // one more authority ends no session
				eventually(t, func() bool {
					return s.dial(client) != nil && s.dial(&tls.Config{
						InsecureSkipVerify: true, Certificates: []tls.Certificate{fresh(t, other, "client").tls()}}) != nil
				})
				if again := s.dial(client); again == nil || !again.DidResume || !files.Trusts(again) {
					t.Error("the session is not resumed although its authority is still trusted")
				}
				put(map[string]string{"ca": other.cert})
				eventually(t, func() bool { return s.dial(client) == nil })
				bare := client.Clone() // shows its session only
				bare.Certificates = nil
				if s.dial(bare) != nil {
					t.Error("a session lets a client of the former authority in")
				}
				if c, err := files.Public().GetConfigForClient(nil); err != nil || c.VerifyConnection(*state) == nil {
					t.Error("a session that crypto/tls would resume is let in")
				}
				if files.Trusts(state) {
					t.Error("an open connection of the former authority's client is trusted")
				}
			})
		}
	}
}

// eventually waits until what is asked for becomes true, 2 s at most.
func eventually(t *testing.T, f func() bool) {
	t.Helper()
	for since := time.Now(); !f(); {
		if time.Since(since) > 2*time.Second {
			t.Fatal("not after 2 s")
		}
	}
}

// tlsServer completes handshakes over a real socket.
type tlsServer struct {
	addr   string
	states sync.Map // by the client's address
}

// listen starts a tlsServer that lasts as long as the test.
func listen(t *testing.T, c *tls.Config) *tlsServer {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", c)
	if err != nil {
		t.Fatal(err)
	}
	s, done := &tlsServer{addr: ln.Addr().String()}, make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			server := conn.(*tls.Conn)
			if server.Handshake() == nil {
				state := server.ConnectionState()
				s.states.Store(conn.RemoteAddr().String(), &state)
				_, _ = io.WriteString(conn, "x")
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return s
}

// dial returns the connection's state as the server sees it, or nil if it
// refuses the client.
func (s *tlsServer) dial(c *tls.Config) *tls.ConnectionState {
	conn, err := tls.Dial("tcp", s.addr, c)
	if err != nil {
		return nil
	}
	defer conn.Close()
	if text, err := io.ReadAll(conn); err != nil || string(text) != "x" { // with TLS 1.3 the refusal comes after the handshake
		return nil
	}
	state, _ := s.states.Load(conn.LocalAddr().String())
	return state.(*tls.ConnectionState)
}

// Nothing older than TLS 1.2, and no cipher suite without forward secrecy and
// authenticated encryption, whatever GODEBUG says.
func TestHandshakesRefused(t *testing.T) {
	t.Setenv("GODEBUG", "tls10server=1,tls3des=1,tlsrsakex=1")
	key, err := rsa.GenerateKey(rand.Reader, 2048) // fits the suites of old as well
	if err != nil {
		t.Fatal(err)
	}
	ec := fresh(t, nil, "server")
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: ec.leaf.NotBefore, NotAfter: ec.leaf.NotAfter}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	private := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	for _, pair := range [][2]string{{cert, private}, {ec.cert, ec.pem}} {
		_, files := open(t, "TLS_CERT_FILE="+write(t, pair[0]), "TLS_KEY_FILE="+write(t, pair[1]))
		if files.Public().MinVersion != tls.VersionTLS12 {
			t.Error("the suites alone keep older versions away")
		}
		s := listen(t, files.Public())
		for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
			if s.dial(&tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version}) != nil {
				t.Errorf("%s is spoken", tls.VersionName(version))
			}
		}
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			got := s.dial(&tls.Config{InsecureSkipVerify: true, MaxVersion: version})
			if got == nil || got.Version != version {
				t.Errorf("%s is not spoken: %v", tls.VersionName(version), got)
			}
		}
		weak := slices.Concat(tls.InsecureCipherSuites(), tls.CipherSuites())
		for _, suite := range weak {
			if strings.Contains(suite.Name, "GCM") && strings.Contains(suite.Name, "ECDHE") || strings.Contains(suite.Name, "CHACHA20") ||
				!slices.Contains(suite.SupportedVersions, tls.VersionTLS12) {
				continue
			}
			if s.dial(&tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}}) != nil {
				t.Errorf("%s is spoken", suite.Name)
			}
		}
	}
}

// Without a certificate of the client there is nobody to trust.
func TestTrustsNobody(t *testing.T) {
	server := fresh(t, nil, "server")
	_, files := open(t, "TLS_CERT_FILE="+write(t, server.cert), "TLS_KEY_FILE="+write(t, server.pem))
	chain := &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{server.leaf}}}
	if files.Trusts(nil) || files.Trusts(chain) {
		t.Error("a client is trusted, and there are no authorities")
	}
	_, files = open(t, "TLS_CERT_FILE="+write(t, server.cert), "TLS_KEY_FILE="+write(t, server.pem), "TLS_CLIENT_CA_FILE="+write(t, server.cert))
	if files.Trusts(nil) || files.Trusts(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{server.leaf}}) ||
		files.Trusts(&tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{}}}) {
		t.Error("a client is trusted that has no verified chain")
	}
	if !files.Trusts(chain) {
		t.Error("a client of the authority is not trusted")
	}
	past := issue(t, server, "client", time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour))
	if files.Trusts(&tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{past.leaf, server.leaf}}}) {
		t.Error("an expired client is trusted")
	}
}

func BenchmarkTrusts(b *testing.B) {
	ca := fresh(b, nil, "authority")
	client := fresh(b, ca, "client")
	dir := b.TempDir()
	deployments["rename"](b, dir, map[string]string{"crt": ca.cert, "key": ca.pem})
	_, files := open(b, "TLS_CERT_FILE="+filepath.Join(dir, "crt"), "TLS_KEY_FILE="+filepath.Join(dir, "key"), "TLS_CLIENT_CA_FILE="+filepath.Join(dir, "crt"))
	state := &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{client.leaf, ca.leaf}}}
	b.ReportAllocs()
	for b.Loop() {
		if !files.Trusts(state) {
			b.Fatal("not trusted")
		}
	}
}
