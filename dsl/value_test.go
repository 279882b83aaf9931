package dsl

import (
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"
)

// FuzzParseSize compares with arithmetic that cannot overflow.
func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"1B", "1MiB", "0B", "-1KB", "1.5GB", "9223372036854775807B", "8796093022208MiB", "1mib", "", "MiB", "+1B", "1_000B", "１B"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseSize(s)
		if err != nil {
			if got != 0 {
				t.Fatalf("parseSize(%q) = %d with error %v", s, got, err)
			}
			return
		}
		for unit, factor := range sizeUnits {
			n, ok := strings.CutSuffix(s, unit)
			if !ok {
				continue
			}
			if want, ok := new(big.Int).SetString(n, 10); ok {
				want.Mul(want, big.NewInt(factor))
				if !want.IsInt64() || want.Int64() != got || got < 1 {
					t.Fatalf("parseSize(%q) = %d, want %s", s, got, want)
				}
				return
			}
		}
		t.Fatalf("parseSize(%q) = %d: no such size", s, got)
	})
}

func TestParseSizeRoundTrip(t *testing.T) {
	for unit, factor := range sizeUnits {
		for _, n := range []int64{1, 7, 1023, 1 << 20} {
			got, err := parseSize(strconv.FormatInt(n, 10) + unit)
			if err != nil || got != n*factor {
				t.Errorf("%d%s = %d, %v; want %d", n, unit, got, err, n*factor)
			}
		}
	}
}

func FuzzParseDeadline(f *testing.F) {
	for _, s := range []string{"0s", "0", "-0s", "1ms", "999us", "5s", "1h2m3s", "5", "5x", "", "-1s", "9999999h", "+5s", ".5s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseDeadline(s)
		if err != nil {
			if got != 0 {
				t.Fatalf("parseDeadline(%q) = %v with error %v", s, got, err)
			}
			return
		}
		want, err := time.ParseDuration(s)
		if err != nil || time.Duration(got) != want || want != 0 && want < time.Millisecond {
			t.Fatalf("parseDeadline(%q) = %v, want %v (%v)", s, got, want, err)
		}
	})
}
