package rpc

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/protobuf/proto"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/target"
)

var (
	check = &model.Method{Method: policy.Method{Service: "health", Name: "check", GRPC: &policy.GRPC{Method: "grpc.health.v1.Health/Check"}}}
	watch = &model.Method{Method: policy.Method{Service: "health", Name: "watch", GRPC: &policy.GRPC{Method: "grpc.health.v1.Health/Watch", ServerStream: true}}}
)

// serve serves the health service, and what else register adds.
func serve(t *testing.T, register func(*grpc.Server)) *Client {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	healthpb.RegisterHealthServer(s, health.NewServer())
	register(s)
	go func() { _ = s.Serve(listener) }()
	t.Cleanup(s.Stop)
	l := &lab.Lab{Config: lab.Config{Secrets: &target.Secrets{}, Service: &model.Service{Methods: []*model.Method{check, watch}}}}
	l.Parameters = map[string]map[string]string{"*": {"service": "grpc.health.v1.Nowhere"}}
	t.Cleanup(l.Close)
	c, err := Dial(l, &target.Instance{GRPC: listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Descriptors come by either version of reflection, and by none where it is off.
func TestReflection(t *testing.T) {
	both := serve(t, func(s *grpc.Server) { reflection.Register(s) })
	alpha := serve(t, func(s *grpc.Server) {
		grpc_reflection_v1alpha.RegisterServerReflectionServer(s, reflection.NewServer(reflection.ServerOptions{Services: s}))
	})
	for name, c := range map[string]*Client{"v1": both, "v1alpha": alpha} {
		message, err := c.Valid(t.Context(), check)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var r healthpb.HealthCheckRequest
		if err := proto.Unmarshal(Encode(message), &r); err != nil || r.GetService() != "grpc.health.v1.Nowhere" {
			t.Errorf("%s: message %v, %v", name, &r, err)
		}
	}
	if r, err := alpha.Reflects(t.Context(), Reflection); err != nil || r.Status.Code() != codes.Unimplemented {
		t.Errorf("v1 is %v, %v", r, err)
	}
	if r, err := alpha.Reflects(t.Context(), ReflectionAlpha); err != nil || !r.OK() {
		t.Errorf("v1alpha is %v, %v", r, err)
	}
	none := serve(t, func(*grpc.Server) {})
	if _, err := none.Valid(t.Context(), check); err == nil {
		t.Error("a service without reflection is known")
	}
	unknown := *check
	unknown.GRPC = &policy.GRPC{Method: "grpc.health.v1.Health/Nothing"}
	if _, err := both.Valid(t.Context(), &unknown); err == nil {
		t.Error("a method that is not there is known")
	}
}

func TestCall(t *testing.T) {
	c := serve(t, func(*grpc.Server) {})
	if r := c.Call(t.Context(), check, metadata.Pairs("x-prover", "1"), []byte{}); !r.OK() || len(r.Messages) != 1 || len(r.Trace) != 32 {
		t.Errorf("check: %s, %+v", r, r)
	}
	if r := c.Call(t.Context(), check, nil, []byte("\n\x07nowhere")); r.Status.Code() != codes.NotFound || r.String() != "NOT_FOUND: unknown service" {
		t.Errorf("unknown: %s", r)
	}
	if r := c.Call(t.Context(), watch, nil, []byte{}); !r.Open || !r.OK() {
		t.Errorf("watch: %s", r)
	}
	if r := c.Refusal(t.Context(), watch, nil, []byte("\xff")); r.Open || r.Status.Code() != codes.Internal {
		t.Errorf("watch, malformed: %s", r)
	}
	if r := c.Invoke(t.Context(), "nowhere/Call", nil, nil); r.Status.Code() != codes.Unimplemented {
		t.Errorf("nowhere: %s", r)
	}
}

// What the client of the library would decide by itself is the server's here.
func TestRaw(t *testing.T) {
	c := serve(t, func(*grpc.Server) {})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	body, end := io.Pipe()
	defer end.Close()
	r := c.Raw(ctx, check.GRPC.Method, http.Header{"Grpc-Timeout": {Timeout(50 * time.Millisecond)}}, body)
	defer r.Close()
	code, err := r.End()
	if ctx.Err() != nil || err == nil && code != codes.DeadlineExceeded {
		t.Errorf("a call whose message never comes ends with %v, %v", code, err)
	}
	whole := c.Raw(ctx, check.GRPC.Method, nil, bytes.NewReader(Frame(nil)))
	defer whole.Close()
	if code, err := whole.End(); err != nil || code != codes.OK {
		t.Errorf("a whole call ends with %v, %v", code, err)
	}
}

func TestConnect(t *testing.T) {
	c := serve(t, func(*grpc.Server) {})
	w, err := c.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, ok := w.Wait(FrameSettings, 5*time.Second); !ok {
		t.Error("no settings came")
	}
	for range 100 {
		if w.Write(Event{Kind: FramePing, Payload: make([]byte, 8)}) != nil {
			break
		}
	}
	if how, ended := w.Ended(5 * time.Second); !ended {
		t.Errorf("a hundred pings: %q", how)
	}
}
