package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/mtls"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/testsvc/gen/feed"
	feedpb "github.com/aguada-dev/aguada/transport/internal/testsvc/gen/grpc/feed/pb"
	feedgrpc "github.com/aguada-dev/aguada/transport/internal/testsvc/gen/grpc/feed/server"
)

func TestRPCHealth(t *testing.T) {
	var ready atomic.Bool
	r := newFeedRig(t, func(r *feedRig) { r.grpc.Ready = ready.Load })
	health := healthpb.NewHealthClient(r.conn)
	check := func(service string) healthpb.HealthCheckResponse_ServingStatus {
		reply, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		if err != nil {
			t.Error(err)
		}
		return reply.GetStatus()
	}
	watch := must(health.Watch(t.Context(), &healthpb.HealthCheckRequest{Service: "feed.Feed"}))(t)
	if first := must(watch.Recv())(t); first.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING || check("") != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("before: %v", first)
	}
	ready.Store(true)
	if next := must(watch.Recv())(t); next.GetStatus() != healthpb.HealthCheckResponse_SERVING || check("feed.Feed") != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("after: %v", next)
	}
	if _, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "none"}); status.Code(err) != codes.NotFound {
		t.Error(err)
	}
	none := must(health.Watch(t.Context(), &healthpb.HealthCheckRequest{Service: "none"}))(t)
	if first := must(none.Recv())(t); first.GetStatus() != healthpb.HealthCheckResponse_SERVICE_UNKNOWN {
		t.Errorf("an unknown service: %v", first)
	}
	list := must(health.List(t.Context(), &healthpb.HealthListRequest{}))(t)
	if all := list.GetStatuses(); len(all) != 3 || all["feed.Feed"].GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("list %v", all)
	}
	if lines := r.log.lines(t, "request"); len(lines) > 0 {
		t.Errorf("probes are logged: %v", lines)
	}
	r.h.CloseStreams()
	if _, err := watch.Recv(); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
}

func TestRPCReflection(t *testing.T) {
	for _, on := range []bool{false, true} {
		r := newFeedRig(t, func(r *feedRig) { r.grpc.Reflection = on })
		s := must(reflectionpb.NewServerReflectionClient(r.conn).ServerReflectionInfo(t.Context()))(t)
		_ = s.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
		reply, err := s.Recv()
		var names []string
		for _, service := range reply.GetListServicesResponse().GetService() {
			names = append(names, service.GetName())
		}
		if on != slices.Contains(names, "feed.Feed") || !on && status.Code(err) != codes.Unimplemented {
			t.Errorf("on %v: %v, %v", on, names, err)
		}
	}
}

// secure serves the rig by mutual TLS, and returns a client with a certificate of
// the name.
func (r *feedRig) secure(t *testing.T, vouches *authority, name string) feedpb.FeedClient {
	t.Helper()
	served := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(served.Close)
	clients, servers := x509.NewCertPool(), x509.NewCertPool()
	clients.AddCert(vouches.cert)
	servers.AddCert(served.Certificate())
	cfg := r.grpc
	cfg.TLS = &tls.Config{Certificates: served.TLS.Certificates, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	server := must(r.h.GRPC().Server(cfg))(t)
	lis := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(lis)
	}()
	creds := credentials.NewTLS(&tls.Config{RootCAs: servers, ServerName: "example.com", Certificates: []tls.Certificate{vouches.issue(t, name)}})
	conn := must(grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(creds)))(t)
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		<-done
	})
	return feedpb.NewFeedClient(conn)
}

func TestRPCMutualTLS(t *testing.T) {
	var withdrawn atomic.Bool
	var ends atomic.Int64
	identity := must(mtls.New(mtls.Subject))(t)
	var caller string
	r := newFeedRig(t, func(r *feedRig) {
		r.cfg.Trusts = func(*tls.ConnectionState) bool { return !withdrawn.Load() }
		r.cfg.Identity = func(s *tls.ConnectionState) (*auth.Principal, error) {
			p, err := identity.Principal(s)
			if err == nil && ends.Load() != 0 {
				p.ExpiresAt = time.Unix(ends.Load(), 0)
			}
			return p, err
		}
		r.feed.ping = func(ctx context.Context) error {
			caller = who(ctx)
			return nil
		}
	})
	client := r.secure(t, newAuthority(t), "worker")
	_, err := client.Ping(t.Context(), &feedpb.PingRequest{})
	r.wantCode(t, err, codes.OK)
	line := r.log.last(t)
	if !strings.HasPrefix(caller, "mtls ") || line["tls.client.subject"] == nil || line["client.address"] != "127.0.0.1" {
		t.Errorf("caller %s, line %v", caller, line)
	}
	// A certificate is no credential where the design asks for another.
	_, err = client.Put(t.Context(), &feedpb.PutRequest{Id: "abc"})
	r.wantCode(t, err, codes.Unauthenticated)
	_, err = client.Put(with(t, r.token), &feedpb.PutRequest{Id: "abc"})
	r.wantCode(t, err, codes.OK)
	ends.Store(1)
	_, err = client.Ping(t.Context(), &feedpb.PingRequest{})
	r.wantCode(t, err, codes.PermissionDenied)
	withdrawn.Store(true)
	_, err = client.Put(with(t, r.token), &feedpb.PutRequest{Id: "abc"})
	if reason, _ := info(t, r.wantCode(t, err, codes.Unauthenticated)); reason.GetReason() != "CERTIFICATE_WITHDRAWN" {
		t.Errorf("reason %s", reason.GetReason())
	}
}

