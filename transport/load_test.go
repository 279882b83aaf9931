package transport

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/aguada-dev/aguada/limit/adaptive"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/testsvc/gen/feed"
	feedpb "github.com/aguada-dev/aguada/transport/internal/testsvc/gen/grpc/feed/pb"
	"github.com/aguada-dev/aguada/transport/internal/testsvc/gen/shop"
)

// atOnce returns a limiter of n normal calls at once, n+1 high and n-1 low ones.
func atOnce(t *testing.T, n int) *adaptive.Limiter {
	t.Helper()
	return must(adaptive.New(adaptive.Config{MinLimit: n, InitialLimit: n, MaxLimit: n}))(t)
}

func TestShed(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.cfg.Load = atOnce(t, 2)
		r.policyOf("show").ShedPriority, r.policyOf("create").ShedPriority = policy.HighPriority, policy.LowPriority
	})
	r.h.Plain("GET", "/livez", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	entered, release := make(chan struct{}), make(chan struct{})
	hold := func() { entered <- struct{}{}; <-release }
	r.shop.find = func(context.Context, *shop.FindPayload) (any, error) { hold(); return 1, nil }
	r.shop.show = func(context.Context, *shop.ShowPayload) (*shop.Order, error) { hold(); return &shop.Order{}, nil }
	var running sync.WaitGroup
	call := func(target, token string) {
		running.Go(func() {
			if w := r.do(request("GET", target, token, "")); w.Code != 200 {
				t.Errorf("%s: %d %s", target, w.Code, w.Body)
			}
		})
		<-entered
	}
	refused := func(verb, target, token, body string) {
		t.Helper()
		w := r.do(request(verb, target, token, body))
		if m := decoded(t, w); w.Code != 503 || m["name"] != "overloaded" || m["temporary"] != true || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s %s: %d %v %v", verb, target, w.Code, w.Header(), m)
		}
	}
	call("/find", "")
	refused("POST", "/orders", r.token, order) // low
	call("/find", "")
	refused("GET", "/find", "", "")
	if normal, high := r.h.Admitted(policy.NormalPriority), r.h.Admitted(policy.HighPriority); normal != 2 || high != 0 {
		t.Errorf("%d normal and %d high calls", normal, high)
	}
	refused("GET", "/find", "", "") // a refused one takes no place
	call("/orders/o1", r.token)     // high
	refused("GET", "/orders/o1", r.token, "")
	// Whoever asks how the process is shall hear it.
	if w := r.do(request("GET", "/livez", "", "")); w.Code != 200 {
		t.Errorf("probe: %d", w.Code)
	}
	if w := r.do(request("GET", "/nothing", "", "")); w.Code != 404 {
		t.Errorf("no route: %d", w.Code)
	}
	close(release)
	running.Wait()
	if n := r.cfg.Load.InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

// However a call ends, it leaves.
func TestShedLeaves(t *testing.T) {
	r := newRig(t, func(r *rig) { r.cfg.Load = atOnce(t, 3) })
	for i, c := range []struct {
		r    *http.Request
		code int
		find func()
	}{
		{request("GET", "/orders/o1", "", ""), 401, nil},
		{request("POST", "/orders", r.token, "{"), 400, nil},
		{request("POST", "/orders", r.token, `{"note":"`), 400, nil},
		{request("GET", "/find", "", ""), 500, func() { panic("no") }},
		{request("GET", "/find", "", ""), 200, nil},
	} {
		for range 5 {
			r.shop.find = func(context.Context, *shop.FindPayload) (any, error) {
				if c.find != nil {
					c.find()
				}
				return 1, nil
			}
			if w := r.do(c.r.Clone(t.Context())); w.Code != c.code && w.Code != 400 {
				t.Errorf("%d: %d %s", i, w.Code, w.Body)
			}
			if n := r.cfg.Load.InFlight(); n != 0 {
				t.Fatalf("%d: %d in flight", i, n)
			}
		}
	}
}

// Calls over gRPC and over HTTP are counted together.
func TestShedOverGRPC(t *testing.T) {
	r := newFeedRig(t, func(r *feedRig) { r.cfg.Load = atOnce(t, 1) })
	entered, release := make(chan struct{}), make(chan struct{})
	r.feed.put = func(_ context.Context, p *feed.PutPayload) (*feed.Note, error) {
		entered <- struct{}{}
		<-release
		return &feed.Note{ID: p.ID}, nil
	}
	done := make(chan error, 1)
	go func() {
		_, err := r.client.Put(with(t, r.token), &feedpb.PutRequest{Id: "abc"})
		done <- err
	}()
	<-entered
	if w := r.do(request("POST", "/feed", r.token, `{"id":"abc"}`)); w.Code != 503 {
		t.Errorf("over HTTP: %d %s", w.Code, w.Body)
	}
	_, err := r.client.Put(with(t, r.token), &feedpb.PutRequest{Id: "abc"})
	r.wantCode(t, err, codes.Unavailable)
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := r.cfg.Load.InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

// What a status tells the limiter: errors of the caller's making are not what
// calls are compared with, and faults are no measure either.
func TestOutcomeOf(t *testing.T) {
	for status, want := range map[int]adaptive.Outcome{
		200: adaptive.Served, 204: adaptive.Served, 304: adaptive.Served,
		400: adaptive.Declined, 404: adaptive.Declined, 429: adaptive.Declined,
		500: adaptive.Failed, 503: adaptive.Failed,
	} {
		if got := outcomeOf(status); got != want {
			t.Errorf("%d: %d, want %d", status, got, want)
		}
	}
}
