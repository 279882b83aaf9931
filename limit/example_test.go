package limit_test

import (
	"context"
	"fmt"
	"time"

	"github.com/aguada-dev/aguada/limit"
)

func Example() {
	mem, err := limit.NewMemory(limit.MemoryConfig{})
	if err != nil {
		panic(err)
	}
	l, err := limit.New(mem,
		limit.Rule{Name: "orders.create", Rate: 1, Per: time.Minute},
		limit.Rule{Name: "everybody", Rate: 600, Per: time.Minute})
	if err != nil {
		panic(err)
	}
	fmt.Println("RateLimit-Policy:", l.Policy())
	for range 2 {
		d := l.Take(context.Background(), limit.Partitions{limit.Text("ann"), limit.Everyone})
		fmt.Println(d.Allowed, "RateLimit:", string(l.AppendRateLimit(nil, &d)))
	}
	// Output:
	// RateLimit-Policy: "orders.create";q=1;w=60, "everybody";q=600;w=60
	// true RateLimit: "orders.create";r=0;t=60, "everybody";r=599;t=1
	// false RateLimit: "orders.create";r=0;t=60, "everybody";r=599;t=1
}
