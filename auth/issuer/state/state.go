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

	"modernc.org/sqlite" // the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
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
	// ErrGone is a file that was deleted or replaced since it was opened. Its
	// keys must not sign: nobody else would know them.
	ErrGone = errors.New("the issuer's file was deleted or replaced; stop, and start again")
)

// State is an open file. Several goroutines and several processes may use one
// file at once.
type State struct {
	db   *sql.DB
	file string
	info os.FileInfo // of the file that was opened
}

// Open opens the file, making it where it is missing, readable by its owner
// only. A new file has a signing key and no clients. A file of another kind is
// ErrUnusable.
func Open(ctx context.Context, file string) (_ *State, err error) {
	// SQLite would make it readable by everybody, and gives its log the
	// permissions that the file has.
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	var info os.FileInfo
	if err == nil {
		info, err = f.Stat()
		err = errors.Join(err, f.Chmod(0o600), f.Close())
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
	s := &State{db: db, file: file, info: info}
	if err := s.Update(ctx, func(tx *Tx) error { return tx.prepare() }); err != nil {
		if hopeless(err) {
			err = fmt.Errorf("%w: %w", ErrUnusable, err)
		}
		return nil, fmt.Errorf("open issuer state %s: %w", file, errors.Join(err, db.Close()))
	}
	return s, nil
}

var errVersion = errors.New("another version")

// hopeless reports whether an error is the file's own. One that is locked, on a
// full disk or in a folder that is gone is good again later: nobody should be
// told to delete it.
func hopeless(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return errors.Is(err, errVersion)
	}
	switch e.Code() & 0xff { // the rest tells more of the same
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR:
		return true
	}
	return false
}

// Close closes the file.
func (s *State) Close() error { return s.db.Close() }

// Gone returns ErrGone, with the file's name, where it was deleted or replaced.
func (s *State) Gone() error {
	now, err := os.Stat(s.file)
	if err == nil && os.SameFile(now, s.info) {
		return nil
	}
	if err == nil || errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s: %w", s.file, ErrGone)
	}
	return fmt.Errorf("look at issuer state: %w", err)
}

// Update runs f alone: no other process reads or writes between its steps. All
// of it is kept when f returns nil, and nothing otherwise, or where it panics.
// f must not call Update. Nothing runs once the file is gone.
func (s *State) Update(ctx context.Context, f func(*Tx) error) error {
	if err := s.Gone(); err != nil {
		return err
	}
	inner, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	returned := false
	defer func() {
		if !returned { // the one connection must not stay taken
			_ = inner.Rollback()
		}
	}()
	err = f(&Tx{ctx: ctx, tx: inner})
	returned = true
	if err != nil {
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
		return fmt.Errorf("%w: %d, not %d", errVersion, found, version)
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
