package store

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"
)

// User is somebody who has placed an order.
type User struct {
	Name                      string
	Orders, Cancelled         int64
	FirstOrderAt, LastOrderAt time.Time // UTC
}

// Users returns up to limit users whose names sort after the name after, by
// name (bytewise). What follows a byte in after that no name can hold does not
// count: it comes from a caller, and is no reason to fail.
func (s *Store) Users(ctx context.Context, after string, limit int) (users []User, err error) {
	err = repeat(ctx, func(int) (err error) {
		users, err = s.users(ctx, kept(after), limit)
		return err
	})
	if err != nil {
		return nil, failed(ctx, "list users", err)
	}
	return users, nil
}

// kept returns the longest beginning of a text that both databases can keep.
func kept(text string) string {
	for i, r := range text {
		if r == 0 || r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)) {
			return text[:i]
		}
	}
	return text
}

func (s *Store) users(ctx context.Context, after string, limit int) ([]User, error) {
	rows, err := s.stmt.users.rows(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // its error is that of rows.Err
	var users []User
	for rows.Next() {
		var (
			u           User
			first, last int64
		)
		if err := rows.Scan(&u.Name, &u.Orders, &u.Cancelled, &first, &last); err != nil {
			return nil, err
		}
		u.FirstOrderAt, u.LastOrderAt = time.UnixMilli(first).UTC(), time.UnixMilli(last).UTC()
		users = append(users, u)
	}
	return users, rows.Err()
}

// Sales is what was sold in one currency on one day.
type Sales struct {
	Day        string // as in 2026-11-22, UTC
	Currency   string // ISO 4217
	Orders     int64
	TotalCents int64 // in the currency's minor unit
}

// Sales adds up the orders placed from one time until just before another that
// were not cancelled, by day and currency.
func (s *Store) Sales(ctx context.Context, from, until time.Time) (sales []Sales, err error) {
	err = repeat(ctx, func(int) (err error) {
		sales, err = s.sales(ctx, from, until)
		return err
	})
	if err != nil {
		return nil, failed(ctx, "add up sales", err)
	}
	return sales, nil
}

func (s *Store) sales(ctx context.Context, from, until time.Time) ([]Sales, error) {
	rows, err := s.stmt.sales.rows(ctx, from.UnixMilli(), until.UnixMilli())
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // its error is that of rows.Err
	var sales []Sales
	for rows.Next() {
		var (
			d   Sales
			day int64 // since 1970
		)
		if err := rows.Scan(&day, &d.Currency, &d.Orders, &d.TotalCents); err != nil {
			return nil, err
		}
		d.Day = time.Unix(day*24*60*60, 0).UTC().Format(time.DateOnly)
		sales = append(sales, d)
	}
	return sales, rows.Err()
}
