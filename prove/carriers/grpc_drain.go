package carriers

import (
	"context"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/rpc"
)

func rpcDrain() []probe.Probe { return []probe.Probe{rpcInFlight, rpcReadiness, rpcStreams} }

// ping calls a simple method, and returns its message and how it went.
func (p *process) ping(ctx context.Context, t *probe.Try, m method) (*rpc.Reply, []byte, error) {
	md, err := rpc.Sign(t.Lab, m, lab.Good)
	if err != nil {
		return nil, nil, err
	}
	message, err := p.rpc.Valid(ctx, m)
	if err != nil {
		return nil, nil, err
	}
	return p.rpc.Call(ctx, m, md, rpc.Encode(message)), rpc.Encode(message), nil
}

var rpcInFlight = probe.Probe{
	Probe: describe(finding.Lifecycle, "grpc.drain", "Are clients told to go (GOAWAY) at SIGTERM, and a call that was running still served?",
		"Without GOAWAY clients go on calling a connection that is about to be cut, and lose what they had sent.",
		"On SIGTERM call GracefulStop, within a budget.",
		"RFC 9113 §6.8", "Kubernetes pod termination"),
	Omit: withGRPC,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		m := simple(t, unary)
		if m == nil {
			return probe.Skip("the service has no unary method over gRPC")
		}
		p, err := own(ctx, t, nil)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer p.close()
		r, message, err := p.ping(ctx, t, m)
		if err != nil || !r.OK() {
			return probe.Skip("a valid call is answered %v, %v", r, err)
		}
		idle, err := p.rpc.Connect(ctx)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer idle.Close()
		if _, ok := idle.Wait(rpc.FrameSettings, 3*time.Second); !ok {
			return probe.Skip("no SETTINGS came")
		}
		md, _ := rpc.Sign(t.Lab, m, lab.Good)
		body, rest := io.Pipe()
		defer func() { _ = rest.Close() }()
		type end struct {
			code codes.Code
			err  error
		}
		ended := make(chan end, 1)
		held := rpc.Frame(message)
		go func() {
			raw := p.rpc.Raw(ctx, m.GRPC.Method, header(md), body)
			defer raw.Close()
			code, err := raw.End()
			ended <- end{code, err}
		}()
		if _, err := rest.Write(held[:1]); err != nil {
			return probe.Skip("%v", err)
		}
		p.ping(ctx, t, m) //nolint:errcheck // its answer shows that what came before is there
		p.Terminate()
		how, gone := idle.Ended(5 * time.Second)
		if !gone {
			return probe.Fail(nil, "a connection without calls is neither told to go nor closed within 5s of SIGTERM")
		}
		_, _ = rest.Write(held[1:]) // what went wrong is in the status
		_ = rest.Close()
		if e := <-ended; e.err != nil || e.code != codes.OK {
			return probe.Fail(nil, "the call that was running at SIGTERM ends with %s, %v", rpc.Name(e.code), e.err)
		}
		if o := p.ends(ctx); o != nil {
			return *o
		}
		return probe.Pass("%s; the call was served; exit code 0", how)
	},
	Limit: 40 * time.Second,
}

var rpcReadiness = probe.Probe{
	Probe: describe(finding.Lifecycle, "grpc.health-drain", "Does the health service tell the end before calls are refused?",
		"A load balancer learns of the end by it. Without a pause in between it goes on sending to a closed port.",
		"On SIGTERM answer NOT_SERVING, keep serving for a configured delay, and only then stop.",
		"gRPC health checking protocol", "Kubernetes pod termination"),
	Omit: func(l *lab.Lab) string {
		if !l.Service.Contracted {
			return "the prover does not know how this service is told to wait before it closes"
		}
		return withGRPC(l)
	},
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		m := simple(t, unary)
		if m == nil {
			return probe.Skip("the service has no unary method over gRPC")
		}
		p, err := own(ctx, t, map[string]string{"DRAIN_DELAY": "3s"})
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer p.close()
		watch, err := p.rpc.Open(ctx, healthWatch, nil)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer watch.Close()
		_ = watch.Send(ask("")) // what went wrong is in the status
		_ = watch.CloseSend()
		if first, err := watch.Receive(); err != nil || state(first) != healthpb.HealthCheckResponse_SERVING {
			return probe.Fail(nil, "Watch begins with %s, %v", state(first), err)
		}
		p.Terminate()
		if next, err := watch.Receive(); err != nil || state(next) != healthpb.HealthCheckResponse_NOT_SERVING {
			return probe.Fail(nil, "after SIGTERM Watch tells %s, %v, not NOT_SERVING", state(next), err)
		}
		if r, _, err := p.ping(ctx, t, m); err != nil || !r.OK() {
			return probe.Fail(nil, "while the service is NOT_SERVING, and the delay has not passed, a call ends with %s, %v", r, err)
		}
		watch.Close()
		if o := p.ends(ctx); o != nil {
			return *o
		}
		return probe.Pass("NOT_SERVING, calls still served, then exit code 0")
	},
	Limit: 40 * time.Second,
}

// flows chooses the methods over gRPC whose service streams.
func flows(m method) bool { return called(m) && m.GRPC.ServerStream }

var rpcStreams = probe.Probe{
	Probe: describe(finding.Lifecycle, "grpc.drain-stream", "Do open streams end with a status when the service stops?",
		"A stream that is cut looks like a broken network: clients wait for a time-out, and nobody knows what they missed.",
		"On SIGTERM end streams with UNAVAILABLE, before the connections are closed.",
		"gRPC status codes", "Kubernetes pod termination"),
	Each: flows,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		p, err := own(ctx, t, nil)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer p.close()
		m := t.Method
		md, err := rpc.Sign(t.Lab, m, lab.Good)
		if err != nil {
			return probe.Skip("%v", err)
		}
		valid, err := p.rpc.Valid(ctx, m)
		if err != nil {
			return probe.Skip("%v", err)
		}
		body, rest := io.Pipe()
		defer func() { _ = rest.Close() }()
		if !m.GRPC.ClientStream {
			go func() {
				_, _ = rest.Write(rpc.Frame(rpc.Encode(valid))) // what went wrong is in the status
				_ = rest.Close()
			}()
		}
		raw := p.rpc.Raw(ctx, m.GRPC.Method, header(md), body)
		defer raw.Close()
		if err := raw.Begun(); err != nil {
			return probe.Skip("the stream did not open: %v", err)
		}
		p.Terminate()
		waiting := time.AfterFunc(prompt, p.Close)
		code, err := raw.End()
		if !waiting.Stop() {
			return probe.Fail(nil, "the stream is still open %s after SIGTERM", prompt)
		}
		if err != nil {
			return probe.Fail(nil, "the stream was cut without a status: %v", err)
		}
		if code != codes.Unavailable && code != codes.OK && code != codes.Canceled && code != codes.Aborted {
			return probe.Fail(nil, "the stream ends with %s, which is not UNAVAILABLE", rpc.Name(code))
		}
		if o := p.ends(ctx); o != nil {
			return *o
		}
		return probe.Pass("%s, exit code 0", rpc.Name(code))
	},
	Limit: 40 * time.Second,
}
