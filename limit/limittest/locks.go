package limittest

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/limit"
)

// RunLocks tests a driver that is a [limit.LockSharer], as [Run] tests every
// driver. Some of the tests take seconds, as long as the driver takes to tell
// others.
func RunLocks(t *testing.T, open func(t *testing.T) Harness) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Harness)
	}{
		{"tells all replicas of locks", lockTold},
		{"shares one table", lockTable},
		{"tells of many locks", lockMany},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// lock is one lock, with its end by the clock of the test.
type lock struct {
	client netip.Prefix
	level  int
	end    time.Time
}

// table is a table of locks that keeps what it is told.
type table struct {
	mu      sync.Mutex
	due     []lock
	learned map[netip.Prefix]lock
}

func (b *table) Due(most int, tell func(client netip.Prefix, level int, left time.Duration)) {
	b.mu.Lock()
	n := min(most, len(b.due))
	told := b.due[:n]
	b.due = b.due[n:]
	b.mu.Unlock()
	for _, k := range told {
		tell(k.client, k.level, time.Until(k.end))
	}
}

func (b *table) Restate() {}

func (b *table) Learn(client netip.Prefix, level int, left time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.learned[client] = lock{client, level, time.Now().Add(left)}
}

// knows reports whether a lock was learned, of that level and to that end or a
// little later.
func (b *table) knows(want lock) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	got, ok := b.learned[want.client]
	off := got.end.Sub(want.end)
	return ok && got.level == want.level && off > -10*time.Millisecond && off < 2*time.Second
}

// sharer is one more replica with locks.
func sharer(t *testing.T, h Harness, locks ...lock) *table {
	t.Helper()
	d, ok := h.Replica().(limit.LockSharer)
	if !ok {
		t.Fatal("the driver shares no locks")
	}
	b := &table{due: locks, learned: map[netip.Prefix]lock{}}
	if err := d.ShareLocks(b); err != nil {
		t.Fatal(err)
	}
	return b
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never happens: %s", what)
		}
	}
}

func lockTold(t *testing.T, h Harness) {
	client := netip.MustParsePrefix
	in := func(d time.Duration) time.Time { return time.Now().Add(d) }
	locks := []lock{
		{client("192.0.2.1/32"), 1, in(time.Minute)},
		{client("192.0.2.2/32"), 11, in(15 * time.Minute)},
		{client("0.0.0.0/32"), 2, in(time.Minute)},
		{client("::/64"), 3, in(time.Minute)},
		{client("2001:db8:0:1::/64"), 5, in(24 * time.Hour)},
		{client("2001:db8:0:2::/64"), 4, in(-time.Minute)}, // over, but the next is longer
	}
	malformed := []lock{
		{netip.Prefix{}, 1, in(time.Minute)}, {client("192.0.2.0/24"), 1, in(time.Minute)}, {client("2001:db8:0:1::1/64"), 1, in(time.Minute)},
		{client("2001:db8::1/128"), 1, in(time.Minute)}, {client("192.0.2.3/32"), 0, in(time.Minute)}, {client("192.0.2.4/32"), -1, in(time.Minute)},
	}
	other := sharer(t, h)
	sharer(t, h, slices.Concat(malformed, locks)...)
	for _, k := range locks {
		eventually(t, k.client.String()+" is known to another", func() bool { return other.knows(k) })
	}
	late := sharer(t, h)
	for _, k := range locks {
		eventually(t, k.client.String()+" is known to one that comes later", func() bool { return late.knows(k) })
	}
	// Another's shorter lock, and one of a lower level, take nothing back.
	sharer(t, h, lock{locks[1].client, 1, in(time.Second)}, lock{locks[4].client, 9, in(time.Minute)})
	grown := lock{locks[4].client, 9, locks[4].end}
	eventually(t, "a lock grows", func() bool { return late.knows(grown) })
	last := sharer(t, h)
	eventually(t, "the grown lock is known", func() bool { return last.knows(grown) && last.knows(locks[1]) })
	if len(last.learned) != len(locks) {
		t.Errorf("%d locks are known, want %d: %v", len(last.learned), len(locks), last.learned)
	}
}

func lockTable(t *testing.T, h Harness) {
	d, ok := h.Replica().(limit.LockSharer)
	if !ok {
		t.Fatal("the driver shares no locks")
	}
	if d.ShareLocks(nil) == nil {
		t.Error("no table is one")
	}
	if err := d.ShareLocks(&table{}); err != nil {
		t.Fatal(err)
	}
	if d.ShareLocks(&table{}) == nil {
		t.Error("a second table is shared")
	}
}

func lockMany(t *testing.T, h Harness) {
	var locks []lock
	for i := range 300 {
		locks = append(locks, lock{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32), 1 + i%63, time.Now().Add(time.Hour)})
	}
	other := sharer(t, h)
	sharer(t, h, locks...)
	for _, k := range locks {
		eventually(t, k.client.String()+" is known", func() bool { return other.knows(k) })
	}
}
