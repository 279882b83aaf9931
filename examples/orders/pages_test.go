package orders

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	genorders "github.com/aguada-dev/aguada/examples/orders/gen/orders"
	"github.com/aguada-dev/aguada/examples/orders/store"
)

func TestPagesStayStable(t *testing.T) {
	both(t, func(t *testing.T, db *store.Store) {
		s := newOrders(t, db, Config{PageSize: 3})
		ctx := as(t, "alice")
		create := func(n int) (ids []string) {
			for range n {
				o, err := s.Create(ctx, payload())
				if err != nil {
					t.Fatal(err)
				}
				ids = append([]string{o.ID}, ids...)
				if _, err := s.Create(as(t, "bob"), payload()); err != nil {
					t.Fatal(err)
				}
			}
			return ids
		}
		want := create(10)
		var got, sizes []string
		p := &genorders.ListPayload{}
		for {
			page, err := s.List(ctx, p)
			if err != nil {
				t.Fatal(err)
			}
			sizes = append(sizes, fmt.Sprint(len(page.Orders)))
			for _, o := range page.Orders {
				got = append(got, o.ID)
			}
			if page.NextCursor == nil {
				break
			}
			create(2) // arrive while the caller walks
			p.Cursor = page.NextCursor
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff("3 3 3 1", strings.Join(sizes, " ")); d != "" {
			t.Error(d)
		}
	})
}

// A page that ends exactly with the last order has no next one.
func TestLastPage(t *testing.T) {
	both(t, func(t *testing.T, db *store.Store) {
		s := newOrders(t, db, Config{})
		for range 4 {
			if _, err := s.Create(as(t, "alice"), payload()); err != nil {
				t.Fatal(err)
			}
		}
		for limit, more := range map[int]bool{1: true, 3: true, 4: false, 5: false, 100: false} {
			page, err := s.List(as(t, "alice"), &genorders.ListPayload{Limit: &limit})
			if err != nil || len(page.Orders) != min(limit, 4) || (page.NextCursor != nil) != more {
				t.Errorf("limit %d: %d orders, next %v, %v", limit, len(page.Orders), page.NextCursor, err)
			}
		}
	})
}

func TestBadCursors(t *testing.T) {
	both(t, func(t *testing.T, db *store.Store) {
		s := newOrders(t, db, Config{})
		ctx := as(t, "alice")
		o, err := s.Create(ctx, payload())
		if err != nil {
			t.Fatal(err)
		}
		good := cursor(o.ID)
		if _, err := s.List(ctx, &genorders.ListPayload{Cursor: &good}); err != nil {
			t.Fatal(err)
		}
		enc := base64.RawURLEncoding.EncodeToString
		for _, text := range []string{
			"", "x", "!!!!", good + "=", good + "\n", good[:len(good)-1], strings.ToUpper(good), o.ID,
			enc([]byte("1:")), enc([]byte(o.ID)), enc([]byte("2:" + o.ID)), enc([]byte("1:" + o.ID + " ")),
			enc([]byte("1:' OR 1=1 --")), cursor(newID()), "\x00", strings.Repeat("A", 1<<16),
		} {
			_, err := s.List(ctx, &genorders.ListPayload{Cursor: &text})
			if name(err) != "bad_request" || text != "" && len(text) > 1 && strings.Contains(err.Error(), text) {
				t.Errorf("cursor %.40q: %v", text, err)
			}
		}
	})
}

func FuzzParseCursor(f *testing.F) {
	f.Add(cursor("ord_5r7wq3kzv2ncl4xgy6tjd2hame"))
	f.Add("")
	f.Add("MTo")
	f.Fuzz(func(t *testing.T, text string) {
		id, ok := parseCursor(text)
		if ok && cursor(id) != text {
			t.Errorf("%q and %q are the same cursor", text, cursor(id))
		}
	})
}
