package security

import (
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	_ "modernc.org/sqlite" // the shop's database

	orderspb "github.com/aguada-dev/aguada/examples/orders/gen/grpc/orders/pb"
)

// once returns a request to place an order of a subject under a key.
func once(s *shop, key, subject, body string) request {
	return post("/orders", body, [2]string{"Idempotency-Key", key}, bearer(token{by: s.rsa, claims: members{"sub": subject, "scope": "api:write"}}))
}

// onceRPC is once over gRPC.
func onceRPC(s *shop, key, subject string, m *orderspb.CreateRequest) request {
	return request{call: calls["POST/orders"], body: message(m), header: [][2]string{
		{"Idempotency-Key", key}, bearer(token{by: s.rsa, claims: members{"sub": subject, "scope": "api:write"}}),
	}}
}

// orderOf returns the id of the order in an answer, and whether the answer was
// given before.
func orderOf(t *testing.T, a *answer) (id string, replayed bool) {
	t.Helper()
	var o struct{ ID string }
	if a.message == nil {
		if err := json.Unmarshal([]byte(a.text), &o); err != nil {
			t.Fatalf("%v: %s", err, a.text)
		}
	} else {
		var m orderspb.CreateResponse
		if err := proto.Unmarshal(a.message, &m); err != nil {
			t.Fatal(err)
		}
		o.ID = m.Id
	}
	return o.ID, a.Header.Get("Idempotency-Replayed") == "true"
}

