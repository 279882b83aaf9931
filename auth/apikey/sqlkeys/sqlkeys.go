// Package sqlkeys keeps API keys in an SQL database, for any number of
// replicas.
//
//	store, err := sqlkeys.New(db, sqlkeys.PostgreSQL)
//	...
//	if err := store.Migrate(ctx); err != nil {
//		return err
//	}
//	keys, err := apikey.New(store, apikey.Peppers{Current: pepper}, apikey.Config{Scheme: "api_key"})
//
// The database is the service's own, SQLite or PostgreSQL, through any driver
// for database/sql; this package links none. Everything is in one table,
// aguada_api_keys. It holds no key: see package apikey.
//
// Let it be the primary: a replica that lags behind would hide a revocation for
// as long as it lags.
package sqlkeys

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/auth/apikey"
)

// Dialect is the kind of a database.
type Dialect string

// The dialects. SQLite is 3.33 or later, PostgreSQL is 12 or later.
const (
	SQLite     Dialect = "sqlite"
	PostgreSQL Dialect = "postgres"
)

// Table is the name of the table, in the schema that the connection uses.
const Table = "aguada_api_keys"

// Schema returns the statement that makes the table where it is missing, the
// same for both dialects, for those who bring their tables up to date
// themselves. Times are in milliseconds since 1970 UTC; scopes are separated by
// spaces.
func Schema() string {
	return `CREATE TABLE IF NOT EXISTS ` + Table + ` (
	id           TEXT PRIMARY KEY,
	hmac         TEXT NOT NULL,
	pepper       TEXT NOT NULL,
	owner        TEXT NOT NULL,
	scopes       TEXT NOT NULL,
	label        TEXT NOT NULL,
	created_at   BIGINT,
	expires_at   BIGINT,
	revoked_at   BIGINT,
	retires_at   BIGINT,
	replaces     TEXT NOT NULL,
	replaced_by  TEXT NOT NULL,
	last_used_at BIGINT,
	version      BIGINT NOT NULL
)`
}

const columns = "id, hmac, pepper, owner, scopes, label, created_at, expires_at, revoked_at, retires_at, replaces, replaced_by, last_used_at, version"

// Store is the keys of a database. It is safe for concurrent use. Make one with
// [New].
type Store struct {
	db      *sql.DB
	dialect Dialect
}

var (
	_ apikey.Store  = (*Store)(nil)
	_ apikey.Ledger = (*Store)(nil)
)

// New returns the keys of a database, which remains the caller's to close. Its
// connections need no particular settings; in SQLite a busy_timeout makes
// writers wait for each other rather than fail.
func New(db *sql.DB, d Dialect) (*Store, error) {
	switch {
	case db == nil:
		return nil, errors.New("open API keys: there is no database")
	case d != SQLite && d != PostgreSQL:
		return nil, fmt.Errorf("open API keys: unknown dialect %q: want %s or %s", d, SQLite, PostgreSQL)
	}
	return &Store{db: db, dialect: d}, nil
}

// migrationLock keeps replicas that start at once from making the table at the
// same time, which PostgreSQL refuses.
const migrationLock = 0x6167_6b65_7973 // "agkeys"

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
	rows, err := s.db.QueryContext(ctx, "SELECT "+columns+" FROM "+Table+" WHERE 1 = 0")
	if err != nil {
		return fmt.Errorf("read table %s: %w", Table, err)
	}
	return errors.Join(rows.Err(), rows.Close())
}

func (s *Store) create(ctx context.Context) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if s.dialect == PostgreSQL {
			if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", int64(migrationLock)); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, Schema())
		return err
	})
}

// inTx does work that is stored as a whole or not at all.
func (s *Store) inTx(ctx context.Context, work func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := work(tx); err != nil {
		return errors.Join(err, ended(tx.Rollback()))
	}
	return tx.Commit()
}

