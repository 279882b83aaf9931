// Package redisstore keeps idempotency keys in Redis, for the replicas of a
// service to share.
//
//	store, err := redisstore.Open(os.Getenv("REDIS_URL"), redisstore.Config{})
//	...
//	defer store.Close()
//	keeper, err := idempotency.New(store, idempotency.Config{Secrets: secrets})
//
// A call under a key takes two round trips: one to claim it, one to store the
// reply. Both are scripts, by the clock of Redis. Where Redis does not answer, the
// call is refused.
//
// What the method writes and its reply are not committed together: when a
// process dies between the two, the next repetition runs the method again. So it
// does after Redis has lost a write, as a replica that is promoted may have. A
// service that must not do a thing twice stores idempotency.ID(ctx) next to it, in
// a unique column, and returns what is there when it is taken; or it uses package
// sqlstore. Redis must not evict keys (maxmemory-policy noeviction).
//
// Redis 5 or later is needed. Records expire by themselves. They hold digests and
// sealed replies, no key, name or payload. In a cluster they spread over all
// nodes.
package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/aguada-dev/aguada/idempotency"
)

// Defaults of a [Config].
const (
	DefaultPrefix   = "aguada"
	DefaultDeadline = 500 * time.Millisecond
)

// Config tunes a [Store]. The zero value works.
type Config struct {
	// Prefix begins the name of every key; services with one prefix share their
	// keys. At most 64 letters, digits and "._:/-"; DefaultPrefix if "".
	Prefix string
	// Deadline is how long a call waits for Redis, connecting included, each
	// time; DefaultDeadline if 0.
	Deadline time.Duration
}

// Store is the keys in a Redis. It is safe for concurrent use. Make one with
// [Open].
type Store struct {
	client   redis.UniversalClient
	prefix   string
	deadline time.Duration
}

var _ idempotency.Store = (*Store)(nil)

var prefixes = regexp.MustCompile(`^[A-Za-z0-9._:/-]{1,64}$`)

// Open returns a store in the Redis at a URL: redis://user:password@host:6379/0,
// rediss:// for TLS, unix:///path; with ?addr=host2:6379 for a cluster. It does
// not connect, so that a service starts while Redis is away. It is an error if the
// URL or the configuration is malformed; no error contains the URL.
func Open(rawURL string, cfg Config) (*Store, error) {
	if cfg.Prefix == "" {
		cfg.Prefix = DefaultPrefix
	}
	if cfg.Deadline == 0 {
		cfg.Deadline = DefaultDeadline
	}
	if !prefixes.MatchString(cfg.Prefix) {
		return nil, fmt.Errorf("open idempotency keys in Redis: the prefix %.80q is not 1 to 64 letters, digits and \"._:/-\"", cfg.Prefix)
	}
	if cfg.Deadline < time.Millisecond || cfg.Deadline > 10*time.Second {
		return nil, fmt.Errorf("open idempotency keys in Redis: the deadline %s is not between 1ms and 10s", cfg.Deadline)
	}
	client, err := connect(rawURL, cfg.Deadline)
	if err != nil {
		return nil, fmt.Errorf("open idempotency keys in Redis: %w", err)
	}
	return &Store{client: client, prefix: cfg.Prefix + ":idempotency:", deadline: cfg.Deadline}, nil
}

// connect makes a client that obeys deadlines and tries nothing twice: the caller
// does, under the same key.
func connect(rawURL string, deadline time.Duration) (redis.UniversalClient, error) {
	// What the parsers say is not shown: it can hold the password.
	malformed := errors.New("the URL is malformed, want redis://user:password@host:port/database")
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, malformed
	}
	off := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if u.Query().Has("addr") {
		o, err := redis.ParseClusterURL(rawURL)
		if err != nil {
			return nil, malformed
		}
		o.ContextTimeoutEnabled, o.MaxRetries, o.MaxRedirects, o.DialerRetries = true, -1, 3, 1
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = deadline, deadline, deadline, deadline
		o.MaintNotificationsConfig = off
		return redis.NewClusterClient(o), nil
	}
	o, err := redis.ParseURL(rawURL)
	if err != nil {
		return nil, malformed
	}
	o.ContextTimeoutEnabled, o.MaxRetries, o.DialerRetries = true, -1, 1
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = deadline, deadline, deadline, deadline
	o.MaintNotificationsConfig = off
	return redis.NewClient(o), nil
}

// Close closes the connections. What is asked of the store after that fails.
func (s *Store) Close() error { return s.client.Close() }

// Ready returns an error if Redis does not answer.
func (s *Store) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.deadline)
	defer cancel()
	if err := s.client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("ask Redis: %w", err)
	}
	return nil
}

func (s *Store) key(t idempotency.Ticket) []string { return []string{s.prefix + t.ID.String()} }

// run runs a script that changes the record of a ticket.
func (s *Store) run(ctx context.Context, script *redis.Script, t idempotency.Ticket, args ...any) *redis.Cmd {
	ctx, cancel := context.WithTimeout(ctx, s.deadline)
	defer cancel()
	return script.Run(ctx, s.client, s.key(t), append([]any{t.Owner[:]}, args...)...)
}

// Claim implements [idempotency.Store].
func (s *Store) Claim(ctx context.Context, t idempotency.Ticket) (idempotency.State, error) {
	got, err := s.run(ctx, claim, t, t.Fingerprint[:], milli(t.Lease), milli(t.Keep)).Slice()
	if err != nil {
		return idempotency.State{}, fmt.Errorf("claim idempotency key: %w", err)
	}
	if len(got) == 2 {
		status, _ := got[0].(int64)
		switch reply, _ := got[1].(string); {
		case idempotency.Status(status) == idempotency.Done && reply != "":
			return idempotency.State{Status: idempotency.Done, Reply: []byte(reply)}, nil
		case idempotency.Status(status) == idempotency.Claimed, idempotency.Status(status) == idempotency.Running,
			idempotency.Status(status) == idempotency.Mismatch:
			return idempotency.State{Status: idempotency.Status(status)}, nil
		}
	}
	return idempotency.State{}, errors.New("claim idempotency key: the script returned something else")
}

// Extend implements [idempotency.Store].
func (s *Store) Extend(ctx context.Context, t idempotency.Ticket) error {
	return changed("extend", s.run(ctx, extend, t, milli(t.Lease), milli(t.Keep)))
}

// Finish implements [idempotency.Store].
func (s *Store) Finish(ctx context.Context, t idempotency.Ticket, reply []byte) error {
	if reply != nil {
		return changed("finish", s.run(ctx, finish, t, milli(t.Keep), reply))
	}
	if err := s.run(ctx, release, t).Err(); err != nil {
		return fmt.Errorf("release idempotency key: %w", err)
	}
	return nil
}

func changed(verb string, cmd *redis.Cmd) error {
	n, err := cmd.Int()
	if err != nil {
		return fmt.Errorf("%s idempotency key: %w", verb, err)
	}
	if n != 1 {
		return fmt.Errorf("%s idempotency key: %w", verb, idempotency.ErrSuperseded)
	}
	return nil
}

// milli rounds up.
func milli(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }
