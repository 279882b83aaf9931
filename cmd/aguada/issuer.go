package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aguada-dev/aguada/auth/issuer/state"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/development"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/issuing"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/terminal"
)

func newIssuer(out *terminal.Output, stdout io.Writer) *cobra.Command {
	var addr string
	a := &issuers{out: out, stdout: stdout}
	cmd := &cobra.Command{
		Use:   "issuer",
		Short: "Run the development issuer of a service alone, and look after it",
		Long: `issuer runs the OAuth 2.0 and OpenID Connect provider that aguada run starts
beside a service: authorization code with PKCE and a consent page, refresh tokens,
client credentials, revocation, introspection. Its clients, keys and tokens are in
DIR/.aguada/issuer.db; its scopes are those of the service's design.

It is for development on this machine: it listens on loopback only, and nobody
needs a password. A client is dev-browser (no secret, code with PKCE, redirects to
loopback) or dev-machine (client credentials); others are added.`,
		Example: `  aguada issuer --dir ./examples/orders
  aguada issuer clients add shop-app --redirect http://127.0.0.1/cb --dir ./examples/orders
  aguada issuer rotate-keys --dir ./examples/orders`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, _, release := stopOnSignal(cmd.Context())
			defer release()
			return a.serve(ctx, addr)
		},
	}
	cmd.PersistentFlags().StringVar(&a.dir, "dir", ".", "folder of the service")
	cmd.Flags().StringVar(&addr, "addr", "", "loopback address to listen on, port 0 for any free one (default the last one, else "+issuing.DefaultAddr+")")
	clients := &cobra.Command{
		Use: "clients", Short: "List, add and remove the issuer's clients", Args: knownCommand,
		Example: "  aguada issuer clients list",
		RunE:    func(cmd *cobra.Command, _ []string) error { return commandNeeded(cmd) },
	}
	clients.AddCommand(a.newList(), a.newAdd(), a.newRemove())
	cmd.AddCommand(clients, a.newRotate())
	return cmd
}

func withoutArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{errors.New("no arguments are accepted, got " + strings.Join(args, " "))}
	}
	return nil
}

func oneID(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError{errors.New("one client ID is needed")}
	}
	return nil
}

// issuers is what the issuer's commands share.
type issuers struct {
	out    *terminal.Output
	stdout io.Writer
	dir    string
}

// kit opens what the service in the folder needs, so that its issuer has its
// usual clients.
func (a *issuers) kit() (dir string, k *development.Kit, err error) {
	t := &tokens{out: a.out, stdout: a.stdout}
	dir, contract, err := t.find(a.dir)
	if err != nil {
		return "", nil, err
	}
	k, err = development.Open(dir, filepath.Base(dir), contract, os.Getenv)
	if err == nil && !k.MakesTokens() {
		err = t.noTokens(contract)
	}
	return dir, k, err
}

