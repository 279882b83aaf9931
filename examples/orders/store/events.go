package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// What may happen to an order: it is placed, and then shipped or cancelled.
const (
	Placed    = "placed"
	Shipped   = "shipped"
	Cancelled = "cancelled"
)

// EventsKept is for how long events can be read after they were written.
const EventsKept = 24 * time.Hour

// Start is the identifier of what was before the first event that is kept.
const Start = "start"

// Event is something that happened to an order. Those of one database have an
// order that never changes: what is written is never put before what was read.
type Event struct {
	OrderID string
	Owner   string // who placed the order
	Kind    string
	At      time.Time // UTC, milliseconds
	Place   Place

	written time.Time
}

// ID identifies the event. It says nothing of other orders.
func (e *Event) ID() string { return e.OrderID + "." + e.Kind }

// Kept reports whether events after this one can all be read at the time now.
func (e *Event) Kept(now time.Time) bool { return now.Sub(e.written) < EventsKept }

// Place is one in the order of events. The zero value is before all of them.
type Place struct{ xact, seq int64 }

// Before reports whether p comes before q.
func (p Place) Before(q Place) bool { return p.xact < q.xact || p.xact == q.xact && p.seq < q.seq }

// Within reports whether a call with this reach may see the event.
func (r Reach) Within(e *Event) bool { return r.All || r.Owner == e.Owner && r.Owner != "" }

// LastPlace returns the place of the last event.
func (s *Store) LastPlace(ctx context.Context) (Place, error) {
	last, err := s.LastEvent(ctx, Reach{All: true}, time.Time{})
	if err != nil || last == nil {
		return Place{}, err
	}
	return last.Place, nil
}

// LastEvent returns the last event within the reach that was written after a
// time, or nil.
func (s *Store) LastEvent(ctx context.Context, r Reach, after time.Time) (*Event, error) {
	return s.event(ctx, "read last event", func() row {
		if r.All {
			return s.stmt.lastEvent.row(ctx, milli(after))
		}
		return s.stmt.lastEventOf.row(ctx, r.valid().Owner, milli(after))
	})
}

// PlaceOf returns the place of the event with an identifier. The error is
// ErrNotFound for one that does not exist within the reach, or does no more at
// the time now.
func (s *Store) PlaceOf(ctx context.Context, r Reach, id string, now time.Time) (Place, error) {
	if id == Start {
		return Place{}, nil
	}
	order, kind, _ := strings.Cut(id, ".")
	if !keeps(id) {
		return Place{}, fmt.Errorf("find event: %w", ErrNotFound)
	}
	e, err := s.event(ctx, "find event", func() row {
		return s.stmt.findEvent.row(ctx, order, kind, r.valid().Owner, r.All, milli(now.Add(-EventsKept)))
	})
	if err == nil && e == nil {
		err = fmt.Errorf("find event: %w", ErrNotFound)
	}
	if err != nil {
		return Place{}, err
	}
	return e.Place, nil
}

// event returns the event of a query that has at most one, or nil.
func (s *Store) event(ctx context.Context, verb string, query func() row) (*Event, error) {
	var (
		e  Event
		at eventTimes
	)
	err := repeat(ctx, func(int) error { return query().Scan(e.columns(&at)...) })
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, failed(ctx, verb, err)
	}
	e.set(at)
	return &e, nil
}

// Events returns up to limit events within the reach that come after a place and
// were written after a time, in their order.
func (s *Store) Events(ctx context.Context, r Reach, after Place, written time.Time, limit int) (events []*Event, err error) {
	err = repeat(ctx, func(int) (err error) {
		events, err = s.events(ctx, r.valid(), after, written, limit)
		return err
	})
	if err != nil {
		return nil, failed(ctx, "read events", err)
	}
	return events, nil
}

func (s *Store) events(ctx context.Context, r Reach, after Place, written time.Time, limit int) ([]*Event, error) {
	stmt, args := s.stmt.eventsOf, []any{after.xact, after.seq, milli(written), limit, r.Owner}
	if r.All {
		stmt, args = s.stmt.events, args[:4]
	}
	rows, err := stmt.rows(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // its error is that of rows.Err
	var events []*Event
	for rows.Next() {
		var (
			e  Event
			at eventTimes
		)
		if err := rows.Scan(e.columns(&at)...); err != nil {
			return nil, err
		}
		e.set(at)
		events = append(events, &e)
	}
	return events, rows.Err()
}

// Ship writes the events of up to limit orders that shipped after one time and
// until another, of which there are none yet, and returns how many. An order
// ships by the passing of time: nothing but its event is to be written. Several
// processes may do it at once.
func (s *Store) Ship(ctx context.Context, after, until time.Time, limit int) (n int64, err error) {
	err = repeat(ctx, func(int) error {
		return s.transact(ctx, func(tx *sql.Tx) (err error) {
			n, err = s.stmt.ship.changeIn(ctx, tx, milli(after), milli(until), milli(time.Now()), limit)
			return err
		})
	})
	if err != nil {
		return 0, failed(ctx, "ship orders", err)
	}
	return n, nil
}

// pruned is how many events are removed at once: no reader or writer waits for
// long.
const pruned = 1000

// PruneEvents removes the events that cannot be read any more at the time now.
// Those of the last hour before that stay, for those who are reading them.
func (s *Store) PruneEvents(ctx context.Context, now time.Time) error {
	for n := int64(pruned); n == pruned; {
		err := repeat(ctx, func(int) error {
			return s.transact(ctx, func(tx *sql.Tx) (err error) {
				n, err = s.stmt.prune.changeIn(ctx, tx, milli(now.Add(-EventsKept-time.Hour)), pruned)
				return err
			})
		})
		if err != nil {
			return failed(ctx, "prune events", err)
		}
	}
	return nil
}

// milli returns a time as the tables keep it; the zero time is before all.
func milli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

type eventTimes struct{ at, written int64 }

// columns returns where the columns eventColumns go; set must follow.
func (e *Event) columns(at *eventTimes) []any {
	return []any{&e.Place.xact, &e.Place.seq, &e.OrderID, &e.Owner, &e.Kind, &at.at, &at.written}
}

func (e *Event) set(at eventTimes) {
	e.At, e.written = time.UnixMilli(at.at).UTC(), time.UnixMilli(at.written).UTC()
}
