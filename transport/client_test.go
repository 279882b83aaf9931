package transport

import (
	"net/http"
	"net/netip"
	"testing"
)

func TestForwarded(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		peer   string
		header []string
		want   string
	}{
		{"203.0.113.9", nil, "203.0.113.9"},
		{"203.0.113.9", []string{"198.51.100.1"}, "203.0.113.9"}, // a stranger says so
		{"10.0.0.1", nil, "10.0.0.1"},
		{"10.0.0.1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1", []string{"192.0.2.66, 198.51.100.1"}, "198.51.100.1"}, // the first is forged
		{"10.0.0.1", []string{"192.0.2.66", "198.51.100.1, 10.9.9.9"}, "198.51.100.1"},
		{"10.0.0.1", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		{"10.0.0.1", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		{"fd00::1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"::ffff:10.0.0.1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1", []string{"unknown"}, "10.0.0.1"},
		{"10.0.0.1", []string{"198.51.100.1, <script>"}, "10.0.0.1"},
		{"10.0.0.1", []string{","}, "10.0.0.1"},
		{"@", []string{"198.51.100.1"}, "@"}, // a Unix socket's peer
	} {
		if got := forwarded(c.peer, http.Header{"X-Forwarded-For": c.header}, trusted); got != c.want {
			t.Errorf("%s behind %q: %s, want %s", c.peer, c.header, got, c.want)
		}
	}
}
