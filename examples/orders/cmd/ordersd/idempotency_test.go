package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	orderspb "github.com/aguada-dev/aguada/examples/orders/gen/grpc/orders/pb"
	"github.com/aguada-dev/aguada/examples/orders/internal/pgtest"
)

// A client that asks again under its key gets the order that it has, from
// whichever process, and each order is told of once.
func TestOneOrderForAKey(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		r := start(t)
		oneOrderForAKey(r, r)
	})
	t.Run("postgres", func(t *testing.T) {
		one := start(t, "DATABASE_URL="+pgtest.URL(t))
		oneOrderForAKey(one, startIn(t, one.world))
	})
}

func oneOrderForAKey(one, two *running) {
	const keys, times = 15, 3
	t, token := one.t, one.token("alice", "api:write", "api:read")
	feed, err := followSSE(one, token, "")
	if err != nil {
		t.Fatal(err)
	}
	defer feed.close()
	var (
		mu     sync.Mutex
		ids    = map[int]map[string]bool{}
		asking sync.WaitGroup
	)
	for k := range keys {
		ids[k] = map[string]bool{}
		for n := range times {
			asking.Go(func() {
				r := []*running{one, two}[n%2]
				status, _, text := r.create(token, fmt.Sprint("key-", k), "c1")
				var o struct{ ID string }
				if err := json.Unmarshal([]byte(text), &o); err != nil || status != http.StatusCreated {
					t.Errorf("key %d: %d %s", k, status, text)
				}
				mu.Lock()
				defer mu.Unlock()
				ids[k][o.ID] = true
			})
		}
	}
	asking.Wait()
	all := map[string]bool{}
	for k := range ids {
		for id := range ids[k] {
			all[id] = true
		}
		if len(ids[k]) != 1 {
			t.Errorf("key %d has the orders %v", k, ids[k])
		}
	}
	if len(all) != keys {
		t.Errorf("%d keys made %d orders", keys, len(all))
	}
	for range keys {
		if e := expect(t, feed, "placed")[0]; !all[e.OrderID] {
			t.Errorf("%+v is told of, again or for nothing", e)
		} else {
			delete(all, e.OrderID)
		}
	}
	if status, replayed, text := two.create(token, "key-0", "c1"); status != http.StatusCreated || replayed != "true" {
		t.Errorf("again: %d %q %s", status, replayed, text)
	}
	if status, _, text := two.create(token, "key-0", "c2"); status != http.StatusUnprocessableEntity {
		t.Errorf("another order under the key: %d %s", status, text)
	}
}

// create places an order under a key.
func (r *running) create(token, key, customer string) (status int, replayed, text string) {
	body := fmt.Sprintf(`{"customer_id":%q,"currency":"EUR","items":[{"sku":"TEA","quantity":1,"unit_price_cents":5}]}`, customer)
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, "http://"+r.addr+"/orders", strings.NewReader(body))
	if err != nil {
		r.t.Error(err)
		return 0, "", ""
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", token)
	req.Header.Set("Idempotency-Key", key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Error(err)
		return 0, "", ""
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Error(err)
	}
	return res.StatusCode, res.Header.Get("Idempotency-Replayed"), string(b)
}

// A key over gRPC is as good.
func TestOneOrderForAKeyOverGRPC(t *testing.T) {
	r := start(t)
	client, ctx, cancel, err := calling(r, r.token("alice", "api:write"), "idempotency-key", "key-1")
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	ask := func(customer string) (*orderspb.CreateResponse, []string, error) {
		var header metadata.MD
		res, err := client.Create(ctx, &orderspb.CreateRequest{
			CustomerId: customer, Currency: "EUR", Items: []*orderspb.OrderItem{{Sku: "TEA", Quantity: 1}},
		}, grpc.Header(&header))
		return res, header["idempotency-replayed"], err
	}
	first, replayed, err := ask("c1")
	if err != nil || len(replayed) > 0 {
		t.Fatal(replayed, err)
	}
	again, replayed, err := ask("c1")
	if err != nil || again.Id != first.Id || len(replayed) != 1 || replayed[0] != "true" {
		t.Errorf("again: %v, %q, %v, want %s", again, replayed, err, first.Id)
	}
	if _, _, err := ask("c2"); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("another order under the key: %v", err)
	}
}
