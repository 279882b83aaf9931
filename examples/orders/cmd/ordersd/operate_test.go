//go:build linux

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// sink is an OTLP collector over HTTP that keeps what it gets.
type sink struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*tracepb.Span
	raw   bytes.Buffer // of all signals
}

func newSink(t *testing.T) *sink {
	s := &sink{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			unzipped, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Error(err)
				return
			}
			body = unzipped
		}
		data, err := io.ReadAll(body)
		if err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.raw.Write(data)
		var request collector.ExportTraceServiceRequest
		if r.URL.Path == "/v1/traces" {
			if err := proto.Unmarshal(data, &request); err != nil {
				t.Error(err)
			}
		}
		for _, resource := range request.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				s.spans = append(s.spans, scope.GetSpans()...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(s.Close)
	return s
}

// adminAddr returns where the private port is.
func (p *process) adminAddr() string {
	p.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		for line := range strings.Lines(p.log.String()) {
			var serving struct{ Msg, Admin string }
			if json.Unmarshal([]byte(line), &serving) == nil && serving.Msg == "serving" {
				return serving.Admin
			}
		}
	}
	p.t.Fatal("no address of the private port in the log")
	return ""
}

// awaitLog waits until the log holds n lines of orders that were placed: what
// they wrote has come through the pipe then.
func (p *process) awaitLog(n int) string {
	p.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if log := p.log.String(); strings.Count(log, `"http.response.status_code":201`) == n {
			return log
		}
	}
	p.t.Fatalf("not %d orders in the log:\n%s", n, p.log.String())
	return ""
}

// operated is a shop with a sink and a private port on a free one.
func operated(t *testing.T, s *sink, environ ...string) *process {
	t.Helper()
	w := newWorld(t)
	w.environ = append(w.environ, "ADMIN_ADDR=127.0.0.1:0", "OTEL_EXPORTER_OTLP_ENDPOINT="+s.URL)
	w.environ = append(w.environ, environ...)
	return spawn(t, w)
}

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID  = "00f067aa0ba902b7"
	card    = "4929123412341234"
)

// placeOrder places an order within the caller's trace and returns the token.
func (p *process) placeOrder() string {
	p.t.Helper()
	token := p.token("ada", "api:write")
	body := `{"customer_id":"cust_1","currency":"EUR","card":"` + card + `","items":[{"sku":"TEA-1","quantity":1,"unit_price_cents":100}]}`
	req, err := http.NewRequest(http.MethodPost, "http://"+p.addr+"/orders", strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("traceparent", "00-"+traceID+"-"+spanID+"-01")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		p.t.Fatal(resp.Status)
	}
	return strings.TrimPrefix(token, "Bearer ")
}

// One POST is seen in a trace, in the log and in the metrics, under one trace
// id, and none of them knows a secret.
func TestOneOrderIsSeen(t *testing.T) {
	s := newSink(t)
	p := operated(t, s)
	token := p.placeOrder()
	metrics := fetch(t, http.MethodGet, "http://"+p.adminAddr()+"/metrics", "")
	for _, want := range []string{`http_server_request_duration_seconds_count{`, `goa_method="create"`, `orders_total{`, `order_latency_seconds_bucket{`, `aguada_ready`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("%s is not in the metrics", want)
		}
	}
	if promtool, err := exec.LookPath("promtool"); err != nil {
		t.Log("SKIPPED: promtool check metrics; install Debian's package prometheus")
	} else {
		check := exec.Command(promtool, "check", "metrics")
		check.Stdin = strings.NewReader(metrics)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("promtool: %v\n%s", err, out)
		}
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.exit(); code != 0 {
		t.Errorf("exit %d: %s", code, p.stderr.String())
	}
	checkTrace(t, s)
	if want := `"msg":"request","trace_id":"` + traceID + `"`; !strings.Contains(p.log.String(), want) {
		t.Errorf("%s is not in the log:\n%s", want, p.log.String())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, secret := range map[string]string{"card": card, "token": token, "API key": p.apiKey, "pepper": pepper, "password": password} {
		for where, text := range map[string]string{"metrics": metrics, "log": p.log.String(), "stderr": p.stderr.String(), "telemetry": s.raw.String()} {
			if strings.Contains(text, secret) {
				t.Errorf("the %s is in the %s", name, where)
			}
		}
	}
}

// checkTrace looks for the server's span, the service's own and the database's.
func checkTrace(t *testing.T, s *sink) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := map[string]string{}
	var names []string
	database := false
	for _, span := range s.spans {
		if hex.EncodeToString(span.GetTraceId()) != traceID {
			continue
		}
		names = append(names, span.GetName())
		ids[span.GetName()] = hex.EncodeToString(span.GetParentSpanId())
		for _, a := range span.GetAttributes() {
			database = database || strings.HasPrefix(a.GetKey(), "db.")
		}
	}
	if ids["POST /orders"] != spanID {
		t.Errorf("the server's span does not continue the caller's: %v", ids)
	}
	if !slices.Contains(names, "create_order") || !database {
		t.Errorf("spans of the trace: %v, database %t", names, database)
	}
}

func fetch(t *testing.T, verb, url, body string) string {
	t.Helper()
	req, err := http.NewRequest(verb, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s %v\n%s", verb, url, resp.Status, err, text)
	}
	return string(text)
}

