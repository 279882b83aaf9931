package aguada

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/auth/apikey"
	"github.com/aguada-dev/aguada/auth/basic"
	"github.com/aguada-dev/aguada/auth/jwt"
	"github.com/aguada-dev/aguada/config"
	"github.com/aguada-dev/aguada/policy"
)

// keySetCheck is the name under which readiness asks for the key set.
const keySetCheck = "auth.jwks"

// needs says which configuration the contract asks for.
func needs(c *policy.Contract) config.Needs {
	var n config.Needs
	for _, s := range c.Schemes {
		switch s.Kind {
		case policy.Basic:
			n.Basic = true
		case policy.APIKey:
			n.APIKey = true
		case policy.JWT, policy.OAuth2, policy.Bearer:
			n.Token = true
		}
	}
	for _, s := range c.Services {
		for _, name := range s.DependsOn {
			n.Database = n.Database || name == "database"
		}
	}
	return n
}

// verifiers makes a verifier for every scheme that the configuration provides
// for. A scheme that is left out refuses to start later, when it is known
// which services verify credentials themselves.
func (rt *Runtime) verifiers(schemes []policy.Scheme) (auth.Verifiers, error) {
	v := make(auth.Verifiers)
	var keys *jwt.KeySet
	var errs []error
	for _, s := range schemes {
		var made auth.Verifier
		var err error
		switch c := rt.Config; s.Kind {
		case policy.Basic:
			if c.AuthUsersFile != "" {
				made, err = basic.Open(c.AuthUsersFile, basic.Config{Scheme: s.Name, Logger: rt.Logger})
			}
		case policy.APIKey:
			if c.AuthAPIKeysFile != "" {
				pepper := []byte(c.AuthAPIKeysPepper.Reveal())
				made, err = apikey.Open(c.AuthAPIKeysFile, pepper, apikey.Config{Scheme: s.Name, Logger: rt.Logger})
			}
		default:
			if keys == nil {
				keys, err = rt.keySet(c)
			}
			if keys != nil && err == nil {
				made, err = jwt.New(keys, c.AuthIssuer, jwt.Config{
					Scheme: s.Name, Audience: []string{c.AuthAudience}, Algorithms: c.AuthAlgorithms, Leeway: c.AuthLeeway,
				})
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("scheme %s: %w", s.Name, err))
		} else if made != nil {
			v[s.Name] = made
		}
	}
	return v, errors.Join(errs...)
}

// keySet opens the configured key set; nil if there is none. Readiness depends
// on it.
func (rt *Runtime) keySet(c *config.Config) (*jwt.KeySet, error) {
	cfg := jwt.KeySetConfig{Logger: rt.Logger.With(slog.String("component", keySetCheck))}
	var keys *jwt.KeySet
	var err error
	switch {
	case c.AuthJWKSFile != "":
		keys, err = jwt.NewFileKeySet(c.AuthJWKSFile, cfg)
	case c.AuthJWKSURL != "":
		keys, err = jwt.NewURLKeySet(c.AuthJWKSURL, cfg)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	rt.OnStop(keySetCheck, keys.Close)
	rt.checks.Add(keySetCheck, keys.Ready)
	rt.keys = keys
	return keys, nil
}
