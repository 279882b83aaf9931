package idempotency_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/idempotency"
)

func BenchmarkCall(b *testing.B) {
	k := keeper(b, memory(b, idempotency.MemoryConfig{Records: 1 << 30, Bytes: 1 << 40}), idempotency.Config{})
	c := call
	c.Keep = time.Minute
	reply := idempotency.Reply{Status: 201, Header: map[string][]string{"Location": {"/orders/1"}}, Body: make([]byte, 512)}
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			c.Key = strconv.Itoa(n)
			complete(b, begin(b, k, c), reply)
		}
	})
	b.Run("repeated", func(b *testing.B) {
		c.Key = "0"
		b.ReportAllocs()
		for b.Loop() {
			replayed(b, k, c)
		}
	})
}

func BenchmarkFingerprint(b *testing.B) {
	p := full()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := idempotency.Fingerprint(p, "Token"); err != nil {
			b.Fatal(err)
		}
	}
}
