package apikey

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aguada-dev/aguada/auth"
)

// How long a [Verifier] believes what a [Store] said, from when it asked.
const (
	Fresh  = 5 * time.Second  // without asking again
	Limit  = 10 * time.Second // at all
	Absent = 2 * time.Second  // of an id that is not there
)

// Bounds of a cache.
const (
	maxAbsent     = 8192
	queue         = 64 // how many wait for each lookup that runs
	queueTime     = time.Second
	lookupTimeout = 2 * time.Second
	retryAfter    = time.Second // a refresh that failed
)

var (
	errBusy   = &auth.Error{Reason: auth.Unavailable, Err: errors.New("look up API key: too many lookups at once")}
	errClosed = &auth.Error{Reason: auth.Unavailable, Err: errors.New("look up API key: the verifier is closed")}
)

// cache keeps what a store said of keys. All its times are since start, on the
// clock that nobody sets.
type cache struct {
	store  Store
	scheme string
	max    int
	logger *slog.Logger
	start  time.Time

	mu     sync.RWMutex
	keys   map[string]*entry
	absent map[string]time.Duration // until when
	// Those who make up ids can only hold up each other: what is known is
	// refreshed apart from what is not.
	cold, warm group
	closed     bool

	flying  sync.WaitGroup
	failing atomic.Bool
	uses    uses
}

// entry is a key in the cache.
type entry struct {
	id    string
	known atomic.Pointer[answer]
	next  atomic.Int64 // not to be refreshed before
	used  atomic.Int64 // when it was last accepted, in Unix milliseconds; 0 if never
	noted int64        // the used that the store has; guarded by uses.writing
}

// answer is what the store said of a key.
type answer struct {
	*known
	asked time.Duration
}

// group is a set of lookups, of which a bounded number runs at once.
type group struct {
	slots   chan struct{}
	flights map[string]*flight
}

// flight is one lookup that several callers may wait for.
type flight struct {
	done  chan struct{}
	known *known
	err   error
}

func newCache(s Store, cfg Config) *cache {
	if cfg.MaxKeys <= 0 {
		cfg.MaxKeys = 10_000
	}
	if cfg.MaxLookups <= 0 {
		cfg.MaxLookups = 16
	}
	newGroup := func() group {
		return group{slots: make(chan struct{}, cfg.MaxLookups), flights: map[string]*flight{}}
	}
	return &cache{
		store: s, scheme: cfg.Scheme, max: cfg.MaxKeys, logger: cfg.Logger, start: time.Now(),
		keys: map[string]*entry{}, absent: map[string]time.Duration{}, cold: newGroup(), warm: newGroup(),
	}
}

func (c *cache) now() time.Duration { return time.Since(c.start) }

// find returns what is known of a key at a time, which was just now.
func (c *cache) find(ctx context.Context, id string, at time.Time) (*known, error) {
	c.mu.RLock()
	e, until := c.keys[id], c.absent[id]
	c.mu.RUnlock()
	now := at.Sub(c.start)
	if e == nil {
		if now < until {
			return nil, errUnknown
		}
		return c.wait(ctx, &c.cold, id)
	}
	a := e.known.Load()
	age := now - a.asked
	if age <= Fresh {
		return a.known, nil
	}
	if age > Limit {
		return c.wait(ctx, &c.warm, id)
	}
	if next := e.next.Load(); int64(now) >= next && e.next.CompareAndSwap(next, int64(now+retryAfter)) {
		c.mu.Lock()
		_, _ = c.fly(&c.warm, id) // if it cannot be now, a later use tries again
		c.mu.Unlock()
	}
	return a.known, nil
}

// wait asks the store and waits for its answer.
func (c *cache) wait(ctx context.Context, g *group, id string) (*known, error) {
	c.mu.Lock()
	f, err := c.fly(g, id)
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case <-f.done:
		return f.known, f.err
	case <-ctx.Done():
		return nil, unavailable(context.Cause(ctx))
	}
}

