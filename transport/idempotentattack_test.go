package transport

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/aguada-dev/aguada/idempotency"
	"github.com/aguada-dev/aguada/limit/adaptive"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/testsvc/gen/feed"
	feedpb "github.com/aguada-dev/aguada/transport/internal/testsvc/gen/grpc/feed/pb"
	"github.com/aguada-dev/aguada/transport/internal/testsvc/gen/shop"
)

// Two users of one application, which proves itself too, are strangers.
func TestKeysOfSeveralCredentials(t *testing.T) {
	r := newRig(t, func(r *rig) {
		keyed(t, nil)(r)
		r.policyOf("create").Requirements = []policy.Requirement{{Schemes: []policy.Use{
			{Scheme: "key", In: policy.InHeader, Name: "X-App"}, {Scheme: "jwt", In: policy.InHeader, Name: "Authorization"},
		}}}
	})
	ran := r.counting()
	place := func(token string) *httptest.ResponseRecorder {
		q := request("POST", "/orders", token, order)
		q.Header.Set("X-App", r.key)
		q.Header.Set("Idempotency-Key", "k")
		return r.do(q)
	}
	first := place(r.token)
	if first.Code != 201 {
		t.Fatalf("%d %s", first.Code, first.Body)
	}
	if w := place(r.other); w.Code != 201 || w.Header().Get("Idempotency-Replayed") != "" || w.Body.String() == first.Body.String() {
		t.Errorf("another user of the application: %d %v %s", w.Code, w.Header(), w.Body)
	}
	if w := place(r.renewed); w.Code != 201 || w.Body.String() != first.Body.String() || ran.Load() != 2 {
		t.Errorf("the same user: %d %s, ran %d", w.Code, w.Body, ran.Load())
	}
}

// seized is a store whose keys are taken over while their calls run.
type seized struct{ idempotency.Store }

func (s seized) Finish(_ context.Context, _ idempotency.Ticket, reply []byte) error {
	if reply == nil {
		return nil
	}
	return idempotency.ErrSuperseded
}

