// Package redislimit keeps rate limits in Redis, for the replicas of a service to
// share.
//
//	d, err := redislimit.Open(os.Getenv("REDIS_URL"), redislimit.Config{Secret: secret})
//	...
//	defer d.Close()
//	l, err := limit.New(d, limit.Rule{Name: "orders.create", Rate: 100, Per: time.Second})
//
// A call is decided by one script in one round trip, by the clock of Redis. It
// never fails because of Redis, and waits for it no longer than a short deadline:
// when Redis does not answer, a circuit opens, and until Redis is back, which is
// tried in the background, calls are decided without asking it. How, says
// [Config.OnOutage].
//
// A driver also carries the lock-outs of authentication: [Driver.ShareLocks].
//
// Redis 5 or later is needed. Keys expire when their bucket is full again. A
// key's name is a digest, and locked addresses are encrypted, so neither the names
// of principals nor addresses are found in Redis, and no credential ever: as far as
// there is a [Config.Secret]. In a cluster, all keys of a prefix are in one
// slot, on one node, because the rules of a call are decided together; services
// that share a cluster spread by having different prefixes.
package redislimit

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/aguada-dev/aguada/limit"
)

// Outage says how calls are decided while Redis is away.
type Outage string

// The ways to decide without Redis.
const (
	// Local enforces this replica's share of every rule: rate and burst
	// divided by the number of replicas that were last seen in Redis, at
	// least a burst of 1. The whole rule where none was ever seen.
	Local Outage = "local"
	// Allow lets every call pass.
	Allow Outage = "open"
	// Refuse refuses every call, as unavailable.
	Refuse Outage = "closed"
)

// Defaults of a [Config].
const (
	DefaultPrefix   = "aguada"
	DefaultDeadline = 50 * time.Millisecond
)

// Config tunes a [Driver]. The zero value works.
type Config struct {
	// Prefix begins the name of every key; services with one prefix share their
	// limits. At most 64 letters, digits and "._:/-"; DefaultPrefix if "".
	Prefix string
	// Secret, the same in all replicas, keys the digests of partitions and encrypts
	// the addresses that are locked out. Without it, whoever reads Redis can
	// find out whether a name that he guesses is in use and what addresses are
	// locked out, and whoever writes to it can lock out any. Replicas with
	// different secrets share nothing.
	Secret []byte
	// Deadline is how long a call waits for Redis, connecting included;
	// DefaultDeadline if 0.
	Deadline time.Duration
	// OnOutage is Local if "".
	OnOutage Outage
	// Keys is how many keys are followed in memory for Local;
	// limit.DefaultKeys if 0.
	Keys int
	// Changed, if not nil, is called when Redis goes away, with the error, and with
	// nil when it is back; by one goroutine at a time, not that of a call.
	Changed func(err error)
}

// Driver is the limit.Driver of a Redis. It is safe for concurrent use.
type Driver struct {
	cfg      Config
	client   redis.UniversalClient
	memory   *limit.Memory
	tag      string // what the name of every key begins with
	secret   [sha256.Size]byte
	id       string // of this replica
	replicas atomic.Int64
	circuit  circuit
	locks    sharing
	stop     context.CancelFunc
	done     chan struct{} // closed by the goroutine that watches Redis
}

var _ limit.LockSharer = (*Driver)(nil)

// errNil is what a nil *Driver says, which in an interface passes for one.
var errNil = errors.New("the driver of Redis is nil")

// Open returns a driver for the Redis at a URL: redis://user:password@host:6379/0,
// rediss:// for TLS, unix:///path; with ?addr=host2:6379 for a cluster. It does
// not connect, so that a service starts while Redis is away. It is an error if the
// URL or the configuration is malformed; no error contains the URL.
func Open(rawURL string, cfg Config) (*Driver, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("open rate limits in Redis: %w", err)
	}
	client, err := connect(rawURL, cfg.Deadline)
	if err != nil {
		return nil, fmt.Errorf("open rate limits in Redis: %w", err)
	}
	memory, err := limit.NewMemory(limit.MemoryConfig{Keys: cfg.Keys})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	d := &Driver{
		cfg: cfg, client: client, memory: memory, tag: "{" + cfg.Prefix + "}:", id: newID(),
		circuit: circuit{wake: make(chan struct{}, 1)}, locks: newSharing(), stop: stop, done: make(chan struct{}),
	}
	if len(cfg.Secret) > 0 {
		d.secret = sha256.Sum256(cfg.Secret)
	}
	d.replicas.Store(1)
	go d.watch(ctx)
	go d.share(ctx)
	return d, nil
}

func (c *Config) complete() error {
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.Deadline == 0 {
		c.Deadline = DefaultDeadline
	}
	if c.OnOutage == "" {
		c.OnOutage = Local
	}
	// A prefix has the form of a rule's name.
	if (limit.Rule{Name: c.Prefix, Rate: 1, Per: time.Second}).Check() != nil {
		return fmt.Errorf("the prefix %.80q is not 1 to %d letters, digits and \"._:/-\"", c.Prefix, limit.MaxName)
	}
	if c.Deadline < time.Millisecond || c.Deadline > 10*time.Second {
		return fmt.Errorf("the deadline %s is not between 1ms and 10s", c.Deadline)
	}
	switch c.OnOutage {
	case Local, Allow, Refuse:
		return nil
	}
	return fmt.Errorf("what to do on an outage is %.80q, want local, open or closed", string(c.OnOutage))
}

