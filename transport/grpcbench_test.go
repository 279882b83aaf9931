package transport

import (
	"context"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"goa.design/goa/v3/security"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/telemetry"
	"github.com/aguada-dev/aguada/transport/internal/testsvc/gen/feed"
	feedpb "github.com/aguada-dev/aguada/transport/internal/testsvc/gen/grpc/feed/pb"
	feedgrpc "github.com/aguada-dev/aguada/transport/internal/testsvc/gen/grpc/feed/server"
)

func (open) BasicAuth(ctx context.Context, _, _ string, _ *security.BasicScheme) (context.Context, error) {
	return ctx, nil
}

// bareFeed is a client of the same service as Goa serves it, without any
// production concern.
func bareFeed(tb testing.TB) feedpb.FeedClient {
	s := grpc.NewServer()
	e := feed.NewEndpoints(struct {
		feed.Service
		feed.Auther
	}{&feedService{}, open{}})
	feedpb.RegisterFeedServer(s, feedgrpc.New(e, nil, nil))
	lis := bufconn.Listen(1 << 20)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(lis)
	}()
	dialer := grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) })
	conn := must(grpc.NewClient("passthrough:///feed.test", grpc.WithTransportCredentials(insecure.NewCredentials()), dialer))(tb)
	tb.Cleanup(func() {
		_ = conn.Close()
		s.Stop()
		<-done
	})
	return feedpb.NewFeedClient(conn)
}

// fullFeed has everything on: authentication, rate limits, calls in flight,
// deadlines, traces, metrics and the log.
func fullFeed(tb testing.TB) *feedRig {
	return newFeedRig(tb, func(r *feedRig) {
		r.cfg.Logger = slog.New(telemetry.NewHandler(io.Discard, telemetry.JSON, nil))
		tel := must(telemetry.New(tb.Context(), telemetry.Config{Service: "feed"}))(tb)
		tb.Cleanup(func() { _ = tel.Shutdown(context.Background()) })
		r.cfg.Telemetry = tel
		put := &r.contract.Services[0].Methods[0]
		put.MaxInFlight = 1000
		put.RateLimits = []policy.RateLimit{{Name: "put", Rate: 1e6, Per: policy.Duration(time.Second), Burst: 1e6, Partition: policy.PerPrincipal}}
	})
}

// What a call costs beyond Goa's own is at most 20 allocations.
func TestCallAllocations(t *testing.T) {
	if raced {
		t.Skip("pools lose what they hold under the race detector")
	}
	r := fullFeed(t)
	ctx, bare := with(t, r.token), bareFeed(t)
	measure := func(c feedpb.FeedClient) float64 {
		return testing.AllocsPerRun(300, func() {
			if _, err := c.Put(ctx, &feedpb.PutRequest{Id: "abc"}); err != nil {
				t.Fatal(err)
			}
		})
	}
	if before, after := measure(bare), measure(r.client); after > before+20 {
		t.Errorf("%v allocations, bare Goa %v", after, before)
	}
}

func BenchmarkCall(b *testing.B) {
	r := fullFeed(b)
	ctx := with(b, r.token)
	for _, impl := range []struct {
		name   string
		client feedpb.FeedClient
	}{{"goa", bareFeed(b)}, {"aguada", r.client}} {
		b.Run("impl="+impl.name, func(b *testing.B) {
			text := "ring twice, please"
			b.ReportAllocs()
			for b.Loop() {
				if _, err := impl.client.Put(ctx, &feedpb.PutRequest{Id: "abc", Text: &text}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