// What a result's headers say is stored with it, and not told of a result that
// does not count.
func TestHeadersOfKeyedAnswers(t *testing.T) {
	check := func(r *rig) *httptest.ResponseRecorder {
		q := request("POST", "/check/1?pin=1", r.token, `{"name":"xyz"}`)
		q.Header.Set("X-Pin", "1234")
		q.Header.Set("Idempotency-Key", "k")
		return r.do(q)
	}
	secured := func(store idempotency.Store) *rig {
		return newRig(t, func(r *rig) {
			keptIn(t, store, nil)(r)
			m := r.policyOf("check")
			m.Idempotency, r.policyOf("create").Idempotency = r.policyOf("create").Idempotency, nil
			m.Access, m.Requirements = policy.Secured, r.policyOf("create").Requirements
			r.shop.check = func(context.Context, *shop.CheckPayload) (*shop.CheckResult, error) {
				return &shop.CheckResult{Seen: "result"}, nil
			}
		})
	}
	memory := must(idempotency.NewMemory(idempotency.MemoryConfig{}))(t)
	r := secured(memory)
	for range 2 {
		if w := check(r); w.Code != 200 || w.Header().Get("X-Seen") != "result" {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
	}
	r = secured(seized{must(idempotency.NewMemory(idempotency.MemoryConfig{}))(t)})
	if w := check(r); w.Code != 409 || len(w.Header()["X-Seen"]) != 0 {
		t.Errorf("taken over: %d %v %s", w.Code, w.Header(), w.Body)
	}
}

// busy is a store whose transactions cannot begin.
type busy struct{ *idempotency.Memory }

func (busy) Join(context.Context, idempotency.Ticket) (idempotency.Work, error) {
	return nil, sql.ErrConnDone
}

// A method that returns why it got no transaction is answered by that.
func TestTransactionAway(t *testing.T) {
	r := newRig(t, keptIn(t, busy{must(idempotency.NewMemory(idempotency.MemoryConfig{}))(t)}, nil))
	r.shop.create = func(ctx context.Context, _ *shop.CreatePayload) (*shop.Order, error) {
		_, err := idempotency.Join(ctx)
		return nil, err
	}
	w := r.place(r.token, order, "k")
	if m := decoded(t, w); w.Code != 503 || m["name"] != "idempotency_unavailable" || strings.Contains(w.Body.String(), "sql") {
		t.Errorf("%d %v", w.Code, m)
	}
	r.shop.create = nil
	if w := r.place(r.token, order, "k"); w.Code != 201 {
		t.Errorf("again: %d %s", w.Code, w.Body)
	}
}

// Over gRPC headers and trailers are stored and given too; those of a result that
// does not count are not told.
func TestMetadataOfKeyedAnswers(t *testing.T) {
	for name, counts := range map[string]bool{"stored": true, "taken over": false} {
		t.Run(name, func(t *testing.T) {
			var store idempotency.Store = must(idempotency.NewMemory(idempotency.MemoryConfig{}))(t)
			if !counts {
				store = seized{store}
			}
			r := newFeedRig(t, func(r *feedRig) {
				keeper := must(idempotency.New(store, idempotency.Config{Secrets: idempotency.Secrets{Current: func() string { return "0123456789abcdef" }}}))(t)
				t.Cleanup(func() { _ = keeper.Close() })
				r.cfg.Idempotency = func() *idempotency.Keeper { return keeper }
				r.policyOf("put").Idempotency = &policy.Idempotency{Header: "Idempotency-Key", Keep: policy.Duration(time.Hour), Credentials: []string{"Token"}}
			})
			var ran atomic.Int64
			r.feed.put = func(ctx context.Context, p *feed.PutPayload) (*feed.Note, error) {
				ran.Add(1)
				return &feed.Note{ID: p.ID}, errors.Join(grpc.SetHeader(ctx, metadata.Pairs("x-seen", "a")), grpc.SendHeader(ctx, metadata.Pairs("x-seen", "b")),
					grpc.SetTrailer(ctx, metadata.Pairs("x-end", "c")))
			}
			for i := range 2 {
				var header, trailer metadata.MD
				_, err := r.client.Put(with(t, r.token, "idempotency-key", "k"), &feedpb.PutRequest{Id: "abc"}, grpc.Header(&header), grpc.Trailer(&trailer))
				switch {
				case !counts:
					r.wantCode(t, err, codes.Aborted)
					if len(header["x-seen"])+len(trailer["x-seen"])+len(trailer["x-end"]) != 0 {
						t.Errorf("call %d: %v %v", i, header, trailer)
					}
					return
				case err != nil:
					t.Fatal(err)
				case strings.Join(header["x-seen"], "") != "ab" || strings.Join(trailer["x-end"], "") != "c" || len(trailer["x-seen"]) != 0 || len(header["x-request-id"]) != 1:
					t.Errorf("call %d: %v %v", i, header, trailer)
				case len(header["idempotency-replayed"]) != i:
					t.Errorf("call %d: %v", i, header)
				}
			}
			if ran.Load() != 1 {
				t.Errorf("ran %d times", ran.Load())
			}
		})
	}
}

// noticing is a store that says when a call finds its key taken.
type noticing struct {
	*idempotency.Memory
	taken chan struct{}
}

func (n noticing) Claim(ctx context.Context, t idempotency.Ticket) (idempotency.State, error) {
	s, err := n.Memory.Claim(ctx, t)
	if s.Status == idempotency.Running {
		select {
		case n.taken <- struct{}{}:
		default:
		}
	}
	return s, err
}

// Calls that wait for another one under their key do nothing that would have
// others refused.
func TestWaitingForAKeyTakesNoPlace(t *testing.T) {
	n := noticing{must(idempotency.NewMemory(idempotency.MemoryConfig{}))(t), make(chan struct{}, 1)}
	r := newRig(t, func(r *rig) {
		keptIn(t, n, func(k *policy.Idempotency) { k.Wait = policy.Duration(20 * time.Second) })(r)
		r.cfg.Load = atOnce(t, 2)
	})
	entered, release := make(chan struct{}), make(chan struct{})
	r.shop.create = func(context.Context, *shop.CreatePayload) (*shop.Order, error) {
		close(entered) // a second call would panic
		<-release
		return &shop.Order{ID: "o1"}, nil
	}
	var all sync.WaitGroup
	place := func() {
		if w := r.place(r.token, order, "k"); w.Code != 201 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	all.Go(place)
	<-entered
	for range 3 {
		all.Go(place)
		<-n.taken
	}
	if w := r.do(request("GET", "/find", "", "")); w.Code != 200 {
		t.Errorf("somebody else: %d %s", w.Code, w.Body)
	}
	close(release)
	all.Wait()
	if n := r.cfg.Load.InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

// slow is a client that is looked at while it is waited for.
type slow struct {
	*httptest.ResponseRecorder
	body io.Reader
	look func()
}

func (s *slow) Read(p []byte) (int, error)  { s.look(); return s.body.Read(p) }
func (s *slow) Write(p []byte) (int, error) { s.look(); return s.ResponseRecorder.Write(p) }

// Clients that send or read slowly take no place from others, and their calls
// are counted while the method runs.
func TestSlowClientsTakeNoPlace(t *testing.T) {
	r := newRig(t, func(r *rig) { r.cfg.Load = atOnce(t, 2) })
	waited := 0
	look := func() {
		waited++
		if n := r.cfg.Load.InFlight(); n != 0 {
			t.Errorf("%d in flight while the client is waited for", n)
		}
	}
	for _, target := range []string{"/orders", "/find", "/download"} {
		waited = 0
		w := &slow{ResponseRecorder: httptest.NewRecorder(), look: look}
		q := request("GET", target, "", "")
		if target == "/orders" {
			w.body = strings.NewReader(order)
			q = must(http.NewRequest("POST", "http://shop.test"+target, w))(t)
			q.ContentLength = -1
			q.Header.Set("Content-Type", "application/json")
			q.Header.Set("Authorization", "Bearer "+r.token)
			r.shop.create = func(context.Context, *shop.CreatePayload) (*shop.Order, error) {
				if n := r.cfg.Load.InFlight(); n != 1 {
					t.Errorf("%d in flight while the method runs", n)
				}
				return &shop.Order{ID: "o1"}, nil
			}
		}
		r.h.ServeHTTP(w, q)
		if w.Code >= 400 || waited == 0 {
			t.Errorf("%s: %d %s, waited %d times", target, w.Code, w.Body, waited)
		}
		if n := r.cfg.Load.InFlight(); n != 0 {
			t.Errorf("%s: %d in flight", target, n)
		}
	}
}

// A call whose client took his time is refused if there is no place for its
// method any more.
func TestShedAfterTheBody(t *testing.T) {
	r := newRig(t, func(r *rig) { r.cfg.Load = atOnce(t, 1) })
	entered, release := make(chan struct{}), make(chan struct{})
	r.shop.find = func(context.Context, *shop.FindPayload) (any, error) {
		close(entered)
		<-release
		return 1, nil
	}
	body, send := io.Pipe()
	q := must(http.NewRequest("POST", "http://shop.test/orders", body))(t)
	q.ContentLength = -1
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Authorization", "Bearer "+r.token)
	var all sync.WaitGroup
	w := httptest.NewRecorder()
	all.Go(func() { r.h.ServeHTTP(w, q) })
	_ = must(io.WriteString(send, order[:10]))(t)
	all.Go(func() {
		if w := r.do(request("GET", "/find", "", "")); w.Code != 200 {
			t.Errorf("somebody else: %d", w.Code)
		}
	})
	<-entered
	_ = must(io.WriteString(send, order[10:]))(t)
	_ = send.Close()
	for r.cfg.Load.Refused(adaptive.Normal) == 0 {
		runtime.Gosched()
	}
	close(release)
	all.Wait()
	if m := decoded(t, w); w.Code != 503 || m["name"] != "overloaded" {
		t.Errorf("%d %v", w.Code, m)
	}
	if n := r.cfg.Load.InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

// A message over gRPC that does not come takes no place either.
func TestHeldMessagesTakeNoPlace(t *testing.T) {
	r := newFeedRig(t, func(r *feedRig) { r.cfg.Load = atOnce(t, 1) })
	s := must(r.conn.NewStream(with(t, r.token), &grpc.StreamDesc{ClientStreams: true}, "/feed.Feed/Put"))(t)
	inRow := 0
	for range 1000 { // it has a place for a moment, when it arrives
		if _, err := r.client.Put(with(t, r.token), &feedpb.PutRequest{Id: "abc"}); err != nil {
			inRow = 0
		} else if inRow++; inRow == 50 {
			break
		}
	}
	if inRow < 50 {
		t.Error("others are refused")
	}
	_ = s.CloseSend()
}
