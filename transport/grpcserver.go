package transport

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
)

// GRPCConfig is what a server is made of. Its zero value works.
type GRPCConfig struct {
	// TLS is the listener's; nil speaks plain text.
	TLS *tls.Config
	// Ready reports whether the service takes calls, for the health service
	// (grpc.health.v1); nil means always.
	Ready func() bool
	// Reflection lets clients ask which methods there are.
	Reflection bool
	// HandshakeTimeout bounds the beginning of a connection; 0 means 10 s.
	HandshakeTimeout time.Duration
	// MaxConnectionAge is after how long clients are asked to connect anew;
	// calls under way end first. 0 means never.
	MaxConnectionAge time.Duration
	// MaxConnectionIdle ends connections without calls; 0 means never.
	MaxConnectionIdle time.Duration
	// MaxHeaderBytes bounds the metadata of a call; 0 means 1 MiB.
	MaxHeaderBytes int
}

// Bounds of connections. Clients may ping as often as common settings have it,
// also without a call; who does so more often is sent away (GOAWAY,
// too_many_pings). A connection whose client does not answer pings has ended.
const (
	maxStreams    = 250 // calls at once on one connection
	pingMinimum   = 10 * time.Second
	pingEvery     = time.Minute
	pingTimeout   = 20 * time.Second
	handshakeTime = 10 * time.Second
	headerBytes   = 1 << 20
	maxHeld       = 4000 // streams at once of health and reflection, which last as long as anybody likes
	workers       = 32   // goroutines that serve one call after another, whose stacks need not grow anew
)

// GRPCServer is a *grpc.Server that ends though a client does not read.
type GRPCServer struct {
	*grpc.Server
	g *GRPC
}

// GracefulStop tells clients to go (GOAWAY), and returns when all calls are
// over. The server's own waits for ever for a client that does not read the end
// of its stream; this one ends connections two seconds after the last call.
// Streams are not asked to end: see HTTP.CloseStreams.
func (s *GRPCServer) GracefulStop() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Server.GracefulStop()
	}()
	tick := time.NewTicker(closing / 10)
	defer tick.Stop()
	over := time.Now() // the last call, as far as is known
	for {
		select {
		case <-done:
			return
		case now := <-tick.C:
			if s.g.InFlight() > 0 {
				over = now
			} else if now.Sub(over) > 2*closing {
				s.Stop()
			}
		}
	}
}

// Server returns the server of what was registered, and of the health service.
// Call it once, after HTTP.Ready. It is served, and ended with GracefulStop or
// Stop, by the caller.
//
// A message larger than MaxBody of every method is not read at all. One that is
// larger than its own method's is read, but not decoded.
func (g *GRPC) Server(cfg GRPCConfig) (*GRPCServer, error) {
	if err := g.registerPlain(&healthpb.Health_ServiceDesc, &healthService{g: g, ready: cfg.Ready}); err != nil {
		return nil, fmt.Errorf("make gRPC server: %w", err)
	}
	transport := insecure.NewCredentials()
	if cfg.TLS != nil {
		transport = credentials.NewTLS(cfg.TLS)
	}
	s := grpc.NewServer(
		grpc.Creds(transport), grpc.ForceServerCodecV2(protobuf), grpc.InTapHandle(g.arrive), grpc.NumStreamWorkers(workers), grpc.UnknownServiceHandler(g.unknown.serve),
		grpc.MaxRecvMsgSize(int(min(g.largest, math.MaxInt32))), grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(uint32(min(max(cmp.Or(cfg.MaxHeaderBytes, headerBytes), 0), math.MaxInt32))),
		grpc.ConnectionTimeout(cmp.Or(cfg.HandshakeTimeout, handshakeTime)),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingMinimum, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge: cfg.MaxConnectionAge, MaxConnectionIdle: cfg.MaxConnectionIdle, Time: pingEvery, Timeout: pingTimeout,
		}),
	)
	if cfg.Reflection {
		r := &reflected{Server: s, g: g}
		if reflection.Register(r); r.err != nil {
			return nil, fmt.Errorf("make gRPC server: %w", r.err)
		}
	}
	for _, service := range g.services {
		s.RegisterService(service.desc, service.impl)
	}
	return &GRPCServer{Server: s, g: g}, nil
}

// registerPlain registers a service of the chassis itself, unless the design has
// it: public, logged at debug level, and its streams bounded.
func (g *GRPC) registerPlain(desc *grpc.ServiceDesc, impl any) error {
	if slices.ContainsFunc(g.services, func(s rpcService) bool { return s.desc.ServiceName == desc.ServiceName }) {
		return nil
	}
	return g.register(desc, impl, func(name string, d *grpc.StreamDesc) *rpcMethod {
		m := g.plain
		if d.ClientStreams || d.ServerStreams {
			m = g.held
		}
		r := g.newMethod(m, name)
		r.client, r.server = d.ClientStreams, d.ServerStreams
		return r
	})
}

// reflected takes the services of reflection, which tell of all that the server
// has.
type reflected struct {
	*grpc.Server
	g   *GRPC
	err error
}

// RegisterService implements grpc.ServiceRegistrar.
func (r *reflected) RegisterService(desc *grpc.ServiceDesc, impl any) {
	r.err = errors.Join(r.err, r.g.registerPlain(desc, impl))
}

// healthService is grpc.health.v1: the process is one, and so all its services
// are as ready as it is.
type healthService struct {
	healthpb.UnimplementedHealthServer
	g     *GRPC
	ready func() bool
}

// healthEvery is how often a watched state is looked at.
const healthEvery = time.Second

func (h *healthService) state() healthpb.HealthCheckResponse_ServingStatus {
	if h.ready == nil || h.ready() {
		return healthpb.HealthCheckResponse_SERVING
	}
	return healthpb.HealthCheckResponse_NOT_SERVING
}

// knows reports whether there is such a service; "" is all of them.
func (h *healthService) knows(service string) bool {
	return service == "" || slices.ContainsFunc(h.g.services, func(s rpcService) bool { return s.desc.ServiceName == service })
}

// Check tells the state.
func (h *healthService) Check(_ context.Context, r *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if !h.knows(r.GetService()) {
		return nil, status.Error(codes.NotFound, "unknown service")
	}
	return &healthpb.HealthCheckResponse{Status: h.state()}, nil
}

// List tells the state of all services.
func (h *healthService) List(context.Context, *healthpb.HealthListRequest) (*healthpb.HealthListResponse, error) {
	all := map[string]*healthpb.HealthCheckResponse{"": {Status: h.state()}}
	for _, s := range h.g.services {
		all[s.desc.ServiceName] = &healthpb.HealthCheckResponse{Status: h.state()}
	}
	return &healthpb.HealthListResponse{Statuses: all}, nil
}

// Watch tells the state whenever it changes. That of a service which does not
// exist is told too, as the protocol wants it.
func (h *healthService) Watch(r *healthpb.HealthCheckRequest, s healthpb.Health_WatchServer) error {
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	told := healthpb.HealthCheckResponse_UNKNOWN
	for {
		now := healthpb.HealthCheckResponse_SERVICE_UNKNOWN
		if h.knows(r.GetService()) {
			now = h.state()
		}
		if now != told {
			told = now
			if err := s.Send(&healthpb.HealthCheckResponse{Status: now}); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-s.Context().Done():
			return s.Context().Err()
		}
	}
}

var _ healthpb.HealthServer = (*healthService)(nil)
