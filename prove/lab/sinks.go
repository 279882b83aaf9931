package lab

import (
	"context"
	"maps"

	"github.com/aguada-dev/aguada/prove/sink"
	"github.com/aguada-dev/aguada/prove/target"
)

// StartTo starts another process of the service, which sends its telemetry to a
// receiver of its own: what becomes of that one touches nobody else.
func (l *Lab) StartTo(ctx context.Context, s *sink.Sink) (*target.Instance, error) {
	if err := l.uncontrolled(ctx); err != nil {
		return nil, err
	}
	r := l.Recipe
	r.Values = maps.Clone(r.Values)
	r.Values["otlp_http"], r.Values["otlp_grpc"] = s.HTTP(), s.GRPC()
	all := s.Environment(sink.HTTPProtobuf)
	maps.Copy(all, l.Wallet.Environment())
	maps.Copy(all, r.Env)
	in, err := target.Start(ctx, r, all)
	if err != nil {
		return nil, err
	}
	l.onClose(in.Close)
	return in, nil
}
