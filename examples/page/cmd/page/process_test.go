package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	metricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

const (
	user, password = "ada", "pass-word-of-ada"
	apiKey         = "key-0123456789abcdef"
	secret         = "s3cret-of-the-page-0123456789abcdef"
	issuer         = "https://issuer.page.test"
	audience       = "page"

	// patience is for what happens at once on an idle machine.
	patience = 20 * time.Second
)

var binary string

// client waits no longer than for a stream that uses up the shutdown.
var client = &http.Client{Timeout: 2 * patience}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "page")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "page")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("go build: %v\n%s", err, out))
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// output is what a process writes. It is safe for concurrent use.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// process is one process of the service.
type process struct {
	t    *testing.T
	addr string
	log  output // standard output and standard error
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

func freeAddr(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// launch starts the service at an address and does not wait for it.
func launch(t *testing.T, addr string, env ...string) *process {
	p := &process{t: t, addr: addr, done: make(chan struct{})}
	p.cmd = exec.Command(binary)
	p.cmd.Env = append([]string{
		"HTTP_ADDR=" + addr, "DATABASE_URL=file:" + filepath.Join(t.TempDir(), "orders.db"),
		"BASIC_USER=" + user, "BASIC_PASSWORD=" + password, "API_KEY=" + apiKey,
		"JWT_SECRET=" + secret, "JWT_ISSUER=" + issuer, "JWT_AUDIENCE=" + audience,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1",
	}, env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("log of the service:\n%s", p.log.String())
		}
	})
	return p
}

// start starts the service and waits until it answers.
func start(t *testing.T, env ...string) *process {
	p := launch(t, freeAddr(t), env...)
	p.wait("the service serves", func() bool {
		c, err := net.Dial("tcp", p.addr)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
	return p
}

func (p *process) wait(what string, ok func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("after %s it is still not so that %s", patience, what)
		}
	}
}

// terminate sends SIGTERM.
func (p *process) terminate() { _ = p.cmd.Process.Signal(syscall.SIGTERM) }

// answer is a response that was read.
type answer struct {
	*http.Response
	body string
}

// send sends a request; header is "Name: value" each.
func (p *process) send(method, path, body string, header ...string) (answer, error) {
	req, err := http.NewRequest(method, "http://"+p.addr+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{res, string(text)}, err
}

func (p *process) do(method, path, body string, header ...string) answer {
	p.t.Helper()
	res, err := p.send(method, path, body, header...)
	if err != nil {
		p.t.Fatal(err)
	}
	return res
}

// watch opens the stream of events and waits for the first.
func (p *process) watch() *bufio.Reader {
	p.t.Helper()
	req, _ := http.NewRequest("GET", "http://"+p.addr+"/orders/watch", nil)
	req.SetBasicAuth(user, password)
	res, err := client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = res.Body.Close() })
	r := bufio.NewReader(res.Body)
	if line, err := r.ReadString('\n'); err != nil || line != "data: watching\n" {
		p.t.Fatalf("first event %q, %v", line, err)
	}
	_, _ = r.ReadString('\n')
	return r
}

// token makes a token without any scope.
func token(t *testing.T) string {
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": issuer, "aud": audience, "sub": "ada", "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sink receives telemetry on a loopback port.
type sink struct {
	collectorpb.UnimplementedTraceServiceServer
	addr string

	mu    sync.Mutex
	spans []*tracepb.Span
}

// meters takes metrics and forgets them.
type meters struct {
	metricspb.UnimplementedMetricsServiceServer
}

func (meters) Export(context.Context, *metricspb.ExportMetricsServiceRequest) (*metricspb.ExportMetricsServiceResponse, error) {
	return &metricspb.ExportMetricsServiceResponse{}, nil
}

func (s *sink) Export(_ context.Context, r *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rs := range r.GetResourceSpans() {
		for _, ss := range rs.GetScopeSpans() {
			s.spans = append(s.spans, ss.GetSpans()...)
		}
	}
	return &collectorpb.ExportTraceServiceResponse{}, nil
}

// named returns the spans of a name that have arrived.
func (s *sink) named(name string) (spans []*tracepb.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range s.spans {
		if span.GetName() == name {
			spans = append(spans, span)
		}
	}
	return spans
}

func listen(t *testing.T) *sink {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, server := &sink{addr: l.Addr().String()}, grpc.NewServer()
	collectorpb.RegisterTraceServiceServer(server, s)
	metricspb.RegisterMetricsServiceServer(server, meters{})
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return s
}
