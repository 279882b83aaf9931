// Package otlp receives telemetry: OTLP over gRPC, and over HTTP as protocol
// buffers and as JSON (OpenTelemetry Protocol 1.10).
//
//	r, err := otlp.Listen(ctx, st, otlp.Config{GRPC: "127.0.0.1:4317", HTTP: "127.0.0.1:4318"})
//	if err != nil {
//		return err
//	}
//	defer r.Close(ctx)
//
// A request is taken as a whole or not at all, but for items that cannot be
// kept, which the answer tells (partial success). What is read at a time is
// bounded in bytes, after decompression too; senders beyond that wait, and are
// then asked to come again. The package forwards nothing.
package otlp

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aguada-dev/aguada/console/store"

	"google.golang.org/grpc"
)

// Bounds.
const (
	// MaxRequest bounds a request, compressed or not, in bytes.
	MaxRequest = 8 << 20
	// maxJSON bounds a request that is JSON, which takes a multiple of its
	// size while it is read.
	maxJSON = 2 << 20

	readers  = 4                // requests that are read at a time
	decoders = 1                // of these, that are decoded
	patience = 5 * time.Second  // for room
	slowest  = 15 * time.Second // how long the reading of a request may take
)

// Config says where to listen.
type Config struct {
	// GRPC and HTTP are addresses; "" does not listen.
	GRPC, HTTP string
	// Token returns what senders must present as a bearer token; nil, or a
	// function that returns "", asks for none, which only loopback allows.
	Token func() string
	// TLS is the server's side of TLS; nil means none.
	TLS *tls.Config
	// Logger gets errors of the servers; nil means none.
	Logger *slog.Logger
}

// Receiver takes telemetry into a store. Use Listen.
type Receiver struct {
	cfg   Config
	store *store.Store

	room     chan struct{} // a place for each request that is read
	decoding chan *decoder // those that are free
	text     sync.Mutex    // held while JSON is read, which takes many times its size

	grpc     *grpc.Server
	http     *http.Server
	grpcAddr string
	httpAddr string
	done     sync.WaitGroup
	rejected [3]atomic.Int64 // by signal
}

// Listen opens the addresses and serves them until Close.
func Listen(ctx context.Context, st *store.Store, cfg Config) (*Receiver, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Receiver{cfg: cfg, store: st, room: make(chan struct{}, readers), decoding: make(chan *decoder, decoders)}
	for range decoders {
		r.decoding <- &decoder{}
	}
	if cfg.GRPC != "" {
		ln, err := r.listen(ctx, "gRPC", cfg.GRPC)
		if err != nil {
			return nil, err
		}
		r.grpcAddr = ln.Addr().String()
		r.serveGRPC(ln)
	}
	if cfg.HTTP != "" {
		ln, err := r.listen(ctx, "HTTP", cfg.HTTP)
		if err != nil {
			return nil, errors.Join(err, r.Close(ctx))
		}
		r.httpAddr = ln.Addr().String()
		r.serveHTTP(ln)
	}
	return r, nil
}

// listen opens one address. Off loopback it needs a token.
func (r *Receiver) listen(ctx context.Context, protocol, addr string) (net.Listener, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("receive OTLP over %s: %w", protocol, err)
	}
	if tcp, ok := ln.Addr().(*net.TCPAddr); (!ok || !tcp.IP.IsLoopback()) && r.token() == "" {
		err := fmt.Errorf("receive OTLP over %s: %s is reachable from other machines: set a token, or listen on 127.0.0.1", protocol, addr)
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// GRPC is the address of gRPC; "" if it is off.
func (r *Receiver) GRPC() string { return r.grpcAddr }

// HTTP is the address of HTTP; "" if it is off.
func (r *Receiver) HTTP() string { return r.httpAddr }

// Rejected is how many items of a signal could not be kept since Listen.
func (r *Receiver) Rejected(sig store.Signal) int64 { return r.rejected[sig].Load() }

// Close ends both servers, those under way once ctx ends.
func (r *Receiver) Close(ctx context.Context) error {
	var err error
	if r.http != nil {
		if err = r.http.Shutdown(ctx); err != nil {
			err = errors.Join(err, r.http.Close())
		}
	}
	if r.grpc != nil {
		stop := context.AfterFunc(ctx, r.grpc.Stop)
		r.grpc.GracefulStop()
		stop()
	}
	r.done.Wait()
	return err
}

func (r *Receiver) token() string {
	if r.cfg.Token == nil {
		return ""
	}
	return r.cfg.Token()
}

// admitted reports whether an Authorization is that of the token. Once a token
// was needed, none is not a token.
func (r *Receiver) admitted(authorization string) bool {
	token := r.token()
	if token == "" {
		return r.cfg.Token == nil
	}
	scheme, got, _ := strings.Cut(authorization, " ")
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare([]byte(got), []byte(token)) == 1
}

// errBusy reports that there was no room for a request.
var errBusy = errors.New("too many requests are being read: send again")

// enter waits for room to read a request.
func (r *Receiver) enter(ctx context.Context) (leave func(), err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errBusy)
	defer cancel()
	select {
	case r.room <- struct{}{}:
		return func() { <-r.room }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// take decodes a request and adds it to the store. It returns the items that
// could not be kept, and why.
func (r *Receiver) take(sig store.Signal, b []byte) (rejected int64, reason string, err error) {
	d := <-r.decoding
	defer func() {
		d.reset()
		r.decoding <- d
	}()
	item := [...]func(int, []byte) error{store.Traces: d.span, store.Logs: d.log, store.Metrics: d.metric}[sig]
	if err := d.request(b, item); err != nil {
		return 0, "", err
	}
	r.store.Add(&d.batch)
	r.rejected[sig].Add(d.rejected)
	return d.rejected, d.reason, nil
}
