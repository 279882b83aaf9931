package store

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/examples/orders/internal/pgtest"
)

var everybody = Reach{All: true}

// told returns the events after a place as "owner kind", and the last place.
func told(t *testing.T, s *Store, r Reach, after Place) ([]string, Place) {
	t.Helper()
	var texts []string
	for {
		events, err := s.Events(t.Context(), r, after, time.Time{}, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if !after.Before(e.Place) || e.Place.Before(after) {
				t.Errorf("%s at %v comes after %v", e.ID(), e.Place, after)
			}
			texts, after = append(texts, e.Owner+" "+e.Kind), e.Place
		}
		if len(events) < 2 {
			return texts, after
		}
	}
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestEvents(t *testing.T) {
	contract(t, func(t *testing.T, url string) {
		s := open(t, url)
		if got, place := told(t, s, everybody, Place{}); got != nil || place != (Place{}) {
			t.Errorf("a new database tells %v up to %v", got, place)
		}
		a, b := sample("alice"), sample("bob")
		insert(t, s, a)
		insert(t, s, b)
		_, mid := told(t, s, everybody, Place{})
		for range 2 { // the second time changes nothing
			if _, err := s.Cancel(t.Context(), Reach{Owner: "alice"}, a.ID, a.PlacedAt); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Ship(t.Context(), time.Time{}, b.ShipsAt, 10); err != nil {
				t.Fatal(err)
			}
		}
		got, end := told(t, s, everybody, Place{})
		want(t, got, "alice placed", "bob placed", "alice cancelled", "bob shipped")
		got, _ = told(t, s, everybody, mid)
		want(t, got, "alice cancelled", "bob shipped")
		got, _ = told(t, s, Reach{Owner: "alice"}, Place{})
		want(t, got, "alice placed", "alice cancelled")
		got, _ = told(t, s, Reach{Owner: "bob"}, mid)
		want(t, got, "bob shipped")
		for _, r := range []Reach{{}, {Owner: "carol"}, {Owner: "%"}, {Owner: "alice\x00"}, {Owner: "\xff"}, {Owner: strings.Repeat("a", MaxName+1)}} {
			if got, _ := told(t, s, r, Place{}); got != nil {
				t.Errorf("%.20q sees %v", r.Owner, got)
			}
		}
		if last, err := s.LastPlace(t.Context()); err != nil || last != end {
			t.Errorf("the last place is %v, %v, want %v", last, err, end)
		}
		last, err := s.LastEvent(t.Context(), Reach{Owner: "alice"}, time.Time{})
		if err != nil || last.ID() != a.ID+".cancelled" || !last.At.Equal(a.PlacedAt) || !last.Kept(time.Now()) {
			t.Errorf("alice's last event is %+v, %v", last, err)
		}
	})
}

// What a transaction that fails would have told is not told.
func TestEventsOfNothing(t *testing.T) {
	contract(t, func(t *testing.T, url string) {
		s := open(t, url)
		o := sample("alice")
		insert(t, s, o)
		if err := s.Insert(t.Context(), o); !errors.Is(err, ErrExists) {
			t.Error(err)
		}
		if _, err := s.Cancel(t.Context(), Reach{Owner: "alice"}, o.ID, o.ShipsAt); !errors.Is(err, ErrShipped) {
			t.Error(err)
		}
		if _, err := s.Cancel(t.Context(), Reach{Owner: "bob"}, o.ID, o.PlacedAt); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		got, _ := told(t, s, everybody, Place{})
		want(t, got, "alice placed")
	})
}

func TestPlaceOf(t *testing.T) {
	contract(t, func(t *testing.T, url string) {
		s := open(t, url)
		o := sample("alice")
		insert(t, s, o)
		insert(t, s, sample("alice"))
		now, alice := time.Now(), Reach{Owner: "alice"}
		place, err := s.PlaceOf(t.Context(), alice, o.ID+".placed", now)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := told(t, s, alice, place)
		want(t, got, "alice placed")
		if place, err := s.PlaceOf(t.Context(), Reach{}, Start, now); err != nil || place != (Place{}) {
			t.Errorf("start is %v, %v", place, err)
		}
		for _, c := range []struct {
			reach Reach
			id    string
			now   time.Time
		}{
			{Reach{Owner: "bob"}, o.ID + ".placed", now},
			{Reach{}, o.ID + ".placed", now},
			{everybody, o.ID + ".placed", now.Add(EventsKept + time.Minute)},
			{everybody, o.ID + ".cancelled", now},
			{everybody, o.ID, now},
			{everybody, "", now},
			{everybody, ".", now},
			{everybody, "a\x00.placed", now},
			{everybody, "\xff.placed", now},
			{everybody, "%.placed", now},
		} {
			if place, err := s.PlaceOf(t.Context(), c.reach, c.id, c.now); !errors.Is(err, ErrNotFound) {
				t.Errorf("%+v finds %q: %v, %v", c.reach, c.id, place, err)
			}
		}
	})
}

// However many write at once, and however slowly some commit, who reads on from
// the last place that was there meets each event once.
func TestNoEventIsMissed(t *testing.T) {
	const writers, each = 8, 40
	contract(t, func(t *testing.T, url string) {
		s := open(t, url)
		var writing sync.WaitGroup
		for w := range writers {
			writing.Go(func() {
				for range each {
					insert(t, s, sample(fmt.Sprint("owner", w)))
				}
			})
		}
		done := make(chan struct{})
		go func() { writing.Wait(); close(done) }()
		seen, place := map[string]bool{}, Place{}
		for last := false; ; {
			events, err := s.Events(t.Context(), everybody, place, time.Time{}, 50)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				if seen[e.ID()] || !place.Before(e.Place) {
					t.Errorf("%s at %v again, after %v", e.ID(), e.Place, place)
				}
				seen[e.ID()], place = true, e.Place
			}
			if last && len(events) == 0 {
				break
			}
			select {
			case <-done:
				last = true
			default:
			}
		}
		if len(seen) != writers*each {
			t.Errorf("%d events were told of %d", len(seen), writers*each)
		}
	})
}

