package store

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk.db")
	if err := os.WriteFile(junk, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, url, want string }{
		{"nothing", "", "want sqlite:FILE or postgres://"},
		{"another database", "mysql://shop:hunter2@db/shop", "want sqlite:FILE or postgres://"},
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
			s, err := Open(t.Context(), c.url, Config{})
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
		s := open(t, "sqlite:"+file)
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
	s := open(t, "sqlite:relative.db")
	insert(t, s, sample("alice"))
	if _, err := os.Stat("relative.db"); err != nil {
		t.Error(err)
	}
}

func TestSettings(t *testing.T) {
	s := open(t, "sqlite:"+filepath.Join(t.TempDir(), "x.db"))
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

// A disk that is full fails the write as a whole, says so, and does no harm to
// what was stored before; with space again the store goes on.
func TestFullDisk(t *testing.T) {
	s := open(t, "sqlite:"+filepath.Join(t.TempDir(), "x.db"))
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
	s := open(t, "sqlite:"+filepath.Join(t.TempDir(), "x.db"))
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

func TestPlans(t *testing.T) {
	s := open(t, "sqlite:"+filepath.Join(t.TempDir(), "x.db"))
	if plan := explain(t, s.read, selectSales.text, 1, 2); !strings.Contains(plan, "COVERING INDEX orders_sold") {
		t.Errorf("sales read the table: %s", plan)
	}
	plan := explain(t, s.read, selectOwn.text, "a", 9, 3)
	if !strings.Contains(plan, "INDEX orders_of_creator (created_by=? AND seq<?)") || strings.Contains(plan, "B-TREE") {
		t.Errorf("a page is sorted or scanned: %s", plan)
	}
}

// Readers do not wait for a writer.
func TestReadersDoNotWait(t *testing.T) {
	s := open(t, "sqlite:"+filepath.Join(t.TempDir(), "x.db"))
	defer s.holdAll(t)()
	if _, err := s.Page(t.Context(), Reach{All: true}, "", 1); err != nil {
		t.Errorf("a reader waits for a writer: %v", err)
	}
}

func explain(t *testing.T, db *sql.DB, query string, args ...any) string {
	t.Helper()
	rows, err := db.Query("EXPLAIN QUERY PLAN "+query, args...)
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
