// Package sqlstore keeps idempotency keys in the service's own SQL database, so
// that a reply is committed together with what the method wrote.
//
//	store, err := sqlstore.New(db, sqlstore.PostgreSQL)
//	...
//	if err := store.Migrate(ctx); err != nil {
//		return err
//	}
//
// A method asks for the transaction and writes in it:
//
//	func (s *service) Create(ctx context.Context, p *orders.CreatePayload) (*orders.Order, error) {
//		...
//		err := sqlstore.InTx(ctx, s.db, func(tx *sql.Tx) error {
//			_, err := tx.ExecContext(ctx, "INSERT INTO orders …")
//			return err
//		})
//
// or with [Tx], which returns it alone. The transaction begins when it is asked
// for. It is committed, with the reply, after the method has returned and its
// result is encoded, before the client sees any of it; it is rolled back if the
// method fails. A process whose lease ended and whose key was taken over cannot
// commit. A method that never asks gets its reply stored by a statement of its
// own: a crash between the two then makes a repetition run again.
//
// Until the call is over, everything that the method writes belongs into that
// transaction, and everything that has to see it is read in it. It holds a
// connection of its pool: a method that needs a second one for something else
// can find that all are held by calls like itself, so give the pool more
// connections than such calls run at once. The isolation is the database's
// default, which should be read committed.
//
// In SQLite the transaction holds the lock of the one writer, from when it is
// asked for until the call is over: ask late. Where the pool that writes has one
// connection, a method must not use that pool beside the transaction: it would
// wait for itself.
//
// The database is SQLite or PostgreSQL, through any driver for database/sql; this
// package links none. Everything is in one table, aguada_idempotency. It holds
// digests and sealed replies, no key, name or payload. Let it be the primary.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/idempotency"
)

// Dialect is the kind of a database.
type Dialect string

// The dialects. SQLite is 3.35 or later, PostgreSQL is 12 or later.
const (
	SQLite     Dialect = "sqlite"
	PostgreSQL Dialect = "postgres"
)

// Table is the name of the table, in the schema that the connection uses.
const Table = "aguada_idempotency"

// schema is the same for both dialects: SQLite keeps any type in a column.
var schema = []string{
	`CREATE TABLE IF NOT EXISTS ` + Table + ` (
	id          TEXT PRIMARY KEY,
	owner       TEXT NOT NULL,
	fingerprint TEXT NOT NULL,
	lease_until BIGINT NOT NULL,
	expires_at  BIGINT NOT NULL,
	reply       BYTEA
)`,
	`CREATE INDEX IF NOT EXISTS ` + Table + `_expires_at ON ` + Table + ` (expires_at)`,
}

// Schema returns the statements that make the table and its index where they are
// missing, the same for both dialects, separated by semicolons, for those who
// bring their tables up to date themselves. Times are in milliseconds since 1970
// UTC, by the database's clock; a record without a reply is running.
func Schema() string { return strings.Join(schema, ";\n") + ";\n" }

// Store is the keys of a database. It is safe for concurrent use. Make one with
// [New].
type Store struct {
	db      *sql.DB
	dialect Dialect
	sql     statements
}

var (
	_ idempotency.Store   = (*Store)(nil)
	_ idempotency.Joiner  = (*Store)(nil)
	_ idempotency.Sweeper = (*Store)(nil)
)

// New returns the keys of a database, which remains the caller's to close. It
// must be the one that the methods write to; in SQLite, the pool that writes. In
// SQLite a busy_timeout makes writers wait for each other rather than fail.
func New(db *sql.DB, d Dialect) (*Store, error) {
	switch {
	case db == nil:
		return nil, errors.New("open idempotency keys: there is no database")
	case d != SQLite && d != PostgreSQL:
		return nil, fmt.Errorf("open idempotency keys: unknown dialect %q: want %s or %s", d, SQLite, PostgreSQL)
	}
	return &Store{db: db, dialect: d, sql: statementsOf(d)}, nil
}

// migrationLock keeps replicas that start at once from making the table at the
// same time, which PostgreSQL refuses.
const migrationLock = 0x6167_6964_656d // "agidem"

