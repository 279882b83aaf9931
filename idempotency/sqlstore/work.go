package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/aguada-dev/aguada/idempotency"
)

// Tx returns the transaction of the call that ctx belongs to: what is written in
// it is committed together with the call's reply, or not at all. The method must
// not end it. A statement that fails in PostgreSQL has ended it in effect: return
// an error. All calls of Tx within a call return the same transaction.
//
// The error is idempotency.ErrNone where there is nothing to join, because the
// call has no key or its keys are kept elsewhere: then the method uses a
// transaction of its own. Any other error means that the call cannot go on, and
// is best returned as it is: callers are then told to try again.
func Tx(ctx context.Context) (*sql.Tx, error) {
	w, err := idempotency.Join(ctx)
	if err != nil {
		return nil, err
	}
	own, ok := w.(*work)
	if !ok {
		return nil, idempotency.ErrNone
	}
	return own.tx, nil
}

// InTx does work that is stored as a whole or not at all: in the transaction of
// the call that ctx belongs to, if there is one, where it is committed with the
// call's reply; else in one of db, which it commits. Where do returns an error,
// what it wrote is undone and the error returned; it is undone, too, where do
// panics.
func InTx(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) error {
	tx, err := Tx(ctx)
	if errors.Is(err, idempotency.ErrNone) {
		return alone(ctx, db, do)
	}
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "SAVEPOINT aguada_in_tx"); err != nil {
		return fmt.Errorf("begin work: %w", err)
	}
	returned := false
	defer func() {
		if !returned { // but panicked: who recovers shall not commit half of it
			_ = undo(ctx, tx)
		}
	}()
	err = do(tx)
	returned = true
	if err != nil {
		return errors.Join(err, undo(ctx, tx))
	}
	if _, err := tx.ExecContext(ctx, "RELEASE SAVEPOINT aguada_in_tx"); err != nil {
		return errors.Join(fmt.Errorf("end work: %w", err), tx.Rollback())
	}
	return nil
}

// undo takes back what was written in tx since InTx began.
func undo(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(context.WithoutCancel(ctx), "ROLLBACK TO SAVEPOINT aguada_in_tx")
	if err != nil { // nothing of this call may be committed any more
		err = errors.Join(err, tx.Rollback())
	}
	return err
}

func alone(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) (err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin work: %w", err)
	}
	defer func() { err = errors.Join(err, ended(tx.Rollback())) }() // after a panic, too
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// work is the transaction of a call.
type work struct {
	s    *Store
	conn *sql.Conn
	tx   *sql.Tx
	cut  context.CancelFunc // ends the transaction
}

// Join implements [idempotency.Joiner].
func (s *Store) Join(ctx context.Context, t idempotency.Ticket) (idempotency.Work, error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("begin transaction: %w", err)
	}
	// A call that ends does not cut the transaction, or nobody could tell
	// whether it was committed.
	own, cut := context.WithCancel(context.WithoutCancel(ctx))
	w := &work{s: s, conn: conn, cut: cut}
	stop := context.AfterFunc(ctx, cut)
	w.tx, err = conn.BeginTx(own, nil)
	if err != nil {
		stop()
		cut()
		return nil, errors.Join(fmt.Errorf("begin transaction: %w", err), conn.Close())
	}
	if s.dialect == SQLite {
		// Who writes first need not change from reading to writing, which
		// SQLite may refuse.
		err = one(w.tx.ExecContext(ctx, s.sql.lock, t.ID.String(), t.Owner.String()))
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("begin transaction: %w", err), w.Abandon())
	}
	return w, nil
}

// Complete implements [idempotency.Work].
func (w *work) Complete(ctx context.Context, t idempotency.Ticket, reply []byte) error {
	defer context.AfterFunc(ctx, w.cut)() // a commit has no context of its own
	err := w.s.finish(ctx, w.tx, t, reply)
	if errors.Is(err, sql.ErrTxDone) && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", idempotency.ErrEnded, err)
	}
	if err == nil {
		if err = w.tx.Commit(); err != nil {
			err = fmt.Errorf("commit: %w", err)
		}
	}
	return errors.Join(err, w.Abandon())
}

// Abandon implements [idempotency.Work]. What has ended already is no error.
func (w *work) Abandon() error {
	err := ended(w.tx.Rollback())
	w.cut()
	if closed := w.conn.Close(); !errors.Is(closed, sql.ErrConnDone) {
		err = errors.Join(err, closed)
	}
	return err
}

// Extend implements [idempotency.Work]. In SQLite nobody else can write while the
// transaction is open.
func (w *work) Extend(ctx context.Context, t idempotency.Ticket) error {
	if w.s.dialect == SQLite {
		return nil
	}
	return w.s.Extend(ctx, t)
}
