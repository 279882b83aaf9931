// Package sink is the prover's own OpenTelemetry receiver: what a service sends
// over OTLP is kept in memory, decoded, to be asked about.
//
//	s, err := sink.Start(sink.Config{})
//	defer s.Close(ctx)
//	maps.Copy(env, s.Environment(sink.HTTPProtobuf))   // of the service
//	…
//	arrived := s.Wait(ctx, func() bool { return len(s.Trace(id)) > 0 })
//
// It listens on loopback only, for OTLP 1.11 over HTTP (protobuf and JSON, plain
// or gzip) and over gRPC. It keeps no more than Config.MaxBytes, and counts what
// went; it takes no request of more than 250,000 messages, which are small on the
// wire and large in memory. It forwards nothing, stores nothing on disk, and knows no profiles.
package sink

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Config is how a Sink is started. The zero value works.
type Config struct {
	// MaxBytes bounds what is kept of all signals together, as estimated; 64 MiB
	// if 0. Beyond it the oldest go.
	MaxBytes int
	// MaxRequest bounds the body of one request once decompressed, in bytes; 8 MiB
	// if 0.
	MaxRequest int
}

// Protocol is how a service is told to send.
type Protocol string

// The protocols that OTEL_EXPORTER_OTLP_PROTOCOL names.
const (
	HTTPProtobuf Protocol = "http/protobuf"
	HTTPJSON     Protocol = "http/json"
	GRPC         Protocol = "grpc"
)

// Sink receives until it is closed. It is safe for concurrent use. What its
// methods return is shared and must not be changed.
type Sink struct {
	store

	maxRequest int
	decoding   chan struct{} // a place for each request that is being decoded
	gate       gate

	mu                 sync.Mutex
	httpAddr, grpcAddr string
	servers            *servers // nil while connections are refused
	closed             bool
}

// Start listens on two free ports of 127.0.0.1.
func Start(cfg Config) (*Sink, error) {
	if cfg.MaxBytes < 0 || cfg.MaxRequest < 0 {
		return nil, errors.New("start telemetry sink: a limit is negative")
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 64 << 20
	}
	if cfg.MaxRequest == 0 {
		cfg.MaxRequest = 8 << 20
	}
	s := &Sink{store: newStore(cfg.MaxBytes), maxRequest: cfg.MaxRequest, decoding: make(chan struct{}, 2)}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("start telemetry sink: %w", err)
	}
	return s, nil
}

// HTTP returns the base URL of OTLP over HTTP, without a slash at its end.
func (s *Sink) HTTP() string { return "http://" + s.httpAddr }

// GRPC returns the address of OTLP over gRPC, host:port, without TLS.
func (s *Sink) GRPC() string { return s.grpcAddr }

// Environment returns the variables that make a service send all that it has to
// the sink, and soon.
func (s *Sink) Environment(p Protocol) map[string]string {
	endpoint := s.HTTP()
	if p == GRPC {
		endpoint = "http://" + s.GRPC()
	}
	return map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
		"OTEL_EXPORTER_OTLP_PROTOCOL": string(p),
		"OTEL_TRACES_SAMPLER":         "always_on",
		"OTEL_BSP_SCHEDULE_DELAY":     "100",
		"OTEL_BLRP_SCHEDULE_DELAY":    "100",
		"OTEL_METRIC_EXPORT_INTERVAL": "250",
	}
}

// Hang makes the sink stop answering: connections stand, and not a byte is read
// or written, until Hang(false) lets everything go on.
func (s *Sink) Hang(hang bool) { s.gate.set(hang) }

// Refuse closes the ports and all connections, as if the collector had died;
// Refuse(false) opens the same ports again. It fails if somebody else took one,
// and after Close.
func (s *Sink) Refuse(refuse bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return errors.New("refuse telemetry: the sink is closed")
	case refuse && s.servers != nil:
		s.servers.close()
		s.servers = nil
	case !refuse && s.servers == nil:
		if err := s.open(); err != nil {
			return fmt.Errorf("accept telemetry again: %w", err)
		}
	}
	return nil
}

// Close answers the requests in flight until ctx ends, and then cuts them; a sink
// that hangs cuts at once. It returns ctx's error where it had to cut. What was
// received can be read on.
func (s *Sink) Close(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.servers == nil {
		return nil
	}
	var err error
	if !s.gate.hangs() {
		err = s.servers.shutdown(ctx)
	}
	s.servers.close()
	s.servers = nil
	if err != nil {
		return fmt.Errorf("close telemetry sink: %w", err)
	}
	return nil
}
