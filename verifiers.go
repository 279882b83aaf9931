package aguada

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/apikey"
	"github.com/aguada-dev/aguada/auth/basic"
	"github.com/aguada-dev/aguada/auth/introspect"
	"github.com/aguada-dev/aguada/auth/jwt"
	"github.com/aguada-dev/aguada/auth/lockout"
	"github.com/aguada-dev/aguada/config"
	"github.com/aguada-dev/aguada/limit"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport"
)

// Names under which readiness tells of keys and tokens.
const (
	keySetCheck        = "auth.jwks"
	introspectionCheck = "auth.introspection"
)

// needs says which configuration the contract asks for.
func (a *App) needs() config.Needs {
	var n config.Needs
	for _, s := range a.contract.Schemes {
		if slices.Contains(a.own, s.Name) {
			continue
		}
		switch s.Kind {
		case policy.Basic:
			n.Basic = true
		case policy.APIKey:
			n.APIKey = true
		case policy.JWT:
			n.JWT = true
		case policy.OAuth2, policy.Bearer:
			n.Token = true
		}
	}
	for _, s := range a.contract.Services {
		n.Database = n.Database || slices.Contains(s.DependsOn, "database")
		for i := range s.Methods {
			n.GRPC = n.GRPC || s.Methods[i].GRPC != nil
			n.Idempotency = n.Idempotency || s.Methods[i].Idempotency != nil
		}
	}
	return n
}

// verifiers makes a verifier for every scheme that the configuration provides
// for, but not for those of own: what there is of their settings was not
// judged. A scheme that is left out refuses to start later, when it is known
// which services verify credentials themselves.
func (rt *Runtime) verifiers(all []policy.Scheme, own []string) (auth.Verifiers, error) {
	v := make(auth.Verifiers)
	schemes := slices.DeleteFunc(slices.Clone(all), func(s policy.Scheme) bool { return slices.Contains(own, s.Name) })
	var issuers []jwt.Issuer
	var err error
	if slices.ContainsFunc(schemes, func(s policy.Scheme) bool { return s.Kind != policy.Basic && s.Kind != policy.APIKey }) {
		if issuers, err = rt.issuers(); err != nil {
			return nil, err
		}
	}
	var errs []error
	for _, s := range schemes {
		made, err := rt.verifier(s, issuers)
		if err != nil {
			errs = append(errs, fmt.Errorf("scheme %s: %w", s.Name, err))
		} else if made != nil {
			v[s.Name] = made
		}
	}
	return v, errors.Join(errs...)
}

// verifier makes the verifier of one scheme; nil if it is not configured.
func (rt *Runtime) verifier(s policy.Scheme, issuers []jwt.Issuer) (auth.Verifier, error) {
	c := rt.Config
	switch s.Kind {
	case policy.Basic:
		if c.AuthUsersFile == "" {
			return nil, nil
		}
		return basic.Open(c.AuthUsersFile, basic.Config{Scheme: s.Name, Logger: rt.Logger})
	case policy.APIKey:
		if c.AuthAPIKeysFile == "" {
			return nil, nil
		}
		return apikey.Open(c.AuthAPIKeysFile, rt.Peppers(), apikey.Config{Scheme: s.Name, Logger: rt.Logger})
	}
	var tokens, opaque auth.Verifier
	if len(issuers) > 0 {
		signed, err := jwt.New(issuers, jwt.Config{
			Scheme: s.Name, Audience: c.AuthAudiences, Algorithms: c.AuthAlgorithms, Types: c.AuthTokenTypes,
			Leeway: c.AuthLeeway, MaxAge: c.AuthMaxTokenAge,
		})
		if err != nil {
			return nil, err
		}
		tokens = signed
	}
	if c.AuthIntrospectionClientID != "" && s.Kind != policy.JWT {
		asked, err := rt.introspection(s.Name)
		if err != nil {
			return nil, err
		}
		opaque = asked
	}
	if tokens == nil && opaque == nil {
		return nil, nil
	}
	return introspect.Choose(tokens, opaque), nil
}

// Peppers returns the configured peppers of API keys, for a store of the
// team's own; they follow their files.
func (rt *Runtime) Peppers() apikey.Peppers {
	return apikey.Peppers{Current: rt.Config.AuthAPIKeysPepper.Reveal, Old: rt.Config.AuthAPIKeysOldPepper.Reveal}
}

