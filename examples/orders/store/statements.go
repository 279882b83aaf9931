package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

const orderColumns = `id, created_by, customer_id, currency, total_cents, placed_at, ships_at, cancelled_at`

// statements are those of the requests' path, prepared once.
type statements struct {
	insertOrder, insertItem, countOrder *sql.Stmt // by the writer
	cancel, countCancel                 *sql.Stmt // by the writer
	order, items                        *sql.Stmt
	position, pageOwn, pageAll          *sql.Stmt
	users, sales                        *sql.Stmt
}

func (s *statements) prepare(ctx context.Context, write, read *sql.DB) error {
	for _, p := range []struct {
		db    *sql.DB
		stmt  **sql.Stmt
		query string
	}{
		{write, &s.insertOrder, `INSERT INTO orders (` + orderColumns + `,
			note, card_last4, ship_name, ship_street, ship_city, ship_postal, ship_country)
			VALUES (?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, ?, ?, ?, ?, ?)`},
		{write, &s.insertItem, `INSERT INTO order_items (order_seq, position, sku, quantity, unit_price_cents)
			VALUES (?, ?, ?, ?, ?)`},
		{write, &s.countOrder, `INSERT INTO users (name, orders, cancelled, first_order_at, last_order_at)
			VALUES (?1, 1, 0, ?2, ?2)
			ON CONFLICT DO UPDATE SET orders = orders + 1, last_order_at = max(last_order_at, ?2)`},
		{write, &s.cancel, `UPDATE orders SET cancelled_at = ?1
			WHERE id = ?2 AND (created_by = ?3 OR ?4) AND cancelled_at IS NULL AND ships_at > ?1
			RETURNING created_by`},
		{write, &s.countCancel, `UPDATE users SET cancelled = cancelled + 1 WHERE name = ?`},

		{read, &s.order, `SELECT ` + orderColumns + `,
			seq, note, card_last4, ship_name, ship_street, ship_city, ship_postal, ship_country
			FROM orders WHERE id = ?1 AND (created_by = ?2 OR ?3)`},
		{read, &s.items, `SELECT sku, quantity, unit_price_cents
			FROM order_items WHERE order_seq = ? ORDER BY position`},
		{read, &s.position, `SELECT seq FROM orders WHERE id = ?1 AND (created_by = ?2 OR ?3)`},
		{read, &s.pageOwn, `SELECT ` + orderColumns + `
			FROM orders WHERE created_by = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3`},
		{read, &s.pageAll, `SELECT ` + orderColumns + `
			FROM orders WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2`},
		{read, &s.users, `SELECT name, orders, cancelled, first_order_at, last_order_at
			FROM users WHERE name > ? ORDER BY name LIMIT ?`},
		{read, &s.sales, `SELECT date(placed_at / 1000, 'unixepoch') AS day, currency, count(*), sum(total_cents)
			FROM orders WHERE placed_at >= ? AND placed_at < ? AND cancelled_at IS NULL
			GROUP BY day, currency ORDER BY day, currency`},
	} {
		stmt, err := p.db.PrepareContext(ctx, p.query)
		if err != nil {
			return fmt.Errorf("prepare statement: %w", err)
		}
		*p.stmt = stmt
	}
	return nil
}

func (s *statements) close() error {
	var errs []error
	for _, stmt := range []*sql.Stmt{
		s.insertOrder, s.insertItem, s.countOrder, s.cancel, s.countCancel,
		s.order, s.items, s.position, s.pageOwn, s.pageAll, s.users, s.sales,
	} {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	return errors.Join(errs...)
}
