package issuer

import (
	"encoding/base64"
	"net/url"
	"testing"
)

// FuzzParseBasic reads any header. What it accepts is what a client that writes
// RFC 6749, 2.3.1, would have written.
func FuzzParseBasic(f *testing.F) {
	f.Add("Basic bWFjaGluZTp4")
	f.Add("basic  JTNhOiUz")
	f.Add("Basic Og==")
	f.Add("Bearer x")
	f.Fuzz(func(t *testing.T, header string) {
		id, secret, ok := parseBasic(header)
		if !ok {
			if id != "" || secret != "" {
				t.Fatal("refused, and yet something is returned")
			}
			return
		}
		if id == "" {
			t.Fatal("an empty id")
		}
		written := "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
		if again, same, ok := parseBasic(written); (!ok || again != id || same != secret) && len(written) <= 1<<10 {
			t.Fatalf("%q is not read back", id)
		}
	})
}
