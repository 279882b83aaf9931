package security

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	orderspb "github.com/aguada-dev/aguada/examples/orders/gen/grpc/orders/pb"
)

// message encodes a message.
func message(m proto.Message) string {
	data, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// ordered returns a good order, changed.
func ordered(change func(*orderspb.CreateRequest)) *orderspb.CreateRequest {
	number := card
	m := &orderspb.CreateRequest{
		CustomerId: "c1", Currency: "EUR", Card: &number, Items: []*orderspb.OrderItem{{Sku: "TEA", Quantity: 1, UnitPriceCents: 5}},
	}
	if change != nil {
		change(m)
	}
	return m
}

// placing returns a call of orders.create with a message.
func placing(s *shop, m string, header ...[2]string) request {
	return request{
		call: calls["POST/orders"], body: m, secrets: []string{card},
		header: append(header, bearer(token{by: s.rsa, claims: members{"scope": "api:write"}})),
	}
}

// endless is a body that does not end, and counts what is taken of it.
type endless struct {
	head  string
	taken atomic.Int64
	most  int64 // after which nothing comes any more
	over  chan struct{}
	once  sync.Once
}

func newEndless(head string, most int64) *endless {
	return &endless{head: head, most: most, over: make(chan struct{})}
}

// Read implements io.Reader.
func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.head)
	if e.head = e.head[n:]; n > 0 {
		return n, nil
	}
	if e.taken.Load() >= e.most {
		<-e.over
		return 0, io.EOF
	}
	e.taken.Add(int64(len(p)))
	return len(p), nil
}

// Close implements io.Closer: the client closes what nobody wants.
func (e *endless) Close() error {
	e.once.Do(func() { close(e.over) })
	return nil
}

// announced is the head of a message of n bytes.
func announced(n uint32) string { return string(binary.BigEndian.AppendUint32([]byte{0}, n)) }

// zipped returns a message that is compressed, as it is sent.
func zipped(message []byte) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(message)
	_ = z.Close()
	return "\x01" + announced(uint32(b.Len()))[1:] + b.String()
}

