package setup

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/target"
	"github.com/aguada-dev/aguada/prove/wallet"
)

// remote makes ready what can be had for a service that runs already: the
// credentials that were given, and an issuer where the secret of its tokens is
// known.
func (s *Setup) remote(cfg Config, f *File, service *model.Service, secrets *target.Secrets) error {
	given, c := cfg.Given, f.Credentials
	if given.HMACSecret != "" {
		c.Token.Secret, c.Token.Value = "hmac", given.HMACSecret
	}
	secrets.Add("the given token", given.Token)
	var make func(subject string, scopes []string) (string, error)
	switch {
	case c.Token.Value != "":
		known := *f
		known.Credentials = c
		if err := s.startIssuer(service, &known, map[string]string{}, secrets); err != nil {
			return err
		}
		if s.issuer != nil {
			make = func(subject string, scopes []string) (string, error) { return s.Lab.Token(s.issuer, subject, scopes) }
		}
		s.Lab.NewIssuer = nil // no process that would trust it
	case given.Token != "":
		make = func(string, []string) (string, error) { return given.Token, nil }
	}
	users, keys, err := given.known(c)
	if err != nil {
		return err
	}
	w, err := wallet.New("", service, wallet.Config{Token: make, Users: users, Keys: keys, Secrets: secrets})
	if err != nil {
		return err
	}
	s.Lab.Service, s.Lab.Wallet, s.Lab.Issuer, s.Lab.Remote = service, w, s.issuer, cfg.Remote
	s.Lab.Secrets, s.Lab.Seed, s.Lab.Parameters = secrets, cfg.Seed, f.Parameters
	return nil
}

// known returns users and keys, neither nil: the service's own are all there
// are.
func (g Given) known(c Credentials) (users map[string]string, keys []string, err error) {
	users, keys = map[string]string{}, []string{}
	maps.Copy(users, c.Basic)
	keys = append(keys, c.APIKeys...)
	if g.Basic != "" {
		user, password, ok := strings.Cut(g.Basic, ":")
		if !ok || user == "" || password == "" {
			return nil, nil, errors.New("read the Basic credentials: want user:password")
		}
		users = map[string]string{user: password}
	}
	if g.APIKey != "" {
		keys = []string{g.APIKey}
	}
	return users, keys, nil
}

// Changing returns the methods that may change things when they are called, each
// with its route, sorted.
func Changing(s *model.Service) []string {
	var all []string
	for _, m := range s.Methods {
		if m.HTTP() && (m.Changes() || m.Kind == policy.WebSocket) {
			all = append(all, fmt.Sprintf("%s (%s %s)", m.ID(), m.Verb, m.Pattern))
		}
	}
	slices.Sort(all)
	return all
}
