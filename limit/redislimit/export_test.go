package redislimit

import (
	"context"
	"net/netip"

	"github.com/aguada-dev/aguada/limit"
)

// LockBatch is how many locks are told at once.
const LockBatch = lockBatch

// Exchange is the exchange of a table's locks, at the test's pace.
type Exchange struct{ x *exchange }

// NewExchange returns one of the driver's own, beside what it does by itself.
func NewExchange(d *Driver, l limit.Locks) (*Exchange, error) {
	x, err := newExchange(d, l)
	return &Exchange{x}, err
}

// Once tells and reads once.
func (e *Exchange) Once(ctx context.Context) (more bool, err error) { return e.x.once(ctx) }

// Read takes over a reply.
func (e *Exchange) Read(reply []any) (more bool, err error) { return e.x.read(reply) }

// Seal and Unseal are what Redis holds of a client.
func (e *Exchange) Seal(p netip.Prefix) (string, bool) { return e.x.seal(p) }

func (e *Exchange) Unseal(s string) (netip.Prefix, bool) { return e.x.unseal(s) }
