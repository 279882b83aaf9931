package apikey

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// How uses are written.
const (
	usesEvery   = time.Minute
	usesTimeout = 5 * time.Second
)

// uses tells the store when keys were last used: at most once a minute for each
// key, many at a time. There is no goroutine while no key is used.
type uses struct {
	armed   atomic.Bool // a write is due
	writing sync.Mutex  // held while writing
	failing bool        // guarded by writing
	over    bool        // likewise: the store is not to be asked any more

	mu    sync.Mutex
	timer *time.Timer
	ended bool
	left  map[string]int64 // of keys that were evicted; bounded
}

// save notes the last use of a key that leaves the cache. Beyond the bound it
// is lost.
func (u *uses) save(e *entry, limit int) {
	used := e.used.Load()
	if used == 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.left == nil {
		u.left = map[string]int64{}
	}
	if len(u.left) < limit {
		u.left[e.id] = used
	}
}

// mark notes that a key was accepted.
func (c *cache) mark(e *entry, now time.Time) {
	const grain = 1000 // not to write to shared memory for every call
	if at := now.UnixMilli(); at-e.used.Load() >= grain {
		e.used.Store(at)
	}
	if !c.uses.armed.Load() && c.uses.armed.CompareAndSwap(false, true) {
		c.uses.arm(c.write)
	}
}

func (u *uses) arm(write func() error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended {
		return // and armed stays set: nobody tries again
	}
	u.timer = time.AfterFunc(usesEvery, func() {
		u.armed.Store(false) // before reading: what is used from now on arms it again
		if err := write(); err != nil && u.armed.CompareAndSwap(false, true) {
			u.arm(write)
		}
	})
}

// write tells the store of all uses that it does not know of.
func (c *cache) write() error {
	c.uses.writing.Lock()
	defer c.uses.writing.Unlock()
	if c.uses.over {
		return nil
	}
	due, entries := c.due()
	var err error
	for batch := range slices.Chunk(due, MaxUses) {
		if err = c.used(batch); err != nil {
			break // the rest would fail too, or wait as long
		}
		for _, u := range batch {
			if e := entries[u.ID]; e != nil {
				e.noted = u.At.UnixMilli()
			}
			c.uses.drop(u)
		}
	}
	if failed := err != nil; failed != c.uses.failing {
		c.uses.failing = failed
		if failed {
			logger(c.logger).Warn("last uses of API keys cannot be written; trying again every minute", "error", err)
		}
	}
	return err
}

// due returns the uses that the store does not know of, in the order of ids,
// and those entries that are still in the cache.
func (c *cache) due() ([]Use, map[string]*entry) {
	at := map[string]int64{}
	c.uses.mu.Lock()
	for id, used := range c.uses.left {
		at[id] = used
	}
	c.uses.mu.Unlock()
	entries := map[string]*entry{}
	c.mu.RLock()
	for id, e := range c.keys {
		if used := e.used.Load(); used > e.noted {
			at[id], entries[id] = used, e
		}
	}
	c.mu.RUnlock()
	due := make([]Use, 0, len(at))
	for id, used := range at {
		due = append(due, Use{ID: id, At: time.UnixMilli(used).UTC()})
	}
	slices.SortFunc(due, func(a, b Use) int { return cmp.Compare(a.ID, b.ID) })
	return due, entries
}

func (u *uses) drop(written Use) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.left[written.ID] <= written.At.UnixMilli() {
		delete(u.left, written.ID)
	}
}

func (c *cache) used(batch []Use) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), usesTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the store panicked: %v", p)
		}
	}()
	return c.store.Used(ctx, batch)
}

// close writes what is due and waits for what runs.
func (c *cache) close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.flying.Wait()
	c.uses.mu.Lock()
	c.uses.ended = true
	if c.uses.timer != nil {
		c.uses.timer.Stop()
	}
	c.uses.mu.Unlock()
	err := c.write()
	c.uses.writing.Lock()
	c.uses.over = true
	c.uses.writing.Unlock()
	if err != nil {
		return fmt.Errorf("close API keys: write last uses: %w", err)
	}
	return nil
}
