package apikey_test

import (
	"testing"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/apikey"
)

// A check of a key that is known. The goal is 1 µs and 2 allocations.
func BenchmarkVerify(b *testing.B) {
	m := &apikey.Memory{}
	key, _ := create(b, m, apikey.Request{Scopes: []string{"read"}})
	fileKey, file := keyFile(b, apikey.Config{Scheme: "key", Interval: time.Second})
	unknown := madeUp()
	for _, bb := range []struct {
		name string
		v    *apikey.Verifier
		key  string
		want string
	}{
		{"store", replica(b, m, apikey.Config{}), key, "ann"},
		{"file", file, fileKey, "ann"},
		{"malformed", file, fileKey[:len(fileKey)-1] + "_", "!malformed"},
		{"unknown", replica(b, m, apikey.Config{}), unknown, "!unknown"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			if got := verify(b, bb.v, bb.key); got != bb.want {
				b.Fatal(got)
			}
			ctx, c := b.Context(), auth.Credential{Token: bb.key}
			b.ReportAllocs()
			for b.Loop() {
				_, _ = bb.v.Verify(ctx, c)
			}
		})
		b.Run(bb.name+"/parallel", func(b *testing.B) {
			ctx, c := b.Context(), auth.Credential{Token: bb.key}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_, _ = bb.v.Verify(ctx, c)
				}
			})
		})
	}
}
