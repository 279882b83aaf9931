package telemetry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// The signals of OpenTelemetry.
const (
	spanSignal = iota
	metricSignal
	logSignal
)

var (
	signalNames = [3]string{"spans", "metrics", "log records"}
	signalEnv   = [3]string{"TRACES", "METRICS", "LOGS"}
)

// How a signal leaves the process.
const (
	exportNone    = ""
	exportGRPC    = "grpc"
	exportHTTP    = "http/protobuf"
	exportConsole = "console"
)

// environment is what the OTEL_ variables ask for.
type environment struct {
	disabled      bool
	exporter      [3]string
	sampler       string
	samplerArg    float64
	logValueLimit bool
}

// readEnvironment reads the variables of the process that decide whether
// something is exported, and checks those that the SDK would pass over with a
// default: an endpoint or certificate that is not what was meant. No value is
// in its errors, since headers hold credentials.
func readEnvironment() (*environment, error) {
	e := &environment{logValueLimit: os.Getenv("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT") != ""}
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		e.disabled = true
		return e, nil
	}
	var errs []error
	for signal, name := range signalEnv {
		out, err := exporterOf(name)
		e.exporter[signal] = out
		errs = append(errs, err)
		if out == exportGRPC || out == exportHTTP {
			errs = append(errs, checkOTLP(name)...)
		}
	}
	e.sampler = strings.ToLower(strings.TrimSpace(os.Getenv("OTEL_TRACES_SAMPLER")))
	e.samplerArg = 1
	if arg := strings.TrimSpace(os.Getenv("OTEL_TRACES_SAMPLER_ARG")); arg != "" && strings.HasSuffix(e.sampler, "traceidratio") {
		r, err := strconv.ParseFloat(arg, 64)
		if err != nil || !(r >= 0 && r <= 1) {
			errs = append(errs, errors.New("OTEL_TRACES_SAMPLER_ARG is not a number within 0 and 1"))
		}
		e.samplerArg = r
	}
	for _, name := range []string{
		"OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_EXPORT_TIMEOUT",
		"OTEL_BLRP_MAX_QUEUE_SIZE", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "OTEL_BLRP_SCHEDULE_DELAY", "OTEL_BLRP_EXPORT_TIMEOUT",
		"OTEL_METRIC_EXPORT_INTERVAL", "OTEL_METRIC_EXPORT_TIMEOUT",
	} {
		errs = append(errs, checkCount(name))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("read environment: %w", err)
	}
	return e, nil
}

// exporterOf decides where a signal goes. OpenTelemetry's default is OTLP to
// the local host; ours is nowhere, until an exporter or an endpoint is named.
func exporterOf(signal string) (string, error) {
	switch name := strings.TrimSpace(os.Getenv("OTEL_" + signal + "_EXPORTER")); {
	case name == "none", signal == "METRICS" && name == "prometheus": // Prometheus is always there
		return exportNone, nil
	case name == "console":
		return exportConsole, nil
	case name == "" && either(signal, "ENDPOINT") == "":
		return exportNone, nil
	case name != "" && name != "otlp":
		return exportNone, fmt.Errorf("OTEL_%s_EXPORTER has a value that is not supported: use otlp, console or none", signal)
	}
	switch protocol := strings.TrimSpace(either(signal, "PROTOCOL")); protocol {
	case "", exportHTTP:
		return exportHTTP, nil
	case exportGRPC:
		return exportGRPC, nil
	}
	return exportNone, fmt.Errorf("%s has a value that is not supported: use grpc or http/protobuf", eitherName(signal, "PROTOCOL"))
}

// either reads a variable of the signal, or the one for all signals.
func either(signal, what string) string { return os.Getenv(eitherName(signal, what)) }

func eitherName(signal, what string) string {
	if name := "OTEL_EXPORTER_OTLP_" + signal + "_" + what; os.Getenv(name) != "" {
		return name
	}
	return "OTEL_EXPORTER_OTLP_" + what
}

// checkOTLP looks for what the exporter would pass over.
func checkOTLP(signal string) (errs []error) {
	if endpoint := either(signal, "ENDPOINT"); endpoint != "" {
		u, err := url.Parse(strings.TrimSpace(endpoint))
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
			errs = append(errs, fmt.Errorf("%s is not a URL of a receiver: write http://host:port or https://host:port, credentials into the headers", eitherName(signal, "ENDPOINT")))
		}
	}
	if file := either(signal, "CERTIFICATE"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil || !x509.NewCertPool().AppendCertsFromPEM(pem) {
			errs = append(errs, fmt.Errorf("%s names no file with certificates", eitherName(signal, "CERTIFICATE")))
		}
	}
	cert, key := either(signal, "CLIENT_CERTIFICATE"), either(signal, "CLIENT_KEY")
	if cert != "" || key != "" {
		if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
			errs = append(errs, fmt.Errorf("%s and %s name no certificate with its key",
				eitherName(signal, "CLIENT_CERTIFICATE"), eitherName(signal, "CLIENT_KEY")))
		}
	}
	for pair := range strings.SplitSeq(either(signal, "HEADERS"), ",") {
		key, value, ok := strings.Cut(pair, "=")
		_, badKey := url.PathUnescape(strings.TrimSpace(key))
		_, badValue := url.PathUnescape(strings.TrimSpace(value))
		if strings.TrimSpace(pair) != "" && (!ok || strings.TrimSpace(key) == "" || badKey != nil || badValue != nil) {
			errs = append(errs, fmt.Errorf("%s is not a list of name=value pairs", eitherName(signal, "HEADERS")))
			break
		}
	}
	if c := either(signal, "COMPRESSION"); !slices.Contains([]string{"", "gzip", "none"}, c) {
		errs = append(errs, fmt.Errorf("%s has a value that is not supported: use gzip or none", eitherName(signal, "COMPRESSION")))
	}
	return append(errs, checkCount(eitherName(signal, "TIMEOUT")))
}

// checkCount wants a positive whole number, where the variable is set.
func checkCount(name string) error {
	v := strings.TrimSpace(os.Getenv(name))
	if n, err := strconv.Atoi(v); v != "" && (err != nil || n <= 0) {
		return fmt.Errorf("%s is not a positive whole number", name)
	}
	return nil
}
