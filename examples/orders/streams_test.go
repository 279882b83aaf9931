package orders

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	genorders "github.com/aguada-dev/aguada/examples/orders/gen/orders"
	"github.com/aguada-dev/aguada/examples/orders/store"
)

// pipe is both sides of a stream in one process.
type pipe struct {
	out     chan *genorders.LiveUpdate
	in      chan *genorders.LiveFilter
	stopped context.Context
}

func (p *pipe) Send(u *genorders.LiveUpdate) error {
	select {
	case p.out <- u:
		return nil
	case <-p.stopped.Done():
		return errors.New("the connection is gone")
	}
}

func (p *pipe) SendWithContext(_ context.Context, u *genorders.LiveUpdate) error { return p.Send(u) }

func (p *pipe) Recv() (*genorders.LiveFilter, error) {
	select {
	case f, ok := <-p.in:
		if !ok {
			return nil, io.EOF
		}
		return f, nil
	case <-p.stopped.Done():
		return nil, errors.New("the connection is gone")
	}
}

func (p *pipe) RecvWithContext(context.Context) (*genorders.LiveFilter, error) { return p.Recv() }

func (p *pipe) Close() error { return nil }

// oneWay is a pipe that events alone come through.
type oneWay struct{ *pipe }

func (p oneWay) Send(e *genorders.OrderEvent) error {
	return p.pipe.Send(&genorders.LiveUpdate{Event: e})
}

func (p oneWay) SendWithContext(_ context.Context, e *genorders.OrderEvent) error { return p.Send(e) }

// client is somebody who follows orders.
type client struct {
	*pipe
	t    *testing.T
	stop context.CancelFunc
	done chan error
}

// watching begins a call of WatchOrders.
func watching(t *testing.T, s *Orders, ctx context.Context, since string) *client {
	return following(t, ctx, since, func(ctx context.Context, p *genorders.Watch, pp *pipe) error {
		return s.WatchOrders(ctx, p, oneWay{pp})
	})
}

// live begins a call of Live.
func live(t *testing.T, s *Orders, ctx context.Context, since string) *client {
	return following(t, ctx, since, func(ctx context.Context, p *genorders.Watch, pp *pipe) error {
		return s.Live(ctx, p, pp)
	})
}

func following(t *testing.T, ctx context.Context, since string, call func(context.Context, *genorders.Watch, *pipe) error) *client {
	t.Helper()
	ctx, stop := context.WithCancel(ctx)
	c := &client{
		pipe: &pipe{out: make(chan *genorders.LiveUpdate), in: make(chan *genorders.LiveFilter), stopped: ctx},
		t:    t, stop: stop, done: make(chan error, 1),
	}
	p := &genorders.Watch{}
	if since != "" {
		p.Since = &since
	}
	go func() { c.done <- call(ctx, p, c.pipe) }()
	t.Cleanup(stop)
	return c
}

// pull waits for the next update.
func (c *client) pull() (*genorders.LiveUpdate, error) {
	select {
	case u := <-c.out:
		return u, nil
	case err := <-c.done:
		return nil, fmt.Errorf("the stream ends: %w", err)
	case <-time.After(10 * time.Second):
		return nil, errors.New("nothing comes")
	}
}

// next returns the next update.
func (c *client) next() *genorders.LiveUpdate {
	c.t.Helper()
	u, err := c.pull()
	if err != nil {
		c.t.Fatal(err)
	}
	return u
}

// event returns the next event that tells something, as "owner kind".
func (c *client) event() (text, id string) {
	c.t.Helper()
	for {
		if e := c.next().Event; e != nil && e.Kind != alive {
			return *e.CreatedBy + " " + e.Kind, e.ID
		}
	}
}

// expect waits for events, and returns the last one's identifier.
func (c *client) expect(events ...string) (id string) {
	c.t.Helper()
	for _, want := range events {
		var got string
		if got, id = c.event(); got != want {
			c.t.Fatalf("got %s, want %s", got, want)
		}
	}
	return id
}

// ends waits for the end of the call.
func (c *client) ends() error {
	c.t.Helper()
	for {
		select {
		case err := <-c.done:
			return err
		case <-c.out:
		case <-time.After(10 * time.Second):
			c.t.Fatal("the stream does not end")
		}
	}
}

func create(t *testing.T, s *Orders, subject string) string {
	t.Helper()
	o, err := s.Create(as(t, subject), payload())
	if err != nil {
		t.Fatal(err)
	}
	return o.ID
}

