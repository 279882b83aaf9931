package aguada_test

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
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aguada-dev/aguada"
	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/policy"
)

// contract is a service with one open method and one that tokens guard.
func contract() *policy.Contract {
	return &policy.Contract{
		API:     policy.API{Name: "hello", Version: "1.2.3"},
		Schemes: []policy.Scheme{{Name: "jwt", Kind: policy.JWT}},
		Services: []policy.Service{{Name: "greeter", Methods: []policy.Method{
			{
				Service: "greeter", Name: "greet", Kind: policy.Unary, Access: policy.Undeclared,
				Routes: []policy.Route{{Verb: "GET", Pattern: "/greet"}},
			},
			{
				Service: "greeter", Name: "whisper", Kind: policy.Unary, Access: policy.Secured,
				Routes:       []policy.Route{{Verb: "GET", Pattern: "/whisper"}},
				Requirements: []policy.Requirement{{Schemes: []policy.Use{{Scheme: "jwt", In: policy.InHeader, Name: "Authorization"}}}},
			},
		}}},
	}
}

func answer(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

// mount mounts both methods and says that the service authenticates itself.
func mount(_ context.Context, _ *aguada.Runtime, h *aguada.HTTP) error {
	h.OwnAuther("greeter")
	h.Handle("GET", "/greet", answer)
	h.Handle("GET", "/whisper", answer)
	return nil
}

// own returns an App whose service verifies tokens itself.
func own(c *policy.Contract, mount aguada.Mount) *aguada.App {
	app := aguada.New(c, mount)
	app.OwnSchemes("jwt")
	return app
}

// nobody is a verifier that knows nobody but "friend".
type nobody struct{}

func (nobody) Verify(_ context.Context, c auth.Credential) (*auth.Principal, error) {
	if c.Token == "friend" {
		return &auth.Principal{Subject: "friend"}, nil
	}
	return nil, auth.Refuse(auth.Unknown, "not a friend")
}

// The team's own verifier guards a scheme, and only it.
func TestOwnVerifier(t *testing.T) {
	s := run(t, own(contract(), func(_ context.Context, rt *aguada.Runtime, h *aguada.HTTP) error {
		rt.Verify("jwt", nobody{})
		h.Handle("GET", "/greet", answer)
		h.Handle("GET", "/whisper", answer)
		return nil
	}))
	for token, want := range map[string]int{"friend": 200, "foe": 401, "": 401} {
		if got, _ := whisper(t, s, token); got != want {
			t.Errorf("token %q: %d, want %d", token, got, want)
		}
	}
}

// whisper calls the method that tokens guard.
func whisper(t *testing.T, s *service, token string) (status int, retryAfter string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/whisper", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode, res.Header.Get("Retry-After")
}

// service is a running App.
type service struct {
	url  string
	stop func() error
	log  *buffer
}

// buffer is a log that may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// run starts an App on a free port and waits until it serves.
func run(t *testing.T, app *aguada.App, environ ...string) *service {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	force, kill := context.WithCancel(context.Background())
	s := &service{log: new(buffer)}
	addr, done := make(chan string, 1), make(chan error, 1)
	go func() {
		done <- app.Run(ctx, force, aguada.Process{
			Environ: append([]string{"HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0"}, environ...),
			Stdout:  s.log,
			Started: func(a, _ string) { addr <- a },
		})
	}()
	s.stop = sync.OnceValue(func() error { cancel(); defer kill(); return <-done })
	t.Cleanup(func() { _ = s.stop() })
	select {
	case a := <-addr:
		s.url = "http://" + a
	case err := <-done:
		done <- err
		t.Fatalf("the service did not start: %v", err)
	}
	return s
}

// fails runs an App that must not start and returns the error.
func fails(t *testing.T, app *aguada.App, environ ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := app.Run(ctx, context.Background(), aguada.Process{
		Environ: append([]string{"HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0"}, environ...),
		Started: func(string, string) { t.Error("the service was started"); cancel() },
	})
	if err == nil {
		t.Fatal("the service ran")
	}
	return err.Error()
}

func get(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func contains(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in:\n%s", w, text)
		}
	}
}