// A lease opened for one caller shows that caller's payloads only, masked, and
// ends by itself.
func TestPayloadLease(t *testing.T) {
	p := operated(t, newSink(t))
	leases := "http://" + p.adminAddr() + "/debug/leases"
	fetch(t, http.MethodPost, leases, `{"kind":"payloads","service":"orders","scheme":"jwt","principal":"ada","duration":"1s","reason":"a test"}`)
	fetch(t, http.MethodPost, leases, `{"kind":"payloads","service":"orders","scheme":"api_key","principal":"eve","duration":"1s","reason":"a test"}`)
	fetch(t, http.MethodPost, leases, `{"kind":"log-level","level":"debug","service":"accounts","method":"me","duration":"1s","reason":"a test"}`)
	p.call(http.MethodGet, "/orders", "Authorization", p.token("eve", "api:read"), nil)
	p.placeOrder()
	log := p.awaitLog(1)
	if strings.Count(log, `"msg":"payload"`) != 2 || !strings.Contains(log, `TEA-1`) {
		t.Errorf("not a request and a result in the log:\n%s", log)
	} else if strings.Contains(log, card) {
		t.Error("the card number is in the log")
	}
	for line := range strings.Lines(log) {
		if strings.Contains(line, `"msg":"payload"`) && !strings.Contains(line, `"enduser.id":"ada"`) {
			t.Errorf("a payload of somebody else: %s", line)
		}
	}
	for end := time.Now().Add(10 * time.Second); strings.Contains(fetch(t, http.MethodGet, leases+"?format=json", ""), "ada"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the lease does not end")
		}
	}
	p.placeOrder()
	if n := strings.Count(p.awaitLog(2), `"msg":"payload"`); n != 2 {
		t.Errorf("%d payloads after the lease", n-2)
	}
	audit := fetch(t, http.MethodGet, "http://"+p.adminAddr()+"/audit?format=json", "")
	for _, want := range []string{`"lease.opened"`, `"lease.expired"`, `"lease.expires": "`, `"lease.scheme": "jwt"`, `"lease.principal": "ada"`, `"lease.kind": "payloads"`, `"lease.level": "debug"`, `"detail": "a test"`} {
		if !strings.Contains(audit, want) {
			t.Errorf("%s is not in the audit: %s", want, audit)
		}
	}
}

// The token of the private port follows its file while the service runs.
func TestAdminTokenIsReplaced(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write := func(token string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	before, after := "the-first-token-0123456789", "the-second-token-0123456789"
	write(before)
	p := operated(t, newSink(t), "ADMIN_TOKEN_FILE="+file)
	status := func(token string) int {
		t.Helper()
		req, err := http.NewRequest(http.MethodGet, "http://"+p.adminAddr()+"/methods", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	if a, b := status(before), status(after); a != 200 || b != 401 {
		t.Fatalf("before: %d, %d", a, b)
	}
	write(after)
	for begun := time.Now(); status(after) != 200; time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > 2*time.Second {
			t.Fatal("the new token is not in force after 2 s")
		}
	}
	if got := status(before); got == 200 {
		t.Errorf("the former token: %d", got)
	}
	if log := p.log.String(); strings.Contains(log, before) || strings.Contains(log, after) {
		t.Error("a token is in the log")
	}
}

// Every page of the private port answers, and none is on the public one.
func TestPrivatePort(t *testing.T) {
	p := operated(t, newSink(t))
	for _, path := range []string{"/", "/metrics", "/config", "/methods", "/audit", "/build", "/livez", "/readyz", "/startupz", "/healthz", "/debug/leases", "/debug/pprof/", "/debug/pprof/heap"} {
		text := fetch(t, http.MethodGet, "http://"+p.adminAddr()+path, "")
		if strings.Contains(text, pepper) {
			t.Errorf("%s shows the pepper", path)
		}
		if res, _ := p.call(http.MethodGet, path, "", "", nil); res.StatusCode != http.StatusNotFound && !strings.HasSuffix(path, "z") {
			t.Errorf("%s on the public port: %s", path, res.Status)
		}
	}
	if text := fetch(t, http.MethodGet, "http://"+p.adminAddr()+"/readyz", ""); !strings.Contains(text, "database") {
		t.Errorf("no details: %s", text)
	}
	if _, text := p.call(http.MethodGet, "/readyz", "", "", nil); strings.Contains(text, "database") {
		t.Errorf("details on the public port: %s", text)
	}
}

// With a delay, clients that follow the readiness probe see no failure at all,
// and every span of a finished request is delivered.
func TestDrainDelay(t *testing.T) {
	s := newSink(t)
	p := operated(t, s, "DRAIN_DELAY=1s", "OTEL_TRACES_SAMPLER=always_on")
	token := p.token("load", "api:write")
	var sum tally
	var wg sync.WaitGroup
	leave := make(chan struct{})
	const clients, rate = 25, 500
	for range clients {
		client := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
		wg.Go(func() { p.orderUntil(client, token, clients*time.Second/rate, &sum, leave) })
	}
	for sum.answered.Load() < rate/2 && !t.Failed() {
		time.Sleep(time.Millisecond)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for {
		resp, err := http.Get("http://" + p.addr + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusServiceUnavailable {
			break
		}
	}
	close(leave)
	wg.Wait()
	if code := p.exit(); code != 0 {
		t.Errorf("exit %d: %s", code, p.stderr.String())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	spans := 0
	for _, span := range s.spans {
		if span.GetName() == "POST /orders" {
			spans++
		}
	}
	if fmt.Sprint(sum.refused.Load(), sum.lost.Load(), spans) != fmt.Sprint(0, 0, sum.answered.Load()) {
		t.Errorf("%d answered, %d refused, %d lost, %d spans", sum.answered.Load(), sum.refused.Load(), sum.lost.Load(), spans)
	}
}
