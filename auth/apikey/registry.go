package apikey

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Registry makes, rotates and revokes keys. It is safe for concurrent use. Make
// one with [NewRegistry].
type Registry struct {
	ledger Ledger
	pepper func() string
}

// NewRegistry returns the registry of a ledger. The pepper, which is called for
// every key that is made, is the current one of the verifiers; nil for a
// registry that only revokes.
func NewRegistry(l Ledger, pepper func() string) *Registry {
	if pepper == nil {
		pepper = func() string { return "" }
	}
	return &Registry{ledger: l, pepper: pepper}
}

// Create makes a key and stores its record. The key is shown to its owner, once:
// nobody can find it out again.
func (g *Registry) Create(ctx context.Context, q Request) (key string, r Record, err error) {
	if !q.ExpiresAt.IsZero() && !q.ExpiresAt.After(time.Now()) {
		return "", Record{}, errors.New("make API key: it would have expired already")
	}
	key, r, err = Mint(g.pepper(), q)
	if err != nil {
		return "", Record{}, err
	}
	if err := g.ledger.Insert(ctx, r); err != nil {
		return "", Record{}, fmt.Errorf("store API key: %w", err)
	}
	return key, r, nil
}

// Rotation says how a key is replaced.
type Rotation struct {
	// Grace is how long the old key is still accepted. Zero means not at all.
	Grace time.Duration
	// ExpiresAt is when the new key ends. Zero means after as long a life as
	// the old one was given, and never if the old one was never to end.
	ExpiresAt time.Time
}

// Rotate makes a key with the owner, scopes and label of the one with the id,
// which ends when the grace period does. Both are stored at once, so that there
// is no moment at which neither is accepted. A key can be rotated once, and
// only while it is active.
func (g *Registry) Rotate(ctx context.Context, id string, how Rotation) (key string, next, old Record, err error) {
	if how.Grace < 0 {
		return "", Record{}, Record{}, errors.New("rotate API key: the grace period is negative")
	}
	err = g.ledger.Update(ctx, id, func(r *Record) (*Record, error) {
		now := time.Now()
		if err := rotatable(r, now); err != nil {
			return nil, err
		}
		q := Request{Owner: r.Owner, Scopes: r.Scopes, Label: r.Label, ExpiresAt: how.ExpiresAt}
		if q.ExpiresAt.IsZero() && !r.ExpiresAt.IsZero() {
			if r.CreatedAt.IsZero() {
				return nil, errors.New("nobody noted when it was made: say when the new one expires")
			}
			q.ExpiresAt = now.Add(r.ExpiresAt.Sub(r.CreatedAt))
		}
		if !q.ExpiresAt.IsZero() && !q.ExpiresAt.After(now) {
			return nil, errors.New("the new one would have expired already")
		}
		var err error
		if key, next, err = Mint(g.pepper(), q); err != nil {
			return nil, err
		}
		next.Replaces = r.ID
		r.ReplacedBy, r.RetiresAt = next.ID, stamp(now.Add(how.Grace))
		old = r.clone()
		return &next, nil
	})
	if err != nil {
		return "", Record{}, Record{}, fmt.Errorf("rotate API key: %w", err)
	}
	return key, next, old, nil
}

func rotatable(r *Record, now time.Time) error {
	switch state := r.State(now); {
	case r.ReplacedBy != "":
		return fmt.Errorf("it was replaced by %s already: rotate that one", r.ReplacedBy)
	case state != Active:
		return fmt.Errorf("it is %s: make a new one", state)
	}
	return nil
}

// Revoke ends a key at once. It returns the record as it is then; a key that is
// revoked already stays as it is, and that is no error.
func (g *Registry) Revoke(ctx context.Context, id string) (Record, error) {
	var revoked Record
	err := g.ledger.Update(ctx, id, func(r *Record) (*Record, error) {
		if r.RevokedAt.IsZero() {
			r.RevokedAt = stamp(time.Now())
		}
		revoked = r.clone()
		return nil, nil
	})
	if err != nil {
		return Record{}, fmt.Errorf("revoke API key: %w", err)
	}
	return revoked, nil
}

// Find returns the record with the id, or an error that is ErrNotFound.
func (g *Registry) Find(ctx context.Context, id string) (Record, error) {
	if id == "" { // which would be no filter
		return Record{}, fmt.Errorf("find API key: %w", ErrNotFound)
	}
	found, err := g.ledger.List(ctx, Filter{ID: id})
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Record{}, fmt.Errorf("find API key: %w", err)
	}
	return found[0], nil
}

// List returns the records that fit the filter, the oldest first.
func (g *Registry) List(ctx context.Context, f Filter) ([]Record, error) {
	found, err := g.ledger.List(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("list API keys: %w", err)
	}
	return found, nil
}
