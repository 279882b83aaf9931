package apikey

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// Memory is a [Store] and a [Ledger] that ends with the process, for tests and
// examples. Its zero value is empty and ready for use; it is safe for
// concurrent use.
type Memory struct {
	mu      sync.Mutex
	records map[string]Record
}

var (
	_ Store  = (*Memory)(nil)
	_ Ledger = (*Memory)(nil)
)

// Lookup implements [Store].
func (m *Memory) Lookup(_ context.Context, id string) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.records[id]
	if !ok {
		return Record{}, ErrNotFound
	}
	return r.clone(), nil
}

// Used implements [Store].
func (m *Memory) Used(_ context.Context, uses []Use) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, u := range uses {
		if r, ok := m.records[u.ID]; ok && r.LastUsedAt.Before(u.At) {
			r.LastUsedAt = stamp(u.At)
			m.records[u.ID] = r
		}
	}
	return nil
}

// Insert implements [Ledger].
func (m *Memory) Insert(_ context.Context, r Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.insert(r)
}

func (m *Memory) insert(r Record) error {
	if err := r.Check(); err != nil {
		return err
	}
	if _, ok := m.records[r.ID]; ok {
		return ErrExists
	}
	if m.records == nil {
		m.records = map[string]Record{}
	}
	m.records[r.ID] = normal(r)
	return nil
}

// Update implements [Ledger].
func (m *Memory) Update(_ context.Context, id string, change func(*Record) (*Record, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, ok := m.records[id]
	if !ok {
		return ErrNotFound
	}
	changed := old.clone()
	add, err := change(&changed)
	if err != nil {
		return err
	}
	merged := merge(old, changed)
	if err := merged.Check(); err != nil {
		return err
	}
	if add != nil {
		if err := m.insert(*add); err != nil {
			return err
		}
	}
	m.records[id] = merged
	return nil
}

// List implements [Ledger].
func (m *Memory) List(_ context.Context, f Filter) ([]Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []Record
	for _, r := range m.records {
		if f.fits(&r) {
			found = append(found, r.clone())
		}
	}
	SortRecords(found)
	return found, nil
}

// SortRecords puts records in the order in which a [Ledger] lists them: that of
// CreatedAt, then of ID.
func SortRecords(records []Record) {
	slices.SortFunc(records, func(a, b Record) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
}

// merge returns the record with those changes that an Update may make.
func merge(old, changed Record) Record {
	old.RevokedAt, old.RetiresAt, old.ReplacedBy = stamp(changed.RevokedAt), stamp(changed.RetiresAt), changed.ReplacedBy
	return old
}

// normal returns the record as stores keep it.
func normal(r Record) Record {
	r = r.clone()
	for _, t := range []*time.Time{&r.CreatedAt, &r.ExpiresAt, &r.RevokedAt, &r.RetiresAt, &r.LastUsedAt} {
		*t = stamp(*t)
	}
	return r
}
