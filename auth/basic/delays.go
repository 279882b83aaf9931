package basic

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aguada-dev/aguada/auth"
)

// How much failures hold up the next call for the same account.
const (
	firstDelay = 100 * time.Millisecond
	mostDelay  = 2 * time.Second
	mostLevel  = 6                // failures until mostDelay
	forget     = 10 * time.Second // for each failure
)

var errDelayed = &auth.Error{Reason: auth.Unavailable, Err: errors.New("too many calls wait because of wrong passwords")}

// cells is the number of cells in each row of the table.
const cells = 1 << 13

// delays slows down calls for accounts whose password was wrong. It is a sketch
// of fixed size: an account has one cell in each of two rows, chosen by its keyed
// digest, and what the lower one says counts. So nobody is freed by failures of
// others, and who shares one cell with a guessed account by chance is not held
// up. It takes 160 KiB.
type delays struct {
	most int
	// rows say when all failures will be forgotten; how far that is away
	// tells how many there are.
	rows [2][cells]atomic.Int64

	mu    sync.Mutex
	calls int // that are held up
	// places counts them by credential.
	places map[[sha256.Size]byte]int
	// held counts the places by the cell of the account in the first row.
	held [cells]int32
}

func (d *delays) init(most int) { d.most, d.places = most, make(map[[sha256.Size]byte]int) }

func first(account [sha256.Size]byte) uint32 {
	return binary.BigEndian.Uint32(account[16:]) % cells
}

func (d *delays) cells(account [sha256.Size]byte) (a, b *atomic.Int64) {
	j := binary.BigEndian.Uint32(account[20:]) % cells
	return &d.rows[0][first(account)], &d.rows[1][j]
}

// delay returns for how long a call is held up.
func (d *delays) delay(account [sha256.Size]byte, now time.Duration) time.Duration {
	a, b := d.cells(account)
	ahead := time.Duration(min(a.Load(), b.Load())) - now
	if ahead <= 0 {
		return 0
	}
	return min(firstDelay<<(min((ahead+forget-1)/forget, mostLevel)-1), mostDelay)
}

// wait holds a call up.
func (d *delays) wait(ctx context.Context, key, account [sha256.Size]byte, now time.Duration) error {
	delay := d.delay(account, now)
	if delay == 0 {
		return nil
	}
	if err := d.enter(key, first(account)); err != nil {
		return err
	}
	defer d.leave(key, first(account))
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return &auth.Error{Reason: auth.Unavailable, Err: ctx.Err()}
	case <-timer.C:
		return nil
	}
}

// enter takes a place, or shares that of the calls with the same credential. Who
// shares one is refused where a wrong guess would be: else full places would
// tell, without a hash, whether the guess is what somebody else logs in with.
func (d *delays) enter(key [sha256.Size]byte, cell uint32) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.calls >= crowd || len(d.places) >= d.most || int(d.held[cell]) >= max(d.most/8, 1) {
		return errDelayed
	}
	d.calls++
	d.places[key]++
	if d.places[key] == 1 {
		d.held[cell]++
	}
	return nil
}

func (d *delays) leave(key [sha256.Size]byte, cell uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls--
	d.places[key]--
	if d.places[key] == 0 {
		delete(d.places, key)
		d.held[cell]--
	}
}

// failed counts a failure.
func (d *delays) failed(account [sha256.Size]byte, now time.Duration) {
	a, b := d.cells(account)
	for _, cell := range [2]*atomic.Int64{a, b} {
		for {
			old := cell.Load()
			next := int64(min(max(time.Duration(old), now)+forget, now+mostLevel*forget))
			if cell.CompareAndSwap(old, next) {
				break
			}
		}
	}
}

// succeeded forgets the failures of an account.
func (d *delays) succeeded(account [sha256.Size]byte) {
	a, b := d.cells(account)
	a.Store(0)
	b.Store(0)
}
