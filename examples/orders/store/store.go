// Package store keeps the shop's orders in one SQLite file.
//
//	db, err := store.Open(ctx, "sqlite:shop.db")
//	if err != nil {
//		return err
//	}
//	defer db.Close()
//	order, err := db.Order(ctx, store.Reach{Owner: "alice"}, id)
//
// One connection writes and several read: SQLite has one writer at a time, so
// writers queue in the process, where they obey their contexts, and readers
// never wait for them (write-ahead log). A write is one transaction: an order is
// stored whole or not at all, also when the disk is full. What is committed
// outlives the process, however it ends; a power failure may take the last
// moments' commits, never part of one (synchronous NORMAL).
//
// The store does not decide what a valid order is, and it never sees the number
// of a card.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Errors that a caller tells apart with errors.Is. Any other error means that
// the database failed or that the context ended, and that nothing was written.
var (
	// ErrNotFound says that there is no such order within the reach.
	ErrNotFound = errors.New("no such order")
	// ErrShipped says that the order has shipped.
	ErrShipped = errors.New("order has shipped")
	// ErrPosition says that a page was asked for after an order that does not
	// exist within the reach.
	ErrPosition = errors.New("no such position")
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is an open database. Its methods are safe for concurrent use. Make one
// with [Open]; the zero value is not usable.
type Store struct {
	write, read *sql.DB
	stmt        statements
}

// Open opens the database that url names, sqlite:FILE, and brings its tables up
// to date. The file is made where it does not exist, readable by its owner only;
// its folder must exist. Several processes may open one file on one machine.
//
// An error never repeats a url of another kind, which might hold a password.
func Open(ctx context.Context, url string) (_ *Store, err error) {
	file, err := parse(url)
	if err != nil {
		return nil, err
	}
	if err := create(file); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	s := &Store{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.write, err = sql.Open("sqlite", dsn(file, "_txlock=immediate")); err != nil {
		return nil, fmt.Errorf("open database %s: %w", file, err)
	}
	s.write.SetMaxOpenConns(1)
	if err := s.write.PingContext(ctx); err != nil {
		return nil, fmt.Errorf("open database %s: %w", file, err)
	}
	if err := migrate(ctx, s.write); err != nil {
		return nil, fmt.Errorf("migrate database %s: %w", file, err)
	}
	if s.read, err = sql.Open("sqlite", dsn(file, "_pragma=query_only(1)")); err != nil {
		return nil, fmt.Errorf("open database %s: %w", file, err)
	}
	readers := max(4, runtime.GOMAXPROCS(0))
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	if err := s.stmt.prepare(ctx, s.write, s.read); err != nil {
		return nil, fmt.Errorf("open database %s: %w", file, err)
	}
	return s, nil
}

// Ping checks that the database answers a query.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	if err := s.read.QueryRowContext(ctx, "SELECT 1 FROM orders UNION ALL SELECT 1 LIMIT 1").Scan(&one); err != nil {
		return failed(ctx, "ping database", err)
	}
	return nil
}

// Close waits for running queries and closes the database, which folds its
// write-ahead log into the file. Closing twice is harmless.
func (s *Store) Close() error {
	errs := []error{s.stmt.close()}
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return nil
}

// parse returns the file that a database URL names.
func parse(url string) (string, error) {
	file, ok := strings.CutPrefix(url, "sqlite:")
	switch {
	case url == "":
		return "", errors.New("open database: the URL is empty: want sqlite:FILE")
	case !ok:
		return "", errors.New("open database: unsupported URL: want sqlite:FILE")
	case strings.HasPrefix(file, "//"):
		return "", errors.New("open database: unsupported URL: want sqlite:FILE, without //")
	case file == "" || strings.HasPrefix(file, ":"):
		return "", errors.New("open database: the URL names no file: want sqlite:FILE")
	case strings.ContainsRune(file, 0):
		return "", errors.New("open database: the file's name holds a zero byte")
	}
	return filepath.Clean(file), nil
}

// create makes the file where it is missing. SQLite would make it readable by
// everybody, and gives its log the permissions that the file has.
func create(file string) error {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("folder %s does not exist", filepath.Dir(file))
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// dsn returns the driver's name for the file. The order of the settings counts:
// the busy timeout must hold when the journal mode changes.
func dsn(file, extra string) string {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath()}
	u.RawQuery = "_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)" +
		"&_pragma=foreign_keys(1)&" + extra
	return u.String()
}

// migrate brings the tables up to date. When several processes start at once on
// a new file, all but one may lose a race for a table or a version; they see the
// winner's work at their next attempt.
func migrate(ctx context.Context, db *sql.DB) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	for range 3 {
		if _, err = p.Up(ctx); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// failed says what could not be done. When the context has ended that is the
// reason, whatever the driver calls it.
func failed(ctx context.Context, verb string, err error) error {
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%s: %w: %w", verb, cause, err)
	}
	return fmt.Errorf("%s: %w", verb, err)
}
