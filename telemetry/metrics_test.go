package telemetry

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// scrape fetches the metrics and returns the lines that are no comments.
func scrape(t testing.TB, tel *Telemetry, accept string) (text string, series []string) {
	t.Helper()
	r := httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	tel.Metrics().ServeHTTP(w, r)
	text = w.Body.String()
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			series = append(series, strings.TrimSpace(line))
		}
	}
	return text, series
}

func TestOddRequestsMakeNoSeries(t *testing.T) {
	clean(t)
	tel := newTelemetry(t, Config{})
	m := tel.Method(&createOrder, createRoute)
	odd := func(from, to int) {
		for i := from; i < to; i++ {
			r := httptest.NewRequest("POST", fmt.Sprintf("/orders/%d", i), nil)
			r.Host = fmt.Sprintf("host%d.test", i)
			serve(m, r, 200)
			r.Method, r.URL.Path = fmt.Sprintf("VERB%d", i), fmt.Sprintf("/no/%d", i)
			serve(tel.Unmatched(r.Method), r, 404)
			c := &requestContext{Context: context.Background()}
			m.Start(c, &c.span, r, time.Now())
			m.End(&c.span, &Request{Status: 400, ErrorType: fmt.Sprintf("error%d", i)})
			tel.AuthFailed(fmt.Sprint("scheme", i), "expired")
			tel.Refused(fmt.Sprint("cause", i))
		}
	}
	odd(0, 200)
	_, before := scrape(t, tel, "")
	odd(200, 3200)
	_, after := scrape(t, tel, "")
	if len(before) != len(after) {
		t.Errorf("%d lines became %d", len(before), len(after))
	}
	text := strings.Join(after, "\n")
	if strings.Contains(text, "host1") || strings.Contains(text, "VERB") || strings.Contains(text, "/no/") {
		t.Error("what a caller chose is in an attribute")
	}
	if !strings.Contains(text, `http_request_method="_OTHER"`) || !strings.Contains(text, `error_type="_OTHER"`) || !strings.Contains(text, `auth_scheme="_OTHER"`) {
		t.Error("nothing is _OTHER")
	}
}

func TestMetrics(t *testing.T) {
	clean(t)
	tel := newTelemetry(t, Config{Service: "shop", Version: `1"\`})
	m := tel.Method(&createOrder, createRoute)
	serve(m, httptest.NewRequest("POST", "/", nil), 201)
	waiting := &requestContext{Context: context.Background()}
	m.Start(waiting, &waiting.span, httptest.NewRequest("POST", "/", nil), time.Now())
	tel.AuthFailed("jwt", "expired")
	tel.AuthFailed("jwt", "expired")
	tel.Refused("draining")
	if err := tel.Observe(State{
		Ready: func() bool { return true }, Draining: func() bool { return false }, InFlight: func() int64 { return 3 }, Streams: func() int64 { return 2 },
		CertificateExpiry: func() time.Time { return time.Unix(1800000000, 0) },
		KeySets:           func() map[string]time.Duration { return map[string]time.Duration{"jwt": 90 * time.Second} },
	}); err != nil {
		t.Fatal(err)
	}
	own, err := tel.Histogram("orders", "order.latency", "Time to create an order.\nWith a line end.")
	if err != nil {
		t.Fatal(err)
	}
	own.Record(t.Context(), 0.003, metric.WithAttributes(attribute.String("a.b", "1"), attribute.String("a_b", "2\n")))
	text, series := scrape(t, tel, "")
	for _, want := range []string{
		`http_server_request_duration_seconds_count{goa_method="create",goa_service="orders",http_request_method="POST",http_response_status_code="201",http_route="/orders/{id}",url_scheme="http"} 1`,
		`http_server_request_body_size_bytes_sum{goa_method="create",goa_service="orders",http_request_method="POST",http_response_status_code="201",http_route="/orders/{id}",url_scheme="http"} 10`,
		`http_server_active_requests{goa_method="create",goa_service="orders",http_request_method="POST",http_route="/orders/{id}",url_scheme="http"} 1`,
		`aguada_auth_failures_total{auth_scheme="jwt",reason="expired"} 2`, `aguada_requests_refused_total{cause="draining"} 1`,
		`aguada_ready 1`, `aguada_draining 0`, `aguada_requests_in_flight 3`, `aguada_streams_open 2`, `aguada_tls_certificate_not_after_seconds 1.8e+09`,
		`aguada_auth_keyset_age_seconds{keyset="jwt"} 90`, `order_latency_seconds_bucket{a_b="1;2\n",le="0.005"} 1`, `order_latency_seconds_bucket{a_b="1;2\n",le="0.0025"} 0`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
	if !regexp.MustCompile(`\naguada_build_info\{goversion="go[^"]+",.*version="1\\"\\\\"\} 1\n`).MatchString(text) {
		t.Error("no build information")
	}
	if len(series) < 60 || !strings.Contains(text, "\ngo_goroutine ") || !strings.Contains(text, "\ntarget_info{") {
		t.Errorf("%d lines", len(series))
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	if _, err := parser.TextToMetricFamilies(strings.NewReader(text)); err != nil {
		t.Error(err)
	}
	promtool(t, text)
	m.End(&waiting.span, &Request{Status: 200})
}

// promtool judges the text, where it is installed.
func promtool(t *testing.T, text string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Log("promtool is not installed")
		return
	}
	cmd := exec.CommandContext(t.Context(), path, "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

func TestExemplars(t *testing.T) {
	tel := exported(t, Config{TracesRatio: 1})
	m := tel.Method(&createOrder, createRoute)
	c := &requestContext{Context: context.Background()}
	m.Start(c, &c.span, httptest.NewRequest("POST", "/", nil), time.Now())
	m.End(&c.span, &Request{Time: time.Unix(1800000000, 0), Status: 200, Duration: 300 * time.Millisecond})
	orders, err := tel.Meter("orders").Int64Counter("orders")
	if err != nil {
		t.Fatal(err)
	}
	orders.Add(c, 1)
	text, _ := scrape(t, tel, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
	sc := c.span.SpanContext()
	ids := fmt.Sprintf(` # {trace_id="%s",span_id="%s"} `, sc.TraceID(), sc.SpanID())
	if n := strings.Count(text, ids); n != 2 {
		t.Errorf("%d exemplars", n)
	}
	if !strings.Contains(text, `,le="0.5"} 1`+ids+"0.3 1800000000.000\n") || !strings.Contains(text, "\n# TYPE orders counter\norders_total 1"+ids) || !strings.HasSuffix(text, "\n# EOF\n") {
		t.Errorf("not OpenMetrics: %s", text)
	}
	if text, _ := scrape(t, tel, ""); strings.Contains(text, " # {") || strings.Contains(text, "# EOF") {
		t.Error("exemplars in the plain format")
	}
}

func TestHistogramBuckets(t *testing.T) {
	var h histogram
	for i, v := range []int64{0, 1e6, 1e6 + 1, 60e9, 60e9 + 1} {
		want := []int{0, 0, 1, 14, 15}[i]
		if got := h.record(nanoseconds, v); got != want {
			t.Errorf("%d is in bucket %d, want %d", v, got, want)
		}
	}
}

func BenchmarkScrape(b *testing.B) {
	tel := exported(b, Config{})
	for i := range 50 {
		route := createRoute
		route.Pattern = fmt.Sprint("/r", i)
		serve(tel.Method(&createOrder, route), httptest.NewRequest("POST", "/", nil), 200)
	}
	h := tel.Metrics()
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		_, _ = io.Copy(io.Discard, w.Body)
	}
}

