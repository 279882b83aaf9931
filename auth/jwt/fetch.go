package jwt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aguada-dev/aguada/auth"
)

// Backoff after a failed fetch, from the first to any later one.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// remote is the key set at a URL. Fetches run one at a time, apart from the
// calls that want them.
type remote struct {
	url    string
	cfg    KeySetConfig
	client *http.Client
	log    func() *slog.Logger
	ctx    context.Context // ends at close
	cancel context.CancelFunc
	work   sync.WaitGroup

	state   atomic.Pointer[state]
	mu      sync.Mutex
	started time.Time     // when the last fetch began
	flight  chan struct{} // closed when the fetch under way ends; nil if there is none
}

// state is what fetching came to. It is immutable.
type state struct {
	set     *keySet   // nil before the first success
	fetched time.Time // when set was last confirmed
	err     error     // of the last fetch
}

// newRemote starts fetching.
func newRemote(address string, cfg KeySetConfig) (*remote, error) {
	if err := checkURL(address); err != nil {
		return nil, err
	}
	for _, d := range []struct {
		value *time.Duration
		usual time.Duration
	}{{&cfg.Refresh, 10 * time.Minute}, {&cfg.Throttle, 10 * time.Second}, {&cfg.Timeout, 5 * time.Second}, {&cfg.MaxStale, 6 * time.Hour}} {
		if *d.value < 0 {
			return nil, errors.New("a duration is negative")
		}
		if *d.value == 0 {
			*d.value = d.usual
		}
	}
	if cfg.Transport == nil {
		cfg.Transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConns: 1, IdleConnTimeout: time.Minute,
		}
	}
	r := &remote{url: address, cfg: cfg, log: logger(cfg)}
	r.state.Store(&state{})
	r.client = &http.Client{
		Transport:     cfg.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.work.Add(1)
	go r.keep(r.request(false))
	return r, nil
}

// checkURL refuses addresses by which others could supply keys.
func checkURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Opaque != "" {
		return errors.New("the URL of the key set is not an absolute URL")
	}
	if u.User != nil || u.Fragment != "" {
		return errors.New("the URL of the key set has a user or a fragment")
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return errors.New("the URL of the key set is not https, which only loopback may do without")
	}
	return nil
}

// keep fetches until the set is closed, after the fetch that is under way.
func (r *remote) keep(done <-chan struct{}) {
	defer r.work.Done()
	retry := firstRetry
	for {
		if r.wait(r.ctx, done) != nil || r.ctx.Err() != nil {
			return
		}
		pause := time.Duration(float64(r.cfg.Refresh) * (0.9 + 0.2*rand.Float64())) //nolint:gosec // jitter
		if r.failure() != nil {
			pause = min(retry, pause)
			retry = min(2*retry, lastRetry)
		} else {
			retry = firstRetry
		}
		timer := time.NewTimer(pause)
		select {
		case <-r.ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		done = r.request(false)
	}
}

// request returns a channel that is closed when the fetch under way ends. It
// starts one where there is none, except when a token asks for it too soon
// after the last: then the channel is nil.
func (r *remote) request(token bool) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flight != nil {
		return r.flight
	}
	if r.ctx.Err() != nil || (token && !r.started.IsZero() && time.Since(r.started) < r.cfg.Throttle) {
		return nil
	}
	done := make(chan struct{})
	r.flight, r.started = done, time.Now()
	r.work.Add(1)
	go r.fly(done)
	return done
}

// wait waits for a fetch, if there is one. It fails when the caller goes first.
func (r *remote) wait(ctx context.Context, done <-chan struct{}) error {
	if done == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return &auth.Error{Reason: auth.Unavailable, Err: ctx.Err()}
	}
}

// fly fetches once and keeps what comes.
func (r *remote) fly(done chan struct{}) {
	defer r.work.Done()
	set, err := r.fetch()
	old := r.state.Load()
	now := &state{set: old.set, fetched: old.fetched, err: err}
	changed := err == nil && (old.set == nil || old.set.sum != set.sum)
	if changed {
		now.set = set
	}
	if err == nil {
		now.fetched = time.Now()
	}
	r.mu.Lock()
	r.state.Store(now)
	r.flight = nil
	r.mu.Unlock()
	close(done)
	switch {
	case err != nil && r.ctx.Err() == nil && (old.err == nil || old.err.Error() != err.Error()):
		r.log().Error("key set not fetched", "key_set", r.url, "error", err)
	case err == nil && old.err != nil:
		r.log().Info("key set fetched again", "key_set", r.url)
	}
	if changed {
		warn(r.log, r.url, set)
	}
}

// fetch gets the set.
func (r *remote) fetch() (*keySet, error) {
	ctx, cancel := context.WithTimeout(r.ctx, r.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch key set: status %d", res.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxSet+1))
	if err != nil {
		return nil, fmt.Errorf("fetch key set: %w", err)
	}
	return parseSet(data)
}

// usable returns the set, unless there is none or it is stale.
func (r *remote) usable() (*keySet, error) {
	s := r.state.Load()
	switch {
	case s.set == nil && s.err != nil:
		return nil, fmt.Errorf("not fetched yet: %w", s.err)
	case s.set == nil:
		return nil, errors.New("not fetched yet")
	case time.Since(s.fetched) <= r.cfg.MaxStale:
		return s.set, nil
	case s.err != nil:
		return nil, fmt.Errorf("last fetched more than %s ago: %w", r.cfg.MaxStale, s.err)
	default:
		return nil, fmt.Errorf("last fetched more than %s ago", r.cfg.MaxStale)
	}
}

// failure returns the error of the last fetch.
func (r *remote) failure() error { return r.state.Load().err }

// close ends the fetching.
func (r *remote) close() {
	r.cancel()
	r.mu.Lock()   // a fetch that starts has started; none will after this
	r.mu.Unlock() //nolint:staticcheck // it only orders
	r.work.Wait()
	r.client.CloseIdleConnections()
}
