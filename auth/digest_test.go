package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash/crc32"
	"testing"

	"pgregory.net/rapid"
)

func TestDigestIsHMAC(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "key")
		text := rapid.StringN(0, 400, -1).Draw(t, "text")
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(text))
		if got := newDigest(key).text(text); !hmac.Equal(got[:], mac.Sum(nil)) {
			t.Fatalf("%x of %q: got %x", key, text, got)
		}
	})
}

func TestDigestTellsPairsApart(t *testing.T) {
	d := newDigest([]byte("k"))
	if d.pair("ab", "c") == d.pair("a", "bc") {
		t.Error("ab, c and a, bc have one digest")
	}
}

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
