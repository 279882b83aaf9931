package aguada

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/aguada-dev/aguada/config"
	"github.com/aguada-dev/aguada/health"
	"github.com/aguada-dev/aguada/lifecycle"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/telemetry"
	"github.com/aguada-dev/aguada/transport"
)

// Process is the part of the operating system that an App uses.
type Process struct {
	// Environ is the environment, as os.Environ returns it.
	Environ []string
	// Stdout gets the log; nil discards it.
	Stdout io.Writer
	// Logger, if set, is given the log before anything writes to it.
	Logger func(*slog.Logger)
	// Started, if set, is called with the address of the public listener
	// once requests are served.
	Started func(addr string)
}

// Run runs the service until ctx ends, then stops it in order, and returns nil
// only if no request was cut. Cancelling force skips what is left of the stop.
// Run uses no globals and exits nothing: Main does.
func (a *App) Run(ctx, force context.Context, p Process) error {
	cfg, lacking, err := a.load(p.Environ)
	if err != nil {
		return err
	}
	if p.Stdout == nil {
		p.Stdout = io.Discard
	}
	handler := telemetry.NewHandler(p.Stdout, telemetry.Format(cfg.LogFormat), cfg.LogLevel)
	logger := slog.New(handler)
	if p.Logger != nil {
		p.Logger(logger)
	}
	group := lifecycle.New(lifecycle.Config{ShutdownTimeout: cfg.ShutdownTimeout, Logger: logger})
	rt := &Runtime{
		Config: cfg, Logger: logger, group: group, names: make(map[string]bool),
		checks: health.New(health.Config{Ready: group.Ready, Logger: logger}),
	}
	return group.Run(ctx, force, func(ctx context.Context) error {
		return a.start(ctx, rt, handler, lacking, p.Started)
	})
}

// load reads the configuration. What only lacks because the design's schemes
// ask for it is returned apart, as lacking: a service that verifies
// credentials itself does not need it, and that is not known yet.
func (a *App) load(environ []string) (cfg *config.Config, lacking, err error) {
	cfg, err = config.Load(environ, needs(a.contract), a.settings...)
	if err == nil {
		return cfg, nil, nil
	}
	n := needs(a.contract)
	n.Basic, n.APIKey, n.Token = false, false, false
	if cfg, again := config.Load(environ, n, a.settings...); again == nil {
		return cfg, err, nil
	}
	return nil, nil, err
}

// start brings everything up, in order: the listener first, so that an address
// in use is noticed before anything is touched; requests last.
func (a *App) start(ctx context.Context, rt *Runtime, log *telemetry.Handler, lacking error, started func(string)) error {
	ln, err := lifecycle.Listen(ctx, rt.Config.HTTPAddr, "HTTP_ADDR")
	if err != nil {
		return err
	}
	srv, h, err := a.assemble(ctx, rt, log, lacking)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	go func() { // streams would last as long as the shutdown may
		<-rt.group.Drain()
		h.CloseStreams()
	}()
	secure := srv.TLSConfig != nil
	if err := rt.group.Serve("http", ln, srv); err != nil {
		return err
	}
	rt.Logger.Info("serving", "service", a.contract.API.Name, "version", a.contract.API.Version,
		"address", ln.Addr().String(), "tls", secure)
	if started != nil {
		started(ln.Addr().String())
	}
	return nil
}

// assemble builds the services and the server around them.
func (a *App) assemble(ctx context.Context, rt *Runtime, log *telemetry.Handler, lacking error) (*http.Server, *HTTP, error) {
	tlsConfig, err := rt.Config.TLS()
	if err != nil {
		return nil, nil, err
	}
	v, err := rt.verifiers(a.contract.Schemes)
	if err != nil {
		return nil, nil, err
	}
	h, err := transport.New(transport.Config{
		Contract: a.contract, Verifiers: v, Logger: rt.Logger,
		ReadTimeout: rt.Config.ReadTimeout, WriteTimeout: rt.Config.WriteTimeout, Draining: rt.group.Draining,
	})
	if err != nil {
		return nil, nil, err
	}
	if err := a.mount(ctx, rt, h); err != nil {
		return nil, nil, fmt.Errorf("build services: %w", err)
	}
	if err := rt.dependencies(a.contract); err != nil {
		return nil, nil, err
	}
	h.Plain(http.MethodGet, "/livez", rt.checks.Live())
	h.Plain(http.MethodGet, "/readyz", rt.checks.Readiness())
	if err := h.Ready(); err != nil {
		return nil, nil, errors.Join(err, lacking)
	}
	warnUndeclared(rt.Logger, a.contract)
	c := rt.Config
	return &http.Server{
		Handler:           h,
		TLSConfig:         tlsConfig,
		ReadHeaderTimeout: c.ReadHeaderTimeout,
		WriteTimeout:      c.WriteTimeout,
		IdleTimeout:       c.IdleTimeout,
		MaxHeaderBytes:    int(c.MaxHeaderBytes),
		// OPTIONS * shall not bypass the log either.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(log, slog.LevelWarn),
	}, h, nil
}

// warnUndeclared names the methods that are open because the design says
// nothing about them.
func warnUndeclared(log *slog.Logger, c *policy.Contract) {
	var open []string
	for _, s := range c.Services {
		for _, m := range s.Methods {
			if m.Access == policy.Undeclared {
				open = append(open, s.Name+"."+m.Name)
			}
		}
	}
	if len(open) > 0 {
		log.Warn("methods are open to everybody because the design declares neither Security nor NoSecurity for them",
			"methods", strings.Join(open, " "))
	}
}
