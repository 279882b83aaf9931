package telemetry

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// LeaseKind is what a lease allows.
type LeaseKind string

// The kinds of a lease.
const (
	// LogLevel lowers the level of the log.
	LogLevel LeaseKind = "log-level"
	// Payloads writes requests and results into the log, redacted.
	Payloads LeaseKind = "payloads"
)

// How long a lease lasts.
const (
	DefaultLease = 10 * time.Minute
	MaxLease     = time.Hour
)

// Bounds of the store and of a lease's texts, in bytes.
const (
	maxLeases    = 32
	maxLeaseText = 256
)

// Lease is a permission to look closer for a while. It applies to the calls
// that all of Service, Method, Scheme and Principal match; an empty one matches
// any.
type Lease struct {
	// ID is set by Open.
	ID   string    `json:"id"`
	Kind LeaseKind `json:"kind"`
	// Level is what the log is lowered to; the zero value is INFO. It has no
	// meaning for Payloads.
	Level   slog.Level `json:"level"`
	Service string     `json:"service,omitempty"`
	// Method needs a Service.
	Method string `json:"method,omitempty"`
	// Scheme is the design's name of the security scheme that proved the
	// caller: subjects of different schemes may have the same name. Like
	// Principal it never matches a call that nobody authenticated.
	Scheme string `json:"scheme,omitempty"`
	// Principal is a subject.
	Principal string `json:"principal,omitempty"`
	// OpenedBy says who answers for the lease.
	OpenedBy string `json:"opened_by"`
	Reason   string `json:"reason,omitempty"`
	// Opened and Expires are set by Open.
	Opened  time.Time `json:"opened"`
	Expires time.Time `json:"expires"`
}

// LeaseAction is what happened to a lease.
type LeaseAction string

// What happens to a lease.
const (
	LeaseOpened  LeaseAction = "opened"
	LeaseEnded   LeaseAction = "ended"
	LeaseExpired LeaseAction = "expired"
)

// LeaseEvent is what the audit is told.
type LeaseEvent struct {
	Time   time.Time   `json:"time"`
	Action LeaseAction `json:"action"`
	// By is who opened or ended the lease; empty when it expired.
	By    string `json:"by,omitempty"`
	Lease Lease  `json:"lease"`
}

// What Open and End wrap.
var (
	ErrLeaseInvalid = errors.New("invalid lease")
	ErrLeasesFull   = fmt.Errorf("%d leases are open", maxLeases)
	ErrNoLease      = errors.New("no such lease")
)

// Leases are the open leases of a process. A lease ends by itself when it
// expires, to the moment: an expired lease applies to nothing, however busy
// the process is. It has expired when its time has passed on the wall clock or
// on the monotonic one, whichever comes first: the time that a machine was
// suspended counts, and a wall clock that was set back lengthens nothing.
// Nobody looks at a lease without the audit being told first.
//
// A nil *Leases has no lease and opens none. All methods are safe for
// concurrent use.
type Leases struct {
	cfg  LeasesConfig
	open atomic.Pointer[[]held] // nil without any; never changed, but replaced
	now  func() instant

	mu     sync.Mutex // orders changes and the audit
	timers map[string]*time.Timer
}

// instant is a moment on both clocks. Between two of them either may have
// advanced more: one is set, the other stands still while the machine sleeps.
type instant struct {
	wall time.Time     // without a monotonic reading
	up   time.Duration // since some moment of this process
}

// clock reads both clocks.
func clock() func() instant {
	start := time.Now()
	return func() instant {
		now := time.Now()
		return instant{now.Round(0), now.Sub(start)}
	}
}

// held is an open lease and when it ends on the monotonic clock.
type held struct {
	Lease
	end time.Duration
}

func (h *held) expired(now instant) bool {
	return now.up >= h.end || !now.wall.Before(h.Expires)
}

// LeasesConfig is what Leases need of others.
type LeasesConfig struct {
	// Audit is told of every change, before a lease opens and after it has
	// ended. Events come one at a time; it must not open or end a lease.
	// Without it no lease can be opened.
	Audit func(LeaseEvent)
	// Describe returns a payload as what is printed of it, for types that
	// have no LogValue method: it must mask what those within it mask. Nil
	// prints such a value as fmt does.
	Describe func(v any) slog.Value
}

// NewLeases returns a store without leases.
func NewLeases(cfg LeasesConfig) *Leases {
	return &Leases{cfg: cfg, now: clock(), timers: make(map[string]*time.Timer)}
}