func (a *issuers) serve(ctx context.Context, addr string) (err error) {
	dir, _, err := a.kit()
	if err != nil {
		return err
	}
	s, err := startIssuer(ctx, a.out, slog.LevelInfo, dir, addr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if s.Elsewhere() {
		return fmt.Errorf("run issuer: that of this project runs already at %s; use that one, or end the process that runs it", s.URL())
	}
	_, kit, err := a.kit() // the address may be another one now
	if err != nil {
		return err
	}
	if err := useKit(s, kit, a.out, slog.LevelInfo); err != nil {
		return err
	}
	a.out.Printf("issuer %s/   clients %s, %s   Ctrl-C stops it", a.out.Bold(s.URL()), development.Browser, development.Machine)
	select {
	case <-ctx.Done():
		a.out.Println("stopped")
		return nil
	case err := <-s.Done():
		return err
	}
}

// startIssuer starts the issuer of the service in dir, or finds the one that
// runs.
func startIssuer(ctx context.Context, out *terminal.Output, level slog.Level, dir, addr string) (*issuing.Server, error) {
	file, err := development.IssuerFile(dir)
	if err != nil {
		return nil, err
	}
	s, err := issuing.Start(ctx, file, issuing.Config{Addr: addr, Logger: issuerLog(out, level)})
	if errors.Is(err, state.ErrUnusable) {
		err = &development.CorruptError{File: file, Err: state.ErrUnusable}
	}
	return s, err
}

// useKit puts the settings of the service's kit in force. Without an issuer
// there is nothing to do.
func useKit(s *issuing.Server, k *development.Kit, out *terminal.Output, level slog.Level) error {
	if s == nil || !k.MakesTokens() {
		return nil
	}
	cfg, err := k.Issuer(issuerLog(out, level))
	if err != nil {
		return err
	}
	return s.Use(cfg)
}

// issuerLog writes beside the command's own words. It has no times: those are
// the service's.
func issuerLog(out *terminal.Output, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

// update changes the issuer's state; one that runs sees it at once.
func (a *issuers) update(ctx context.Context, f func(*state.Tx) error) (err error) {
	dir, _, err := a.kit()
	if err != nil {
		return err
	}
	file, err := development.IssuerFile(dir)
	if err != nil {
		return err
	}
	s, err := state.Open(ctx, file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.Update(ctx, f)
}

func (a *issuers) newRotate() *cobra.Command {
	var drop bool
	var algorithm string
	cmd := &cobra.Command{
		Use:   "rotate-keys",
		Short: "Make a new signing key",
		Long: `rotate-keys makes a new key. It is in the key set at once and signs 15 seconds
later, so that nobody meets a key that they cannot know. The old key stays in the
set until the last token that it signed has ended. With --now the new key signs at
once, and the old one goes with its tokens.`,
		Example: "  aguada issuer rotate-keys --dir ./examples/orders",
		Args:    withoutArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var k state.Key
			err := a.update(cmd.Context(), func(tx *state.Tx) (err error) {
				k, err = tx.RotateKey(algorithm, drop, time.Now())
				return err
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.stdout, k.ID)
			return err
		},
	}
	cmd.Flags().BoolVar(&drop, "now", false, "drop the old keys at once")
	cmd.Flags().StringVar(&algorithm, "algorithm", state.ES256, "what the key is for: ES256, RS256 or EdDSA")
	return cmd
}

func (a *issuers) newList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the issuer's clients", Args: withoutArguments,
		Example: "  aguada issuer clients list --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var clients []state.Client
			err := a.update(cmd.Context(), func(tx *state.Tx) (err error) { clients, err = tx.Clients(); return err })
			if err != nil {
				return err
			}
			for i := range clients {
				clients[i].SecretDigest = nil
			}
			if asJSON {
				return writeJSON(a.stdout, clients)
			}
			for _, c := range clients {
				if _, err := fmt.Fprintf(a.stdout, "%s\t%s\t%s\n", c.ID, strings.Join(c.Grants, " "), strings.Join(c.RedirectURIs, " ")); err != nil {
					return fmt.Errorf("print clients: %w", err)
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the clients as JSON")
	return cmd
}

func (a *issuers) newAdd() *cobra.Command {
	var c state.Client
	var confidential bool
	cmd := &cobra.Command{
		Use:   "add ID",
		Short: "Add a client, or replace it",
		Long: `add registers a client. With --redirect it may log users in (authorization code and
refresh tokens), with --machine it may ask for tokens of its own. A client with a
secret (--secret, or --machine) has it printed once, alone on standard output.`,
		Example: `  aguada issuer clients add shop-app --redirect http://127.0.0.1/callback
  aguada issuer clients add nightly --machine --opaque --scope api:read`,
		Args: oneID,
		RunE: func(cmd *cobra.Command, args []string) error {
			c.ID = args[0]
			machine, _ := cmd.Flags().GetBool("machine")
			if len(c.RedirectURIs) > 0 {
				c.Grants = append(c.Grants, state.AuthorizationCode, state.RefreshToken)
			}
			if machine {
				c.Grants = append(c.Grants, state.ClientCredentials)
			}
			if len(c.Grants) == 0 {
				return usageError{errors.New("the client could do nothing: --redirect URI lets it log users in, --machine gives it tokens of its own")}
			}
			if builtIn(c.ID) {
				return usageError{fmt.Errorf("client %s: every command makes it as it is; choose another id", c.ID)}
			}
			secret := ""
			if confidential || machine {
				secret = c.NewSecret()
			}
			if err := c.Validate(); err != nil {
				return usageError{err}
			}
			if err := a.checkClient(c); err != nil {
				return err
			}
			if err := a.update(cmd.Context(), func(tx *state.Tx) error { return tx.PutClient(c) }); err != nil {
				return err
			}
			if secret != "" {
				a.out.Println("the secret is shown this once:")
				if _, err := fmt.Fprintln(a.stdout, secret); err != nil {
					return fmt.Errorf("print secret: %w", err)
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&c.Name, "name", "", "what the consent page calls the client (default ID)")
	cmd.Flags().StringArrayVar(&c.RedirectURIs, "redirect", nil, "redirect URI; may be repeated")
	cmd.Flags().StringArrayVar(&c.Scopes, "scope", nil, "scope that the client may have; may be repeated (default every scope of the design)")
	cmd.Flags().BoolVar(&c.Opaque, "opaque", false, "give it opaque access tokens, which must be introspected")
	cmd.Flags().BoolVar(&confidential, "secret", false, "give it a secret")
	cmd.Flags().Bool("machine", false, "let it use client credentials")
	return cmd
}

// builtIn reports whether a client belongs to the kit.
func builtIn(id string) bool { return id == development.Browser || id == development.Machine }

// checkClient refuses a client that the issuer would refuse.
func (a *issuers) checkClient(c state.Client) error {
	_, k, err := a.kit()
	if err != nil {
		return err
	}
	cfg, err := k.Issuer(nil)
	if err != nil {
		return err
	}
	if err := cfg.CheckClient(c); err != nil {
		return usageError{err}
	}
	return nil
}

func (a *issuers) newRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove ID", Short: "Remove a client and revoke its tokens", Args: oneID,
		Example: "  aguada issuer clients remove shop-app",
		RunE: func(cmd *cobra.Command, args []string) error {
			err := a.update(cmd.Context(), func(tx *state.Tx) error { return tx.DeleteClient(args[0]) })
			if errors.Is(err, state.ErrNotFound) {
				err = fmt.Errorf("remove client: there is no %q; aguada issuer clients list shows those that are", args[0])
			}
			if err == nil && builtIn(args[0]) {
				a.out.Printf("the tokens of %s are revoked; the client itself comes back with the next command", args[0])
			}
			return err
		},
	}
}

// closeIssuer ends the session's issuer.
func (s *session) closeIssuer() {
	if s.issuer == nil {
		return
	}
	if err := s.issuer.Close(); err != nil {
		s.out.Error(err)
	}
}
