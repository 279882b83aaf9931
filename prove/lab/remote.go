package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/target"
)

// Control is what of a service is in the prover's hands.
type Control uint16

// What there is to be controlled. All of it is there where the prover starts the
// service; of one that runs already, what was given.
const (
	// Process: processes of the service are started, ended and looked into.
	Process Control = 1 << iota
	// Log: what the process writes is read.
	Log
	// Telemetry: what the process sends comes to the prover.
	Telemetry
	// Issuer: the prover makes tokens that the service trusts, and others that
	// look like them.
	Issuer
	// Scopes: credentials can be made that lack a scope.
	Scopes
	// GRPC: it is known where gRPC is served.
	GRPC
	// Floods: the service may be given more than it can take, and bytes that a
	// proxy in front might not survive.
	Floods
)

// everything is what a process of the prover's own gives.
const everything = Process | Log | Telemetry | Issuer | Scopes | GRPC | Floods

// missing says what it means that a control is not there, in the order in which
// it is said.
var missing = []struct {
	Control
	text string
}{
	{Process, "needs control of the process"},
	{Log, "needs the log of the process"},
	{Telemetry, "needs the telemetry of the process"},
	{Issuer, "needs an issuer that the service trusts, or the secret of its tokens"},
	{Scopes, "needs credentials that lack a scope"},
	{GRPC, "needs the address of gRPC"},
	{Floods, "floods the service: it is asked with --destructive only"},
}

// changing is why a method is not called, or a request not sent.
const changing = "changes things: it is asked with --destructive only"

// Remote is a service that runs already and belongs to somebody else.
type Remote struct {
	// Scheme is "http" or "https", and Host where it listens: host:port.
	Scheme, Host string
	// Roots are the certificates that its own is checked against; the system's
	// if nil.
	Roots *x509.CertPool
	// Destructive allows requests that change things, and floods.
	Destructive bool
}

// ErrNoControl is the error of whatever needs the process of a service that runs
// already.
var ErrNoControl = errors.New(missing[0].text)

// errWithheld is the error of a request that would change things.
var errWithheld = errors.New("the request is not sent: it " + changing)

// Controls returns what of the service is in the prover's hands.
func (l *Lab) Controls() Control {
	if l.Remote == nil {
		return everything
	}
	var c Control
	if l.Config.Issuer != nil {
		c |= Issuer | Scopes
	}
	if l.Remote.Destructive {
		c |= Floods
	}
	return c
}

// Lacks returns why what is needed cannot be done, "" where it can.
func (l *Lab) Lacks(needs Control) string {
	for _, m := range missing {
		if needs&m.Control&^l.Controls() != 0 {
			return m.text
		}
	}
	return ""
}

// Spares returns why the method is not called, "" where it may be: no request can
// be made, or the service runs already and is to be spared.
func (l *Lab) Spares(m *model.Method) string {
	if m.Unmade != "" {
		return m.Unmade
	}
	if l.Remote == nil {
		return ""
	}
	if !l.Remote.Destructive && (m.Changes() || m.Kind == policy.WebSocket) {
		return changing
	}
	if m.Kind == policy.WebSocket && l.Remote.Scheme == "https" {
		return "the prover opens no WebSocket over TLS"
	}
	if _, err := l.Wallet.Credentials(m, 0, Good); err != nil {
		return "no credential is given that it takes"
	}
	return ""
}

// Single reports whether all clients have the same address, so that limits and
// lock-outs of one meet all others.
func (l *Lab) Single() bool { return l.single }

// attach makes the remote service the main one.
func (l *Lab) attach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	l.Recipe.Scheme = l.Remote.Scheme
	l.Main = target.At(l.Remote.Scheme, l.Remote.Host)
	if l.Remote.Roots != nil {
		l.tls = &tls.Config{RootCAs: l.Remote.Roots, MinVersion: tls.VersionTLS12}
	}
	if err := l.reach(ctx, nil); err != nil {
		return fmt.Errorf("reach the service: %w", err)
	}
	own := l.address()
	l.single = own == nil || !loopback(ctx, l.Remote.Host) || l.reach(ctx, own) != nil
	return nil
}

// reach opens a connection to the remote service, and closes it.
func (l *Lab) reach(ctx context.Context, from net.IP) error {
	d := &net.Dialer{Timeout: 5 * time.Second}
	if from != nil {
		d.LocalAddr = &net.TCPAddr{IP: from}
	}
	conn, err := d.DialContext(ctx, "tcp", l.Remote.Host)
	if err != nil {
		return err
	}
	return conn.Close()
}

// loopback reports whether every address of the host is of this machine.
func loopback(ctx context.Context, host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		return false
	}
	addresses, err := net.DefaultResolver.LookupIPAddr(ctx, name)
	return err == nil && len(addresses) > 0 && !slices.ContainsFunc(addresses, func(a net.IPAddr) bool { return !a.IP.IsLoopback() })
}

// Notes are what happened on the way to an outcome, which the outcome does not
// say. It is safe for concurrent use.
type Notes struct {
	control, withheld, limited atomic.Bool
}

type notesKey struct{}

// Watch returns a context under which the lab takes notes.
func Watch(ctx context.Context) (context.Context, *Notes) {
	n := &Notes{}
	return context.WithValue(ctx, notesKey{}, n), n
}

// Spoiled returns why an outcome says nothing: what it needed was not there. It
// is "" where it counts.
func (n *Notes) Spoiled() string {
	switch {
	case n.control.Load():
		return missing[0].text
	case n.withheld.Load():
		return "one of its requests " + changing
	}
	return ""
}

// Limited reports whether some answer was 429 while all clients have one
// address: other probes may be the cause.
func (n *Notes) Limited() bool { return n.limited.Load() }

// note gives the notes of a context to f, if there are any.
func note(ctx context.Context, f func(*Notes)) {
	if n, ok := ctx.Value(notesKey{}).(*Notes); ok {
		f(n)
	}
}

// uncontrolled is the error where there is no process to be started.
func (l *Lab) uncontrolled(ctx context.Context) error {
	if l.Remote == nil {
		return nil
	}
	note(ctx, func(n *Notes) { n.control.Store(true) })
	return ErrNoControl
}

// guard lets through what a service that runs already may be asked.
type guard struct {
	lab  *Lab
	next http.RoundTripper
}

// guarded returns a transport that holds back what the service shall be spared.
func (l *Lab) guarded(next http.RoundTripper) http.RoundTripper {
	if l.Remote == nil {
		return next
	}
	return &guard{l, next}
}

// RoundTrip sends the request, or fails where it might change things.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if !g.lab.Remote.Destructive && !model.Safe(r.Method) {
		note(r.Context(), func(n *Notes) { n.withheld.Store(true) })
		return nil, errWithheld
	}
	res, err := g.next.RoundTrip(r)
	if err == nil && res.StatusCode == http.StatusTooManyRequests && g.lab.single {
		note(r.Context(), func(n *Notes) { n.limited.Store(true) })
	}
	return res, err
}
