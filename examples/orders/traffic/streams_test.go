//go:build linux

package traffic

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	orderspb "github.com/aguada-dev/aguada/examples/orders/gen/grpc/orders/pb"
)

// follower is a client of a stream. It follows it until the server ends it, and
// says what was wrong with that end.
type follower func(ctx context.Context, opened func()) error

// crowd is many followers.
type crowd struct {
	t      *testing.T
	all    sync.WaitGroup
	opened atomic.Int64
	events atomic.Int64 // that they got

	mu    sync.Mutex
	ended map[string]int   // by kind, as the protocol has it
	wrong map[string][]any // otherwise
	last  time.Time
}

func newCrowd(t *testing.T) *crowd {
	return &crowd{t: t, ended: map[string]int{}, wrong: map[string][]any{}}
}

// follow begins to follow, and returns when there is a first event.
func (c *crowd) follow(kind string, f follower) {
	open := make(chan struct{})
	begin := sync.OnceFunc(func() { c.opened.Add(1); close(open) })
	c.all.Go(func() {
		defer begin()
		err := f(c.t.Context(), func() { begin(); c.events.Add(1) })
		c.mu.Lock()
		defer c.mu.Unlock()
		c.last = time.Now()
		if err != nil {
			c.wrong[kind] = append(c.wrong[kind], err)
			return
		}
		c.ended[kind]++
	})
	<-open
}

// check waits for the end of all, which has to be as the protocols have it.
func (c *crowd) check(kinds ...string) {
	c.t.Helper()
	over := make(chan struct{})
	go func() { c.all.Wait(); close(over) }()
	select {
	case <-over:
	case <-time.After(patience):
		c.t.Fatal("streams do not end")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, kind := range kinds {
		if c.ended[kind] == 0 || len(c.wrong[kind]) > 0 {
			c.t.Errorf("%s: %d streams ended as they should, %d did not: %v", kind, c.ended[kind], len(c.wrong[kind]), c.wrong[kind][:min(5, len(c.wrong[kind]))])
		}
	}
}

// until bounds what a connection waits for, and ends it with ctx.
func until(ctx context.Context, conn net.Conn) (stop func()) {
	end := context.AfterFunc(ctx, func() { _ = conn.Close() })
	return func() { end(); _ = conn.Close() }
}

// goneQuietly reads the end of a connection: nothing more comes, and no reset.
func goneQuietly(conn io.Reader) error {
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return fmt.Errorf("after its end the connection has %d bytes, %w", n, err)
	}
	return nil
}

// sse follows Server-Sent Events: the last line has to say when to come back,
// the chunked body has to be whole, and then the connection closed.
func sse(p *process, token string) follower {
	return func(ctx context.Context, opened func()) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.http)
		if err != nil {
			return err
		}
		defer until(ctx, conn)()
		fmt.Fprintf(conn, "GET /orders/events HTTP/1.1\r\nHost: shop\r\nAccept: text/event-stream\r\nAuthorization: %s\r\n\r\n", token)
		in := bufio.NewReaderSize(conn, 2<<10)
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		if kind := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || kind != "text/event-stream" || len(res.TransferEncoding) != 1 {
			return fmt.Errorf("%s, %s, %v", res.Status, kind, res.TransferEncoding)
		}
		lines, last := bufio.NewReaderSize(res.Body, 512), ""
		for {
			text, err := lines.ReadString('\n')
			switch {
			case err == io.EOF && text == "" && strings.HasPrefix(last, "retry: "):
				return goneQuietly(in)
			case err != nil:
				return fmt.Errorf("after %q comes %q: %w", last, text, err)
			case strings.HasPrefix(text, "data: "):
				opened()
			}
			if text != "\n" {
				last = text
			}
		}
	}
}

