package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/idempotency"
)

// keeper keeps the keys of calls in a store.
func keeper(t *testing.T, s *Store) *idempotency.Keeper {
	t.Helper()
	replies, err := s.Replies(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	secret := func() string { return "a secret that only tests may use" }
	k, err := idempotency.New(replies, idempotency.Config{
		Secrets: idempotency.Secrets{Current: secret, Old: func() string { return "" }}, Report: func(err error) { t.Error(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k
}

func begin(t *testing.T, k *idempotency.Keeper, key string) (*idempotency.Claim, *idempotency.Reply) {
	t.Helper()
	claim, reply, err := k.Begin(t.Context(), idempotency.Call{
		Subject: "alice", Method: "orders.create", Form: "http", Key: key, Keep: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	return claim, reply
}

// An order is there with the reply to its call, or not at all.
func TestOrderAndReply(t *testing.T) {
	contract(t, func(t *testing.T, url string) {
		s := open(t, url)
		k := keeper(t, s)
		there := func(o *Order) bool {
			_, err := s.Order(t.Context(), everybody, o.ID)
			if err != nil && !errors.Is(err, ErrNotFound) {
				t.Fatal(err)
			}
			events, _ := told(t, s, everybody, Place{})
			return err == nil && len(events) > 0
		}
		lost, kept := sample("alice"), sample("alice")

		claim, _ := begin(t, k, "1")
		if err := s.Insert(claim.Context(t.Context()), lost); err != nil {
			t.Fatal(err)
		}
		if there(lost) {
			t.Error("the order is there before the reply is")
		}
		if err := claim.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if there(lost) {
			t.Error("the order of a call that failed is there")
		}

		claim, _ = begin(t, k, "1")
		if err := s.Insert(claim.Context(t.Context()), kept); err != nil {
			t.Fatal(err)
		}
		if err := claim.Complete(t.Context(), idempotency.Reply{Status: 201, Body: []byte("kept")}); err != nil {
			t.Fatal(err)
		}
		if !there(kept) || there(lost) {
			t.Error("the order is not there with its reply")
		}
		if claim, reply := begin(t, k, "1"); claim != nil || string(reply.Body) != "kept" {
			t.Errorf("the call is replied %+v", reply)
		}
		consistent(t, s, 1)
	})
}

// An order that is refused leaves nothing, and nobody waits for its transaction.
func TestRefusedOrderAndReply(t *testing.T) {
	contract(t, func(t *testing.T, url string) {
		s := open(t, url)
		k := keeper(t, s)
		o := sample("alice")
		insert(t, s, o)
		claim, _ := begin(t, k, "1")
		if err := s.Insert(claim.Context(t.Context()), o); !errors.Is(err, ErrExists) {
			t.Error(err)
		}
		if err := claim.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		claim, _ = begin(t, k, "2")
		ctx, cancel := context.WithCancel(claim.Context(t.Context()))
		cancel()
		if err := s.Insert(ctx, sample("alice")); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := claim.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		insert(t, s, sample("alice"))
		consistent(t, s, 2)
	})
}
