// Package lab is what a probe works with: the service, running with everything
// around it under the prover's control, clients with addresses of their own,
// credentials of every kind, requests that are known to work, and what the
// service writes and sends while it is attacked.
//
//	l, err := lab.Open(ctx, cfg)
//	c := l.NewClient(l.Main)
//	r, err := l.Valid(ctx, c, m)
//	a := c.Do(ctx, l.Sign(r, m, lab.Good))
//
// The lab judges nothing: it sends, and says what came back.
package lab

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aguada-dev/aguada/prove/idp"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/payload"
	"github.com/aguada-dev/aguada/prove/sink"
	"github.com/aguada-dev/aguada/prove/target"
	"github.com/aguada-dev/aguada/prove/wallet"
)

// Config says what a lab is built around.
type Config struct {
	Service *model.Service
	// Recipe starts the service.
	Recipe target.Recipe
	// Wallet makes its credentials, and Sink receives its telemetry.
	Wallet *wallet.Wallet
	Sink   *sink.Sink
	// Issuer is whom the service trusts, and who forges; nil where it takes no
	// tokens.
	Issuer *idp.Provider
	// NewIssuer starts another issuer of that kind, and Token makes a token of
	// one; nil where the service takes no tokens.
	NewIssuer func() (*idp.Provider, error)
	Token     func(p *idp.Provider, subject string, scopes []string) (string, error)
	// Introspection is the environment by which the service asks its issuer about
	// tokens (RFC 7662); nil where it does not, or nobody knows how. It may hold
	// ${introspection_url}, ${introspection_id} and ${introspection_secret}.
	Introspection map[string]string
	// Secrets are masked in evidence, and looked for in whatever the service
	// prints.
	Secrets *target.Secrets
	// Seed makes the same payloads again.
	Seed uint64
	// Parameters are values for path and query parameters that the prover
	// cannot find by itself, by "service.method" and name; "*" stands for every
	// method.
	Parameters map[string]map[string]string
	// Dependencies are what the service reaches by an address in its
	// environment, and may be taken away from a process of a probe's own.
	Dependencies []Dependency
	// Debug is the path by which lines of level debug are switched on, "" where
	// nobody has said that there is one.
	Debug string
	// Remote is the service where it runs already. Recipe, Sink and NewIssuer
	// are then of no use, and Issuer is nil unless it signs what the service
	// trusts.
	Remote *Remote
	// Progress is told what the lab is doing; nil for nobody.
	Progress func(string)
}

// Dependency is something that the service needs and reaches over TCP.
type Dependency struct {
	// Variable of the service's environment holds the address, and Address is
	// its value: a URL with a host, or host:port.
	Variable, Address string
}

// Lab is safe for concurrent use.
type Lab struct {
	Config
	// Main is the process that most probes share. Nobody may end it or change
	// what it depends on: those who would start one of their own. Of a service
	// that runs already only its address is known: it has no log (nil), no
	// folder and no process id.
	Main    *target.Instance
	Payload *payload.Maker

	next    atomic.Uint32 // address of the next client
	tls     *tls.Config
	mu      sync.Mutex
	closers []func()
	valid   map[string]Request // by method: one that works and changes nothing
	keeping sync.Map           // of Keep
	single  bool               // all clients have one address
}

// Open starts the service, or reaches the one that runs already.
func Open(ctx context.Context, cfg Config) (*Lab, error) {
	l := &Lab{Config: cfg, Payload: payload.New(cfg.Seed), valid: map[string]Request{}}
	if cfg.Remote != nil {
		if err := l.attach(ctx); err != nil {
			return nil, err
		}
		return l, nil
	}
	in, err := l.Start(ctx, nil)
	if err != nil {
		return nil, err
	}
	l.Main = in
	return l, nil
}

// Start starts another process of the service, which is closed with the lab if
// not before; env wins over the recipe's, and a value of "-" takes a variable
// away.
func (l *Lab) Start(ctx context.Context, env map[string]string) (*target.Instance, error) {
	if err := l.uncontrolled(ctx); err != nil {
		return nil, err
	}
	in, err := target.Start(ctx, l.Recipe, l.environment(env))
	if err != nil {
		return nil, err
	}
	l.onClose(in.Close)
	return in, nil
}

