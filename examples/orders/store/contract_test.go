package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/examples/orders/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

// contract runs a test on a new database of each kind: what it asserts is what
// the store promises, whoever keeps the orders.
func contract(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, "sqlite:"+filepath.Join(t.TempDir(), "x.db")) })
	t.Run("postgres", func(t *testing.T) { test(t, pgtest.URL(t)) })
}

// Several processes that start at once on a new database must all come up.
func TestOpenTogether(t *testing.T) {
	contract(t, func(t *testing.T, url string) {
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				s, err := Open(t.Context(), url, Config{})
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = s.Close() }()
				if err := s.Insert(t.Context(), sample("alice")); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		users, err := open(t, url).Users(t.Context(), "", 10)
		if err != nil || len(users) != 1 || users[0].Orders != 6 {
			t.Errorf("users %+v, %v, want alice with 6 orders", users, err)
		}
	})
}

func TestReopenKeepsOrders(t *testing.T) {
	contract(t, func(t *testing.T, url string) {
		s := open(t, url)
		want, least := sample("alice"), sample("alice")
		least.Note, least.CardLast4, least.Address, least.Items = nil, nil, nil, least.Items[:1]
		insert(t, s, want)
		insert(t, s, least)
		for range 2 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		s = open(t, url)
		for _, want := range []*Order{want, least} {
			got, err := s.Order(t.Context(), Reach{Owner: "alice"}, want.ID)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		}
	})
}

func TestClosedStoreSaysSo(t *testing.T) {
	contract(t, func(t *testing.T, url string) {
		s := open(t, url)
		if err := s.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Ping(t.Context()); err == nil {
			t.Error("ping of a closed store succeeds")
		}
		if err := s.Insert(t.Context(), sample("alice")); err == nil {
			t.Error("insert into a closed store succeeds")
		}
	})
}

func TestReach(t *testing.T) {
	contract(t, func(t *testing.T, url string) {
		s := open(t, url)
		o := sample("alice")
		insert(t, s, o)
		for _, c := range []struct {
			reach Reach
			want  error
		}{
			{Reach{}, ErrNotFound},
			{Reach{Owner: "bob"}, ErrNotFound},
			{Reach{Owner: "ALICE"}, ErrNotFound},
			{Reach{Owner: "%"}, ErrNotFound},
			{Reach{Owner: "alice\x00"}, ErrNotFound},
			{Reach{Owner: "\xff"}, ErrNotFound},
			{Reach{Owner: strings.Repeat("a", MaxName+1)}, ErrNotFound},
			{Reach{Owner: "alice"}, nil},
			{Reach{Owner: "bob", All: true}, nil},
			{Reach{Owner: "\x00", All: true}, nil},
			{Reach{All: true}, nil},
		} {
			if _, err := s.Order(t.Context(), c.reach, o.ID); !errors.Is(err, c.want) {
				t.Errorf("%+v reads: %v, want %v", c.reach, err, c.want)
			}
			page, err := s.Page(t.Context(), c.reach, "", 10)
			if err != nil || (len(page) == 1) != (c.want == nil) {
				t.Errorf("%+v lists: %v, %v", c.reach, page, err)
			}
			if _, err := s.Page(t.Context(), c.reach, o.ID, 10); (c.want == nil) != (err == nil) ||
				err != nil && !errors.Is(err, ErrPosition) {
				t.Errorf("%+v lists after: %v", c.reach, err)
			}
			if _, err := s.Cancel(t.Context(), c.reach, o.ID, o.PlacedAt); !errors.Is(err, c.want) {
				t.Errorf("%+v cancels: %v, want %v", c.reach, err, c.want)
			}
		}
	})
}

