package idempotency

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Defaults of a [MemoryConfig].
const (
	DefaultRecords = 100_000
	DefaultBytes   = 64 << 20
)

// MemoryConfig tunes a [Memory]. The zero value works.
type MemoryConfig struct {
	// Records is how many keys are kept at most; DefaultRecords if 0.
	Records int
	// Bytes is how large all stored replies may be together before new keys
	// are refused; DefaultBytes if 0. Calls that are running then still get
	// their replies stored.
	Bytes int
}

// Memory keeps keys in this process, for development and for services that are
// one process: another process knows nothing of them, nor does the next one
// after a restart. When it is full it refuses new keys rather than forget one
// that has not expired. Make one with [NewMemory].
type Memory struct {
	cfg MemoryConfig

	mu      sync.Mutex // guards the rest
	records map[RecordID]*record
	bytes   int
	swept   time.Time
}

type record struct {
	owner       Owner
	fingerprint [32]byte
	lease       time.Time
	expires     time.Time
	reply       []byte // nil: running
}

var (
	_ Store   = (*Memory)(nil)
	_ Sweeper = (*Memory)(nil)
)

// ErrFull says that a [Memory] has no room for another key.
var ErrFull = errors.New("the memory for idempotency keys is full")

// NewMemory returns an empty store.
func NewMemory(cfg MemoryConfig) (*Memory, error) {
	if cfg.Records == 0 {
		cfg.Records = DefaultRecords
	}
	if cfg.Bytes == 0 {
		cfg.Bytes = DefaultBytes
	}
	if cfg.Records < 0 || cfg.Bytes < 0 {
		return nil, fmt.Errorf("keep idempotency keys in memory: room for %d keys, %d bytes", cfg.Records, cfg.Bytes)
	}
	return &Memory{cfg: cfg, records: make(map[RecordID]*record)}, nil
}

// find returns a record that has not expired, or nil. The mutex is held.
func (m *Memory) find(id RecordID, now time.Time) *record {
	r := m.records[id]
	if r == nil || now.Before(r.expires) {
		return r
	}
	m.remove(id, r)
	return nil
}

func (m *Memory) remove(id RecordID, r *record) {
	m.bytes -= len(r.reply)
	delete(m.records, id)
}

// Claim implements [Store].
func (m *Memory) Claim(_ context.Context, t Ticket) (State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	r := m.find(t.ID, now)
	switch {
	case r == nil:
		if m.full() {
			m.makeRoom(now)
		}
		if m.full() {
			return State{}, ErrFull
		}
		r = &record{fingerprint: t.Fingerprint}
		m.records[t.ID] = r
	case r.fingerprint != t.Fingerprint:
		return State{Status: Mismatch}, nil
	case r.reply != nil:
		return State{Status: Done, Reply: bytes.Clone(r.reply)}, nil
	case r.owner != t.Owner && now.Before(r.lease):
		return State{Status: Running}, nil
	}
	r.owner = t.Owner
	r.extend(t, now)
	return State{Status: Claimed}, nil
}

func (r *record) extend(t Ticket, now time.Time) {
	r.lease = now.Add(t.Lease)
	r.expires = r.lease.Add(t.Keep)
}

// Extend implements [Store].
func (m *Memory) Extend(_ context.Context, t Ticket) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	r := m.find(t.ID, now)
	if r == nil || r.owner != t.Owner || r.reply != nil {
		return ErrSuperseded
	}
	r.extend(t, now)
	return nil
}

// Finish implements [Store].
func (m *Memory) Finish(_ context.Context, t Ticket, reply []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	r := m.find(t.ID, now)
	mine := r != nil && r.owner == t.Owner
	switch {
	case reply == nil:
		if mine && r.reply == nil {
			m.remove(t.ID, r)
		}
		return nil
	case !mine:
		return ErrSuperseded
	}
	m.bytes += len(reply) - len(r.reply)
	r.reply = slices.Clone(reply)
	r.expires = now.Add(t.Keep)
	return nil
}

func (m *Memory) full() bool {
	return len(m.records) >= m.cfg.Records || m.bytes >= m.cfg.Bytes
}

// makeRoom sweeps, at most once a second. The mutex is held.
func (m *Memory) makeRoom(now time.Time) {
	if now.Sub(m.swept) >= time.Second {
		m.sweep(now)
	}
}

func (m *Memory) sweep(now time.Time) {
	for id, r := range m.records {
		if !now.Before(r.expires) {
			m.remove(id, r)
		}
	}
	m.swept = now
}

// Sweep implements [Sweeper]; one batch is all.
func (m *Memory) Sweep(context.Context) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweep(time.Now())
	return false, nil
}

// Len returns how many records there are, expired ones included.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.records)
}
