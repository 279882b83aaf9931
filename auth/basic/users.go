// Package basic verifies user names and passwords (RFC 7617) against a file of
// their hashes, or a team's own store.
//
//	users, err := basic.Open("users", basic.Config{Scheme: "basic"})
//	...
//	p, err := users.Verify(ctx, auth.Credential{Username: "ann", Password: password})
//
// Hashes are those of argon2id (RFC 9106). Those of bcrypt are read, and replaced
// once their user logs in. Nothing weaker than OWASP recommends is.
//
// What a flood of logins can take is bounded, in processor time, memory and
// waiting calls; whoever was verified before, from where he is, is not held up
// by it. An account
// whose password is guessed is slowed down, never locked.
package basic

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/basic/internal/password"
	"github.com/aguada-dev/aguada/auth/internal/digest"
	"github.com/aguada-dev/aguada/auth/internal/text"
)

// Bounds of what is accepted from outside.
const (
	maxPassword = 1024 // bytes
	maxUsername = 256  // bytes
)

// Config tunes a [Users]. The zero value works.
type Config struct {
	// Scheme is the design's name of the scheme. Without it a [auth.Guard] fills it
	// into each principal, at the price of an allocation per call.
	Scheme string
	// Hashing is how many passwords are hashed at once; each takes the memory
	// that its hash names, 19 MiB by default. 0 means one per processor.
	Hashing int
	// Queue is how many credentials may wait for their turn to be hashed; calls
	// with any more are refused as Unavailable at once. 0 means 32 for each of
	// Hashing.
	Queue int
	// Wait is how long a call waits for its turn to hash before it is refused
	// as Unavailable, and for an answer of a store; 2 s if 0.
	Wait time.Duration
	// Delayed is how many credentials may be held up at once because a password
	// of their account was wrong before; 256 if 0. Calls that come while as many
	// are, or an eighth of them for the call's account, are refused as
	// Unavailable at once.
	Delayed int
	// Cache is how many successes are remembered; 1024 if 0, none if negative.
	Cache int
	// Interval is how often the file of [Open] is looked at, at most; 1 s if 0.
	Interval time.Duration
	// Logger is told why a changed file was not taken, a hash cannot be used
	// or an outdated one not be replaced; slog.Default() if nil.
	Logger *slog.Logger
}

// recheck is how long a remembered success of a store that is not a file holds
// without the store being asked.
const recheck = 5 * time.Second

// Users verifies Basic credentials against a [Store]. It is safe for
// concurrent use, and needs no closing.
//
// An unknown user costs what a wrong password does: one hash by a recipe that
// the store has. A file tells all its recipes; of another store only those are
// known that were met since the start, so that until then, and less so
// afterwards, a store with different ones lets a guesser tell users apart by
// time. A success is remembered under a keyed digest of name and password, bound
// to the hash that it was proved by: it ends when the hash changes, with a file
// as soon as that is read again, else within 5 s.
//
// Each wrong password holds up the further calls for the account, existing or not, for
// 100 ms, doubled by each further one up to 2 s; one is forgotten every 10 s,
// and all of them with a success. Remembered successes pass at once, but for
// those of an [auth.Credential] Stranger, who waits as if his were wrong and is
// only spared the hash: a right guess is as slow as a wrong one. Where nobody
// says who is a stranger, a guesser who does not wait for an answer is slowed
// down only for accounts that are not remembered.
//
// Calls that present the same credential at once take one place among those that are
// held up or wait for a turn, and one hash, which counts as one guess of the
// account. Each is held up for as long as it would be alone, or until its own context ends.
// 4096 calls may be held up, and as many wait for a turn; any more are refused as
// Unavailable at once.
//
// All calls together use the memory of Hashing hashes, three times that with what
// is not collected yet (GOGC=100), and some KiB for each call that waits: by default
// 57 MiB for each processor, however many log in.
type Users struct {
	cfg     Config
	store   Store
	fresh   time.Duration // how long the store need not be asked
	start   time.Time
	digest  *digest.Digest
	turns   turns
	flights flights
	delays  delays
	cache   cache
	seen    recipes

	pausedUntil atomic.Int64 // upgrades, since start
	told        atomic.Int64 // when a broken hash was last logged, since start
}

