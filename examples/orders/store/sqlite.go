package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

func openSQLite(ctx context.Context, url string, cfg Config) (_ *Store, err error) {
	file, err := parse(url)
	if err != nil {
		return nil, err
	}
	if err := create(file); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	s := &Store{}
	if s.watch, err = newWatch(cfg, semconv.DBSystemNameSQLite); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.write, err = sql.Open("sqlite", dsn(file, "_txlock=immediate")); err != nil {
		return nil, fmt.Errorf("open database %s: %w", file, err)
	}
	s.write.SetMaxOpenConns(1)
	if err := connect(ctx, s.write); err != nil {
		return nil, fmt.Errorf("open database %s: %w", file, err)
	}
	if err := migrateSQLite(ctx, s.write); err != nil {
		return nil, fmt.Errorf("migrate database %s: %w", file, err)
	}
	if s.read, err = sql.Open("sqlite", dsn(file, "_pragma=query_only(1)")); err != nil {
		return nil, fmt.Errorf("open database %s: %w", file, err)
	}
	readers := max(4, runtime.GOMAXPROCS(0))
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	s.stmt = newStatements(s.watch, s.write, s.read)
	if err := s.stmt.prepare(ctx); err != nil {
		return nil, fmt.Errorf("open database %s: %w", file, err)
	}
	return s, nil
}

// connect opens the first connection, which turns on the write-ahead log.
// Several processes that do so to a new file at once may find it busy, whatever
// their timeouts: it is tried again for a second.
func connect(ctx context.Context, db *sql.DB) error {
	for begun := time.Now(); ; {
		err := db.PingContext(ctx)
		if kind, _ := kindOf(err); kind == nil || time.Since(begun) > time.Second {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// parse returns the file that a database URL names.
func parse(url string) (string, error) {
	file := strings.TrimPrefix(url, "sqlite:")
	switch {
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

// migrateSQLite brings the tables up to date. When several processes start at
// once on a new file, all but one may lose a race for a table or a version;
// they see the winner's work at their next attempt.
func migrateSQLite(ctx context.Context, db *sql.DB) error {
	dir, err := migrationsOf("sqlite")
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
