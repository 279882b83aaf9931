package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/idempotency"
	"github.com/aguada-dev/aguada/idempotency/sqlstore"
)

func TestInTx(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		ours := errors.New("ours")
		run := func(ctx context.Context, text string, err error) error {
			return sqlstore.InTx(ctx, s.db, func(tx *sql.Tx) error {
				return errors.Join(insert(ctx, tx, "k", text), err)
			})
		}
		// Without a key: a transaction of its own.
		if err := run(t.Context(), "1", nil); err != nil {
			t.Fatal(err)
		}
		is(t, "an error", run(t.Context(), "2", ours), ours)
		s.orders(1)
		func() {
			defer func() { _ = recover() }()
			_ = sqlstore.InTx(t.Context(), s.db, func(tx *sql.Tx) error { panic(insert(t.Context(), tx, "k", "3")) })
		}()
		s.orders(1)
		// With a key: what failed is undone, what did not waits for the reply.
		claim, ctx := s.begin("k")
		if err := run(ctx, "4", nil); err != nil {
			t.Fatal(err)
		}
		is(t, "an error", run(ctx, "5", ours), ours)
		is(t, "a failed statement", sqlstore.InTx(ctx, s.db, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "INSERT INTO nowhere VALUES (1)")
			if err == nil || !strings.Contains(err.Error(), "nowhere") {
				t.Errorf("got %v", err)
			}
			return errors.Join(err, ours)
		}), ours)
		func() {
			defer func() { _ = recover() }()
			_ = sqlstore.InTx(ctx, s.db, func(tx *sql.Tx) error { panic(insert(ctx, tx, "k", "recovered")) })
		}()
		if err := run(ctx, "6", nil); err != nil {
			t.Fatal(err)
		}
		if err := claim.Complete(ctx, body("reply")); err != nil {
			t.Fatal(err)
		}
		s.orders(3)
		is(t, "after the end", run(ctx, "7", nil), idempotency.ErrEnded)
		s.orders(3)
	})
}

// A service whose keys are kept elsewhere uses its own transactions.
func TestOtherStore(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		m, err := idempotency.NewMemory(idempotency.MemoryConfig{})
		if err != nil {
			t.Fatal(err)
		}
		k, err := idempotency.New(m, idempotency.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		claim, _, err := k.Begin(t.Context(), callOf("k"))
		if err != nil {
			t.Fatal(err)
		}
		ctx := claim.Context(t.Context())
		_, err = sqlstore.Tx(ctx)
		is(t, "a transaction of another store", err, idempotency.ErrNone)
		_, err = sqlstore.Tx(t.Context())
		is(t, "a transaction without a key", err, idempotency.ErrNone)
		if err := sqlstore.InTx(ctx, s.db, func(tx *sql.Tx) error { return insert(ctx, tx, "k", "order") }); err != nil {
			t.Fatal(err)
		}
		s.orders(1)
		if err := claim.Release(ctx); err != nil {
			t.Fatal(err)
		}
	})
}
