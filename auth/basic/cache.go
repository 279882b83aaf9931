package basic

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/basic/internal/password"
	"github.com/aguada-dev/aguada/auth/internal/digest"
)

// success is a name and password that were right for a hash.
type success struct {
	principal  *auth.Principal
	hash, next string       // next takes the place of an outdated hash
	checked    atomic.Int64 // when the store last confirmed the hash
	checking   atomic.Bool
}

// cache holds successes by the keyed digest of name and password.
type cache struct {
	most int // none if negative
	mu   sync.RWMutex
	all  map[[sha256.Size]byte]*success
}

func (c *cache) init(most int) { c.most, c.all = most, make(map[[sha256.Size]byte]*success) }

func (c *cache) get(key [sha256.Size]byte) *success {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.all[key]
}

// put keeps a success; any other one makes room where there is none.
func (c *cache) put(key [sha256.Size]byte, p *auth.Principal, hash, next string, now time.Duration) {
	if c.most < 0 {
		return
	}
	s := &success{principal: p, hash: hash, next: next}
	s.checked.Store(int64(now))
	c.mu.Lock()
	defer c.mu.Unlock()
	for old := range c.all {
		if len(c.all) < c.most {
			break
		}
		delete(c.all, old)
	}
	c.all[key] = s
}

// drop forgets a success unless a newer one has taken its place.
func (c *cache) drop(key [sha256.Size]byte, s *success) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all[key] == s {
		delete(c.all, key)
	}
}

// recipes are those that were met in a store, 16 at most.
type recipes struct {
	mu  sync.RWMutex
	all []password.Recipe
}

func (r *recipes) add(p password.Recipe) {
	r.mu.RLock()
	known := slices.Contains(r.all, p) || len(r.all) == 16
	r.mu.RUnlock()
	if known {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.all, p) && len(r.all) < 16 {
		r.all = append(r.all, p)
	}
}

// choose returns the recipe for an account. A new recipe changes that of no
// more accounts than it must: the one with the highest digest is chosen.
func (r *recipes) choose(d *digest.Digest, account [sha256.Size]byte) password.Recipe {
	r.mu.RLock()
	defer r.mu.RUnlock()
	best, most := password.Standard(), uint64(0)
	for _, p := range r.all {
		sum := d.Pair(string(account[:]), p.Algorithm()+p.Cost())
		if n := binary.BigEndian.Uint64(sum[:]); n >= most {
			best, most = p, n
		}
	}
	return best
}
