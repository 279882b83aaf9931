package redislimit

import (
	"context"
	"crypto/rand"
	"sync/atomic"
	"time"
)

// Times of the goroutine that watches Redis.
const (
	heartbeat  = 2 * time.Second       // between announcements of a replica
	replicaTTL = 10 * time.Second      // a silent replica is gone
	firstProbe = 50 * time.Millisecond // after Redis went away; doubled up to
	lastProbe  = time.Second
)

// circuit knows whether Redis is asked. It opens with the first failure, whose call is
// the only one to wait for it, with those that were on their way; only the
// watching goroutine closes it.
type circuit struct {
	failure atomic.Pointer[error] // nil: closed
	wake    chan struct{}         // the watching goroutine, once
}

func (c *circuit) closed() bool { return c.failure.Load() == nil }

func (c *circuit) err() error {
	if p := c.failure.Load(); p != nil {
		return *p
	}
	return nil
}

func (c *circuit) open(err error) {
	if c.failure.CompareAndSwap(nil, &err) {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}

func newID() string { return rand.Text() }

// watch announces this replica and counts the others, until ctx ends. While the
// circuit is open, that is the probe which closes it.
func (d *Driver) watch(ctx context.Context) {
	defer close(d.done)
	var known bool // that Redis is away, and Changed was told
	wait := time.Duration(0)
	back := time.Now().Add(-replicaTTL) // when Redis came back
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-d.circuit.wake:
			if err := d.circuit.err(); err != nil && !known {
				known, wait = true, firstProbe
				d.changed(err)
				timer.Reset(wait)
			}
			continue
		}
		n, err := d.announce(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			d.circuit.open(err)
			if !known {
				known, wait = true, firstProbe
				d.changed(err)
			} else {
				wait = min(wait*2, lastProbe)
			}
		default:
			if known {
				back, known = time.Now(), false
				d.circuit.failure.Store(nil)
				d.changed(nil)
			}
			// After an outage the others need time to announce themselves again.
			if n >= d.replicas.Load() || time.Since(back) > replicaTTL {
				d.replicas.Store(n)
			}
			wait = heartbeat
		}
		timer.Reset(wait)
	}
}

func (d *Driver) changed(err error) {
	if d.cfg.Changed != nil {
		d.cfg.Changed(err)
	}
}

func (d *Driver) announce(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Deadline)
	defer cancel()
	return announce.Run(ctx, d.client, []string{d.tag + "replicas"}, d.id, replicaTTL.Milliseconds()).Int64()
}
