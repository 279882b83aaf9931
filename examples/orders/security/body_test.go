package security

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const card = "4000123412341234"

// placed returns a request to place an order, by the body's JSON.
func placed(s *shop, body string, header ...[2]string) request {
	r := post("/orders", body, append(header, bearer(token{by: s.rsa, claims: members{"scope": "api:write"}}))...)
	r.secrets = []string{card}
	return r
}

// order is the JSON of a good order with further members.
func order(more string) string {
	return `{"customer_id":"c1","currency":"EUR","card":"` + card + `","items":[{"sku":"TEA","quantity":1,"unit_price_cents":5}]` + more + `}`
}

// bodyAttacks are about what is sent, and how much of it comes back.
func bodyAttacks() []attack {
	body := func(name, defence, text, errorName string) attack {
		return attack{name: name, defence: defence, make: func(s *shop) request { return placed(s, text) }, want: refusal{status: http.StatusBadRequest, name: errorName}}
	}
	long := strings.Repeat("very-long-value-", 16)
	return []attack{
		{name: "body_good", defence: "a good order is placed", make: func(s *shop) request { return placed(s, order("")) }, want: refusal{status: 201}},
		body("body_unknown_member", "members that the design does not know are refused", order(`,"discount":100`), "unknown_field"),
		body("body_unknown_nested", "so are those within others", strings.Replace(order(""), `"sku"`, `"price":0,"sku"`, 1), "unknown_field"),
		body("body_duplicate_member", "members are there once", order(`,"currency":"USD"`), "duplicate_field"),
		body("body_duplicate_escaped", "however they are written", order(`,"curr\u0065ncy":"USD"`), "duplicate_field"),
		body("body_case", "names are exact", strings.Replace(order(""), `"currency"`, `"Currency"`, 1), "unknown_field"),
		body("body_token_member", "the credential is no part of the body", order(`,"token":"x"`), "unknown_field"),
		body("body_two_values", "there is one value", order("")+order(""), "decode_payload"),
		body("body_deep", "bodies are bounded in depth", order(`,"deep":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)), "decode_payload"),
		body("body_not_utf8", "bodies are UTF-8", order(`,"note":"`+"\xff\xfe"+`"`), "decode_payload"),
		body("body_wrong_type", "values have their types", strings.Replace(order(""), `"`+card+`"`, card, 1), "decode_payload"),
		body("body_out_of_range", "the design's bounds hold", strings.Replace(order(""), `"quantity":1`, `"quantity":10001`, 1), "invalid_range"),
		body("body_sensitive_echo", "what is sensitive is not echoed", strings.Replace(order(""), card, card+"-not-a-card", 1), "invalid_pattern"),
		{name: "body_long_echo", defence: "long values are not echoed", run: func(t *testing.T, s *shop) {
			for _, text := range []string{
				strings.Replace(order(""), "EUR", long, 1), strings.Replace(order(""), `"c1"`, `" `+long+`"`, 1),
				order(`,"` + long + `":1`), strings.Replace(order(""), `"quantity":1`, `"quantity":"`+long+`"`, 1),
			} {
				r := placed(s, text)
				r.secrets = append(r.secrets, long[:65])
				a := s.send(t, r)
				if a.StatusCode != http.StatusBadRequest || strings.Contains(a.text, long[:65]) || strings.Contains(a.log.text("raw"), long[:65]) {
					t.Errorf("%d %s", a.StatusCode, a.text)
				}
			}
		}},
		{name: "body_query_echo", defence: "parameters are not echoed", make: func(s *shop) request {
			r := bearing("/orders?limit="+long, token{by: s.rsa})
			r.secrets = []string{long[:65]}
			return r
		}, want: refusal{status: http.StatusBadRequest, name: "invalid_field_type"}},
		{name: "body_form", defence: "a body has a type that the design takes", make: func(s *shop) request {
			r := placed(s, "customer_id=c1&currency=EUR")
			r.header[len(r.header)-1][1] = "application/x-www-form-urlencoded"
			return r
		}, want: refusal{status: http.StatusUnsupportedMediaType, name: "unsupported_media_type"}},
		{name: "body_compressed", defence: "nothing is inflated", make: func(s *shop) request {
			return placed(s, order(""), [2]string{"Content-Encoding", "gzip"})
		}, want: refusal{status: http.StatusUnsupportedMediaType, name: "unsupported_media_type"}},
		{name: "body_chunked_too_large", defence: "a body without a length ends at the limit", run: chunkedTooLarge},
		{name: "body_too_large", defence: "a body over the limit is not read", run: func(t *testing.T, s *shop) {
			s.unread(t, "Content-Length: 1048577\r\n"+s.authority("api:write"), http.StatusRequestEntityTooLarge, "body_too_large")
		}},
		{name: "body_of_stranger", defence: "the body of who is not let in is not read", run: func(t *testing.T, s *shop) {
			s.unread(t, "Content-Length: 1000000\r\n", http.StatusUnauthorized, "missing")
		}},
	}
}

func (s *shop) authority(scope string) string {
	return "Authorization: Bearer " + token{by: s.rsa, claims: members{"scope": scope}}.String() + "\r\n"
}

// unread sends a header and no body, which the service must not wait for.
func (s *shop) unread(t *testing.T, header string, status int, name string) {
	t.Helper()
	n := fmt.Sprintf("unread-%d", s.number.Add(1))
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(3 * time.Second)) // the method has 5s, a body 30s
	_, err = io.WriteString(conn, "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Request-Id: "+n+"\r\n"+header+"\r\n")
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("it waits for the body: %v", err)
	}
	if res.StatusCode != status || !res.Close {
		t.Errorf("%d, want %d; connection closed %t", res.StatusCode, status, res.Close)
	}
	l, err := s.out.await(s.stopped, func(l line) bool { return l.text("request_id") == n && l.text("msg") == "request" })
	if err != nil {
		t.Fatal(err)
	}
	if l.text("error.type") != name || l["http.request.body.size"] != nil {
		t.Errorf("the log: %s", l.text("raw"))
	}
}

// chunkedTooLarge sends a body without end.
func chunkedTooLarge(t *testing.T, s *shop) {
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	n := fmt.Sprintf("chunked-%d", s.number.Add(1))
	go func() {
		_, _ = io.WriteString(conn, "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Request-Id: "+n+"\r\nTransfer-Encoding: chunked\r\n"+s.authority("api:write")+"\r\n")
		chunk := fmt.Sprintf("%x\r\n%s\r\n", 1<<16, strings.Repeat(" ", 1<<16))
		for range 1 << 10 { // 64 MiB
			if _, err := io.WriteString(conn, chunk); err != nil {
				return
			}
		}
	}()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.out.await(s.stopped, func(l line) bool { return l.text("request_id") == n && l.text("msg") == "request" })
	if err != nil {
		t.Fatal(err)
	}
	if size, _ := l["http.request.body.size"].(float64); res.StatusCode != http.StatusRequestEntityTooLarge || size > 1<<20 || l.text("error.type") != "body_too_large" {
		t.Errorf("%d %s", res.StatusCode, l.text("raw"))
	}
}
