package apikey

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/internal/reload"
)

// Config tunes a [Verifier]. The zero value works.
type Config struct {
	// Scheme is the design's name of the scheme. Without it a [auth.Guard] fills it
	// into each principal, at the price of an allocation per call.
	Scheme string
	// Logger is told why a changed file or pepper was not taken, and when a
	// store begins and ceases to fail; slog.Default() if nil.
	Logger *slog.Logger

	// Interval is how often a file is looked at, at most; 1 s if 0.
	Interval time.Duration

	// MaxKeys is how many keys of a store are kept in memory, with at most
	// 8 KiB each and mostly less than 1 KiB; 10,000 if 0. One more takes the
	// place of one that was not used for long.
	MaxKeys int
	// MaxLookups is how many lookups of keys that are not in memory a store
	// gets at once, 16 if 0. As many others may refresh those that are. Up to
	// 64 times as many wait for a second; beyond, a key is refused as
	// Unavailable.
	MaxLookups int
}

// Verifier verifies API keys against a file ([Open]) or a store ([New]). It is
// safe for concurrent use.
//
// What is not in the form of a key is refused without a lookup.
type Verifier struct {
	peppers *rack
	file    *reload.File[keyring] // nil with a store
	cache   *cache                // nil with a file
}

var _ auth.Verifier = (*Verifier)(nil)

// Errors of Verify.
var (
	errMalformed = &auth.Error{Reason: auth.Malformed, Err: errForm}
	errUnknown   = &auth.Error{Reason: auth.Unknown, Err: errors.New("unknown API key")}
	errPepperOut = &auth.Error{Reason: auth.Unknown, Err: errors.New("the API key was made with a pepper that is neither the current nor the old one")}
	errWrong     = &auth.Error{Reason: auth.Unknown, Err: errors.New("known id, wrong API key")}
	errRevoked   = &auth.Error{Reason: auth.Expired, Err: errors.New("the API key was revoked")}
	errExpired   = &auth.Error{Reason: auth.Expired, Err: errors.New("the API key expired")}
)

// Open returns a verifier of the keys of a file (see [File]). A file that is
// missing or broken is an error, and so is a pepper of less than [MinPepper]
// bytes.
//
// The file is read again when it changes. One that cannot be read or parsed
// leaves the old one in force and is logged; to end all keys, leave none in it
// rather than remove it. The verifier needs no closing.
func Open(path string, p Peppers, cfg Config) (*Verifier, error) {
	v, err := newVerifier(p, cfg)
	if err != nil {
		return nil, fmt.Errorf("open API keys: %w", err)
	}
	parse := func(data []byte) (*keyring, error) { return parseKeys(data, cfg.Scheme) }
	report := func(err error) { logger(cfg.Logger).Error("credential file not reloaded", "error", err) }
	v.file, err = reload.Open(path, parse, reload.Config{Interval: cfg.Interval, MaxBytes: maxFile, Report: report})
	if err != nil {
		return nil, fmt.Errorf("open API keys: %w", err)
	}
	return v, nil
}

// New returns a verifier of the keys of a store. A pepper of less than
// [MinPepper] bytes is an error. Close it.
//
// Keys are kept in memory. For [Fresh], 5 s, one is verified by what is there;
// from then on the first use asks the store again, and nobody waits for that;
// after [Limit], 10 s, the use itself waits. That a key is unknown is
// remembered for [Absent], 2 s. A store that does not answer within 2 s fails;
// a key that is then older than Limit is refused as [auth.Unavailable].
//
// However many keys are tried, memory stays bounded: beside Config.MaxKeys keys
// of the store, 8,192 ids that it does not have (less than 2 MiB), and 64 calls
// that wait for each of Config.MaxLookups.
func New(s Store, p Peppers, cfg Config) (*Verifier, error) {
	if s == nil {
		return nil, errors.New("verify API keys: there is no store")
	}
	v, err := newVerifier(p, cfg)
	if err != nil {
		return nil, fmt.Errorf("verify API keys: %w", err)
	}
	v.cache = newCache(s, cfg)
	return v, nil
}

func newVerifier(p Peppers, cfg Config) (*Verifier, error) {
	peppers, err := newRack(p, func(err error) { logger(cfg.Logger).Error("pepper of API keys not changed", "error", err) })
	if err != nil {
		return nil, err
	}
	return &Verifier{peppers: peppers}, nil
}

// logger returns the default logger of the moment if there is none.
func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.Default()
	}
	return l
}

// Verify implements [auth.Verifier] by c's Token. The principal's Subject is the
// owner of the key, its CredentialID the id, and its ExpiresAt when the key
// ends, by its expiry or its rotation.
//
// A key that is not there or wrong is [auth.Unknown]; one that is expired,
// revoked, or rotated and beyond its grace period is [auth.Expired], which only
// who has the whole key learns. The errors of keys that are there name them as
// Account.
func (v *Verifier) Verify(ctx context.Context, c auth.Credential) (*auth.Principal, error) {
	id, ok := keyID(c.Token)
	if !ok {
		return nil, errMalformed
	}
	now := time.Now()
	k, err := v.find(ctx, id, now)
	if err != nil {
		return nil, err
	}
	p := v.peppers.by(k.pepper, now)
	if p == nil {
		return nil, k.refuse(errPepperOut)
	}
	sum := p.digest.Text(c.Token)
	if subtle.ConstantTimeCompare(sum[:], k.sum[:]) != 1 {
		return nil, k.refuse(errWrong)
	}
	if k.revoked {
		return nil, k.refuse(errRevoked)
	}
	if end := k.principal.ExpiresAt; !end.IsZero() && !time.Now().Before(end) { // the store may have taken long
		return nil, k.refuse(errExpired)
	}
	if k.entry != nil {
		v.cache.mark(k.entry, now)
	}
	return k.principal, nil
}

// refuse returns the error with the id of the key.
func (k *known) refuse(e *auth.Error) *auth.Error {
	named := *e
	named.Account = k.principal.CredentialID
	return &named
}

func (v *Verifier) find(ctx context.Context, id string, now time.Time) (*known, error) {
	if v.cache != nil {
		return v.cache.find(ctx, id, now)
	}
	if k := (*v.file.Value())[id]; k != nil {
		return k, nil
	}
	return nil, errUnknown
}

// Close writes when keys were last used and waits for what runs. From then on
// the store is not asked any more. It does nothing for a file.
func (v *Verifier) Close() error {
	if v.cache == nil {
		return nil
	}
	return v.cache.close()
}