// Text comes back as it went in, whatever it says; what is no text is refused
// in the same way by both databases, and asking for it is no failure.
func TestHostileText(t *testing.T) {
	contract(t, func(t *testing.T, url string) {
		s := open(t, url)
		for _, text := range []string{"", "'; DROP TABLE orders; --", "$1", "\U0001F600 ñ", strings.Repeat("x", 4096), "\r\n\t\x1b[31m\u0001", "\ufffd"} {
			o := sample("alice")
			o.Note, o.CustomerID, o.Items[0].SKU = &text, text, text
			o.Address.Name, o.Address.PostalCode = text, &text
			insert(t, s, o)
			got, err := s.Order(t.Context(), Reach{Owner: "alice"}, o.ID)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(o, got); d != "" {
				t.Errorf("%q: %s", text, d)
			}
		}
		all := Reach{All: true}
		for _, text := range []string{"a\x00b", "a\xffb", "\xc3", "\xed\xa0\x80"} {
			for what, spoil := range map[string]func(*Order){
				"note": func(o *Order) { o.Note = &text }, "sku": func(o *Order) { o.Items[1].SKU = text },
				"name": func(o *Order) { o.Address.Name = text }, "postal code": func(o *Order) { o.Address.PostalCode = &text },
				"creator": func(o *Order) { o.CreatedBy = text }, "customer": func(o *Order) { o.CustomerID = text },
			} {
				o := sample("alice")
				spoil(o)
				if err := s.Insert(t.Context(), o); !errors.Is(err, ErrText) {
					t.Errorf("%s %q: %v", what, text, err)
				}
			}
			_, order := s.Order(t.Context(), all, text)
			_, cancel := s.Cancel(t.Context(), all, text, time.Now())
			_, page := s.Page(t.Context(), all, text, 1)
			if !errors.Is(order, ErrNotFound) || !errors.Is(cancel, ErrNotFound) || !errors.Is(page, ErrPosition) {
				t.Errorf("%q: %v, %v, %v", text, order, cancel, page)
			}
			if users, err := s.Users(t.Context(), text, 10); err != nil || len(users) != 1 {
				t.Errorf("users after %q: %v, %v", text, users, err)
			}
		}
		long := sample("a" + random(MaxName)[1:])
		insert(t, s, long)
		long = sample("a" + random(MaxName))
		if err := s.Insert(t.Context(), long); !errors.Is(err, ErrText) {
			t.Errorf("a long name: %v", err)
		}
	})
}

// random returns text that does not compress.
func random(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('!' + rand.IntN(90))
	}
	return string(b)
}

// An order that the tables refuse leaves nothing behind.
func TestInsertIsWhole(t *testing.T) {
	contract(t, func(t *testing.T, url string) {
		s := open(t, url)
		good := sample("alice")
		insert(t, s, good)
		for name, spoil := range map[string]func(*Order){
			"same id":        func(o *Order) { o.ID = good.ID },
			"no creator":     func(o *Order) { o.CreatedBy = "" },
			"last item":      func(o *Order) { o.Items[len(o.Items)-1].Quantity = 0 },
			"negative total": func(o *Order) { o.TotalCents = -1 },
			"card number":    func(o *Order) { n := "4242424242424242"; o.CardLast4 = &n },
		} {
			o := sample("alice")
			spoil(o)
			err := s.Insert(t.Context(), o)
			if err == nil || errors.Is(err, ErrExists) != (name == "same id") || errors.Is(err, ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
			if err != nil && strings.Contains(err.Error(), "4242") {
				t.Errorf("%s: %v", name, err)
			}
			consistent(t, s, 1)
		}
	})
}

func TestEndedContext(t *testing.T) {
	contract(t, func(t *testing.T, url string) {
		s := open(t, url)
		o := sample("alice")
		insert(t, s, o)
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer cancel()
		for ctx, want := range map[context.Context]error{cancelled: context.Canceled, late: context.DeadlineExceeded} {
			_, get := s.Order(ctx, Reach{All: true}, o.ID)
			_, page := s.Page(ctx, Reach{All: true}, o.ID, 1)
			_, cancelOrder := s.Cancel(ctx, Reach{All: true}, o.ID, o.PlacedAt)
			_, users := s.Users(ctx, "", 1)
			_, sales := s.Sales(ctx, o.PlacedAt, o.PlacedAt)
			for i, err := range []error{s.Insert(ctx, sample("bob")), get, page, cancelOrder, users, sales, s.Ping(ctx)} {
				if !errors.Is(err, want) || errors.Is(err, ErrUnavailable) {
					t.Errorf("call %d: %v, want %v", i, err, want)
				}
			}
		}
		consistent(t, s, 1)
	})
}

// Writers that wait for a connection give up when their context ends, and
// nothing is lost for those who come later.
func TestWaitingWriterObeysItsContext(t *testing.T) {
	contract(t, func(t *testing.T, url string) {
		s := open(t, url)
		held := s.holdAll(t)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if err := s.Insert(ctx, sample("alice")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want a passed deadline", err)
		}
		held()
		insert(t, s, sample("alice"))
		consistent(t, s, 1)
	})
}

// holdAll takes every connection that writers may have.
func (s *Store) holdAll(t *testing.T) (release func()) {
	t.Helper()
	n := maxConns
	if s.read != s.write {
		n = 1
	}
	var ends []func() error
	for range n {
		tx, err := s.write.Begin()
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, tx.Rollback)
	}
	return func() {
		for _, end := range ends {
			if err := end(); err != nil {
				t.Error(err)
			}
		}
	}
}

