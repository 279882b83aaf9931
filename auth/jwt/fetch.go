package jwt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/internal/endpoint"
	"github.com/aguada-dev/aguada/auth/internal/text"
)

// Backoff after a failed fetch, from the first to any later one.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// maxWaiting is how many calls wait for a fetch.
const maxWaiting = 256

var errCrowd = auth.Refuse(auth.Unavailable, "too many calls wait for the key set")

// soonest is how soon after a success a set is fetched again because its
// answer said so.
const soonest = time.Minute

// remote is the key set at a URL, or at the one that an issuer's document
// names. Fetches run one at a time, apart from the calls that want them.
type remote struct {
	name   string     // the URL or the issuer
	found  *discovery // nil for a URL
	cfg    KeySetConfig
	client *http.Client
	log    func() *slog.Logger
	ctx    context.Context // ends at close
	cancel context.CancelFunc
	work   sync.WaitGroup

	state   atomic.Pointer[state]
	waiting atomic.Int32 // calls that wait for a fetch
	mu      sync.Mutex
	started time.Time     // when the last fetch began
	flight  chan struct{} // closed when the fetch under way ends; nil if there is none
}

// state is what fetching came to. It is immutable.
type state struct {
	fetched           // the last that succeeded; without a set before
	at      time.Time // when that was
	err     error     // of the last fetch
	since   time.Time // when the first fetch failed after the last that succeeded
}

// fetched is what a fetch brings.
type fetched struct {
	set  *keySet
	doc  document
	etag string        // of the key set's answer
	keep time.Duration // for how long its server wants the answer kept; 0 if it does not say
}

// newRemote starts fetching.
func newRemote(name string, found *discovery, cfg KeySetConfig) (*remote, error) {
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
		cfg.Transport = endpoint.Transport(2)
	}
	r := &remote{name: name, found: found, cfg: cfg, log: logger(cfg), client: endpoint.Client(cfg.Transport)}
	r.state.Store(&state{})
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.work.Add(1)
	go r.keep(r.request(false))
	return r, nil
}

// keep fetches until the set is closed, after the fetch that is under way.
func (r *remote) keep(done <-chan struct{}) {
	defer r.work.Done()
	retry := firstRetry
	for {
		if r.wait(r.ctx, done) != nil || r.ctx.Err() != nil {
			return
		}
		pause := r.cfg.Refresh
		last := r.state.Load()
		if last.keep > 0 {
			pause = min(pause, max(last.keep, soonest))
		}
		pause = time.Duration(float64(pause) * (0.9 + 0.2*rand.Float64())) //nolint:gosec // jitter
		if last.err != nil {
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

// await lets a call wait for a fetch, if there is one. Only so many do: tokens
// that nobody issued shall not hold more while an issuer is slow.
func (r *remote) await(ctx context.Context, done <-chan struct{}) error {
	if done == nil {
		return nil
	}
	defer r.waiting.Add(-1)
	if r.waiting.Add(1) > maxWaiting {
		return errCrowd
	}
	return r.wait(ctx, done)
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
	old := r.state.Load()
	f, err := r.fetch(old)
	now := &state{fetched: f, at: time.Now(), err: err}
	if err != nil {
		now = &state{fetched: old.fetched, at: old.at, err: err, since: old.since}
		if old.err == nil {
			now.since = time.Now()
		}
	}
	r.mu.Lock()
	r.state.Store(now)
	r.flight = nil
	r.mu.Unlock()
	close(done)
	switch {
	case err != nil && r.ctx.Err() == nil && (old.err == nil || old.err.Error() != err.Error()):
		r.log().Error("key set not fetched", "key_set", r.name, "error", err)
	case err == nil && old.err != nil:
		r.log().Info("key set fetched again", "key_set", r.name)
	}
	if now.set != old.set {
		warn(r.log, r.name, now.set)
	}
}

// fetch gets the set, and before it the document that says where it is: both
// every time, because an issuer may move its keys. A set that did not change
// stays the same one.
func (r *remote) fetch(old *state) (fetched, error) {
	ctx, cancel := context.WithTimeout(r.ctx, r.cfg.Timeout)
	defer cancel()
	f := fetched{doc: document{keys: r.name}}
	if r.found != nil {
		doc, err := r.found.find(ctx, r.client)
		if err != nil {
			return f, err
		}
		f.doc = *doc
	}
	etag := ""
	if old.set != nil && old.doc.keys == f.doc.keys {
		etag = old.etag
	}
	a, err := get(ctx, r.client, f.doc.keys, "application/jwk-set+json, application/json", etag, maxSet)
	if err != nil {
		return f, fmt.Errorf("fetch key set: %w", err)
	}
	f.etag, f.keep = a.etag, a.keep
	switch {
	case a.status == http.StatusNotModified && etag != "":
		f.set, f.etag = old.set, etag
		return f, nil
	case a.status != http.StatusOK:
		return f, fmt.Errorf("fetch key set: status %d", a.status)
	}
	if f.set, err = parseSet(a.body); err != nil {
		return f, err
	}
	if old.set != nil && old.set.sum == f.set.sum {
		f.set = old.set
	}
	return f, nil
}

// answer is what a server says.
type answer struct {
	status int
	body   []byte // of a 200
	etag   string
	keep   time.Duration
}

// get asks a server, for what changed since the ETag if there is one.
func get(ctx context.Context, client *http.Client, address, accept, etag string, most int64) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Accept", accept)
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	res, err := endpoint.Do(client, req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	a := answer{status: res.StatusCode, etag: res.Header.Get("ETag"), keep: maxAge(res.Header)}
	if len(a.etag) > 256 || !text.Visible(a.etag) { // it could not be sent back
		a.etag = ""
	}
	if a.status == http.StatusOK {
		a.body, err = endpoint.Read(res.Body, most)
	}
	return a, err
}

// maxAge returns the max-age of a Cache-Control header (RFC 9111, 5.2.2.1), or 0.
func maxAge(h http.Header) time.Duration {
	for _, d := range strings.Split(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(d), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
		if err != nil {
			return 0
		}
		return time.Duration(seconds) * time.Second
	}
	return 0
}

// usable returns the set, unless there is none or it is stale.
func (r *remote) usable() (*keySet, error) {
	s := r.state.Load()
	switch {
	case s.set == nil && s.err != nil:
		return nil, fmt.Errorf("not fetched yet: %w", s.err)
	case s.set == nil:
		return nil, errors.New("not fetched yet")
	case time.Since(s.at) <= r.cfg.MaxStale:
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
