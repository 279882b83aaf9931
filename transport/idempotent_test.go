package transport

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/aguada-dev/aguada/idempotency"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/testsvc/gen/feed"
	feedpb "github.com/aguada-dev/aguada/transport/internal/testsvc/gen/grpc/feed/pb"
	"github.com/aguada-dev/aguada/transport/internal/testsvc/gen/shop"
)

// keyed gives create an idempotency key, kept in memory.
func keyed(t *testing.T, change func(*policy.Idempotency)) func(*rig) {
	t.Helper()
	return keptIn(t, must(idempotency.NewMemory(idempotency.MemoryConfig{}))(t), change)
}

func keptIn(t *testing.T, store idempotency.Store, change func(*policy.Idempotency)) func(*rig) {
	t.Helper()
	keeper := must(idempotency.New(store, idempotency.Config{Secrets: idempotency.Secrets{Current: func() string { return "0123456789abcdef" }}}))(t)
	t.Cleanup(func() { _ = keeper.Close() })
	return func(r *rig) {
		k := &policy.Idempotency{Header: "Idempotency-Key", Keep: policy.Duration(time.Hour), Credentials: []string{"Token"}}
		if change != nil {
			change(k)
		}
		r.policyOf("create").Idempotency = k
		r.cfg.Idempotency = func() *idempotency.Keeper { return keeper }
	}
}

// place sends an order under keys.
func (r *rig) place(token, body string, keys ...string) *httptest.ResponseRecorder {
	q := request("POST", "/orders", token, body)
	q.Header["Idempotency-Key"] = keys
	return r.do(q)
}

// counting makes create count its calls.
func (r *rig) counting() *atomic.Int64 {
	var n atomic.Int64
	r.shop.create = func(context.Context, *shop.CreatePayload) (*shop.Order, error) {
		return &shop.Order{ID: "o" + string(rune('0'+n.Add(1)))}, nil
	}
	return &n
}

func TestReplay(t *testing.T) {
	r := newRig(t, keyed(t, nil))
	ran := r.counting()
	first := r.place(r.token, order, `"k-1"`)
	if first.Code != 201 || first.Header().Get("Idempotency-Replayed") != "" {
		t.Fatalf("first: %d %v %s", first.Code, first.Header(), first.Body)
	}
	for _, token := range []string{r.token, r.renewed} {
		w := r.place(token, order, "k-1") // the quotes are optional
		if w.Code != 201 || w.Body.String() != first.Body.String() || w.Header().Get("Idempotency-Replayed") != "true" ||
			w.Header().Get("Content-Type") != first.Header().Get("Content-Type") || w.Header().Get("X-Request-Id") == first.Header().Get("X-Request-Id") {
			t.Errorf("repetition: %d %v %s", w.Code, w.Header(), w.Body)
		}
		if line := r.log.last(t); line["http.response.status_code"] != 201.0 || line["error.type"] != nil {
			t.Errorf("the log: %v", line)
		}
	}
	if n := ran.Load(); n != 1 {
		t.Errorf("ran %d times", n)
	}
	if w := r.place(r.other, order, `"k-1"`); w.Code != 201 || w.Header().Get("Idempotency-Replayed") != "" || ran.Load() != 2 {
		t.Errorf("the same key of somebody else: %d %s", w.Code, w.Body)
	}
	if w := r.place(r.token, order, `"k-2"`); w.Code != 201 || ran.Load() != 3 {
		t.Errorf("another key: %d %s", w.Code, w.Body)
	}
	for range 2 {
		if w := r.place(r.token, order); w.Code != 201 {
			t.Errorf("no key: %d %s", w.Code, w.Body)
		}
	}
	if ran.Load() != 5 {
		t.Errorf("ran %d times", ran.Load())
	}
}

// Who is not let in learns nothing of what is stored, and neither does who has
// another scope.
func TestReplayAfterAuthentication(t *testing.T) {
	r := newRig(t, keyed(t, nil))
	if w := r.place(r.token, order, "k"); w.Code != 201 {
		t.Fatal(w.Code)
	}
	for token, want := range map[string]int{"": 401, "x": 401, r.reader: 403} {
		if w := r.place(token, order, "k"); w.Code != want {
			t.Errorf("%d, want %d: %s", w.Code, want, w.Body)
		}
	}
}