// Open opens the lease for d, where 0 means DefaultLease, and returns it with
// its identifier and times. A payload lease must name a service or a
// principal. Its error wraps ErrLeaseInvalid or ErrLeasesFull.
func (l *Leases) Open(lease Lease, d time.Duration) (Lease, error) {
	if l == nil || l.cfg.Audit == nil {
		return Lease{}, fmt.Errorf("open lease: %w: nobody audits leases here", ErrLeaseInvalid)
	}
	d = cmp.Or(d, DefaultLease)
	if err := lease.validate(d); err != nil {
		return Lease{}, fmt.Errorf("open lease: %w: %w", ErrLeaseInvalid, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.prune(now)
	var open []held
	if p := l.open.Load(); p != nil {
		open = *p
	}
	if len(open) >= maxLeases {
		return Lease{}, fmt.Errorf("open lease: %w", ErrLeasesFull)
	}
	lease.ID = rand.Text()[:12]
	lease.Opened, lease.Expires = now.wall, now.wall.Add(d)
	l.cfg.Audit(LeaseEvent{Time: lease.Opened, Action: LeaseOpened, By: lease.OpenedBy, Lease: lease})
	open = slices.Concat(open, []held{{lease, now.up + d}})
	l.open.Store(&open)
	l.timers[lease.ID] = time.AfterFunc(d, func() { l.expire(lease.ID) })
	return lease, nil
}

func (l *Lease) validate(d time.Duration) error {
	switch {
	case l.Kind != LogLevel && l.Kind != Payloads:
		return fmt.Errorf("kind %q is neither %q nor %q", truncate(string(l.Kind), 32), LogLevel, Payloads)
	case l.OpenedBy == "":
		return errors.New("opened_by is empty")
	case l.Method != "" && l.Service == "":
		return errors.New("a method needs its service")
	case l.Kind == Payloads && l.Service == "" && l.Principal == "":
		return errors.New("payloads need a service or a principal")
	case d < 0 || d > MaxLease:
		return fmt.Errorf("a lease lasts at most %s", MaxLease)
	}
	for _, s := range []string{l.Service, l.Method, l.Scheme, l.Principal, l.OpenedBy, l.Reason} {
		if len(s) > maxLeaseText {
			return fmt.Errorf("a text is longer than %d bytes", maxLeaseText)
		}
	}
	return nil
}

// End ends the lease on behalf of somebody, and returns it. Its error wraps
// ErrNoLease.
func (l *Leases) End(id, by string) (Lease, error) {
	if l == nil {
		return Lease{}, fmt.Errorf("end lease: %w", ErrNoLease)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	gone, ok := l.remove(id, LeaseEnded, by)
	if !ok {
		return Lease{}, fmt.Errorf("end lease: %w", ErrNoLease)
	}
	return gone, nil
}

// Close ends all leases, on behalf of somebody, and with them their timers.
func (l *Leases) Close(by string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if open := l.open.Load(); open != nil {
		for _, h := range *open {
			l.remove(h.ID, LeaseEnded, by)
		}
	}
}

// expire removes a lease whose timer has run out.
func (l *Leases) expire(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(id, LeaseExpired, "")
}

// prune removes what has expired and whose timer, which stands still while the
// machine sleeps, has not run out. The caller holds mu.
func (l *Leases) prune(now instant) {
	if open := l.open.Load(); open != nil {
		for _, h := range *open {
			if h.expired(now) {
				l.remove(h.ID, LeaseExpired, "")
			}
		}
	}
}

// remove reports false for a lease that is gone. What somebody ends after it
// has expired has expired. The caller holds mu.
func (l *Leases) remove(id string, action LeaseAction, by string) (gone Lease, ok bool) {
	var open []held
	if p := l.open.Load(); p != nil {
		open = *p
	}
	i := slices.IndexFunc(open, func(h held) bool { return h.ID == id })
	if i < 0 {
		return Lease{}, false
	}
	now := l.now()
	if open[i].expired(now) {
		action, by = LeaseExpired, ""
	}
	gone = open[i].Lease
	if rest := slices.Concat(open[:i], open[i+1:]); len(rest) > 0 {
		l.open.Store(&rest)
	} else {
		l.open.Store(nil)
	}
	l.timers[id].Stop()
	delete(l.timers, id)
	l.cfg.Audit(LeaseEvent{Time: now.wall, Action: action, By: by, Lease: gone})
	return gone, true
}

// List returns the leases that apply now, in the order in which they were
// opened. The caller owns the slice.
func (l *Leases) List() []Lease {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.prune(l.now())
	var all []Lease
	if open := l.open.Load(); open != nil {
		for _, h := range *open {
			all = append(all, h.Lease)
		}
	}
	return all
}

// Caller is who calls, as far as leases tell callers apart. The zero value is
// a caller that nobody authenticated.
type Caller struct {
	// Scheme is the design's name of the scheme that proved the caller.
	Scheme string
	// Subject is who it is.
	Subject string
}

// binding is a call that leases apply to. What they allow is looked up when it
// is used: a lease that ends ends for calls that are under way, too.
type binding struct {
	leases          *Leases
	service, method string
	caller          Caller
}

// Apply lets the leases that match the call apply to the lines under s, and
// reports whether there are any. It is called once, when the caller is known;
// without an open lease it costs one atomic load.
func (l *Leases) Apply(s *Scope, service, method string, caller Caller) bool {
	if l == nil || l.open.Load() == nil {
		return false
	}
	b := &binding{leases: l, service: service, method: method, caller: caller}
	if !b.any(func(*Lease) bool { return true }) {
		return false
	}
	s.bound.Store(b)
	return true
}

// any reports whether a lease that matches the call satisfies the condition.
func (b *binding) any(condition func(*Lease) bool) bool {
	p := b.leases.open.Load()
	if p == nil {
		return false
	}
	now := b.leases.now()
	for i := range *p {
		if h := &(*p)[i]; !h.expired(now) && h.matches(b) && condition(&h.Lease) {
			return true
		}
	}
	return false
}

func (b *binding) lowered(level slog.Level) bool {
	return b.any(func(l *Lease) bool { return l.Kind == LogLevel && level >= l.Level })
}

func (l *Lease) matches(b *binding) bool {
	return (l.Service == "" || l.Service == b.service) &&
		(l.Method == "" || l.Method == b.method) &&
		(l.Scheme == "" || l.Scheme == b.caller.Scheme) &&
		(l.Principal == "" || l.Principal == b.caller.Subject)
}
