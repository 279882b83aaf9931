package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

const orderColumns = `id, created_by, customer_id, currency, total_cents, placed_at, ships_at, cancelled_at`

// The statements, in SQL that SQLite and PostgreSQL both speak. Each names
// itself for spans: operation and table.
var (
	insertOrder = query{"INSERT orders", `INSERT INTO orders (` + orderColumns + `,
		note, card_last4, ship_name, ship_street, ship_city, ship_postal, ship_country)
		VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, $8, $9, $10, $11, $12, $13, $14)
		RETURNING seq`}
	insertItem = query{"INSERT order_items", `INSERT INTO order_items (order_seq, position, sku, quantity, unit_price_cents)
		VALUES ($1, $2, $3, $4, $5)`}
	// insertItems is insertItem for all lines at once: PostgreSQL is a network
	// away, SQLite has no arrays.
	insertItems = query{"INSERT order_items", `INSERT INTO order_items (order_seq, position, sku, quantity, unit_price_cents)
		SELECT $1::bigint, * FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[])`}
	countOrder = query{"INSERT users", `INSERT INTO users (name, orders, cancelled, first_order_at, last_order_at)
		VALUES ($1, 1, 0, $2, $2)
		ON CONFLICT (name) DO UPDATE SET orders = users.orders + 1, last_order_at =
			CASE WHEN users.last_order_at < excluded.last_order_at THEN excluded.last_order_at ELSE users.last_order_at END`}
	cancelOrder = query{"UPDATE orders", `UPDATE orders SET cancelled_at = $1
		WHERE id = $2 AND (created_by = $3 OR $4) AND cancelled_at IS NULL AND ships_at > $1
		RETURNING created_by`}
	countCancel = query{"UPDATE users", `UPDATE users SET cancelled = cancelled + 1 WHERE name = $1`}

	selectOrder = query{"SELECT orders", `SELECT ` + orderColumns + `,
		seq, note, card_last4, ship_name, ship_street, ship_city, ship_postal, ship_country
		FROM orders WHERE id = $1 AND (created_by = $2 OR $3)`}
	selectItems = query{"SELECT order_items", `SELECT sku, quantity, unit_price_cents
		FROM order_items WHERE order_seq = $1 ORDER BY position`}
	selectPosition = query{"SELECT orders", `SELECT seq FROM orders WHERE id = $1 AND (created_by = $2 OR $3)`}
	selectOwn      = query{"SELECT orders", `SELECT ` + orderColumns + `
		FROM orders WHERE created_by = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3`}
	selectAll = query{"SELECT orders", `SELECT ` + orderColumns + `
		FROM orders WHERE seq < $1 ORDER BY seq DESC LIMIT $2`}
	selectUsers = query{"SELECT users", `SELECT name, orders, cancelled, first_order_at, last_order_at
		FROM users WHERE name > $1 ORDER BY name LIMIT $2`}
	// A day is 86,400,000 ms: the tables know no leap seconds.
	selectSales = query{"SELECT orders", `SELECT placed_at / 86400000 AS day, currency, count(*), CAST(sum(total_cents) AS BIGINT)
		FROM orders WHERE placed_at >= $1 AND placed_at < $2 AND cancelled_at IS NULL
		GROUP BY day, currency ORDER BY day, currency`}

	insertEvent = query{"INSERT order_events", `INSERT INTO order_events (order_id, owner, kind, at, written_at)
		VALUES ($1, $2, $3, $4, $5)`}
	// An order that is being cancelled at this moment, or shipped by another
	// process, is in the way: ON CONFLICT waits for it, and then leaves it alone.
	shipOrders = query{"INSERT order_events", `INSERT INTO order_events (order_id, owner, kind, at, written_at)
		SELECT id, created_by, 'shipped', ships_at, CAST($3 AS BIGINT) FROM orders
		WHERE cancelled_at IS NULL AND ships_at > $1 AND ships_at <= $2
			AND NOT EXISTS (SELECT 1 FROM order_events WHERE order_id = orders.id AND kind = 'shipped')
		ORDER BY ships_at, seq LIMIT $4
		ON CONFLICT DO NOTHING`}
	pruneEvents = query{"DELETE order_events", `DELETE FROM order_events
		WHERE seq IN (SELECT seq FROM order_events WHERE written_at < $1 ORDER BY written_at LIMIT $2)`}
	findEvent = query{"SELECT order_events", `SELECT ` + eventColumns + ` FROM order_events_settled
		WHERE order_id = $1 AND kind = $2 AND (owner = $3 OR $4) AND written_at > $5`}
	selectLastEvent = query{"SELECT order_events", `SELECT ` + eventColumns + ` FROM order_events_settled
		WHERE written_at > $1 ORDER BY xact DESC, seq DESC LIMIT 1`}
	selectLastEventOf = query{"SELECT order_events", `SELECT ` + eventColumns + ` FROM order_events_settled
		WHERE owner = $1 AND written_at > $2 ORDER BY xact DESC, seq DESC LIMIT 1`}
	selectEvents = query{"SELECT order_events", `SELECT ` + eventColumns + ` FROM order_events_settled
		WHERE (xact, seq) > ($1, $2) AND written_at > $3 ORDER BY xact, seq LIMIT $4`}
	selectEventsOf = query{"SELECT order_events", `SELECT ` + eventColumns + ` FROM order_events_settled
		WHERE owner = $5 AND (xact, seq) > ($1, $2) AND written_at > $3 ORDER BY xact, seq LIMIT $4`}
)

