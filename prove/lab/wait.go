package lab

import (
	"context"
	"errors"
	"time"
)

// Pause waits; false where ctx ends before.
func Pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Until sends a request again and again until an answer is wanted or ctx ends, and
// returns the last answer. One that ctx cut short is none.
func (c *Client) Until(ctx context.Context, r Request, want func(*Answer) bool) (*Answer, bool) {
	last := &Answer{Err: errors.New("no answer in time")}
	for {
		if a := c.Do(ctx, r); ctx.Err() == nil {
			if last = a; want(a) {
				return a, true
			}
		}
		if !Pause(ctx, 100*time.Millisecond) {
			return last, false
		}
	}
}
