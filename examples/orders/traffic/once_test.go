//go:build linux

package traffic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	orderspb "github.com/aguada-dev/aguada/examples/orders/gen/grpc/orders/pb"
)

// Each key is sent so many times, at once.
const copies = 3

// A client that gives up has waited longer than any lease.
const enough = time.Minute

// market is many clients that place orders with replicas.
type market struct {
	*world
	tokens []string
	http   *http.Client

	mu       sync.Mutex
	replicas []*stall
	tries    map[string]int // what became of them
	slowest  time.Duration  // until a client had its order

	done     atomic.Int64 // keys whose every client has its order
	replayed atomic.Int64
	flying   atomic.Int64
}

// stall is where orders are placed.
type stall struct {
	*process
	rpc orderspb.OrdersClient
}

func (m *market) open(p *process) *stall {
	return &stall{p, orderspb.NewOrdersClient(dial(m.t, p.grpc))}
}

// at returns the replica that the nth try goes to.
func (m *market) at(n int) *stall {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.replicas[n%len(m.replicas)]
}

func (m *market) note(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tries[what]++
}

// reply is what comes of one try. It is an order, or a reason to try again, or
// an error that no try will mend.
type reply struct {
	id, again string
	wait      time.Duration
	err       error
}

// overHTTP places order k.
func (m *market) overHTTP(ctx context.Context, s *stall, k int) reply {
	body := fmt.Sprintf(`{"customer_id":"cust-%d","currency":"EUR","items":[{"sku":"TEA","quantity":1,"unit_price_cents":%d}]}`, k, k)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.http+"/orders", strings.NewReader(body))
	if err != nil {
		return reply{err: err}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", m.tokens[k%len(m.tokens)])
	req.Header.Set("Idempotency-Key", fmt.Sprint("key-", k))
	res, err := m.http.Do(req)
	if err != nil {
		return reply{again: "no answer", err: err}
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return reply{again: "no answer", err: err}
	}
	var said struct{ ID, Name string }
	if err := json.Unmarshal(text, &said); err != nil {
		return reply{err: fmt.Errorf("%d %s: %w", res.StatusCode, text, err)}
	}
	switch res.StatusCode {
	case http.StatusCreated:
		if res.Header.Get("Idempotency-Replayed") == "true" {
			m.replayed.Add(1)
		}
		return reply{id: said.ID}
	case http.StatusConflict, http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		wait, _ := time.ParseDuration(res.Header.Get("Retry-After") + "s")
		return reply{again: said.Name, wait: wait, err: fmt.Errorf("%d %s", res.StatusCode, text)}
	}
	return reply{err: fmt.Errorf("%d %s", res.StatusCode, text)}
}

// overGRPC places order k.
func (m *market) overGRPC(ctx context.Context, s *stall, k int) reply {
	var header metadata.MD
	ctx = as(ctx, m.tokens[k%len(m.tokens)], "idempotency-key", fmt.Sprint("key-", k))
	o, err := s.rpc.Create(ctx, &orderspb.CreateRequest{
		CustomerId: fmt.Sprint("cust-", k), Currency: "EUR", Items: []*orderspb.OrderItem{{Sku: "TEA", Quantity: 1, UnitPriceCents: int64(k)}},
	}, grpc.Header(&header))
	switch status.Code(err) {
	case codes.OK:
		if slices.Equal(header["idempotency-replayed"], []string{"true"}) {
			m.replayed.Add(1)
		}
		return reply{id: o.Id}
	case codes.Unavailable, codes.Aborted, codes.ResourceExhausted, codes.DeadlineExceeded:
		name, wait := reasonOf(err)
		if name == "" {
			name = "no answer"
		}
		return reply{again: strings.ToLower(name), wait: wait, err: err}
	}
	return reply{err: err}
}

// overRPC tells which orders are placed over gRPC.
func overRPC(k int) bool { return k%4 == 0 }

