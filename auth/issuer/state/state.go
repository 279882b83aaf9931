// Package state keeps what the development issuer must not forget: signing
// keys, clients, consents, codes and tokens, in one SQLite file.
//
//	s, err := state.Open(ctx, ".aguada/issuer.db")
//	...
//	defer s.Close()
//	err = s.Update(ctx, func(tx *state.Tx) error {
//		_, err := tx.RotateKey(state.ES256, false, time.Now())
//		return err
//	})
//
// Codes, tokens and client secrets are kept as SHA-256 digests; signing keys are
// protected by the mode of the file alone. It is for development on one
// machine and must never hold what production trusts.
package state

import (
	"context"
	"crypto/sha256"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

//go:embed schema.sql
var schema string

// version is that of schema.sql.
const version = 1

// Errors that callers tell apart.
var (
	// ErrNotFound is something that was never there, or is no more.
	ErrNotFound = errors.New("not found")
	// ErrUnusable is a file that this version of the package cannot use: it is
	// broken, or another version made it. Nothing in it is worth keeping.
	ErrUnusable = errors.New("not the state of this version's issuer")
)

// State is an open file. Several goroutines and several processes may use one
// file at once.
type State struct {
	db *sql.DB
}

// Open opens the file, making it where it is missing, readable by its owner
// only. A new file has a signing key and no clients. A file of another kind is
// ErrUnusable.
func Open(ctx context.Context, file string) (_ *State, err error) {
	// SQLite would make it readable by everybody, and gives its log the
	// permissions that the file has.
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = errors.Join(f.Chmod(0o600), f.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("open issuer state: %w", err)
	}
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath()}
	// The busy timeout must hold when the journal mode changes.
	u.RawQuery = "_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=foreign_keys(1)&_txlock=immediate"
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, fmt.Errorf("open issuer state %s: %w", file, err)
	}
	db.SetMaxOpenConns(1)
	s := &State{db: db}
	if err := s.Update(ctx, func(tx *Tx) error { return tx.prepare() }); err != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("%w: %w", ErrUnusable, err)
		}
		return nil, fmt.Errorf("open issuer state %s: %w", file, errors.Join(err, db.Close()))
	}
	return s, nil
}

// Close closes the file.
func (s *State) Close() error { return s.db.Close() }

// Update runs f alone: no other process reads or writes between its steps. All
// of it is kept when f returns nil, and nothing otherwise. f must not call
// Update.
func (s *State) Update(ctx context.Context, f func(*Tx) error) error {
	inner, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := f(&Tx{ctx: ctx, tx: inner}); err != nil {
		return errors.Join(err, inner.Rollback())
	}
	if err := inner.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// Tx is a step of [State.Update]. It is not for several goroutines.
type Tx struct {
	ctx context.Context // a Tx lives within one call
	tx  *sql.Tx
}

// prepare makes the tables of a new file and checks an old one.
func (t *Tx) prepare() error {
	var found int
	if err := t.row(`PRAGMA user_version`).Scan(&found); err != nil {
		return err
	}
	switch found {
	case version:
		return nil
	case 0:
	default:
		return fmt.Errorf("version %d, not %d", found, version)
	}
	if err := t.exec(schema); err != nil {
		return err
	}
	if err := t.exec(fmt.Sprintf(`PRAGMA user_version = %d`, version)); err != nil {
		return err
	}
	_, err := t.RotateKey(ES256, true, time.Now())
	return err
}

func (t *Tx) row(query string, args ...any) *sql.Row {
	return t.tx.QueryRowContext(t.ctx, query, args...)
}

func (t *Tx) exec(query string, args ...any) error {
	_, err := t.tx.ExecContext(t.ctx, query, args...)
	return err
}

// changed is exec for a statement that must find something.
func (t *Tx) changed(query string, args ...any) error {
	res, err := t.tx.ExecContext(t.ctx, query, args...)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}

// Setting returns a remembered value, empty where there is none.
func (t *Tx) Setting(name string) (string, error) {
	var value string
	err := t.row(`SELECT value FROM settings WHERE name = ?`, name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, err
}

// SetSetting remembers a value.
func (t *Tx) SetSetting(name, value string) error {
	return t.exec(`INSERT INTO settings VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`, name, value)
}

// Sweep drops what is over.
func (t *Tx) Sweep(now time.Time) error {
	for _, table := range []string{"requests", "grants", "codes", "refresh_tokens", "access_tokens"} {
		// A used code is remembered for as long as its grant, so that its reuse
		// is seen.
		query := `DELETE FROM ` + table + ` WHERE expires <= ?`
		if table == "codes" || table == "refresh_tokens" {
			query += ` AND NOT used`
		}
		if err := t.exec(query, now.Unix()); err != nil {
			return fmt.Errorf("sweep %s: %w", table, err)
		}
	}
	return nil
}

func digest(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}
