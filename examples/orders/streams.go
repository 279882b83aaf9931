package orders

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	genorders "github.com/aguada-dev/aguada/examples/orders/gen/orders"
	"github.com/aguada-dev/aguada/examples/orders/store"
)

// alive is the kind of events that tell that nothing happened.
const alive = "alive"

// WatchOrders follows what becomes of the orders within the caller's reach. The
// stream ends when its context does.
func (s *Orders) WatchOrders(ctx context.Context, p *genorders.Watch, stream genorders.WatchOrdersServerStream) error {
	return s.follow(ctx, p.Since, nil, func(u *genorders.LiveUpdate) error {
		return stream.SendWithContext(ctx, u.Event)
	})
}

// Live is WatchOrders for a client that may say, as often as it likes, which
// events it wants. The stream also ends when the client has no more to say.
func (s *Orders) Live(ctx context.Context, p *genorders.Watch, stream genorders.LiveServerStream) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	filters, ended := make(chan *genorders.LiveFilter), make(chan error, 1)
	receive := func() { // until the client ends the stream, or the chassis after us
		defer cancel()
		for {
			filter, err := stream.RecvWithContext(ctx)
			if err != nil {
				ended <- err
				return
			}
			select {
			case filters <- filter:
			case <-ctx.Done():
				return
			}
		}
	}
	// Either side's first message opens a WebSocket. Let it be ours: an error
	// before it is a plain answer.
	var begun sync.Once
	send := func(u *genorders.LiveUpdate) error {
		err := stream.SendWithContext(ctx, u)
		begun.Do(func() { go receive() })
		return err
	}
	if err := s.follow(ctx, p.Since, filters, send); err != nil {
		return err
	}
	select {
	case err := <-ended:
		if !errors.Is(err, io.EOF) {
			return err
		}
	default:
	}
	return nil
}

// follow sends the events after since, or those from now on, and then what
// happens, until ctx ends. A filter holds for the events that are sent after it.
func (s *Orders) follow(ctx context.Context, since *string, filters <-chan *genorders.LiveFilter, send func(*genorders.LiveUpdate) error) error {
	w, err := s.watch(ctx, filters, send)
	if err != nil {
		return ending(ctx, err)
	}
	defer s.feed.leave(w.sub)
	if err = s.begin(ctx, w, since); err == nil {
		err = w.alive()
	}
	if err == nil && since != nil {
		err = s.catchUp(ctx, w)
	}
	for err == nil {
		switch w.wait(ctx) {
		case over:
			return nil
		case news:
			err = w.tellNews(s.feed.overdue())
		case filtered:
			err = w.say(&genorders.LiveUpdate{Filter: w.filter})
		}
	}
	return ending(ctx, err)
}

// watch begins to listen to what happens.
func (s *Orders) watch(ctx context.Context, filters <-chan *genorders.LiveFilter, send func(*genorders.LiveUpdate) error) (*watcher, error) {
	reach, err := reachOf(ctx)
	if err != nil {
		return nil, err
	}
	sub, err := s.feed.subscribe(ctx, reach)
	if err != nil {
		return nil, err
	}
	return &watcher{send: send, reach: reach, sub: sub, filters: filters}, nil
}

// begin finds out where the client is: at since, or at the last event.
func (s *Orders) begin(ctx context.Context, w *watcher, since *string) (err error) {
	now := time.Now()
	if since != nil {
		w.since = *since
		w.place, err = aside(ctx, func(ctx context.Context) (store.Place, error) { return s.db.PlaceOf(ctx, w.reach, *since, now) })
		return err
	}
	kept := now.Add(-store.EventsKept)
	w.last, err = aside(ctx, func(ctx context.Context) (*store.Event, error) { return s.db.LastEvent(ctx, w.reach, kept) })
	if err == nil && w.last != nil {
		w.place = w.last.Place
	}
	return err
}

// catchUp sends the events since the client was here that can be read.
func (s *Orders) catchUp(ctx context.Context, w *watcher) error {
	kept := time.Now().Add(-store.EventsKept)
	for {
		events, err := aside(ctx, func(ctx context.Context) ([]*store.Event, error) {
			return s.db.Events(ctx, w.reach, w.place, kept, batch)
		})
		if err := w.tellAll(events, err); err != nil {
			return err
		}
		if len(events) < batch {
			return nil
		}
	}
}

