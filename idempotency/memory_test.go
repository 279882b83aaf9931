package idempotency_test

import (
	"testing"
	"time"

	"github.com/aguada-dev/aguada/idempotency"
	"github.com/aguada-dev/aguada/idempotency/idempotencytest"
)

func memory(t testing.TB, cfg idempotency.MemoryConfig) *idempotency.Memory {
	t.Helper()
	m, err := idempotency.NewMemory(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMemory(t *testing.T) {
	idempotencytest.Run(t, func(t *testing.T) idempotencytest.Harness {
		m := memory(t, idempotency.MemoryConfig{})
		return idempotencytest.Harness{Replica: func() idempotency.Store { return m }, Advance: time.Sleep}
	})
}
