package redislimit_test

import (
	"testing"
	"time"

	"github.com/aguada-dev/aguada/limit"
	"github.com/aguada-dev/aguada/limit/redislimit"
)

// BenchmarkTake: a real Redis on this machine, and one that is dead.
func BenchmarkTake(b *testing.B) {
	rules := []limit.Rule{{Name: "a", Rate: 1_000_000, Per: time.Second}, {Name: "b", Rate: 1_000_000, Per: time.Second}, {Name: "c", Rate: 1_000_000, Per: time.Second}}
	bench := func(b *testing.B, url string, n int) {
		l := limiter(b, open(b, url, redislimit.Config{}), rules[:n]...)
		l.Take(b.Context(), limit.Partitions{})
		b.ReportAllocs()
		for b.Loop() {
			l.Take(b.Context(), limit.Partitions{limit.Text("ann")})
		}
	}
	s := startServer(b)
	b.Run("one rule", func(b *testing.B) { bench(b, s.url(), 1) })
	b.Run("three rules", func(b *testing.B) { bench(b, s.url(), 3) })
	s.kill()
	b.Run("one rule, Redis dead", func(b *testing.B) { bench(b, s.url(), 1) })
}