// introspection asks about the opaque tokens of a scheme.
func (rt *Runtime) introspection(scheme string) (*introspect.Verifier, error) {
	c := rt.Config
	endpoint, issuers := func() string { return c.AuthIntrospectionURL }, c.AuthIssuers
	if c.AuthIntrospectionURL == "" {
		asked, ok := rt.discovering()
		if !ok {
			return nil, errors.New("AUTH_INTROSPECTION_URL is not set, and no issuer is asked where it is")
		}
		endpoint, issuers = asked.Keys.IntrospectionEndpoint, []string{asked.Name}
	}
	id := func() string { return c.AuthIntrospectionClientID }
	v, err := introspect.New(endpoint, id, c.AuthIntrospectionClientSecret.Reveal, introspect.Config{
		Scheme: scheme, Issuers: issuers, Audience: c.AuthAudiences, Leeway: c.AuthLeeway, MaxAge: c.AuthMaxTokenAge, Logger: rt.Logger,
	})
	if err != nil {
		return nil, err
	}
	rt.OnStop(introspectionCheck, v.Close)
	rt.note(introspectionCheck, nil, v.Note)
	return v, nil
}

// discovering returns the first issuer that is asked for its keys. Introspection
// asks no other, whatever happens, and believes it about nobody else: the secret
// and the tokens are for that issuer.
func (rt *Runtime) discovering() (jwt.Issuer, bool) {
	for i, issuer := range rt.keys {
		if file, address := rt.Config.KeySet(i); file == "" && address == "" {
			return issuer, true
		}
	}
	return jwt.Issuer{}, false
}

// issuers opens the key sets of the configured issuers. Readiness depends on
// one of them: while there are keys, somebody's tokens are good.
func (rt *Runtime) issuers() ([]jwt.Issuer, error) {
	c := rt.Config
	cfg := jwt.KeySetConfig{Logger: rt.Logger.With(slog.String("component", keySetCheck))}
	var all []jwt.Issuer
	for i, name := range c.AuthIssuers {
		var keys *jwt.KeySet
		var err error
		switch file, url := c.KeySet(i); {
		case file != "":
			keys, err = jwt.NewFileKeySet(file, cfg)
		case url != "":
			keys, err = jwt.NewURLKeySet(url, cfg)
		default:
			keys, err = jwt.NewIssuerKeySet(name, cfg)
		}
		if err != nil {
			return nil, fmt.Errorf("issuer %d of AUTH_ISSUER: %w", i+1, err)
		}
		rt.OnStop(keySetCheck, keys.Close)
		all = append(all, jwt.Issuer{Name: name, Keys: keys})
	}
	if len(all) > 0 {
		rt.keys = all
		rt.note(keySetCheck, rt.keysReady, rt.keysNote)
	}
	return all, nil
}

// keysReady passes while one issuer's tokens can be verified.
func (rt *Runtime) keysReady(ctx context.Context) error {
	var errs []error
	for _, i := range rt.keys {
		err := i.Keys.Ready(ctx)
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("issuer %s: %w", i.Name, err))
	}
	return errors.Join(errs...)
}

// keysNote says what is wrong with any of them.
func (rt *Runtime) keysNote() string {
	note := ""
	for _, i := range rt.keys {
		text := i.Keys.Status().Note()
		if text == "" {
			continue
		}
		if note != "" {
			note += "; "
		}
		note += "issuer " + i.Name + ": " + text
	}
	return note
}

// keySetAges are the ages of the key sets that are fetched, by issuer.
func (rt *Runtime) keySetAges() map[string]time.Duration {
	ages := map[string]time.Duration{}
	for _, i := range rt.keys {
		if at := i.Keys.Fetched(); !at.IsZero() {
			ages[i.Name] = time.Since(at)
		}
	}
	return ages
}

// lockout slows down clients that guess credentials; nil if it is off, or if
// it cannot tell one client from another.
func (rt *Runtime) lockout() (*lockout.Lockout, error) {
	c := rt.Config
	switch {
	case c.TLSMode != "" && len(c.TrustedProxies) == 0:
		rt.Logger.Warn("lock-outs and limits by client address are off: TLS_MODE=upstream makes all clients one address; set TRUSTED_PROXIES to the networks of the proxy")
		return nil, nil
	case c.AuthLockoutFailures == 0:
		return nil, nil
	}
	return lockout.New(lockout.Config{Failures: c.AuthLockoutFailures, Max: c.AuthLockoutMax})
}

// guarded has every verifier behind the lock-out, which replicas share where they
// share limits.
func (rt *Runtime) guarded(all auth.Verifiers) error {
	l, err := rt.lockout()
	if err != nil {
		return err
	}
	if shared, ok := rt.limits.(limit.LockSharer); ok && l != nil {
		if err := shared.ShareLocks(l); err != nil {
			return err
		}
	}
	for name, v := range all {
		all[name] = l.Guard(v, lockout.Guard{Client: transport.ClientAddr, Locked: rt.operation.locked})
	}
	return nil
}