func unavailable(err error) error {
	return &auth.Error{Reason: auth.Unavailable, Err: fmt.Errorf("look up API key: %w", err)}
}

// fly returns the lookup of an id that is under way, or begins one. The caller
// holds mu.
func (c *cache) fly(g *group, id string) (*flight, error) {
	if f := g.flights[id]; f != nil {
		return f, nil
	}
	if c.closed {
		return nil, errClosed
	}
	if len(g.flights) >= (queue+1)*cap(g.slots) {
		return nil, errBusy
	}
	id = strings.Clone(id) // it is part of the key, which must not stay in memory
	f := &flight{done: make(chan struct{})}
	g.flights[id] = f
	c.flying.Go(func() {
		f.known, f.err = c.ask(g, id)
		c.mu.Lock()
		delete(g.flights, id)
		c.mu.Unlock()
		close(f.done)
	})
	return f, nil
}

// ask asks the store. It belongs to no request: a caller that goes away does
// not fail those that wait for the same answer.
func (c *cache) ask(g *group, id string) (*known, error) {
	late := time.NewTimer(queueTime)
	defer late.Stop()
	select {
	case g.slots <- struct{}{}:
		defer func() { <-g.slots }()
	case <-late.C:
		return nil, errBusy
	}
	asked := c.now()
	r, err := c.lookup(id)
	if errors.Is(err, ErrNotFound) {
		c.recovered()
		c.forget(id, asked)
		return nil, errUnknown
	}
	if err != nil {
		if c.failing.CompareAndSwap(false, true) {
			logger(c.logger).Error("API keys cannot be looked up: those not seen lately are refused", "error", err)
		}
		return nil, unavailable(err)
	}
	c.recovered()
	k, err := r.compile(c.scheme)
	if err == nil && r.ID != id {
		err = errors.New("the store returned another key")
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return c.keep(k, asked), nil
}

func (c *cache) lookup(id string) (r Record, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil { // else the whole process would end
			err = fmt.Errorf("the store panicked: %v", p)
		}
	}()
	r, err = c.store.Lookup(ctx, id)
	if late := ctx.Err(); late != nil {
		return Record{}, late // what it read may be as old as its answer is late
	}
	return r, err
}

func (c *cache) recovered() {
	if c.failing.Load() && c.failing.CompareAndSwap(true, false) {
		logger(c.logger).Info("API keys can be looked up again")
	}
}

// keep takes what the store said. Of two answers the one counts that was asked
// for later.
func (c *cache) keep(k *known, asked time.Duration) *known {
	id := k.principal.CredentialID
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.absent, id)
	e := c.keys[id]
	if e == nil {
		if len(c.keys) >= c.max {
			c.evict()
		}
		e = &entry{id: id}
		c.keys[id] = e
	} else if a := e.known.Load(); a.asked > asked {
		return a.known
	}
	k.entry = e
	e.known.Store(&answer{known: k, asked: asked})
	e.next.Store(0)
	return k
}

// forget notes that the store has no such key.
func (c *cache) forget(id string, asked time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.keys[id]; e != nil {
		if e.known.Load().asked > asked {
			return
		}
		delete(c.keys, id)
	}
	if len(c.absent) >= maxAbsent {
		for other := range c.absent { // whichever comes first: a flood repeats none
			delete(c.absent, other)
			break
		}
	}
	c.absent[id] = asked + Absent
}

// evict removes, of a few keys, the one that was unused for the longest.
func (c *cache) evict() {
	var oldest *entry
	n := 0
	for _, e := range c.keys {
		if oldest == nil || e.used.Load() < oldest.used.Load() {
			oldest = e
		}
		if n++; n == 8 {
			break
		}
	}
	if oldest != nil {
		delete(c.keys, oldest.id)
		c.uses.save(oldest, c.max)
	}
}
