package config_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aguada-dev/aguada/config"
)

// problemsLog gathers what OnReloadError reports.
type problemsLog struct {
	mu    sync.Mutex
	lines []string
}

func (p *problemsLog) add(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, err.Error())
}

func (p *problemsLog) want(t *testing.T, want ...string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.lines, want) {
		t.Errorf("reported %q, want %q", p.lines, want)
	}
	p.lines = nil
}

// replace puts the content of one file into another, as a rename does.
func replace(t *testing.T, path, by string) {
	t.Helper()
	b, err := os.ReadFile(by)
	if err != nil {
		t.Fatal(err)
	}
	rewrite(t, path, string(b))
}

func rewrite(t *testing.T, path, text string) {
	t.Helper()
	next := path + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

// A secret follows its file; what is no secret any more is not taken.
func TestSecretFollowsItsFile(t *testing.T) {
	file, own := write(t, "0123456789abcdef\n"), write(t, "a")
	pipe, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	if _, err := io.WriteString(w, "from a pipe"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	synctest.Test(t, func(t *testing.T) {
		shop := struct {
			Key config.Secret `env:"STRIPE_KEY"`
		}{}
		cfg, err := config.Load([]string{
			"HTTP_ADDR=localhost:1", "ADMIN_TOKEN_FILE=" + file, "STRIPE_KEY_FILE=" + own, "DATABASE_URL_FILE=/dev/fd/" + strconv.Itoa(int(pipe.Fd())),
		}, config.Needs{Database: true}, &shop)
		if err != nil {
			t.Fatal(err)
		}
		var log problemsLog
		cfg.OnReloadError(log.add)
		rewrite(t, file, "fedcba9876543210")
		rewrite(t, own, "b")
		if got := cfg.AdminToken.Reveal(); got != "0123456789abcdef" {
			t.Errorf("the file was read again within a second: %s", got)
		}
		time.Sleep(time.Second)
		if a, k := cfg.AdminToken.Reveal(), shop.Key.Reveal(); a != "fedcba9876543210" || k != "b" {
			t.Errorf("got %s and %s", a, k)
		}
		rewrite(t, file, "short")
		for range 3 {
			time.Sleep(time.Second)
			if got := cfg.AdminToken.Reveal(); got != "fedcba9876543210" {
				t.Errorf("a bad file was taken: %s", got)
			}
		}
		log.want(t, "ADMIN_TOKEN_FILE: names a file with a value that is too short: the old content stays in use")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := cfg.AdminToken.Reveal(); got != "fedcba9876543210" {
			t.Errorf("a missing file was taken: %s", got)
		}
		log.want(t, "ADMIN_TOKEN_FILE: names a file that does not exist: the old content stays in use")
		rewrite(t, file, "0123456789abcdef")
		time.Sleep(time.Second)
		if got := cfg.AdminToken.Reveal(); got != "0123456789abcdef" {
			t.Errorf("the good file was not taken: %s", got)
		}
		if got := cfg.DatabaseURL.Reveal(); got != "from a pipe" {
			t.Errorf("got %q from a pipe", got)
		}
		log.want(t)
	})
}

// However its file is replaced, a secret is never a part of one, of which
// nobody's key would be right, and is the new one after two seconds.
func TestSecretRotation(t *testing.T) {
	secret := func(n int) string { return strings.Repeat(string(rune('a'+n)), 64) }
	for name, deploy := range deployments {
		dir, now := t.TempDir(), time.Now()
		put, path := deploy(t, dir, map[string]string{"pepper": secret(0)}), filepath.Join(dir, "pepper")
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(now))
			cfg, err := config.Load([]string{"HTTP_ADDR=localhost:1", "AUTH_API_KEYS_PEPPER_FILE=" + path}, config.Needs{})
			if err != nil {
				t.Fatal(err)
			}
			cfg.OnReloadError(func(err error) { t.Error(err) })
			for n := 1; n < 20; n++ {
				expect := func(when string, want ...string) {
					t.Helper()
					if got := cfg.AuthAPIKeysPepper.Reveal(); !slices.Contains(want, got) {
						t.Fatalf("%s: %s, the secret is %q", name, when, got)
					}
				}
				if name == "rewrite" { // somebody is slow, with twice as many bytes written as a pepper needs
					err := errors.Join(os.WriteFile(path, []byte(secret(n)[:32]), 0o600), os.Chtimes(path, time.Now(), time.Now()))
					if err != nil {
						t.Fatal(err)
					}
					expect("half written", secret(n-1))
					time.Sleep(time.Duration(n) * 10 * time.Millisecond)
					expect("half written", secret(n-1))
				}
				put(map[string]string{"pepper": secret(n)})
				if err := os.Chtimes(path, time.Now(), time.Now()); err != nil {
					t.Fatal(err)
				}
				expect("just written", secret(n-1), secret(n))
				time.Sleep(2 * time.Second)
				expect("after 2 s", secret(n))
				time.Sleep(time.Duration(n) * 70 * time.Millisecond)
			}
		})
	}
}