const eventColumns = `xact, seq, order_id, owner, kind, at, written_at`

// query is a statement's text, with what a span calls it.
type query struct{ summary, text string }

// statement is a query on a database.
type statement struct {
	query
	op *operation
	db *sql.DB
	// prepared is nil for PostgreSQL, whose driver prepares by itself, for each
	// connection: connections come and go, and their statements with them.
	prepared *sql.Stmt
}

func (s *statement) rows(ctx context.Context, args ...any) (*rows, error) {
	w := s.op.start(ctx)
	var found *sql.Rows
	var err error
	if s.prepared == nil {
		found, err = s.db.QueryContext(w.ctx, s.text, args...) //nolint:rowserrcheck // who reads them checks
	} else {
		found, err = s.prepared.QueryContext(w.ctx, args...) //nolint:rowserrcheck // who reads them checks
	}
	if err != nil {
		w.end(err)
		return nil, err
	}
	return &rows{found, w}, nil
}

func (s *statement) row(ctx context.Context, args ...any) row {
	w := s.op.start(ctx)
	if s.prepared == nil {
		return row{s.db.QueryRowContext(w.ctx, s.text, args...), w}
	}
	return row{s.prepared.QueryRowContext(w.ctx, args...), w}
}

func (s *statement) rowIn(ctx context.Context, tx *sql.Tx, args ...any) row {
	w := s.op.start(ctx)
	if s.prepared == nil {
		return row{tx.QueryRowContext(w.ctx, s.text, args...), w}
	}
	return row{tx.StmtContext(w.ctx, s.prepared).QueryRowContext(w.ctx, args...), w}
}

func (s *statement) execIn(ctx context.Context, tx *sql.Tx, args ...any) error {
	_, err := s.changeIn(ctx, tx, args...)
	return err
}

// changeIn is execIn, and returns the number of rows that it changed.
func (s *statement) changeIn(ctx context.Context, tx *sql.Tx, args ...any) (n int64, err error) {
	w := s.op.start(ctx)
	defer func() { w.end(err) }()
	var res sql.Result
	if s.prepared == nil {
		res, err = tx.ExecContext(w.ctx, s.text, args...)
	} else {
		res, err = tx.StmtContext(w.ctx, s.prepared).ExecContext(w.ctx, args...)
	}
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// statements are those of the requests' path.
type statements struct {
	insertOrder, insertItem, insertItems, countOrder *statement
	cancel, countCancel                              *statement
	order, items                                     *statement
	position, pageOwn, pageAll                       *statement
	users, sales                                     *statement
	insertEvent, ship, prune                         *statement
	findEvent, lastEvent, lastEventOf                *statement
	events, eventsOf                                 *statement

	prepared []*statement
}

// newStatements returns the statements on a writing and a reading database.
func newStatements(w *watch, write, read *sql.DB) statements {
	in := func(db *sql.DB, q query) *statement { return &statement{query: q, op: w.operation(q), db: db} }
	return statements{
		insertOrder: in(write, insertOrder), insertItem: in(write, insertItem), insertItems: in(write, insertItems),
		countOrder: in(write, countOrder), cancel: in(write, cancelOrder), countCancel: in(write, countCancel),
		order: in(read, selectOrder), items: in(read, selectItems), position: in(read, selectPosition),
		pageOwn: in(read, selectOwn), pageAll: in(read, selectAll), users: in(read, selectUsers), sales: in(read, selectSales),
		insertEvent: in(write, insertEvent), ship: in(write, shipOrders), prune: in(write, pruneEvents),
		findEvent: in(read, findEvent), lastEvent: in(read, selectLastEvent), lastEventOf: in(read, selectLastEventOf),
		events: in(read, selectEvents), eventsOf: in(read, selectEventsOf),
	}
}

// prepare prepares, once for all connections, what SQLite understands.
func (s *statements) prepare(ctx context.Context) error {
	s.insertItems = nil
	for _, st := range []*statement{
		s.insertOrder, s.insertItem, s.countOrder, s.cancel, s.countCancel,
		s.order, s.items, s.position, s.pageOwn, s.pageAll, s.users, s.sales,
		s.insertEvent, s.ship, s.prune, s.findEvent, s.lastEvent, s.lastEventOf, s.events, s.eventsOf,
	} {
		p, err := st.db.PrepareContext(ctx, st.text)
		if err != nil {
			return fmt.Errorf("prepare statement: %w", err)
		}
		st.prepared = p
		s.prepared = append(s.prepared, st)
	}
	return nil
}

func (s *statements) close() error {
	var errs []error
	for _, st := range s.prepared {
		errs = append(errs, st.prepared.Close())
	}
	return errors.Join(errs...)
}