// idempotencyAttacks are about keys of other people, and about what a key is
// not good for.
func idempotencyAttacks() []attack {
	created := refusal{status: http.StatusCreated}
	fine := refusal{status: http.StatusOK}
	malformed := refusal{status: http.StatusBadRequest, name: "idempotency_key_malformed"}
	mismatch := refusal{status: http.StatusUnprocessableEntity, name: "idempotency_mismatch"}
	return []attack{
		{name: "idempotency_replay", defence: "who repeats a call has its answer", run: func(t *testing.T, s *shop) {
			key := rand.Text()
			first, was := orderOf(t, s.attack(t, once(s, key, "kim", order("")), created))
			again, is := orderOf(t, s.attack(t, once(s, key, "kim", order("")), created))
			if first != again || was || !is {
				t.Errorf("%s %t, then %s %t", first, was, again, is)
			}
			rpc := rand.Text()
			first, was = orderOf(t, s.attack(t, onceRPC(s, rpc, "kim", ordered(nil)), fine))
			again, is = orderOf(t, s.attack(t, onceRPC(s, rpc, "kim", ordered(nil)), fine))
			if first != again || was || !is {
				t.Errorf("gRPC: %s %t, then %s %t", first, was, again, is)
			}
		}},
		{name: "idempotency_other_principal", defence: "a key is its principal's", run: func(t *testing.T, s *shop) {
			key := rand.Text()
			mine, _ := orderOf(t, s.attack(t, once(s, key, "kim", order("")), created))
			for name, r := range map[string]request{
				"another subject": once(s, key, "lee", order("")), "another over gRPC": onceRPC(s, key, "max", ordered(nil)),
				"another issuer": post("/orders", order(""), [2]string{"Idempotency-Key", key},
					bearer(token{by: s.twin, claims: members{"iss": partner, "sub": "kim", "scope": "api:write"}})),
			} {
				want := created
				if r.call != "" {
					want = fine
				}
				if got, replayed := orderOf(t, s.attack(t, r, want)); got == mine || replayed {
					t.Errorf("%s has %s %t", name, got, replayed)
				}
			}
			s.attack(t, once(s, key, "zoe", strings.Replace(order(""), "c1", "c2", 1)), created) // nor does anybody learn that it is used
		}},
		{name: "idempotency_other_body", defence: "a key is of one request", run: func(t *testing.T, s *shop) {
			key := rand.Text()
			s.attack(t, once(s, key, "kim", order("")), created)
			for _, body := range []string{
				strings.Replace(order(""), "c1", "c2", 1), order(`,"note":""`), strings.Replace(order(""), `"quantity":1`, `"quantity":2`, 1),
				strings.Replace(order(""), card, card+"0", 1),
			} {
				s.attack(t, once(s, key, "kim", body), mismatch)
			}
			s.attack(t, onceRPC(s, key, "kim", ordered(func(m *orderspb.CreateRequest) { m.CustomerId = "c2" })), mismatch)
		}},
		{name: "idempotency_other_transport", defence: "an answer of one transport is none of another, and nothing runs twice", run: func(t *testing.T, s *shop) {
			spent := refusal{status: http.StatusConflict, name: "idempotency_answer_lost"}
			key, rpc := rand.Text(), rand.Text()
			s.attack(t, once(s, key, "kim", order("")), created)
			s.attack(t, onceRPC(s, key, "kim", ordered(nil)), spent)
			s.attack(t, onceRPC(s, rpc, "kim", ordered(nil)), fine)
			s.attack(t, once(s, rpc, "kim", order("")), spent)
		}},
		{name: "idempotency_malformed", defence: "a key is a key", run: func(t *testing.T, s *shop) {
			for _, key := range []string{"", " ", `""`, `"a`, `a"`, `a b`, "a,b", `"a";x=1`, `("a")`, "k\u00e9y", strings.Repeat("k", 256), `"\x"`, "k;x"} {
				if a := s.attack(t, once(s, key, "kim", order("")), malformed); strings.Contains(a.text, strings.Repeat("k", 65)) {
					t.Errorf("%s", a.text)
				}
				s.attack(t, onceRPC(s, key, "kim", ordered(nil)), malformed)
			}
			for _, r := range []request{once(s, "one", "kim", order("")), onceRPC(s, "one", "kim", ordered(nil))} {
				r.header = append(r.header, [2]string{"Idempotency-Key", "one"})
				s.attack(t, r, malformed)
			}
		}},
		{name: "idempotency_no_credential", defence: "a key is no credential", run: func(t *testing.T, s *shop) {
			key, rpc := rand.Text(), rand.Text()
			s.attack(t, once(s, key, "kim", order("")), created)
			s.attack(t, onceRPC(s, rpc, "kim", ordered(nil)), fine)
			for _, r := range []request{once(s, key, "kim", order("")), onceRPC(s, rpc, "kim", ordered(nil))} {
				bare := r
				bare.header = nil
				for _, h := range r.header {
					if h[0] != "Authorization" {
						bare.header = append(bare.header, h)
					}
				}
				with := func(k token) request {
					r := bare
					r.header = append(bare.header[:len(bare.header):len(bare.header)], bearer(k))
					return r
				}
				const write = `Bearer realm="shop", `
				s.attack(t, bare, refusal{http.StatusUnauthorized, write + `scope="api:write"`, "unauthorized", "jwt", "missing"})
				s.attack(t, with(token{by: s.stranger, claims: members{"sub": "kim", "scope": "api:write"}}),
					refusal{http.StatusUnauthorized, write + `error="invalid_token", scope="api:write"`, "unauthorized", "jwt", "bad_signature"})
				s.attack(t, with(token{by: s.rsa, claims: members{"sub": "kim", "scope": "api:write", "exp": time.Now().Unix() - 60}}),
					refusal{http.StatusUnauthorized, write + `error="invalid_token", error_description="the token expired", scope="api:write"`, "unauthorized", "jwt", "expired"})
				s.attack(t, with(token{by: s.rsa, claims: members{"sub": "kim", "scope": "api:read"}}),
					refusal{http.StatusForbidden, write + `error="insufficient_scope", scope="api:write"`, "forbidden", "jwt", "insufficient_scope"})
			}
		}},
		{name: "idempotency_renewed_token", defence: "a credential is no part of the request", run: func(t *testing.T, s *shop) {
			key := rand.Text()
			first, _ := orderOf(t, s.attack(t, once(s, key, "kim", order("")), created))
			if again, _ := orderOf(t, s.attack(t, once(s, key, "kim", order("")), created)); again != first { // each token is another
				t.Errorf("%s, then %s", first, again)
			}
		}},
		{name: "idempotency_failed", defence: "a refusal is not kept", run: func(t *testing.T, s *shop) {
			key := rand.Text()
			s.attack(t, once(s, key, "kim", strings.Replace(order(""), "EUR", "XXX", 1)), refusal{status: http.StatusBadRequest, name: "invalid_enum_value"})
			s.attack(t, once(s, key, "kim", order("")), created)
		}},
		{name: "idempotency_stored", defence: "stored answers say nothing to who reads the database", run: func(t *testing.T, s *shop) {
			key, customer := rand.Text(), "sealed-"+rand.Text()
			s.attack(t, once(s, key, "kim-"+customer, strings.Replace(order(""), "c1", customer, 1)), created)
			for _, row := range s.rows(t) {
				if text := row.id + row.fingerprint + row.reply; strings.Contains(text, customer) || strings.Contains(text, key) || strings.Contains(text, "ord_") {
					t.Errorf("a record holds %q", text)
				}
			}
		}},
		{name: "idempotency_moved", defence: "an answer that was moved to another's record is none", run: moved},
		{name: "idempotency_store_away", defence: "nothing runs unguarded", run: storeAway},
		{name: "idempotency_together", defence: "a call runs once, however many come at once", run: atOnce},
	}
}