// handshake returns the leaf that a server with the configuration presents.
func handshake(t *testing.T, server *tls.Config, client *tls.Config) (*x509.Certificate, error) {
	t.Helper()
	c, s := net.Pipe()
	defer c.Close()
	defer s.Close()
	served := make(chan error, 1)
	go func() {
		srv := tls.Server(s, server)
		err := srv.Handshake()
		served <- err
		if err == nil {
			_, _ = io.WriteString(srv, "x") // carries the session ticket along
		}
	}()
	conn := tls.Client(c, client)
	if err := conn.Handshake(); err != nil {
		return nil, err
	}
	go func() { _, _ = io.Copy(io.Discard, conn) }() // a pipe has no buffer for the server's refusal
	if err := <-served; err != nil {
		return nil, err
	}
	return conn.ConnectionState().PeerCertificates[0], nil
}

func leaf(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A listener presents the certificate of a second ago, or the last good one.
func TestCertificateIsReloaded(t *testing.T) {
	cert, key := pair(t)
	first := leaf(t, cert)
	nextCert, nextKey := pair(t)
	second := leaf(t, nextCert)
	synctest.Test(t, func(t *testing.T) {
		cfg, err := config.Load([]string{"HTTP_ADDR=:1", "TLS_CERT_FILE=" + cert, "TLS_KEY_FILE=" + key}, config.Needs{})
		if err != nil {
			t.Fatal(err)
		}
		var log problemsLog
		cfg.OnReloadError(log.add)
		files, err := cfg.OpenTLS()
		if err != nil {
			t.Fatal(err)
		}
		if files.Admin() != nil {
			t.Error("the private port has TLS on loopback")
		}
		presents := func(want *x509.Certificate) {
			t.Helper()
			got, err := handshake(t, files.Public(), &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				t.Fatal(err)
			}
			if !got.Equal(want) || !files.NotAfter().Equal(want.NotAfter) {
				t.Errorf("presents %s, NotAfter %s", got.SerialNumber, files.NotAfter())
			}
		}
		presents(first)
		replace(t, cert, nextCert) // the key is still the old one's
		time.Sleep(time.Second)
		presents(first)
		time.Sleep(time.Second)
		presents(first)
		log.want(t, "TLS_CERT_FILE: and TLS_KEY_FILE do not belong together: the old content stays in use")
		replace(t, key, nextKey)
		time.Sleep(time.Second)
		presents(second)
		log.want(t)
	})
}

// Clients' authorities are replaced with their file, for resumed sessions too.
func TestAuthoritiesAreReloaded(t *testing.T) {
	cert, key := pair(t)
	other, _ := pair(t)
	ca := write(t, "")
	replace(t, ca, cert)
	mine, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		cfg, err := config.Load([]string{
			"HTTP_ADDR=:1", "TLS_CERT_FILE=" + cert, "TLS_KEY_FILE=" + key, "TLS_CLIENT_CA_FILE=" + ca,
			"ADMIN_ADDR=:2", "ADMIN_CLIENT_CA_FILE=" + other,
		}, config.Needs{})
		if err != nil {
			t.Fatal(err)
		}
		files, err := cfg.OpenTLS()
		if err != nil {
			t.Fatal(err)
		}
		client := &tls.Config{
			InsecureSkipVerify: true,
			Certificates:       []tls.Certificate{mine},
			ClientSessionCache: tls.NewLRUClientSessionCache(1), ServerName: "localhost",
		}
		for range 2 { // the second one is resumed
			if _, err := handshake(t, files.Public(), client); err != nil {
				t.Errorf("a client of the authority: %v", err)
			}
		}
		if _, err := handshake(t, files.Public(), &tls.Config{InsecureSkipVerify: true}); err == nil {
			t.Error("a client without a certificate was let in")
		}
		if _, err := handshake(t, files.Admin(), client); err == nil {
			t.Error("a client of the public listener's authority operates the service")
		}
		replace(t, ca, other)
		time.Sleep(time.Second)
		if _, err := handshake(t, files.Public(), client); err == nil {
			t.Error("a client of the former authority was let in")
		}
	})
}

