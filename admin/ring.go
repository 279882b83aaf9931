package admin

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"
)

// DefaultEvents is how many events a Ring holds unless told otherwise, and
// MaxText how many bytes of each text of an event: together they bound its
// memory.
const (
	DefaultEvents = 1024
	MaxText       = 256

	maxKinds = 16 // further ones share the room of the last
	maxLook  = 16 // how many events of a kind are looked at for an equal one
)

// Ring holds the latest events, in bounded memory. Use NewRing. It is safe for
// concurrent use.
//
// What happens often does not drive out what happens rarely: a full Ring drops
// the oldest event of the kind (the same action with the same outcome) of which
// it holds most. So no number of calls, refusals or profiles removes the
// leases, nor do calls that are denied remove those that succeeded. And an
// event that equals one of the latest of its kind, and belongs to no request,
// takes its place and counts it. Sequence numbers have gaps therefore.
type Ring struct {
	mu     sync.Mutex
	slots  []slot
	used   int
	queues [maxKinds]queue
	last   uint64
}

// slot is an event between its neighbours of the same queue; -1 for none.
type slot struct {
	Event
	prev, next int
}

// queue is the events of one kind, oldest first.
type queue struct {
	action, outcome string
	oldest, newest  int
	n               int
}

// NewRing returns a Ring of the given number of events; 0 means DefaultEvents.
func NewRing(size int) *Ring {
	if size <= 0 {
		size = DefaultEvents
	}
	return &Ring{slots: make([]slot, size)}
}

// Add adds an event. Texts above MaxText bytes are cut. It does not allocate
// otherwise, and its lock is held for one copy and a few comparisons.
func (r *Ring) Add(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	for _, s := range e.texts() {
		*s = cut(*s)
	}
	e.Count, e.First = 1, time.Time{}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	e.Seq = r.last
	q := r.queue(&e)
	i := r.equal(q, &e)
	if i >= 0 {
		old := &r.slots[i]
		e.Count, e.First = old.Count+1, old.First
		if old.Count == 1 {
			e.First = old.Time
		}
		r.unlink(q, i)
	} else {
		i = r.room()
	}
	r.slots[i] = slot{e, q.newest, -1}
	if q.n == 0 {
		r.slots[i].prev, q.oldest = -1, i
	} else {
		r.slots[q.newest].next = i
	}
	q.newest = i
	q.n++
}

// texts returns the texts of the event.
func (e *Event) texts() [17]*string {
	return [...]*string{
		&e.Action, &e.User, &e.Scheme, &e.Client, &e.Service, &e.Method, &e.Outcome, &e.ErrorType, &e.RequestID, &e.TraceID, &e.Detail,
		&e.LeaseID, &e.LeaseKind, &e.LeaseLevel, &e.LeaseScheme, &e.LeasePrincipal, &e.LeaseOpenedBy,
	}
}

// queue returns the queue of the event's kind.
func (r *Ring) queue(e *Event) *queue {
	for i := range r.queues {
		if q := &r.queues[i]; q.n > 0 && q.action == e.Action && q.outcome == e.Outcome {
			return q
		}
	}
	for i := range r.queues {
		if q := &r.queues[i]; q.n == 0 {
			q.action, q.outcome = e.Action, e.Outcome
			return q
		}
	}
	return &r.queues[maxKinds-1]
}

// equal finds an event that differs from e in its time only; -1 if there is
// none.
func (r *Ring) equal(q *queue, e *Event) int {
	if e.RequestID != "" || e.TraceID != "" || q.n == 0 {
		return -1
	}
	for i, n := q.newest, 0; i >= 0 && n < maxLook; i, n = r.slots[i].prev, n+1 {
		other := r.slots[i].Event
		other.Seq, other.Time, other.Count, other.First = e.Seq, e.Time, e.Count, e.First
		if other == *e {
			return i
		}
	}
	return -1
}

// room returns a free slot.
func (r *Ring) room() int {
	if r.used < len(r.slots) {
		r.used++
		return r.used - 1
	}
	most := &r.queues[0]
	for i := range r.queues[1:] {
		q := &r.queues[i+1]
		if q.n > most.n || q.n == most.n && q.n > 0 && r.slots[q.oldest].Seq < r.slots[most.oldest].Seq {
			most = q
		}
	}
	i := most.oldest
	r.unlink(most, i)
	return i
}

// unlink takes a slot out of its queue.
func (r *Ring) unlink(q *queue, i int) {
	s := &r.slots[i]
	if s.prev >= 0 {
		r.slots[s.prev].next = s.next
	} else {
		q.oldest = s.next
	}
	if s.next >= 0 {
		r.slots[s.next].prev = s.prev
	} else {
		q.newest = s.prev
	}
	q.n--
}

// cut returns a text of at most MaxText bytes, which keeps no longer one alive.
func cut(s string) string {
	if len(s) <= MaxText {
		return s
	}
	return strings.ToValidUTF8(strings.Clone(s[:MaxText]), "")
}

// Events returns the latest events with a sequence number above after, at most
// limit of them, oldest first; 0 means all that the Ring holds.
func (r *Ring) Events(after uint64, limit int) []Event {
	out := []Event{}
	r.mu.Lock()
	for i := range r.slots[:r.used] {
		if r.slots[i].Seq > after {
			out = append(out, r.slots[i].Event)
		}
	}
	r.mu.Unlock()
	slices.SortFunc(out, func(a, b Event) int { return cmp.Compare(a.Seq, b.Seq) })
	if limit > 0 && len(out) > limit {
		out = out[len(out)-limit:]
	}
	return out
}

// Total returns how many events were ever added.
func (r *Ring) Total() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}