func TestKeyRefusals(t *testing.T) {
	r := newRig(t, keyed(t, func(k *policy.Idempotency) { k.Required = true }))
	ran := r.counting()
	if w := r.place(r.token, order, "k"); w.Code != 201 {
		t.Fatal(w.Code)
	}
	for _, c := range []struct {
		name string
		body string
		keys []string
		code int
		want string
	}{
		{"none", order, nil, 400, "idempotency_key_missing"},
		{"two", order, []string{"a", "b"}, 400, "idempotency_key_malformed"},
		{"empty", order, []string{""}, 400, "idempotency_key_malformed"},
		{"list", order, []string{"a, b"}, 400, "idempotency_key_malformed"},
		{"control", order, []string{"\"a\x01\""}, 400, "idempotency_key_malformed"},
		{"long", order, []string{strings.Repeat("a", 256)}, 400, "idempotency_key_malformed"},
		{"another request", strings.Replace(order, "EUR", "USD", 1), []string{"k"}, 422, "idempotency_mismatch"},
		{"invalid request", strings.Replace(order, "EUR", "XXX", 1), []string{"n"}, 400, "invalid_enum_value"},
	} {
		w := r.place(r.token, c.body, c.keys...)
		if m := decoded(t, w); w.Code != c.code || m["name"] != c.want {
			t.Errorf("%s: %d %v", c.name, w.Code, m)
		}
	}
	if ran.Load() != 1 {
		t.Errorf("ran %d times", ran.Load())
	}
}

// A call that fails gives its key back, however it fails.
func TestFailedCallsRunAgain(t *testing.T) {
	r := newRig(t, keyed(t, nil))
	for name, f := range map[string]func() (*shop.Order, error){
		"declared": func() (*shop.Order, error) { return nil, shop.MakeConflict(errors.New("no")) },
		"own_type": func() (*shop.Order, error) { return nil, &shop.OutOfStock{Name: "out_of_stock"} },
		"plain":    func() (*shop.Order, error) { return nil, errors.New("no") },
		"nil":      func() (*shop.Order, error) { return nil, nil },
		"panic":    func() (*shop.Order, error) { panic("no") },
		"abort":    func() (*shop.Order, error) { panic(http.ErrAbortHandler) },
	} {
		r.shop.create = func(context.Context, *shop.CreatePayload) (*shop.Order, error) { return f() }
		func() {
			defer func() { _ = recover() }()
			if w := r.place(r.token, order, name); w.Code < 400 {
				t.Errorf("%s: %d", name, w.Code)
			}
		}()
		r.shop.create = nil
		if w := r.place(r.token, order, name); w.Code != 201 || w.Header().Get("Idempotency-Replayed") != "" {
			t.Errorf("%s, again: %d %s", name, w.Code, w.Body)
		}
	}
}

// While the first call runs, others are refused, or wait where the design says so.
func TestRunningKey(t *testing.T) {
	for name, wait := range map[string]time.Duration{"refused": 0, "waits": 20 * time.Second} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, keyed(t, func(k *policy.Idempotency) { k.Wait = policy.Duration(wait) }))
			entered, release := make(chan struct{}), make(chan struct{})
			r.shop.create = func(context.Context, *shop.CreatePayload) (*shop.Order, error) {
				close(entered) // a second call would panic
				<-release
				return &shop.Order{ID: "o1"}, nil
			}
			var both sync.WaitGroup
			both.Go(func() {
				if w := r.place(r.token, order, "k"); w.Code != 201 {
					t.Errorf("first: %d", w.Code)
				}
			})
			<-entered
			if wait == 0 {
				w := r.place(r.token, order, "k")
				if m := decoded(t, w); w.Code != 409 || m["name"] != "idempotency_conflict" || w.Header().Get("Retry-After") != "1" || m["temporary"] != true {
					t.Errorf("second: %d %v %v", w.Code, w.Header(), m)
				}
				close(release)
			} else {
				both.Go(func() {
					if w := r.place(r.token, order, "k"); w.Code != 201 || w.Header().Get("Idempotency-Replayed") != "true" {
						t.Errorf("second: %d %s", w.Code, w.Body)
					}
				})
				close(release)
			}
			both.Wait()
		})
	}
}

// away is a store that does not answer, or no longer.
type away struct {
	idempotency.Store
	claims bool
}

