package forwarded

import (
	"net/netip"
	"strings"
	"testing"
)

func TestBehind(t *testing.T) {
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
		if got := behind(c.peer, c.header, trusted); got != c.want {
			t.Errorf("%s behind %q: %s, want %s", c.peer, c.header, got, c.want)
		}
	}
}

// Without proxies the client is the peer, whatever the header says.
func TestClient(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		remote  string
		trusted []netip.Prefix
		want    string
	}{
		{"203.0.113.9:4711", nil, "203.0.113.9"},
		{"10.0.0.1:4711", nil, "10.0.0.1"},
		{"[2001:db8::1]:4711", nil, "2001:db8::1"},
		{"203.0.113.9:4711", proxies, "203.0.113.9"},
		{"10.0.0.1:4711", proxies, "198.51.100.1"},
		{"[fd00::1]:4711", proxies, "198.51.100.1"},
		{"@", proxies, "@"},
		{"", proxies, ""},
	} {
		if got := Client(c.remote, []string{"192.0.2.66, 198.51.100.1:80"}, c.trusted); got != c.want {
			t.Errorf("%q: %q, want %q", c.remote, got, c.want)
		}
	}
}

// What a client writes itself never decides who it is: the proxy appends the
// address that it sees.
func FuzzForwarded(f *testing.F) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, s := range []string{"", "10.0.0.1", "10.0.0.1,10.0.0.1", "192.0.2.1, [::1]:80", ",,,", "unknown", "fe80::1%x", "::ffff:10.0.0.1", strings.Repeat("10.0.0.1,", 20)} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, forged string, apart bool) {
		for _, seen := range []string{"203.0.113.9", "2001:db8::1", "203.0.113.9, 10.0.0.2", "[2001:db8::1]:80,10.0.0.2 ,\tfd00::7"} {
			want := behind("10.0.0.1", []string{seen}, trusted)
			values := []string{forged + "," + seen}
			if apart {
				values = []string{forged, seen}
			}
			if got := behind("10.0.0.1", values, trusted); got != want {
				t.Errorf("%q: %q, want %q", values, got, want)
			}
		}
		if got := behind("203.0.113.9", []string{forged}, trusted); got != "203.0.113.9" {
			t.Errorf("a stranger says %q: %q", forged, got)
		}
		got := behind("10.0.0.1", []string{forged}, trusted)
		if a, err := netip.ParseAddr(got); err != nil || a.Zone() != "" || a.Is4In6() {
			t.Errorf("%q: %q is no plain address", forged, got)
		}
	})
}
