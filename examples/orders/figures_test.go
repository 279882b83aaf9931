package orders

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	genaccounts "github.com/aguada-dev/aguada/examples/orders/gen/accounts"
	genreports "github.com/aguada-dev/aguada/examples/orders/gen/reports"
	genusers "github.com/aguada-dev/aguada/examples/orders/gen/users"
	"github.com/aguada-dev/aguada/examples/orders/store"
)

func TestUsers(t *testing.T) {
	both(t, func(t *testing.T, db *store.Store) {
		orders, users := newOrders(t, db, Config{ShipAfter: time.Hour}), NewUsers(db, Config{PageSize: 2})
		for i, who := range []string{"eve", "alice", "bob", "alice"} {
			o, err := orders.Create(as(t, who), payload())
			if err != nil {
				t.Fatal(err)
			}
			if i == 3 {
				if _, err := orders.Cancel(as(t, who), ref(o.ID)); err != nil {
					t.Fatal(err)
				}
			}
		}
		first, err := users.List(t.Context(), &genusers.ListPayload{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, u := range first.Users {
			got = append(got, fmt.Sprint(u.Name, " ", u.Orders))
		}
		bob := "bob"
		second, err := users.Admin(t.Context(), &genusers.AdminPayload{After: &bob})
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range second.Users {
			got = append(got, fmt.Sprint(u.Name, " ", u.Orders, " ", u.Cancelled, " ", u.FirstOrderAt == u.LastOrderAt))
		}
		if d := cmp.Diff([]string{"alice 2", "bob 1", "eve 1 0 true"}, got); d != "" {
			t.Error(d)
		}
		one := 1
		all, err := users.Admin(t.Context(), &genusers.AdminPayload{Limit: &one})
		if err != nil || len(all.Users) != 1 || all.Users[0].Orders != 2 || all.Users[0].Cancelled != 1 {
			t.Errorf("admin sees %+v, %v", all.Users, err)
		}
		last := "zoe"
		if none, err := users.List(t.Context(), &genusers.ListPayload{After: &last}); err != nil || none.Users == nil || len(none.Users) != 0 {
			t.Errorf("after the last: %+v, %v", none, err)
		}
	})
}

func TestMe(t *testing.T) {
	s := NewAccounts()
	me, err := s.Me(as(t, "alice"), &genaccounts.MePayload{Username: "mallory", Password: "x"})
	if err != nil || me.Username != "alice" {
		t.Errorf("me is %+v, %v", me, err)
	}
	if me, err := s.Me(t.Context(), &genaccounts.MePayload{Username: "mallory"}); err == nil {
		t.Errorf("nobody is %+v", me)
	}
}

func TestSales(t *testing.T) {
	both(t, func(t *testing.T, db *store.Store) {
		orders, reports := newOrders(t, db, Config{ShipAfter: time.Hour}), NewReports(db)
		day := time.Now().UTC().Format(time.DateOnly)
		for i, currency := range []string{"USD", "EUR", "EUR", "EUR"} {
			p := payload()
			p.Currency = currency
			ctx := as(t, fmt.Sprint("user", i))
			o, err := orders.Create(ctx, p)
			if err != nil {
				t.Fatal(err)
			}
			if i == 3 {
				if _, err := orders.Cancel(ctx, ref(o.ID)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if day != time.Now().UTC().Format(time.DateOnly) {
			t.Skip("the day changed under the test")
		}
		got, err := reports.Sales(t.Context(), &genreports.SalesPayload{})
		if err != nil {
			t.Fatal(err)
		}
		want := []*genreports.DailySales{
			{Day: day, Currency: "EUR", Orders: 2, TotalCents: 14800},
			{Day: day, Currency: "USD", Orders: 1, TotalCents: 7400},
		}
		if d := cmp.Diff(want, got.Sales); d != "" || got.To != day {
			t.Error(d, got.From, got.To)
		}
		from, to := "2020-01-01", "2020-01-31"
		if past, err := reports.Sales(t.Context(), &genreports.SalesPayload{From: &from, To: &to}); err != nil || len(past.Sales) != 0 || past.Sales == nil {
			t.Errorf("past: %+v, %v", past, err)
		}
		if _, err := reports.Sales(t.Context(), &genreports.SalesPayload{From: &to, To: &from}); name(err) != "bad_request" {
			t.Errorf("backwards: %v", err)
		}
	})
}

// The largest orders the shop takes, and many, do not break the sum.
func TestSalesOfLargestOrders(t *testing.T) {
	both(t, func(t *testing.T, db *store.Store) {
		orders, reports := newOrders(t, db, Config{}), NewReports(db)
		p := payload()
		p.Items = p.Items[:1]
		p.Items[0].Quantity, p.Items[0].UnitPriceCents = 10, maxTotal/10
		for range 20 {
			if _, err := orders.Create(as(t, "alice"), p); err != nil {
				t.Fatal(err)
			}
		}
		got, err := reports.Sales(t.Context(), &genreports.SalesPayload{})
		if err != nil || len(got.Sales) == 0 {
			t.Fatal(got, err)
		}
		var sum int64
		for _, d := range got.Sales {
			sum += d.TotalCents
		}
		if sum != 20*maxTotal {
			t.Errorf("sum %d, want %d", sum, 20*maxTotal)
		}
	})
}

func TestPeriod(t *testing.T) {
	now := time.Date(2026, 3, 1, 23, 59, 59, 0, time.FixedZone("late", -5*3600)) // 2 March in UTC
	text := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	for _, c := range []struct{ from, to, want string }{
		{"", "", "2026-01-31 2026-03-02"},
		{"2026-03-02", "", "2026-03-02 2026-03-02"},
		{"", "2024-03-01", "2024-01-31 2024-03-01"},
		{"2024-02-29", "2025-03-01", "2024-02-29 2025-03-01"},
		{"2024-02-29", "2025-03-02", "longer"},
		{"2026-03-03", "", "before"},
		{"0001-01-01", "9999-12-31", "longer"},
		{"9999-12-31", "9999-12-31", "9999-12-31 9999-12-31"},
		{"x", "", "not a date"},
		{"", "2026-02-30", "not a date"},
	} {
		from, to, err := period(text(c.from), text(c.to), now)
		got := from.Format(time.DateOnly) + " " + to.Format(time.DateOnly)
		if err != nil {
			got = err.Error()
		}
		if err == nil && got != c.want || err != nil && !strings.Contains(got, c.want) {
			t.Errorf("%q to %q: %s, want %s", c.from, c.to, got, c.want)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want []string
	}{
		{Config{}, nil},
		{Config{PageSize: 100, ShipAfter: time.Hour}, nil},
		{Config{PageSize: 101}, []string{"PAGE_SIZE"}},
		{Config{PageSize: -1, ShipAfter: -1}, []string{"PAGE_SIZE", "SHIP_AFTER"}},
		{Config{ShipAfter: 1 << 62}, []string{"SHIP_AFTER"}},
	} {
		err := c.cfg.Validate()
		if (err == nil) != (c.want == nil) {
			t.Errorf("%+v: %v", c.cfg, err)
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%+v: %v does not name %s", c.cfg, err, w)
			}
		}
	}
}
