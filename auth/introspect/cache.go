package introspect

import "time"

// cache remembers values by the digest of their token until they end. Its
// caller excludes others.
//
// It has two generations. When the young one is full it becomes the old one,
// which is forgotten whole: a map that loses as many entries as it gains, one by
// one, grows all the same, slowly and without end.
type cache[T any] struct {
	most       int // of both generations
	young, old map[digest]entry[T]
}

type entry[T any] struct {
	value T
	until time.Time
}

func newCache[T any](most int) *cache[T] { return &cache[T]{most: most, young: map[digest]entry[T]{}} }

// find returns a value, unless it ended: that one is forgotten.
func (c *cache[T]) find(id digest, now time.Time) (T, bool) {
	e, ok := c.young[id]
	if !ok {
		e, ok = c.old[id]
	}
	if ok && !now.Before(e.until) {
		c.forget(id)
		e, ok = entry[T]{}, false
	}
	return e.value, ok
}

// store remembers a value.
func (c *cache[T]) store(id digest, value T, until, now time.Time) {
	if !now.Before(until) {
		return
	}
	if len(c.young) >= max(c.most/2, 1) {
		c.young, c.old = map[digest]entry[T]{}, c.young
	}
	c.young[id] = entry[T]{value: value, until: until}
	delete(c.old, id)
}

// forget removes a value.
func (c *cache[T]) forget(id digest) {
	delete(c.young, id)
	delete(c.old, id)
}

// len returns how many values are remembered.
func (c *cache[T]) len() int { return len(c.young) + len(c.old) }