func TestWatchOrders(t *testing.T) {
	both(t, func(t *testing.T, db *store.Store) {
		s := newOrders(t, db, Config{ShipAfter: time.Hour})
		create(t, s, "alice") // before
		alice, bob, root := watching(t, s, as(t, "alice"), ""), watching(t, s, as(t, "bob"), ""), watching(t, s, as(t, "root", adminScope), "")
		for _, c := range []*client{alice, bob, root} {
			if e := c.next().Event; e == nil || e.Kind != alive || e.OrderID != nil || e.CreatedBy != nil {
				t.Fatalf("the stream begins with %+v", e)
			}
		}
		a, b := create(t, s, "alice"), create(t, s, "bob")
		if _, err := s.Cancel(as(t, "alice"), ref(a)); err != nil {
			t.Fatal(err)
		}
		alice.expect("alice placed", "alice cancelled")
		if id := bob.expect("bob placed"); id != b+".placed" {
			t.Errorf("the event's id is %s", id)
		}
		root.expect("alice placed", "bob placed", "alice cancelled")
		create(t, s, "alice")
		alice.expect("alice placed")
		for _, c := range []*client{alice, bob, root} {
			c.stop()
			if err := c.ends(); err != nil {
				t.Errorf("a stream whose context ends, ends with %v", err)
			}
		}
	})
}

// Orders ship while somebody looks, and those that did before are told of too.
func TestWatchShipping(t *testing.T) {
	both(t, func(t *testing.T, db *store.Store) {
		s := newOrders(t, db, Config{})
		create(t, s, "alice")
		c := watching(t, s, as(t, "alice"), store.Start)
		c.expect("alice placed", "alice shipped")
		s.cfg.ShipAfter = 50 * time.Millisecond
		create(t, s, "alice")
		c.expect("alice placed", "alice shipped")
	})
}

// From each event on, a client gets exactly what came after it, whoever else
// placed orders meanwhile.
func TestResume(t *testing.T) {
	both(t, func(t *testing.T, db *store.Store) {
		s := newOrders(t, db, Config{ShipAfter: time.Hour})
		first := watching(t, s, as(t, "alice"), "")
		ids := []string{first.next().Event.ID} // of the event alive
		for range 5 {
			create(t, s, "alice")
			create(t, s, "bob")
			ids = append(ids, first.expect("alice placed"))
		}
		for i, id := range ids {
			again := watching(t, s, as(t, "alice"), id)
			for _, want := range ids[i+1:] {
				if got := again.expect("alice placed"); got != want {
					t.Errorf("after %s comes %s, want %s", id, got, want)
				}
			}
			again.stop()
		}
		later := watching(t, s, as(t, "alice"), "")
		if e := later.next().Event; e.ID != ids[5] {
			t.Errorf("to come back, alive says %s, want %s", e.ID, ids[5])
		}
		bob := watching(t, s, as(t, "bob"), ids[5])
		if err := bob.ends(); name(err) != "gone" {
			t.Errorf("bob resumes at alice's event: %v", err)
		}
		for _, since := range []string{newID() + ".placed", ids[5][:len(ids[5])-len("placed")] + "shipped", "x", "ord_."} {
			if err := watching(t, s, as(t, "alice"), since).ends(); name(err) != "gone" {
				t.Errorf("resumes at %s: %v", since, err)
			}
		}
	})
}

func TestWatchWithoutName(t *testing.T) {
	s := newOrders(t, database(t), Config{})
	for want, ctx := range map[string]context.Context{"forbidden": as(t, "", adminScope), "": t.Context()} {
		for _, c := range []*client{watching(t, s, ctx, ""), live(t, s, ctx, "")} {
			if err := c.ends(); err == nil || name(err) != want {
				t.Errorf("the stream ends with %v, want %q", err, want)
			}
		}
	}
	if s.feed.stop != nil {
		t.Error("the feed reads for nobody")
	}
}

