package limit_test

import (
	"context"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/limit"
)

func benchLimiter(b *testing.B, n int) *limit.Limiter {
	b.Helper()
	m, err := limit.NewMemory(limit.MemoryConfig{})
	if err != nil {
		b.Fatal(err)
	}
	var rules []limit.Rule
	for i := range n {
		rules = append(rules, limit.Rule{Name: "rule" + strconv.Itoa(i), Rate: 1_000_000, Per: time.Second})
	}
	l, err := limit.New(m, rules...)
	if err != nil {
		b.Fatal(err)
	}
	return l
}

func BenchmarkTake(b *testing.B) {
	names := make([]string, 1024)
	for i := range names {
		names[i] = "shop-principal-" + strconv.Itoa(i)
	}
	ctx := context.Background()
	b.Run("one rule", func(b *testing.B) {
		l := benchLimiter(b, 1)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			l.Take(ctx, limit.Partitions{limit.Text(names[i%1024])})
		}
	})
	b.Run("one rule, 1,024 addresses", func(b *testing.B) {
		l := benchLimiter(b, 1)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			a := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8 & 3), byte(i)})
			l.Take(ctx, limit.Partitions{limit.Address(a)})
		}
	})
	b.Run("one rule, 65,536 addresses", func(b *testing.B) {
		l := benchLimiter(b, 1)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			a := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
			l.Take(ctx, limit.Partitions{limit.Address(a)})
		}
	})
	b.Run("one rule, everyone, parallel", func(b *testing.B) {
		l := benchLimiter(b, 1)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				l.Take(ctx, limit.Partitions{})
			}
		})
	})
	b.Run("one rule, parallel", func(b *testing.B) {
		l := benchLimiter(b, 1)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				l.Take(ctx, limit.Partitions{limit.Text(names[i%1024])})
			}
		})
	})
	b.Run("three rules", func(b *testing.B) {
		l := benchLimiter(b, 3)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			n := limit.Text(names[i%1024])
			l.Take(ctx, limit.Partitions{n, n, limit.Everyone})
		}
	})
	b.Run("full", func(b *testing.B) {
		m, _ := limit.NewMemory(limit.MemoryConfig{Keys: 1024})
		l, err := limit.New(m, limit.Rule{Name: "r", Rate: 1000, Per: time.Hour})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for i := uint32(0); b.Loop(); i++ {
			l.Take(ctx, limit.Partitions{limit.Address(netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}))})
		}
	})
}

func BenchmarkAppendRateLimit(b *testing.B) {
	l := benchLimiter(b, 3)
	d := l.Take(context.Background(), limit.Partitions{})
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		buf = l.AppendRateLimit(buf[:0], &d)
	}
}
