// Package basic verifies user names and passwords (RFC 7617) against a file of
// their hashes.
package basic

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/internal/digest"
	"github.com/aguada-dev/aguada/auth/internal/text"
	"github.com/aguada-dev/aguada/internal/reload"
)

// Config tunes a [Users]. The zero value works.
type Config struct {
	// Scheme is the design's name of the scheme. Without it a [auth.Guard] fills it
	// into each principal, at the price of an allocation per call.
	Scheme string
	// Hashing is how many passwords are hashed at once; each takes the memory
	// that its hash names, 19 MiB by default. 0 means one per processor.
	Hashing int
	// Wait is how long a call waits for its turn to hash before it is refused
	// as Unavailable; 2 s if 0.
	Wait time.Duration
	// Cache is how many successes are remembered; 1024 if 0, none if negative.
	Cache int
	// Interval is how often the file is looked at, at most; 1 s if 0.
	Interval time.Duration
	// Logger is told why a changed file was not taken; slog.Default() if nil.
	Logger *slog.Logger
}

// Users verifies Basic credentials against a users file. It is safe for
// concurrent use, and needs no closing.
//
// A line of the file is NAME:HASH, where HASH is the PHC string of argon2id
// that [HashPassword] makes; empty lines and those that begin with # are
// skipped. The file is read again when it changes. One that cannot be read or
// parsed leaves the old one in force and is logged; to lock everybody out,
// leave it empty rather than remove it.
//
// An unknown user costs the same time as a wrong password. A success is
// remembered under a keyed digest of name and password until the file changes,
// so that only the first call of a user hashes.
type Users struct {
	cfg    Config
	file   *reload.File[directory]
	turns  chan struct{}
	digest *digest.Digest
}

var _ auth.Verifier = (*Users)(nil)

// directory is what one version of a users file says.
type directory struct {
	users map[string]*user
	costs []cost // of all users, in the order of their names

	mu      sync.RWMutex
	success map[[sha256.Size]byte]*auth.Principal
}

type user struct {
	hash      *hash
	principal *auth.Principal
}

// Errors of Verify.
var (
	errUserForm = &auth.Error{Reason: auth.Malformed, Err: errors.New("user name or password is empty, too long or has control characters")}
	errUser     = &auth.Error{Reason: auth.Unknown, Err: errors.New("unknown user")}
	errPassword = &auth.Error{Reason: auth.Unknown, Err: errors.New("wrong password")}
	errBusy     = &auth.Error{Reason: auth.Unavailable, Err: errors.New("too many passwords are being verified")}
)

// Open reads a users file. A file that is missing or broken is an error.
func Open(path string, cfg Config) (*Users, error) {
	if cfg.Hashing <= 0 {
		cfg.Hashing = runtime.GOMAXPROCS(0)
	}
	if cfg.Wait == 0 {
		cfg.Wait = 2 * time.Second
	}
	if cfg.Cache == 0 {
		cfg.Cache = 1024
	}
	u := &Users{cfg: cfg, turns: make(chan struct{}, cfg.Hashing)}
	var err error
	if u.digest, err = digest.Random(); err != nil {
		return nil, fmt.Errorf("open users file: %w", err)
	}
	parse := func(data []byte) (*directory, error) { return parseUsers(data, cfg.Scheme) }
	u.file, err = reload.Open(path, parse, reload.Config{Interval: cfg.Interval, Report: report(cfg.Logger)})
	if err != nil {
		return nil, fmt.Errorf("open users file: %w", err)
	}
	return u, nil
}

// report returns a function that logs why a file was not taken.
func report(l *slog.Logger) func(error) {
	return func(err error) {
		if l == nil {
			l = slog.Default()
		}
		l.Error("credential file not reloaded", "error", err)
	}
}

// Verify implements [auth.Verifier] by c's Username and Password. The principal's
// Subject is the user name.
func (u *Users) Verify(ctx context.Context, c auth.Credential) (*auth.Principal, error) {
	if !validUser(c.Username) || c.Password == "" || len(c.Password) > maxPassword || !text.Printable(c.Password) {
		return nil, errUserForm
	}
	d := u.file.Value()
	key := u.digest.Pair(c.Username, c.Password)
	if p := d.remembered(key); p != nil {
		return p, nil
	}
	if err := u.turn(ctx); err != nil {
		return nil, err
	}
	defer func() { <-u.turns }()
	d = u.file.Value()                    // it may have changed while waiting,
	if p := d.remembered(key); p != nil { // and a call that went before may have succeeded
		return p, nil
	}
	known := d.users[c.Username]
	if known == nil {
		d.decoy(u.digest.Text(c.Username)).matches(c.Password)
		return nil, errUser
	}
	if !known.hash.matches(c.Password) {
		return nil, errPassword
	}
	d.remember(key, known.principal, u.cfg.Cache)
	return known.principal, nil
}

// turn waits for a turn to hash, which the caller gives back.
func (u *Users) turn(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return &auth.Error{Reason: auth.Unavailable, Err: err}
	}
	select {
	case u.turns <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(u.cfg.Wait)
	defer timer.Stop()
	select {
	case u.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &auth.Error{Reason: auth.Unavailable, Err: ctx.Err()}
	case <-timer.C:
		return errBusy
	}
}

func (d *directory) remembered(key [sha256.Size]byte) *auth.Principal {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.success[key]
}

// remember keeps a success with this version of the file; any other one makes
// room where there is none.
func (d *directory) remember(key [sha256.Size]byte, p *auth.Principal, most int) {
	if most < 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for old := range d.success {
		if len(d.success) < most {
			break
		}
		delete(d.success, old)
	}
	d.success[key] = p
}

// decoy returns a hash for an unknown user to be compared with. Where users
// have different costs, every unknown name has that of one of them, always the
// same, so that its time tells nothing.
func (d *directory) decoy(name [sha256.Size]byte) *hash {
	c := defaultCost
	if n := uint64(len(d.costs)); n > 0 {
		c = d.costs[binary.BigEndian.Uint64(name[:])%n]
	}
	return &hash{cost: c, salt: name[:16], sum: make([]byte, 32)}
}

// parseUsers reads a users file. Its errors name the line and never hold its
// text.
func parseUsers(data []byte, scheme string) (*directory, error) {
	d := &directory{users: map[string]*user{}, success: map[[sha256.Size]byte]*auth.Principal{}}
	n := 0
	for line := range bytes.Lines(data) {
		n++
		text := strings.TrimRight(string(line), "\r\n")
		if strings.TrimSpace(text) == "" || strings.HasPrefix(text, "#") {
			continue
		}
		name, phc, ok := strings.Cut(text, ":")
		if !ok || !validUser(name) {
			return nil, fmt.Errorf("line %d: not NAME:HASH", n)
		}
		if d.users[name] != nil {
			return nil, fmt.Errorf("line %d: the user is there already", n)
		}
		h, err := parseHash(phc)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		d.users[name] = &user{hash: h, principal: &auth.Principal{Subject: name, Scheme: scheme}}
	}
	for _, name := range slices.Sorted(maps.Keys(d.users)) {
		d.costs = append(d.costs, d.users[name].hash.cost)
	}
	return d, nil
}

// validUser reports whether a name can be that of a user.
func validUser(name string) bool {
	return name != "" && len(name) <= maxUsername && !strings.Contains(name, ":") && text.Printable(name) &&
		strings.TrimSpace(name) == name
}