// socket follows a WebSocket, which has to be closed because the server goes
// away (1001).
func socket(p *process, token string) follower {
	return func(ctx context.Context, opened func()) error {
		at := url.URL{Scheme: "ws", Host: p.http, Path: "/orders/live"}
		conn, _, err := websocket.DefaultDialer.DialContext(ctx, at.String(), http.Header{"Authorization": {token}})
		if err != nil {
			return err
		}
		defer until(ctx, conn.NetConn())()
		for {
			_, _, err := conn.ReadMessage()
			if closed, ok := errors.AsType[*websocket.CloseError](err); ok && closed.Code == websocket.CloseGoingAway {
				return goneQuietly(conn.NetConn())
			}
			if err != nil {
				return err
			}
			opened()
		}
	}
}

// watch follows a stream of gRPC's that the server alone writes to.
func watch(conn *grpc.ClientConn, token string) follower {
	return rpc(token, func(ctx context.Context) (func() error, error) {
		stream, err := orderspb.NewOrdersClient(conn).WatchOrders(ctx, &orderspb.WatchOrdersRequest{})
		return func() error { _, err := stream.Recv(); return err }, err
	})
}

// live follows a stream of gRPC's that is open both ways.
func live(conn *grpc.ClientConn, token string) follower {
	return rpc(token, func(ctx context.Context) (func() error, error) {
		stream, err := orderspb.NewOrdersClient(conn).Live(ctx)
		return func() error { _, err := stream.Recv(); return err }, err
	})
}

// rpc follows a stream of gRPC's, which has to end with the status UNAVAILABLE
// and the reason and details that the service gives: a status that the client
// made up because its connection broke has none.
func rpc(token string, begin func(context.Context) (func() error, error)) follower {
	return func(ctx context.Context, opened func()) error {
		ctx, cancel := context.WithCancel(as(ctx, token))
		defer cancel()
		receive, err := begin(ctx)
		for err == nil {
			if err = receive(); err == nil {
				opened()
			}
		}
		if reason, wait := reasonOf(err); status.Code(err) != codes.Unavailable || reason != "UNAVAILABLE" || wait <= 0 {
			return fmt.Errorf("%w (reason %q, again in %s)", err, reason, wait)
		}
		return nil
	}
}

// taps are connections of gRPC's on which the server's frames are counted.
type taps struct {
	conns, goAways, errors atomic.Int64 // errors: GOAWAY or RST_STREAM that say one
	broken                 atomic.Int64 // connections that did not end with their end
}

func (s *taps) dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	s.conns.Add(1)
	return &tap{Conn: conn, of: s}, nil
}

// tap is a connection whose frames are looked at (RFC 9113, section 4.1).
type tap struct {
	net.Conn
	of      *taps
	skip    int    // bytes up to the next frame
	pending []byte // of a frame that is looked at
}

func (c *tap) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.look(p[:n])
	if err != nil && err != io.EOF && !errors.Is(err, net.ErrClosed) {
		c.of.broken.Add(1)
	}
	return n, err
}

// Of frames, their header is looked at, and the error code of two kinds.
const (
	frameHeader  = 9
	frameReset   = 3
	frameGoAway  = 7
	codeOfReset  = frameHeader
	codeOfGoAway = frameHeader + 4
)

func (c *tap) look(p []byte) {
	for len(p) > 0 {
		if c.skip > 0 {
			n := min(c.skip, len(p))
			c.skip, p = c.skip-n, p[n:]
			continue
		}
		c.pending, p = append(c.pending, p[0]), p[1:]
		if len(c.pending) < frameHeader {
			continue
		}
		size := int(c.pending[0])<<16 | int(c.pending[1])<<8 | int(c.pending[2])
		code, wanted := 0, frameHeader
		switch c.pending[3] {
		case frameReset:
			code, wanted = codeOfReset, codeOfReset+4
		case frameGoAway:
			code, wanted = codeOfGoAway, codeOfGoAway+4
		}
		if len(c.pending) < wanted {
			continue
		}
		if c.pending[3] == frameGoAway {
			c.of.goAways.Add(1)
		}
		if code > 0 && binary.BigEndian.Uint32(c.pending[code:]) != 0 {
			c.of.errors.Add(1)
		}
		c.skip, c.pending = frameHeader+size-wanted, c.pending[:0]
	}
}