var _ auth.Verifier = (*Users)(nil)

// Errors of Verify.
var (
	errUserForm = &auth.Error{Reason: auth.Malformed, Err: errors.New("user name or password is empty, too long or has control characters")}
	errUser     = &auth.Error{Reason: auth.Unknown, Err: errors.New("unknown user")}
	errPassword = errors.New("wrong password")
	errBusy     = &auth.Error{Reason: auth.Unavailable, Err: errors.New("too many passwords are being verified")}
)

// HashPassword returns the PHC string of a password by argon2id with 19 MiB,
// two passes, one lane and a random salt, as a store holds it. A password is 1
// to 1024 bytes of UTF-8 without control characters; its bytes are taken as
// they are.
func HashPassword(text string) (string, error) {
	if !validPassword(text) {
		return "", errors.New("hash password: it must be 1 to 1024 bytes of UTF-8 without control characters")
	}
	return password.New(text)
}

// Open verifies against a users file, as [OpenFile] reads it.
func Open(path string, cfg Config) (*Users, error) {
	f, err := OpenFile(path, FileConfig{Interval: cfg.Interval, Logger: cfg.Logger})
	if err != nil {
		return nil, err
	}
	return New(f, cfg)
}

// New verifies against a store.
func New(store Store, cfg Config) (*Users, error) {
	if cfg.Hashing <= 0 {
		cfg.Hashing = runtime.GOMAXPROCS(0)
	}
	if cfg.Queue <= 0 {
		cfg.Queue = 32 * cfg.Hashing
	}
	if cfg.Wait <= 0 {
		cfg.Wait = 2 * time.Second
	}
	if cfg.Delayed <= 0 {
		cfg.Delayed = 256
	}
	if cfg.Cache == 0 {
		cfg.Cache = 1024
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	d, err := digest.Random()
	if err != nil {
		return nil, fmt.Errorf("verify users: %w", err)
	}
	u := &Users{cfg: cfg, store: store, fresh: recheck, start: time.Now(), digest: d}
	if _, ok := store.(*File); ok {
		u.fresh = 0 // it is in memory
	}
	u.turns.init(cfg.Hashing, cfg.Queue, cfg.Wait)
	u.flights.init()
	u.delays.init(cfg.Delayed)
	u.cache.init(cfg.Cache)
	return u, nil
}

func (u *Users) now() time.Duration { return time.Since(u.start) }

// Verify implements [auth.Verifier] by c's Username and Password. The principal's
// Subject is the user name.
func (u *Users) Verify(ctx context.Context, c auth.Credential) (*auth.Principal, error) {
	if !validUser(c.Username) || !validPassword(c.Password) {
		return nil, errUserForm
	}
	key := u.digest.Pair(c.Username, c.Password)
	if !c.Stranger {
		if p, err := u.remembered(ctx, key, c.Username); p != nil || err != nil {
			return p, err
		}
	}
	account := u.digest.Text(c.Username)
	if err := u.delays.wait(ctx, key, account, u.now()); err != nil {
		return nil, err
	}
	return u.share(ctx, c, key, account)
}

// hash verifies. It returns the hash of a success and the one that should take its
// place, if any.
func (u *Users) hash(ctx context.Context, c auth.Credential, key, account [sha256.Size]byte) (p *auth.Principal, old, next string, err error) {
	// A call that went before may have succeeded.
	if p, err := u.remembered(ctx, key, c.Username); p != nil || err != nil {
		return p, "", "", err
	}
	now := u.now()
	h, old, known, err := u.find(ctx, c.Username, account)
	if err != nil {
		return nil, "", "", err
	}
	if matches := h.Matches(c.Password); !matches || old == "" {
		u.delays.failed(account, u.now())
		if !known {
			return nil, "", "", errUser
		}
		return nil, "", "", &auth.Error{Reason: auth.Unknown, Account: c.Username, Err: errPassword}
	}
	u.delays.succeeded(account)
	if h.Outdated() && u.upgrades() {
		if next, err = password.New(c.Password); err != nil {
			return nil, "", "", &auth.Error{Reason: auth.Unavailable, Err: err}
		}
	}
	p = &auth.Principal{Subject: c.Username, Scheme: u.cfg.Scheme}
	u.cache.put(key, p, old, next, now)
	return p, old, next, nil
}

// find returns what to compare a password with: the user's hash, or one of nobody,
// always the same for one name, where stored is empty.
func (u *Users) find(ctx context.Context, name string, account [sha256.Size]byte) (h *password.Hash, stored string, known bool, err error) {
	stored, known, err = u.lookup(ctx, name)
	if err != nil {
		return nil, "", false, err
	}
	if known {
		if h, err = password.Parse(stored); err == nil {
			u.seen.add(h.Recipe())
			return h, stored, true, nil
		}
		u.broken(name, err) // and nobody can log in by it
	}
	return password.Decoy(u.decoy(account), account), "", known, nil
}

// decoy returns the recipe that an unknown user costs.
func (u *Users) decoy(account [sha256.Size]byte) password.Recipe {
	if f, ok := u.store.(*File); ok {
		return f.recipe(account)
	}
	return u.seen.choose(u.digest, account)
}

// lookup asks the store, for a time.
func (u *Users) lookup(ctx context.Context, name string) (hash string, ok bool, err error) {
	if u.fresh > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, u.cfg.Wait)
		defer cancel()
	}
	hash, ok, err = u.store.Lookup(ctx, name)
	if u.fresh > 0 && err == nil {
		err = ctx.Err() // what it read may be as old as its answer is late
	}
	if err != nil {
		return "", false, &auth.Error{Reason: auth.Unavailable, Err: fmt.Errorf("look up user: %w", err)}
	}
	return hash, ok, nil
}

