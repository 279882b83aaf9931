package sink

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // so that gRPC takes gzip
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Bounds of one request beside its size: how deep its messages nest, and how many
// they are. A message of two bytes takes hundreds in memory.
const (
	maxDepth    = 64
	maxMessages = 250_000
)

// signal is one of the three services of OTLP.
type signal struct {
	path, service string
	request       func() proto.Message
	read          func(*batch, proto.Message)
	count         func(r *Rejected, n int)
	answer        func(rejected int64, why string) proto.Message // not called where nothing was
	accepted      proto.Message
}

var signals = []signal{
	{
		path: "/v1/traces", service: coltrace.TraceService_ServiceDesc.ServiceName,
		request: func() proto.Message { return &coltrace.ExportTraceServiceRequest{} },
		read:    func(b *batch, m proto.Message) { b.traces(m.(*coltrace.ExportTraceServiceRequest)) },
		count:   func(r *Rejected, n int) { r.Spans += n },
		answer: func(n int64, why string) proto.Message {
			return &coltrace.ExportTraceServiceResponse{PartialSuccess: &coltrace.ExportTracePartialSuccess{RejectedSpans: n, ErrorMessage: why}}
		},
		accepted: &coltrace.ExportTraceServiceResponse{},
	},
	{
		path: "/v1/metrics", service: colmetrics.MetricsService_ServiceDesc.ServiceName,
		request: func() proto.Message { return &colmetrics.ExportMetricsServiceRequest{} },
		read:    func(b *batch, m proto.Message) { b.metrics(m.(*colmetrics.ExportMetricsServiceRequest)) },
		count:   func(r *Rejected, n int) { r.Points += n },
		answer: func(n int64, why string) proto.Message {
			return &colmetrics.ExportMetricsServiceResponse{PartialSuccess: &colmetrics.ExportMetricsPartialSuccess{RejectedDataPoints: n, ErrorMessage: why}}
		},
		accepted: &colmetrics.ExportMetricsServiceResponse{},
	},
	{
		path: "/v1/logs", service: collogs.LogsService_ServiceDesc.ServiceName,
		request: func() proto.Message { return &collogs.ExportLogsServiceRequest{} },
		read:    func(b *batch, m proto.Message) { b.logs(m.(*collogs.ExportLogsServiceRequest)) },
		count:   func(r *Rejected, n int) { r.Records += n },
		answer: func(n int64, why string) proto.Message {
			return &collogs.ExportLogsServiceResponse{PartialSuccess: &collogs.ExportLogsPartialSuccess{RejectedLogRecords: n, ErrorMessage: why}}
		},
		accepted: &collogs.ExportLogsServiceResponse{},
	},
}

var (
	errLarge    = errors.New("the request is too large")
	errEncoding = errors.New("the content encoding is not supported: use gzip or none")
	errType     = errors.New("the content type is not supported: use application/x-protobuf or application/json")
)

// receive decodes one request, keeps what it brought and returns the answer.
func (s *Sink) receive(ctx context.Context, sig *signal, body []byte, json bool) (proto.Message, error) {
	select {
	case s.decoding <- struct{}{}:
		defer func() { <-s.decoding }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	b, err := decode(sig, body, json)
	if err != nil {
		s.refused()
		return nil, err
	}
	s.keep(b, sig)
	if b.rejected == 0 {
		return sig.accepted, nil
	}
	return sig.answer(int64(b.rejected), b.why), nil
}

// decode reads a request of protobuf or JSON.
func decode(sig *signal, body []byte, json bool) (*batch, error) {
	m := sig.request()
	if json {
		if objects(body) > maxMessages {
			return nil, errLarge
		}
		if err := (protojson.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: maxDepth}).Unmarshal(body, m); err != nil {
			return nil, errors.New("the body is not OTLP as JSON") // the cause repeats what was sent
		}
	} else {
		if messages(m.ProtoReflect().Descriptor(), body, maxMessages, maxDepth) < 0 {
			return nil, errLarge
		}
		if err := (proto.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: maxDepth}).Unmarshal(body, m); err != nil {
			return nil, errors.New("the body is not OTLP as protobuf")
		}
	}
	b := &batch{hexIDs: json}
	sig.read(b, m)
	return b, nil
}

