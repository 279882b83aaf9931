//go:build linux

package traffic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	orderspb "github.com/aguada-dev/aguada/examples/orders/gen/grpc/orders/pb"
)

// errRefused is the error of a call that found the port closed: nobody accepted
// it, and a balancer sends it elsewhere.
var errRefused = errors.New("the port is closed")

// caller makes one call after another at a pace. Each has a connection.
type caller struct {
	call   func(context.Context) error
	places bool // orders
}

// calls are those of many callers.
type calls struct {
	t                *testing.T
	ready            atomic.Bool // what the probe says
	sent, answered   atomic.Int64
	placed, refused  atomic.Int64
	diverted, lost   atomic.Int64 // diverted: callers that the probe sent away
	first            atomic.Pointer[error]
	slowest          atomic.Int64
	callers, probing sync.WaitGroup
}

// load begins n callers that make rate calls a second together. Every other one
// stops when the probe of readiness fails, as behind a balancer; the others go
// on until the port is closed, and rely on "Connection: close" and GOAWAY.
func (c *calls) load(callers []caller, rate int) {
	c.ready.Store(true)
	pace := time.Duration(len(callers)) * time.Second / time.Duration(rate)
	for i, who := range callers {
		c.callers.Go(func() { c.repeat(who, pace, i%2 == 0) })
	}
}

func (c *calls) repeat(who caller, pace time.Duration, attentive bool) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for ; ; <-tick.C {
		if attentive && !c.ready.Load() {
			c.diverted.Add(1)
			return
		}
		ctx, cancel := context.WithTimeout(c.t.Context(), patience)
		begun := time.Now()
		err := who.call(ctx)
		cancel()
		c.sent.Add(1)
		switch {
		case errors.Is(err, errRefused):
			c.refused.Add(1)
			return
		case err != nil:
			c.lost.Add(1)
			c.first.CompareAndSwap(nil, &err)
			return
		}
		c.answered.Add(1)
		if who.places {
			c.placed.Add(1)
		}
		for took := int64(time.Since(begun)); ; {
			if old := c.slowest.Load(); took <= old || c.slowest.CompareAndSwap(old, took) {
				break
			}
		}
	}
}

// probe asks for readiness, as a balancer does, until the answer is no.
func (c *calls) probe(p *process) {
	client := &http.Client{Transport: &http.Transport{}, Timeout: patience}
	c.probing.Go(func() {
		defer client.CloseIdleConnections()
		for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
			res, err := client.Get("http://" + p.http + "/readyz")
			if err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
			if err != nil || res.StatusCode != http.StatusOK {
				c.ready.Store(false)
				return
			}
		}
	})
}

// overHTTP returns callers that place orders and list them by turns.
func overHTTP(p *process, n int, token string) []caller {
	all := make([]caller, n)
	for i := range all {
		client := &http.Client{Transport: &http.Transport{}, Timeout: patience}
		p.t.Cleanup(client.CloseIdleConnections)
		verb, path, body, want := http.MethodGet, "/orders?limit=2", "", http.StatusOK
		if i/2%2 == 0 {
			verb, path, want = http.MethodPost, "/orders", http.StatusCreated
			body = `{"customer_id":"c1","currency":"EUR","items":[{"sku":"TEA","quantity":1,"unit_price_cents":5}]}`
		}
		all[i] = caller{places: body != "", call: func(ctx context.Context) error {
			// A body without GetBody: net/http must not repeat it in secret.
			req, err := http.NewRequestWithContext(ctx, verb, "http://"+p.http+path, struct{ io.Reader }{strings.NewReader(body)})
			if err != nil {
				return err
			}
			req.ContentLength = int64(len(body))
			if body == "" {
				req.Body = nil
			}
			req.Header.Set("Authorization", token)
			req.Header.Set("Content-Type", "application/json")
			res, err := client.Do(req)
			if dial := (*net.OpError)(nil); errors.As(err, &dial) && dial.Op == "dial" && errors.Is(err, syscall.ECONNREFUSED) {
				return errRefused
			}
			if err != nil {
				return err
			}
			defer func() { _ = res.Body.Close() }()
			text, err := io.ReadAll(res.Body)
			if err == nil && res.StatusCode != want {
				err = fmt.Errorf("%s %s: %s %s", verb, path, res.Status, text)
			}
			return err
		}}
	}
	return all
}

// overRPCs returns callers that place orders and list them by turns.
func overRPCs(p *process, n int, token string, options ...grpc.DialOption) []caller {
	all, limit := make([]caller, n), int32(2)
	for i := range all {
		client, places := orderspb.NewOrdersClient(dial(p.t, p.grpc, options...)), i/2%2 == 0
		all[i] = caller{places: places, call: func(ctx context.Context) (err error) {
			if ctx = as(ctx, token); places {
				_, err = client.Create(ctx, &orderspb.CreateRequest{
					CustomerId: "c1", Currency: "EUR", Items: []*orderspb.OrderItem{{Sku: "TEA", Quantity: 1, UnitPriceCents: 5}},
				})
			} else {
				_, err = client.List(ctx, &orderspb.ListRequest{Limit: &limit})
			}
			if status.Code(err) == codes.Unavailable && strings.Contains(err.Error(), "connect: connection refused") {
				return errRefused
			}
			return err
		}}
	}
	return all
}

// await waits until so many were answered.
func (c *calls) await(n int64) {
	c.t.Helper()
	for begun := time.Now(); c.answered.Load() < n; time.Sleep(time.Millisecond) {
		if c.lost.Load() > 0 || time.Since(begun) > patience {
			c.t.Fatalf("%d calls were answered, %d lost: %v", c.answered.Load(), c.lost.Load(), c.why())
		}
	}
}

func (c *calls) why() error {
	if err := c.first.Load(); err != nil {
		return *err
	}
	return nil
}