// messageAttacks are about messages of gRPC.
func messageAttacks() []attack {
	invalid := func(name, defence, errorName string, change func(*orderspb.CreateRequest)) attack {
		return attack{name: name, defence: defence, make: func(s *shop) request { return placing(s, message(ordered(change))) },
			want: refusal{status: http.StatusBadRequest, name: errorName}}
	}
	tooLarge := refusal{status: http.StatusRequestEntityTooLarge, name: "body_too_large"}
	missing := refusal{http.StatusUnauthorized, `Bearer realm="shop", scope="api:write"`, "unauthorized", "jwt", "missing"}
	long := strings.Repeat("very-long-value-", 16)
	return []attack{
		{name: "message_good", defence: "a good order is placed", make: func(s *shop) request { return placing(s, message(ordered(nil))) }, want: refusal{status: 200}},
		{name: "message_of_stranger", defence: "the message of who is not let in is not read", run: func(t *testing.T, s *shop) {
			for name, e := range map[string]*endless{
				"stalled": newEndless("", 0), "large": newEndless(announced(3<<20), 3<<20), "malformed": newEndless(announced(1)+"\xff", 0),
			} {
				begun := time.Now()
				s.attack(t, request{call: calls["POST/orders"], wire: e}, missing)
				if took := time.Since(begun); took > 3*time.Second || e.taken.Load() > 1<<20 {
					t.Errorf("%s: %s, %d bytes were taken", name, took, e.taken.Load())
				}
			}
		}},
		{name: "message_malformed_of_stranger", defence: "who is not let in learns nothing of the message", make: func(*shop) request {
			return request{call: calls["POST/orders"], body: "\xff\xff"}
		}, want: missing},
		{name: "message_too_large", defence: "messages are bounded in size", run: func(t *testing.T, s *shop) {
			r := placing(s, "")
			r.wire = newEndless(announced(1<<20+1), 4<<20)
			s.sized(t, r)
		}},
		{name: "message_announced", defence: "what a message says of its size is not believed", run: func(t *testing.T, s *shop) {
			r := placing(s, "")
			r.wire = newEndless(announced(1<<30), 0)
			s.sized(t, r)
		}},
		{name: "message_over_its_method", defence: "messages are bounded by their method", make: func(s *shop) request {
			return request{call: "orders.Orders/Live", header: [][2]string{bearer(token{by: s.rsa})}, wire: strings.NewReader(
				framed(message(&orderspb.LiveStreamingRequest{Kinds: []string{strings.Repeat("x", 4<<10)}}))), last: true}
		}, want: tooLarge},
		{name: "message_compressed", defence: "a message is as large as it is when inflated", run: func(t *testing.T, s *shop) {
			r := placing(s, "", [2]string{"Grpc-Encoding", "gzip"})
			r.wire = strings.NewReader(zipped([]byte(message(ordered(nil)))))
			s.attack(t, r, refusal{status: 200})
			for _, n := range []int{2 << 20, 64 << 20} {
				r.wire = strings.NewReader(zipped(make([]byte, n)))
				if a := s.sized(t, r); !strings.Contains(a.said, "after decompression larger than max") {
					t.Errorf("%d: %s", n, a.said)
				}
			}
			live := request{call: "orders.Orders/Live", header: [][2]string{bearer(token{by: s.rsa}), {"Grpc-Encoding", "gzip"}}, last: true}
			live.wire = strings.NewReader(zipped(make([]byte, 5<<10)))
			s.attack(t, live, tooLarge)
		}},
		{name: "message_compressed_by_nothing", defence: "what is compressed says how", run: func(t *testing.T, s *shop) {
			r := placing(s, "")
			r.wire = strings.NewReader(zipped([]byte(message(ordered(nil)))))
			if a := s.speak(t, r); a.code == "OK" || a.message != nil {
				t.Errorf("%s %s", a.code, a.text)
			}
		}},
		{name: "message_malformed", defence: "nobody learns what a decoder says", run: func(t *testing.T, s *shop) {
			for _, m := range []string{"\xff", "{", order(""), "\x0a\xff\xff\xff\xff\x0f", strings.Repeat("\x7b", 20_000), "\x0a\x02\xff\xfe"} {
				a := s.attack(t, placing(s, m), refusal{status: http.StatusBadRequest, name: "decode_payload"})
				if a.said != "the message is no valid Protocol Buffer of its type" {
					t.Errorf("%q: %s", m[:1], a.said)
				}
			}
		}},
		{name: "message_none", defence: "a call has a message", run: func(t *testing.T, s *shop) {
			r := placing(s, "")
			r.wire = strings.NewReader("")
			if a := s.speak(t, r); a.code == "OK" || a.message != nil {
				t.Errorf("%s %s", a.code, a.text)
			}
			r.wire = strings.NewReader(framed(message(ordered(nil)))[:9])
			if a := s.speak(t, r); a.code == "OK" || a.message != nil {
				t.Errorf("cut: %s %s", a.code, a.text)
			}
		}},
		{name: "message_unknown_field", defence: "the credential is no part of the message", run: func(t *testing.T, s *shop) {
			m := protowire.AppendString(protowire.AppendTag(nil, 15, protowire.BytesType), token{by: s.rsa, claims: members{"scope": "api:write"}}.String())
			s.attack(t, request{call: calls["POST/orders"], body: message(ordered(nil)) + string(m)}, missing)
		}},
		invalid("message_out_of_range", "the design's bounds hold", "invalid_range", func(m *orderspb.CreateRequest) { m.Items[0].Quantity = 10_001 }),
		invalid("message_negative", "the design's bounds hold", "invalid_range", func(m *orderspb.CreateRequest) { m.Items[0].UnitPriceCents = -1 }),
		invalid("message_many", "lists are bounded", "invalid_length", func(m *orderspb.CreateRequest) {
			for range 51 {
				m.Items = append(m.Items, m.Items[0])
			}
		}),
		invalid("message_sensitive_echo", "what is sensitive is not echoed", "invalid_pattern", func(m *orderspb.CreateRequest) {
			number := card + "-not-a-card"
			m.Card = &number
		}),
		{name: "message_long_echo", defence: "values are not echoed", run: func(t *testing.T, s *shop) {
			for _, m := range []*orderspb.CreateRequest{
				ordered(func(m *orderspb.CreateRequest) { m.Currency = long }), ordered(func(m *orderspb.CreateRequest) { m.CustomerId = " " + long }),
				ordered(func(m *orderspb.CreateRequest) { m.Items[0].Sku = long }),
			} {
				r := placing(s, message(m))
				r.secrets = append(r.secrets, long[:65])
				a := s.send(t, r)
				if a.StatusCode != http.StatusBadRequest || strings.Contains(a.text, long[:65]) || strings.Contains(a.log.text("raw"), long[:65]) {
					t.Errorf("%s %s", a.code, a.text)
				}
			}
		}},
		{name: "message_sql", defence: "ids are no queries", make: func(s *shop) request {
			return request{call: "orders.Orders/Get", header: [][2]string{bearer(token{by: s.rsa})}, body: message(&orderspb.GetRequest{Id: "ord_' OR '1'='1"})}
		}, want: refusal{status: http.StatusBadRequest, name: "invalid_pattern"}},
		{name: "message_of_another", defence: "an order is its owner's, over gRPC too", run: func(t *testing.T, s *shop) {
			var placed orderspb.CreateResponse
			if err := proto.Unmarshal(s.attack(t, placing(s, message(ordered(nil))), refusal{status: 200}).message, &placed); err != nil {
				t.Fatal(err)
			}
			get := message(&orderspb.GetRequest{Id: placed.Id})
			s.attack(t, request{call: "orders.Orders/Get", header: [][2]string{bearer(token{by: s.rsa})}, body: get}, refusal{status: 200})
			s.attack(t, request{call: "orders.Orders/Get", header: [][2]string{bearer(token{by: s.rsa, claims: members{"sub": "oscar"}})}, body: get},
				refusal{status: http.StatusNotFound, name: "not_found"})
		}},
		{name: "message_flood", defence: "messages of a stream are bounded in number", make: func(s *shop) request {
			return request{call: "orders.Orders/Live", header: [][2]string{bearer(token{by: s.rsa})}, last: true,
				wire: strings.NewReader(strings.Repeat(framed(""), 100))}
		}, want: refusal{status: http.StatusTooManyRequests, name: "too_many_messages"}},
	}
}

// sized sends what is too large for every method, which the server refuses by
// itself.
func (s *shop) sized(t *testing.T, r request) *answer {
	t.Helper()
	a := s.send(t, r)
	if a.code != "RESOURCE_EXHAUSTED" || a.log.text("error.type") != "body_too_large" || len(s.leaks(a.text)) > 0 {
		t.Errorf("%s %s\n%s", a.code, a.text, a.log.text("raw"))
	}
	if size, _ := a.log["rpc.request.size"].(float64); size > 1<<20 {
		t.Errorf("%s", a.log.text("raw"))
	}
	if e, ok := r.wire.(*endless); ok && e.taken.Load() > 2<<20 {
		t.Errorf("%d bytes were taken", e.taken.Load())
	}
	return a
}
