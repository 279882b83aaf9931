package policy

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// AnyOrigin, as the only element of CORS.Origins, stands for any origin.
const AnyOrigin = "*"

// CheckOrigin returns an error, which says what to write instead, unless the
// text is an origin as browsers write it in the Origin header (RFC 6454, 6.2):
// scheme, host in lower case and a port that is not the scheme's own, nothing
// else. "null", which any sandboxed page has, and "*" are none, and neither is
// a pattern.
func CheckOrigin(origin string) error {
	switch {
	case origin == "":
		return errors.New("an origin is empty")
	case origin == "null":
		return errors.New(`"null" is the origin of any sandboxed page: it cannot be allowed`)
	case strings.Contains(origin, "*"):
		return fmt.Errorf("origin %q is a pattern: name each origin, since whoever gets one host of a pattern gets them all", origin)
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme == "" || u.Hostname() == "" {
		return fmt.Errorf("%q is not an origin: write scheme and host, such as \"https://shop.example\"", origin)
	}
	for i := range len(origin) {
		if c := origin[i]; c <= ' ' || c >= 0x7f {
			return fmt.Errorf("origin %q is not in ASCII: write the host as browsers send it (xn--…)", origin)
		}
	}
	if h := u.Hostname(); strings.ContainsAny(h, "%,;\"'<>\\^`{|}") || strings.Contains(h, ":") && net.ParseIP(h) == nil {
		return fmt.Errorf("%q is not an origin: the host is malformed", origin)
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); port == "" {
		host = strings.TrimSuffix(host, ":")
	} else if port == map[string]string{"http": "80", "https": "443", "ws": "80", "wss": "443"}[u.Scheme] {
		if host = strings.ToLower(u.Hostname()); strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
	}
	if want := u.Scheme + "://" + host; want != origin {
		return fmt.Errorf("browsers never send the origin %q: write %q", origin, want)
	}
	return nil
}
