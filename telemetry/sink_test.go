package telemetry

import (
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// sink is an OTLP receiver on a real listener, for gRPC and for HTTP.
type sink struct {
	coltrace.UnimplementedTraceServiceServer
	mu       sync.Mutex
	spans    []*tracepb.Span
	metrics  map[string]*metricspb.Metric
	logs     []*logspb.LogRecord
	resource *resourcepb.Resource
	raw      string
}

func (s *sink) Export(_ context.Context, r *coltrace.ExportTraceServiceRequest) (*coltrace.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw += prototext.Format(r)
	for _, rs := range r.GetResourceSpans() {
		s.resource = rs.GetResource()
		for _, ss := range rs.GetScopeSpans() {
			s.spans = append(s.spans, ss.GetSpans()...)
		}
	}
	return &coltrace.ExportTraceServiceResponse{}, nil
}

type metricSink struct {
	colmetrics.UnimplementedMetricsServiceServer
	s *sink
}

func (m metricSink) Export(_ context.Context, r *colmetrics.ExportMetricsServiceRequest) (*colmetrics.ExportMetricsServiceResponse, error) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	m.s.raw += prototext.Format(r)
	if m.s.metrics == nil {
		m.s.metrics = map[string]*metricspb.Metric{}
	}
	for _, rm := range r.GetResourceMetrics() {
		for _, sm := range rm.GetScopeMetrics() {
			for _, metric := range sm.GetMetrics() {
				m.s.metrics[metric.GetName()] = metric
			}
		}
	}
	return &colmetrics.ExportMetricsServiceResponse{}, nil
}

type logSink struct {
	collogs.UnimplementedLogsServiceServer
	s *sink
}

func (l logSink) Export(_ context.Context, r *collogs.ExportLogsServiceRequest) (*collogs.ExportLogsServiceResponse, error) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.s.raw += prototext.Format(r)
	for _, rl := range r.GetResourceLogs() {
		for _, sl := range rl.GetScopeLogs() {
			l.s.logs = append(l.s.logs, sl.GetLogRecords()...)
		}
	}
	return &collogs.ExportLogsServiceResponse{}, nil
}

// grpcSink starts a receiver and returns its URL.
func grpcSink(t testing.TB) (*sink, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, server := &sink{}, grpc.NewServer()
	coltrace.RegisterTraceServiceServer(server, s)
	colmetrics.RegisterMetricsServiceServer(server, metricSink{s: s})
	collogs.RegisterLogsServiceServer(server, logSink{s: s})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		server.Stop()
		<-done
	})
	return s, "http://" + l.Addr().String()
}

func httpSink(t testing.TB) (*sink, string) {
	t.Helper()
	s := &sink{}
	mux := http.NewServeMux()
	receive := func(path string, request proto.Message, export func() (proto.Message, error)) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			body := io.Reader(r.Body)
			if r.Header.Get("Content-Encoding") == "gzip" {
				z, err := gzip.NewReader(body)
				if err != nil {
					t.Error(err)
					return
				}
				body = z
			}
			b, err := io.ReadAll(body)
			if err == nil {
				err = proto.Unmarshal(b, request)
			}
			if err != nil {
				t.Error(err)
			}
			answer, _ := export()
			out, _ := proto.Marshal(answer)
			w.Header().Set("Content-Type", "application/x-protobuf")
			_, _ = w.Write(out)
		})
	}
	spans, metrics, logs := &coltrace.ExportTraceServiceRequest{}, &colmetrics.ExportMetricsServiceRequest{}, &collogs.ExportLogsServiceRequest{}
	receive("/v1/traces", spans, func() (proto.Message, error) { return s.Export(context.Background(), spans) })
	receive("/v1/metrics", metrics, func() (proto.Message, error) { return metricSink{s: s}.Export(context.Background(), metrics) })
	receive("/v1/logs", logs, func() (proto.Message, error) { return logSink{s: s}.Export(context.Background(), logs) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return s, server.URL
}

// attrs makes a map of OTLP attributes.
func attrs(kvs []*commonpb.KeyValue) map[string]any {
	m := map[string]any{}
	for _, kv := range kvs {
		m[kv.GetKey()] = anyValue(kv.GetValue())
	}
	return m
}

func anyValue(v *commonpb.AnyValue) any {
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return v.StringValue
	case *commonpb.AnyValue_IntValue:
		return float64(v.IntValue)
	case *commonpb.AnyValue_DoubleValue:
		return v.DoubleValue
	case *commonpb.AnyValue_BoolValue:
		return v.BoolValue
	case *commonpb.AnyValue_ArrayValue:
		var list []any
		for _, item := range v.ArrayValue.GetValues() {
			list = append(list, anyValue(item))
		}
		return list
	case *commonpb.AnyValue_KvlistValue:
		return attrs(v.KvlistValue.GetValues())
	}
	return nil
}
