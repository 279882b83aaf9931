// Package store keeps telemetry in memory, within a budget of bytes.
//
//	st, err := store.Open(store.Config{Budget: 256 << 20})
//	if err != nil {
//		return err
//	}
//	defer st.Close()
//	st.Add(&store.Batch{…})
//	hits, all, _ := st.Found(&store.Filter{Service: "shop", Status: store.StatusError}, store.Slowest, 100)
//
// What arrived is packed into segments, each with its own dictionary of strings.
// When the budget is spent, the oldest segment gives way, of whatever signal;
// the store remembers which traces lost a part by it. Nothing is sampled and
// nothing is aggregated: what pages show is computed from what is here.
//
// A Store is safe for concurrent use. Searches work on segments as they were
// when they began, and hold up nobody who adds.
package store

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultBudget is the budget unless Config says otherwise, in bytes.
const DefaultBudget = 256 << 20

// MinBudget is the smallest budget, in bytes.
const MinBudget = 4 << 20

// Signal is one of traces, logs and metrics.
type Signal int

// The signals.
const (
	Traces Signal = iota
	Logs
	Metrics
	signals
)

// Config says how much is kept, and where.
type Config struct {
	// Budget is how many bytes may be held; 0 means DefaultBudget.
	Budget int64
	// File is an SQLite file that keeps what is held over a restart; "" keeps
	// nothing. It belongs to one process at a time.
	File string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Store keeps telemetry. Use Open.
type Store struct {
	cfg  Config
	full int // the size at which a segment is sealed
	file *file

	closed atomic.Bool

	mu      sync.RWMutex
	all     [signals][]*segment // the oldest first; the last one grows
	counts  [signals]Counts
	bytes   int64              // of sealed segments
	partial map[TraceID]uint32 // how many spans of a trace that is still here gave way
	changed chan struct{}      // closed when something is added
}

// Counts is what happened to the items of a signal.
type Counts struct {
	// Received is how many were added since Open, Kept how many are here,
	// Evicted how many gave way.
	Received, Kept, Evicted int64
	// Oldest is the earliest time of those that are here, 0 if there are none.
	Oldest int64
}

// Open returns a Store with what its file holds.
func Open(cfg Config) (*Store, error) {
	if cfg.Budget == 0 {
		cfg.Budget = DefaultBudget
	}
	if cfg.Budget < MinBudget {
		return nil, fmt.Errorf("open store: a budget of %d bytes is too small: give it %d at least", cfg.Budget, MinBudget)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Store{
		cfg: cfg, full: int(min(max(cfg.Budget/64, 64<<10), 4<<20)),
		partial: make(map[TraceID]uint32), changed: make(chan struct{}),
	}
	if cfg.File != "" {
		if err := s.load(); err != nil {
			return nil, fmt.Errorf("open store %s: %w", cfg.File, err)
		}
	}
	for sig := range s.all {
		s.grow(Signal(sig))
	}
	return s, nil
}

// Close writes what the file lacks. Nothing may be added any more.
func (s *Store) Close() error {
	if s.file == nil || s.closed.Swap(true) {
		return nil
	}
	close(s.file.stop)
	s.file.wait.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for sig := range s.all {
		s.seal(Signal(sig))
	}
	return s.file.close()
}

// grow begins a segment.
func (s *Store) grow(sig Signal) {
	var first uint64
	if n := len(s.all[sig]); n > 0 {
		last := s.all[sig][n-1]
		first = last.first + uint64(len(last.rows))
	}
	s.all[sig] = append(s.all[sig], newSegment(first, sig != Metrics))
}

// growing returns the segment that grows.
func (s *Store) growing(sig Signal) *segment { return s.all[sig][len(s.all[sig])-1] }

// seal ends the segment that grows, if it holds anything, and begins another.
func (s *Store) seal(sig Signal) {
	g := s.growing(sig)
	if len(g.rows) == 0 {
		return
	}
	g.seal(s.cfg.Now().UnixNano())
	s.bytes += int64(g.size())
	if s.file != nil {
		s.file.write(sig, g)
	}
	s.grow(sig)
}

// Add adds what a request holds.
func (s *Store) Add(b *Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	into := places{store: s, batch: b}
	for i := range b.Spans {
		into.span(&b.Spans[i])
	}
	for i := range b.Logs {
		into.log(&b.Logs[i])
	}
	for i := range b.Points {
		into.point(&b.Points[i])
	}
	for s.held() > s.cfg.Budget && s.evict() {
	}
	s.counts[Traces].Received += int64(len(b.Spans))
	s.counts[Logs].Received += int64(len(b.Logs))
	s.counts[Metrics].Received += int64(len(b.Points))
	if len(b.Spans)+len(b.Logs)+len(b.Points) > 0 {
		close(s.changed)
		s.changed = make(chan struct{})
	}
}

// Changed returns a channel that is closed when something is added.
func (s *Store) Changed() <-chan struct{} {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.changed
}

// Counts returns what happened to the items of a signal.
func (s *Store) Counts(sig Signal) Counts {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := s.counts[sig]
	for _, g := range s.all[sig] {
		c.Kept += int64(len(g.rows))
		if len(g.rows) > 0 && (c.Oldest == 0 || g.oldest < c.Oldest) {
			c.Oldest = g.oldest
		}
	}
	return c
}

// Bytes returns what is held and what may be.
func (s *Store) Bytes() (held, budget int64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.held(), s.cfg.Budget
}

func (s *Store) held() int64 {
	held := s.bytes
	for sig := range s.all {
		held += int64(s.growing(Signal(sig)).size())
	}
	// An entry of a map takes about twice what is in it.
	return held + 2*int64(len(s.partial))*int64(len(TraceID{})+4)
}

// settle seals a segment that is full.
func (s *Store) settle(sig Signal) {
	if s.growing(sig).size() >= s.full {
		s.seal(sig)
	}
}

// evict gives up the segment that was sealed first, and reports whether there
// was one.
func (s *Store) evict() bool {
	oldest := Signal(-1)
	for sig := range s.all {
		if len(s.all[sig]) > 1 && (oldest < 0 || s.all[sig][0].sealed < s.all[oldest][0].sealed) {
			oldest = Signal(sig)
		}
	}
	if oldest < 0 {
		return false
	}
	g := s.all[oldest][0]
	s.all[oldest] = append([]*segment(nil), s.all[oldest][1:]...) // searches may still walk through the former slice
	s.counts[oldest].Evicted += int64(len(g.rows))
	s.bytes -= int64(g.size())
	if oldest == Traces {
		s.remember(g)
	}
	if s.file != nil {
		s.file.remove(g)
	}
	return true
}

// remember notes which traces lost spans with the segment g and are not gone.
func (s *Store) remember(g *segment) {
	g.each(func(t TraceID, n int) {
		for _, other := range s.all[Traces] {
			if other.has(t) {
				s.partial[t] += uint32(n)
				return
			}
		}
		delete(s.partial, t)
	})
}

// Problem returns what went wrong with the file since Open, if anything did.
// What is in memory is not affected.
func (s *Store) Problem() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.file == nil {
		return nil
	}
	return s.file.problem()
}

// snapshot returns the segments of a signal as they are, to be read without the
// lock. Their tables of traces must not be used.
func (s *Store) snapshot(sig Signal) []*segment {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*segment, len(s.all[sig]))
	copy(all, s.all[sig])
	g := *all[len(all)-1]
	g.traces = nil
	g.seen = slices.Clone(g.seen)
	all[len(all)-1] = &g
	return all
}
