// Package console is a web page on which services are seen live: traces, logs,
// metrics, methods, security, and what the runtime does.
//
//	err := console.Run(ctx, force, console.Config{Targets: targets})
//
// It receives OTLP from services in any language, keeps it in memory, and
// serves pages and an API for it. It is for one machine or one team: it samples
// nothing, forwards nothing, alerts nobody, and forgets the oldest.
//
// Without a token everything listens on loopback only.
package console

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/aguada-dev/aguada"
	"github.com/aguada-dev/aguada/config"
	"github.com/aguada-dev/aguada/console/api"
	"github.com/aguada-dev/aguada/console/gen/production"
	"github.com/aguada-dev/aguada/console/guard"
	"github.com/aguada-dev/aguada/console/otlp"
	"github.com/aguada-dev/aguada/console/static"
	"github.com/aguada-dev/aguada/console/store"
	"github.com/aguada-dev/aguada/console/target"
)

// Where the console listens unless Config says otherwise.
const (
	DefaultAddr = "127.0.0.1:7070"
	DefaultGRPC = "127.0.0.1:4317"
	DefaultHTTP = "127.0.0.1:4318"
	// Off, as an address, does not listen.
	Off = "-"
)

// scheme is the design's name of the API's scheme.
const scheme = "token"

//go:embed gen/http/openapi3.json
var openapi []byte

// Config says where to listen and what to keep. Its zero value works.
type Config struct {
	// Addr is the address of the pages and the API, GRPC and HTTP are those of
	// OTLP; "" is the default, Off is none.
	Addr, GRPC, HTTP string
	// Token returns what people and senders must present; nil means that
	// nothing is asked for, which loopback alone allows.
	Token func() string
	// Budget is how much telemetry is kept, in bytes; 0 means
	// store.DefaultBudget. File keeps it over restarts; "" does not.
	Budget int64
	File   string
	// Targets are services of which more is known than they send; nil means
	// none.
	Targets *target.Targets
	// Environ is looked at for TLS_CERT_FILE, TLS_KEY_FILE, TLS_MODE,
	// TRUSTED_PROXIES and HSTS_MAX_AGE only.
	Environ []string
	// Log gets what goes wrong, as lines of JSON; nil discards it.
	Log io.Writer
	// Started, if set, is called once everything is served.
	Started func(Addresses)
}

// Addresses are where the console listens; "" where it does not.
type Addresses struct{ Pages, GRPC, HTTP string }

// Run serves the console until ctx ends, then stops it in order. Cancelling force
// skips what is left of the stop.
func Run(ctx, force context.Context, cfg Config) (err error) {
	c, err := open(ctx, &cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	app := production.App(func(_ context.Context, rt *aguada.Runtime) (*production.Services, error) {
		g, err := guard.New(guard.Config{Token: cfg.Token, TLS: c.tls, Pages: static.Files(), OpenAPI: openapi})
		if err != nil {
			return nil, err
		}
		rt.Verify(scheme, g)
		rt.Wrap(g.Wrap)
		return &production.Services{Console: api.New(api.Config{
			Store: c.store, Receiver: c.receiver, Targets: cfg.Targets, Version: aguada.Version, File: cfg.File,
			Authenticated: cfg.Token != nil, Stopping: rt.Draining(),
		})}, nil
	})
	app.OwnSchemes(scheme)
	return app.Run(ctx, force, aguada.Process{Environ: c.environ, Stdout: cfg.Log, Started: func(pages, _ string) {
		if cfg.Started != nil {
			cfg.Started(Addresses{Pages: pages, GRPC: c.receiver.GRPC(), HTTP: c.receiver.HTTP()})
		}
	}})
}

// opened is what the pages are served from.
type opened struct {
	environ  []string
	tls      bool
	store    *store.Store
	receiver *otlp.Receiver
}

// taken are the variables of the environment that count.
var taken = []string{"TLS_CERT_FILE", "TLS_KEY_FILE", "TLS_MODE", "TRUSTED_PROXIES", "HSTS_MAX_AGE"}

// environ makes the environment of the console's own service: that of the
// services that it looks at is often the same process's.
func environ(addr string, from []string) []string {
	own := []string{
		"HTTP_ADDR=" + addr, "ADMIN_ADDR=", "GRPC_ADDR=", "OTEL_SDK_DISABLED=true", "LOG_LEVEL=warn", "LOG_FORMAT=json", "SHUTDOWN_TIMEOUT=5s",
	}
	for _, v := range from {
		if name, _, _ := strings.Cut(v, "="); slices.Contains(taken, name) {
			own = append(own, v)
		}
	}
	return own
}

// open opens the store and the receiver.
func open(ctx context.Context, cfg *Config) (*opened, error) {
	if cfg.Targets == nil {
		cfg.Targets = target.New()
	}
	if cfg.Log == nil {
		cfg.Log = io.Discard
	}
	address(&cfg.Addr, DefaultAddr)
	address(&cfg.GRPC, DefaultGRPC)
	address(&cfg.HTTP, DefaultHTTP)
	if cfg.Addr == "" {
		return nil, errors.New("open console: the pages need an address")
	}
	if err := private(cfg); err != nil {
		return nil, err
	}
	c := &opened{environ: environ(cfg.Addr, cfg.Environ)}
	settings, err := config.Load(c.environ, config.Needs{})
	if err != nil {
		return nil, fmt.Errorf("open console: %w", err)
	}
	files, err := settings.OpenTLS()
	if err != nil {
		return nil, fmt.Errorf("open console: %w", err)
	}
	c.tls = files.Public() != nil || settings.TLSMode != ""
	if c.store, err = store.Open(store.Config{Budget: cfg.Budget, File: cfg.File}); err != nil {
		return nil, err
	}
	c.receiver, err = otlp.Listen(ctx, c.store, otlp.Config{
		GRPC: cfg.GRPC, HTTP: cfg.HTTP, Token: cfg.Token, TLS: files.Public(), Logger: slog.New(slog.NewJSONHandler(cfg.Log, nil)),
	})
	if err != nil {
		return nil, errors.Join(err, c.store.Close())
	}
	return c, nil
}

func address(a *string, usual string) {
	switch *a {
	case "":
		*a = usual
	case Off:
		*a = ""
	}
}

// private refuses an address of the pages off loopback without a token.
func private(cfg *Config) error {
	if cfg.Token != nil {
		token := cfg.Token()
		if len(token) < MinToken || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return fmt.Errorf("open console: the token needs at least %d bytes of visible ASCII without spaces", MinToken)
		}
		return nil
	}
	host, _, err := net.SplitHostPort(cfg.Addr)
	if err != nil {
		return fmt.Errorf("open console: address %q: %w", cfg.Addr, err)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("open console: %s is reachable from other machines: set a token, or listen on 127.0.0.1", cfg.Addr)
}

// MinToken is the least length of a token, in bytes.
const MinToken = 16

// close ends the receiver and the store.
func (c *opened) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return errors.Join(c.receiver.Close(ctx), c.store.Close())
}