// order has one client place order k, which tries again until it has it, with
// the other replica each time.
func (m *market) order(ctx context.Context, k, nth int) (string, error) {
	begun, try := time.Now(), m.overHTTP
	if overRPC(k) {
		try = m.overGRPC
	}
	m.flying.Add(1)
	defer m.flying.Add(-1)
	for n := 0; ; n++ {
		bounded, cancel := context.WithTimeout(ctx, 10*time.Second)
		r := try(bounded, m.at(k+nth+n), k)
		cancel()
		took := time.Since(begun)
		switch {
		case r.id != "":
			m.mu.Lock()
			m.slowest = max(m.slowest, took)
			m.mu.Unlock()
			return r.id, nil
		case r.again == "":
			return "", r.err
		case took > enough:
			return "", fmt.Errorf("gave up after %s and %d tries: %w", took, n+1, r.err)
		}
		m.note(r.again)
		pause := max(r.wait, min(20*time.Millisecond<<min(n, 10), time.Second))
		select {
		case <-ctx.Done():
			return "", errors.Join(ctx.Err(), r.err)
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

// place has all clients of order k place it, and returns its id: the same for
// all.
func (m *market) place(ctx context.Context, k int) string {
	var ids [copies]string
	var wg sync.WaitGroup
	for nth := range copies {
		wg.Go(func() {
			var err error
			if ids[nth], err = m.order(ctx, k, nth); err != nil {
				m.t.Errorf("order %d, client %d: %v", k, nth, err)
			}
		})
	}
	wg.Wait()
	if ids[0] == "" || ids[0] != ids[1] || ids[0] != ids[2] {
		m.t.Errorf("the clients of order %d have %q", k, ids)
	}
	return ids[0]
}

// TestExactlyOnce: whatever dies between, each key makes one order, and
// everybody who sent the key gets it.
func TestExactlyOnce(t *testing.T) {
	keys, atOnce := scaled(10_000, 600), 40
	w := newWorld(t)
	m := &market{world: w, tokens: w.tokens(20), tries: map[string]int{}, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: copies * atOnce}}}
	t.Cleanup(m.http.CloseIdleConnections)
	doomed := m.open(w.replica())
	m.replicas = []*stall{m.open(w.replica()), doomed}

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	begun, ids := time.Now(), make([]string, keys)
	var clients, killing sync.WaitGroup
	next, half := make(chan int), make(chan struct{})
	for range atOnce {
		clients.Go(func() {
			for k := range next {
				ids[k] = m.place(ctx, k)
				if m.done.Add(1) == int64(keys/2) {
					close(half)
				}
			}
		})
	}
	var flying int64
	killing.Go(func() {
		<-half
		flying = m.flying.Load()
		doomed.kill()
		again := m.open(w.replica()) // meanwhile its address answers nothing
		m.mu.Lock()
		defer m.mu.Unlock()
		m.replicas[1] = again
	})
	for k := range keys {
		next <- k
	}
	close(next)
	clients.Wait()
	took := time.Since(begun)
	killing.Wait()
	if code := doomed.exit(); code != -1 {
		t.Errorf("the replica was not killed: exit %d", code)
	}
	m.audit(ids)
	rpcs := (keys + 3) / 4
	t.Logf("%d keys sent %d times each (%d over gRPC) in %s, %.0f orders a second; killed with %d clients waiting; %d replies replayed; slowest client %s; tries that were repeated: %s",
		keys, copies, rpcs, took.Round(time.Millisecond), float64(keys)/took.Seconds(), flying, m.replayed.Load(), m.slowest.Round(time.Millisecond), counts(m.tries))
	if m.tries["no answer"] == 0 {
		t.Error("nobody noticed that a replica was killed: the test proves nothing")
	}
	if least := int64(keys * (copies - 1)); m.replayed.Load() < least {
		t.Errorf("%d replies were replayed, want %d at least", m.replayed.Load(), least)
	}
}

// audit compares what clients were told with what there is.
func (m *market) audit(ids []string) {
	m.t.Helper()
	for what, statement := range map[string]string{
		"orders": "SELECT count(*) FROM orders", "items": "SELECT count(*) FROM order_items",
		"events":           "SELECT count(*) FROM order_events WHERE kind = 'placed'",
		"orders of users":  "SELECT sum(orders) FROM users",
		"different orders": "SELECT count(DISTINCT customer_id) FROM orders",
	} {
		if n := m.count(statement); n != len(ids) {
			m.t.Errorf("the database has %d %s for %d keys", n, what, len(ids))
		}
	}
	told := map[string]string{}
	for k, id := range ids {
		told[fmt.Sprint("cust-", k)] = id
	}
	m.query("SELECT customer_id, id FROM orders", func(rows pgx.Rows) error {
		var customer, id string
		if err := rows.Scan(&customer, &id); err != nil {
			return err
		}
		if told[customer] != id {
			m.t.Errorf("%s was told %q and has the order %s", customer, told[customer], id)
		}
		return nil
	})
}

// counts writes a tally.
func counts(m map[string]int) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		all = append(all, fmt.Sprintf("%d %s", m[name], name))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}
