package jwt

import (
	"crypto/sha256"
	"sync"
	"time"
	"unsafe"

	"github.com/aguada-dev/aguada/auth"
)

// digest is a SHA-256.
type digest = [sha256.Size]byte

// sum returns the digest of a token, which is hashed where it lies: a copy
// would cost an allocation per call.
func sum(token string) digest {
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(token), len(token))) //nolint:gosec // read only
}

// verified is a token that was verified.
type verified struct {
	principal *auth.Principal
	from      *Issuer
	key       digest // of the issuer's key that signed it
	until     time.Time
}

// good reports whether the token may still be used: it has not expired, and
// its key is in its issuer's set.
func (v *verified) good(set *keySet, now time.Time) bool {
	_, there := set.ids[v.key]
	return there && now.Before(v.until)
}

// cache remembers verified tokens by their digest. It holds no token but those
// of the index.
//
// It has two generations. When the young one is full it becomes the old one,
// which is forgotten whole: a map that loses as many entries as it gains, one by
// one, grows all the same, slowly and without end.
type cache struct {
	most       int // of both generations; none if negative
	mu         sync.RWMutex
	young, old map[digest]*verified
	latest     index
}

func newCache(most int) *cache {
	return &cache{most: most, young: map[digest]*verified{}, latest: newIndex(most)}
}

// find returns a remembered token, or nil.
func (c *cache) find(id digest) *verified {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if v := c.young[id]; v != nil {
		return v
	}
	return c.old[id]
}

// recall returns a token of the index, or nil.
func (c *cache) recall(token string) *verified { return c.latest.find(token) }

// index puts a remembered token into the index.
func (c *cache) index(token string, v *verified) { c.latest.store(token, v) }

// forget removes a token that is not good any more.
func (c *cache) forget(token string, id digest, v *verified) {
	c.latest.remove(token, v)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range [2]map[digest]*verified{c.young, c.old} {
		if m[id] == v {
			delete(m, id)
		}
	}
}

// store remembers a token.
func (c *cache) store(id digest, v *verified) {
	if c.most < 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= max(c.most/2, 1) {
		c.young, c.old = map[digest]*verified{}, c.young
	}
	c.young[id] = v
	delete(c.old, id)
}
