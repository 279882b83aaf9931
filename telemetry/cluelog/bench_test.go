package cluelog_test

import (
	"context"
	"io"
	"testing"

	"goa.design/clue/log"

	"github.com/aguada-dev/aguada/telemetry"
	"github.com/aguada-dev/aguada/telemetry/cluelog"
)

// call is a request that is its own context, as those of package transport.
type call struct {
	context.Context
	scope telemetry.Scope
}

func (c *call) Value(key any) any {
	if _, ok := key.(telemetry.ScopeKey); ok {
		return &c.scope
	}
	return c.Context.Value(key)
}

func TestAnIdleRequestAllocatesNothing(t *testing.T) {
	clue := cluelog.New(telemetry.NewHandler(io.Discard, telemetry.JSON, nil), cluelog.Config{})
	leases := telemetry.NewLeases(telemetry.LeasesConfig{Audit: func(telemetry.LeaseEvent) {}})
	c := &call{Context: clue.BaseContext(context.Background())}
	if n := testing.AllocsPerRun(100, func() {
		leases.Apply(&c.scope, "orders", "create", telemetry.Caller{Subject: "ann"})
		if clue.Context(c) != context.Context(c) {
			t.Fatal("another context")
		}
		c.scope.Show()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkIdle(b *testing.B) {
	clue := cluelog.New(telemetry.NewHandler(io.Discard, telemetry.JSON, nil), cluelog.Config{})
	leases := telemetry.NewLeases(telemetry.LeasesConfig{Audit: func(telemetry.LeaseEvent) {}})
	c := &call{Context: clue.BaseContext(context.Background())}
	b.ReportAllocs()
	for b.Loop() {
		leases.Apply(&c.scope, "orders", "create", telemetry.Caller{Subject: "ann"})
		_ = clue.Context(c)
		c.scope.Show()
	}
}

// A line as services write them, held, written, and by Clue alone.
func BenchmarkLine(b *testing.B) {
	clue := cluelog.New(telemetry.NewHandler(io.Discard, telemetry.JSON, nil), cluelog.Config{})
	base := clue.BaseContext(context.Background())
	alone := log.Context(context.Background(), log.WithOutput(io.Discard), log.WithFormat(log.FormatJSON))
	fields := []log.Fielder{log.KV{K: "msg", V: "order created"}, log.KV{K: "id", V: 42}, log.KV{K: "sku", V: "A-1"}}
	ours := &call{Context: base, scope: telemetry.Scope{RequestID: "r1", Service: "orders", Method: "create"}}
	b.Run("held", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			log.Info(ours, fields...)
		}
	})
	b.Run("written", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			log.Print(ours, fields...)
		}
	})
	b.Run("clue written", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			log.Print(alone, fields...)
		}
	})
}
