package security

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// follow opens orders.watch_orders over SSE, and returns what comes until the
// function says that it is enough.
func (s *shop) follow(t *testing.T, tok any, enough func(string) bool, header ...[2]string) string {
	t.Helper()
	r := bearing("/orders/events", tok)
	r.header = append(r.header, header...)
	s.keep(fmt.Sprint("follow-", s.number.Add(1)), r)
	req, err := s.http(&r)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range r.header {
		req.Header.Add(h[0], h[1])
	}
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s %v", res.Status, res.Header)
	}
	text := ""
	for b := make([]byte, 1<<10); !enough(text); {
		n, err := res.Body.Read(b)
		if text += string(b[:n]); err != nil {
			break
		}
	}
	return text
}

// injected is what an attacker hopes to see as an event of its own.
const injected = "\r\n\r\nevent: shipped\r\ndata: {\"kind\":\"shipped\"}\n\nretry: 1\ndata: x\u2028"

// eventAttacks are about Server-Sent Events, and about streams on which nothing
// happens.
func eventAttacks() []attack {
	last := func(name, id string) attack {
		return attack{name: name, defence: "ids of events are those that were given out", make: func(s *shop) request {
			r := bearing("/orders/events", token{by: s.rsa})
			r.header = append(r.header, [2]string{"Last-Event-ID", id})
			return r
		}, want: refusal{status: http.StatusBadRequest, name: "invalid_pattern"}}
	}
	return []attack{
		{name: "events_injection", defence: "strings are in one event", run: injection},
		{name: "events_foreign_page", defence: "pages of strangers follow nothing", run: func(t *testing.T, s *shop) {
			for o, want := range map[string]string{"https://evil.example": "", "null": "", "http://127.0.0.1:1": "", page: page} {
				r := bearing("/orders/events", token{by: s.rsa})
				r.header = append(r.header, origin(o))
				if a := s.attack(t, r, refusal{status: 200}); a.Header.Get("Access-Control-Allow-Origin") != want || want == "" && len(allowed(a)) > 0 {
					t.Errorf("%s: %q", o, allowed(a))
				}
			}
		}},
		last("events_last_id", "start\u2028ord_"),
		last("events_last_id_sql", "' OR '1'='1"),
		last("events_last_id_long", strings.Repeat("start", 1000)),
		{name: "events_of_others", defence: "events are their owners'", run: func(t *testing.T, s *shop) {
			oscar := token{by: s.rsa, claims: members{"sub": "oscar-of-events"}}
			id := s.placed(t, "oscar-of-events", "")
			if got := s.follow(t, oscar, func(text string) bool { return strings.Contains(text, id) }, [2]string{"Last-Event-ID", "start"}); !strings.Contains(got, id) {
				t.Errorf("the owner has %q", got)
			}
			mine := s.placed(t, "mallory-of-events", "")
			got := s.follow(t, token{by: s.rsa, claims: members{"sub": "mallory-of-events"}}, func(text string) bool { return strings.Contains(text, mine) }, [2]string{"Last-Event-ID", "start"})
			if strings.Contains(got, id) || !strings.Contains(got, mine) {
				t.Errorf("another has %q", got)
			}
			r := bearing("/orders/events", token{by: s.rsa, claims: members{"sub": "mallory-of-events"}})
			r.header = append(r.header, [2]string{"Last-Event-ID", id + ".placed"})
			s.attack(t, r, refusal{status: http.StatusGone, name: "gone"})
		}},
		{name: "streams_expire", defence: "a stream ends with its credential", run: expiring},
	}
}

// placed places an order of an owner and returns its id.
func (s *shop) placed(t *testing.T, owner, note string) string {
	t.Helper()
	more, err := json.Marshal(note)
	if err != nil {
		t.Fatal(err)
	}
	a := s.send(t, post("/orders", order(`,"note":`+string(more)), bearer(token{by: s.rsa, claims: members{"sub": owner, "scope": "api:write"}})))
	var o struct{ ID string }
	if err := json.Unmarshal([]byte(a.text), &o); err != nil || a.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	return o.ID
}

// injection places an order with lines in all its texts, its owner's name
// included, and follows it.
func injection(t *testing.T, s *shop) {
	owner := "eve" + injected
	id := s.placed(t, owner, injected)
	got := s.follow(t, token{by: s.rsa, claims: members{"sub": owner}}, func(text string) bool { return strings.Contains(text, id+".placed") && strings.HasSuffix(text, "\n\n") }, [2]string{"Last-Event-ID", "start"})
	events := strings.Split(strings.TrimSuffix(got, "\n\n"), "\n\n")
	if len(events) != 2 || strings.Contains(got, "\r") || strings.Contains(got, "\nretry") {
		t.Errorf("%d events: %q", len(events), got)
	}
	for _, e := range events {
		var told struct {
			ID, Kind string
			By       string `json:"created_by"`
		}
		lines := strings.Split(e, "\n")
		if len(lines) != 3 {
			t.Fatalf("an event of %d lines: %q", len(lines), e)
		}
		if err := json.Unmarshal([]byte(strings.TrimPrefix(lines[2], "data: ")), &told); err != nil || told.Kind != "alive" && told.By != owner {
			t.Errorf("%v: %+v", err, told)
		}
	}
	r := get("/orders/"+id, bearer(token{by: s.rsa, claims: members{"sub": owner}}))
	if a := s.attack(t, r, refusal{status: 200}); strings.Contains(a.log.text("raw"), "\nevent") {
		t.Errorf("the log: %s", a.log.text("raw"))
	}
}

// expiring opens all the streams by a token that expires soon.
func expiring(t *testing.T, s *shop) {
	short := token{by: s.rsa, claims: members{"exp": time.Now().Add(1500*time.Millisecond).Unix() + 1}}
	begun := time.Now()
	var wg sync.WaitGroup
	wg.Go(func() {
		if text := s.follow(t, short, func(string) bool { return false }); !strings.HasSuffix(text, ": expired\n\n") {
			t.Errorf("SSE: %q", text)
		}
	})
	wg.Go(func() {
		k, res := s.shake(t, bearer(short))
		if code, why, err := k.ends(); code != 1008 || why != "expired" {
			t.Errorf("WebSocket: %s, %d %q %v", res.Status, code, why, err)
		}
	})
	for call, wire := range map[string]io.Reader{"orders.Orders/WatchOrders": nil, "orders.Orders/Live": newEndless(framed(""), 0)} {
		wg.Go(func() {
			a, err := s.try(request{call: call, header: [][2]string{bearer(short)}, last: true, wire: wire})
			if err != nil || a.code != "UNAUTHENTICATED" || a.log.text("error.type") != "expired" {
				t.Errorf("%s: %v, %+v", call, err, a)
			}
		})
	}
	wg.Wait()
	if took := time.Since(begun); took > 6*time.Second {
		t.Errorf("they end after %s", took)
	}
}