func ended(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// marks returns n placeholders from the one with a number on, each within a
// form such as "CAST(%s AS TEXT)".
func (s *Store) marks(from int, forms ...string) string {
	list := make([]string, len(forms))
	for i, form := range forms {
		mark := "?"
		if s.dialect == PostgreSQL {
			mark = fmt.Sprintf("$%d", from+i)
		}
		list[i] = fmt.Sprintf(form, mark)
	}
	return strings.Join(list, ", ")
}

func (s *Store) mark(n int) string { return s.marks(n, "%s") }

// Lookup implements [apikey.Store] by one statement.
func (s *Store) Lookup(ctx context.Context, id string) (apikey.Record, error) {
	r, _, err := s.lookup(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return apikey.Record{}, apikey.ErrNotFound
	}
	return r, err
}

func (s *Store) lookup(ctx context.Context, id string) (apikey.Record, int64, error) {
	return scan(s.db.QueryRowContext(ctx, "SELECT "+columns+" FROM "+Table+" WHERE id = "+s.mark(1), id).Scan)
}

// Used implements [apikey.Store] by one statement. PostgreSQL passes over a row
// that somebody else is changing: its next use comes.
func (s *Store) Used(ctx context.Context, uses []apikey.Use) error {
	if len(uses) == 0 {
		return nil
	}
	rows, args := make([]string, len(uses)), make([]any, 0, 2*len(uses))
	for i, u := range uses {
		rows[i] = "(" + s.marks(2*i+1, "CAST(%s AS TEXT)", "CAST(%s AS BIGINT)") + ")"
		args = append(args, u.ID, u.At.UnixMilli())
	}
	statement := "WITH use(id, at) AS (VALUES " + strings.Join(rows, ", ") + ")" //nolint:gosec // placeholders
	from := "use"
	if s.dialect == PostgreSQL {
		statement += ", free(id) AS (SELECT id FROM " + Table + " WHERE id IN (SELECT id FROM use) FOR NO KEY UPDATE SKIP LOCKED)"
		from = "use JOIN free ON use.id = free.id"
	}
	statement += " UPDATE " + Table + " SET last_used_at = use.at FROM " + from +
		" WHERE " + Table + ".id = use.id AND (last_used_at IS NULL OR last_used_at < use.at)"
	_, err := s.db.ExecContext(ctx, statement, args...)
	return err
}

// Insert implements [apikey.Ledger].
func (s *Store) Insert(ctx context.Context, r apikey.Record) error { return s.insert(ctx, s.db, &r) }

// execer is a database or a transaction.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (s *Store) insert(ctx context.Context, db execer, r *apikey.Record) error {
	if err := r.Check(); err != nil {
		return err
	}
	values := s.marks(1, slices.Repeat([]string{"%s"}, strings.Count(columns, ",")+1)...)
	result, err := db.ExecContext(ctx, "INSERT INTO "+Table+" ("+columns+") VALUES ("+values+") ON CONFLICT (id) DO NOTHING",
		r.ID, r.HMAC, r.Pepper, r.Owner, strings.Join(r.Scopes, " "), r.Label, milli(r.CreatedAt), milli(r.ExpiresAt),
		milli(r.RevokedAt), milli(r.RetiresAt), r.Replaces, r.ReplacedBy, milli(r.LastUsedAt), 1)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return apikey.ErrExists
}

// errMoved says that somebody else changed a record meanwhile.
var errMoved = errors.New("the API key is being changed by others all the time")

// Update implements [apikey.Ledger]. A record that somebody else changed
// meanwhile is read again.
func (s *Store) Update(ctx context.Context, id string, change func(*apikey.Record) (*apikey.Record, error)) error {
	for range 20 {
		r, version, err := s.lookup(ctx, id)
		if errors.Is(err, sql.ErrNoRows) {
			return apikey.ErrNotFound
		}
		if err != nil {
			return err
		}
		add, err := change(&r)
		if err == nil {
			err = r.Check()
		}
		if err != nil {
			return err
		}
		if err := s.write(ctx, &r, version, add); !errors.Is(err, errMoved) {
			return err
		}
	}
	return errMoved
}

// write stores a change to the record of a version. The first statement of the
// transaction writes, so that SQLite has nothing to upgrade.
func (s *Store) write(ctx context.Context, r *apikey.Record, version int64, add *apikey.Record) error {
	statement := "UPDATE " + Table + " SET revoked_at = " + s.mark(1) + ", retires_at = " + s.mark(2) + ", replaced_by = " + s.mark(3) + //nolint:gosec // placeholders
		", version = version + 1 WHERE id = " + s.mark(4) + " AND version = " + s.mark(5)
	return s.inTx(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, statement, milli(r.RevokedAt), milli(r.RetiresAt), r.ReplacedBy, r.ID, version)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return err
		}
		if n != 1 {
			return errMoved
		}
		if add == nil {
			return nil
		}
		return s.insert(ctx, tx, add)
	})
}

// List implements [apikey.Ledger].
func (s *Store) List(ctx context.Context, f apikey.Filter) (_ []apikey.Record, err error) {
	query, args := "SELECT "+columns+" FROM "+Table+" WHERE 1 = 1", []any(nil)
	for _, c := range []struct{ column, value string }{{"id", f.ID}, {"owner", f.Owner}} {
		if c.value != "" {
			args = append(args, c.value)
			query += " AND " + c.column + " = " + s.mark(len(args)) //nolint:gosec // a constant and a placeholder
		}
	}
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var found []apikey.Record
	for rows.Next() {
		r, _, err := scan(rows.Scan)
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	apikey.SortRecords(found) // as bytes compare, whatever the database's collation
	return found, rows.Err()
}

// scan reads a row of the columns.
func scan(read func(...any) error) (r apikey.Record, version int64, err error) {
	var scopes string
	var created, expires, revoked, retires, used sql.NullInt64
	err = read(&r.ID, &r.HMAC, &r.Pepper, &r.Owner, &scopes, &r.Label, &created, &expires, &revoked, &retires,
		&r.Replaces, &r.ReplacedBy, &used, &version)
	if err != nil {
		return apikey.Record{}, 0, err
	}
	if scopes != "" {
		r.Scopes = strings.Split(scopes, " ")
	}
	r.CreatedAt, r.ExpiresAt, r.RevokedAt = moment(created), moment(expires), moment(revoked)
	r.RetiresAt, r.LastUsedAt = moment(retires), moment(used)
	return r, version, nil
}

// milli returns a time as the table has it.
func milli(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMilli(), Valid: !t.IsZero()}
}

func moment(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.UnixMilli(n.Int64).UTC()
}
