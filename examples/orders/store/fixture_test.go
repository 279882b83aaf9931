package store

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

func open(tb testing.TB, url string) *Store {
	tb.Helper()
	s, err := Open(tb.Context(), url, Config{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func insert(tb testing.TB, s *Store, o *Order) {
	tb.Helper()
	if err := s.Insert(tb.Context(), o); err != nil {
		tb.Fatal(err)
	}
}

// consistent checks that all tables tell of the same orders, of two lines each,
// and SQLite's whole file.
func consistent(t *testing.T, s *Store, orders int) {
	t.Helper()
	checks := map[string]string{
		"SELECT count(*) FROM orders":                                                      fmt.Sprint(orders),
		"SELECT count(*) FROM order_items":                                                 fmt.Sprint(2 * orders),
		"SELECT coalesce(sum(orders), 0) FROM users":                                       fmt.Sprint(orders),
		"SELECT count(*) FROM orders WHERE cancelled_at IS NOT NULL":                       scalar(t, s, "SELECT coalesce(sum(cancelled), 0) FROM users"),
		"SELECT count(*) FROM orders WHERE seq NOT IN (SELECT order_seq FROM order_items)": "0",
	}
	if s.read != s.write {
		checks["PRAGMA integrity_check"] = "ok"
		checks["SELECT count(*) FROM pragma_foreign_key_check"] = "0"
	}
	for query, want := range checks {
		if got := scalar(t, s, query); got != want {
			t.Fatalf("%s: %s, want %s", query, got, want)
		}
	}
}

func scalar(t *testing.T, s *Store, query string) (got string) {
	t.Helper()
	if err := s.read.QueryRow(query).Scan(&got); err != nil {
		t.Fatal(query, err)
	}
	return got
}

var lastID struct {
	sync.Mutex
	n int
}

// sample returns an order of two lines with an id of its own.
func sample(by string) *Order {
	lastID.Lock()
	lastID.n++
	id := fmt.Sprintf("ord_%026d", lastID.n)
	lastID.Unlock()
	at := time.Date(2026, 11, 22, 18, 23, 7, 5e6, time.UTC)
	note, last4, postal := "ring twice", "4242", "SW1Y 4JH"
	return &Order{
		Summary: Summary{
			ID: id, CreatedBy: by, CustomerID: "cust_1", Currency: "EUR", TotalCents: 7400,
			PlacedAt: at, ShipsAt: at.Add(time.Hour),
		},
		Items: []Item{{"TEA", 2, 1250}, {"POT", 1, 4900}},
		Note:  &note, CardLast4: &last4,
		Address: &Address{Name: "Ada", Street: "12 Square", City: "London", PostalCode: &postal, Country: "GB"},
	}
}