func TestServesAndStops(t *testing.T) {
	stopped := false
	s := run(t, own(contract(), func(ctx context.Context, rt *aguada.Runtime, h *aguada.HTTP) error {
		rt.OnStop("resource", func() error { stopped = true; return nil })
		return mount(ctx, rt, h)
	}))
	for path, want := range map[string]int{"/greet": 200, "/whisper": 200, "/livez": 200, "/nope": 404} {
		if status, body := get(t, http.DefaultClient, s.url+path); status != want {
			t.Errorf("%s: %d %s, want %d", path, status, body, want)
		}
	}
	if resp, err := http.Head(s.url + "/livez"); err != nil || resp.StatusCode != 200 {
		t.Errorf("HEAD /livez: %v %v", resp, err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if !stopped {
		t.Error("the stop function was not run")
	}
	if _, err := http.Get(s.url + "/greet"); err == nil {
		t.Error("the service still answers")
	}
	contains(t, s.log.String(), `"address":"127.0.0.1:`, `"methods":"greeter.greet"`, "neither Security nor NoSecurity")
}

// Readiness follows the checks; liveness does not.
func TestReadiness(t *testing.T) {
	var mu sync.Mutex
	down := errors.New("connection refused by 10.1.2.3")
	c := contract()
	c.Services[0].DependsOn = []string{"stock"}
	s := run(t, own(c, func(ctx context.Context, rt *aguada.Runtime, h *aguada.HTTP) error {
		rt.Check("stock", func(context.Context) error { mu.Lock(); defer mu.Unlock(); return down })
		return mount(ctx, rt, h)
	}))
	status, body := get(t, http.DefaultClient, s.url+"/readyz")
	if status != 503 || strings.Contains(body, "10.1.2.3") || strings.Contains(body, "stock") {
		t.Errorf("with a failing check: %d %s", status, body)
	}
	if status, _ := get(t, http.DefaultClient, s.url+"/livez"); status != 200 {
		t.Errorf("liveness: %d", status)
	}
	for end := time.Now().Add(10 * time.Second); !strings.Contains(s.log.String(), "stock") && time.Now().Before(end); {
		_, _ = get(t, http.DefaultClient, s.url+"/readyz") // until the start is over, no check is asked
	}
	contains(t, s.log.String(), "stock", "connection refused by 10.1.2.3")
	mu.Lock()
	down = nil
	mu.Unlock()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if status, _ := get(t, http.DefaultClient, s.url+"/readyz"); status == 200 {
			break
		} else if time.Now().After(end) {
			t.Fatalf("still %d", status)
		}
	}
}

func TestRefusesToStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dependent := contract()
	dependent.Services[0].DependsOn = []string{"stock"}
	guarded := func(_ context.Context, _ *aguada.Runtime, h *aguada.HTTP) error {
		h.Handle("GET", "/greet", answer)
		h.Handle("GET", "/whisper", answer)
		return nil
	}
	strange := own(contract(), mount)
	strange.OwnSchemes("passport")
	var settings struct {
		Greeting string `env:"GREETING,required"`
	}
	configured := aguada.New(contract(), mount)
	configured.Configure(&settings)
	for name, c := range map[string]struct {
		app     *aguada.App
		environ []string
		want    []string
	}{
		"address in use": {own(contract(), mount), []string{"HTTP_ADDR=" + taken.Addr().String()}, []string{"HTTP_ADDR", "in use"}},
		"off loopback": {
			own(contract(), mount), []string{"HTTP_ADDR=:8080"}, []string{"HTTP_ADDR", "TLS_MODE=upstream", "TLS_CERT_FILE"},
		},
		"all at once": {
			configured, []string{"READ_TIMEOUT=soon", "LOG_LEVEL=loud", "WRITE_TIMEOUT=-1s"},
			[]string{"READ_TIMEOUT", "LOG_LEVEL", "WRITE_TIMEOUT", "GREETING", "AUTH_ISSUER"},
		},
		"no configuration":   {aguada.New(contract(), guarded), nil, []string{"AUTH_ISSUER", "AUTH_AUDIENCE", "App.OwnSchemes"}},
		"no verifier":        {own(contract(), guarded), nil, []string{"whisper", `scheme "jwt" has no verifier`}},
		"own unknown scheme": {strange, nil, []string{`own scheme "passport"`}},
		"verifier of an unknown scheme": {own(contract(), func(ctx context.Context, rt *aguada.Runtime, h *aguada.HTTP) error {
			rt.Verify("passport", nobody{})
			return mount(ctx, rt, h)
		}), nil, []string{`scheme "passport"`}},
		"no check": {own(dependent, mount), nil, []string{`service greeter depends on "stock"`, "rt.Check"}},
		"missing service": {own(contract(), func(context.Context, *aguada.Runtime, *aguada.HTTP) error {
			return aguada.Missing("Services.Greeter", "greeter")
		}), nil, []string{"Services.Greeter is nil"}},
		"nothing mounted": {
			own(contract(), func(_ context.Context, _ *aguada.Runtime, h *aguada.HTTP) error { h.OwnAuther("greeter"); return nil }),
			nil, []string{"/greet", "not mounted"},
		},
		"unknown route": {
			own(contract(), func(ctx context.Context, rt *aguada.Runtime, h *aguada.HTTP) error {
				h.Handle("POST", "/backdoor", answer)
				return mount(ctx, rt, h)
			}), nil, []string{"/backdoor"},
		},
		"missing key set": {
			aguada.New(contract(), guarded),
			[]string{"AUTH_ISSUER=https://issuer.example", "AUTH_AUDIENCE=hello", "AUTH_JWKS_FILE=" + filepath.Join(t.TempDir(), "none.json")},
			[]string{"AUTH_JWKS_FILE"},
		},
	} {
		t.Run(name, func(t *testing.T) { contains(t, fails(t, c.app, c.environ...), c.want...) })
	}
}