// Migrate makes the table where it is missing. Several processes may call it at
// once, and it may be called at every start; where the table is there, the
// database's role need not be allowed to make one.
func (s *Store) Migrate(ctx context.Context) error {
	var err error
	for try := range 10 {
		if s.Ready(ctx) == nil {
			return nil
		}
		if err = s.create(ctx); err == nil {
			return nil
		}
		if s.dialect != SQLite {
			break
		}
		// Several processes that open a new file at once may find it busy,
		// whatever their timeouts.
		select {
		case <-ctx.Done():
			return fmt.Errorf("make table %s: %w", Table, err)
		case <-time.After(time.Duration(try+1) * 10 * time.Millisecond):
		}
	}
	return fmt.Errorf("make table %s: %w", Table, err)
}

// Ready returns an error if the table cannot be read.
func (s *Store) Ready(ctx context.Context) error {
	rows, err := s.db.QueryContext(ctx, "SELECT id, owner, fingerprint, lease_until, expires_at, reply FROM "+Table+" WHERE 1 = 0")
	if err != nil {
		return fmt.Errorf("read table %s: %w", Table, err)
	}
	return errors.Join(rows.Err(), rows.Close())
}

func (s *Store) create(ctx context.Context) (err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ended(tx.Rollback())) }()
	if s.dialect == PostgreSQL {
		if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", int64(migrationLock)); err != nil {
			return err
		}
	}
	for _, statement := range schema {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func ended(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// Claim implements [idempotency.Store]: by one statement where it succeeds.
func (s *Store) Claim(ctx context.Context, t idempotency.Ticket) (idempotency.State, error) {
	for range 10 {
		state, err := s.claim(ctx, t)
		if !errors.Is(err, sql.ErrNoRows) {
			return state, err
		}
		// Whoever had the record gave it back meanwhile.
	}
	return idempotency.State{}, errors.New("claim idempotency key: it is claimed and released by others all the time")
}

func (s *Store) claim(ctx context.Context, t idempotency.Ticket) (idempotency.State, error) {
	var owner, fingerprint string
	var reply []byte
	err := s.db.QueryRowContext(ctx, s.sql.claim, t.ID.String(), t.Owner.String(), print(t), milli(t.Lease), milli(t.Lease+t.Keep)).Scan(&owner)
	if err == nil {
		return idempotency.State{Status: idempotency.Claimed}, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return idempotency.State{}, fmt.Errorf("claim idempotency key: %w", err)
	}
	err = s.db.QueryRowContext(ctx, s.sql.look, t.ID.String()).Scan(&fingerprint, &reply)
	switch {
	case err != nil:
		return idempotency.State{}, fmt.Errorf("look up idempotency key: %w", err)
	case fingerprint != print(t):
		return idempotency.State{Status: idempotency.Mismatch}, nil
	case reply != nil:
		return idempotency.State{Status: idempotency.Done, Reply: reply}, nil
	}
	return idempotency.State{Status: idempotency.Running}, nil
}

// Extend implements [idempotency.Store].
func (s *Store) Extend(ctx context.Context, t idempotency.Ticket) error {
	return one(s.db.ExecContext(ctx, s.sql.extend, t.ID.String(), t.Owner.String(), milli(t.Lease), milli(t.Lease+t.Keep)))
}

// Finish implements [idempotency.Store].
func (s *Store) Finish(ctx context.Context, t idempotency.Ticket, reply []byte) error {
	if reply != nil {
		return s.finish(ctx, s.db, t, reply)
	}
	_, err := s.db.ExecContext(ctx, s.sql.release, t.ID.String(), t.Owner.String())
	if err != nil {
		return fmt.Errorf("release idempotency key: %w", err)
	}
	return nil
}

// execer is a database or a transaction.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (s *Store) finish(ctx context.Context, db execer, t idempotency.Ticket, reply []byte) error {
	return one(db.ExecContext(ctx, s.sql.finish, t.ID.String(), t.Owner.String(), milli(t.Keep), reply))
}

// one turns a change of nothing into an error.
func one(result sql.Result, err error) error {
	if err != nil {
		return fmt.Errorf("change idempotency key: %w", err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return fmt.Errorf("change idempotency key: %w", err)
	}
	if n != 1 {
		return fmt.Errorf("change idempotency key: %w", idempotency.ErrSuperseded)
	}
	return nil
}

// Sweep implements [idempotency.Sweeper].
func (s *Store) Sweep(ctx context.Context) (bool, error) {
	result, err := s.db.ExecContext(ctx, s.sql.sweep)
	if err != nil {
		return false, fmt.Errorf("remove expired idempotency keys: %w", err)
	}
	n, err := result.RowsAffected()
	return n >= batch, err
}

func print(t idempotency.Ticket) string {
	return idempotency.RecordID(t.Fingerprint).String()
}

// milli rounds up.
func milli(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
