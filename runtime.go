package aguada

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/jwt"
	"github.com/aguada-dev/aguada/config"
	"github.com/aguada-dev/aguada/health"
	"github.com/aguada-dev/aguada/idempotency"
	"github.com/aguada-dev/aguada/lifecycle"
	"github.com/aguada-dev/aguada/limit"
	"github.com/aguada-dev/aguada/limit/adaptive"
	"github.com/aguada-dev/aguada/policy"
)

// Runtime is what the chassis offers to the function that builds the services.
type Runtime struct {
	// Config is the configuration, complete and valid.
	Config *config.Config
	// Logger writes to the service's log. It is never nil.
	Logger *slog.Logger

	operation *operation
	admin     net.Addr // of the private port; nil if it is off

	keys   []jwt.Issuer
	notes  notes
	group  *lifecycle.Group
	checks *health.Checks
	names  map[string]bool   // of the checks
	own    auth.Verifiers    // by name of their scheme
	limits limit.Driver      // nil for this process's memory
	load   *adaptive.Limiter // nil if it is off
	stored idempotency.Store
	keeper *idempotency.Keeper
	wraps  []func(http.Handler) http.Handler
}

// Check registers the check of a dependency under the name that the design's
// DependsOn gives it. The service is ready only while every check passes; see
// health.Checks for when and how long it runs. A service that depends on a
// name without a check does not start. Use it only while building.
func (rt *Runtime) Check(name string, check func(context.Context) error) {
	rt.names[name] = true
	rt.checks.Add(name, check)
}

// Verify has v prove the credentials of a scheme of the design, in place of what
// the configuration provides for. Name the scheme to [App.OwnSchemes] too, so
// that the configuration is not asked for it. A name that the design does not
// have ends the start, and so does a nil verifier. Use it only while building.
func (rt *Runtime) Verify(scheme string, v auth.Verifier) { rt.own[scheme] = v }

// Limits has the design's rate limits counted by d, such as a driver of package
// limit/redislimit, which replicas share. Without it each process counts for
// itself. A service whose environment names a Redis (REDIS_URL) and that does
// not call Limits does not start. Use it only while building.
func (rt *Runtime) Limits(d limit.Driver) {
	rt.limits = d
	if away, ok := d.(interface{ Err() error }); ok {
		rt.note("limits", nil, func() string {
			if err := away.Err(); err != nil {
				return "the shared limits are away: " + err.Error()
			}
			return ""
		})
	}
}

// Idempotency has the answers of methods with idempotency keys kept in s, such as
// a store of package idempotency/sqlstore, in whose transactions methods can
// join, or of idempotency/redisstore. Without it they are kept in this process's
// memory, which no replica shares and no restart survives. Use it only while
// building.
func (rt *Runtime) Idempotency(s idempotency.Store) { rt.stored = s }

// keep makes what decides about idempotency keys. It is asked once, and only
// where the design has them.
func (rt *Runtime) keep() (*idempotency.Keeper, error) {
	store := rt.stored
	if store == nil {
		memory, err := idempotency.NewMemory(idempotency.MemoryConfig{})
		if err != nil {
			return nil, err
		}
		store = memory
		rt.Logger.Warn("answers under idempotency keys are kept in this process's memory, which replicas do not share and a restart empties; give rt.Idempotency a store where the services are built")
	}
	c := rt.Config
	keeper, err := idempotency.New(store, idempotency.Config{
		Secrets: idempotency.Secrets{Current: c.IdempotencySecret.Reveal, Old: c.IdempotencyOldSecret.Reveal},
		Report:  func(err error) { rt.Logger.Warn("idempotency", "error", err.Error()) },
	})
	if err != nil {
		return nil, err
	}
	rt.OnStop("idempotency keys", keeper.Close)
	return keeper, nil
}

// OnStop registers a function to be run once the last request is answered.
// Functions run in reverse order of registration, within SHUTDOWN_TIMEOUT; also
// when the start fails after the registration.
func (rt *Runtime) OnStop(name string, stop func() error) { rt.group.OnStop(name, stop) }

// Wrap puts a handler in front of everything that the public HTTP listener
// serves, such as pages of its own, or a gate that the design does not know. The
// one that was given last is the outermost. What it answers itself has passed
// nothing of the chassis: no limit, no metric, no line of the log. Over gRPC
// nothing changes. Use it only while building.
func (rt *Runtime) Wrap(wrap func(http.Handler) http.Handler) { rt.wraps = append(rt.wraps, wrap) }

// wrapped returns the handler of the public listener.
func (rt *Runtime) wrapped(h http.Handler) http.Handler {
	for _, wrap := range rt.wraps {
		h = wrap(h)
	}
	return h
}

// Tracer returns a tracer for the named scope, usually the import path of the
// caller. No global has to be set for it.
func (rt *Runtime) Tracer(name string) trace.Tracer { return rt.operation.telemetry.Tracer(name) }

// Meter returns a meter for the named scope. What it measures is exported, and
// is at /metrics of the private port.
func (rt *Runtime) Meter(name string) metric.Meter { return rt.operation.telemetry.Meter(name) }

// Draining returns a channel that is closed when the service begins to stop,
// for streams, which would otherwise last as long as the shutdown may.
func (rt *Runtime) Draining() <-chan struct{} { return rt.group.Drain() }

// dependencies reports what the design depends on and nobody checks.
func (rt *Runtime) dependencies(c *policy.Contract) error {
	var errs []error
	for _, s := range c.Services {
		for _, name := range s.DependsOn {
			if !rt.names[name] {
				errs = append(errs, fmt.Errorf("service %s depends on %q, which has no check: call rt.Check(%q, …) where the services are built", s.Name, name, name))
			}
		}
	}
	return errors.Join(errs...)
}
