package sqlkeys_test

import (
	"database/sql"
	"path/filepath"
	"sync"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/aguada-dev/aguada/auth/apikey/apikeytest"
	"github.com/aguada-dev/aguada/auth/apikey/sqlkeys"
)

// database is a kind of database that the tests run on.
type database struct {
	name    string
	dialect sqlkeys.Dialect
	driver  string
	url     func(testing.TB) string
}

var databases = []database{
	{"SQLite", sqlkeys.SQLite, "sqlite", func(tb testing.TB) string {
		return "file:" + filepath.Join(tb.TempDir(), "keys.db") + "?_pragma=busy_timeout(20000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)"
	}},
	{"PostgreSQL", sqlkeys.PostgreSQL, "pgx", func(tb testing.TB) string { return postgresURL(tb) }},
}

// open returns a store on a database of its own connections, as a process has.
func (d database) open(tb testing.TB, url string) (*sqlkeys.Store, *sql.DB) {
	tb.Helper()
	db, err := sql.Open(d.driver, url)
	if err != nil {
		tb.Fatal(err)
	}
	db.SetMaxOpenConns(8)
	tb.Cleanup(func() { _ = db.Close() })
	s, err := sqlkeys.New(db, d.dialect)
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
		apikeytest.Run(t, apikeytest.Config{}, func(t *testing.T) apikeytest.Store {
			s, _ := d.open(t, d.url(t))
			return s
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
				s, err := sqlkeys.New(db, d.dialect)
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

func TestNewRefuses(t *testing.T) {
	if _, err := sqlkeys.New(nil, sqlkeys.SQLite); err == nil {
		t.Error("no database is taken")
	}
	if _, err := sqlkeys.New(&sql.DB{}, "mysql"); err == nil {
		t.Error("an unknown dialect is taken")
	}
}
