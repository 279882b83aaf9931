package idempotency

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
)

// Store keeps what is known of each key. Its methods are atomic, for all
// processes that share it, and safe for concurrent use. They obey their
// contexts. Package idempotencytest is the suite that a store has to pass.
//
// A record is running or done. It expires Keep after it was done; one that is
// running, Lease and Keep after it was claimed or extended. An expired record is
// as good as none, whether it was removed or not.
type Store interface {
	// Claim makes the record of t.ID running for t.Owner where there is none,
	// and where one is running for this owner, or for one whose lease has
	// ended, with the same fingerprint. Otherwise it changes nothing and says
	// how the record stands: Mismatch with another fingerprint, else Done
	// with the reply, or Running.
	Claim(ctx context.Context, t Ticket) (State, error)
	// Extend begins a new lease of a record that is running for t.Owner;
	// otherwise it returns ErrSuperseded.
	Extend(ctx context.Context, t Ticket) error
	// Finish stores the reply, which is not empty, in a record that is
	// t.Owner's, whether its lease has ended or not, and makes it done; doing
	// it twice is harmless. Where the record is another owner's or gone it
	// returns ErrSuperseded. With a nil reply it removes the record if it is
	// still running for t.Owner, and otherwise does nothing.
	Finish(ctx context.Context, t Ticket, reply []byte) error
}

// ErrSuperseded says that a record is no longer that of the owner. Drivers
// return it; a [Keeper] makes it ErrConflict.
var ErrSuperseded = errors.New("superseded")

// Joiner is a store that can store a reply in the transaction in which a method
// writes.
type Joiner interface {
	Store
	// Join begins the transaction. It obeys ctx; the transaction does not end
	// with it.
	Join(ctx context.Context, t Ticket) (Work, error)
}

// Work is what a method does in the transaction of its store. It is ended by
// Complete or Abandon, once.
type Work interface {
	// Complete stores the reply as [Store.Finish] does and commits, or rolls
	// back and returns why. ErrEnded means that the method ended the
	// transaction.
	Complete(ctx context.Context, t Ticket, reply []byte) error
	// Abandon rolls back.
	Abandon() error
	// Extend is [Store.Extend], where the transaction does not keep others
	// from claiming the record by itself.
	Extend(ctx context.Context, t Ticket) error
}

// Sweeper is a store whose expired records have to be removed.
type Sweeper interface {
	// Sweep removes a small batch and reports whether there may be more.
	Sweep(ctx context.Context) (more bool, err error)
}

// Ticket is a claim to a record.
type Ticket struct {
	ID          RecordID
	Owner       Owner
	Fingerprint [32]byte
	// Lease and Keep are as in [Config] and [Call]; drivers may round them to
	// milliseconds.
	Lease, Keep time.Duration
}

// RecordID names the record of a principal, a method and a key: it is the
// SHA-256 of all of them, and tells none of them to somebody who does not know
// the key.
type RecordID [32]byte

// String returns 43 characters of base64url.
func (id RecordID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// Owner is the random name of one claim, which no other claim has.
type Owner [16]byte

// String returns 22 characters of base64url.
func (o Owner) String() string { return base64.RawURLEncoding.EncodeToString(o[:]) }

// State is how a record stands.
type State struct {
	Status Status
	Reply  []byte // of one that is done; the caller's
}

// Status is what became of an attempt to claim a record.
type Status int

// The statuses. The zero value is none.
const (
	Claimed Status = iota + 1
	Running
	Done
	Mismatch
)

// ticket returns the claim to a call's record. What is stored of the fingerprint
// is bound to the key, so that a reader of the store cannot try payloads.
func (c *Call) ticket() Ticket {
	t := Ticket{Keep: c.Keep}
	var b []byte
	for _, part := range append([]string{"aguada idempotency 1", c.Issuer, c.Subject, c.Method, c.Key}, c.With...) {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	t.ID = sha256.Sum256(b)
	t.Fingerprint = sha256.Sum256(append(b, c.Fingerprint[:]...))
	return t
}
