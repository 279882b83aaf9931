// Package layer serves one small design in different ways: by hand with
// net/http, with Goa, with Goa and Clue as the "Production" page of Goa's
// documentation wires them, and with Aguada.
//
//	s, err := layer.Start(ctx, spec)
//	…
//	defer s.Stop(ctx)
//	direct, err := s.Direct(http.MethodGet)
//	err = direct.Serve() // the handler, without a connection
//
// A layer may set process globals, as the page does: start one per process.
package layer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"
)

// Spec names a layer and what it is given. It travels to child processes as
// JSON.
type Spec struct {
	// Name tells layers apart; telemetry carries it as the service's name.
	Name string
	// Kind is NetHTTP, Goa, Clue or Aguada.
	Kind string
	// Algorithm is the one of the tokens: RS256, ES256 or HS256. Layers
	// without authentication ignore the token.
	Algorithm string
	// Traces is the share of requests that is traced.
	Traces float64
	// Sink is host:port of the OTLP receiver; empty means, for Aguada, that
	// nothing is exported.
	Sink string
	// Dir holds what Prepare wrote.
	Dir string
	// Dead says that nobody receives at Sink: what cannot be delivered in the
	// end is no error then.
	Dead bool
	// Log is the file that gets the log; empty means the null device.
	Log string
}

// The kinds of layers.
const (
	NetHTTP = "net/http"
	Goa     = "goa"
	Clue    = "clue"
	Aguada  = "aguada"
)

// Layer is a layer that serves.
type Layer struct {
	// Addr is host:port of the HTTP listener.
	Addr string

	server *http.Server
	served <-chan *http.Server // where server is not known at once
	tokens []string
	stop   func(context.Context) error
}

// Start serves a layer on a loopback port.
func Start(ctx context.Context, spec Spec) (*Layer, error) {
	tokens, err := loadTokens(spec)
	if err != nil {
		return nil, err
	}
	name := spec.Log
	if name == "" {
		name = os.DevNull
	}
	out, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	var l *Layer
	switch spec.Kind {
	case NetHTTP:
		l, err = serve(&http.Server{Handler: byHand(), ReadHeaderTimeout: 10 * time.Second}, nil)
	case Goa:
		l, err = serve(&http.Server{Handler: bareGoa(), ReadHeaderTimeout: 10 * time.Second}, nil)
	case Clue:
		l, err = startClue(ctx, spec, out)
	case Aguada:
		l, err = startAguada(ctx, spec, out)
	default:
		err = fmt.Errorf("start layer: unknown kind %q", spec.Kind)
	}
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	l.tokens = tokens
	stop := l.stop
	l.stop = func(ctx context.Context) error { return errors.Join(stop(ctx), out.Close()) }
	if l.server == nil {
		if err := l.discover(ctx); err != nil {
			return nil, errors.Join(err, l.Stop(ctx))
		}
	}
	return l, nil
}

// Tokens returns the access tokens that the layer's callers present, one per
// caller.
func (l *Layer) Tokens() []string { return l.tokens }

// Stop ends the server and delivers what it has to tell.
func (l *Layer) Stop(ctx context.Context) error { return l.stop(ctx) }

// serve starts srv; flush is run once it has ended.
func serve(srv *http.Server, flush func(context.Context) error) (*Layer, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a loopback listener does not wait
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if srv.ErrorLog == nil {
		srv.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(io.Discard, nil), slog.LevelError)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	stop := func(ctx context.Context) error {
		err := srv.Shutdown(ctx)
		if end := <-served; !errors.Is(end, http.ErrServerClosed) {
			err = errors.Join(err, end)
		}
		if flush != nil {
			err = errors.Join(err, flush(ctx))
		}
		return err
	}
	return &Layer{Addr: ln.Addr().String(), server: srv, stop: stop}, nil
}