func TestOutcomes(t *testing.T) {
	clean(t)
	got, url := grpcSink(t)
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	tel := newTelemetry(t, Config{TracesRatio: 1})
	m := tel.Method(&createOrder, createRoute)
	tests := []struct {
		line   Request
		labels string
		failed bool
	}{
		{Request{Status: 200}, `http_request_method="POST",http_response_status_code="200"`, false},
		{Request{Status: 404, ErrorType: "not_found", Error: card}, `error_type="not_found",goa_method="create",goa_service="orders",http_request_method="POST",http_response_status_code="404"`, false},
		{Request{Status: 499}, `http_response_status_code="499"`, false},
		{Request{Status: 500}, `error_type="500",goa_method="create",goa_service="orders",http_request_method="POST",http_response_status_code="500"`, true},
		{Request{Status: 500, ErrorType: "panic", Error: card, Stack: card, Fault: true, User: card, Path: "/" + card}, `error_type="panic"`, true},
		{Request{Status: 101, ErrorType: "fault", Fault: true}, `error_type="fault",goa_method="create",goa_service="orders",http_request_method="POST",http_response_status_code="101"`, true},
		{Request{Status: 7}, `http_response_status_code="0"`, false},
	}
	for _, test := range tests {
		c := &requestContext{Context: context.Background()}
		m.Start(c, &c.span, httptest.NewRequest("POST", "/", nil), time.Now())
		m.End(&c.span, &test.line)
	}
	text, _ := scrape(t, tel, "")
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, test := range tests {
		if !strings.Contains(text, test.labels) {
			t.Errorf("no series with %s", test.labels)
		}
		if code := got.spans[i].GetStatus().GetCode(); (code == tracepb.Status_STATUS_CODE_ERROR) != test.failed {
			t.Errorf("status %d: the span's is %v", test.line.Status, code)
		}
	}
	if strings.Contains(got.raw+text, card) {
		t.Error("the card number is in a span or a metric")
	}
}

func TestRequestsAndScrapesAtOnce(t *testing.T) {
	tel := exported(t, Config{})
	m := tel.Method(&createOrder, createRoute)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 500 {
				c := &requestContext{Context: context.Background()}
				m.Start(c, &c.span, httptest.NewRequest("POST", "/", nil), time.Now())
				m.End(&c.span, &Request{Status: 200 + j%7, Duration: time.Duration(j) * time.Millisecond, ErrorType: []string{"", "a", "b"}[i%3]})
				tel.Refused([]string{"a", "b", "c"}[j%3])
				if j%100 == 0 {
					scrape(t, tel, "")
				}
			}
		})
	}
	wg.Wait()
	text, _ := scrape(t, tel, "")
	total := 0
	for _, line := range regexp.MustCompile(`(?m)^http_server_request_duration_seconds_count\{.*\} (\d+)$`).FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(line[1])
		total += n
	}
	if total != 2000 || !strings.Contains(text, "\naguada_requests_refused_total{cause=\"a\"} 668\n") {
		t.Errorf("%d requests counted", total)
	}
}
