package jwt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/internal/endpoint"
	"github.com/aguada-dev/aguada/internal/reload"
)

// KeySetConfig tunes a [KeySet]. The zero value works.
type KeySetConfig struct {
	// Logger is told of key sets that were not taken and of keys in them that
	// are not used; slog.Default() if nil.
	Logger *slog.Logger
	// Interval is how often a file is looked at, at most; 1 s if 0.
	Interval time.Duration
	// Refresh is how often a URL is fetched, give or take a tenth; 10 min if 0.
	// A max-age of its answer (RFC 9111) may make that sooner, though not below
	// a minute, and never later; Expires is not looked at.
	Refresh time.Duration
	// Throttle is the least time between two fetches because of tokens with an
	// unknown key id; 10 s if 0.
	Throttle time.Duration
	// Timeout bounds one fetch, discovery included; 5 s if 0.
	Timeout time.Duration
	// MaxStale is how long a key set is used after it was last fetched; 6 h if
	// 0. A key that was withdrawn meanwhile is believed for that long.
	MaxStale time.Duration
	// Transport makes the requests; that of net/http, as the environment's
	// proxy settings say, if nil.
	Transport http.RoundTripper
}

// KeySet is a set of public keys that is kept up to date, from a file or from
// a URL. It is safe for concurrent use.
type KeySet struct {
	path   string
	file   *reload.File[keySet]
	remote *remote
}

// NewFileKeySet reads a key set from a file, and again whenever the file
// changes. A file that is missing, broken or without keys is an error; one that
// turns so later leaves the old set in force and is logged, except that an
// explicitly empty list of keys is taken, and refuses every token.
func NewFileKeySet(path string, cfg KeySetConfig) (*KeySet, error) {
	log := logger(cfg)
	parse := func(data []byte) (*keySet, error) {
		s, err := parseSet(data)
		if err == nil {
			warn(log, path, s)
		}
		return s, err
	}
	file, err := reload.Open(path, parse, reload.Config{
		Interval: cfg.Interval, MaxBytes: maxSet,
		Report: func(err error) { log().Error("key set not reloaded", "error", err) },
	})
	if err != nil {
		return nil, fmt.Errorf("open key set: %w", err)
	}
	if len(file.Value().keys) == 0 {
		return nil, fmt.Errorf("open key set: %s has no keys", path)
	}
	return &KeySet{path: path, file: file}, nil
}

// NewURLKeySet keeps the key set at a URL, which is https, or http on
// loopback. Only such a URL is required to start: the set is fetched in the
// background, again and again, so that a service starts while its issuer is
// down. Until the first success, and once the last one is older than MaxStale,
// every token is refused as unavailable and [KeySet.Ready] says why. Redirects
// are not followed.
func NewURLKeySet(url string, cfg KeySetConfig) (*KeySet, error) {
	if _, err := endpoint.Parse(url); err != nil {
		return nil, fmt.Errorf("open key set: the URL: %w", err)
	}
	r, err := newRemote(url, nil, cfg)
	if err != nil {
		return nil, fmt.Errorf("open key set: %w", err)
	}
	return &KeySet{remote: r}, nil
}

// NewIssuerKeySet keeps the key set of an issuer, which says itself where that
// is: in ISSUER/.well-known/openid-configuration (OpenID Connect Discovery 1.0)
// or, where there is none, by RFC 8414. The document is read again whenever the
// set is; its issuer must be the given one, byte by byte, and its addresses
// https if the issuer's is. They need not be at the issuer's own host. All else
// is as for [NewURLKeySet].
func NewIssuerKeySet(issuer string, cfg KeySetConfig) (*KeySet, error) {
	found, err := newDiscovery(issuer)
	if err != nil {
		return nil, fmt.Errorf("open key set: %w", err)
	}
	r, err := newRemote(issuer, found, cfg)
	if err != nil {
		return nil, fmt.Errorf("open key set: %w", err)
	}
	return &KeySet{remote: r}, nil
}

// logger returns the configured logger, or what is the default when it is
// needed.
func logger(cfg KeySetConfig) func() *slog.Logger {
	return func() *slog.Logger {
		if cfg.Logger != nil {
			return cfg.Logger
		}
		return slog.Default()
	}
}

// warn logs which keys of a new set are not used.
func warn(log func() *slog.Logger, from string, s *keySet) {
	for _, text := range s.skipped {
		log().Warn("key of the key set not used", "key_set", from, "reason", text)
	}
}

// Ready returns nil when tokens can be verified, else why not. It does not
// wait.
func (k *KeySet) Ready(context.Context) error {
	var s *keySet
	if k.file != nil {
		s = k.file.Value()
	} else {
		var err error
		if s, err = k.remote.usable(); err != nil {
			return fmt.Errorf("key set: %w", err)
		}
	}
	if len(s.keys) == 0 {
		return errors.New("key set: it has no keys")
	}
	return nil
}

// IntrospectionEndpoint returns where the issuer tells what a token is
// (RFC 7662), as its document said last; empty before the first success, where
// it offers none, and for sets that were not discovered.
func (k *KeySet) IntrospectionEndpoint() string {
	if k.remote == nil {
		return ""
	}
	return k.remote.state.Load().doc.introspect
}

// Close stops fetching and waits for a fetch under way. It is idempotent.
// Verifiers of a closed set go on with its last version until that is stale.
func (k *KeySet) Close() error {
	if k.remote != nil {
		k.remote.close()
	}
	return nil
}

// current returns the set to verify with. Only where there was none yet it
// waits, for the fetch that is under way.
func (k *KeySet) current(ctx context.Context) (*keySet, error) {
	if k.file != nil {
		return k.file.Value(), nil
	}
	s, err := k.remote.usable()
	if err == nil {
		return s, nil
	}
	if err := k.remote.await(ctx, k.remote.request(true)); err != nil {
		return nil, err
	}
	if s, err = k.remote.usable(); err != nil {
		return nil, &auth.Error{Reason: auth.Unavailable, Err: err}
	}
	return s, nil
}

// now returns the set to verify with if there is one now, without waiting.
func (k *KeySet) now() *keySet {
	if k.file != nil {
		return k.file.Value()
	}
	if s, err := k.remote.usable(); err == nil {
		return s
	}
	return nil
}

// newer returns a version of the set after s, for a token whose key id is not
// in s. It is an error where there is none.
func (k *KeySet) newer(ctx context.Context, s *keySet) (*keySet, error) {
	if k.file != nil {
		return nil, errKeyID
	}
	if now, err := k.remote.usable(); err == nil && now != s {
		return now, nil
	}
	if err := k.remote.await(ctx, k.remote.request(true)); err != nil {
		return nil, err
	}
	now, err := k.remote.usable()
	if err != nil {
		return nil, &auth.Error{Reason: auth.Unavailable, Err: err}
	}
	if now != s {
		return now, nil
	}
	if err := k.remote.failure(); err != nil { // the key may be there, where we cannot look
		return nil, &auth.Error{Reason: auth.Unavailable, Err: err}
	}
	return nil, errKeyID
}