// HTTP/2 survives the configuration that is chosen for each client.
func TestListenerSpeaksHTTP2(t *testing.T) {
	cert, key := pair(t)
	for _, ca := range []string{"", cert} {
		cfg, err := config.Load([]string{"HTTP_ADDR=:1", "TLS_CERT_FILE=" + cert, "TLS_KEY_FILE=" + key, "TLS_CLIENT_CA_FILE=" + ca}, config.Needs{})
		if err != nil {
			t.Fatal(err)
		}
		files, err := cfg.OpenTLS()
		if err != nil {
			t.Fatal(err)
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{TLSConfig: files.Public(), ReadHeaderTimeout: time.Second, Handler: http.NotFoundHandler()}
		served := make(chan error, 1)
		go func() { served <- srv.ServeTLS(ln, "", "") }()
		mine, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		tr := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, Certificates: []tls.Certificate{mine},
		}}
		resp, err := (&http.Client{Transport: tr}).Get("https://" + ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.ProtoMajor != 2 {
			t.Errorf("authorities %q: the answer is %s", ca, resp.Proto)
		}
		tr.CloseIdleConnections()
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}
}

// Files that vanish between Load and OpenTLS are errors without their names.
func TestOpenTLS(t *testing.T) {
	for _, name := range []string{"TLS_CERT_FILE", "TLS_CLIENT_CA_FILE", "ADMIN_CLIENT_CA_FILE"} {
		cert, key := pair(t)
		files := map[string]string{"TLS_CERT_FILE": cert, "TLS_CLIENT_CA_FILE": write(t, ""), "ADMIN_CLIENT_CA_FILE": write(t, "")}
		replace(t, files["TLS_CLIENT_CA_FILE"], cert)
		replace(t, files["ADMIN_CLIENT_CA_FILE"], cert)
		environ := []string{"HTTP_ADDR=:1", "TLS_KEY_FILE=" + key}
		for n, f := range files {
			environ = append(environ, n+"="+f)
		}
		cfg, err := config.Load(environ, config.Needs{})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(files[name]); err != nil {
			t.Fatal(err)
		}
		if _, err := cfg.OpenTLS(); err == nil || err.Error() != name+": names a file that does not exist" {
			t.Errorf("%s: %v", name, err)
		}
	}
	cfg, err := config.Load([]string{"HTTP_ADDR=localhost:1"}, config.Needs{})
	if err != nil {
		t.Fatal(err)
	}
	if files, err := cfg.OpenTLS(); err != nil || files.Public() != nil || files.Admin() != nil || !files.NotAfter().IsZero() {
		t.Errorf("without files: %v, %v", files, err)
	}
}
