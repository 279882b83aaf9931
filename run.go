package aguada

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/mtls"
	"github.com/aguada-dev/aguada/config"
	"github.com/aguada-dev/aguada/health"
	"github.com/aguada-dev/aguada/idempotency"
	"github.com/aguada-dev/aguada/lifecycle"
	"github.com/aguada-dev/aguada/limit"
	"github.com/aguada-dev/aguada/limit/adaptive"
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
	// Started, if set, is called with the addresses of the public listeners
	// once requests are served; that of gRPC is "" where it is not.
	Started func(http, grpc string)

	adopt func(*operation) // makes it that of the process
}

// Run runs the service until ctx ends, then stops it in order, and returns nil
// only if no request was cut. Cancelling force skips what is left of the stop.
// Run uses no globals and exits nothing: Main does.
func (a *App) Run(ctx, force context.Context, p Process) error {
	cfg, err := a.load(p.Environ)
	if err != nil {
		return err
	}
	if p.Stdout == nil {
		p.Stdout = io.Discard
	}
	base := telemetry.NewHandler(p.Stdout, telemetry.Format(cfg.LogFormat), cfg.LogLevel)
	o, err := newOperation(ctx, a.contract, cfg, base)
	if err != nil {
		return err
	}
	if p.adopt != nil {
		p.adopt(o)
	}
	cfg.OnReloadError(func(err error) { o.logger.Error("file not reloaded", "error", err) })
	group := lifecycle.New(lifecycle.Config{ShutdownTimeout: cfg.ShutdownTimeout, DrainDelay: cfg.DrainDelay, Logger: o.logger})
	group.OnFlush("telemetry", o.telemetry.Shutdown)
	group.OnStop("debug leases", func() error { o.leases.Close("shutdown"); return nil })
	rt := &Runtime{
		Config: cfg, Logger: o.logger, operation: o, group: group, names: make(map[string]bool), own: make(auth.Verifiers),
		checks: health.New(health.Config{
			Ready: group.Ready, Started: func() bool { return group.State() >= lifecycle.Ready },
			Version: a.contract.API.Version, Logger: o.logger,
		}),
	}
	return group.Run(ctx, force, func(ctx context.Context) error {
		return a.start(o.clue.BaseContext(ctx), rt, p)
	})
}

// load reads the configuration.
func (a *App) load(environ []string) (*config.Config, error) {
	for _, name := range a.own {
		if !a.scheme(name) {
			return nil, fmt.Errorf("own scheme %q: the design has no such scheme", name)
		}
	}
	return config.Load(environ, a.needs(), a.settings...)
}

// scheme reports whether the design has a scheme of that name.
func (a *App) scheme(name string) bool {
	return slices.ContainsFunc(a.contract.Schemes, func(s policy.Scheme) bool { return s.Name == name })
}

// start brings everything up, in order: the listeners first, so that an address
// in use is noticed before anything is touched; requests last.
func (a *App) start(ctx context.Context, rt *Runtime, p Process) error {
	files, err := rt.Config.OpenTLS()
	if err != nil {
		return err
	}
	public, err := a.listen(ctx, rt.Config)
	if err != nil {
		return err
	}
	if err := a.serveAdmin(ctx, rt, files, p.Environ); err != nil {
		return errors.Join(err, public.close())
	}
	h, err := a.assemble(ctx, rt, files)
	if err != nil {
		return errors.Join(err, public.close())
	}
	if err := rt.operation.observe(rt, h, files); err != nil {
		return errors.Join(err, public.close())
	}
	go func() { // streams would last as long as the shutdown may
		<-rt.group.Drain()
		h.CloseStreams()
	}()
	if err := public.serve(rt, h, files); err != nil {
		return err
	}
	addr, calls := public.addresses()
	rt.Logger.Info("serving", "service", a.contract.API.Name, "version", a.contract.API.Version,
		"address", addr, "grpc", calls, "tls", files.Public() != nil, "admin", text(rt.admin))
	if p.Started != nil {
		p.Started(addr, calls)
	}
	return nil
}

