package dsl

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/policy"
)

// FuzzTrafficDurations compares what KeepFor, WaitFor and StreamIdle take with
// what they say they do.
func FuzzTrafficDurations(f *testing.F) {
	for _, s := range []string{"0s", "0", "-0s", "1ms", "999us", "1s", "999ms", "24h", "8784h", "8784h0m1s", "1h2m3s", "5", "5x", "", "-1s", "9999999h", "+5s", ".5s", "1e3s", "２h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, wrong := time.ParseDuration(s)
		for _, p := range []struct {
			name  string
			parse func(string) (policy.Duration, error)
			takes bool
		}{
			{"KeepFor", parseKeep, d >= time.Second && d <= 366*24*time.Hour},
			{"WaitFor", parseWait, d >= time.Millisecond},
			{"StreamIdle", parseIdle, d == 0 || d >= time.Second},
		} {
			got, err := p.parse(s)
			if takes := wrong == nil && p.takes; (err == nil) != takes {
				t.Fatalf("%s(%q): %v", p.name, s, err)
			}
			if err == nil && time.Duration(got) != d || err != nil && got != 0 {
				t.Fatalf("%s(%q) = %v, want %v", p.name, s, time.Duration(got), d)
			}
		}
	})
}

// FuzzKeyHeader: whatever name is taken for keys, clients can send it over HTTP
// and gRPC, the runtime finds it, and it means nothing else.
func FuzzKeyHeader(f *testing.F) {
	for _, s := range []string{"Idempotency-Key", "idempotency-key", "K", "X-Key", "x--key-", "Key-Bin", "key-BIN", "bin", "Grpc-X", "GRPC", "Host", "hosT", "Hostess", "Te", "Test",
		"Content", "Content-", "contenT-type", "Acceptable", "İd", "K\u212a", "a b", "", "-", "A:", strings.Repeat("a", 64), strings.Repeat("a", 65)} {
		f.Add(s)
	}
	fixed := []string{"Host", "Te", "Connection", "Content-Type", "Content-Length", "Transfer-Encoding", "Authorization", "Cookie", "Origin", "Traceparent", "X-Request-Id", "Accept", "Date", "User-Agent", "Trailer", "Upgrade"}
	f.Fuzz(func(t *testing.T, name string) {
		if refuseKeyHeader(name) != "" {
			return
		}
		canonical := http.CanonicalHeaderKey(name)
		if strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || name == "" || http.CanonicalHeaderKey(strings.ToLower(name)) != canonical {
			t.Fatalf("%q is no header name", name)
		}
		lower := strings.ToLower(canonical)
		if strings.HasSuffix(lower, "-bin") || strings.HasPrefix(lower, "grpc-") {
			t.Fatalf("%q is no metadata of text", name)
		}
		for _, h := range fixed {
			if canonical == h {
				t.Fatalf("%q belongs to HTTP", name)
			}
		}
	})
}

// TestTakenHeaders: the names that are kept out are written as they are compared.
func TestTakenHeaders(t *testing.T) {
	for _, h := range takenHeaders {
		if http.CanonicalHeaderKey(h) != h {
			t.Errorf("%q is not canonical", h)
		}
		if refuseKeyHeader(strings.ToLower(strings.TrimSuffix(h, "-"))+map[bool]string{true: "-x"}[strings.HasSuffix(h, "-")]) == "" {
			t.Errorf("%q is taken for keys", h)
		}
	}
	for _, h := range []string{"Idempotency-Key", "X-Idempotency-Key", "Request-Key", "X-Transaction"} {
		if why := refuseKeyHeader(h); why != "" {
			t.Errorf("%q: %s", h, why)
		}
	}
}
