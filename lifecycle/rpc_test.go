package lifecycle_test

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/aguada-dev/aguada/lifecycle"
)

const slowMethod = "/test.Slow/Call"

// rpc is a real gRPC server with one method, in a group.
type rpc struct {
	running
	inFlight atomic.Int64
	client   *grpc.ClientConn
	entered  chan struct{}
}

// runRPC serves a method that f is.
func runRPC(t *testing.T, cfg lifecycle.Config, f func(context.Context) error) *rpc {
	t.Helper()
	r := &rpc{entered: make(chan struct{}, 16)}
	srv := grpc.NewServer()
	srv.RegisterService(&grpc.ServiceDesc{
		ServiceName: "test.Slow", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Call", Handler: func(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			r.inFlight.Add(1)
			defer r.inFlight.Add(-1)
			if err := dec(new(emptypb.Empty)); err != nil {
				return nil, err
			}
			r.entered <- struct{}{}
			return new(emptypb.Empty), f(ctx)
		}}},
	}, new(any))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.Group = lifecycle.New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	r.stop, r.result = cancel, make(chan error, 1)
	go func() {
		r.result <- r.Run(ctx, context.Background(), func(context.Context) error {
			return r.ServeRPC("grpc", ln, srv, func() int { return int(r.inFlight.Load()) })
		})
	}()
	await(t, "ready", r.Ready)
	r.client, err = grpc.NewClient(ln.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.client.Close() })
	return r
}

// call calls the method and returns its error when it is over.
func (r *rpc) call(t *testing.T) <-chan error {
	done := make(chan error, 1)
	go func() { done <- r.client.Invoke(t.Context(), slowMethod, new(emptypb.Empty), new(emptypb.Empty)) }()
	<-r.entered
	return done
}

// A call in flight when the stop begins gets its answer.
func TestRPCFinishes(t *testing.T) {
	release := make(chan struct{})
	r := runRPC(t, lifecycle.Config{ShutdownTimeout: 20 * time.Second}, func(context.Context) error { <-release; return nil })
	done := r.call(t)
	r.stop()
	await(t, "drain", func() bool { return r.State() == lifecycle.Draining })
	if n := r.InFlight(); n != 1 {
		t.Errorf("%d in flight", n)
	}
	close(release)
	if err := <-done; err != nil {
		t.Errorf("call in flight: %v", err)
	}
	if err := r.wait(); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// One that outlasts the budget is cut, and counted.
func TestRPCCut(t *testing.T) {
	r := runRPC(t, lifecycle.Config{ShutdownTimeout: 300 * time.Millisecond}, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	done := r.call(t)
	r.stop()
	if err := r.wait(); err == nil || !strings.Contains(err.Error(), "serve grpc: the budget is used up: cut 1 calls in flight on 1 connections") || strings.Contains(err.Error(), "did not end") {
		t.Errorf("stop: %v", err)
	}
	if err := <-done; status.Code(err) != codes.Unavailable {
		t.Errorf("cut call: %v", err)
	}
}

// A method that does not end, whatever is done to its call, holds up nobody.
func TestRPCStuck(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	r := runRPC(t, lifecycle.Config{ShutdownTimeout: 300 * time.Millisecond}, func(context.Context) error { <-release; return nil })
	done := r.call(t)
	r.stop()
	select {
	case err := <-r.result:
		if err == nil || !strings.Contains(err.Error(), "cut 1 calls in flight on 1 connections; 1 handlers did not end") {
			t.Errorf("stop: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the group does not stop")
	}
	if err := <-done; status.Code(err) != codes.Unavailable {
		t.Errorf("cut call: %v", err)
	}
}

// A listener that fails ends the group.
func TestRPCFails(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := lifecycle.New(lifecycle.Config{})
	err = g.Run(t.Context(), context.Background(), func(context.Context) error {
		_ = ln.Close()
		return g.ServeRPC("grpc", ln, grpc.NewServer(), func() int { return 0 })
	})
	if err == nil || !strings.HasPrefix(err.Error(), "serve grpc: ") {
		t.Errorf("run: %v", err)
	}
}
