// Package load sends requests over loopback connections and measures how long
// the answers take.
//
//	c, err := load.Dial(addr, requests, 16)
//	…
//	n, err := c.Saturate(time.Second)              // as fast as answers come
//	late, err := c.Pace(2000, 2*time.Second)       // at a fixed rate
//
// Every connection is kept alive. Any answer other than the expected one is an
// error: what fails fast would look fast.
package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// Request is one request as it goes over the wire, and the status that answers
// it.
type Request struct {
	Wire   []byte
	Status int
}

// Client is a set of connections to one server. It is used by one goroutine.
type Client struct {
	conns []*conn
}

type conn struct {
	net.Conn
	r        *bufio.Reader
	requests []Request
	next     int
}

// patience is how long an answer may take before the run fails.
const patience = 10 * time.Second

// Dial opens n connections to addr. They send the requests in turn, each
// connection beginning with another one.
func Dial(ctx context.Context, addr string, requests []Request, n int) (*Client, error) {
	c := &Client{}
	for i := range n {
		nc, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("connect: %w", err), c.Close())
		}
		c.conns = append(c.conns, &conn{Conn: nc, r: bufio.NewReader(nc), requests: requests, next: i % len(requests)})
	}
	return c, nil
}

// Close closes the connections.
func (c *Client) Close() error {
	var errs []error
	for _, nc := range c.conns {
		errs = append(errs, nc.Close())
	}
	return errors.Join(errs...)
}

// send sends one request and reads its answer.
func (c *conn) send() error {
	q := &c.requests[c.next]
	if c.next++; c.next == len(c.requests) {
		c.next = 0
	}
	if _, err := c.Write(q.Wire); err != nil {
		return fmt.Errorf("send request: %w", err)
	}
	status, err := answer(c.r)
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if status != q.Status {
		return fmt.Errorf("the answer is %d, not %d", status, q.Status)
	}
	return nil
}

// each runs f on every connection at once.
func (c *Client) each(d time.Duration, f func(i int, c *conn) error) error {
	errs := make([]error, len(c.conns))
	var wg sync.WaitGroup
	for i, nc := range c.conns {
		if err := nc.SetDeadline(time.Now().Add(d + patience)); err != nil {
			return fmt.Errorf("limit connection: %w", err)
		}
		wg.Go(func() { errs[i] = f(i, nc) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Saturate sends on every connection as soon as the answer before is there,
// and returns how many requests were answered.
func (c *Client) Saturate(d time.Duration) (int, error) {
	counts := make([]int, len(c.conns))
	end := time.Now().Add(d)
	err := c.each(d, func(i int, c *conn) error {
		for time.Now().Before(end) {
			if err := c.send(); err != nil {
				return err
			}
			counts[i]++
		}
		return nil
	})
	n := 0
	for _, k := range counts {
		n += k
	}
	return n, err
}

// Pace sends rate requests a second for d, evenly over time and connections,
// whatever the answers take, and returns the sorted latencies.
//
// The latency of a request that had to wait for the answer before it counts
// from when it was due, so that a server that stalls cannot hide it. One that
// was sent late because this process woke up late counts from then: that is
// not the server's doing.
func (c *Client) Pace(rate int, d time.Duration) ([]time.Duration, error) {
	each := time.Second * time.Duration(len(c.conns)) / time.Duration(rate)
	all := make([][]time.Duration, len(c.conns))
	start := time.Now()
	err := c.each(d, func(i int, nc *conn) error {
		due := start.Add(each * time.Duration(i) / time.Duration(len(c.conns)))
		for ; due.Sub(start) < d; due = due.Add(each) {
			from := due
			if wait := time.Until(due); wait > 0 {
				time.Sleep(wait)
				from = time.Now()
			}
			if err := nc.send(); err != nil {
				return err
			}
			all[i] = append(all[i], time.Since(from))
		}
		return nil
	})
	latencies := slices.Concat(all...)
	slices.Sort(latencies)
	return latencies, err
}

// Quantile returns the q-quantile of sorted values, 0 if there are none.
func Quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