// messages takes the messages within one from those that are left; less than 0
// means too many. What is no protobuf is left to the decoder.
func messages(d protoreflect.MessageDescriptor, body []byte, left, depth int) int {
	for len(body) > 0 && left >= 0 && depth > 0 {
		number, kind, n := protowire.ConsumeTag(body)
		if n < 0 {
			return left
		}
		body = body[n:]
		if n = protowire.ConsumeFieldValue(number, kind, body); n < 0 {
			return left
		}
		if f := d.Fields().ByNumber(number); f != nil && kind == protowire.BytesType && f.Kind() == protoreflect.MessageKind {
			inner, _ := protowire.ConsumeBytes(body)
			left = messages(f.Message(), inner, left-1, depth-1)
		}
		body = body[n:]
	}
	return left
}

// objects counts the objects of a JSON text.
func objects(body []byte) (n int) {
	quoted := false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == '{' && !quoted:
			n++
		}
	}
	return n
}

// handler serves OTLP over HTTP.
func (s *Sink) handler() http.Handler {
	mux := http.NewServeMux()
	for i := range signals {
		sig := &signals[i]
		mux.HandleFunc("POST "+sig.path, func(w http.ResponseWriter, r *http.Request) {
			kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // what cannot be parsed is not supported
			json := kind == "application/json"
			var answer proto.Message
			body, err := s.body(w, r, json || kind == "application/x-protobuf")
			if err != nil {
				s.refused()
			} else {
				answer, err = s.receive(r.Context(), sig, body, json)
			}
			code := http.StatusOK
			if err != nil {
				var why *status.Status
				code, why = failure(err)
				answer = why.Proto()
			}
			write(w, code, answer, json)
		})
	}
	return mux
}

// body returns the body, decompressed.
func (s *Sink) body(w http.ResponseWriter, r *http.Request, supported bool) ([]byte, error) {
	if !supported {
		return nil, errType
	}
	from := io.Reader(http.MaxBytesReader(w, r.Body, int64(s.maxRequest)))
	switch strings.ToLower(r.Header.Get("Content-Encoding")) {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(from)
		if err != nil {
			return nil, errors.New("the body is not gzip")
		}
		from = z
	default:
		return nil, errEncoding
	}
	body, err := io.ReadAll(io.LimitReader(from, int64(s.maxRequest)+1))
	var large *http.MaxBytesError
	switch {
	case len(body) > s.maxRequest || errors.As(err, &large):
		return nil, errLarge
	case err != nil:
		return nil, errors.New("the body cannot be read")
	}
	return body, nil
}

// failure returns how HTTP and gRPC tell an error. Its google.rpc.Status is the
// body over HTTP, as OTLP has it.
func failure(err error) (int, *status.Status) {
	overHTTP, overGRPC := http.StatusBadRequest, codes.InvalidArgument
	switch {
	case errors.Is(err, errLarge):
		overHTTP, overGRPC = http.StatusRequestEntityTooLarge, codes.ResourceExhausted
	case errors.Is(err, errType), errors.Is(err, errEncoding):
		overHTTP = http.StatusUnsupportedMediaType
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		overHTTP, overGRPC = http.StatusServiceUnavailable, codes.Unavailable
	}
	return overHTTP, status.New(overGRPC, err.Error())
}

func write(w http.ResponseWriter, code int, answer proto.Message, json bool) {
	kind, marshal := "application/x-protobuf", proto.Marshal
	if json {
		kind, marshal = "application/json", protojson.Marshal
	}
	body, err := marshal(answer)
	if err != nil {
		code, body = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(code)
	_, _ = w.Write(body) // who sent may have gone
}

// grpcServer serves OTLP over gRPC. Messages come as bytes, so that both
// transports have one decoder, and bytes that are not OTLP are the sender's fault
// and not, as gRPC has it, an internal error.
func (s *Sink) grpcServer() *grpc.Server {
	server := grpc.NewServer(grpc.ForceServerCodecV2(codec{}), grpc.MaxRecvMsgSize(s.maxRequest), grpc.MaxConcurrentStreams(16),
		grpc.ConnectionTimeout(10*time.Second))
	for i := range signals {
		sig := &signals[i]
		export := func(_ any, ctx context.Context, receive func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var body []byte
			if err := receive(&body); err != nil {
				s.refused()
				return nil, err
			}
			answer, err := s.receive(ctx, sig, body, false)
			if err != nil {
				_, why := failure(err)
				return nil, why.Err()
			}
			return answer, nil
		}
		server.RegisterService(&grpc.ServiceDesc{
			ServiceName: sig.service, Methods: []grpc.MethodDesc{{MethodName: "Export", Handler: export}},
		}, nil)
	}
	return server
}

// codec leaves requests as they are.
type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	b, err := proto.Marshal(v.(proto.Message))
	return mem.BufferSlice{mem.SliceBuffer(b)}, err
}

func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}
