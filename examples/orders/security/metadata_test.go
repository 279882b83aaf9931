package security

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// me returns a call of accounts.me with metadata.
func me(header ...[2]string) request { return request{call: calls["/accounts/me"], header: header} }

func user(name string) [2]string { return [2]string{"Username", name} }

func pass(word string) [2]string { return [2]string{"Password", word} }

// listing returns a call of orders.list with metadata.
func listing(header ...[2]string) request { return request{call: calls["/orders"], header: header} }

// metadataAttacks are about credentials, and the rest of metadata, as only gRPC
// has them.
func metadataAttacks() []attack {
	pair := func(name, defence, reason string, header ...[2]string) attack {
		return attack{name: name, defence: defence, make: func(*shop) request { return me(header...) }, want: badLogin(reason)}
	}
	missing := refusal{http.StatusUnauthorized, readChallenge, "unauthorized", "jwt", "missing"}
	good := func(s *shop) string { return token{by: s.rsa}.String() }
	return []attack{
		{name: "metadata_bare_token", defence: "a token may be there without its scheme, as Goa's clients send it", make: func(s *shop) request {
			return listing([2]string{"Authorization", good(s)})
		}, want: refusal{status: 200}},
		{name: "metadata_bare_garbage", defence: "what has no scheme is a token, or nothing", make: func(*shop) request {
			return listing([2]string{"Authorization", "let-me-in-please"})
		}, want: bad("malformed")},
		{name: "metadata_binary_token", defence: "binary metadata is no credential", make: func(s *shop) request {
			r := listing([2]string{"Authorization-Bin", base64.StdEncoding.EncodeToString([]byte("Bearer " + good(s)))})
			r.secrets = []string{r.header[0][1]}
			return r
		}, want: missing},
		{name: "metadata_binary_key", defence: "binary metadata is no credential", make: func(s *shop) request {
			r := request{call: calls["/users"], header: [][2]string{{"X-Api-Key-Bin", base64.StdEncoding.EncodeToString([]byte(s.keys["good"]))}}}
			r.secrets = []string{r.header[0][1]}
			return r
		}, want: refusal{http.StatusUnauthorized, keyChallenge, "unauthorized", "api_key", "missing"}},
		pair("metadata_user_alone", "a login has two halves", "malformed", user("carol")),
		pair("metadata_password_alone", "a login has two halves", "malformed", pass(password)),
		pair("metadata_two_users", "a user name is there once", "duplicate", user("carol"), user("bert"), pass(password)),
		pair("metadata_two_passwords", "a password is there once", "duplicate", user("carol"), pass("a password like any"), pass(password)),
		pair("metadata_user_colon", "a user name has no colon, as over HTTP", "malformed", user("carol:x"), pass(password)),
		pair("metadata_user_not_utf8", "user names are UTF-8", "malformed", user("carol\xff"), pass(password)),
		pair("metadata_user_huge", "user names are bounded in size", "malformed", user(strings.Repeat("c", 5<<10)), pass(password)),
		pair("metadata_password_huge", "passwords are bounded in size", "malformed", user("carol"), pass(strings.Repeat("p", 5<<10))),
		pair("metadata_login_as_header", "a login is where the design puts it", "missing", login("carol", password)),
		{name: "metadata_same_answer", defence: "strangers do not learn which users there are, over gRPC either", run: sameAnswer(func(name, word string) request {
			return me(user(name), pass(word))
		})},
		{name: "metadata_unicode_user", defence: "user names are any letters", make: func(*shop) request { return me(user("zo\u00eb"), pass(password)) }, want: refusal{status: 200}},
		{name: "metadata_unicode_user_http", defence: "user names are any letters", make: func(*shop) request { return account(login("zo\u00eb", password)) }, want: refusal{status: 200}},
		pair("metadata_unicode_other_form", "user names are compared byte by byte", "unknown", user("zoe\u0308"), pass(password)),
		pair("metadata_unicode_control", "control characters are in no user name", "malformed", user("carol\u0085"), pass(password)),
		{name: "metadata_control", defence: "control characters are in no metadata", run: func(t *testing.T, s *shop) {
			for _, c := range []string{"\x00", "\n", "\r\nx-api-key: " + s.keys["good"]} {
				s.raw(t, "authorization", "Bearer "+good(s)+c)
			}
		}},
		{name: "metadata_upper_case", defence: "keys of metadata are in lower case", run: func(t *testing.T, s *shop) {
			s.raw(t, "Authorization", "Bearer "+good(s))
		}},
		{name: "metadata_not_base64", defence: "binary metadata is base64", run: func(t *testing.T, s *shop) {
			res := s.speak(t, listing(bearer(good(s)), [2]string{"Trace-Bin", "!!!!"}))
			if res.code == "OK" || res.message != nil || strings.Contains(res.text, good(s)) {
				t.Errorf("%s %s", res.code, res.text)
			}
		}},
		{name: "metadata_huge", defence: "metadata is bounded in size", run: func(t *testing.T, s *shop) {
			r := listing(bearer(good(s)))
			for i := range 200 { // each small enough
				r.header = append(r.header, [2]string{fmt.Sprint("X-Huge-", i), strings.Repeat("x", 8<<10)})
			}
			req, err := s.http(&r)
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range r.header {
				req.Header.Add(h[0], h[1])
			}
			res, err := s.rpc.Do(req)
			if err != nil {
				return // the stream is reset
			}
			defer func() { _ = res.Body.Close() }()
			if a, err := readRPC(res); err == nil && (a.code == "OK" || a.message != nil) {
				t.Errorf("%s %q", a.code, a.message)
			}
		}},
		{name: "metadata_request_id", defence: "ids of callers are letters and digits", run: func(t *testing.T, s *shop) {
			for _, id := range []string{`x","level":"error","msg":"forged`, strings.Repeat("x", 65)} {
				a := s.speak(t, request{call: "users.Users/About", header: [][2]string{{"X-Request-Id", id}}})
				if got := a.Header.Get("X-Request-Id"); got == "" || strings.ContainsAny(got, `",`) || got == id || a.message == nil {
					t.Errorf("the id is %q: %s", got, a.text)
				}
			}
		}},
		{name: "metadata_timeout", defence: "a caller's deadline is a time", run: func(t *testing.T, s *shop) {
			for _, v := range []string{"-1S", "1", "S", "1.5S", "999999999S", "1x", " 1S", "+1S", "0x1S", ""} {
				a := s.speak(t, listing(bearer(good(s)), [2]string{"Grpc-Timeout", v}))
				if v != "" && (a.message != nil || a.code == "OK") || strings.Contains(a.text, good(s)) {
					t.Errorf("%q: %s %s", v, a.code, a.text)
				}
			}
		}},
		{name: "metadata_timeout_tiny", defence: "a caller's deadline is kept", run: func(t *testing.T, s *shop) {
			for _, v := range []string{"1n", "0n", "00000000n"} {
				a := s.speak(t, listing(bearer(good(s)), [2]string{"Grpc-Timeout", v}))
				if a.message != nil || a.code != "DEADLINE_EXCEEDED" {
					t.Errorf("%s: %s %s", v, a.code, a.text)
				}
			}
		}},
		{name: "metadata_timeout_huge", defence: "a caller's deadline is not the method's", make: func(s *shop) request {
			return listing(bearer(good(s)), [2]string{"Grpc-Timeout", "99999999H"})
		}, want: refusal{status: 200}},
	}
}

