// Package introspect verifies opaque access tokens by asking their issuer
// (RFC 7662).
//
//	v, err := introspect.New(endpoint, clientID, clientSecret, introspect.Config{
//		Scheme: "oauth2", Audience: []string{"orders"},
//	})
//	...
//	defer v.Close()
//	verifiers["oauth2"] = introspect.Choose(tokens, v)
//
// An answer is remembered for 30 s at most: that long a token works after it
// was revoked. Without a clear answer every token is refused as unavailable.
// The issuer's answers to strangers' tokens cost a bounded amount of requests,
// memory and waiting.
package introspect

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/internal/endpoint"
	"github.com/aguada-dev/aguada/auth/internal/text"
)

// Bounds.
const (
	maxToken  = 8 << 10  // bytes
	maxAnswer = 16 << 10 // bytes
	maxKeep   = 30 * time.Second
	maxRefuse = 5 * time.Second
	maxLeeway = 5 * time.Minute
	maxKnown  = time.Hour
	queue     = 4 // waiting requests for each one under way
	tellAgain = 10 * time.Second
)

// Config tunes a [Verifier]. Audience or AnyAudience is required.
type Config struct {
	// Scheme is the design's name of the scheme. Without it an [auth.Guard]
	// fills it into each principal, at the price of an allocation per call.
	Scheme string
	// Issuers lists what iss may be where an answer has one; anything if empty.
	Issuers []string
	// Audience lists the names of this service, one of which the answer's aud
	// must hold. RFC 7662 lets servers leave aud out; here it is required.
	Audience []string
	// AnyAudience accepts tokens whoever they are for. It is for servers that
	// do not tell, and that answer for this service's tokens only.
	AnyAudience bool
	// Leeway is how far the issuer's clock may be off, for exp, nbf and iat;
	// at most 5 min.
	Leeway time.Duration
	// MaxAge is how long after its iat a token is good, leeway included; iat is
	// required then. There is no such bound if 0.
	MaxAge time.Duration
	// Timeout bounds one request and its waiting for others; 5 s if 0.
	Timeout time.Duration
	// Requests is how many run at once; 32 if 0. Four times as many wait, and
	// what comes beyond them is refused as unavailable. Tokens that were active
	// within the last hour have as many for themselves, so that those who make
	// up tokens hold up each other only.
	Requests int
	// Keep is how long an active token is remembered, though never past its
	// exp; 30 s, which is the most, if 0, and not at all if negative. A token
	// that is not active is remembered for a sixth of that.
	Keep time.Duration
	// Cache is how many active tokens are remembered at most, how many others,
	// and how many that were active; 10,000 if 0, and 2 at least. The older half
	// is forgotten when there are more.
	Cache int
	// Logger is told when the endpoint fails and when it is back, twice in 10 s
	// at most; slog.Default() if nil.
	Logger *slog.Logger
	// Transport makes the requests; that of net/http, as the environment's
	// proxy settings say, if nil.
	Transport http.RoundTripper
}

// Verifier asks an introspection endpoint. It is safe for concurrent use.
//
// Callers with the same token share one request, which goes on when one of
// them leaves. Tokens are remembered by their SHA-256.
type Verifier struct {
	endpoint, id, secret func() string
	cfg                  Config
	client               *http.Client
	ctx                  context.Context // ends at Close
	cancel               context.CancelFunc
	work                 sync.WaitGroup

	mu          sync.Mutex // guards the rest
	flights     map[digest]*flight
	fresh, seen group // flights of tokens that were never active, and of those that were
	active      *cache[*auth.Principal]
	refused     *cache[error]
	known       *cache[bool] // those that were active lately; false once they are not any more
	failure     string       // the last; empty while all is well
	told        string       // the last that was logged, unless the end of it was
	toldAt      time.Time
}

// group is a set of flights, of which a bounded number is under way at once.
type group struct {
	slots chan struct{} // one for each request under way
	n     int           // flights
}

var _ auth.Verifier = (*Verifier)(nil)

// digest is a SHA-256.
type digest = [sha256.Size]byte

// flight is a request under way or waiting for its turn.
type flight struct {
	of   *group
	done chan struct{}
	p    *auth.Principal // set before done is closed
	err  error
}

// New returns a verifier that asks at an endpoint, which is https, or http on
// loopback. It shows that it may ask by a client's id and secret
// (client_secret_basic, RFC 6749, 2.3.1). All three are read for each request,
// so that a secret can be rotated and an endpoint be discovered later; while
// one is empty, tokens are refused as unavailable.
func New(address, clientID, clientSecret func() string, cfg Config) (*Verifier, error) {
	var errs []error
	if address == nil || clientID == nil || clientSecret == nil {
		errs = append(errs, errors.New("there is no endpoint, client id or client secret"))
	} else if at := address(); at != "" {
		if _, err := endpoint.Parse(at); err != nil {
			errs = append(errs, fmt.Errorf("the endpoint: %w", err))
		}
	}
	if (len(cfg.Audience) == 0) != cfg.AnyAudience {
		errs = append(errs, errors.New("either an audience or any audience must be configured"))
	}
	if slices.Contains(cfg.Audience, "") || slices.Contains(cfg.Issuers, "") {
		errs = append(errs, errors.New("an audience or an issuer is empty"))
	}
	if cfg.Leeway < 0 || cfg.Leeway > maxLeeway {
		errs = append(errs, fmt.Errorf("the leeway is not within 0 and %s", maxLeeway))
	}
	if cfg.MaxAge < 0 || cfg.Timeout < 0 || cfg.Requests < 0 || cfg.Cache < 0 {
		errs = append(errs, errors.New("a bound is negative"))
	}
	if cfg.Keep > maxKeep {
		errs = append(errs, fmt.Errorf("answers are kept longer than %s", maxKeep))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("make introspection verifier: %w", err)
	}
	return start(address, clientID, clientSecret, cfg), nil
}