// aside reads the database in a goroutine of its own, whose stack goes with it: the
// stream's would keep, for as long as it lasts, the 16 KB that reading takes. The
// reading's context leaves nothing in that of the stream either. A panic is the
// caller's.
func aside[T any](ctx context.Context, read func(context.Context) (T, error)) (T, error) {
	type result struct {
		value    T
		err      error
		panicked any
	}
	reading, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	done := make(chan *result, 1)
	go func() {
		r := new(result)
		defer func() {
			r.panicked = recover()
			done <- r
		}()
		r.value, r.err = read(reading)
	}()
	var r *result
	select {
	case r = <-done:
	case <-ctx.Done():
		cancel()
		r = <-done
	}
	if r.panicked != nil {
		panic(r.panicked)
	}
	return r.value, r.err
}

// ending returns what the end of a stream means. One whose context has ended
// has done its work: why it ended is for the chassis to say.
func ending(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the error is what the end of the context looked like
	}
	switch {
	case errors.Is(err, errSlow):
		return genorders.MakeSlow(errors.New("the client reads more slowly than events happen"))
	case errors.Is(err, errClosed):
		return available(errors.Join(store.ErrUnavailable, err))
	case errors.Is(err, store.ErrNotFound):
		return genorders.MakeGone(errors.New("events after since are not kept, or are not the caller's to see"))
	}
	return available(err)
}

// watcher is one side of a stream: what its client knows and wants.
type watcher struct {
	send    func(*genorders.LiveUpdate) error
	reach   store.Reach
	sub     *subscription
	filters <-chan *genorders.LiveFilter
	filter  *genorders.LiveFilter
	since   string       // where the client was, until there is a last event
	last    *store.Event // within the client's reach
	place   store.Place  // up to which the client has been told
}

// turn is what a stream waited for.
type turn int

const (
	over     turn = iota // the stream's context has ended
	news                 // the subscription has something, or nothing for long
	filtered             // there is a new filter
)

// wait returns with what comes next. A stream spends its life in it, so the stack
// below holds little: a stack of 4 KB has room for the rest.
func (w *watcher) wait(ctx context.Context) turn {
	select {
	case <-ctx.Done():
		return over
	case <-w.sub.wake:
		return news
	case w.filter = <-w.filters:
		return filtered
	}
}

// say sends an update.
func (w *watcher) say(u *genorders.LiveUpdate) error {
	err := w.send(u)
	w.sub.told()
	return err
}

// tellNews sends what the subscription has, or that it has had nothing for as long as
// that may be.
func (w *watcher) tellNews(silent time.Duration) error {
	events, after := w.sub.take()
	if len(events) == 0 && after == nil && w.sub.silent(silent) {
		return w.alive()
	}
	return w.tellAll(events, after)
}

// tellAll sends events, and returns the error that comes after them.
func (w *watcher) tellAll(events []*store.Event, after error) error {
	for _, e := range events {
		if err := w.tell(e); err != nil {
			return err
		}
	}
	return after
}

// tell sends an event if the client wants it and has not got it.
func (w *watcher) tell(e *store.Event) error {
	if !w.place.Before(e.Place) {
		return nil
	}
	w.last, w.place = e, e.Place
	if f := w.filter; f != nil && (len(f.Kinds) > 0 && !slices.Contains(f.Kinds, e.Kind) || f.OrderID != nil && *f.OrderID != e.OrderID) {
		return nil
	}
	return w.say(&genorders.LiveUpdate{Event: &genorders.OrderEvent{
		ID: e.ID(), Kind: e.Kind, OrderID: &e.OrderID, CreatedBy: &e.Owner, At: e.At.Format(rfc3339),
	}})
}

// alive tells that nothing happened, and how to come back here.
func (w *watcher) alive() error {
	now := time.Now().UTC()
	id := store.Start
	switch {
	case w.last != nil && w.last.Kept(now):
		id = w.last.ID()
	case w.last == nil && w.since != "":
		id = w.since
	}
	return w.say(&genorders.LiveUpdate{Event: &genorders.OrderEvent{ID: id, Kind: alive, At: now.Format(rfc3339)}})
}
