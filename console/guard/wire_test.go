package guard_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/console/guard"
)

// wire sends a request as it is written, byte for byte, and returns the answer.
func wire(t *testing.T, addr, request string) (status int, body string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, strings.ReplaceAll(request, "\n", "\r\n")+"\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// What no client library would send is refused, or means nothing.
func TestRequestsOfAttackers(t *testing.T) {
	_, h := open(t, guard.Config{})
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	addr := s.Listener.Addr().String()
	here := "\nHost: " + addr
	for _, test := range []struct {
		name, request string
		status        int
	}{
		{"a program", "GET /api/overview HTTP/1.1" + here, 200},
		{"a foreign Host", "GET /api/overview HTTP/1.1\nHost: evil.example", 403},
		{"a foreign Host in the request line", "GET http://evil.example/api/overview HTTP/1.1" + here, 403},
		{"a foreign name before ours", "GET /api/overview HTTP/1.1\nHost: evil.example, " + addr, 400},
		{"two Hosts", "GET /api/overview HTTP/1.1" + here + "\nHost: evil.example", 400},
		{"a user in the Host", "GET /api/overview HTTP/1.1\nHost: 127.0.0.1@evil.example", 400},
		{"a number that is an address", "GET /api/overview HTTP/1.1\nHost: 2130706433", 403},
		{"an address in octal", "GET /api/overview HTTP/1.1\nHost: 0177.0.0.1", 403},
		{"every address", "GET /api/overview HTTP/1.1\nHost: 0.0.0.0", 403},
		{"HTTP/1.0 without a Host", "GET /api/overview HTTP/1.0", 403},
		{"a name of a header with a space", "GET /api/overview HTTP/1.1" + here + "\nAuthorization : Bearer x", 400},
		{"a header that goes on", "GET /api/overview HTTP/1.1" + here + "\nX-A: b\n Authorization: Bearer x", 200},
		{"two lengths", "POST /api/services/a/leases HTTP/1.1" + here + "\nContent-Length: 2\nContent-Length: 3", 400},
		{"a path up", "GET /x/../api/overview HTTP/1.1" + here, 404},
		{"a path up, escaped", "GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1" + here, 404},
		{"a slash too many", "GET //api/overview HTTP/1.1" + here, 404},
		{"an escaped path of another site", "GET /%61pi/overview HTTP/1.1" + here + "\nSec-Fetch-Site: cross-site\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: document", 403},
		{"a byte of zero", "GET /main.js%00.html HTTP/1.1" + here, 404},
		{"a form of another site", "POST /api/services/a/leases HTTP/1.1" + here + "\nContent-Type: text/plain\nContent-Length: 0\nOrigin: http://evil.example", 403},
		{"a form of another port", "POST /api/services/a/leases HTTP/1.1" + here + "\nContent-Length: 0\nOrigin: http://127.0.0.1:1", 403},
		{"a page of another origin in an old browser", "GET /api/overview HTTP/1.1" + here + "\nOrigin: http://evil.example", 403},
		{"a page of another port in an old browser", "GET /api/overview HTTP/1.1" + here + "\nOrigin: http://127.0.0.1:1", 403},
		{"a site in capitals", "GET /api/overview HTTP/1.1" + here + "\nSEC-FETCH-SITE: Cross-Site", 403},
		{"two sites", "GET /api/overview HTTP/1.1" + here + "\nSec-Fetch-Site: same-origin\nSec-Fetch-Site: cross-site", 403},
		{"a tunnel", "CONNECT evil.example:443 HTTP/1.1\nHost: evil.example:443", 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			if status, body := wire(t, addr, test.request); status != test.status {
				t.Errorf("%d %q, want %d", status, body, test.status)
			}
		})
	}
}

// Of what comes as Authorization nothing reaches the API without a token, and
// with one all of it does, for the API to judge.
func TestSmuggledCredentials(t *testing.T) {
	for _, headers := range []string{
		"Authorization: Bearer x", "AUTHORIZATION: Bearer x\nauthorization: Bearer y", "Authorization:\nAuthorization: Bearer x", "Authorization: ",
	} {
		request := "GET /api/overview HTTP/1.1\nHost: 127.0.0.1\n" + headers
		_, loopback := open(t, guard.Config{})
		s := httptest.NewServer(loopback)
		t.Cleanup(s.Close)
		if _, got := wire(t, s.Listener.Addr().String(), request); !strings.HasPrefix(got, "Bearer ") || len(got) < 30 || strings.Contains(got, "|") {
			t.Errorf("%q: without a token the API gets %q", headers, got)
		}
		_, tokened := open(t, secured(token))
		cookie := session(t, tokened, token)
		s = httptest.NewServer(tokened)
		t.Cleanup(s.Close)
		if _, got := wire(t, s.Listener.Addr().String(), fmt.Sprintf("%s\nCookie: %s", request, cookie)); strings.Contains(got, token) {
			t.Errorf("%q: a cookie became %q beside what was sent", headers, got)
		}
	}
}
