package policy_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/policy"
)

func TestCheckOrigin(t *testing.T) {
	for _, o := range []string{
		"https://shop.example", "http://shop.example", "https://shop.example:8443", "http://localhost:3000", "http://127.0.0.1:8080", "http://[::1]:8080",
		"http://[::1]", "https://xn--mnchen-3ya.example", "https://a-b.example", "capacitor://localhost", "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb",
		"http://shop.example:443", "https://my_host",
	} {
		if err := policy.CheckOrigin(o); err != nil {
			t.Errorf("%s: %v", o, err)
		}
	}
	for _, o := range []string{
		"", "null", "*", "https://*", "https://*.shop.example", "shop.example", "https:", "https://", "https:shop.example", "//shop.example", "https://:8443",
		"https://shop.example/", "https://shop.example?", "https://shop.example#", "https://shop.example?a=b", "https://a@shop.example", "https://shop.example:443",
		"http://shop.example:80", "http://[::1]:80", "https://shop.example:", "https://Shop.example", "Https://shop.example", " https://shop.example",
		"https://shop.example ", "https://shop.example\n", "https://m\u00fcnchen.example", "https://a.example,https://b.example", "https://a.example https://b.example",
		"https://[::1", "https://[zz]", "https://shop%2eexample", "https://shop.example\x00", "https://shop.example:x", "https://a;b", "https://a'b",
	} {
		if err := policy.CheckOrigin(o); err == nil {
			t.Errorf("accepts %q", o)
		}
	}
}

// FuzzCheckOrigin: what is accepted is scheme, host and port and nothing else,
// in the one spelling that browsers use.
func FuzzCheckOrigin(f *testing.F) {
	for _, s := range []string{"https://shop.example", "http://[::1]:8080", "https://a@b", "https://x:443", "a://b?c#d", "https://b/.."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, o string) {
		if policy.CheckOrigin(o) != nil {
			return
		}
		u, err := url.Parse(o)
		if err != nil {
			t.Fatal(err)
		}
		if u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "" || u.Hostname() == "" ||
			o != u.Scheme+"://"+u.Host || o != strings.ToLower(o) || strings.ContainsAny(o, "*, \t\r\n\x00?#@") || o == "null" {
			t.Fatalf("accepts %q", o)
		}
	})
}