// A walk meets each order that was there at its beginning once, in the order of
// arrival, while others arrive.
func TestPages(t *testing.T) {
	contract(t, func(t *testing.T, url string) {
		s := open(t, url)
		var want []string
		for range 7 {
			o := sample("alice")
			insert(t, s, o)
			insert(t, s, sample("bob"))
			want = append([]string{o.ID}, want...)
		}
		var got []string
		for after := ""; ; {
			page, err := s.Page(t.Context(), Reach{Owner: "alice"}, after, 3)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, o := range page {
				got = append(got, o.ID)
			}
			after = got[len(got)-1]
			insert(t, s, sample("alice"))
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		if all, err := s.Page(t.Context(), Reach{All: true}, "", 100); err != nil || len(all) != 17 {
			t.Errorf("all: %d, %v", len(all), err)
		}
	})
}

// Of many cancellations one takes effect, and it is decided to the millisecond
// whether an order has shipped.
func TestCancelRaces(t *testing.T) {
	contract(t, func(t *testing.T, url string) {
		s := open(t, url)
		reach := Reach{Owner: "alice"}
		for late, want := range map[time.Duration]error{-time.Millisecond: nil, 0: ErrShipped, time.Millisecond: ErrShipped} {
			o := sample("alice")
			insert(t, s, o)
			var at sync.Map
			var wg sync.WaitGroup
			for i := range 16 {
				wg.Go(func() {
					// Each at a time of its own, of which one is kept.
					c, err := s.Cancel(t.Context(), reach, o.ID, o.ShipsAt.Add(late-time.Duration(i)*time.Millisecond*time.Duration(btoi(want == nil))))
					if !errors.Is(err, want) {
						t.Errorf("%s after shipping: %v, want %v", late, err, want)
					}
					if err == nil {
						at.Store(c.CancelledAt, true)
					}
				})
			}
			wg.Wait()
			n := 0
			at.Range(func(any, any) bool { n++; return true })
			if n != btoi(want == nil) {
				t.Errorf("cancelled at %d different times", n)
			}
		}
		consistent(t, s, 3)
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Users are counted in their orders' transactions, whatever happens at once,
// and listed bytewise.
func TestUsers(t *testing.T) {
	contract(t, func(t *testing.T, url string) {
		s := open(t, url)
		names := []string{"Zoe", "alice", "bob", "Émile", "a", "B"}
		var wg sync.WaitGroup
		for i := range 60 {
			wg.Go(func() {
				o := sample(names[i%len(names)])
				o.PlacedAt = o.PlacedAt.Add(time.Duration(i/len(names)) * time.Minute)
				if err := s.Insert(t.Context(), o); err != nil {
					t.Error(err)
				}
				if i/len(names) == 0 {
					if _, err := s.Cancel(t.Context(), Reach{All: true}, o.ID, o.PlacedAt); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		consistent(t, s, 60)
		users, err := s.Users(t.Context(), "", 10)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		last := sample("").PlacedAt.Add(9 * time.Minute)
		for _, u := range users {
			got = append(got, u.Name)
			if u.Orders != 10 || u.Cancelled != 1 || !u.LastOrderAt.Equal(last) || u.FirstOrderAt.After(last) {
				t.Errorf("%+v", u)
			}
		}
		if d := cmp.Diff([]string{"B", "Zoe", "a", "alice", "bob", "Émile"}, got); d != "" {
			t.Error(d)
		}
		if after, err := s.Users(t.Context(), "a", 2); err != nil || len(after) != 2 || after[0].Name != "alice" {
			t.Errorf("after a: %v, %v", after, err)
		}
	})
}

func TestSales(t *testing.T) {
	contract(t, func(t *testing.T, url string) {
		s := open(t, url)
		day := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
		for i, at := range []time.Time{
			day.Add(-time.Millisecond), day, day.Add(24*time.Hour - time.Millisecond), day.Add(24 * time.Hour), day.Add(12 * time.Hour),
		} {
			o := sample(fmt.Sprint("user", i))
			o.PlacedAt, o.ShipsAt = at, at.Add(time.Hour)
			if i == 4 {
				o.Currency = "USD"
			}
			insert(t, s, o)
		}
		gone := sample("bob")
		gone.PlacedAt, gone.ShipsAt = day, day.Add(time.Hour)
		insert(t, s, gone)
		if _, err := s.Cancel(t.Context(), Reach{All: true}, gone.ID, day); err != nil {
			t.Fatal(err)
		}
		got, err := s.Sales(t.Context(), day, day.Add(24*time.Hour))
		want := []Sales{{"2026-11-22", "EUR", 2, 14800}, {"2026-11-22", "USD", 1, 7400}}
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Error(err, d)
		}
		if got, err := s.Sales(t.Context(), day.AddDate(-1, 0, 0), day.AddDate(-1, 0, 1)); err != nil || len(got) != 0 {
			t.Error(got, err)
		}
	})
}
