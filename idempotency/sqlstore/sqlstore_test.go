package sqlstore_test

import (
	"database/sql"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/aguada-dev/aguada/idempotency"
	"github.com/aguada-dev/aguada/idempotency/idempotencytest"
	"github.com/aguada-dev/aguada/idempotency/sqlstore"
	"github.com/aguada-dev/aguada/internal/pgtest"
)

// database is a kind of database that the tests run on.
type database struct {
	name    string
	dialect sqlstore.Dialect
	driver  string
	conns   int
	url     func(testing.TB) string
}

var databases = []database{
	{"SQLite", sqlstore.SQLite, "sqlite", 1, func(tb testing.TB) string { return file(tb) + "&_txlock=immediate" }},
	{"SQLite with many connections", sqlstore.SQLite, "sqlite", 8, file},
	{"PostgreSQL", sqlstore.PostgreSQL, "pgx", 20, pgtest.URL},
}

func file(tb testing.TB) string {
	return "file:" + filepath.Join(tb.TempDir(), "test.db") + "?_pragma=busy_timeout(20000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)"
}

// open returns a store on a database of its own connections, as a process has.
func (d database) open(tb testing.TB, url string) (*sqlstore.Store, *sql.DB) {
	tb.Helper()
	db, err := sql.Open(d.driver, url)
	if err != nil {
		tb.Fatal(err)
	}
	db.SetMaxOpenConns(d.conns)
	tb.Cleanup(func() { _ = db.Close() })
	s, err := sqlstore.New(db, d.dialect)
	if err != nil {
		tb.Fatal(err)
	}
	if err := s.Migrate(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return s, db
}

func each(t *testing.T, test func(*testing.T, database)) {
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) { test(t, d) })
	}
}

func TestStore(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		idempotencytest.Run(t, func(t *testing.T) idempotencytest.Harness {
			url := d.url(t)
			return idempotencytest.Harness{
				Replica: func() idempotency.Store { s, _ := d.open(t, url); return s },
				Advance: time.Sleep,
			}
		})
	})
}

// Replicas start at once.
func TestMigrateAtOnce(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		url := d.url(t)
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				db, err := sql.Open(d.driver, url)
				if err != nil {
					t.Error(err)
					return
				}
				defer db.Close()
				s, err := sqlstore.New(db, d.dialect)
				if err == nil {
					err = s.Migrate(t.Context())
				}
				if err == nil {
					err = s.Migrate(t.Context()) // as at every later start
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}

// Those who bring their tables up to date themselves execute the schema.
func TestSchema(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		db, err := sql.Open(d.driver, d.url(t))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		s, err := sqlstore.New(db, d.dialect)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Ready(t.Context()); err == nil {
			t.Error("ready without a table")
		}
		for range 2 {
			if _, err := db.ExecContext(t.Context(), sqlstore.Schema()); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	if _, err := sqlstore.New(nil, sqlstore.SQLite); err == nil {
		t.Error("no database is taken")
	}
	if _, err := sqlstore.New(&sql.DB{}, "mysql"); err == nil {
		t.Error("an unknown dialect is taken")
	}
}

// Expired records go in batches, whatever their state, and only they.
func TestSweep(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		s, db := d.open(t, d.url(t))
		for i := range 450 {
			expires := 1000 + i
			if i%9 == 0 {
				expires = 1 << 50
			}
			_, err := db.ExecContext(t.Context(), "INSERT INTO aguada_idempotency (id, owner, fingerprint, lease_until, expires_at, reply) VALUES ($1, 'o', 'f', 0, $2, $3)",
				strconv.Itoa(i), expires, []byte("reply")[:i%2*5])
			if err != nil {
				t.Fatal(err)
			}
		}
		batches := 1
		for ; ; batches++ {
			before := count(t, db, "aguada_idempotency")
			more, err := s.Sweep(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if gone := before - count(t, db, "aguada_idempotency"); gone > 200 || more != (gone == 200) {
				t.Fatalf("a batch of %d, more: %v", gone, more)
			}
			if !more {
				break
			}
		}
		if left := count(t, db, "aguada_idempotency"); left != 50 || batches != 3 {
			t.Errorf("%d records are left after %d batches, want 50 after 3", left, batches)
		}
	})
}

func count(t *testing.T, db *sql.DB, table string) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