func (a away) Claim(ctx context.Context, t idempotency.Ticket) (idempotency.State, error) {
	if a.claims {
		return a.Store.Claim(ctx, t)
	}
	return idempotency.State{}, errors.New("connection refused")
}

func (a away) Finish(context.Context, idempotency.Ticket, []byte) error {
	return errors.New("connection refused")
}

// Without its store a call with a key does not run; one that ran is answered all
// the same.
func TestKeyStoreAway(t *testing.T) {
	memory := must(idempotency.NewMemory(idempotency.MemoryConfig{}))(t)
	r := newRig(t, keptIn(t, away{memory, false}, nil))
	ran := r.counting()
	w := r.place(r.token, order, "k")
	if m := decoded(t, w); w.Code != 503 || m["name"] != "idempotency_unavailable" || w.Header().Get("Retry-After") == "" || ran.Load() != 0 || strings.Contains(w.Body.String(), "connection") {
		t.Errorf("%d %v, ran %d", w.Code, m, ran.Load())
	}
	if w := r.place(r.token, order); w.Code != 201 {
		t.Errorf("without a key: %d", w.Code)
	}
	r = newRig(t, keptIn(t, away{memory, true}, nil))
	if w := r.place(r.token, order, "k"); w.Code != 201 || !strings.Contains(r.log.String(), "answer not stored") {
		t.Errorf("not stored: %d %s", w.Code, r.log)
	}
}

// What cannot be enforced does not start.
func TestKeysRefuseToStart(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*rig)
		want   string
	}{
		"no keeper":  {func(r *rig) { keyed(t, nil)(r); r.cfg.Idempotency = nil }, "nothing keeps them"},
		"own auther": {func(r *rig) { keyed(t, nil)(r); r.auther = open{} }, "nobody knows it"},
	} {
		r := newRig(t, nil)
		c.change(r)
		r.h = must(New(r.cfg))(t)
		r.mount(t.TempDir())
		if err := r.h.Ready(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Over gRPC the same holds; an answer that was given over HTTP is not given over
// gRPC, but the method does not run again either.
func TestReplayOverGRPC(t *testing.T) {
	r := newFeedRig(t, func(r *feedRig) {
		keeper := must(idempotency.New(must(idempotency.NewMemory(idempotency.MemoryConfig{}))(t), idempotency.Config{}))(t)
		t.Cleanup(func() { _ = keeper.Close() })
		r.cfg.Idempotency = func() *idempotency.Keeper { return keeper }
		r.policyOf("put").Idempotency = &policy.Idempotency{Header: "Idempotency-Key", Keep: policy.Duration(time.Hour), Credentials: []string{"Token"}}
	})
	var ran atomic.Int64
	r.feed.put = func(_ context.Context, p *feed.PutPayload) (*feed.Note, error) {
		ran.Add(1)
		return &feed.Note{ID: p.ID, Text: p.Text}, nil
	}
	put := func(token, key, text string) (string, metadata.MD, error) {
		var header metadata.MD
		note, err := r.client.Put(with(t, token, "idempotency-key", key), &feedpb.PutRequest{Id: "abc", Text: &text}, grpc.Header(&header))
		return note.String(), header, err
	}
	first, header, err := put(r.token, "k", "hello")
	if err != nil || len(header["idempotency-replayed"]) != 0 {
		t.Fatal(err, header)
	}
	again, header, err := put(r.renewed, `"k"`, "hello")
	if err != nil || again != first || len(header["idempotency-replayed"]) != 1 || ran.Load() != 1 {
		t.Errorf("again: %q %v %v, ran %d", again, header, err, ran.Load())
	}
	r.wantCode(t, err, codes.OK)
	_, _, err = put(r.token, "k", "other")
	r.wantCode(t, err, codes.FailedPrecondition)
	_, _, err = put(r.token, "", "hello")
	r.wantCode(t, err, codes.InvalidArgument)
	q := request("POST", "/feed", r.token, `{"id":"abc","text":"hello"}`)
	q.Header.Set("Idempotency-Key", "k")
	if w := r.do(q); w.Code != 409 || !strings.Contains(w.Body.String(), "cannot be given again") || ran.Load() != 1 {
		t.Errorf("over HTTP: %d %s, ran %d", w.Code, w.Body, ran.Load())
	}
}
