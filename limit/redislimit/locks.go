package redislimit

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/aguada-dev/aguada/limit"
)

// How locks are shared. Each replica tells and asks once a second, so that two
// seconds after a lock was made all know it.
const (
	exchangeEvery = time.Second
	exchangeMore  = 250 * time.Millisecond // while there is more to read
	lockBatch     = 128                    // told at once: 2 ms of Redis
	lockPage      = 256                    // read at once
	lockKept      = 15 * time.Minute       // after its end, for the next to be the longer
	lockSlack     = time.Second            // by which the end of a lock may differ and be the same
)

// MaxLocks is how many locks Redis keeps for the replicas that start later; those
// that end first make room. They take 5 MiB there at most.
const MaxLocks = 1 << 14

// sharing is what the driver knows of the locks.
type sharing struct {
	begun   atomic.Bool
	table   chan limit.Locks // to the goroutine that shares it, once
	failure atomic.Pointer[error]
	done    chan struct{} // closed by that goroutine
}

func newSharing() sharing {
	return sharing{table: make(chan limit.Locks, 1), done: make(chan struct{})}
}

func (s *sharing) err() error {
	if p := s.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// ShareLocks is the method of [limit.LockSharer]: a lock that one replica makes
// holds on the others within two seconds, and on replicas that start later, too.
// In the background each replica asks Redis once a second, in one round trip, for
// the locks that it has not read; no call asks for any. While Redis is away each
// replica goes by the locks that it knows and makes. When Redis is back, also
// without its data, all are told again.
//
// Of the locks that a replica makes, it tells 128 in a second, those of the
// highest level first, and it reads 1,024. Redis keeps MaxLocks, each for 15
// minutes after its end. Times are taken as what is left of them, by the clock of
// Redis; if that is set back, Redis is told again too.
func (d *Driver) ShareLocks(l limit.Locks) error {
	switch {
	case d == nil:
		return fmt.Errorf("share locks: %w", errNil)
	case l == nil:
		return errors.New("share locks: there is no table")
	case !d.locks.begun.CompareAndSwap(false, true):
		return errors.New("share locks: the driver shares a table already")
	}
	d.locks.table <- l
	return nil
}

// share shares the locks, until ctx ends: then it tells of the last ones.
func (d *Driver) share(ctx context.Context) {
	defer close(d.locks.done)
	var x *exchange
	select {
	case <-ctx.Done():
		return
	case l := <-d.locks.table:
		var err error
		if x, err = newExchange(d, l); err != nil {
			d.locks.failure.Store(&err)
			return
		}
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for running := true; running; {
		select {
		case <-ctx.Done():
			running = false
		case <-timer.C:
		}
		wait := exchangeEvery
		if d.circuit.closed() {
			more, err := x.once(context.WithoutCancel(ctx))
			if err != nil {
				d.locks.failure.Store(&err)
			} else {
				d.locks.failure.Store(nil)
			}
			if more {
				wait = exchangeMore
			}
		}
		timer.Reset(wait)
	}
}

// exchange is where a replica stands. One goroutine uses it.
type exchange struct {
	d      *Driver
	table  limit.Locks
	block  cipher.Block
	keys   []string
	epoch  string // in which what was told is known; "" before the first
	cursor int64  // the last change that was read
}

func newExchange(d *Driver, l limit.Locks) (*exchange, error) {
	key, err := hkdf.Key(sha256.New, d.secret[:], nil, "locks of "+d.cfg.Prefix, 32)
	if err != nil {
		return nil, fmt.Errorf("share locks: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("share locks: %w", err)
	}
	tag := d.tag + "locks"
	return &exchange{d: d, table: l, block: block, keys: []string{tag, tag + ":news", tag + ":state"}}, nil
}

// once tells of what is due and reads what is new, and reports whether there is
// more to read.
func (x *exchange) once(ctx context.Context) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, x.d.cfg.Deadline)
	defer cancel()
	args := []any{x.epoch, x.cursor, rand.Text(), lockPage, MaxLocks, lockKept.Milliseconds(), lockSlack.Milliseconds()}
	x.table.Due(lockBatch, func(client netip.Prefix, level int, left time.Duration) {
		if member, ok := x.seal(client); ok && level > 0 {
			args = append(args, member, min(level, maxLevel), milliseconds(left))
		}
	})
	reply, err := share.Run(ctx, x.d.client, x.keys, args...).Slice()
	if err == nil {
		more, err = x.read(reply)
	}
	if err != nil {
		x.table.Restate() // nobody knows what became of them
		return false, fmt.Errorf("share locks: %w", err)
	}
	return more, nil
}

// read takes over the locks of a reply.
func (x *exchange) read(reply []any) (more bool, err error) {
	unknown := errors.New("the script returned something else")
	if len(reply) < 2 || len(reply)%3 != 2 {
		return false, unknown
	}
	epoch, ok1 := reply[0].(string)
	cursor, ok2 := reply[1].(int64)
	if !ok1 || !ok2 {
		return false, unknown
	}
	for i := 2; i < len(reply); i += 3 {
		member, ok1 := reply[i].(string)
		level, ok2 := reply[i+1].(int64)
		left, ok3 := reply[i+2].(int64)
		if !ok1 || !ok2 || !ok3 {
			return false, unknown
		}
		if client, ok := x.unseal(member); ok && level >= 1 && level <= maxLevel {
			x.table.Learn(client, int(level), time.Duration(min(max(left, -longest), longest))*time.Millisecond)
		}
	}
	if x.epoch != "" && x.epoch != epoch {
		x.table.Restate()
	}
	x.epoch, x.cursor = epoch, cursor
	return len(reply) >= 2+3*lockPage, nil
}

// maxLevel is the highest level that the script keeps.
const maxLevel = 63

// longest is how many milliseconds the script counts: 50 years.
const longest = 50 * 365 * 24 * 60 * 60 * 1000

func milliseconds(d time.Duration) int64 { return min(max(d.Milliseconds(), -longest), longest) }

// A client is one block of AES: the version of the address, what tells networks
// apart, and zeros, by which a block is known to be made with the secret. That
// is deterministic: a client is one member of the set.
const clientBytes = 9

func (x *exchange) seal(client netip.Prefix) (member string, ok bool) {
	var b [aes.BlockSize]byte
	addr := client.Addr()
	switch {
	case addr.Is4() && client.Bits() == 32:
		a := addr.As4()
		b[0] = 4
		copy(b[1:], a[:])
	case addr.Is6() && !addr.Is4In6() && client.Bits() == 64 && client == client.Masked():
		a := addr.As16()
		b[0] = 6
		copy(b[1:clientBytes], a[:8])
	default:
		return "", false
	}
	x.block.Encrypt(b[:], b[:])
	return string(b[:]), true
}

// unseal refuses what seal did not make with the same secret and prefix, but for
// one in 2^56.
func (x *exchange) unseal(member string) (client netip.Prefix, ok bool) {
	if len(member) != aes.BlockSize {
		return netip.Prefix{}, false
	}
	b := []byte(member)
	x.block.Decrypt(b, b)
	network, rest := binary.BigEndian.Uint64(b[1:clientBytes]), b[clientBytes:]
	if [aes.BlockSize - clientBytes]byte(rest) != [aes.BlockSize - clientBytes]byte{} {
		return netip.Prefix{}, false
	}
	switch {
	case b[0] == 4 && uint32(network) == 0:
		return netip.PrefixFrom(netip.AddrFrom4([4]byte(b[1:5])), 32), true
	case b[0] == 6:
		var a [16]byte
		copy(a[:], b[1:clientBytes])
		return netip.PrefixFrom(netip.AddrFrom16(a), 64), true
	}
	return netip.Prefix{}, false
}
