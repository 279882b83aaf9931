package proxy

import (
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// ports are those that a URL without port means.
var ports = map[string]string{
	"postgres": "5432", "postgresql": "5432", "mysql": "3306", "redis": "6379", "rediss": "6379", "valkey": "6379",
	"mongodb": "27017", "amqp": "5672", "amqps": "5671", "nats": "4222", "memcached": "11211", "http": "80", "https": "443",
}

// errAddress does not repeat what was read, which may hold a password.
var errAddress = errors.New("want a URL with one host, such as postgres://user:password@host:5432/name, or host:port")

// Target returns where a URL, or host:port, leads: host:port. A URL without port
// means that of its scheme.
func Target(text string) (string, error) {
	host, port, ok := place(text)
	if !ok {
		return "", errAddress
	}
	return net.JoinHostPort(host, port), nil
}

// Through returns the URL, or host:port, that leads to the address instead. What
// has no Target is returned as it is.
func Through(text, address string) string {
	if _, _, ok := place(text); !ok {
		return text
	}
	scheme, rest, isURL := strings.Cut(text, "://")
	if !isURL {
		return address
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	start := strings.LastIndex(rest[:end], "@") + 1
	return scheme + "://" + rest[:start] + address + rest[end:]
}

// Passwords returns what of a URL nobody may print: the password, as it is and as
// it is written, and the values of parameters that hold one.
func Passwords(text string) []string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return nil
	}
	var all []string
	add := func(secret string) {
		if secret != "" {
			all = append(all, secret)
			if escaped := url.QueryEscape(secret); escaped != secret {
				all = append(all, escaped)
			}
		}
	}
	if password, ok := u.User.Password(); ok {
		add(password)
		_, written, _ := strings.Cut(u.User.String(), ":")
		if written != password {
			add(written)
		}
	}
	for name, values := range u.Query() {
		if strings.Contains(strings.ToLower(name), "pass") {
			for _, v := range values {
				add(v)
			}
		}
	}
	return all
}

// place takes the host and the port out of a text.
func place(text string) (host, port string, ok bool) {
	if strings.ContainsAny(text, " \t\r\n\x00") {
		return "", "", false
	}
	if !strings.Contains(text, "://") {
		host, port, err := net.SplitHostPort(text)
		return host, port, err == nil && host != "" && !strings.ContainsAny(host, "/@?#,") && isPort(port)
	}
	u, err := url.Parse(text)
	scheme, _, _ := strings.Cut(text, "://")
	if err != nil || !strings.EqualFold(scheme, u.Scheme) || u.Hostname() == "" || strings.ContainsAny(u.Host, ",%") {
		return "", "", false
	}
	if port = u.Port(); port == "" {
		port = ports[u.Scheme]
	}
	return u.Hostname(), port, isPort(port)
}

func isPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}
