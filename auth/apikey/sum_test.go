package apikey

import (
	"hash/crc32"
	"testing"

	"pgregory.net/rapid"
)

func TestKeySumIsCRC32(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "text")
		var got uint32
		for _, c := range keySum(s) {
			for i := range len(keyAlphabet) {
				if keyAlphabet[i] == c {
					got = got<<5 | uint32(i)
				}
			}
		}
		if want := crc32.ChecksumIEEE([]byte(s)); got != want {
			t.Fatalf("%q: got %x, want %x", s, got, want)
		}
	})
}