// connect makes a client that obeys deadlines and tries nothing twice: the circuit
// decides what happens after a failure.
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

// Replicas returns how many replicas share the limits, this one included, as far
// as Redis last told: 1 where it never did.
func (d *Driver) Replicas() int {
	if d == nil {
		return 1
	}
	return int(d.replicas.Load())
}

// Err returns why Redis is not asked at present, or else why locks were not
// shared when it was last tried; nil if all is well.
func (d *Driver) Err() error {
	if d == nil {
		return errNil
	}
	if err := d.circuit.err(); err != nil {
		return err
	}
	return d.locks.err()
}

// Open is the method of [limit.Driver]. A nil *Driver opens nothing.
func (d *Driver) Open(rules []limit.Rule) (limit.Set, error) {
	if d == nil {
		return nil, errNil
	}
	local, err := d.memory.Local(rules)
	if err != nil {
		return nil, err
	}
	s := &set{d: d, local: local}
	for _, r := range rules {
		cost := ticks(r.Interval())
		fill := cost * int64(r.Burst)
		s.rules = append(s.rules, rule{name: d.tag + r.Name + ":", cost: cost, fill: fill})
		s.numbers = append(s.numbers, micros(cost), micros(fill))
	}
	return s, nil
}

// The script counts in microseconds, as Redis does, in fractions that a double
// adds without error up to the year 2035: 1/32.
const perMicro = 32

// ticks rounds up.
func ticks(d time.Duration) int64 {
	n := int64(d)
	return n/1000*perMicro + (n%1000*perMicro+999)/1000
}

func duration(ticks int64) time.Duration {
	return time.Duration(ticks/perMicro*1000 + (ticks%perMicro*1000+perMicro-1)/perMicro)
}

// micros writes ticks as a decimal number of microseconds.
func micros(ticks int64) string {
	return strconv.FormatFloat(float64(ticks)/perMicro, 'f', -1, 64)
}

// set decides rules.
type set struct {
	d       *Driver
	local   *limit.Local
	rules   []rule
	numbers []any // of each rule: the cost of a unit, the time to fill
}

type rule struct {
	name       string // of its keys, without the digest
	cost, fill int64  // of a unit, and of all, in ticks
}

// status returns how a rule stands that owes so many ticks.
func (r rule) status(debt int64, refused bool) limit.Status {
	st := limit.Status{Refused: refused, Reset: duration(debt)}
	if left := r.fill - debt; left >= r.cost {
		st.Remaining = int(left / r.cost)
	} else {
		st.RetryAfter = duration(r.cost - left)
	}
	return st
}

// Take is the method of [limit.Set].
func (s *set) Take(ctx context.Context, p limit.Partitions) limit.Decision {
	d := s.d
	if d.circuit.closed() {
		decision, err := s.ask(ctx, &p)
		if err == nil {
			if decision.Allowed && d.cfg.OnOutage == Local {
				s.local.Charge(p, d.Replicas())
			}
			return decision
		}
		d.circuit.open(err)
	}
	switch d.cfg.OnOutage {
	case Allow:
		return limit.Decision{Allowed: true, Degraded: true}
	case Refuse:
		return limit.Decision{Degraded: true, Unavailable: true}
	}
	decision := s.local.TakeShare(p, d.Replicas())
	decision.Degraded = true
	return decision
}

// ask lets Redis decide. A caller who goes away does not interrupt it, which would cost
// the connection.
func (s *set) ask(ctx context.Context, p *limit.Partitions) (limit.Decision, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.d.cfg.Deadline)
	defer cancel()
	keys := make([]string, len(s.rules))
	for i := range keys {
		keys[i] = s.d.key(s.rules[i].name, p[i])
	}
	debts, err := take.Run(ctx, s.d.client, keys, s.numbers...).Int64Slice()
	if err != nil {
		return limit.Decision{}, err
	}
	if len(debts) != len(s.rules)+1 {
		return limit.Decision{}, errors.New("the script returned something else")
	}
	decision := limit.Decision{Allowed: debts[0] == 1, Rules: len(s.rules)}
	for i, r := range s.rules {
		debt := min(max(debts[i+1], 0), r.fill)
		decision.Status[i] = r.status(debt, !decision.Allowed && debt > r.fill-r.cost)
	}
	return decision, nil
}

// key returns the name of a key: the digest makes it as long for every partition.
func (d *Driver) key(name string, p limit.Partition) string {
	var buf [256]byte
	b := append(buf[:0], d.secret[:]...)
	b = binary.AppendUvarint(b, uint64(len(name)))
	b = append(b, name...)
	sum := sha256.Sum256(p.AppendTo(b))
	var text [22]byte
	base64.RawURLEncoding.Encode(text[:], sum[:16])
	var out strings.Builder
	out.Grow(len(name) + len(text))
	out.WriteString(name)
	out.Write(text[:])
	return out.String()
}

// Close stops the driver, tells the others of the last locks and leaves the
// replicas' list. Calls that still come are decided as on an outage.
func (d *Driver) Close() error {
	if d == nil {
		return nil
	}
	d.stop()
	<-d.done
	<-d.locks.done
	ctx, cancel := context.WithTimeout(context.Background(), d.cfg.Deadline)
	defer cancel()
	if d.circuit.closed() {
		d.circuit.open(errors.New("the driver is closed"))
		_ = d.client.ZRem(ctx, d.tag+"replicas", d.id).Err() // it goes by itself a little later
	}
	return d.client.Close()
}
