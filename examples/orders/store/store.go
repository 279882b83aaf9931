// Package store keeps the shop's orders in one SQLite file, or in PostgreSQL.
//
//	db, err := store.Open(ctx, "sqlite:shop.db", store.Config{})
//	if err != nil {
//		return err
//	}
//	defer db.Close()
//	order, err := db.Order(ctx, store.Reach{Owner: "alice"}, id)
//
// Both databases keep the same rules, and one suite of tests holds them to it.
// A write is one transaction: an order is stored whole or not at all, also when
// the disk is full or the connection breaks.
//
// In SQLite one connection writes and several read: SQLite has one writer at a
// time, so writers queue in the process, where they obey their contexts, and
// readers never wait for them (write-ahead log). What is committed outlives the
// process, however it ends; a power failure may take the last moments' commits,
// never part of one (synchronous NORMAL).
//
// PostgreSQL is for more than one process or machine. A write that met a
// conflict or lost its connection is tried again; nothing is ever stored twice.
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
	"math/rand/v2"
	"strings"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/aguada-dev/aguada/idempotency"
	"github.com/aguada-dev/aguada/idempotency/sqlstore"
)

// Errors that a caller tells apart with errors.Is. Any other error means that
// the database failed or that the context ended, and that nothing was written;
// of a write whose connection broke in its last moment, repeatedly, that cannot
// be known, and the error is ErrUnavailable.
var (
	// ErrNotFound says that there is no such order within the reach.
	ErrNotFound = errors.New("no such order")
	// ErrShipped says that the order has shipped.
	ErrShipped = errors.New("order has shipped")
	// ErrPosition says that a page was asked for after an order that does not
	// exist within the reach.
	ErrPosition = errors.New("no such position")
	// ErrExists says that there is an order with this identifier already.
	ErrExists = errors.New("order exists")
	// ErrText says that a text of an order cannot be kept: it is not UTF-8, it
	// holds a zero byte, or it is its creator's name and longer than MaxName.
	ErrText = errors.New("text cannot be kept")
	// ErrUnavailable says that the database cannot do it now and may later: it
	// is not there, it is stopping, it is too busy, or it took too long.
	ErrUnavailable = errors.New("database is unavailable")
)

// MaxName is how many bytes the name of an order's creator may have.
const MaxName = 1024

// Config holds what is not needed to open a database. The zero value works.
type Config struct {
	// Tracer makes a span for each statement of a call that is traced; calls
	// that are not traced get none. Spans hold the statement, never a value.
	// Nil means no spans.
	Tracer trace.Tracer
	// Meter measures how long statements take, as db.client.operation.duration,
	// and how much of its connections a pool uses. Nil means no measurements.
	Meter metric.Meter
}

//go:embed migrations
var migrations embed.FS

// Store is an open database. Its methods are safe for concurrent use. Make one
// with [Open]; the zero value is not usable.
type Store struct {
	write, read *sql.DB // the same where the database has many writers
	stmt        statements
	watch       *watch
	release     func() error // what is to be closed after both; may be nil
}

// Open opens the database that url names and brings its tables up to date:
//
//	sqlite:FILE
//	postgres://USER:PASSWORD@HOST/DATABASE?sslmode=verify-full
//
// The file of SQLite is made where it does not exist, readable by its owner
// only; its folder must exist. Several processes may open one file on one
// machine.
//
// For PostgreSQL, postgresql:// is the same, and what the URL leaves out comes
// from the variables of libpq (PGUSER, PGPASSWORD…). A URL of another machine
// must say its sslmode: what is not said would be plain text at worst. Its
// parameters may set pool_max_conns (10), connect_timeout (5, seconds),
// statement_timeout (10000, milliseconds), and others of pgx and of the server.
// The role needs the right to create tables in its schema.
//
// An error never repeats the URL, which may hold a password.
func Open(ctx context.Context, url string, cfg Config) (*Store, error) {
	scheme, _, _ := strings.Cut(url, ":")
	switch {
	case url == "":
		return nil, fmt.Errorf("open database: the URL is empty: %w", errWant)
	case scheme == "sqlite":
		return openSQLite(ctx, url, cfg)
	case scheme == "postgres", scheme == "postgresql":
		return openPostgres(ctx, url, cfg)
	}
	return nil, fmt.Errorf("open database: unsupported URL: %w", errWant)
}