// start fills in what is usual.
func start(address, clientID, clientSecret func() string, cfg Config) *Verifier {
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	if cfg.Requests == 0 {
		cfg.Requests = 32
	}
	if cfg.Keep == 0 {
		cfg.Keep = maxKeep
	}
	if cfg.Cache == 0 {
		cfg.Cache = 10_000
	}
	if cfg.Transport == nil {
		cfg.Transport = endpoint.Transport(2 * cfg.Requests)
	}
	cfg.Audience, cfg.Issuers = slices.Clone(cfg.Audience), slices.Clone(cfg.Issuers)
	v := &Verifier{
		endpoint: address, id: clientID, secret: clientSecret, cfg: cfg,
		client: endpoint.Client(cfg.Transport), flights: map[digest]*flight{},
		fresh: group{slots: make(chan struct{}, cfg.Requests)}, seen: group{slots: make(chan struct{}, cfg.Requests)},
		active: newCache[*auth.Principal](cfg.Cache), refused: newCache[error](cfg.Cache), known: newCache[bool](cfg.Cache),
	}
	v.ctx, v.cancel = context.WithCancel(context.Background())
	return v
}

// Errors of Verify. Like all of this package they hold no part of the token.
var (
	errForm   = auth.Refuse(auth.Malformed, "the token is empty, longer than 8 KiB or not visible ASCII")
	errClosed = auth.Refuse(auth.Unavailable, "the verifier is closed")
	errBusy   = auth.Refuse(auth.Unavailable, "too many tokens are being introspected")
	errLate   = errors.New("the introspection of other tokens took too long")
)

// Verify implements [auth.Verifier] by c's Token. The principal's Subject is
// sub or else username, Issuer is iss, ClientID is client_id, CredentialID is
// jti, Scopes are those of scope, and Claims is the whole answer. A token that is
// not active is [auth.Unknown], or [auth.Expired] if it was within the last
// hour: then it is no guess. ExpiresAt is
// the zero time where the answer has no exp: it is asked for again and again.
func (v *Verifier) Verify(ctx context.Context, c auth.Credential) (*auth.Principal, error) {
	if len(c.Token) > maxToken || !text.Visible(c.Token) {
		return nil, errForm
	}
	id := sha256.Sum256([]byte(c.Token))
	f, p, err := v.join(id, c.Token, time.Now())
	if f == nil {
		return p, err
	}
	select {
	case <-f.done:
		return f.p, f.err
	case <-ctx.Done():
		return nil, &auth.Error{Reason: auth.Unavailable, Err: ctx.Err()}
	}
}

// join returns what is remembered of a token, or the flight that finds out.
func (v *Verifier) join(id digest, token string, now time.Time) (*flight, *auth.Principal, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if p, ok := v.active.find(id, now); ok {
		return nil, p, nil
	}
	if err, ok := v.refused.find(id, now); ok {
		return nil, nil, err
	}
	if f := v.flights[id]; f != nil {
		return f, nil, nil
	}
	if v.ctx.Err() != nil {
		return nil, nil, errClosed
	}
	of := &v.fresh
	if active, _ := v.known.find(id, now); active {
		of = &v.seen
	}
	if of.n >= v.cfg.Requests*(1+queue) {
		return nil, nil, errBusy
	}
	f := &flight{of: of, done: make(chan struct{})}
	v.flights[id] = f
	of.n++
	v.work.Add(1)
	go v.fly(id, f, token)
	return f, nil, nil
}

// fly asks about one token and keeps the answer.
func (v *Verifier) fly(id digest, f *flight, token string) {
	defer v.work.Done()
	begun, a, err := v.ask(f.of.slots, token)
	now := time.Now()
	var until time.Time
	if err == nil {
		f.p, until, f.err = v.principal(a, now)
	} else {
		f.err = &auth.Error{Reason: auth.Unavailable, Err: err}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	defer close(f.done)
	delete(v.flights, id)
	f.of.n--
	if err != nil {
		return
	}
	if _, was := v.known.find(id, now); was || f.err == nil {
		if f.err == errInactive { //nolint:errorlint // a sentinel of this package, never wrapped
			f.err = errEnded
		}
		v.known.store(id, f.err == nil, begun.Add(maxKnown), now)
	}
	if v.cfg.Keep > 0 { // since the question: what the issuer knew then
		if latest := begun.Add(v.cfg.Keep); f.err == nil {
			if until.IsZero() || latest.Before(until) {
				until = latest
			}
			v.active.store(id, f.p, until, now)
		} else if e, ok := errors.AsType[*auth.Error](f.err); ok && e.Reason != auth.Unavailable {
			v.refused.store(id, f.err, begun.Add(min(v.cfg.Keep/6, maxRefuse)), now)
		}
	}
}

// Close ends the requests under way and waits for them. It is idempotent; what
// is verified later is remembered or unavailable.
func (v *Verifier) Close() error {
	v.cancel()
	v.mu.Lock()   // a flight that starts has started; none will after this
	v.mu.Unlock() //nolint:staticcheck // it only orders
	v.work.Wait()
	v.client.CloseIdleConnections()
	return nil
}

// Ready returns nil when it is known where and as whom to ask, else why not. An
// endpoint that fails is no reason: a service that is sent no more requests
// would not find out that it is back. Note tells of that.
func (v *Verifier) Ready(context.Context) error {
	if _, err := v.target(); err != nil {
		return fmt.Errorf("introspection: %w", err)
	}
	return nil
}

// Note says why the last request failed; it is empty if it did not.
func (v *Verifier) Note() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.failure == "" {
		return ""
	}
	return "introspection: " + v.failure
}
