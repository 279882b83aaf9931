package apikey

import (
	"context"
	"errors"
	"time"
)

// Errors of stores.
var (
	// ErrNotFound says that no record has the id.
	ErrNotFound = errors.New("no such API key")
	// ErrExists says that a record has the id already.
	ErrExists = errors.New("there is an API key with this id already")
)

// Store is what a [Verifier] asks of where the keys are. A team's own store
// implements it; those of this package and of package sqlkeys do, and pass the
// suite of package apikeytest. It is safe for concurrent use.
type Store interface {
	// Lookup returns the record with the id, or an error that is ErrNotFound.
	// Any other error means that the store could not say. What it returns must
	// include every change that was made before the call began: do not ask a
	// replica that lags behind.
	Lookup(ctx context.Context, id string) (Record, error)
	// Used notes when keys were last accepted, at most [MaxUses] at once. It
	// never sets a record back, and ignores ids that it does not have. A store
	// that does not keep last uses returns nil.
	Used(ctx context.Context, uses []Use) error
}

// MaxUses is how many uses a [Verifier] hands to a [Store] at once.
const MaxUses = 500

// Use says when a key was last accepted.
type Use struct {
	ID string
	At time.Time
}

// Ledger is what a [Registry] asks of where the keys are. It is safe for
// concurrent use, by other processes too.
type Ledger interface {
	// Insert adds a record, or returns an error that is ErrExists.
	Insert(ctx context.Context, r Record) error
	// Update changes the record with the id: the function may set RevokedAt,
	// RetiresAt and ReplacedBy of what it is given, and return a record to be
	// added. Both are stored, or neither. No other change comes in between; the
	// function may be called again if one did. If it fails, nothing is changed
	// and its error is returned. An id that is not there is ErrNotFound.
	Update(ctx context.Context, id string, change func(r *Record) (add *Record, err error)) error
	// List returns the records that fit the filter, in the order of CreatedAt,
	// then of ID.
	List(ctx context.Context, f Filter) ([]Record, error)
}

// Filter says which records are meant: those that have all that is not empty.
type Filter struct {
	ID    string
	Owner string
}

// fits reports whether the record is meant.
func (f Filter) fits(r *Record) bool {
	return (f.ID == "" || f.ID == r.ID) && (f.Owner == "" || f.Owner == r.Owner)
}
