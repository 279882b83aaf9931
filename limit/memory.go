package limit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"
)

// DefaultKeys is how many keys a [Memory] has room for unless told otherwise.
const DefaultKeys = 1_000_000

// MaxKeys is the most that a [Memory] has room for.
const MaxKeys = 1 << 30

// MemoryConfig tunes a [Memory]. The zero value works.
type MemoryConfig struct {
	// Keys is how many keys (a rule and a partition) that owe something are
	// followed at once, at least; DefaultKeys if 0, at most MaxKeys.
	Keys int
}

// Memory is the [Driver] of one process. Time is monotonic.
//
// A key takes 16 bytes, nothing of a partition is kept but 48 bits of a keyed
// hash, and memory is bounded: some 23 bytes times the number of keys (22 MiB by
// default), parts of which are taken when their first key comes. There is nothing to sweep: a key whose bucket is full again is as good
// as unknown, and its place is free.
//
// When all places are taken by keys that owe something, a newcomer takes the
// place of the one that has spent the smallest part of its burst, and is taken
// to have spent as much of its own. So a flood of addresses frees nobody who is at his limit, and
// denies newcomers nothing before the flood has used up every bucket.
type Memory struct {
	start   time.Time
	seed    maphash.Seed
	buckets uint64 // of a shard
	shards  []shard

	mu    sync.Mutex // taken within that of a shard
	names map[string]uint16
	rules []Rule    // by id; 0 is none
	parts []float64 // by id: what part of its burst a rule gives back in a nanosecond
}

const (
	maxShards = 256
	ways      = 8         // slots of a bucket, two of which a key may be in
	idMask    = 1<<16 - 1 // the part of a tag that tells the rule
)

// slot is a key: the upper bits of its hash and the id of its rule, which is
// never 0, and when its bucket is full, since the start.
type slot struct {
	tag  uint64
	full int64
}

type shard struct {
	mu    sync.Mutex
	slots []slot
	_     [32]byte // a cache line of its own
}

var _ Driver = (*Memory)(nil)

// NewMemory returns a Memory in which nobody has spent anything.
func NewMemory(cfg MemoryConfig) (*Memory, error) {
	if cfg.Keys < 0 || cfg.Keys > MaxKeys {
		return nil, fmt.Errorf("make rate limits in memory: room for %d keys, want 0 to %d", cfg.Keys, MaxKeys)
	}
	if cfg.Keys == 0 {
		cfg.Keys = DefaultKeys
	}
	shards := 1
	for shards < maxShards && cfg.Keys/(shards*2) >= 1024 {
		shards *= 2
	}
	slots := (cfg.Keys*4 + 2) / 3 // nearly every key finds a place while three quarters are taken
	return &Memory{
		start: time.Now(), seed: maphash.MakeSeed(),
		buckets: uint64((slots + shards*ways - 1) / (shards * ways)), shards: make([]shard, shards),
		names: map[string]uint16{}, rules: make([]Rule, 1), parts: make([]float64, 1),
	}, nil
}

// Open is the method of [Driver].
func (m *Memory) Open(rules []Rule) (Set, error) { return m.Local(rules) }

