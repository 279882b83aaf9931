package telemetry

import (
	"context"
	"crypto/rand"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// newResource says who is speaking: the design's names, this process, and what
// the environment says, which wins. The command line is left out of it, since
// it may hold secrets.
func newResource(ctx context.Context, cfg Config) (*resource.Resource, error) {
	who := []attribute.KeyValue{semconv.ServiceInstanceID(newInstanceID())}
	if cfg.Service != "" {
		who = append(who, semconv.ServiceName(cfg.Service))
	}
	if cfg.Version != "" {
		who = append(who, semconv.ServiceVersion(cfg.Version))
	}
	if rev := revision(); rev != "" {
		who = append(who, semconv.VCSRefHeadRevision(rev))
	}
	res, err := resource.New(ctx, resource.WithService(), resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithProcessPID(), resource.WithProcessRuntimeName(), resource.WithProcessRuntimeVersion(), resource.WithProcessRuntimeDescription(),
		resource.WithAttributes(who...), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("read resource: %w", err)
	}
	return res, nil
}

// newInstanceID returns a random UUID.
func newInstanceID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