// The event of a transaction that began first and commits last comes first, and
// the other waits for it.
func TestEventsAreReadAsTheyCommit(t *testing.T) {
	s := open(t, pgtest.URL(t))
	slow, err := s.write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slow.Rollback() }()
	if err := s.insert(t.Context(), slow, sample("slow")); err != nil {
		t.Fatal(err)
	}
	insert(t, s, sample("quick"))
	if got, _ := told(t, s, everybody, Place{}); got != nil {
		t.Errorf("%v can be read while an older event cannot", got)
	}
	if err := slow.Commit(); err != nil {
		t.Fatal(err)
	}
	got, _ := told(t, s, everybody, Place{})
	want(t, got, "slow placed", "quick placed")
}

// An order either ships or is cancelled, whoever comes first, and once.
func TestShipOrCancel(t *testing.T) {
	const orders = 30
	contract(t, func(t *testing.T, url string) {
		s := open(t, url)
		placed := make([]*Order, orders)
		for i := range placed {
			placed[i] = sample("alice")
			insert(t, s, placed[i])
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := s.Ship(t.Context(), time.Time{}, placed[0].ShipsAt, orders); err != nil {
					t.Error(err)
				}
			})
		}
		var cancelled sync.Map
		wg.Go(func() { // by a clock that is late
			for _, o := range placed {
				switch _, err := s.Cancel(t.Context(), Reach{Owner: "alice"}, o.ID, o.ShipsAt.Add(-time.Millisecond)); {
				case err == nil:
					cancelled.Store(o.ID, true)
				case !errors.Is(err, ErrShipped):
					t.Error(err)
				}
			}
		})
		wg.Wait()
		if _, err := s.Ship(t.Context(), time.Time{}, placed[0].ShipsAt, orders); err != nil {
			t.Error(err)
		}
		events, err := s.Events(t.Context(), everybody, Place{}, time.Time{}, 10*orders)
		if err != nil || len(events) != 2*orders {
			t.Fatalf("%d events, %v", len(events), err)
		}
		for _, e := range events[orders:] {
			if _, ok := cancelled.Load(e.OrderID); ok != (e.Kind == Cancelled) || e.Kind == Placed {
				t.Errorf("%s, and cancelling it says %t", e.ID(), ok)
			}
		}
		consistent(t, s, orders)
	})
}

// Shipping goes in steps, and reaches no order beyond its times.
func TestShip(t *testing.T) {
	contract(t, func(t *testing.T, url string) {
		s := open(t, url)
		var last *Order
		for i := range 5 {
			last = sample("alice")
			last.ShipsAt = last.PlacedAt.Add(time.Duration(i) * time.Hour)
			insert(t, s, last)
		}
		from := last.PlacedAt
		for _, c := range []struct {
			after, until time.Time
			limit        int
			want         int64
		}{
			{from, from, 10, 0}, {from, from.Add(2 * time.Hour), 1, 1}, {from, from.Add(2 * time.Hour), 10, 1}, {from, from.Add(2 * time.Hour), 10, 0},
			{from.Add(-time.Hour), from, 10, 1}, {time.Time{}, from.Add(100 * time.Hour), 10, 2},
		} {
			if n, err := s.Ship(t.Context(), c.after, c.until, c.limit); err != nil || n != c.want {
				t.Errorf("%v to %v ships %d, %v, want %d", c.after, c.until, n, err, c.want)
			}
		}
	})
}

func TestPruneEvents(t *testing.T) {
	contract(t, func(t *testing.T, url string) {
		s := open(t, url)
		for range 3 {
			insert(t, s, sample("alice"))
		}
		now := time.Now()
		for _, c := range []struct {
			after time.Duration
			want  int
		}{{0, 3}, {EventsKept, 3}, {EventsKept + 59*time.Minute, 3}, {EventsKept + 61*time.Minute, 0}} {
			if err := s.PruneEvents(t.Context(), now.Add(c.after)); err != nil {
				t.Fatal(err)
			}
			if got, _ := told(t, s, everybody, Place{}); len(got) != c.want {
				t.Errorf("%d events are left after %v, want %d", len(got), c.after, c.want)
			}
		}
		insert(t, s, sample("alice")) // places are not used again
		if got, _ := told(t, s, everybody, Place{}); len(got) != 1 {
			t.Errorf("told %v", got)
		}
	})
}