func TestRPCClientAddress(t *testing.T) {
	for _, test := range []struct {
		trusted string
		want    string
	}{{"", "127.0.0.1"}, {"127.0.0.0/8", "203.0.113.9"}, {"10.0.0.0/8", "127.0.0.1"}} {
		r := newFeedRig(t, func(r *feedRig) {
			if test.trusted != "" {
				r.cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(test.trusted)}
			}
		})
		lis := must(net.Listen("tcp", "127.0.0.1:0"))(t)
		go func() { _ = r.server.Serve(lis) }() // ended by the rig
		conn := must(grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials())))(t)
		if _, err := feedpb.NewFeedClient(conn).Ping(with(t, "", "x-forwarded-for", "198.51.100.1, 203.0.113.9"), &feedpb.PingRequest{}); err != nil {
			t.Error(err)
		}
		if got := r.log.last(t)["client.address"]; got != test.want {
			t.Errorf("behind %q: client %v, want %s", test.trusted, got, test.want)
		}
		_ = conn.Close()
	}
}

// Connections come to an end without any call's.
func TestRPCConnectionAge(t *testing.T) {
	r := newFeedRig(t, func(r *feedRig) { r.grpc.MaxConnectionAge = 20 * time.Millisecond })
	chat := must(r.client.Chat(with(t, r.token)))(t)
	for end := time.Now().Add(100 * time.Millisecond); time.Now().Before(end); {
		if _, err := r.client.Ping(t.Context(), &feedpb.PingRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	_ = chat.Send(&feedpb.ChatStreamingRequest{Id: "abc"})
	if _, err := chat.Recv(); err != nil {
		t.Error(err)
	}
}

// What would be unreachable or unguarded does not start.
func TestRPCRefusesToStart(t *testing.T) {
	register := func(h *HTTP) {
		feedpb.RegisterFeedServer(h.GRPC(), feedgrpc.New(feed.NewEndpoints(struct {
			feed.Service
			feed.Auther
		}{&feedService{}, confirming{}}), nil, nil))
	}
	for _, test := range []struct {
		name   string
		change func(*policy.Service)
		mount  func(*HTTP)
		want   string
	}{
		{"not registered", func(*policy.Service) {}, func(*HTTP) {}, "gRPC method feed.Feed/Put of feed.put is not registered"},
		{"twice", func(*policy.Service) {}, func(h *HTTP) { register(h); register(h) }, "gRPC service feed.Feed is registered twice"},
		{"unknown", func(s *policy.Service) { s.Methods = s.Methods[1:] }, register, "gRPC method feed.Feed/Put is not in the contract"},
		{"another stream", func(s *policy.Service) { s.Methods[6].GRPC.ClientStream = true }, register, "gRPC method feed.Feed/Pull does not stream as the contract says"},
		{"unguarded", func(s *policy.Service) { s.Methods[0].GRPC.Requirements = nil }, register, "feed.put"},
		{"late", func(s *policy.Service) { s.Methods[0].GRPC.Requirements[0].Schemes[0].In = policy.InBody }, register, "secured by nothing in its metadata"},
		{"same name", func(s *policy.Service) { s.Methods[1].GRPC.Method = s.Methods[0].GRPC.Method }, register, "gRPC method feed.Feed/Put is in the contract twice"},
		{"no implementation", func(*policy.Service) {}, func(h *HTTP) { h.GRPC().RegisterService(&feedpb.Feed_ServiceDesc, 7) }, "does not implement it"},
	} {
		r := newRig(t, nil)
		r.cfg.Contract = feedContract()
		s := &r.cfg.Contract.Services[0]
		s.Methods = slices.DeleteFunc(s.Methods, func(m policy.Method) bool { return m.Name == "login" })
		for i := range s.Methods {
			s.Methods[i].Routes = nil
		}
		s.Methods = slices.Insert(s.Methods, 3, policy.Method{Service: "feed", Name: "login", Kind: policy.Unary, Access: policy.Public, GRPC: &policy.GRPC{Method: "feed.Feed/Login"}})
		test.change(s)
		h, err := New(r.cfg)
		if err == nil {
			test.mount(h)
			err = h.Ready()
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func FuzzMetadataPair(f *testing.F) {
	f.Add("ann", "secret", "", uint8(0))
	f.Add("a:b", "\x00", "x", uint8(3))
	f.Add("\xff", "p", "ann", uint8(1))
	f.Fuzz(func(t *testing.T, name, password, more string, which uint8) {
		md := map[string][]string{"user": {name}, "pass": {password}}
		if which&1 != 0 {
			md["user"] = append(md["user"], more)
		}
		if which&2 != 0 {
			delete(md, "pass")
		}
		c := &rpc{}
		c.from.md = md
		got, err := (*metadataSource)(c).Credential(&policy.Use{Scheme: "basic", In: policy.InMetadata, Name: "user", Password: "pass"}, policy.Basic)
		switch {
		case err == nil && (got.Username != name || got.Password != password || which&3 != 0 || name == "" || strings.ContainsAny(name, ":\r\n\x00") || strings.ContainsAny(password, "\r\n\x00")):
			t.Errorf("%q became another's", md)
		case err != nil && got != auth.Credential{}:
			t.Error("a credential with an error")
		}
	})
}
