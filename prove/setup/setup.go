// Package setup makes ready what a service needs to be attacked: the model of
// what it promises, an issuer, a receiver of telemetry, credentials, and the
// recipe by which it is started with all of them.
//
//	s, err := setup.New(ctx, setup.Config{Dir: "./examples/orders", Path: binary})
//	defer s.Close()
//	report, err := prove.Run(ctx, prove.Config{Lab: s.Lab})
//
// A service that uses Aguada is known by its contract; any other says the rest
// in prove.yaml ([File]).
package setup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/idp"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/sink"
	"github.com/aguada-dev/aguada/prove/target"
	"github.com/aguada-dev/aguada/prove/wallet"
)

// Config says which service to prepare for.
type Config struct {
	// Dir holds the service's module, its generated code and prove.yaml.
	Dir string
	// Path is the program, and Args what it is given.
	Path string
	Args []string
	// Remote is the service where it runs already: nothing is started then, and
	// Given is what it knows callers by.
	Remote *lab.Remote
	Given  Given
	// File wins over Dir's prove.yaml.
	File *File
	// Env wins over every other source of the service's environment.
	Env map[string]string
	// Dependencies are addresses, by the variable that holds them, that only
	// processes get from which they are taken away. What of Env and of the file
	// is the URL of a database, of Redis or of a broker is a dependency, too.
	Dependencies map[string]string
	// Seed makes the same payloads again.
	Seed uint64
}

// Given are credentials that the service knows already. They win over those of
// prove.yaml; what is empty is not given.
type Given struct {
	// Token is an access token with every scope, and Basic "user:password".
	Token, Basic, APIKey string
	// HMACSecret is what the service verifies tokens with.
	HMACSecret string
}

// Setup is everything around the service. Close ends it.
type Setup struct {
	// Lab is what [lab.Open] needs.
	Lab lab.Config

	dir    string
	issuer *idp.Provider
	sink   *sink.Sink
}

// Read returns the model of the service in dir, by the file's documents or those
// that are in dir/gen.
func Read(dir string, f *File) (*model.Service, error) {
	if f == nil {
		f = &File{}
	}
	contract, err := document(dir, f.Contract, "gen/production/contract.json")
	if err != nil {
		return nil, err
	}
	openapi, err := document(dir, f.OpenAPI, "gen/http/openapi3.json")
	if err != nil {
		return nil, err
	}
	if contract == nil && openapi == nil {
		return nil, fmt.Errorf("read what %s promises: there is neither gen/production/contract.json nor gen/http/openapi3.json: run goa gen, or name a document in prove.yaml", dir)
	}
	s, err := model.Read(contract, openapi)
	if err != nil {
		return nil, err
	}
	for id, scopes := range f.Scopes {
		if err := s.Require(id, scopes); err != nil {
			return nil, fmt.Errorf("read prove.yaml: scopes: %w", err)
		}
	}
	return s, nil
}