// remembered returns the principal of a success that still holds; nil if there is
// none.
func (u *Users) remembered(ctx context.Context, key [sha256.Size]byte, name string) (*auth.Principal, error) {
	s := u.cache.get(key)
	if s == nil {
		return nil, nil
	}
	now := u.now()
	age := now - time.Duration(s.checked.Load())
	early := age < u.fresh
	switch {
	case age < u.fresh-u.fresh/5:
		return s.principal, nil
	case early && !s.checking.CompareAndSwap(false, true):
		return s.principal, nil // another call asks, before it is due
	}
	hash, ok, err := u.lookup(ctx, name)
	if early {
		s.checking.Store(false)
	}
	switch {
	case err != nil && early:
		return s.principal, nil
	case err != nil:
		return nil, err
	case !ok || hash != s.hash && (s.next == "" || hash != s.next):
		u.cache.drop(key, s)
		return nil, nil
	}
	if u.fresh > 0 {
		s.checked.Store(int64(now))
	}
	return s.principal, nil
}

// How often what goes wrong is tried again and logged, at most.
const (
	upgradePause = 10 * time.Minute
	brokenPause  = time.Minute
)

// upgrades reports whether outdated hashes may be replaced now.
func (u *Users) upgrades() bool {
	_, ok := u.store.(Upgrader)
	return ok && int64(u.now()) >= u.pausedUntil.Load()
}

// replace gives the store a new hash. The login has succeeded whatever comes of it.
func (u *Users) replace(ctx context.Context, name, old, next string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), u.cfg.Wait)
	defer cancel()
	err := u.store.(Upgrader).Upgrade(ctx, name, old, next)
	if err == nil {
		return
	}
	until := u.pausedUntil.Load()
	if now := u.now(); int64(now) >= until && u.pausedUntil.CompareAndSwap(until, int64(now+upgradePause)) && until == 0 {
		u.cfg.Logger.Warn("password hashes of bcrypt cannot be replaced by argon2id and stay as they are", "error", err)
	}
}

// broken logs that a user's hash cannot be used.
func (u *Users) broken(name string, err error) {
	next := u.told.Load()
	if now := u.now(); int64(now) >= next && u.told.CompareAndSwap(next, int64(now+brokenPause)) {
		u.cfg.Logger.Error("the stored hash of a password cannot be used", "user", name, "error", err)
	}
}

// validUser reports whether a name can be that of a user.
func validUser(name string) bool {
	return name != "" && len(name) <= maxUsername && !strings.Contains(name, ":") && text.Printable(name) &&
		strings.TrimSpace(name) == name
}

func validPassword(s string) bool {
	return s != "" && len(s) <= maxPassword && text.Printable(s)
}