// assemble builds the services and mounts them.
func (a *App) assemble(ctx context.Context, rt *Runtime, files *config.TLS) (*HTTP, error) {
	v, err := rt.verifiers(a.contract.Schemes, a.own)
	if err != nil {
		return nil, err
	}
	h, err := rt.transport(a.contract, v, files)
	if err != nil {
		return nil, err
	}
	if err := a.mount(ctx, rt, h); err != nil {
		return nil, fmt.Errorf("build services: %w", err)
	}
	for name, own := range rt.own {
		if !a.scheme(name) {
			return nil, fmt.Errorf("build services: verifier of scheme %q: the design has no such scheme", name)
		}
		if own == nil { // behind the lock-out it would look like one
			return nil, fmt.Errorf("build services: verifier of scheme %q is nil", name)
		}
		v[name] = own
	}
	if !rt.Config.RedisURL.IsZero() && rt.limits == nil {
		return nil, errors.New(`build services: REDIS_URL is set, and nothing uses it: import "github.com/aguada-dev/aguada/limit/redislimit" and give its driver to rt.Limits where the services are built`)
	}
	if err := rt.guarded(v); err != nil {
		return nil, err
	}
	if a.needs().Idempotency {
		if rt.keeper, err = rt.keep(); err != nil {
			return nil, err
		}
	}
	if err := rt.dependencies(a.contract); err != nil {
		return nil, err
	}
	for path, probe := range map[string]http.Handler{
		"/livez": rt.checks.Live(), "/readyz": rt.checks.Readiness(), "/startupz": rt.checks.Startup(), "/healthz": rt.checks.Clue(),
	} {
		h.Plain(http.MethodGet, path, probe)
	}
	if err := h.Ready(); err != nil {
		return nil, err
	}
	warnUndeclared(rt.Logger, a.contract)
	return h, nil
}

// transport makes the request path of a contract.
func (rt *Runtime) transport(c *policy.Contract, v auth.Verifiers, files *config.TLS) (*HTTP, error) {
	o, cfg := rt.operation, rt.Config
	t := transport.Config{
		Contract: c, Verifiers: v, Logger: slog.New(o.out), Telemetry: o.telemetry, Leases: o.leases,
		Context: o.clue.Context, Audit: o.audited, TrustedProxies: cfg.TrustedProxies,
		ReadTimeout: cfg.ReadTimeout, WriteTimeout: cfg.WriteTimeout, Draining: rt.group.Draining,
	}
	t.Limits = func() limit.Driver { return rt.limits }
	t.Idempotency = func() *idempotency.Keeper { return rt.keeper }
	t.OneAddress = cfg.TLSMode != "" && len(cfg.TrustedProxies) == 0
	if cfg.LoadShedding == "on" {
		load, err := adaptive.New(adaptive.Config{})
		if err != nil {
			return nil, err
		}
		t.Load, rt.load = load, load
	}
	if len(cfg.CORSOrigins) > 0 {
		t.CORS = &policy.CORS{Origins: cfg.CORSOrigins, Credentials: cfg.CORSCredentials}
	}
	if files.Public() != nil || cfg.TLSMode != "" {
		t.StrictTransport = cfg.HSTSMaxAge
	}
	if cfg.TLSClientCAFile != "" {
		t.Trusts = files.Trusts
	}
	if cfg.TLSClientIdentity != "off" {
		identity, err := mtls.New(mtls.Mode(cfg.TLSClientIdentity))
		if err != nil {
			return nil, err
		}
		t.Identity = identity.Principal
	}
	if files.Public() != nil {
		files.LogExpiry(rt.Logger)
		rt.note("tls.certificate", nil, files.Note)
	}
	return transport.New(t)
}

// server returns the public server. net/http's ReadTimeout is not set: it would
// end requests under way; package transport bounds the reading of bodies.
func (rt *Runtime) server(h *HTTP, files *config.TLS) *http.Server {
	c := rt.Config
	s := &http.Server{
		Handler:           rt.wrapped(h),
		TLSConfig:         files.Public(),
		ReadHeaderTimeout: c.ReadHeaderTimeout,
		WriteTimeout:      c.WriteTimeout,
		IdleTimeout:       c.IdleTimeout,
		MaxHeaderBytes:    int(c.MaxHeaderBytes),
		BaseContext:       func(net.Listener) context.Context { return rt.operation.clue.BaseContext(context.Background()) },
		// OPTIONS * shall not bypass the log either.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(rt.Logger.Handler(), slog.LevelWarn),
	}
	if c.TLSClientIdentity != "off" {
		s.ConnContext = transport.ConnContext
	}
	return s
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
