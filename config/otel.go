package config

import (
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// OTel are the variables of OpenTelemetry's specification that are judged
// here. The SDK reads them itself, from the process's environment, and where
// it does not understand one it carries on with a default: Load refuses it.
// Limits of attributes, events and links (OTEL_SPAN_… and the like) are left
// to the SDK.
type OTel struct {
	Disabled           string `env:"OTEL_SDK_DISABLED" kind:"true|false" doc:"true: no telemetry at all"`
	ServiceName        string `env:"OTEL_SERVICE_NAME" kind:"text" doc:"name of the service in telemetry; the design's by default"`
	ResourceAttributes string `env:"OTEL_RESOURCE_ATTRIBUTES" kind:"name=value,…" doc:"more attributes of the service, percent-encoded"`

	Sampler    string `env:"OTEL_TRACES_SAMPLER" kind:"sampler" doc:"which traces are taken: always_on, always_off, traceidratio, or one of them after parentbased_; by default as TRACES_PER_SECOND says"`
	SamplerArg string `env:"OTEL_TRACES_SAMPLER_ARG" kind:"number" doc:"share of the traces that is taken, from 0 to 1, for a sampler with traceidratio"`

	TracesExporter  string `env:"OTEL_TRACES_EXPORTER" kind:"otlp|console|none" doc:"where traces go; otlp by default where an endpoint is set, otherwise none"`
	MetricsExporter string `env:"OTEL_METRICS_EXPORTER" kind:"otlp|console|none|prometheus" doc:"where metrics go, beside /metrics of the private port; otlp by default where an endpoint is set, otherwise none"`
	LogsExporter    string `env:"OTEL_LOGS_EXPORTER" kind:"otlp|console|none" doc:"where logs go, beside the standard output; otlp by default where an endpoint is set, otherwise none"`

	Endpoint          string `env:"OTEL_EXPORTER_OTLP_ENDPOINT" kind:"url" doc:"URL of the collector; without one nothing is sent that no exporter is named for"`
	Protocol          string `env:"OTEL_EXPORTER_OTLP_PROTOCOL" envDefault:"http/protobuf" kind:"http/protobuf|grpc" doc:"protocol of the collector"`
	Headers           Secret `env:"OTEL_EXPORTER_OTLP_HEADERS" nofile:"true" doc:"headers of every export, as name=value,…, percent-encoded"`
	Compression       string `env:"OTEL_EXPORTER_OTLP_COMPRESSION" kind:"gzip|none" doc:"compression of exports; none by default"`
	Timeout           int    `env:"OTEL_EXPORTER_OTLP_TIMEOUT" envDefault:"10000" kind:"milliseconds" doc:"longest time of one export"`
	Certificate       string `env:"OTEL_EXPORTER_OTLP_CERTIFICATE" kind:"file" doc:"PEM authorities that the collector's certificate is verified with; the system's by default"`
	ClientCertificate string `env:"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE" kind:"file" doc:"PEM certificate presented to the collector"`
	ClientKey         string `env:"OTEL_EXPORTER_OTLP_CLIENT_KEY" kind:"file" doc:"PEM private key of that certificate"`

	Traces  Signal `envPrefix:"OTEL_EXPORTER_OTLP_TRACES_"`
	Metrics Signal `envPrefix:"OTEL_EXPORTER_OTLP_METRICS_"`
	Logs    Signal `envPrefix:"OTEL_EXPORTER_OTLP_LOGS_"`

	SpanDelay      int `env:"OTEL_BSP_SCHEDULE_DELAY" envDefault:"5000" kind:"milliseconds" doc:"time between two exports of spans"`
	SpanTimeout    int `env:"OTEL_BSP_EXPORT_TIMEOUT" envDefault:"30000" kind:"milliseconds" doc:"longest time of one export of spans, with its retries"`
	SpanQueue      int `env:"OTEL_BSP_MAX_QUEUE_SIZE" envDefault:"2048" doc:"spans that wait for their export at most; more are dropped"`
	SpanBatch      int `env:"OTEL_BSP_MAX_EXPORT_BATCH_SIZE" envDefault:"512" doc:"spans of one export at most"`
	LogDelay       int `env:"OTEL_BLRP_SCHEDULE_DELAY" envDefault:"1000" kind:"milliseconds" doc:"time between two exports of logs"`
	LogTimeout     int `env:"OTEL_BLRP_EXPORT_TIMEOUT" envDefault:"30000" kind:"milliseconds" doc:"longest time of one export of logs, with its retries"`
	LogQueue       int `env:"OTEL_BLRP_MAX_QUEUE_SIZE" envDefault:"2048" doc:"log records that wait for their export at most; more are dropped"`
	LogBatch       int `env:"OTEL_BLRP_MAX_EXPORT_BATCH_SIZE" envDefault:"512" doc:"log records of one export at most"`
	MetricInterval int `env:"OTEL_METRIC_EXPORT_INTERVAL" envDefault:"60000" kind:"milliseconds" doc:"time between two exports of metrics"`
	MetricTimeout  int `env:"OTEL_METRIC_EXPORT_TIMEOUT" envDefault:"30000" kind:"milliseconds" doc:"longest time of one export of metrics, with its retries"`
}

// Signal is where one kind of telemetry goes that goes elsewhere than the rest.
type Signal struct {
	Endpoint string `env:"ENDPOINT" kind:"url" doc:"URL for this signal alone, with its path (/v1/traces, /v1/metrics, /v1/logs)"`
	Protocol string `env:"PROTOCOL" kind:"http/protobuf|grpc" doc:"protocol for this signal alone"`
	Headers  Secret `env:"HEADERS" nofile:"true" doc:"headers for this signal alone"`
}

var samplers = []string{"always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"}

// checkOTel judges what the SDK would get over with a default. The kinds of
// the fields say how.
func (l *loader) checkOTel(cfg *Config) {
	for _, f := range l.fields {
		v := l.env[f.name]
		if !f.ours || !strings.HasPrefix(f.name, "OTEL_") || v == "" {
			continue
		}
		switch kind := f.sf.Tag.Get("kind"); {
		case kind == "file":
			l.readable(f.name)
		case kind == "url":
			if !collectorURL(v) {
				l.refuse(f.name, "is not the URL of a collector", "set it to one such as http://localhost:4318, without user and query")
			}
		case f.sf.Type == secretType || kind == "name=value,…":
			if !pairs(v) {
				l.refuse(f.name, "is not a list of names and values", "set it to name=value,name=value with percent-encoded values")
			}
		case strings.Contains(kind, "|"):
			if !slices.Contains(strings.Split(kind, "|"), v) {
				l.refuse(f.name, "is none of its values", "choose from "+strings.ReplaceAll(kind, "|", ", "))
			}
		case f.sf.Type.Kind() == reflect.Int:
			if n, err := strconv.Atoi(v); err == nil && n <= 0 {
				l.refuse(f.name, "is not more than 0", "set it to a whole number from 1 up")
			}
		}
	}
	l.checkSampling(cfg)
	o := cfg.OTel
	if o.SpanBatch > o.SpanQueue {
		l.refuse("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "is more than OTEL_BSP_MAX_QUEUE_SIZE", "lower it")
	}
	if o.LogBatch > o.LogQueue {
		l.refuse("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "is more than OTEL_BLRP_MAX_QUEUE_SIZE", "lower it")
	}
	if (o.ClientCertificate == "") != (o.ClientKey == "") {
		l.refuse("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "and OTEL_EXPORTER_OTLP_CLIENT_KEY are not both set", "set both, or neither")
	}
}

func (l *loader) checkSampling(cfg *Config) {
	o := cfg.OTel
	if o.Sampler != "" && !slices.Contains(samplers, o.Sampler) {
		l.refuse("OTEL_TRACES_SAMPLER", "is not a sampler", "choose from "+strings.Join(samplers, ", "))
	}
	share, err := strconv.ParseFloat(o.SamplerArg, 64)
	switch {
	case o.SamplerArg == "":
		if strings.HasSuffix(o.Sampler, "traceidratio") {
			l.refuse("OTEL_TRACES_SAMPLER_ARG", "is not set, and OTEL_TRACES_SAMPLER takes a share", "set it to a number from 0 to 1")
		}
	case err != nil || !(share >= 0 && share <= 1):
		l.refuse("OTEL_TRACES_SAMPLER_ARG", "is not a share", "set it to a number from 0 to 1")
	case !strings.HasSuffix(o.Sampler, "traceidratio"):
		l.refuse("OTEL_TRACES_SAMPLER_ARG", "is set, and OTEL_TRACES_SAMPLER takes no share", "set OTEL_TRACES_SAMPLER to parentbased_traceidratio, or unset it")
	}
	set := func(name string) bool { return l.env[name] != "" }
	if set("TRACES_PER_SECOND") && cfg.TracesPerSecond <= 0 {
		l.refuse("TRACES_PER_SECOND", "is not more than 0", "set it to a whole number from 1 up, or OTEL_TRACES_SAMPLER to parentbased_always_off to begin none")
	}
	if set("TRACES_PER_SECOND") && o.Sampler != "" {
		l.refuse("TRACES_PER_SECOND", "is set, and OTEL_TRACES_SAMPLER too", "unset one of them")
	}
	if set("PARENT_TRACES_PER_SECOND") && cfg.ParentTracesPerSecond <= 0 {
		l.refuse("PARENT_TRACES_PER_SECOND", "is not more than 0", "set it to a whole number from 1 up, or unset it for no bound")
	}
}

// collectorURL reports whether s is what the exporters understand.
func collectorURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" &&
		u.User == nil && u.RawQuery == "" && u.Fragment == ""
}

// pairs reports whether s is a list of names and values as W3C Baggage writes
// them. The SDK drops what is not, and some of its parts log it.
func pairs(s string) bool {
	for part := range strings.SplitSeq(s, ",") {
		name, value, ok := strings.Cut(part, "=")
		if _, err := url.PathUnescape(strings.TrimSpace(value)); !ok || err != nil || !token(strings.TrimSpace(name)) {
			return false
		}
	}
	return true
}

// token reports whether s is one (RFC 9110, section 5.6.2).
func token(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}
