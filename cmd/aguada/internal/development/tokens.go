package development

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/auth/issuer"
	"github.com/aguada-dev/aguada/auth/issuer/state"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/issuing"
)

// issuerFile holds the state of the development issuer, the keys with which it
// signs included.
const issuerFile = "issuer.db"

// Clients that every project's issuer has.
const (
	// Browser is for programs that a user logs in to: it has no secret, and
	// its redirect URIs are on loopback, at any port.
	Browser = "dev-browser"
	// Machine is for programs that act for themselves.
	Machine = "dev-machine"
	// commandLine is the client of tokens that no client asked for.
	commandLine = "aguada-token"
)

// callbacks are the paths of Browser's redirect URIs: the usual one, and that of
// Swagger UI.
var callbacks = []string{"", "/", "/callback", "/oauth2-redirect.html", "/docs/oauth2-redirect.html"}

// IssuerFile returns the file that holds the state of the issuer of the project
// in dir.
func IssuerFile(dir string) (string, error) {
	s, err := MakeState(dir)
	return (&Kit{state: s}).file(issuerFile), err
}

// openIssuer makes sure that the issuer's state has the kit's clients. Other
// clients are left alone.
func (k *Kit) openIssuer() (err error) {
	if k.secrets.ClientSecret == "" {
		if k.secrets.ClientSecret, err = random(32); err != nil {
			return err
		}
		if err := k.save(); err != nil {
			return err
		}
	}
	browser := state.Client{ID: Browser, Name: "A program on this machine", Grants: []string{state.AuthorizationCode, state.RefreshToken}}
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]"} {
		for _, path := range callbacks {
			browser.RedirectURIs = append(browser.RedirectURIs, "http://"+host+path)
		}
	}
	machine := state.Client{ID: Machine, Name: "A program without a user", Grants: []string{state.ClientCredentials}}
	machine.SetSecret(k.secrets.ClientSecret)
	return k.withIssuer(func(ctx context.Context, s *state.State) error {
		return s.Update(ctx, func(tx *state.Tx) error {
			if k.url, err = issuing.URL(tx); err != nil {
				return err
			}
			return errors.Join(tx.PutClient(browser), tx.PutClient(machine))
		})
	})
}

// withIssuer opens the issuer's state for the time of one step.
func (k *Kit) withIssuer(step func(context.Context, *state.State) error) (err error) {
	ctx := context.Background()
	file := k.file(issuerFile)
	if _, err := read(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s, err := state.Open(ctx, file)
	if errors.Is(err, state.ErrUnusable) {
		return &CorruptError{File: file, Err: state.ErrUnusable}
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := step(ctx, s); err != nil {
		return fmt.Errorf("use %s: %w", file, err)
	}
	return nil
}

// Issuer returns the settings of the project's issuer. It is an error unless
// MakesTokens.
func (k *Kit) Issuer(log *slog.Logger) (issuer.Config, error) {
	if !k.MakesTokens() {
		return issuer.Config{}, errors.New("run issuer: the environment names another one, or no method of the design takes a token")
	}
	cfg := issuing.Settings(k.contract, k.url, k.audience(), log)
	cfg.Login = Browser
	return cfg, nil
}

// IssuerURL returns the name and address of the project's issuer.
func (k *Kit) IssuerURL() string { return k.url }

// ClientSecret returns the secret of the client Machine, empty unless
// MakesTokens.
func (k *Kit) ClientSecret() string {
	if !k.MakesTokens() {
		return ""
	}
	return k.secrets.ClientSecret
}

// audience is the environment's, so that a token fits the service that it is
// made for.
func (k *Kit) audience() []string {
	var list []string
	for _, name := range strings.Split(k.lookup("AUTH_AUDIENCE"), ",") {
		if name = strings.TrimSpace(name); name != "" {
			list = append(list, name)
		}
	}
	switch {
	case len(list) > 0:
		return list
	case k.contract.API.Name != "":
		return []string{k.contract.API.Name}
	}
	return []string{k.name}
}

// Token returns a token for the subject with the scopes, good for ttl from now
// on, signed with the issuer's key. It is an error unless MakesTokens; the
// issuer need not run.
func (k *Kit) Token(subject string, scopes []string, ttl time.Duration) (token string, err error) {
	if !k.MakesTokens() {
		return "", errors.New("make token: the service does not trust the development issuer")
	}
	cfg, err := k.Issuer(slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		return "", err
	}
	err = k.withIssuer(func(ctx context.Context, s *state.State) error {
		i, err := issuer.New(s, cfg)
		if err != nil {
			return err
		}
		token, err = i.Token(ctx, issuer.Claims{Subject: subject, ClientID: commandLine, Scopes: scopes, Lifetime: ttl})
		return err
	})
	return token, err
}
