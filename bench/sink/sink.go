// Package sink is a real OpenTelemetry receiver that keeps nothing but counts.
//
//	s, err := sink.Listen()
//	…
//	defer s.Close()
//	fmt.Println(s.Count("orders").Traces)
//
// It implements the three OTLP services over gRPC on a loopback port, so that
// exporters do all the work that they would do in production.
package sink

import (
	"context"
	"fmt"
	"net"
	"sync"

	"google.golang.org/grpc"

	logspb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
)

// Counts is what one service sent.
type Counts struct {
	Traces  int // spans without a parent
	Spans   int
	Metrics int // exported collections
	Logs    int // log records
}

// Sink receives on a loopback port until it is closed.
type Sink struct {
	// Addr is host:port of the listener.
	Addr string

	server *grpc.Server
	served chan error
	mu     sync.Mutex
	counts map[string]*Counts
}

// Listen starts a sink on a free port.
func Listen() (*Sink, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a loopback listener does not wait
	if err != nil {
		return nil, fmt.Errorf("listen for telemetry: %w", err)
	}
	s := &Sink{Addr: ln.Addr().String(), server: grpc.NewServer(), served: make(chan error, 1), counts: map[string]*Counts{}}
	tracepb.RegisterTraceServiceServer(s.server, traces{s: s})
	metricspb.RegisterMetricsServiceServer(s.server, metrics{s: s})
	logspb.RegisterLogsServiceServer(s.server, logs{s: s})
	go func() { s.served <- s.server.Serve(ln) }()
	return s, nil
}

// Close ends the sink once the calls in flight are answered.
func (s *Sink) Close() error {
	s.server.GracefulStop()
	return <-s.served
}

// Count returns what the service of this name has sent so far.
func (s *Sink) Count(service string) Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.counts[service]; c != nil {
		return *c
	}
	return Counts{}
}

// add changes the counts of the service that the resource names.
func (s *Sink) add(r *resourcepb.Resource, f func(*Counts)) {
	service := ""
	for _, a := range r.GetAttributes() {
		if a.GetKey() == "service.name" {
			service = a.GetValue().GetStringValue()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counts[service]
	if c == nil {
		c = &Counts{}
		s.counts[service] = c
	}
	f(c)
}

type traces struct {
	tracepb.UnimplementedTraceServiceServer
	s *Sink
}

func (t traces) Export(_ context.Context, r *tracepb.ExportTraceServiceRequest) (*tracepb.ExportTraceServiceResponse, error) {
	for _, rs := range r.GetResourceSpans() {
		t.s.add(rs.GetResource(), func(c *Counts) {
			for _, ss := range rs.GetScopeSpans() {
				c.Spans += len(ss.GetSpans())
				for _, span := range ss.GetSpans() {
					if len(span.GetParentSpanId()) == 0 {
						c.Traces++
					}
				}
			}
		})
	}
	return &tracepb.ExportTraceServiceResponse{}, nil
}

type metrics struct {
	metricspb.UnimplementedMetricsServiceServer
	s *Sink
}

func (m metrics) Export(_ context.Context, r *metricspb.ExportMetricsServiceRequest) (*metricspb.ExportMetricsServiceResponse, error) {
	for _, rm := range r.GetResourceMetrics() {
		m.s.add(rm.GetResource(), func(c *Counts) { c.Metrics++ })
	}
	return &metricspb.ExportMetricsServiceResponse{}, nil
}

type logs struct {
	logspb.UnimplementedLogsServiceServer
	s *Sink
}

func (l logs) Export(_ context.Context, r *logspb.ExportLogsServiceRequest) (*logspb.ExportLogsServiceResponse, error) {
	for _, rl := range r.GetResourceLogs() {
		l.s.add(rl.GetResource(), func(c *Counts) {
			for _, sl := range rl.GetScopeLogs() {
				c.Logs += len(sl.GetLogRecords())
			}
		})
	}
	return &logspb.ExportLogsServiceResponse{}, nil
}
