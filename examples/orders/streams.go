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

// quiet is how long a stream may have nothing to tell before it tells that. Then
// clients, and what is between, know that it is there; and a client that does
// not read is noticed.
const quiet = 15 * time.Second

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
	reach, err := reachOf(ctx)
	if err != nil {
		return err
	}
	sub, err := s.feed.subscribe(ctx, reach)
	if err != nil {
		return ending(ctx, err)
	}
	defer s.feed.leave(sub)
	idle := time.NewTimer(s.quiet)
	defer idle.Stop()
	w := &watcher{send: func(u *genorders.LiveUpdate) error {
		defer idle.Reset(s.quiet)
		return send(u)
	}}
	if err := s.begin(ctx, w, reach, since); err != nil {
		return ending(ctx, err)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-sub.events:
			if !ok {
				return ending(ctx, sub.err)
			}
			err = w.tell(e)
		case w.filter = <-filters:
			err = w.send(&genorders.LiveUpdate{Filter: w.filter})
		case <-idle.C:
			err = w.alive()
		}
		if err != nil {
			return ending(ctx, err)
		}
	}
}

// begin sends an event alive, and the events after since that can be read.
func (s *Orders) begin(ctx context.Context, w *watcher, r store.Reach, since *string) (err error) {
	now := time.Now()
	kept := now.Add(-store.EventsKept)
	if since == nil {
		if w.last, err = s.db.LastEvent(ctx, r, kept); err != nil {
			return err
		}
		if w.last != nil {
			w.place = w.last.Place
		}
		return w.alive()
	}
	if w.place, err = s.db.PlaceOf(ctx, r, *since, now); err != nil {
		return err
	}
	w.since = *since
	if err := w.alive(); err != nil {
		return err
	}
	for {
		events, err := s.db.Events(ctx, r, w.place, kept, batch)
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := w.tell(e); err != nil {
				return err
			}
		}
		if len(events) < batch {
			return nil
		}
	}
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
	send   func(*genorders.LiveUpdate) error
	filter *genorders.LiveFilter
	since  string       // where the client was, until there is a last event
	last   *store.Event // within the client's reach
	place  store.Place  // up to which the client has been told
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
	return w.send(&genorders.LiveUpdate{Event: &genorders.OrderEvent{
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
	return w.send(&genorders.LiveUpdate{Event: &genorders.OrderEvent{ID: id, Kind: alive, At: now.Format(rfc3339)}})
}
