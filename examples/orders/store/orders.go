package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"
)

// Summary is what a list tells of an order. Times are UTC and have
// milliseconds; money is in the currency's minor unit.
type Summary struct {
	ID         string
	CreatedBy  string // the subject that placed it; never empty
	CustomerID string
	Currency   string // ISO 4217
	TotalCents int64
	PlacedAt   time.Time
	// ShipsAt is when the order ships unless it is cancelled before.
	ShipsAt time.Time
	// CancelledAt is zero for an order that was not cancelled.
	CancelledAt time.Time
}

// Order is all that is kept of an order.
type Order struct {
	Summary
	Items     []Item
	Note      *string
	CardLast4 *string
	Address   *Address // nil for an order that is collected
}

// Item is one line of an order.
type Item struct {
	SKU            string
	Quantity       int
	UnitPriceCents int64
}

// Address is where an order goes.
type Address struct {
	Name, Street, City string
	PostalCode         *string
	Country            string // ISO 3166-1 alpha-2
}

// Reach says whose orders a call may touch. The zero value reaches none.
type Reach struct {
	// Owner reaches the orders that this subject placed.
	Owner string
	// All reaches everybody's.
	All bool
}

// Insert stores a new order.
func (s *Store) Insert(ctx context.Context, o *Order) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return failed(ctx, "insert order", err)
	}
	if err := s.insert(ctx, tx, o); err != nil {
		return failed(ctx, "insert order", errors.Join(err, rollback(tx)))
	}
	if err := tx.Commit(); err != nil {
		return failed(ctx, "insert order", errors.Join(err, rollback(tx)))
	}
	return nil
}

func (s *Store) insert(ctx context.Context, tx *sql.Tx, o *Order) error {
	var a struct{ name, street, city, postal, country *string }
	if o.Address != nil {
		a.name, a.street, a.city = &o.Address.Name, &o.Address.Street, &o.Address.City
		a.postal, a.country = o.Address.PostalCode, &o.Address.Country
	}
	r, err := tx.StmtContext(ctx, s.stmt.insertOrder).ExecContext(ctx,
		o.ID, o.CreatedBy, o.CustomerID, o.Currency, o.TotalCents, o.PlacedAt.UnixMilli(), o.ShipsAt.UnixMilli(),
		o.Note, o.CardLast4, a.name, a.street, a.city, a.postal, a.country)
	if err != nil {
		return err
	}
	seq, err := r.LastInsertId()
	if err != nil {
		return err
	}
	item := tx.StmtContext(ctx, s.stmt.insertItem)
	for i, it := range o.Items {
		if _, err := item.ExecContext(ctx, seq, i, it.SKU, it.Quantity, it.UnitPriceCents); err != nil {
			return err
		}
	}
	_, err = tx.StmtContext(ctx, s.stmt.countOrder).ExecContext(ctx, o.CreatedBy, o.PlacedAt.UnixMilli())
	return err
}

// Order returns one order, or ErrNotFound.
func (s *Store) Order(ctx context.Context, r Reach, id string) (*Order, error) {
	o, err := s.order(ctx, r, id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("read order: %w", ErrNotFound)
	}
	if err != nil {
		return nil, failed(ctx, "read order", err)
	}
	return o, nil
}

func (s *Store) order(ctx context.Context, r Reach, id string) (*Order, error) {
	var (
		o   Order
		seq int64
		at  times
		a   struct{ name, street, city, postal, country *string }
	)
	dest := append(o.columns(&at), &seq, &o.Note, &o.CardLast4, &a.name, &a.street, &a.city, &a.postal, &a.country)
	if err := s.stmt.order.QueryRowContext(ctx, id, r.Owner, r.All).Scan(dest...); err != nil {
		return nil, err
	}
	o.set(at)
	if a.name != nil && a.street != nil && a.city != nil && a.country != nil {
		o.Address = &Address{Name: *a.name, Street: *a.street, City: *a.city, PostalCode: a.postal, Country: *a.country}
	}
	// The lines of an order never change, so a second query sees the same order.
	rows, err := s.stmt.items.QueryContext(ctx, seq)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // its error is that of rows.Err
	for rows.Next() {
		var it Item
		if err := rows.Scan(&it.SKU, &it.Quantity, &it.UnitPriceCents); err != nil {
			return nil, err
		}
		o.Items = append(o.Items, it)
	}
	return &o, rows.Err()
}

