package security

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Opcodes of WebSockets (RFC 6455, section 5.2).
const (
	opMore = 0
	opText = 1
	opBye  = 8
	opPing = 9
	final  = 0x80
)

// socket is a client of orders.live that knows no rules.
type socket struct {
	net.Conn
	in *bufio.Reader
	id string // of its request
}

// dial opens a WebSocket, and reads the event that it begins with.
func (s *shop) dial(t *testing.T, header ...[2]string) *socket {
	t.Helper()
	k, res := s.shake(t, append(header, bearer(token{by: s.rsa}))...)
	if res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%s", res.Status)
	}
	if kind, text, err := k.read(); err != nil || kind != opText || !strings.Contains(text, "alive") {
		t.Fatalf("it begins with %d %q %v", kind, text, err)
	}
	return k
}

// shake sends the handshake.
func (s *shop) shake(t *testing.T, header ...[2]string) (*socket, *http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	n := s.number.Add(1)
	k := &socket{conn, bufio.NewReader(conn), fmt.Sprintf("socket-%d", n)}
	text := fmt.Sprintf("GET /orders/live HTTP/1.1\r\nHost: %s\r\nX-Request-Id: %s\r\nX-Forwarded-For: 10.1.%d.%d\r\n", s.addr, k.id, n>>8&255, n&255)
	for _, h := range append(handshake, header...) {
		text += h[0] + ": " + h[1] + "\r\n"
	}
	if _, err := io.WriteString(conn, text+"\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(k.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	return k, res
}

// framing returns a frame, masked by zeros.
func framing(head byte, payload string) string {
	b := []byte{head, 0x80}
	switch n := len(payload); {
	case n < 126:
		b[1] |= byte(n)
	case n < 1<<16:
		b[1] |= 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b[1] |= 127
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return string(append(b, 0, 0, 0, 0)) + payload
}

// read reads a frame.
func (k *socket) read() (kind byte, payload string, err error) {
	var head [2]byte
	if _, err := io.ReadFull(k.in, head[:]); err != nil {
		return 0, "", err
	}
	n := int64(head[1] & 0x7f)
	if n == 126 {
		var more [2]byte
		if _, err := io.ReadFull(k.in, more[:]); err != nil {
			return 0, "", err
		}
		n = int64(binary.BigEndian.Uint16(more[:]))
	}
	if n == 127 {
		return 0, "", errors.New("a frame of more than 64 KiB")
	}
	b := make([]byte, n)
	_, err = io.ReadFull(k.in, b)
	return head[0] & 0x0f, string(b), err
}

// ends reads up to the close frame, and returns its code and reason.
func (k *socket) ends() (code int, reason string, err error) {
	for {
		kind, text, err := k.read()
		switch {
		case err != nil:
			return 0, "", err
		case kind == opBye && len(text) < 2:
			return 1005, "", nil
		case kind == opBye:
			return int(binary.BigEndian.Uint16([]byte(text))), text[2:], nil
		}
	}
}

// closing is a case of what is sent through a WebSocket, and how that ends.
func closing(name, defence string, code int, reason, logged string, send ...string) attack {
	return attack{name: name, defence: defence, run: func(t *testing.T, s *shop) { s.closes(t, code, reason, logged, send...) }}
}

// closes sends what is no use to wait for.
func (s *shop) closes(t *testing.T, code int, reason, logged string, send ...string) {
	t.Helper()
	k := s.dial(t)
	go func() {
		for _, text := range send {
			if _, err := io.WriteString(k, text); err != nil {
				return
			}
		}
	}()
	got, why, err := k.ends()
	if err != nil || got != code || reason != "" && why != reason {
		t.Errorf("it ends with %d %q, %v, want %d %q", got, why, err, code, reason)
	}
	_ = k.Close()
	l, err := s.out.await(s.stopped, func(l line) bool { return l.text("request_id") == k.id && l.text("msg") == "request" })
	if err != nil {
		t.Fatal(err)
	}
	if l.text("error.type") != logged || l.text("level") == "ERROR" {
		t.Errorf("the log: %s", l.text("raw"))
	}
}

// socketAttacks are about WebSockets that are open, and about pages that open
// them.
func socketAttacks() []attack {
	shaking := func(header ...[2]string) func(*shop) request {
		return func(s *shop) request {
			r := get("/orders/live", append(header, handshake...)...)
			r.header = append(r.header, bearer(token{by: s.rsa}))
			return r
		}
	}
	foreign := refusal{status: http.StatusForbidden, name: "bad_handshake"}
	filter, _ := json.Marshal(map[string]any{"kinds": []string{"placed"}})
	return []attack{
		{name: "socket_good", defence: "a filter is answered", run: func(t *testing.T, s *shop) {
			k := s.dial(t)
			_, _ = io.WriteString(k, framing(final|opText, string(filter)))
			if _, text, err := k.read(); err != nil || !strings.Contains(text, `"filter"`) {
				t.Errorf("%q %v", text, err)
			}
			_, _ = io.WriteString(k, framing(final|opBye, "\x03\xe8"))
			if code, _, err := k.ends(); err != nil || code != 1000 {
				t.Errorf("%d %v", code, err)
			}
		}},
		{name: "socket_foreign_page", defence: "pages of strangers open no WebSocket", make: shaking(origin("https://evil.example")), want: foreign},
		{name: "socket_null_page", defence: "null is nobody's page", make: shaking(origin("null")), want: foreign},
		{name: "socket_suffix_page", defence: "origins are exact", make: shaking(origin(page + ".evil.example")), want: foreign},
		{name: "socket_port_page", defence: "another port is another origin", make: shaking(origin("http://127.0.0.1:1")), want: foreign},
		{name: "socket_configured_page", defence: "the configured pages may open one", make: shaking(origin(page)), want: refusal{status: 200}},
		{name: "socket_own_page", defence: "pages of the service's own origin may open one", make: func(s *shop) request {
			return shaking(origin("http://" + s.addr))(s)
		}, want: refusal{status: 200}},
		{name: "socket_token_as_protocol", defence: "a token is where the design puts it", make: func(s *shop) request {
			r := get("/orders/live", append([][2]string{{"Sec-WebSocket-Protocol", "bearer, " + token{by: s.rsa}.String()}}, handshake...)...)
			r.secrets = []string{r.header[0][1][len("bearer, "):]}
			return r
		}, want: refusal{http.StatusUnauthorized, readChallenge, "unauthorized", "jwt", "missing"}},
		{name: "socket_plain", defence: "a stream begins with its handshake", make: func(s *shop) request { return bearing("/orders/live", token{by: s.rsa}) },
			want: refusal{status: http.StatusBadRequest, name: "bad_handshake"}},
		{name: "socket_version", defence: "there is one version", run: func(t *testing.T, s *shop) {
			r := get("/orders/live", handshake...)
			r.header = append(r.header[:2:2], r.header[3], [2]string{"Sec-WebSocket-Version", "8"}, bearer(token{by: s.rsa}))
			s.attack(t, r, refusal{status: http.StatusBadRequest, name: "bad_handshake"})
		}},
		{name: "socket_since", defence: "parameters are checked before the handshake", make: func(s *shop) request {
			r := shaking()(s)
			r.path += "?since=%0d%0aSet-Cookie:%20a=b"
			return r
		}, want: refusal{status: http.StatusBadRequest, name: "invalid_pattern"}},
		closing("socket_too_large", "messages are bounded in size", 1009, "", "body_too_large", framing(final|opText, strings.Repeat(" ", 4<<10+1))),
		closing("socket_announced", "what a frame says of its size is not believed", 1009, "", "body_too_large", "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"),
		closing("socket_fragments_too_large", "fragments are one message", 1009, "", "body_too_large", framing(opText, strings.Repeat(" ", 2<<10)),
			framing(opMore, strings.Repeat(" ", 2<<10)), framing(opMore, strings.Repeat(" ", 2<<10))),
		closing("socket_flood", "messages are bounded in number", 1008, "too_many_messages", "too_many_messages", strings.Repeat(framing(final|opText, string(filter)), 30)),
		closing("socket_fragments", "a message ends", 1008, "too_many_messages", "too_many_messages",
			framing(opText, ""), strings.Repeat(framing(opMore, ""), 1000)),
		closing("socket_pings", "pings are bounded in number", 1008, "too_many_messages", "too_many_messages", strings.Repeat(framing(final|opPing, "x"), 300)),
		closing("socket_unmasked", "frames of clients are masked", 1002, "", "protocol_error", "\x81\x02{}"),
		closing("socket_opcode", "frames are of a kind that there is", 1002, "", "protocol_error", framing(final|3, "x")),
		closing("socket_reserved", "reserved bits are none", 1002, "", "protocol_error", framing(final|0x40|opText, "{}")),
		closing("socket_continuation", "what goes on has begun", 1002, "", "protocol_error", framing(final|opMore, "{}")),
		closing("socket_interleaved", "a message ends before the next", 1002, "", "protocol_error", framing(opText, "{"), framing(final|opText, "{}")),
		closing("socket_ping_fragment", "pings are whole", 1002, "", "protocol_error", framing(opPing, "x")),
		closing("socket_ping_large", "pings are short", 1002, "", "protocol_error", framing(final|opPing, strings.Repeat("x", 126))),
		closing("socket_close_code", "closing has a reason that there is", 1002, "", "protocol_error", framing(final|opBye, "\x03\xed")),
		closing("socket_not_json", "messages are JSON", 1008, "decode_payload", "decode_payload", framing(final|opText, "let me in")),
		closing("socket_wrong_type", "values have their types", 1008, "", "decode_payload", framing(final|opText, `{"kinds":"placed"}`)),
		closing("socket_invalid", "the design's bounds hold", 1008, "invalid_enum_value", "invalid_enum_value", framing(final|opText, `{"kinds":["`+password+`"]}`)),
		closing("socket_not_utf8", "messages are UTF-8", 1007, "", "protocol_error", framing(final|opText, "{\"\xff\":1}")),
		closing("socket_not_utf8_value", "messages are UTF-8", 1007, "", "protocol_error", framing(final|opText, "{\"kinds\":[\"\xc3\x28\"]}")),
	}
}