// speak sends a call whose line of the log is not waited for.
func (s *shop) speak(t *testing.T, r request) *answer {
	t.Helper()
	s.keep(fmt.Sprint("spoken-", s.number.Add(1)), r)
	req, err := s.http(&r)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range r.header {
		req.Header.Add(h[0], h[1])
	}
	res, err := s.rpc.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	a, err := readRPC(res)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// preface begins a connection (RFC 9113, section 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// raw calls orders.list with a field of metadata that no client sends, and
// expects that nobody listens: the stream is reset, or the connection closed.
func (s *shop) raw(t *testing.T, name, value string) {
	t.Helper()
	conn, err := net.Dial("tcp", s.grpc)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	id := fmt.Sprintf("raw-%d", s.number.Add(1))
	var block []byte
	for _, f := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", "/orders.Orders/List"}, {":authority", "x"}, {"te", "trailers"},
		{"content-type", "application/grpc"}, {"x-request-id", id}, {name, value},
	} {
		block = append(block, 0x10) // a literal that is never indexed (RFC 7541, section 6.2.3)
		for _, text := range f {
			block = append(number(block, len(text)), text...)
		}
	}
	out := frame([]byte(preface), 4, 0, 0, nil)   // SETTINGS
	out = frame(out, 1, 4, 1, block)              // HEADERS, to their end
	out = frame(out, 0, 1, 1, []byte(framed(""))) // DATA, the last
	if _, err := conn.Write(out); err != nil {
		t.Fatal(err)
	}
	for head := make([]byte, 9); ; {
		if _, err := io.ReadFull(conn, head); err != nil {
			break
		}
		if kind := head[3]; kind == 3 || kind == 7 { // RST_STREAM, GOAWAY
			break
		}
		if head[3] == 0 && head[8] == 1 {
			t.Errorf("%q is answered", name)
		}
		if _, err := io.CopyN(io.Discard, conn, int64(head[0])<<16|int64(head[1])<<8|int64(head[2])); err != nil {
			break
		}
	}
	if l, _ := s.out.find(func(l line) bool { return l.text("request_id") == id && l.text("rpc.response.status_code") == "OK" }); l != nil {
		t.Errorf("the call is served: %s", l.text("raw"))
	}
}

// number adds an integer with a prefix of seven bits (RFC 7541, section 5.1).
func number(b []byte, n int) []byte {
	if n < 127 {
		return append(b, byte(n))
	}
	b = append(b, 127)
	for n -= 127; n >= 128; n >>= 7 {
		b = append(b, byte(n)|128)
	}
	return append(b, byte(n))
}

// frame adds a frame of HTTP/2.
func frame(b []byte, kind, flags, stream byte, payload []byte) []byte {
	n := len(payload)
	return append(append(b, byte(n>>16), byte(n>>8), byte(n), kind, flags, 0, 0, 0, stream), payload...)
}
