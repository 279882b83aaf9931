package orders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	goa "goa.design/goa/v3/pkg"

	"github.com/aguada-dev/aguada/auth"
	genorders "github.com/aguada-dev/aguada/examples/orders/gen/orders"
	"github.com/aguada-dev/aguada/examples/orders/internal/pgtest"
	"github.com/aguada-dev/aguada/examples/orders/store"
)

func TestCreateThenGet(t *testing.T) {
	both(t, func(t *testing.T, db *store.Store) {
		s := newOrders(t, db, Config{ShipAfter: time.Hour})
		ctx := as(t, "alice")
		before := time.Now().Truncate(time.Millisecond)
		o, err := s.Create(ctx, payload())
		if err != nil {
			t.Fatal(err)
		}
		if o.CreatedBy != "alice" || o.Status != "placed" || o.TotalCents != 7400 || *o.CardLast4 != "4242" || o.CancelledAt != nil {
			t.Errorf("created %+v", o)
		}
		placed, err1 := time.Parse(time.RFC3339, o.PlacedAt)
		ships, err2 := time.Parse(time.RFC3339, o.ShipsAt)
		if err1 != nil || err2 != nil || placed.Before(before) || ships.Sub(placed) != time.Hour {
			t.Errorf("placed %s (%v), ships %s (%v)", o.PlacedAt, err1, o.ShipsAt, err2)
		}
		got, err := s.Get(ctx, ref(o.ID))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(o, got); d != "" {
			t.Errorf("what was created is not what is kept: %s", d)
		}
	})
}

