package digest

import (
	"crypto/hmac"
	"crypto/sha256"
	"testing"

	"pgregory.net/rapid"
)

func TestDigestIsHMAC(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "key")
		text := rapid.StringN(0, 400, -1).Draw(t, "text")
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(text))
		if got := New(key).Text(text); !hmac.Equal(got[:], mac.Sum(nil)) {
			t.Fatalf("%x of %q: got %x", key, text, got)
		}
	})
}

func TestDigestTellsPairsApart(t *testing.T) {
	d := New([]byte("k"))
	if d.Pair("ab", "c") == d.Pair("a", "bc") {
		t.Error("ab, c and a, bc have one digest")
	}
}
