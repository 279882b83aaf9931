package otlp

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/aguada-dev/aguada/console/store"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // senders may compress
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

// services are OTLP's, by signal.
var services = [...]string{
	store.Traces:  "opentelemetry.proto.collector.trace.v1.TraceService",
	store.Logs:    "opentelemetry.proto.collector.logs.v1.LogsService",
	store.Metrics: "opentelemetry.proto.collector.metrics.v1.MetricsService",
}

func (r *Receiver) serveGRPC(ln net.Listener) {
	options := []grpc.ServerOption{
		grpc.ForceServerCodecV2(asIs{}), grpc.MaxRecvMsgSize(MaxRequest), grpc.MaxConcurrentStreams(64),
		grpc.ConnectionTimeout(slowest), grpc.MaxHeaderListSize(16 << 10),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	}
	if r.cfg.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(r.cfg.TLS)))
	}
	r.grpc = grpc.NewServer(options...)
	for sig, name := range services {
		// A handler of streams runs before the message is read: so the sender
		// waits, and not its bytes in our memory. On the wire there is no
		// difference to a unary call.
		r.grpc.RegisterService(&grpc.ServiceDesc{ServiceName: name, Streams: []grpc.StreamDesc{{
			StreamName: "Export", ClientStreams: true,
			Handler: func(_ any, stream grpc.ServerStream) error { return r.export(store.Signal(sig), stream) },
		}}}, nil)
	}
	r.done.Go(func() {
		if err := r.grpc.Serve(ln); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			r.cfg.Logger.Error("OTLP receiver ended", "protocol", "grpc", "error", err)
		}
	})
}

// export answers one call.
func (r *Receiver) export(sig store.Signal, stream grpc.ServerStream) error {
	ctx := stream.Context()
	md, _ := metadata.FromIncomingContext(ctx)
	authorization := ""
	if all := md.Get("authorization"); len(all) == 1 {
		authorization = all[0]
	}
	if !r.admitted(authorization) {
		return status.Error(codes.Unauthenticated, "the console's token is missing or wrong: send it as authorization: Bearer TOKEN")
	}
	leave, err := r.enter(ctx)
	if errors.Is(err, errBusy) {
		return status.Error(codes.Unavailable, err.Error()) // which senders repeat
	}
	if err != nil {
		return status.FromContextError(err).Err()
	}
	defer leave()
	body, err := receive(ctx, stream)
	if err != nil {
		return err
	}
	defer body.Free()
	rejected, reason, err := r.take(sig, body.ReadOnlyData())
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	return stream.SendMsg(mem.SliceBuffer(answer(rejected, reason)))
}

// receive reads the one message of a call, within the time that it may take.
func receive(ctx context.Context, stream grpc.ServerStream) (mem.Buffer, error) {
	type message struct {
		body mem.Buffer
		err  error
	}
	got := make(chan message, 1)
	go func() { // which ends with the stream, when its handler returns
		var m message
		m.err = stream.RecvMsg(&m.body)
		got <- m
	}()
	timer := time.NewTimer(slowest)
	defer timer.Stop()
	select {
	case m := <-got:
		return m.body, m.err
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	case <-timer.C:
		return nil, status.Error(codes.DeadlineExceeded, "the request took too long to arrive")
	}
}

// answer encodes an Export…ServiceResponse; those of all signals are alike.
func answer(rejected int64, reason string) []byte {
	if rejected == 0 {
		return nil
	}
	var partial []byte
	partial = protowire.AppendVarint(protowire.AppendTag(partial, 1, protowire.VarintType), uint64(rejected))
	partial = protowire.AppendString(protowire.AppendTag(partial, 2, protowire.BytesType), reason)
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), partial)
}

// asIs is a codec that leaves messages encoded.
type asIs struct{}

// Name is that of the codec which it takes the place of.
func (asIs) Name() string { return "proto" }

// Marshal sends a mem.Buffer.
func (asIs) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.(mem.SliceBuffer)
	if !ok {
		return nil, errors.New("encode message: not encoded")
	}
	return mem.BufferSlice{b}, nil
}

// Unmarshal hands a message out as a *mem.Buffer, which the receiver frees.
func (asIs) Unmarshal(data mem.BufferSlice, v any) error {
	to, ok := v.(*mem.Buffer)
	if !ok {
		return errors.New("decode message: not to be decoded")
	}
	*to = data.MaterializeToBuffer(mem.DefaultBufferPool())
	return nil
}