// document reads the file that was named, which must be there, or the usual one,
// which need not.
func document(dir, named, usual string) ([]byte, error) {
	name := filepath.Join(dir, filepath.FromSlash(usual))
	if named != "" {
		name = filepath.Join(dir, named)
		if filepath.IsAbs(named) {
			name = named
		}
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && named == "" {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what the service promises: %w", err)
	}
	return text, nil
}

// New makes everything ready and starts no service.
func New(cfg Config) (_ *Setup, err error) {
	s := &Setup{}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	f := cfg.File
	if f == nil {
		if f, err = ReadFile(filepath.Join(cfg.Dir, "prove.yaml")); err != nil {
			return nil, err
		}
	}
	service, err := Read(cfg.Dir, f)
	if err != nil {
		return nil, err
	}
	own := f != nil // somebody says how the service is started
	if f == nil {
		f = &File{}
	}
	secrets := &target.Secrets{}
	values := map[string]string{}
	if cfg.Remote != nil {
		return s, s.remote(cfg, f, service, secrets)
	}
	if s.dir, err = os.MkdirTemp("", "aguada-prove-"); err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	if err := s.startIssuer(service, f, values, secrets); err != nil {
		return nil, err
	}
	if s.sink, err = sink.Start(sink.Config{}); err != nil {
		return nil, err
	}
	values["otlp_http"], values["otlp_grpc"] = s.sink.HTTP(), s.sink.GRPC()
	w, err := s.fill(service, f, values, secrets)
	if err != nil {
		return nil, err
	}
	env := maps.Clone(f.Env)
	if !own || service.Contracted {
		env = aguada(service, secrets)
		maps.Copy(env, f.Env)
	}
	maps.Copy(env, cfg.Env)
	if s.Lab.Dependencies, err = dependencies(env, cfg.Dependencies, secrets); err != nil {
		return nil, err
	}
	s.Lab.Service, s.Lab.Wallet, s.Lab.Sink, s.Lab.Issuer = service, w, s.sink, s.issuer
	s.Lab.Secrets, s.Lab.Seed, s.Lab.Parameters, s.Lab.Debug = secrets, cfg.Seed, f.Parameters, f.Debug
	s.Lab.Recipe = target.Recipe{
		Path: cfg.Path, Args: append(f.Args, cfg.Args...), Env: env, Values: values,
		Ready: f.Ready, Alive: f.Alive, Answers: f.Ready == "" && !service.Contracted, Patience: f.Patience,
	}
	if service.Contracted && f.Alive == "" {
		s.Lab.Recipe.Alive = "/livez"
	}
	s.Lab.Introspection = asking(service, f)
	return s, nil
}

// startIssuer starts an issuer where the service takes tokens.
func (s *Setup) startIssuer(service *model.Service, f *File, values map[string]string, secrets *target.Secrets) (err error) {
	if !service.Uses(policy.JWT, policy.OAuth2, policy.Bearer) {
		return nil
	}
	t := f.Credentials.Token
	cfg := idp.Config{Audience: t.Audience, Name: t.Issuer, ScopeClaim: t.Scopes, ScopeList: t.List, Introspection: true}
	if cfg.Audience == "" {
		cfg.Audience = service.Name
	}
	if t.Secret == "hmac" {
		secret := t.Value
		if secret == "" {
			secret = rand.Text() + rand.Text()
		}
		secrets.Add("the secret of tokens", secret)
		cfg.HMACSecret, values["hmac_secret"] = []byte(secret), secret
	}
	s.Lab.NewIssuer = func() (*idp.Provider, error) { return idp.Start(cfg) }
	s.Lab.Token = func(p *idp.Provider, subject string, scopes []string) (string, error) {
		token, err := p.Sign(idp.Claims{Subject: subject, Scopes: append([]string{}, scopes...)})
		secrets.Add("a token", token)
		return token, err
	}
	if s.issuer, err = s.Lab.NewIssuer(); err != nil {
		return err
	}
	values["issuer"], values["keys_url"], values["audience"] = s.issuer.Issuer(), s.issuer.KeysURL(), cfg.Audience
	return nil
}

// fill makes the wallet and the placeholders of its credentials.
func (s *Setup) fill(service *model.Service, f *File, values map[string]string, secrets *target.Secrets) (*wallet.Wallet, error) {
	cfg := wallet.Config{Secrets: secrets, Users: f.Credentials.Basic, Keys: f.Credentials.APIKeys}
	if !service.Contracted {
		// What the service is told by its environment.
		values["user"], values["password"], values["api_key"] = "prover", rand.Text(), rand.Text()
		if cfg.Users == nil {
			cfg.Users = map[string]string{values["user"]: values["password"]}
		}
		if cfg.Keys == nil {
			cfg.Keys = []string{values["api_key"]}
		}
	}
	if s.issuer != nil {
		cfg.Token = func(subject string, scopes []string) (string, error) { return s.Lab.Token(s.issuer, subject, scopes) }
	}
	return wallet.New(s.dir, service, cfg)
}

// aguada is the environment of a service that uses Aguada.
func aguada(s *model.Service, secrets *target.Secrets) map[string]string {
	token, seal := rand.Text(), rand.Text()
	secrets.Add("the token of the private port", token)
	secrets.Add("the secret of stored answers", seal)
	env := map[string]string{
		"HTTP_ADDR": "${http}", "GRPC_ADDR": "${grpc}", "ADMIN_ADDR": "${admin}", "ADMIN_TOKEN": token,
		"LOG_FORMAT": "json", "DATABASE_URL": "sqlite:${dir}/data.db", "SHUTDOWN_TIMEOUT": "10s",
		"IDEMPOTENCY_SECRET": seal,
	}
	if s.GRPC() {
		env["GRPC_REFLECTION"] = "true"
	}
	if s.Uses(policy.JWT, policy.OAuth2, policy.Bearer) {
		env["AUTH_ISSUER"], env["AUTH_JWKS_URL"], env["AUTH_AUDIENCE"] = "${issuer}", "${keys_url}", "${audience}"
	}
	return env
}

// asking is the environment by which the service asks about tokens; nil where
// nobody knows how, or no scheme has tokens to be asked about.
func asking(service *model.Service, f *File) map[string]string {
	if own := f.Credentials.Token.Introspection; own != nil {
		return own
	}
	if !service.Contracted || !service.Uses(policy.OAuth2, policy.Bearer) {
		return nil
	}
	return map[string]string{ //nolint:gosec // places of values, not values
		"AUTH_INTROSPECTION_URL": "${introspection_url}", "AUTH_INTROSPECTION_CLIENT_ID": "${introspection_id}",
		"AUTH_INTROSPECTION_CLIENT_SECRET": "${introspection_secret}",
	}
}

// Close ends what surrounds the service and deletes its files.
func (s *Setup) Close() {
	if s.issuer != nil {
		_ = s.issuer.Close()
	}
	if s.sink != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = s.sink.Close(ctx)
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}
