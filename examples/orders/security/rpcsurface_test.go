package security

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"
)

// rpcSurfaceAttacks are about what there is to reach over gRPC at all.
func rpcSurfaceAttacks() []attack {
	absent := refusal{status: http.StatusNotFound, name: "not_found"}
	unknown := func(name, defence, call string) attack {
		return attack{name: name, defence: defence, make: func(s *shop) request {
			return request{call: call, header: [][2]string{bearer(token{by: s.rsa})}}
		}, want: absent}
	}
	return []attack{
		unknown("rpc_undeclared", "what the design does not have is not there", "orders.Orders/Delete"),
		unknown("rpc_case", "names are exact", "orders.Orders/list"),
		unknown("rpc_slash", "names are exact", "orders.Orders/List/"),
		unknown("rpc_package", "names are exact", "Orders/List"),
		unknown("rpc_admin", "operators have a port of their own", "admin.Admin/Config"),
		unknown("rpc_reflection", "strangers do not learn which methods there are", "grpc.reflection.v1.ServerReflection/ServerReflectionInfo"),
		unknown("rpc_reflection_alpha", "strangers do not learn which methods there are", "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"),
		unknown("rpc_channelz", "strangers do not learn who is connected", "grpc.channelz.v1.Channelz/GetServers"),
		{name: "rpc_unknown_labels", defence: "what does not exist has one name in the metrics", run: func(t *testing.T, s *shop) {
			for i := range 40 {
				s.attack(t, request{call: fmt.Sprintf("made.Up%d/Method%d", i, i)}, absent)
			}
			all := s.operate(t, "/metrics")
			if strings.Contains(all, "made.Up") || strings.Contains(all, "Method3") || !strings.Contains(all, `rpc_method="_OTHER"`) {
				t.Error("the metrics name what callers ask for")
			}
		}},
		{name: "rpc_health", defence: "probes say nothing of what the service depends on", run: func(t *testing.T, s *shop) {
			a := s.send(t, request{call: "grpc.health.v1.Health/Check"})
			var h healthpb.HealthCheckResponse
			if err := proto.Unmarshal(a.message, &h); err != nil || h.Status != healthpb.HealthCheckResponse_SERVING || len(h.ProtoReflect().GetUnknown()) > 0 {
				t.Errorf("%v %s", err, a.text)
			}
			a = s.send(t, request{call: "grpc.health.v1.Health/Check", body: message(&healthpb.HealthCheckRequest{Service: "database"})})
			if a.code != "NOT_FOUND" || strings.Contains(a.text, "sqlite") {
				t.Errorf("%s %s", a.code, a.text)
			}
		}},
		{name: "rpc_content_type", defence: "gRPC is told by its type", run: func(t *testing.T, s *shop) {
			for _, kind := range []string{"application/json", "text/plain", "application/grpcx", ""} {
				a := s.speak(t, listing(bearer(token{by: s.rsa}), [2]string{"Content-Type", kind}))
				if a.StatusCode != http.StatusUnsupportedMediaType || a.message != nil {
					t.Errorf("%q: %s %s", kind, a.Status, a.text)
				}
			}
		}},
		{name: "rpc_codec", defence: "messages are Protocol Buffers, whatever is said of them", make: func(s *shop) request {
			r := listing(bearer(token{by: s.rsa}), [2]string{"Content-Type", "application/grpc+json"})
			r.body = `{"limit":1}`
			return r
		}, want: refusal{status: http.StatusBadRequest, name: "decode_payload"}},
		{name: "rpc_of_page", defence: "pages do not speak gRPC", run: func(t *testing.T, s *shop) {
			for _, verb := range []string{http.MethodGet, http.MethodOptions} {
				req, err := http.NewRequest(verb, s.scheme+"://"+s.grpc+"/users.Users/About", nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Origin", "https://evil.example")
				res, err := s.rpc.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				if res.StatusCode < 400 || len(allowed(&answer{Response: res})) > 0 {
					t.Errorf("%s: %s %v", verb, res.Status, res.Header)
				}
			}
		}},
		{name: "rpc_on_http_port", defence: "each port has its own", make: func(s *shop) request {
			return post("/users.Users/About", framed(""), [2]string{"Te", "trailers"})
		}, want: absent},
		{name: "rpc_pings", defence: "connections are bounded in pings and calls at once", run: pings},
		{name: "rpc_limits", defence: "a limit is one over all transports, and callers are told of it", run: rpcLimits},
	}
}

// pings pings as often as it can, and looks at what the server allows.
func pings(t *testing.T, s *shop) {
	conn, err := net.Dial("tcp", s.grpc)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience / 4))
	out := frame([]byte(preface), 4, 0, 0, nil)
	for range 50 {
		out = frame(out, 6, 0, 0, make([]byte, 8))
	}
	if _, err := conn.Write(out); err != nil {
		t.Fatal(err)
	}
	most := uint32(0)
	for head := make([]byte, 9); ; {
		if _, err := io.ReadFull(conn, head); err != nil {
			t.Fatalf("nobody minds: %v", err)
		}
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(conn, payload); err != nil {
			t.Fatal(err)
		}
		switch head[3] {
		case 4: // SETTINGS
			for ; len(payload) >= 6; payload = payload[6:] {
				if payload[1] == 3 {
					most = binary.BigEndian.Uint32(payload[2:])
				}
			}
		case 7: // GOAWAY
			if most == 0 || most > 1000 || !strings.Contains(string(payload), "too_many_pings") {
				t.Errorf("%d calls at once; it ends with %q", most, payload)
			}
			return
		}
	}
}

// rpcLimits calls users.admin, whose limit is 100 a second for each principal,
// over both transports as fast as it can.
func rpcLimits(t *testing.T, s *shop) {
	admin := bearer(token{by: s.rsa, claims: members{"scope": "api:admin", "sub": "rita"}})
	a := s.send(t, request{call: calls["/users/admin"], header: [][2]string{admin}})
	if a.message == nil || !strings.Contains(a.Header.Get("Ratelimit-Policy"), "users/admin:principal-1s") || a.Header.Get("Ratelimit") == "" {
		t.Errorf("%s %v", a.code, a.Header)
	}
	var let, over [2]atomic.Int64
	var refused atomic.Pointer[answer]
	begun := time.Now()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 80 {
				r := get("/users/admin", admin)
				if i%2 == 1 {
					r.call = calls["/users/admin"]
				}
				switch a, err := s.try(r); {
				case err != nil:
					t.Error(err)
				case a.StatusCode == http.StatusOK:
					let[i%2].Add(1)
				case a.StatusCode == http.StatusTooManyRequests && a.Name == "rate_limited":
					if over[i%2].Add(1); i%2 == 1 {
						refused.Store(a)
					}
				default:
					t.Errorf("%d %s", a.StatusCode, a.text)
				}
			}
		})
	}
	wg.Wait()
	most := 101 + int64(time.Since(begun).Seconds()*100)
	if n := let[0].Load() + let[1].Load(); n > most || n < 50 || over[0].Load() == 0 || over[1].Load() == 0 {
		t.Errorf("%d are let in over HTTP and %d over gRPC, at most %d in all; %d and %d are refused", let[0].Load(), let[1].Load(), most, over[0].Load(), over[1].Load())
	}
	if a := refused.Load(); a != nil && (a.code != "RESOURCE_EXHAUSTED" || a.Header.Get("Retry-After") == "" || !strings.Contains(a.text, "RetryInfo")) {
		t.Errorf("%s %s", a.code, a.text)
	}
}
