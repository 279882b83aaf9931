package otlp_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/aguada-dev/aguada/console/otlp"
	"github.com/aguada-dev/aguada/console/store"
)

// telemetrygen, the OpenTelemetry project's own load generator, sends all three
// signals over gRPC and over HTTP: what arrived is what was sent.
func TestTelemetrygen(t *testing.T) {
	program, err := exec.LookPath("telemetrygen")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("telemetrygen is not there: make tools installs it")
		}
		t.Skip("SKIPPED: telemetrygen is not there: make tools installs it")
	}
	r, st := open(t, otlp.Config{})
	for _, protocol := range [][]string{{"--otlp-endpoint", r.GRPC()}, {"--otlp-endpoint", r.HTTP(), "--otlp-http"}} {
		for _, signal := range [][]string{
			{"traces", "--traces", "50", "--child-spans", "3", "--span-links", "1"}, {"logs", "--logs", "120", "--otlp-http-url-path", "/v1/logs"},
			{"metrics", "--metrics", "70", "--metric-type", "Histogram", "--otlp-http-url-path", "/v1/metrics"},
			{"metrics", "--metrics", "30", "--metric-type", "Sum", "--otlp-http-url-path", "/v1/metrics"},
		} {
			args := append(append(signal, protocol...), "--otlp-insecure", "--rate", "0", "--service", "foreign", "--telemetry-attributes", `kind="made"`)
			if out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput(); err != nil {
				t.Fatalf("telemetrygen %v: %v\n%s", args, err, out)
			}
		}
	}
	made := &store.Filter{Service: "foreign", Attrs: []store.Match{store.ParseMatch("kind=made")}}
	for sig, want := range map[store.Signal]int{store.Traces: 2 * 50 * 4, store.Logs: 2 * 120, store.Metrics: 2 * 100} {
		n := 0
		st.Walk(sig, made, func(store.Ref) bool { n++; return true })
		if c := st.Counts(sig); n != want || c.Received != int64(want) {
			t.Errorf("of signal %d, %d arrived and %d are found, %d were sent", sig, c.Received, n, want)
		}
	}
	if hits, all, _ := st.Found(&store.Filter{}, store.Latest, 1); all != 100 || len(hits) != 1 || hits[0].Matched != 4 {
		t.Errorf("there are %d traces, want 100 of 4 spans: %v", all, hits)
	}
}
