package telemetry

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/aguada-dev/aguada/policy"
)

// requestContext is what a transport's context does.
type requestContext struct {
	context.Context
	span RequestSpan
}

func (c *requestContext) Value(key any) any {
	if v, ok := c.span.Value(key); ok {
		return v
	}
	return c.Context.Value(key)
}

// clear removes OTEL_ variables for the test.
func clean(t testing.TB) {
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
}

func newTelemetry(t testing.TB, cfg Config) *Telemetry {
	t.Helper()
	tel, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = tel.Shutdown(ctx)
	})
	return tel
}

var (
	createOrder = policy.Method{Service: "orders", Name: "create"}
	createRoute = policy.Route{Verb: "POST", Pattern: "/orders/{id}"}
)

const parentHeader = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"

func serve(m *MethodInstruments, r *http.Request, status int) *requestContext {
	c := &requestContext{Context: context.Background()}
	start := time.Now()
	m.Start(c.Context, &c.span, r, start)
	line := Request{Time: time.Now(), Status: status, Duration: time.Since(start), BodyIn: 10, BodyOut: 20}
	m.End(&c.span, &line)
	return c
}

// exported makes a Telemetry that exports, to nowhere that answers soon: what
// is measured is the request path.
func exported(t testing.TB, cfg Config) *Telemetry {
	clean(t)
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	t.Cleanup(sink.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.URL)
	return newTelemetry(t, cfg)
}

func TestUnsampledRequestAllocatesNothing(t *testing.T) {
	tel := exported(t, Config{TracesPerSecond: -1})
	m := tel.Method(&createOrder, createRoute)
	for name, header := range map[string]string{"of its own": "", "of its caller": parentHeader + "00"} {
		r := httptest.NewRequest("POST", "/orders/1", nil)
		if header != "" {
			r.Header.Set("Traceparent", header)
		}
		var c *requestContext
		n := testing.AllocsPerRun(200, func() { c = serve(m, r, 201) })
		if n > 2 { // the context itself, which holds the line as well
			t.Errorf("a trace %s: %v allocations", name, n)
		}
		if sc := trace.SpanContextFromContext(c); !sc.IsValid() || sc.IsSampled() || sc.IsRemote() {
			t.Errorf("a trace %s: span context %v", name, sc)
		}
	}
}

func benchmarkRequest(b *testing.B, cfg Config) {
	tel := exported(b, cfg)
	m := tel.Method(&createOrder, createRoute)
	r := httptest.NewRequest("POST", "/orders/1", nil)
	start := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		c := &requestContext{Context: context.Background()}
		m.Start(c.Context, &c.span, r, start)
		line := Request{Status: 201, Duration: 1234567, BodyIn: 10, BodyOut: 20}
		m.End(&c.span, &line)
	}
}

func BenchmarkUnsampled(b *testing.B) { benchmarkRequest(b, Config{TracesPerSecond: -1}) }
func BenchmarkLimited(b *testing.B)   { benchmarkRequest(b, Config{}) }
func BenchmarkSampled(b *testing.B)   { benchmarkRequest(b, Config{TracesRatio: 1}) }
