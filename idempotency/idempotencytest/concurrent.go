package idempotencytest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/idempotency"
)

// atomically: of many owners at once, one has each record; also where they
// replace one that died.
func atomically(t *testing.T, h Harness) {
	replicas := []idempotency.Store{h.Replica(), h.Replica()}
	for round := range 10 {
		k := ticket(fmt.Sprint("k", round), long, long)
		if round%2 == 1 {
			k.Lease = 30 * time.Millisecond
			claim(t, replicas[0], another(k), idempotency.Claimed, "")
			h.Advance(40 * time.Millisecond)
			k.Lease = long
		}
		var claimed atomic.Int64
		var wg sync.WaitGroup
		for i := range 16 {
			own := another(k)
			wg.Go(func() {
				st, err := replicas[i%2].Claim(context.Background(), own)
				switch {
				case err != nil:
					t.Error(err)
				case st.Status == idempotency.Claimed:
					claimed.Add(1)
				case st.Status != idempotency.Running:
					t.Errorf("status %d", st.Status)
				}
			})
		}
		wg.Wait()
		if n := claimed.Load(); n != 1 {
			t.Fatalf("round %d: %d owners have the record, want 1", round, n)
		}
	}
}

// Secret is one for tests.
func Secret() string { return "a secret for tests only" }

func keeper(t *testing.T, s idempotency.Store, lease time.Duration) *idempotency.Keeper {
	t.Helper()
	k, err := idempotency.New(s, idempotency.Config{
		Secrets: idempotency.Secrets{Current: Secret}, Lease: lease, Timeout: 20 * time.Second,
		Report: func(err error) { t.Logf("reported: %v", err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k
}

// exactly: clients that try again until they have a reply, on two replicas, with
// methods that fail now and then. Each key's method succeeds once, and all its
// clients get the same reply.
func exactly(t *testing.T, h Harness) {
	const keys, clients = 40, 6
	keepers := []*idempotency.Keeper{keeper(t, h.Replica(), time.Minute), keeper(t, h.Replica(), time.Minute)}
	var runs [keys]atomic.Int64
	var replies [keys][clients]string
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for _, key := range rand.Perm(keys) { //nolint:gosec // not a secret
				call := idempotency.Call{
					Subject: "ann", Method: "orders.create", Key: fmt.Sprint("key", key), Form: "http",
					Fingerprint: [32]byte{byte(key)}, Keep: time.Hour, Wait: time.Duration(key%2) * time.Minute,
				}
				for n := 0; replies[key][c] == ""; n++ {
					text, err := attempt(keepers[(c+n)%2], call, &runs[key])
					if err != nil && !errors.Is(err, errMethod) && !errors.Is(err, idempotency.ErrConflict) {
						t.Error(err)
						return
					}
					replies[key][c] = text
				}
			}
		})
	}
	wg.Wait()
	for key := range keys {
		if n := runs[key].Load(); n != 1 {
			t.Errorf("key %d: the method succeeded %d times, want once", key, n)
		}
		for c := range clients {
			if replies[key][c] != replies[key][0] {
				t.Errorf("key %d: replies %q and %q", key, replies[key][0], replies[key][c])
			}
		}
	}
}

var errMethod = errors.New("the method failed")

// attempt is a request as a transport serves it.
func attempt(k *idempotency.Keeper, call idempotency.Call, runs *atomic.Int64) (string, error) {
	ctx := context.Background()
	claim, reply, err := k.Begin(ctx, call)
	if err != nil {
		return "", err
	}
	if reply != nil {
		return string(reply.Body), nil
	}
	if rand.IntN(4) == 0 { //nolint:gosec // not a secret
		return "", errors.Join(errMethod, claim.Release(ctx))
	}
	body := fmt.Sprintf("run %d of %s, %d", runs.Add(1), call.Key, rand.Int()) //nolint:gosec // not a secret
	if err := claim.Complete(ctx, idempotency.Reply{Status: 201, Body: []byte(body)}); err != nil {
		return "", err
	}
	return body, nil
}

// wait: a call that waits gets the reply of the one that is running.
func wait(t *testing.T, h Harness) {
	k := keeper(t, h.Replica(), time.Minute)
	call := idempotency.Call{Subject: "ann", Method: "orders.create", Key: "key", Form: "http", Keep: time.Hour}
	claim, reply, err := k.Begin(t.Context(), call)
	if err != nil || reply != nil {
		t.Fatal(reply, err)
	}
	if _, _, err := k.Begin(t.Context(), call); !errors.Is(err, idempotency.ErrConflict) {
		t.Fatalf("a call that does not wait: %v", err)
	}
	call.Wait = 20 * time.Millisecond
	begun := time.Now()
	if _, _, err := k.Begin(t.Context(), call); !errors.Is(err, idempotency.ErrConflict) || time.Since(begun) < call.Wait {
		t.Fatalf("a call that waits for 20ms, after %s: %v", time.Since(begun), err)
	}
	call.Wait = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan string, 2)
	for _, ctx := range []context.Context{t.Context(), ctx} {
		go func() {
			_, reply, err := k.Begin(ctx, call)
			if err != nil {
				got <- err.Error()
				return
			}
			got <- string(reply.Body)
		}()
	}
	cancel()
	if text := <-got; text != "begin idempotent call: context canceled" {
		t.Fatalf("a client that left: %s", text)
	}
	if err := claim.Complete(t.Context(), idempotency.Reply{Body: []byte("the reply")}); err != nil {
		t.Fatal(err)
	}
	if text := <-got; text != "the reply" {
		t.Fatalf("the call that waited: %s", text)
	}
}
