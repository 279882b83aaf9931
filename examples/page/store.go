package page

import (
	"context"
	"database/sql"
	"errors"

	_ "modernc.org/sqlite" // the driver

	genservice "github.com/aguada-dev/aguada/examples/page/gen/orders"
)

// Store keeps orders in SQLite. Not on the page, which only has the variable
// DATABASE_URL.
type Store struct{ db *sql.DB }

// The design knows nothing of the table's constraint, as designs often do: an
// order against it is the plain error of the page's CreateOrder. One order is
// there from the beginning.
const schema = `
CREATE TABLE IF NOT EXISTS orders (
	id     TEXT PRIMARY KEY,
	amount REAL NOT NULL,
	type   TEXT NOT NULL CHECK (length(type) BETWEEN 1 AND 32)
);
INSERT INTO orders (id, amount, type) VALUES ('ord_1', 74.5, 'online') ON CONFLICT (id) DO NOTHING`

// OpenStore opens the database, such as "file:orders.db", and makes its table.
func OpenStore(ctx context.Context, url string) (*Store, error) {
	db, err := sql.Open("sqlite", url)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // writers do not get in each other's way
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Store{db: db}, nil
}

// put keeps an order, in place of one with the same id.
func (s *Store) put(ctx context.Context, o *genservice.Order) error {
	const put = `INSERT INTO orders (id, amount, type) VALUES (?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET amount = excluded.amount, type = excluded.type`
	_, err := s.db.ExecContext(ctx, put, o.ID, o.Amount, o.Type)
	return err
}

// find returns nil for an order that there is not.
func (s *Store) find(ctx context.Context, id string) (*genservice.StoredOrder, error) {
	o := &genservice.StoredOrder{}
	err := s.db.QueryRowContext(ctx, `SELECT id, amount, type FROM orders WHERE id = ?`, id).Scan(&o.ID, &o.Amount, &o.Type)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return o, nil
}