// A client that does not read is dropped, and comes back for what it missed. It
// delays nobody.
func TestSlowClient(t *testing.T) {
	both(t, func(t *testing.T, db *store.Store) {
		s := newOrders(t, db, Config{ShipAfter: time.Hour})
		slow, quick := watching(t, s, as(t, "alice"), ""), watching(t, s, as(t, "alice"), "")
		slow.next()
		quick.next()
		const orders = 2 * buffered
		for range orders {
			create(t, s, "alice")
			quick.expect("alice placed")
		}
		got := 0
		var last string
		for err := error(nil); err == nil; {
			select {
			case u := <-slow.out:
				got, last = got+1, u.Event.ID
			case err = <-slow.done:
				if name(err) != "slow" {
					t.Errorf("the slow client is told %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("the slow client is not dropped")
			}
		}
		if got < buffered || got >= orders {
			t.Errorf("the slow client got %d of %d events", got, orders)
		}
		back := watching(t, s, as(t, "alice"), last)
		for range orders - got {
			back.expect("alice placed")
		}
	})
}

// The feed reads while there is somebody to tell.
func TestFeedRests(t *testing.T) {
	s := newOrders(t, database(t), Config{ShipAfter: time.Hour})
	reads := func() bool {
		s.feed.mu.Lock()
		defer s.feed.mu.Unlock()
		return s.feed.stop != nil
	}
	for range 3 {
		a, b := watching(t, s, as(t, "alice"), ""), watching(t, s, as(t, "bob"), "")
		a.next()
		b.next()
		a.stop()
		_ = a.ends()
		if !reads() {
			t.Error("the feed rests while bob waits")
		}
		create(t, s, "bob")
		b.expect("bob placed")
		b.stop()
		_ = b.ends()
		if reads() {
			t.Error("the feed reads for nobody")
		}
	}
}

// A stream says that it is alive, and where it is.
func TestAlive(t *testing.T) {
	s := newOrders(t, database(t), Config{ShipAfter: time.Hour})
	s.feed.quiet = 10 * time.Millisecond
	c := watching(t, s, as(t, "alice"), "")
	for range 3 {
		if e := c.next().Event; e.Kind != alive || e.ID != store.Start {
			t.Errorf("a stream without events says %s %s", e.Kind, e.ID)
		}
	}
	create(t, s, "alice")
	id := c.expect("alice placed")
	for range 3 {
		if e := c.next().Event; e.Kind != alive || e.ID != id {
			t.Errorf("after %s it says %s %s", id, e.Kind, e.ID)
		}
	}
}

func TestLive(t *testing.T) {
	both(t, func(t *testing.T, db *store.Store) {
		s := newOrders(t, db, Config{ShipAfter: time.Hour})
		c := live(t, s, as(t, "alice"), "")
		c.next()
		cancel := func(id string) {
			if _, err := s.Cancel(as(t, "alice"), ref(id)); err != nil {
				t.Fatal(err)
			}
		}
		filter := func(f *genorders.LiveFilter) {
			c.in <- f
			for u := c.next(); u.Filter == nil; u = c.next() {
				t.Logf("meanwhile: %+v", u.Event)
			}
		}
		first := create(t, s, "alice")
		c.expect("alice placed")
		filter(&genorders.LiveFilter{Kinds: []string{store.Cancelled}})
		second := create(t, s, "alice")
		cancel(first)
		if id := c.expect("alice cancelled"); id != first+".cancelled" {
			t.Errorf("got %s", id)
		}
		filter(&genorders.LiveFilter{OrderID: &second})
		create(t, s, "alice")
		cancel(second)
		if id := c.expect("alice cancelled"); id != second+".cancelled" {
			t.Errorf("got %s", id)
		}
		filter(&genorders.LiveFilter{})
		create(t, s, "alice")
		c.expect("alice placed")
		close(c.in)
		if err := c.ends(); err != nil {
			t.Errorf("a client that has no more to say ends the stream with %v", err)
		}
	})
}

// What an error of the client's side means is for the chassis to say.
func TestLiveBroken(t *testing.T) {
	s := newOrders(t, database(t), Config{})
	broken := errors.New("broken")
	c := following(t, as(t, "alice"), "", func(ctx context.Context, p *genorders.Watch, pp *pipe) error {
		return s.Live(ctx, p, breaks{pp, broken})
	})
	if err := c.ends(); !errors.Is(err, broken) {
		t.Errorf("the stream ends with %v", err)
	}
}

type breaks struct {
	*pipe
	err error
}

func (b breaks) RecvWithContext(context.Context) (*genorders.LiveFilter, error) { return nil, b.err }

// When the database stays away, clients are told to try again; and when the
// feed is closed.
func TestFeedEnds(t *testing.T) {
	for what, end := range map[string]func(*store.Store, *Feed) error{
		"database": func(db *store.Store, _ *Feed) error { return db.Close() },
		"feed":     func(_ *store.Store, f *Feed) error { return f.Close() },
	} {
		t.Run(what, func(t *testing.T) {
			db := database(t)
			s := newOrders(t, db, Config{})
			s.feed.patience = 0
			var all []*client
			for i := range 3 {
				all = append(all, watching(t, s, as(t, fmt.Sprint("user", i)), ""))
				all[i].next()
			}
			if err := end(db, s.feed); err != nil {
				t.Fatal(err)
			}
			for _, c := range all {
				if err := c.ends(); err == nil {
					t.Error("the stream ends as if all were told")
				}
			}
			if err := watching(t, s, as(t, "late"), "").ends(); err == nil {
				t.Error("a stream begins")
			}
		})
	}
}

// Many clients that come, lose their connection and come back, get all events
// once, and in their order.
func TestManyClients(t *testing.T) {
	const clients, orders = 20, 60
	both(t, func(t *testing.T, db *store.Store) {
		s := newOrders(t, db, Config{ShipAfter: time.Hour})
		var all sync.WaitGroup
		got := make([][]string, clients)
		for i := range clients {
			all.Go(func() {
				since := store.Start
				for len(got[i]) < orders {
					c := watching(t, s, as(t, "root", adminScope), since)
					for range 2 + i { // one of them is alive
						u, err := c.pull()
						if err != nil {
							t.Error(err)
							return
						}
						if since = u.Event.ID; u.Event.Kind != alive {
							got[i] = append(got[i], since)
						}
						if len(got[i]) == orders {
							break
						}
					}
					c.stop()
				}
			})
		}
		var placing sync.WaitGroup
		for i := range 4 {
			placing.Go(func() {
				for range orders / 4 {
					create(t, s, fmt.Sprint("user", i))
				}
			})
		}
		placing.Wait()
		all.Wait()
		for i := range got {
			if !slices.Equal(got[i], got[0]) {
				t.Errorf("client %d got\n%v, another\n%v", i, got[i], got[0])
			}
		}
	})
}
