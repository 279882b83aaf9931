package telemetry

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestNothingIsExportedUnlessAsked(t *testing.T) {
	tests := []struct {
		name string
		env  map[string]string
		want [3]bool
	}{
		{"nothing", nil, [3]bool{}},
		{"service name only", map[string]string{"OTEL_SERVICE_NAME": "a", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, [3]bool{}},
		{"endpoint", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, [3]bool{true, true, true}},
		{"one endpoint", map[string]string{"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://127.0.0.1:1"}, [3]bool{false, false, true}},
		{"one exporter", map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, [3]bool{true, false, false}},
		{"all but one", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_METRICS_EXPORTER": "none"}, [3]bool{true, false, true}},
		{"prometheus", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_METRICS_EXPORTER": "prometheus"}, [3]bool{true, false, true}},
		{"disabled", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}, [3]bool{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			clean(t)
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			traces, metrics, logs := newTelemetry(t, Config{}).Exports()
			if got := [3]bool{traces, metrics, logs}; got != test.want {
				t.Errorf("exports %v, want %v", got, test.want)
			}
		})
	}
}

func TestDisabled(t *testing.T) {
	clean(t)
	t.Setenv("OTEL_SDK_DISABLED", "True")
	tel := newTelemetry(t, Config{})
	if text, _ := scrape(t, tel, ""); text != "" {
		t.Errorf("metrics: %s", text)
	}
	if _, span := tel.Tracer("t").Start(t.Context(), "s"); span.IsRecording() {
		t.Error("a span is recorded")
	}
}

func TestWrongVariablesRefuse(t *testing.T) {
	const endpoint, secret = "OTEL_EXPORTER_OTLP_ENDPOINT", "s3cret"
	for name, env := range map[string]map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT":           {endpoint: "collector:4317"},
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT":    {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "ftp://s3cret"},
		"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT":      {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "https://user:s3cret@host"},
		"OTEL_EXPORTER_OTLP_PROTOCOL":           {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
		"OTEL_TRACES_EXPORTER":                  {"OTEL_TRACES_EXPORTER": "jaeger"},
		"OTEL_LOGS_EXPORTER":                    {"OTEL_LOGS_EXPORTER": "otlp,console"},
		"OTEL_EXPORTER_OTLP_CERTIFICATE":        {"OTEL_EXPORTER_OTLP_CERTIFICATE": "s3cret/none.pem"},
		"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "s3cret/none.pem"},
		"OTEL_EXPORTER_OTLP_HEADERS":            {"OTEL_EXPORTER_OTLP_HEADERS": "authorization s3cret"},
		"OTEL_EXPORTER_OTLP_COMPRESSION":        {"OTEL_EXPORTER_OTLP_COMPRESSION": "zstd"},
		"OTEL_EXPORTER_OTLP_TIMEOUT":            {"OTEL_EXPORTER_OTLP_TIMEOUT": "10s"},
		"OTEL_BSP_MAX_QUEUE_SIZE":               {"OTEL_BSP_MAX_QUEUE_SIZE": "-1"},
		"OTEL_TRACES_SAMPLER has":               {"OTEL_TRACES_SAMPLER": "jaeger_remote"},
		"OTEL_TRACES_SAMPLER_ARG":               {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "NaN"},
	} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			t.Setenv(endpoint, "http://127.0.0.1:1")
			for k, v := range env {
				t.Setenv(k, v)
			}
			_, err := New(t.Context(), Config{})
			if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), secret) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestSamplerSettings(t *testing.T) {
	tests := map[string]struct {
		cfg  Config
		env  environment
		want string
	}{
		"default":     {want: "as the parent, else at most 100 a second"},
		"rate":        {cfg: Config{TracesPerSecond: 5}, want: "as the parent, else at most 5 a second"},
		"none":        {cfg: Config{TracesPerSecond: -1}, want: "as the parent, else never"},
		"ratio":       {cfg: Config{TracesRatio: 0.25}, want: "as the parent, else ratio 0.25"},
		"environment": {env: environment{sampler: "traceidratio", samplerArg: 0.5}, want: "ratio 0.5"},
		"parentbased": {env: environment{sampler: "parentbased_always_on"}, want: "as the parent, else always"},
		"off":         {env: environment{sampler: "always_off"}, want: "never"},
		"both":        {cfg: Config{TracesRatio: 0.25, TracesPerSecond: 1}},
		"three":       {cfg: Config{TracesRatio: 0.25}, env: environment{sampler: "always_on"}},
		"too much":    {cfg: Config{TracesRatio: 1.5}},
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		test := tests[name]
		s, err := newSampler(test.cfg, &test.env)
		switch {
		case test.want == "" && err == nil:
			t.Errorf("%s: no error", name)
		case test.want != "" && (err != nil || s.Description() != test.want):
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}
