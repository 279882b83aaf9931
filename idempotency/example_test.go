package idempotency_test

import (
	"context"
	"fmt"
	"time"

	"github.com/aguada-dev/aguada/idempotency"
)

func Example() {
	memory, err := idempotency.NewMemory(idempotency.MemoryConfig{})
	if err != nil {
		panic(err)
	}
	keeper, err := idempotency.New(memory, idempotency.Config{})
	if err != nil {
		panic(err)
	}
	defer keeper.Close()

	order := func(ctx context.Context, header string, payload any) string {
		key, err := idempotency.ParseKey([]string{header})
		if err != nil {
			return idempotency.Answer(err).Name
		}
		print, err := idempotency.Fingerprint(payload)
		if err != nil {
			return "fault"
		}
		claim, reply, err := keeper.Begin(ctx, idempotency.Call{
			Subject: "ann", Method: "orders.create", Form: "http", Key: key, Fingerprint: print, Keep: 24 * time.Hour,
		})
		if err != nil {
			return idempotency.Answer(err).Name
		}
		if reply != nil {
			return string(reply.Body) + ", again"
		}
		defer claim.Release(ctx) // nothing, once it is completed
		made := fmt.Sprintf("an order of %v", payload)
		if err := claim.Complete(ctx, idempotency.Reply{Status: 201, Body: []byte(made)}); err != nil {
			return idempotency.Answer(err).Name
		}
		return made
	}
	ctx := context.Background()
	fmt.Println(order(ctx, `"k1"`, "tea"))
	fmt.Println(order(ctx, `"k1"`, "tea"))
	fmt.Println(order(ctx, `"k1"`, "coffee"))
	fmt.Println(order(ctx, `"k2"`, "coffee"))
	fmt.Println(order(ctx, `k1, k2`, "tea"))
	// Output:
	// an order of tea
	// an order of tea, again
	// idempotency_mismatch
	// an order of coffee
	// idempotency_key_malformed
}
