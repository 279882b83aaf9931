package auth

import (
	"strings"
	"testing"
)

// Every byte is judged alike wherever it stands.
func TestToken68(t *testing.T) {
	const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/"
	for n := 1; n <= 17; n++ {
		for at := range n {
			for b := range 256 {
				raw := []byte(strings.Repeat("x", n))
				raw[at] = byte(b)
				want := strings.IndexByte(alphabet, byte(b)) >= 0 || b == '=' && at == n-1 && n > 1
				if got := token68(string(raw)); got != want {
					t.Fatalf("%q: %t", raw, got)
				}
			}
		}
	}
	for s, want := range map[string]bool{"": false, "=": false, "==": false, "abc==": true, "a=b": false} {
		if token68(s) != want {
			t.Errorf("%q: %t", s, !want)
		}
	}
}