// Page returns up to limit orders that arrived before the order after, the
// latest first; an empty after begins with the latest of all. When after is not
// within the reach the error is ErrPosition. Orders are never deleted, so a walk
// from page to page meets each order that was there at its beginning once.
func (s *Store) Page(ctx context.Context, r Reach, after string, limit int) ([]Summary, error) {
	seq := int64(math.MaxInt64)
	if after != "" {
		err := s.stmt.position.QueryRowContext(ctx, after, r.Owner, r.All).Scan(&seq)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("list orders: %w", ErrPosition)
		}
		if err != nil {
			return nil, failed(ctx, "list orders", err)
		}
	}
	page, err := s.page(ctx, r, seq, limit)
	if err != nil {
		return nil, failed(ctx, "list orders", err)
	}
	return page, nil
}

func (s *Store) page(ctx context.Context, r Reach, seq int64, limit int) ([]Summary, error) {
	stmt, args := s.stmt.pageOwn, []any{r.Owner, seq, limit}
	if r.All {
		stmt, args = s.stmt.pageAll, []any{seq, limit}
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // its error is that of rows.Err
	var page []Summary
	for rows.Next() {
		var (
			o  Summary
			at times
		)
		if err := rows.Scan(o.columns(&at)...); err != nil {
			return nil, err
		}
		o.set(at)
		page = append(page, o)
	}
	return page, rows.Err()
}

// Cancel cancels an order at the time now and returns it. An order that was
// cancelled before is returned as it is. The errors are ErrNotFound, and
// ErrShipped for an order that ships at now or has shipped before.
func (s *Store) Cancel(ctx context.Context, r Reach, id string, now time.Time) (*Order, error) {
	cancelled, err := s.cancel(ctx, r, id, now)
	if err != nil {
		return nil, failed(ctx, "cancel order", err)
	}
	// Cancelled, shipped and absent are final, so that reading afterwards tells
	// what the update met.
	o, err := s.Order(ctx, r, id)
	if err != nil {
		return nil, fmt.Errorf("cancel order: %w", err)
	}
	if !cancelled && o.CancelledAt.IsZero() {
		return nil, fmt.Errorf("cancel order: %w", ErrShipped)
	}
	return o, nil
}

// cancel reports whether it was this call that cancelled the order.
func (s *Store) cancel(ctx context.Context, r Reach, id string, now time.Time) (bool, error) {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	var owner string
	err = tx.StmtContext(ctx, s.stmt.cancel).QueryRowContext(ctx, now.UnixMilli(), id, r.Owner, r.All).Scan(&owner)
	if errors.Is(err, sql.ErrNoRows) {
		return false, rollback(tx)
	}
	if err == nil {
		_, err = tx.StmtContext(ctx, s.stmt.countCancel).ExecContext(ctx, owner)
	}
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		return false, errors.Join(err, rollback(tx))
	}
	return true, nil
}

// rollback ends a transaction; one that has ended already is no error.
func rollback(tx *sql.Tx) error {
	if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return err
	}
	return nil
}

// times are those of an order as the tables keep them.
type times struct {
	placed, ships int64
	cancelled     *int64
}

// columns returns where the columns orderColumns go; set must follow.
func (o *Summary) columns(at *times) []any {
	return []any{&o.ID, &o.CreatedBy, &o.CustomerID, &o.Currency, &o.TotalCents, &at.placed, &at.ships, &at.cancelled}
}

func (o *Summary) set(at times) {
	o.PlacedAt, o.ShipsAt = time.UnixMilli(at.placed).UTC(), time.UnixMilli(at.ships).UTC()
	if at.cancelled != nil {
		o.CancelledAt = time.UnixMilli(*at.cancelled).UTC()
	}
}
