package aguada

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/aguada-dev/aguada/admin"
	"github.com/aguada-dev/aguada/config"
	"github.com/aguada-dev/aguada/lifecycle"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/redact"
	"github.com/aguada-dev/aguada/telemetry"
	"github.com/aguada-dev/aguada/telemetry/cluelog"
	"github.com/aguada-dev/aguada/transport"
)

// operation is what lets operators see and, a little, act.
type operation struct {
	telemetry *telemetry.Telemetry
	out       slog.Handler // lines as they are written, and exported
	logger    *slog.Logger // out, with what the context says
	clue      *cluelog.Logger
	leases    *telemetry.Leases
	audit     *admin.Ring
}

// newOperation opens the log and the telemetry of a service.
func newOperation(ctx context.Context, c *policy.Contract, cfg *config.Config, base *telemetry.Handler) (*operation, error) {
	scheme := "http"
	if cfg.TLSCertFile != "" || cfg.TLSMode != "" {
		scheme = "https"
	}
	t, err := telemetry.New(ctx, telemetry.Config{
		Service: c.API.Name, Version: c.API.Version, Scheme: scheme, Logger: slog.New(base),
		TracesPerSecond: cfg.TracesPerSecond, ParentTracesPerSecond: cfg.ParentTracesPerSecond,
	})
	if err != nil {
		return nil, fmt.Errorf("start telemetry: %w", err)
	}
	o := &operation{telemetry: t, out: t.Handler(base), audit: admin.NewRing(0)}
	o.logger = slog.New(telemetry.NewContextHandler(o.out))
	o.clue = cluelog.New(o.out, cluelog.Config{})
	o.leases = telemetry.NewLeases(telemetry.LeasesConfig{
		Audit:    o.leaseChanged,
		Describe: describe,
	})
	return o, nil
}

// describe returns a payload as what is logged of it: what its parts mask stays
// masked.
func describe(v any) slog.Value {
	return redact.LogValue(struct{ Value any }{v}).Group()[0].Value
}

// audited keeps an audit event of a call, which the log has already.
func (o *operation) audited(e *transport.Event) {
	action := "call"
	if e.Failed {
		action = "authentication"
	}
	o.audit.Add(admin.Event{
		Time: e.Time, Action: action, User: e.User, Scheme: e.Scheme, Client: e.Client, Service: e.Service, Method: e.Method,
		Outcome: e.Outcome, Status: e.Status, Detail: e.Code, ErrorType: e.ErrorType, RequestID: e.RequestID, TraceID: e.TraceID,
	})
}

// locked audits a lock-out.
func (o *operation) locked(_ context.Context, client netip.Prefix, wait time.Duration) {
	event := admin.Event{
		Time: time.Now(), Action: "lockout", Client: client.String(), Outcome: admin.Denied,
		Detail: "too many wrong credentials: refused for " + wait.Round(time.Second).String(),
	}
	o.audit.Add(event)
	o.logger.LogAttrs(context.Background(), slog.LevelWarn, "audit", event.LogValue().Group()...)
	o.telemetry.LockedOut()
}

// leaseChanged audits what happens to a lease.
func (o *operation) leaseChanged(e telemetry.LeaseEvent) {
	l := granted(e.Lease)
	event := admin.Event{
		Time: e.Time, Action: "lease." + string(e.Action), User: e.By, Service: l.Service, Method: l.Method,
		Outcome: admin.Success, Detail: l.Reason, LeaseID: l.ID, LeaseKind: l.Kind, LeaseLevel: l.Level,
		LeaseScheme: l.Scheme, LeasePrincipal: l.Principal, LeaseOpenedBy: l.OpenedBy, LeaseExpires: l.Expires,
	}
	o.audit.Add(event)
	o.logger.LogAttrs(context.Background(), slog.LevelInfo, "audit", event.LogValue().Group()...)
}

// observe lets the metrics see the state of the service.
func (o *operation) observe(rt *Runtime, h *HTTP, files *config.TLS) error {
	state := telemetry.State{
		Ready: rt.group.Ready, Draining: rt.group.Draining,
		InFlight:          func() int64 { return int64(h.InFlight()) },
		Streams:           func() int64 { return int64(h.Streams()) },
		KeySets:           rt.keySetAges,
		CertificateExpiry: files.NotAfter,
	}
	if rt.load != nil {
		state.AdaptiveLimit = func() int64 { return int64(rt.load.Limit()) }
		state.Admitted = func(p policy.Priority) int64 { return int64(h.Admitted(p)) }
	}
	return o.telemetry.Observe(state)
}

