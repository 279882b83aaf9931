package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk.db")
	if err := os.WriteFile(junk, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, url, want string }{
		{"nothing", "", "want sqlite:FILE"},
		{"another database", "postgres://shop:hunter2@db/shop", "want sqlite:FILE"},
		{"a bare file", filepath.Join(dir, "x.db"), "want sqlite:FILE"},
		{"slashes", "sqlite://x.db", "without //"},
		{"no file", "sqlite:", "names no file"},
		{"memory", "sqlite::memory:", "names no file"},
		{"zero byte", "sqlite:" + dir + "/a\x00b", "zero byte"},
		{"no folder", "sqlite:" + dir + "/none/x.db", "folder " + dir + "/none does not exist"},
		{"a folder", "sqlite:" + dir, "is a directory"},
		{"not a database", "sqlite:" + junk, "not a database"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Open(t.Context(), c.url)
			if err == nil {
				t.Fatal("opened", s.Close())
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %q, want it to say %q", err, c.want)
			}
		})
	}
}

func TestOpenFileNames(t *testing.T) {
	for _, name := range []string{"plain.db", "with space.db", "what?.db", "100%41.db", "a#b&c=d.db", "ñandú.db", "a;b.db"} {
		file := filepath.Join(t.TempDir(), name)
		s := open(t, file)
		insert(t, s, sample("alice"))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(filepath.Dir(file))
		if err != nil || len(entries) != 1 || entries[0].Name() != name {
			t.Errorf("%s: folder holds %v, %v", name, entries, err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
	}
	t.Chdir(t.TempDir())
	s := open(t, "relative.db")
	insert(t, s, sample("alice"))
	if _, err := os.Stat("relative.db"); err != nil {
		t.Error(err)
	}
}

func TestSettings(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"))
	for _, c := range []struct {
		db         *sql.DB
		name, want string
	}{
		{s.write, "journal_mode", "wal"}, {s.write, "synchronous", "1"}, {s.write, "foreign_keys", "1"},
		{s.write, "busy_timeout", "5000"}, {s.write, "query_only", "0"},
		{s.read, "query_only", "1"}, {s.read, "busy_timeout", "5000"}, {s.read, "foreign_keys", "1"},
	} {
		var got string
		if err := c.db.QueryRow("PRAGMA " + c.name).Scan(&got); err != nil || got != c.want {
			t.Errorf("%s = %q, %v, want %q", c.name, got, err, c.want)
		}
	}
	if _, err := s.read.Exec("DELETE FROM orders"); err == nil {
		t.Error("a reader wrote")
	}
}

// Several processes that start at once on a new file must all come up.
func TestOpenTogether(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.db")
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			s, err := Open(context.Background(), "sqlite:"+file)
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { _ = s.Close() })
			if err := s.Insert(context.Background(), sample("alice")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	users, err := open(t, file).Users(t.Context(), "", 10)
	if err != nil || len(users) != 1 || users[0].Orders != 6 {
		t.Errorf("users %+v, %v, want alice with 6 orders", users, err)
	}
}

func TestReopenKeepsOrders(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.db")
	s := open(t, file)
	want := sample("alice")
	insert(t, s, want)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	got, err := open(t, file).Order(t.Context(), Reach{Owner: "alice"}, want.ID)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestClosedStoreSaysSo(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"))
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
}

func TestReach(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"))
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
		{Reach{Owner: "alice"}, nil},
		{Reach{Owner: "bob", All: true}, nil},
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
}

// Text comes back as it went in, whatever it holds.
func TestHostileText(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"))
	for _, text := range []string{"", "a\x00b", "'; DROP TABLE orders; --", "\U0001F600 ñ", strings.Repeat("x", 4096), "\r\n\t\x1b[31m", "a\xffb"} {
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
}

// A disk that is full fails the write as a whole, says so, and does no harm to
// what was stored before; with space again the store goes on.
func TestFullDisk(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"))
	kept := sample("alice")
	insert(t, s, kept)
	if _, err := s.write.Exec("PRAGMA max_page_count=1"); err != nil { // the present size: SQLite never cuts
		t.Fatal(err)
	}
	full, stored := 0, 1
	for range 400 {
		o := sample("alice")
		err := s.Insert(t.Context(), o)
		if err == nil {
			stored++
			continue
		}
		full++
		if !strings.Contains(err.Error(), "insert order: ") || !strings.Contains(err.Error(), "full") {
			t.Fatalf("error %q does not say that the disk is full", err)
		}
		if _, err := s.Order(t.Context(), Reach{Owner: "alice"}, o.ID); !errors.Is(err, ErrNotFound) {
			t.Fatalf("half an order: %v", err)
		}
	}
	if full == 0 {
		t.Fatal("the disk never filled")
	}
	consistent(t, s, stored)
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := s.Cancel(t.Context(), Reach{Owner: "alice"}, kept.ID, kept.PlacedAt); err != nil {
		t.Errorf("cancel needs no space: %v", err)
	}
	if _, err := s.write.Exec("PRAGMA max_page_count=1073741823"); err != nil {
		t.Fatal(err)
	}
	insert(t, s, sample("alice"))
	consistent(t, s, stored+1)
}

func TestReadOnlyDisk(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"))
	o := sample("alice")
	insert(t, s, o)
	if _, err := s.write.Exec("PRAGMA query_only=1"); err != nil { // what SQLite answers on a read-only file
		t.Fatal(err)
	}
	for _, err := range []error{
		s.Insert(t.Context(), sample("alice")),
		func() error { _, err := s.Cancel(t.Context(), Reach{Owner: "alice"}, o.ID, o.PlacedAt); return err }(),
	} {
		if err == nil || !strings.Contains(err.Error(), "readonly") {
			t.Errorf("error %v, want one that says readonly", err)
		}
	}
	consistent(t, s, 1)
}

// An order that the tables refuse leaves nothing behind.
func TestInsertIsWhole(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"))
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
		if err := s.Insert(t.Context(), o); err == nil {
			t.Errorf("%s: stored", name)
		}
		consistent(t, s, 1)
	}
}

func TestEndedContext(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"))
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
			if !errors.Is(err, want) {
				t.Errorf("call %d: %v, want %v", i, err, want)
			}
		}
	}
	consistent(t, s, 1)
}

// A writer that waits for another one gives up when its context ends.
func TestWaitingWriterObeysItsContext(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"))
	tx, err := s.write.Begin()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Insert(ctx, sample("alice")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want a passed deadline", err)
	}
	if _, err := s.Page(t.Context(), Reach{All: true}, "", 1); err != nil {
		t.Errorf("a reader waits for a writer: %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	insert(t, s, sample("alice"))
}

func TestSales(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"))
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
	plan := explain(t, s, s.read, `SELECT date(placed_at / 1000, 'unixepoch') AS day, currency, count(*), sum(total_cents)
		FROM orders WHERE placed_at >= 1 AND placed_at < 2 AND cancelled_at IS NULL GROUP BY day, currency`)
	if !strings.Contains(plan, "COVERING INDEX orders_sold") {
		t.Errorf("sales read the table: %s", plan)
	}
	plan = explain(t, s, s.read, `SELECT * FROM orders WHERE created_by = 'a' AND seq < 9 ORDER BY seq DESC LIMIT 3`)
	if !strings.Contains(plan, "INDEX orders_of_creator (created_by=? AND seq<?)") || strings.Contains(plan, "B-TREE") {
		t.Errorf("a page is sorted or scanned: %s", plan)
	}
}

func open(tb testing.TB, file string) *Store {
	tb.Helper()
	s, err := Open(tb.Context(), "sqlite:"+file)
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

func insert(t *testing.T, s *Store, o *Order) {
	t.Helper()
	if err := s.Insert(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

// consistent checks the whole file, and that all tables tell of the same orders.
func consistent(t *testing.T, s *Store, orders int) {
	t.Helper()
	for query, want := range map[string]string{
		"PRAGMA integrity_check":                                                           "ok",
		"SELECT count(*) FROM pragma_foreign_key_check":                                    "0",
		"SELECT count(*) FROM orders":                                                      fmt.Sprint(orders),
		"SELECT count(*) FROM order_items":                                                 fmt.Sprint(2 * orders),
		"SELECT coalesce(sum(orders), 0) FROM users":                                       fmt.Sprint(orders),
		"SELECT count(*) FROM orders WHERE cancelled_at IS NOT NULL":                       scalar(t, s, "SELECT coalesce(sum(cancelled), 0) FROM users"),
		"SELECT count(*) FROM orders WHERE seq NOT IN (SELECT order_seq FROM order_items)": "0",
	} {
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

func explain(t *testing.T, s *Store, db *sql.DB, query string) string {
	t.Helper()
	rows, err := db.Query("EXPLAIN QUERY PLAN " + query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var plan []string
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, detail)
	}
	return strings.Join(plan, "; ")
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
