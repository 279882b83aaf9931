package carriers

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/rpc"
)

func rpcSurface() []probe.Probe {
	return []probe.Probe{rpcUnknown, rpcReflection, rpcHealth, rpcMaxStreams, rpcPings, rpcContinuations}
}

// service is the name of a gRPC service of the design.
func service(l *lab.Lab) string {
	for _, m := range l.Service.Methods {
		if m.GRPC != nil {
			name, _, _ := strings.Cut(m.GRPC.Method, "/")
			return name
		}
	}
	return ""
}

// dialed returns a Run that is given a client of the shared process.
func dialed(run func(context.Context, *probe.Try, *rpc.Client) finding.Outcome) func(context.Context, *probe.Try) finding.Outcome {
	return func(ctx context.Context, t *probe.Try) finding.Outcome {
		c, err := rpc.Over(t.Lab, t.Main, t.Client)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer c.Close()
		return run(ctx, t, c)
	}
}

var rpcUnknown = probe.Probe{
	Probe: describe(finding.Security, "grpc.unknown", "Are services and methods that the design does not have answered UNIMPLEMENTED?",
		"What is there besides the design was not reviewed, and nobody guards it.",
		"Register the services of the design and no others.",
		"gRPC status codes", "OWASP API9:2023"),
	Omit: withGRPC,
	Run: dialed(func(ctx context.Context, t *probe.Try, c *rpc.Client) finding.Outcome {
		known := service(t.Lab)
		names := []string{
			"prover.Nowhere/Call", known + "/ProverNowhere", known + "/", known, strings.ToUpper(known) + "/Call", known + "/../Call",
			"grpc.channelz.v1.Channelz/GetServers", "grpc.admin.v1.Admin/Get", "grpc.testing.TestService/EmptyCall",
		}
		for _, name := range names {
			if r := c.Invoke(ctx, name, nil, []byte{}); r.Status.Code() != codes.Unimplemented {
				return probe.Fail(c.Show(name, nil, nil, r), "%s is answered %s, not UNIMPLEMENTED", name, r)
			}
		}
		return probe.Pass("%d names", len(names))
	}),
}

var rpcReflection = probe.Probe{
	Probe: describe(finding.Security, "grpc.reflection", "Is server reflection off unless somebody asked for it?",
		"Reflection hands every method and field of every service to whoever connects, the internal ones too.",
		"Serve reflection in development only.",
		"gRPC server reflection", "OWASP API9:2023", "CWE-200"),
	Omit: withGRPC,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		p, err := own(ctx, t, map[string]string{"GRPC_REFLECTION": "-"})
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer p.close()
		for _, name := range []string{rpc.Reflection, rpc.ReflectionAlpha} {
			r, err := p.rpc.Reflects(ctx, name)
			if err != nil {
				return probe.Skip("%v", err)
			}
			if r.Status.Code() != codes.Unimplemented {
				return probe.Fail(p.rpc.Show(name, nil, nil, r), "%s is answered %s", name, r)
			}
		}
		return probe.Pass("UNIMPLEMENTED, both versions")
	},
}

const (
	healthCheck = "grpc.health.v1.Health/Check"
	healthWatch = "grpc.health.v1.Health/Watch"
)

// ask is a request of the health service.
func ask(service string) []byte { return rpc.Encode(&healthpb.HealthCheckRequest{Service: service}) }

// state reads an answer of the health service; UNKNOWN where it is none.
func state(message []byte) healthpb.HealthCheckResponse_ServingStatus {
	var r healthpb.HealthCheckResponse
	if proto.Unmarshal(message, &r) != nil {
		return healthpb.HealthCheckResponse_UNKNOWN
	}
	return r.GetStatus()
}

var rpcHealth = probe.Probe{
	Probe: describe(finding.Lifecycle, "grpc.health", "Does the health service tell that the service is ready, and which services there are?",
		"Load balancers and Kubernetes ask grpc.health.v1; without it they send calls to a process that cannot serve, or to none.",
		"Serve grpc.health.v1.Health: SERVING for \"\" and each service, NOT_FOUND for others, without credentials.",
		"gRPC health checking protocol"),
	Omit: withGRPC,
	Run: dialed(func(ctx context.Context, t *probe.Try, c *rpc.Client) finding.Outcome {
		for _, name := range []string{"", service(t.Lab)} {
			r := c.Invoke(ctx, healthCheck, nil, ask(name))
			if !r.OK() || len(r.Messages) != 1 || state(r.Messages[0]) != healthpb.HealthCheckResponse_SERVING {
				return probe.Fail(c.Show(healthCheck, nil, ask(name), r), "the service %q is not SERVING: %s", name, r)
			}
		}
		if r := c.Invoke(ctx, healthCheck, nil, ask("prover.Nowhere")); r.Status.Code() != codes.NotFound {
			return probe.Fail(c.Show(healthCheck, nil, ask("prover.Nowhere"), r), "a service that does not exist is answered %s, not NOT_FOUND", r)
		}
		return probe.Pass("SERVING")
	}),
}