// Island starts another process of the service, which trusts an issuer of its
// own: what becomes of that one touches nobody else. Both are closed with the lab
// if not before.
func (l *Lab) Island(ctx context.Context) (*target.Instance, *idp.Provider, error) {
	return l.island(ctx, nil)
}

// Asking starts an Island that asks its issuer about tokens.
func (l *Lab) Asking(ctx context.Context) (*target.Instance, *idp.Provider, error) {
	return l.island(ctx, l.Introspection)
}

func (l *Lab) island(ctx context.Context, env map[string]string) (*target.Instance, *idp.Provider, error) {
	if err := l.uncontrolled(ctx); err != nil {
		return nil, nil, err
	}
	if l.NewIssuer == nil {
		return nil, nil, errors.New("the service takes no tokens")
	}
	issuer, err := l.NewIssuer()
	if err != nil {
		return nil, nil, err
	}
	l.onClose(func() { _ = issuer.Close() })
	r := l.Recipe
	r.Values = maps.Clone(r.Values)
	r.Values["issuer"], r.Values["keys_url"] = issuer.Issuer(), issuer.KeysURL()
	r.Values["introspection_url"], r.Values["introspection_id"], r.Values["introspection_secret"] = issuer.IntrospectionURL(), issuer.ClientID(), issuer.ClientSecret()
	l.Secrets.Add("the secret of who asks about tokens", issuer.ClientSecret())
	in, err := target.Start(ctx, r, l.environment(env))
	if err != nil {
		return nil, nil, err
	}
	l.onClose(in.Close)
	return in, issuer, nil
}

// Launch is Start without waiting for readiness: for starts that shall fail.
func (l *Lab) Launch(env map[string]string) (*target.Instance, error) {
	if l.Remote != nil {
		return nil, ErrNoControl
	}
	in, err := target.Launch(l.Recipe, l.environment(env))
	if err != nil {
		return nil, err
	}
	l.onClose(in.Close)
	return in, nil
}

func (l *Lab) environment(env map[string]string) map[string]string {
	all := l.Sink.Environment(sink.HTTPProtobuf)
	maps.Copy(all, l.Wallet.Environment())
	maps.Copy(all, l.Recipe.Env) // what somebody says of the service wins
	maps.Copy(all, env)
	return all
}

// token is an access token in its compact form (RFC 7515, section 7.1).
var token = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{8,}`)

// Mask returns the text without secrets, and without tokens that the service
// made itself.
func (l *Lab) Mask(text string) string {
	return token.ReplaceAllString(l.Secrets.Mask(text), "‹a token of the service's›")
}

// Close ends every process and client of the lab.
func (l *Lab) Close() {
	l.mu.Lock()
	closers := l.closers
	l.closers = nil
	l.mu.Unlock()
	for i := len(closers) - 1; i >= 0; i-- {
		closers[i]()
	}
}

func (l *Lab) onClose(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closers = append(l.closers, f)
}

// address returns an address of loopback that no other client has: a /16 of
// 127.0.0.0/8, all of which Linux answers for; nil where there is only one.
func (l *Lab) address() net.IP {
	if l.single {
		return nil
	}
	n := l.next.Add(1)
	ip := make(net.IP, 4)
	binary.BigEndian.PutUint32(ip, 127<<24|77<<16|(n%65000+1))
	once.Do(func() {
		s, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: ip})
		if many = err == nil; many {
			_ = s.Close()
		}
	})
	if !many {
		return nil
	}
	return ip
}

var (
	once sync.Once
	many bool // loopback has more than one address
)

// errStopped is the error of what the service's end interrupted.
var errStopped = errors.New("the service has ended")

// Alive returns an error when the shared process has ended, which no attack may
// achieve.
func (l *Lab) Alive() error {
	if l.Remote != nil {
		if err := l.reach(context.Background(), nil); err != nil {
			return fmt.Errorf("%w: %w", errStopped, err)
		}
		return nil
	}
	if l.Main.Running() {
		return nil
	}
	return fmt.Errorf("%w with %s; its last words:\n%s", errStopped, l.Main.Exit(), l.Mask(l.Main.LastWords()))
}

// Soon is how long to wait for what the service sends behind its answer: log
// lines, spans, metrics.
const Soon = 3 * time.Second