var errWant = errors.New("want sqlite:FILE or postgres://USER:PASSWORD@HOST/DATABASE")

// Ping checks that the database answers a query.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	if err := s.read.QueryRowContext(ctx, "SELECT 1 FROM orders UNION ALL SELECT 1 LIMIT 1").Scan(&one); err != nil {
		return failed(ctx, "ping database", err)
	}
	return nil
}

// Close waits for running queries and closes the database; SQLite then folds
// its write-ahead log into the file. Closing twice is harmless.
func (s *Store) Close() error {
	errs := []error{s.stmt.close()}
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if s.release != nil {
		errs = append(errs, s.release())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return nil
}

// migrationsOf returns the steps that bring the tables of an engine up to date.
func migrationsOf(engine string) (fs.FS, error) { return fs.Sub(migrations, "migrations/"+engine) }

// join runs do in the transaction of the call's idempotency key, which is
// committed with the reply: there is one order for a key, and a reply for an
// order, whenever the process dies. Where do fails, the call has to.
//
// Without such a transaction it runs do in one of its own, which may be repeated.
func (s *Store) join(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := sqlstore.Tx(ctx)
	if errors.Is(err, idempotency.ErrNone) {
		return repeat(ctx, func(int) error { return s.transact(ctx, do) })
	}
	if err != nil {
		return err
	}
	return do(tx)
}

// commitTimeout bounds how long a transaction may go on after its call has
// ended: that is one commit or one rollback.
const commitTimeout = 2 * time.Second

// transact runs do in a transaction, once: commit or nothing.
//
// The transaction has a context of its own, so that a call that ends does not
// cut a commit in the middle, of which nobody could tell whether it happened.
// Waiting for a connection and the statements obey the call's context.
func (s *Store) transact(ctx context.Context, do func(*sql.Tx) error) error {
	begin := s.watch.begin.start(ctx) // waiting for a connection is part of it
	conn, err := s.write.Conn(begin.ctx)
	if err != nil {
		begin.end(err)
		return err
	}
	defer func() { _ = conn.Close() }() // it goes back to its pool
	own, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(commitTimeout, end) })()
	tx, err := conn.BeginTx(own, nil)
	begin.end(err)
	if err != nil {
		return err
	}
	if err = do(tx); err == nil {
		err = ctx.Err()
	}
	if err == nil {
		commit := s.watch.commit.start(ctx)
		err = tx.Commit()
		commit.end(err)
		if err == nil {
			return nil
		}
	}
	return errors.Join(err, s.rollback(ctx, tx))
}

// rollback ends a transaction; one that has ended already is no error.
func (s *Store) rollback(ctx context.Context, tx *sql.Tx) error {
	w := s.watch.rollback.start(ctx)
	err := tx.Rollback()
	if errors.Is(err, sql.ErrTxDone) {
		err = nil
	}
	w.end(err)
	return err
}

// attempts is how often something that may be repeated is done at most.
const attempts = 3

// repeat runs do again when it failed in a way that is over by the next time: a
// conflict with another transaction, or a connection that broke. It must be
// harmless to do twice. The first attempt is number 0.
func repeat(ctx context.Context, do func(attempt int) error) error {
	for n := 0; ; n++ {
		err := do(n)
		if err == nil || n+1 == attempts || ctx.Err() != nil {
			return err
		}
		if kind, again := kindOf(err); kind == nil || !again {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(1+rand.IntN(10)) * time.Millisecond << (2 * n)): //nolint:gosec // not a secret
		}
	}
}

// failed says what could not be done. When the context has ended that is the
// reason, whatever the driver calls it.
func failed(ctx context.Context, verb string, err error) error {
	if cause := ctx.Err(); cause != nil {
		if errors.Is(err, cause) {
			return fmt.Errorf("%s: %w", verb, err)
		}
		return fmt.Errorf("%s: %w: %w", verb, cause, err)
	}
	if kind, _ := kindOf(err); kind != nil {
		return fmt.Errorf("%s: %w: %w", verb, kind, err)
	}
	return fmt.Errorf("%s: %w", verb, err)
}