func TestCreateWithTheLeast(t *testing.T) {
	both(t, func(t *testing.T, db *store.Store) {
		s := newOrders(t, db, Config{})
		o, err := s.Create(as(t, "alice"), &genorders.CreateOrder{
			CustomerID: "c", Currency: "JPY", Items: []*genorders.OrderItem{{Sku: "GIFT", Quantity: 1}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if o.TotalCents != 0 || o.Note != nil || o.ShippingAddress != nil || o.CardLast4 != nil {
			t.Errorf("created %+v", o)
		}
		if got, err := s.Get(as(t, "alice"), ref(o.ID)); err != nil || cmp.Diff(o, got) != "" {
			t.Error(err, cmp.Diff(o, got))
		}
	})
}

func TestIDs(t *testing.T) {
	pattern := regexp.MustCompile(`^ord_[a-z2-7]{26}$`)
	seen := map[string]bool{}
	for range 1000 {
		id := newID()
		if !pattern.MatchString(id) || seen[id] {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
}

// Somebody else's order looks exactly like one that does not exist.
func TestOrdersOfOthers(t *testing.T) {
	both(t, func(t *testing.T, db *store.Store) {
		s := newOrders(t, db, Config{ShipAfter: time.Hour})
		o, err := s.Create(as(t, "alice"), payload())
		if err != nil {
			t.Fatal(err)
		}
		bob := as(t, "bob")
		for _, id := range []string{o.ID, newID()} {
			_, getErr := s.Get(bob, ref(id))
			_, cancelErr := s.Cancel(bob, ref(id))
			for _, err := range []error{getErr, cancelErr} {
				if name(err) != "not_found" || err.Error() != "there is no such order" {
					t.Errorf("bob gets %v for %s", err, id)
				}
			}
		}
		if page, err := s.List(bob, &genorders.ListPayload{}); err != nil || len(page.Orders) != 0 || page.Orders == nil {
			t.Errorf("bob lists %v, %v", page, err)
		}
		stolen := cursor(o.ID)
		if _, err := s.List(bob, &genorders.ListPayload{Cursor: &stolen}); name(err) != "bad_request" {
			t.Errorf("bob lists after alice's order: %v", err)
		}
		if got, err := s.Get(as(t, "alice"), ref(o.ID)); err != nil || got.Status != "placed" {
			t.Errorf("alice's order: %+v, %v", got, err)
		}
	})
}

func TestAdminReachesAll(t *testing.T) {
	both(t, func(t *testing.T, db *store.Store) {
		s := newOrders(t, db, Config{ShipAfter: time.Hour})
		o, err := s.Create(as(t, "alice"), payload())
		if err != nil {
			t.Fatal(err)
		}
		root := as(t, "root", "api:admin", "api:read")
		if got, err := s.Get(root, ref(o.ID)); err != nil || got.CreatedBy != "alice" {
			t.Errorf("admin gets %+v, %v", got, err)
		}
		if page, err := s.List(root, &genorders.ListPayload{}); err != nil || len(page.Orders) != 1 {
			t.Errorf("admin lists %+v, %v", page, err)
		}
		if got, err := s.Cancel(root, ref(o.ID)); err != nil || got.Status != "cancelled" || got.CreatedBy != "alice" {
			t.Errorf("admin cancels %+v, %v", got, err)
		}
		if o, err := s.Create(root, payload()); err != nil || o.CreatedBy != "root" {
			t.Errorf("admin creates %+v, %v", o, err)
		}
	})
}

func TestCallerWithoutName(t *testing.T) {
	s := newOrders(t, database(t), Config{})
	for want, ctx := range map[string]context.Context{
		"forbidden": as(t, "", "api:admin"), // no name, whatever the scopes
		"":          t.Context(),            // no principal: a fault, not an answer
	} {
		_, create := s.Create(ctx, payload())
		_, get := s.Get(ctx, ref(newID()))
		_, list := s.List(ctx, &genorders.ListPayload{})
		_, cancel := s.Cancel(ctx, ref(newID()))
		for i, err := range []error{create, get, list, cancel} {
			if err == nil || name(err) != want {
				t.Errorf("call %d: %v, want the error %q", i, err, want)
			}
		}
	}
}

func TestTotal(t *testing.T) {
	line := func(n int, price int64) store.Item { return store.Item{Quantity: n, UnitPriceCents: price} }
	for _, c := range []struct {
		name  string
		items []store.Item
		want  int64
		ok    bool
	}{
		{"none", nil, 0, true},
		{"two", []store.Item{line(2, 1250), line(1, 4900)}, 7400, true},
		{"free", []store.Item{line(math.MaxInt, 0)}, 0, true},
		{"the most", []store.Item{line(1, maxTotal)}, maxTotal, true},
		{"one more", []store.Item{line(1, maxTotal), line(1, 1)}, 0, false},
		{"line beyond", []store.Item{line(2, maxTotal)}, 0, false},
		{"product wraps to 0", []store.Item{line(1<<32, 1<<32)}, 0, false},
		{"product wraps to positive", []store.Item{line(3, math.MaxInt64/2+1)}, 0, false},
		{"largest of both", []store.Item{line(math.MaxInt, math.MaxInt64)}, 0, false},
		{"sum would wrap", []store.Item{line(1, math.MaxInt64), line(1, math.MaxInt64)}, 0, false},
		{"no quantity", []store.Item{line(0, 1)}, 0, false},
		{"negative quantity", []store.Item{line(2, 5), line(-1, 10)}, 0, false},
		{"negative price", []store.Item{line(1, -1)}, 0, false},
		{"both negative", []store.Item{line(math.MinInt, math.MinInt64)}, 0, false},
	} {
		if got, ok := total(c.items); got != c.want || ok != c.ok {
			t.Errorf("%s: %d, %t, want %d, %t", c.name, got, ok, c.want, c.ok)
		}
	}
}

func TestCreateRefuses(t *testing.T) {
	both(t, func(t *testing.T, db *store.Store) {
		s := newOrders(t, db, Config{})
		for what, spoil := range map[string]func(*genorders.CreateOrder){
			"null item":  func(p *genorders.CreateOrder) { p.Items[1] = nil },
			"dear order": func(p *genorders.CreateOrder) { p.Items[0].Quantity, p.Items[0].UnitPriceCents = 10_000, 1_000_000_000 },
			"overflow": func(p *genorders.CreateOrder) {
				p.Items[0].Quantity, p.Items[0].UnitPriceCents = math.MaxInt, math.MaxInt64
			},
			"no quantity": func(p *genorders.CreateOrder) { p.Items[0].Quantity = 0 },
		} {
			p := payload()
			spoil(p)
			if _, err := s.Create(as(t, "alice"), p); name(err) != "bad_request" {
				t.Errorf("%s: %v", what, err)
			}
		}
		if page, err := s.List(as(t, "alice"), &genorders.ListPayload{}); err != nil || len(page.Orders) != 0 {
			t.Errorf("something was stored: %+v, %v", page, err)
		}
	})
}

func TestLast4(t *testing.T) {
	for card, want := range map[string]string{"4242424242424242": "4242", "123456789012": "9012", "12345678901": "", "42": "", "": ""} {
		got := last4(&card)
		if want == "" && got != nil || want != "" && (got == nil || *got != want) {
			t.Errorf("last4(%q) = %v, want %q", card, got, want)
		}
	}
	if last4(nil) != nil {
		t.Error("an absent card has an end")
	}
}

// The number of a card is neither in the answer nor in any file of the store.
func TestCardIsNotKept(t *testing.T) {
	dir := t.TempDir()
	db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(dir, "shop.db"), store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	p := payload()
	o, err := newOrders(t, db, Config{}).Create(as(t, "alice"), p)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := json.Marshal(o)
	if err != nil || strings.Contains(string(answer), *p.Card) {
		t.Errorf("the answer holds the card number (%v)", err)
	}
	for _, state := range []string{"open", "closed"} {
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(string(data), o.ID)
			if strings.Contains(string(data), *p.Card) {
				t.Errorf("%s holds the card number", filepath.Base(file))
			}
		}
		if !found {
			t.Errorf("the %s store's files %q do not hold the order: the test looks in the wrong place", state, files)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCancel(t *testing.T) {
	both(t, func(t *testing.T, db *store.Store) {
		s := newOrders(t, db, Config{ShipAfter: time.Hour})
		ctx := as(t, "alice")
		o, err := s.Create(ctx, payload())
		if err != nil {
			t.Fatal(err)
		}
		first, err := s.Cancel(ctx, ref(o.ID))
		if err != nil || first.Status != "cancelled" || first.CancelledAt == nil {
			t.Fatalf("cancelled %+v, %v", first, err)
		}
		again, err := s.Cancel(ctx, ref(o.ID))
		if d := cmp.Diff(first, again); err != nil || d != "" {
			t.Errorf("cancelling again: %v %s", err, d)
		}

		atOnce := newOrders(t, db, Config{})
		shipped, err := atOnce.Create(ctx, payload())
		if err != nil || shipped.Status != "shipped" {
			t.Fatalf("created %+v, %v", shipped, err)
		}
		if _, err := atOnce.Cancel(ctx, ref(shipped.ID)); name(err) != "conflict" {
			t.Errorf("cancelling a shipped order: %v", err)
		}
		if got, err := s.Get(ctx, ref(shipped.ID)); err != nil || got.Status != "shipped" {
			t.Errorf("shipped order %+v, %v", got, err)
		}
	})
}

// The moment of shipping decides to the millisecond, and what was decided stays.
func TestCancelAgainstShipping(t *testing.T) {
	both(t, func(t *testing.T, db *store.Store) {
		s := newOrders(t, db, Config{ShipAfter: time.Hour})
		reach := store.Reach{Owner: "alice"}
		for late, want := range map[time.Duration]error{-time.Millisecond: nil, 0: store.ErrShipped, time.Millisecond: store.ErrShipped} {
			o, err := s.Create(as(t, "alice"), payload())
			if err != nil {
				t.Fatal(err)
			}
			ships, err := time.Parse(time.RFC3339, o.ShipsAt)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Cancel(t.Context(), reach, o.ID, ships.Add(late)); !errors.Is(err, want) {
				t.Errorf("%s after shipping: %v, want %v", late, err, want)
			}
			if want == nil {
				if c, err := db.Cancel(t.Context(), reach, o.ID, ships.Add(time.Hour)); err != nil || !c.CancelledAt.Equal(ships.Add(late)) {
					t.Errorf("cancelled in time, asked again later: %+v, %v", c, err)
				}
			}
		}
	})
}

// Of many cancellations at once one takes effect and all tell the same.
func TestCancelRace(t *testing.T) {
	both(t, func(t *testing.T, db *store.Store) {
		s := newOrders(t, db, Config{ShipAfter: time.Hour})
		ctx := as(t, "alice")
		for range 5 {
			o, err := s.Create(ctx, payload())
			if err != nil {
				t.Fatal(err)
			}
			var at sync.Map
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					c, err := s.Cancel(ctx, ref(o.ID))
					if err != nil {
						t.Error(err)
						return
					}
					at.Store(*c.CancelledAt, true)
				})
			}
			wg.Wait()
			n := 0
			at.Range(func(any, any) bool { n++; return true })
			if n != 1 {
				t.Errorf("cancelled at %d different times", n)
			}
		}
		users, err := db.Users(t.Context(), "", 10)
		if err != nil || len(users) != 1 || users[0].Orders != 5 || users[0].Cancelled != 5 {
			t.Errorf("counted %+v, %v, want 5 orders, 5 cancelled", users, err)
		}
	})
}

// Many callers at once: each order is stored once, whole, and for its caller.
func TestConcurrentCreates(t *testing.T) {
	both(t, func(t *testing.T, db *store.Store) {
		s := newOrders(t, db, Config{})
		const callers, each = 8, 15
		var walked atomic.Int64
		var wg sync.WaitGroup
		for c := range callers {
			ctx := as(t, fmt.Sprint("user", c))
			wg.Go(func() {
				for range each {
					o, err := s.Create(ctx, payload())
					if err != nil {
						t.Error(err)
						return
					}
					if got, err := s.Get(ctx, ref(o.ID)); err != nil || cmp.Diff(o, got) != "" {
						t.Error(err, cmp.Diff(o, got))
					}
				}
				limit := 100
				page, err := s.List(ctx, &genorders.ListPayload{Limit: &limit})
				if err != nil {
					t.Error(err)
					return
				}
				walked.Add(int64(len(page.Orders)))
			})
		}
		wg.Wait()
		if walked.Load() != callers*each {
			t.Errorf("listed %d orders, want %d", walked.Load(), callers*each)
		}
		users, err := db.Users(t.Context(), "", 100)
		if err != nil || len(users) != callers {
			t.Fatalf("users %+v, %v", users, err)
		}
		for _, u := range users {
			if u.Orders != each {
				t.Errorf("%s has %d orders, want %d", u.Name, u.Orders, each)
			}
		}
	})
}

// A store that fails is a fault: no declared error, so that nothing of its text
// reaches the caller.
func TestStoreFails(t *testing.T) {
	both(t, func(t *testing.T, db *store.Store) {
		s := newOrders(t, db, Config{})
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		ctx := as(t, "alice")
		_, create := s.Create(ctx, payload())
		_, get := s.Get(ctx, ref(newID()))
		_, list := s.List(ctx, &genorders.ListPayload{})
		_, cancel := s.Cancel(ctx, ref(newID()))
		for i, err := range []error{create, get, list, cancel} {
			if err == nil || name(err) != "" {
				t.Errorf("call %d: %v", i, err)
			}
		}
	})
}

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

// both runs a test with a new store of each kind.
func both(t *testing.T, test func(t *testing.T, db *store.Store)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, database(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, open(t, pgtest.URL(t))) })
}

// newOrders returns the service orders without anybody who measures it.
func newOrders(tb testing.TB, db *store.Store, cfg Config) *Orders {
	tb.Helper()
	s, err := NewOrders(db, feedOf(tb, db), cfg, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// feedOf returns the feed of a store, which is quick.
func feedOf(tb testing.TB, db *store.Store) *Feed {
	tb.Helper()
	f := NewFeed(db)
	f.every = time.Millisecond
	tb.Cleanup(func() { _ = f.Close() })
	return f
}

func database(tb testing.TB) *store.Store {
	tb.Helper()
	return open(tb, "sqlite:"+filepath.Join(tb.TempDir(), "shop.db"))
}

func open(tb testing.TB, url string) *store.Store {
	tb.Helper()
	db, err := store.Open(tb.Context(), url, store.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return db
}

// as returns the context of a call by subject.
func as(tb testing.TB, subject string, scopes ...string) context.Context {
	return auth.NewContext(tb.Context(), &auth.Principal{Subject: subject, Scheme: "jwt", Scopes: scopes})
}

// name returns the design's name of an error, or "" for one it does not declare.
func name(err error) string {
	var e *goa.ServiceError
	if errors.As(err, &e) {
		return e.Name
	}
	return ""
}

func ref(id string) *genorders.OrderRef { return &genorders.OrderRef{ID: id} }

func payload() *genorders.CreateOrder {
	note, card, postal := "ring twice", "4242424242424242", "SW1Y 4JH"
	return &genorders.CreateOrder{
		CustomerID: "cust_1", Currency: "EUR", Note: &note, Card: &card,
		Items: []*genorders.OrderItem{
			{Sku: "TEA", Quantity: 2, UnitPriceCents: 1250}, {Sku: "POT", Quantity: 1, UnitPriceCents: 4900},
		},
		ShippingAddress: &genorders.Address{
			Name: "Ada", Street: "12 Crown Street", City: "London", PostalCode: &postal, Country: "GB",
		},
	}
}
