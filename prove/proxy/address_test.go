package proxy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/prove/proxy"
)

func TestTarget(t *testing.T) {
	t.Parallel()
	const via = "127.0.0.1:20001"
	for text, want := range map[string][2]string{
		"postgres://ann:p%40ss@db:6543/shop?sslmode=disable": {"db:6543", "postgres://ann:p%40ss@127.0.0.1:20001/shop?sslmode=disable"},
		"postgres://db":                  {"db:5432", "postgres://127.0.0.1:20001"},
		"postgresql://u@[::1]/x":         {"[::1]:5432", "postgresql://u@127.0.0.1:20001/x"},
		"redis://:secret@cache:6380/0":   {"cache:6380", "redis://:secret@127.0.0.1:20001/0"},
		"REDIS://cache?db=1":             {"cache:6379", "REDIS://127.0.0.1:20001?db=1"},
		"postgres://u:a/b@db/x":          {},
		"https://issuer.example#x":       {"issuer.example:443", "https://127.0.0.1:20001#x"},
		"127.0.0.1:9000":                 {"127.0.0.1:9000", via},
		"cache:6379":                     {"cache:6379", via},
		"":                               {},
		"cache":                          {},
		":6379":                          {},
		"cache:0":                        {},
		"cache:70000":                    {},
		"sqlite:/var/data.db":            {},
		"unknown://host/x":               {},
		"postgres:///shop?host=/run":     {},
		"postgres://a:1,b:2/shop":        {},
		"host=db port=5432 user=ann":     {},
		"//host:80/x://y":                {},
		"postgres://db:5432/x\npassword": {},
	} {
		target, err := proxy.Target(text)
		if target != want[0] || (err == nil) != (want[0] != "") {
			t.Errorf("%q leads to %q, %v, want %q", text, target, err, want[0])
		}
		if err != nil && text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("the error repeats %q: %v", text, err)
		}
		if want[0] == "" {
			want[1] = text
		}
		if got := proxy.Through(text, via); got != want[1] {
			t.Errorf("%q goes through as %q, want %q", text, got, want[1])
		}
	}
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"postgres://ann:p%40ss@db/x":             {"p@ss", "p%40ss", "p%40ss"},
		"postgres://db/x?password=hid+den&user=": {"hid den", "hid+den"},
		"redis://:plain@cache":                   {"plain"},
		"redis://cache":                          nil,
		"cache:6379":                             nil,
		"postgres://ann:%zz@db":                  nil,
	} {
		got := proxy.Passwords(text)
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("%q: %q is not among %q", text, w, got)
			}
		}
		if want == nil && got != nil {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// Whatever has a target leads to the proxy when it goes through, and is
// otherwise what it was.
func FuzzThrough(f *testing.F) {
	for _, seed := range []string{"postgres://ann:p%40ss@db:6543/shop?sslmode=disable", "redis://[::1]", "a:1", "postgres://a:1,b:2/x", "x://y@z@w:1/@"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := proxy.Target(text)
		got := proxy.Through(text, "127.0.0.1:20001")
		proxy.Passwords(text)
		if err != nil {
			if got != text {
				t.Fatalf("%q has no target and became %q", text, got)
			}
			return
		}
		if to, err := proxy.Target(got); err != nil || to != "127.0.0.1:20001" {
			t.Fatalf("%q became %q, which leads to %q, %v", text, got, to, err)
		}
		if back := proxy.Through(got, "127.0.0.1:20001"); back != got {
			t.Fatalf("%q goes through twice as %q", got, back)
		}
	})
}
