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
	key       digest // of the key that signed it
	until     time.Time
}

// cache remembers verified tokens by their digest. It holds no token.
type cache struct {
	most int
	mu   sync.RWMutex
	m    map[digest]*verified
}

func newCache(most int) *cache { return &cache{most: most, m: map[digest]*verified{}} }

// find returns the principal of a remembered token, or nothing where the token
// must be verified: it is not there, or its key left the set. A remembered one
// that expired is forgotten.
func (c *cache) find(id digest, set *keySet, now time.Time) (*auth.Principal, error) {
	c.mu.RLock()
	v := c.m[id]
	c.mu.RUnlock()
	if v == nil {
		return nil, nil
	}
	_, there := set.ids[v.key]
	if there && now.Before(v.until) {
		return v.principal, nil
	}
	c.mu.Lock()
	if c.m[id] == v {
		delete(c.m, id)
	}
	c.mu.Unlock()
	if there {
		return nil, errExpired
	}
	return nil, nil
}

// sample is how many entries are looked at, when the cache is full, for ones
// that expired.
const sample = 8

// store remembers a token. A full cache forgets expired tokens, or else any.
func (c *cache) store(id digest, v *verified, now time.Time) {
	if c.most < 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.m) >= c.most {
		var last digest
		seen, gone := 0, false
		for old, e := range c.m {
			last = old
			if !now.Before(e.until) {
				delete(c.m, old)
				gone = true
			}
			if seen++; seen == sample {
				break
			}
		}
		if !gone {
			delete(c.m, last)
		}
	}
	c.m[id] = v
}
