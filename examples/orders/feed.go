package orders

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aguada-dev/aguada/examples/orders/store"
)

const (
	// pollEvery is how late an event may be. Asking the database costs next to
	// nothing, works with any, and no event is lost when a connection breaks.
	pollEvery = 250 * time.Millisecond
	// patience is for how long the database may be away before subscribers are
	// told.
	patience = 10 * time.Second
	// pruneEvery is how often old events are removed.
	pruneEvery = time.Hour
	// buffered is how many events a subscriber may be behind.
	buffered = 128
	// batch is how many events are read at once.
	batch = 500
	// quiet is how long a subscriber may have nothing to tell, at most, before it is
	// called to tell that. Then clients, and what is between, know that it is there;
	// and a client that does not read is noticed.
	quiet = 15 * time.Second
	// lateBy is how long after its order has shipped the order itself may be
	// stored: where it ships at once, and its transaction takes its time.
	lateBy = 15 * time.Second
)

// errSlow ends the subscription of who does not keep up.
var errSlow = errors.New("follow events: the subscriber is too slow")

// errClosed ends the subscriptions of a feed that is closed.
var errClosed = errors.New("follow events: the feed is closed")

// Feed tells subscribers what happens to orders, whichever process it happens
// in. While there are subscribers, one goroutine reads the events that the store
// has written, and gives each to those who may see it; a subscriber that does
// not keep up is dropped, and delays nobody. Make one with [NewFeed].
type Feed struct {
	db       *store.Store
	every    time.Duration // between two readings
	patience time.Duration // with readings that fail
	quiet    time.Duration // in which each subscriber has something to tell
	end      context.CancelFunc
	tasks    sync.WaitGroup

	mu     sync.Mutex
	closed bool
	subs   map[*subscription]struct{}
	stop   context.CancelFunc // ends the reading; nil while nobody subscribes
}

// subscription is who gets events. It takes no room for those that it has not
// got: most of the time there are none.
type subscription struct {
	reach store.Reach
	wake  chan struct{} // gets one when there is something to take, or nothing for long
	last  atomic.Int64  // when the subscriber told something, in Unix nanoseconds

	mu     sync.Mutex
	events []*store.Event // not taken yet
	err    error          // why the subscription has ended
}

// put adds an event, and reports whether there was room.
func (s *subscription) put(e *store.Event) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.events) == buffered {
		return false
	}
	s.events = append(s.events, e)
	s.call()
	return true
}

// told notes that the subscriber has told something.
func (s *subscription) told() { s.last.Store(time.Now().UnixNano()) }

// silent reports whether that was long ago.
func (s *subscription) silent(after time.Duration) bool {
	return time.Since(time.Unix(0, s.last.Load())) >= after
}

// end ends the subscription, after the events that were put.
func (s *subscription) end(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = why
	s.call()
}

func (s *subscription) call() {
	select {
	case s.wake <- struct{}{}:
	default: // one is enough
	}
}

// take returns the events that have been put since it was last called, and, if the
// subscription has ended, why it did so after them.
func (s *subscription) take() ([]*store.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.events
	s.events = nil
	return events, s.err
}

// NewFeed returns the feed of an open store, and removes what is old from it.
// Close it before the store.
func NewFeed(db *store.Store) *Feed {
	ctx, end := context.WithCancel(context.Background())
	f := &Feed{db: db, every: pollEvery, patience: patience, quiet: quiet, end: end, subs: map[*subscription]struct{}{}}
	f.tasks.Go(func() {
		for now := time.Now(); ; {
			_ = f.db.PruneEvents(ctx, now) // what fails now is done the next time
			select {
			case <-ctx.Done():
				return
			case now = <-time.After(pruneEvery):
			}
		}
	})
	return f
}

// Close ends what the feed does, and all subscriptions.
func (f *Feed) Close() error {
	f.mu.Lock()
	f.closed = true
	f.endAll(errClosed)
	f.mu.Unlock()
	f.end()
	f.tasks.Wait()
	return nil
}