// serveAdmin opens the private port, unless it is turned off. It is served
// until all else is over.
func (a *App) serveAdmin(ctx context.Context, rt *Runtime, files *config.TLS, environ []string) error {
	if rt.Config.AdminAddr == "" {
		return nil
	}
	ln, err := lifecycle.Listen(ctx, rt.Config.AdminAddr, "ADMIN_ADDR")
	if err != nil {
		return err
	}
	o := rt.operation
	rows := a.configuration(environ) // as it was read
	s, err := admin.New(ln.Addr(), a.contract, admin.Config{
		Token: rt.Config.AdminToken.Reveal, TLS: files.Admin(), Metrics: o.telemetry.Metrics(),
		Settings: func() []admin.Setting { return rows },
		State:    func() admin.State { return rt.state(a.contract) }, Checks: rt.results,
		Leases: leases{o.leases}, Audit: o.audit, Version: Version, Draining: rt.group.Drain(), Logger: o.logger,
	})
	if err != nil {
		_ = ln.Close()
		return err
	}
	rt.admin = ln.Addr()
	return rt.group.ServeLast("admin", ln, s.HTTP())
}

// configuration is the reference as the private port shows it.
func (a *App) configuration(environ []string) []admin.Setting {
	rows := config.Reference(environ, a.needs(), a.settings...)
	all := make([]admin.Setting, len(rows))
	for i, r := range rows {
		all[i] = admin.Setting(r)
	}
	return all
}

// state says where the service stands.
func (rt *Runtime) state(c *policy.Contract) admin.State {
	s := rt.group.State()
	return admin.State{
		Name: s.String(), Started: s >= lifecycle.Ready, Ready: rt.group.Ready(),
		Version: c.API.Version, Uptime: rt.checks.Uptime(),
	}
}

// results are the checks as the private port shows them, with what else there
// is to know.
func (rt *Runtime) results(ctx context.Context) []admin.Check {
	results := rt.checks.Results(ctx)
	all := make([]admin.Check, len(results))
	for i, r := range results {
		all[i] = admin.Check{Name: r.Name, OK: r.OK, LastError: r.LastError, Duration: r.Duration, Checked: r.Checked, Since: r.Since}
		all[i].Note = rt.notes.text(r.Name)
	}
	return all
}

// note adds a check, which always passes if f is nil, about which there may be
// more to say.
func (rt *Runtime) note(name string, f func(context.Context) error, note func() string) {
	if f == nil {
		f = func(context.Context) error { return nil }
	}
	if rt.notes.add(name, note) {
		rt.checks.Add(name, f)
	}
}

// notes are what there is to say about checks. They are asked for from the
// moment that the private port is open. The zero value works.
type notes struct {
	mu  sync.Mutex
	all map[string][]func() string // by check
}

// add adds a note and reports whether it is the first about the check.
func (n *notes) add(check string, note func() string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.all == nil {
		n.all = make(map[string][]func() string)
	}
	n.all[check] = append(n.all[check], note)
	return len(n.all[check]) == 1
}

// text returns what there is to say about a check, "" for nothing.
func (n *notes) text(check string) string {
	n.mu.Lock()
	about := n.all[check]
	n.mu.Unlock()
	var all []string
	for _, note := range about {
		if text := note(); text != "" {
			all = append(all, text)
		}
	}
	return strings.Join(all, "; ")
}

// leases lets the private port open and end leases.
type leases struct{ store *telemetry.Leases }

var _ admin.Leases = leases{}

// Open implements admin.Leases.
func (l leases) Open(r admin.LeaseRequest) (admin.Lease, error) {
	lease := telemetry.Lease{
		Kind: telemetry.LeaseKind(r.Kind), Service: r.Service, Method: r.Method, Scheme: r.Scheme, Principal: r.Principal,
		OpenedBy: r.By, Reason: r.Reason,
	}
	if r.Kind == admin.LevelLease {
		if err := lease.Level.UnmarshalText([]byte(r.Level)); err != nil {
			return admin.Lease{}, fmt.Errorf("read level: %w", err)
		}
	}
	opened, err := l.store.Open(lease, time.Duration(r.Duration))
	return granted(opened), err
}

// End implements admin.Leases.
func (l leases) End(id, by string) (admin.Lease, error) {
	lease, err := l.store.End(id, by)
	return granted(lease), err
}

// List implements admin.Leases.
func (l leases) List() []admin.Lease {
	var all []admin.Lease
	for _, lease := range l.store.List() {
		all = append(all, granted(lease))
	}
	return all
}

func granted(l telemetry.Lease) admin.Lease {
	out := admin.Lease{
		ID: l.ID, Kind: string(l.Kind), Service: l.Service, Method: l.Method, Scheme: l.Scheme, Principal: l.Principal,
		Reason: l.Reason, OpenedBy: l.OpenedBy, Opened: l.Opened, Expires: l.Expires,
	}
	if l.Kind == telemetry.LogLevel {
		out.Level = strings.ToLower(l.Level.String())
	}
	return out
}

// text of an address, "" for none.
func text(addr net.Addr) string {
	if addr == nil {
		return ""
	}
	return addr.String()
}
