package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"
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

// valid returns the reach without an owner that no order can have.
func (r Reach) valid() Reach {
	if len(r.Owner) > MaxName || !keeps(r.Owner) {
		r.Owner = ""
	}
	return r
}

// keeps reports whether both databases can keep a text.
func keeps(text string) bool { return utf8.ValidString(text) && strings.IndexByte(text, 0) < 0 }

// Insert stores a new order. The errors are ErrText, and ErrExists for an
// identifier that is taken. The order of a call with an idempotency key is stored
// together with the call's reply, and cannot be read before.
func (s *Store) Insert(ctx context.Context, o *Order) error {
	if len(o.CreatedBy) > MaxName || !o.keeps() {
		return fmt.Errorf("insert order: %w", ErrText)
	}
	inserted := false
	err := s.join(ctx, func(tx *sql.Tx) error {
		err := s.insert(ctx, tx, o)
		if kind, _ := kindOf(err); inserted && errors.Is(kind, ErrExists) {
			// The attempt before got as far as its commit and lost its
			// connection: the order that is in the way is this one.
			return errCommitted
		}
		inserted = inserted || err == nil
		return err
	})
	if err != nil && !errors.Is(err, errCommitted) {
		return failed(ctx, "insert order", err)
	}
	return nil
}

var errCommitted = errors.New("committed before")

// keeps reports whether both databases can keep all texts of an order.
func (o *Order) keeps() bool {
	texts := []*string{&o.ID, &o.CreatedBy, &o.CustomerID, &o.Currency, o.Note, o.CardLast4}
	if a := o.Address; a != nil {
		texts = append(texts, &a.Name, &a.Street, &a.City, a.PostalCode, &a.Country)
	}
	for i := range o.Items {
		texts = append(texts, &o.Items[i].SKU)
	}
	for _, t := range texts {
		if t != nil && !keeps(*t) {
			return false
		}
	}
	return true
}

func (s *Store) insert(ctx context.Context, tx *sql.Tx, o *Order) error {
	var a struct{ name, street, city, postal, country *string }
	if o.Address != nil {
		a.name, a.street, a.city = &o.Address.Name, &o.Address.Street, &o.Address.City
		a.postal, a.country = o.Address.PostalCode, &o.Address.Country
	}
	var seq int64
	err := s.stmt.insertOrder.rowIn(ctx, tx,
		o.ID, o.CreatedBy, o.CustomerID, o.Currency, o.TotalCents, o.PlacedAt.UnixMilli(), o.ShipsAt.UnixMilli(),
		o.Note, o.CardLast4, a.name, a.street, a.city, a.postal, a.country).Scan(&seq)
	if err != nil {
		return err
	}
	if err := s.insertItems(ctx, tx, seq, o.Items); err != nil {
		return err
	}
	if err := s.stmt.countOrder.execIn(ctx, tx, o.CreatedBy, o.PlacedAt.UnixMilli()); err != nil {
		return err
	}
	return s.stmt.insertEvent.execIn(ctx, tx, o.ID, o.CreatedBy, Placed, o.PlacedAt.UnixMilli(), time.Now().UnixMilli())
}

func (s *Store) insertItems(ctx context.Context, tx *sql.Tx, seq int64, items []Item) error {
	if s.stmt.insertItems == nil {
		for i, it := range items {
			if err := s.stmt.insertItem.execIn(ctx, tx, seq, i, it.SKU, it.Quantity, it.UnitPriceCents); err != nil {
				return err
			}
		}
		return nil
	}
	positions, skus := make([]int64, len(items)), make([]string, len(items))
	quantities, prices := make([]int64, len(items)), make([]int64, len(items))
	for i, it := range items {
		positions[i], skus[i], quantities[i], prices[i] = int64(i), it.SKU, int64(it.Quantity), it.UnitPriceCents
	}
	return s.stmt.insertItems.execIn(ctx, tx, seq, positions, skus, quantities, prices)
}

// Order returns one order, or ErrNotFound.
func (s *Store) Order(ctx context.Context, r Reach, id string) (o *Order, err error) {
	if !keeps(id) {
		return nil, fmt.Errorf("read order: %w", ErrNotFound)
	}
	err = repeat(ctx, func(int) (err error) {
		o, err = s.order(ctx, r.valid(), id)
		return err
	})
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
	if err := s.stmt.order.row(ctx, id, r.Owner, r.All).Scan(dest...); err != nil {
		return nil, err
	}
	o.set(at)
	if a.name != nil && a.street != nil && a.city != nil && a.country != nil {
		o.Address = &Address{Name: *a.name, Street: *a.street, City: *a.city, PostalCode: a.postal, Country: *a.country}
	}
	// The lines of an order never change, so a second query sees the same order.
	rows, err := s.stmt.items.rows(ctx, seq)
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
func (s *Store) Page(ctx context.Context, r Reach, after string, limit int) (page []Summary, err error) {
	if !keeps(after) {
		return nil, fmt.Errorf("list orders: %w", ErrPosition)
	}
	err = repeat(ctx, func(int) (err error) {
		page, err = s.page(ctx, r.valid(), after, limit)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("list orders: %w", ErrPosition)
	}
	if err != nil {
		return nil, failed(ctx, "list orders", err)
	}
	return page, nil
}

// page returns sql.ErrNoRows when there is no order after within the reach.
func (s *Store) page(ctx context.Context, r Reach, after string, limit int) ([]Summary, error) {
	seq := int64(math.MaxInt64)
	if after != "" {
		if err := s.stmt.position.row(ctx, after, r.Owner, r.All).Scan(&seq); err != nil {
			return nil, err
		}
	}
	stmt, args := s.stmt.pageOwn, []any{r.Owner, seq, limit}
	if r.All {
		stmt, args = s.stmt.pageAll, []any{seq, limit}
	}
	rows, err := stmt.rows(ctx, args...)
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
	if !keeps(id) {
		return nil, fmt.Errorf("cancel order: %w", ErrNotFound)
	}
	cancelled := false
	// An attempt that meets what another one has done, which lost its
	// connection while it committed, changes nothing.
	err := repeat(ctx, func(int) error {
		return s.transact(ctx, func(tx *sql.Tx) (err error) {
			cancelled, err = s.cancel(ctx, tx, r.valid(), id, now)
			return err
		})
	})
	if kind, _ := kindOf(err); errors.Is(kind, ErrExists) { // the event that it has shipped, by another clock
		return nil, fmt.Errorf("cancel order: %w", ErrShipped)
	}
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

// cancel reports whether it was this transaction that cancelled the order.
func (s *Store) cancel(ctx context.Context, tx *sql.Tx, r Reach, id string, now time.Time) (bool, error) {
	var owner string
	err := s.stmt.cancel.rowIn(ctx, tx, now.UnixMilli(), id, r.Owner, r.All).Scan(&owner)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := s.stmt.countCancel.execIn(ctx, tx, owner); err != nil {
		return true, err
	}
	return true, s.stmt.insertEvent.execIn(ctx, tx, id, owner, Cancelled, now.UnixMilli(), time.Now().UnixMilli())
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