// subscribe begins a subscription. It gets all events that cannot be read from
// the store yet, and maybe some that can.
func (f *Feed) subscribe(ctx context.Context, r store.Reach) (*subscription, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, errClosed
	}
	if f.stop == nil {
		last, err := f.db.LastPlace(ctx)
		if err != nil {
			return nil, err
		}
		reading, stop := context.WithCancel(context.Background())
		f.stop = stop
		f.tasks.Go(func() { f.read(reading, last) })
		f.tasks.Go(func() { f.remind(reading) })
	}
	s := &subscription{reach: r, wake: make(chan struct{}, 1)}
	s.told()
	f.subs[s] = struct{}{}
	return s, nil
}

// leave ends a subscription from the subscriber's side.
func (f *Feed) leave(s *subscription) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop(s, nil)
}

// drop ends a subscription, and with the last one the reading. f.mu is held.
func (f *Feed) drop(s *subscription, why error) {
	if _, ok := f.subs[s]; !ok {
		return
	}
	delete(f.subs, s)
	s.end(why)
	if len(f.subs) == 0 {
		f.stop()
		f.stop = nil
	}
}

// endAll ends all subscriptions. f.mu is held.
func (f *Feed) endAll(why error) {
	for s := range f.subs {
		f.drop(s, why)
	}
}

// read gives what happens after a place to the subscribers, until ctx ends.
func (f *Feed) read(ctx context.Context, place store.Place) {
	tick := time.NewTicker(f.every)
	defer tick.Stop()
	shipped, good := time.Now().Add(-store.EventsKept), time.Now()
	for {
		now := time.Now()
		err := f.ship(ctx, shipped.Add(-lateBy), now)
		if err == nil {
			shipped = now
			place, err = f.forward(ctx, place)
		}
		switch {
		case err == nil:
			good = time.Now()
		case time.Since(good) > f.patience:
			f.give(ctx, nil, err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// reminders is how many looks at the subscribers there are in the time in which each has
// to have something to tell. One timer looks for all of them.
const reminders = 8

// overdue is how long a subscriber may be silent before the next look is too late.
func (f *Feed) overdue() time.Duration { return f.quiet - f.quiet/reminders }

// remind calls subscribers that were silent for long, until ctx ends.
func (f *Feed) remind(ctx context.Context) {
	tick := time.NewTicker(f.quiet / reminders)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		f.mu.Lock()
		for s := range f.subs {
			if s.silent(f.overdue()) {
				s.call()
			}
		}
		f.mu.Unlock()
	}
}

// ship has the store write the events of orders that have shipped. Some process
// has to, and the first one that looks does.
func (f *Feed) ship(ctx context.Context, after, until time.Time) error {
	for n := int64(batch); n == batch; {
		var err error
		if n, err = f.db.Ship(ctx, after, until, batch); err != nil {
			return err
		}
	}
	return nil
}

// forward gives the events after a place to the subscribers, and returns the
// place of the last.
func (f *Feed) forward(ctx context.Context, place store.Place) (store.Place, error) {
	for {
		events, err := f.db.Events(ctx, store.Reach{All: true}, place, time.Time{}, batch)
		if err != nil {
			return place, err
		}
		if len(events) > 0 {
			place = events[len(events)-1].Place
			f.give(ctx, events, nil)
		}
		if len(events) < batch {
			return place, nil
		}
	}
}

// give gives events to those who may see them, or ends all subscriptions with
// an error, unless the reading that they come from has ended.
func (f *Feed) give(ctx context.Context, events []*store.Event, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		f.endAll(err)
		return
	}
	for s := range f.subs {
		for _, e := range events {
			if s.reach.Within(e) && !s.put(e) {
				f.drop(s, errSlow)
				break
			}
		}
	}
}