// What was opened before a failing start is closed again.
func TestFailedStartStops(t *testing.T) {
	stopped := false
	fails(t, own(contract(), func(_ context.Context, rt *aguada.Runtime, _ *aguada.HTTP) error {
		rt.OnStop("database", func() error { stopped = true; return nil })
		return errors.New("no stock")
	}))
	if !stopped {
		t.Error("the database was left open")
	}
}

func TestServesTLS(t *testing.T) {
	dir := t.TempDir()
	pool := certificate(t, dir)
	s := run(t, own(contract(), mount),
		"TLS_CERT_FILE="+filepath.Join(dir, "cert.pem"), "TLS_KEY_FILE="+filepath.Join(dir, "key.pem"))
	url := strings.Replace(s.url, "http://", "https://", 1)
	for _, version := range []uint16{tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
			RootCAs: pool, MinVersion: version, MaxVersion: version,
		}}}
		resp, err := client.Get(url + "/greet")
		if err == nil {
			resp.Body.Close()
		}
		if served := err == nil; served != (version >= tls.VersionTLS12) {
			t.Errorf("%s: served %t, %v", tls.VersionName(version), served, err)
		}
		client.CloseIdleConnections()
	}
}

// certificate writes a self-signed one for 127.0.0.1 to cert.pem and key.pem.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "hello"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return pool
}

// Nobody finds anything of the service on the mux that is everybody's. The two
// pages that remain are those of gRPC's tracing library, which is part of the
// OTLP protocol's own package; nothing here serves that mux, and the build tag
// grpcnotrace leaves them out.
func TestDefaultServeMux(t *testing.T) {
	for _, path := range []string{"/", "/debug/pprof/", "/debug/vars", "/debug/requests", "/debug/events", "/metrics", "/livez", "/greet"} {
		_, pattern := http.DefaultServeMux.Handler(&http.Request{Method: "GET", Host: "localhost", URL: &url.URL{Path: path}})
		if pattern != "" && pattern != "/debug/requests" && pattern != "/debug/events" {
			t.Errorf("%s is served by %q", path, pattern)
		}
	}
}
