package otlp

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aguada-dev/aguada/console/store"

	logspb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// request returns an empty request of a signal, response its response.
func request(sig store.Signal) proto.Message {
	return [...]proto.Message{
		store.Traces: &tracepb.ExportTraceServiceRequest{}, store.Logs: &logspb.ExportLogsServiceRequest{}, store.Metrics: &metricspb.ExportMetricsServiceRequest{},
	}[sig]
}

func response(sig store.Signal) proto.Message {
	return [...]proto.Message{
		store.Traces: &tracepb.ExportTraceServiceResponse{}, store.Logs: &logspb.ExportLogsServiceResponse{}, store.Metrics: &metricspb.ExportMetricsServiceResponse{},
	}[sig]
}

// fromJSON turns a request in OTLP's JSON into protocol buffers. That is not the
// JSON of protocol buffers: ids are hexadecimal.
func fromJSON(sig store.Signal, b []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var all any
	if err := dec.Decode(&all); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	if dec.More() {
		return nil, errors.New("read JSON: more than one value")
	}
	if err := encodeIDs(all); err != nil {
		return nil, err
	}
	b, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	m := request(sig)
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	return proto.Marshal(m)
}

// encodeIDs replaces hexadecimal ids by the base64 that package protojson reads.
// No name of an attribute is the name of a member here: they are values of
// members "key".
func encodeIDs(v any) error {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			if err := encodeIDs(item); err != nil {
				return err
			}
		}
	case map[string]any:
		for name, item := range v {
			switch name {
			case "traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id":
				text, _ := item.(string)
				id, err := hex.DecodeString(text)
				if err != nil {
					return fmt.Errorf("read JSON: %s is not hexadecimal", name)
				}
				v[name] = base64.StdEncoding.EncodeToString(id)
			default:
				if err := encodeIDs(item); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// responseJSON turns an encoded response into JSON.
func responseJSON(sig store.Signal, b []byte) []byte {
	m := response(sig)
	if err := proto.Unmarshal(b, m); err != nil {
		return []byte("{}")
	}
	text, err := protojson.Marshal(m)
	if err != nil {
		return []byte("{}")
	}
	return text
}