// row is a record as who reads the database sees it.
type row struct{ id, fingerprint, reply string }

// query asks the shop's database.
func (s *shop) query(t *testing.T, f func(*sql.DB) error) {
	t.Helper()
	db, err := sql.Open("sqlite", s.file("shop.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := f(db); err != nil {
		t.Fatal(err)
	}
}

func (s *shop) rows(t *testing.T) (all []row) {
	t.Helper()
	s.query(t, func(db *sql.DB) error {
		found, err := db.Query("SELECT id, fingerprint, COALESCE(reply, '') FROM aguada_idempotency")
		if err != nil {
			return err
		}
		defer func() { _ = found.Close() }()
		for found.Next() {
			var r row
			if err := found.Scan(&r.id, &r.fingerprint, &r.reply); err != nil {
				return err
			}
			all = append(all, r)
		}
		return found.Err()
	})
	if len(all) == 0 {
		t.Fatal("there are no records")
	}
	return all
}

// moved gives one the answer of another, as who can write to the database can.
func moved(t *testing.T, s *shop) {
	before := map[string]bool{}
	for _, r := range s.rows(t) {
		before[r.id] = true
	}
	key := rand.Text()
	victim, _ := orderOf(t, s.attack(t, once(s, key, "victim", order("")), refusal{status: http.StatusCreated}))
	var theirs string
	for _, r := range s.rows(t) {
		if !before[r.id] {
			theirs, before[r.id] = r.id, true
		}
	}
	s.attack(t, once(s, key, "mallory", order("")), refusal{status: http.StatusCreated})
	s.query(t, func(db *sql.DB) error {
		for _, r := range s.rows(t) {
			if before[r.id] {
				continue
			}
			_, err := db.Exec(`UPDATE aguada_idempotency SET reply = (SELECT reply FROM aguada_idempotency WHERE id = $1) WHERE id = $2`, theirs, r.id)
			if err != nil {
				return err
			}
		}
		return nil
	})
	a := s.attack(t, once(s, key, "mallory", order("")), refusal{status: http.StatusServiceUnavailable, name: "idempotency_unavailable"})
	if strings.Contains(a.text, victim) {
		t.Errorf("%s", a.text)
	}
}

// storeAway takes the records away.
func storeAway(t *testing.T, s *shop) {
	rename := func(from, to string) {
		s.query(t, func(db *sql.DB) error {
			_, err := db.Exec("ALTER TABLE " + from + " RENAME TO " + to)
			return err
		})
	}
	count := func() (n int) {
		s.query(t, func(db *sql.DB) error { return db.QueryRow("SELECT COUNT(*) FROM orders").Scan(&n) })
		return n
	}
	before := count()
	away := refusal{status: http.StatusServiceUnavailable, name: "idempotency_unavailable"}
	rename("aguada_idempotency", "elsewhere")
	for _, r := range []request{once(s, rand.Text(), "kim", order("")), onceRPC(s, rand.Text(), "kim", ordered(nil))} {
		if a := s.attack(t, r, away); a.Header.Get("Retry-After") == "" || strings.Contains(a.text, "aguada_idempotency") || strings.Contains(a.text, "SQL") {
			t.Errorf("%v %s", a.Header, a.text)
		}
	}
	rename("elsewhere", "aguada_idempotency")
	if after := count(); after != before {
		t.Errorf("%d orders were placed", after-before)
	}
	s.attack(t, once(s, rand.Text(), "kim", order("")), refusal{status: http.StatusCreated})
}

// atOnce sends one call many times at once.
func atOnce(t *testing.T, s *shop) {
	key, ids := rand.Text(), make(chan string, 12)
	for range cap(ids) {
		go func() {
			a, err := s.try(once(s, key, "kim", order("")))
			if err != nil {
				ids <- err.Error()
				return
			}
			var o struct{ ID string }
			_ = json.Unmarshal([]byte(a.text), &o)
			ids <- fmt.Sprint(a.StatusCode, " ", o.ID)
		}()
	}
	first := <-ids
	for range cap(ids) - 1 {
		if got := <-ids; got != first || !strings.HasPrefix(got, "201 ord_") {
			t.Errorf("one has %s, another %s", first, got)
		}
	}
}