var rpcMaxStreams = probe.Probe{
	Probe: describe(finding.Resilience, "grpc.max-streams", "Does the service bound how many calls one connection may have open?",
		"Without a bound one connection can begin calls until the memory is gone (HTTP/2 rapid reset made that cheap).",
		"Set grpc.MaxConcurrentStreams; the usual bounds are 100 to 1,000.",
		"RFC 9113 §6.5.2", "CVE-2023-44487", "CWE-770"),
	Omit: withGRPC,
	Run: dialed(func(ctx context.Context, _ *probe.Try, c *rpc.Client) finding.Outcome {
		w, err := c.Connect(ctx)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer w.Close()
		e, ok := w.Wait(rpc.FrameSettings, 3*time.Second)
		if !ok {
			return probe.Fail(nil, "no SETTINGS came")
		}
		n, ok := e.Setting(rpc.MaxConcurrentStreams)
		if !ok || n > 10_000 {
			return probe.Fail(nil, "SETTINGS_MAX_CONCURRENT_STREAMS is there: %t, %d", ok, n)
		}
		return probe.Pass("%d at once", n)
	}),
}

// alive reports whether the service still answers.
func alive(ctx context.Context, c *rpc.Client) bool {
	return c.Invoke(ctx, healthCheck, nil, ask("")).OK()
}

var rpcPings = probe.Probe{
	Probe: describe(finding.Resilience, "grpc.pings", "Is a client sent away that pings all the time?",
		"Each ping has to be answered: a client that sends nothing else costs the service work without end.",
		"Set grpc.KeepaliveEnforcementPolicy; the library then answers ENHANCE_YOUR_CALM.",
		"gRPC keepalive", "RFC 9113 §6.7", "CVE-2019-9512"),
	Omit: withGRPC,
	Run: dialed(func(ctx context.Context, _ *probe.Try, c *rpc.Client) finding.Outcome {
		w, err := c.Connect(ctx)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer w.Close()
		ping := rpc.Event{Kind: rpc.FramePing, Payload: make([]byte, 8)}
		const pings = 1000
		for range pings / 10 {
			if w.Write(ping, ping, ping, ping, ping, ping, ping, ping, ping, ping) != nil {
				break // which Ended tells
			}
		}
		how, ended := w.Ended(3 * time.Second)
		if !ended {
			return probe.Fail(nil, "%d pings at once, and the connection goes on", pings)
		}
		if !alive(ctx, c) {
			return probe.Fail(nil, "after %s others are not served any more", how)
		}
		return probe.Pass("%s", how)
	}),
}

var rpcContinuations = probe.Probe{
	Probe: describe(finding.Resilience, "grpc.continuations", "Is a call ended whose metadata never ends?",
		"Metadata may go on in frame after frame. Whoever keeps all of it until the last one can be filled up by anybody, before any check.",
		"Bound the metadata of a call (grpc.MaxHeaderListSize), and use a version of the library that counts continuation frames.",
		"RFC 9113 §6.10", "CVE-2023-45288", "CWE-770"),
	Omit: withGRPC,
	Run: dialed(func(ctx context.Context, _ *probe.Try, c *rpc.Client) finding.Outcome {
		connected, cancel := context.WithTimeout(ctx, 8*time.Second)
		defer cancel()
		w, err := c.Connect(connected)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer w.Close()
		fields := bytes.Repeat([]byte("\x00\x01a\x01b"), 3000) // literals without indexing: a: b
		err = w.Write(rpc.Event{Kind: rpc.FrameHeaders, Stream: 1, Payload: fields})
		const most = 8 << 20
		sent := 0
		for sent = len(fields); err == nil && sent < most; sent += len(fields) {
			err = w.Write(rpc.Event{Kind: rpc.FrameContinuation, Stream: 1, Payload: fields})
		}
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			return probe.Fail(nil, "%d MiB of metadata were taken, and the call goes on", sent>>20)
		}
		if !alive(ctx, c) {
			return probe.Fail(nil, "others are not served any more")
		}
		return probe.Pass("the connection was ended after %d KiB", sent>>10)
	}),
}