// Local is [Memory.Open] with a result that can also enforce a share of the rules. It is for
// drivers that fall back to memory.
func (m *Memory) Local(rules []Rule) (*Local, error) {
	if len(rules) == 0 || len(rules) > MaxRules {
		return nil, errors.New("open rate limits: too many rules, or none")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	l := &Local{m: m, n: len(rules)}
	for i, r := range rules {
		if err := r.Check(); err != nil {
			return nil, err
		}
		r.Burst = r.burst()
		id, known := m.names[r.Name]
		switch {
		case known && m.rules[id] != r:
			return nil, fmt.Errorf("open rate limits: %q is declared twice, with different numbers", r.Name)
		case !known && len(m.rules) > idMask:
			return nil, fmt.Errorf("open rate limits: more than %d rules", idMask)
		case !known:
			id = uint16(len(m.rules))
			m.names[r.Name] = id
			m.rules = append(m.rules, r)
			m.parts = append(m.parts, 1/float64(r.Fill()))
		}
		l.rules[i] = local{id: uint64(id), cost: int64(r.Interval()), fill: int64(r.Fill())}
	}
	return l, nil
}

// Local decides rules by what this process knows.
type Local struct {
	m     *Memory
	n     int
	rules [MaxRules]local
}

type local struct {
	id         uint64
	cost, fill int64 // of a unit, and of all
}

// Take is the method of [Set].
func (l *Local) Take(_ context.Context, p Partitions) (d Decision) {
	l.take(&d, &p, 1, false)
	return d
}

// TakeShare enforces the part of each rule that falls to one of so many replicas:
// its rate and its burst divided by them, but at least a burst of 1. Less than
// one replica is one.
func (l *Local) TakeShare(p Partitions, replicas int) (d Decision) {
	l.take(&d, &p, replicas, false)
	return d
}

// Charge spends a unit of each rule's share for a call that was allowed by
// somebody else, so that TakeShare knows of it.
func (l *Local) Charge(p Partitions, replicas int) {
	var d Decision
	l.take(&d, &p, replicas, true)
}

// maxReplicas keeps the cost of a unit from overflowing.
const maxReplicas = 256

// key is where one rule of a call is decided.
type key struct {
	s     *shard
	index int // of s
	tag   uint64
	a, b  uint64 // its buckets
	debt  int64
}

func (l *Local) take(d *Decision, p *Partitions, replicas int, charge bool) {
	m, share := l.m, int64(min(max(replicas, 1), maxReplicas))
	if l.n == 1 {
		l.takeOne(d, &p[0], share, charge)
		return
	}
	var keys [MaxRules]key
	for i := range l.n {
		m.locate(&keys[i], l.rules[i].id, &p[i])
	}
	d.Allowed, d.Rules = true, l.n
	order := lock(&keys, l.n)
	now := int64(time.Since(m.start))
	for i := range l.n {
		r, k := &l.rules[i], &keys[i]
		cost, fill := r.cost*share, max(r.fill, r.cost*share)
		k.debt = min(m.debt(k, r, now), fill)
		if k.debt > fill-cost && !charge {
			d.Allowed = false
			d.Status[i].Refused = true
		}
	}
	for i := range l.n {
		r, k := &l.rules[i], &keys[i]
		cost, fill := r.cost*share, max(r.fill, r.cost*share)
		if d.Allowed {
			k.debt = min(k.debt+cost, fill)
			m.put(k, now)
		}
		d.Status[i] = status(k.debt, cost, fill, d.Status[i].Refused)
	}
	unlock(&keys, order, l.n)
}

// takeOne is take for the usual case of one rule, twice as fast.
func (l *Local) takeOne(d *Decision, p *Partition, share int64, charge bool) {
	r := &l.rules[0]
	cost, fill := r.cost*share, max(r.fill, r.cost*share)
	var k key
	l.m.locate(&k, r.id, p)
	now := int64(time.Since(l.m.start))
	k.s.mu.Lock()
	e := k.s.find(&k)
	if e != nil {
		k.debt = min(max(e.full-now, 0), fill)
	} else {
		k.debt = min(l.m.debt(&k, r, now), fill)
	}
	d.Allowed = k.debt <= fill-cost || charge
	if d.Allowed {
		k.debt = min(k.debt+cost, fill)
		if e != nil {
			e.full = now + k.debt
		} else {
			l.m.put(&k, now)
		}
	}
	k.s.mu.Unlock()
	d.Rules = 1
	d.Status[0] = status(k.debt, cost, fill, !d.Allowed)
}

// locate finds out where a key belongs.
func (m *Memory) locate(k *key, id uint64, p *Partition) {
	h := m.hash(id, p)
	k.index = int(h) & (len(m.shards) - 1)
	k.s = &m.shards[k.index]
	k.tag = h&^idMask | id
	k.a = ((h >> 8 & (1<<28 - 1)) * m.buckets) >> 28 * ways
	k.b = (h >> 36 * m.buckets) >> 28 * ways
}

func (m *Memory) hash(id uint64, p *Partition) uint64 {
	if p.kind == kindText {
		// The rule and the text, mixed: the seed is secret, and so is the text's hash.
		h := maphash.String(m.seed, p.text)
		return mix(h, id<<8|kindText)
	}
	var b [17]byte
	binary.LittleEndian.PutUint64(b[:8], id)
	binary.LittleEndian.PutUint64(b[8:16], p.bits)
	b[16] = p.kind
	return maphash.Bytes(m.seed, b[:])
}

// mix is a bijection of h for each id (the finalizer of SplitMix64), so that the
// same text has its keys of different rules in different places.
func mix(h, id uint64) uint64 {
	h += id * 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// lock locks the shards of the keys, each once, in the order of the shards,
// which it returns.
func lock(keys *[MaxRules]key, n int) (order [MaxRules]uint8) {
	for i := 1; i < n; i++ {
		j := i
		for ; j > 0 && keys[order[j-1]].index > keys[i].index; j-- {
			order[j] = order[j-1]
		}
		order[j] = uint8(i)
	}
	var last *shard
	for i := range n {
		if s := keys[order[i]].s; s != last {
			s.mu.Lock()
			last = s
		}
	}
	return order
}

func unlock(keys *[MaxRules]key, order [MaxRules]uint8, n int) {
	var last *shard
	for i := range n {
		if s := keys[order[i]].s; s != last {
			s.mu.Unlock()
			last = s
		}
	}
}

// find returns a key's slot; nil if it has none.
func (s *shard) find(k *key) *slot {
	if s.slots == nil {
		return nil
	}
	first, second := s.slots[k.a:][:ways], s.slots[k.b:][:ways]
	for i := range first {
		if first[i].tag == k.tag {
			return &first[i]
		}
	}
	for i := range second {
		if second[i].tag == k.tag {
			return &second[i]
		}
	}
	return nil
}

// debt returns the time until the bucket of a key is full.
func (m *Memory) debt(k *key, r *local, now int64) int64 {
	if e := k.s.find(k); e != nil {
		return max(e.full-now, 0)
	}
	if k.s.slots == nil {
		return 0
	}
	e, spent := m.place(k, now)
	if e.full <= now {
		return 0
	}
	return int64(spent * float64(r.fill))
}

// place returns the slot that a newcomer takes, and what part of its burst the
// slot's key has spent: a free slot of the emptier bucket if there is one, else
// that of the key that has spent the least.
func (m *Memory) place(k *key, now int64) (e *slot, spent float64) {
	var free *slot
	least := ways + 1
	for _, at := range [2]uint64{k.a, k.b} {
		bucket := k.s.slots[at:][:ways]
		live, vacant := 0, (*slot)(nil)
		for i := range bucket {
			if bucket[i].full > now {
				live++
			} else {
				vacant = &bucket[i]
			}
		}
		if vacant != nil && live < least {
			free, least = vacant, live
		}
	}
	if free != nil {
		return free, 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, at := range [2]uint64{k.a, k.b} {
		bucket := k.s.slots[at:][:ways]
		for i := range bucket {
			if part := min(float64(bucket[i].full-now)*m.parts[bucket[i].tag&idMask], 1); e == nil || part < spent {
				e, spent = &bucket[i], part
			}
		}
	}
	return e, spent
}

// put writes what a key owes.
func (m *Memory) put(k *key, now int64) {
	e := k.s.find(k)
	if e == nil {
		if k.s.slots == nil {
			k.s.slots = make([]slot, m.buckets*ways)
		}
		e, _ = m.place(k, now)
	}
	*e = slot{tag: k.tag, full: now + k.debt}
}
