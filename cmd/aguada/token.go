package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aguada-dev/aguada/cmd/aguada/internal/curl"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/development"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/project"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/terminal"
	"github.com/aguada-dev/aguada/policy"
)

func newToken(out *terminal.Output, stdout io.Writer) *cobra.Command {
	t := &tokens{out: out, stdout: stdout}
	cmd := &cobra.Command{
		Use:   "token [DIR]",
		Short: "Make a token that the service in DIR accepts under aguada run",
		Long: `token signs a token with the key of the development issuer of the service in DIR
(the working folder by default), which is in DIR/.aguada and is made when it is
missing. The issuer need not run. The token is the last line of the output, and
alone on standard output.

AUTH_AUDIENCE of the environment is put into the token, as run gives it to the
service.`,
		Example: `  aguada token --scope "api:read api:write" ./examples/orders
  curl -H "Authorization: Bearer $(aguada token --scope api:read .)" http://127.0.0.1:8080/orders`,
		Args: dirArgument,
		RunE: func(_ *cobra.Command, args []string) error { return t.run(dirOf(args)) },
	}
	cmd.Flags().StringArrayVar(&t.scopes, "scope", nil, "scopes, separated by spaces or commas; may be repeated (default none)")
	cmd.Flags().StringVar(&t.subject, "subject", development.User, "whom the token stands for")
	cmd.Flags().DurationVar(&t.ttl, "ttl", time.Hour, "how long the token is good for")
	cmd.Flags().BoolVar(&t.asJSON, "json", false, "print the token and what it holds as JSON")
	return cmd
}

type tokens struct {
	out     *terminal.Output
	stdout  io.Writer
	scopes  []string
	subject string
	ttl     time.Duration
	asJSON  bool
}

func (t *tokens) run(dir string) error {
	if t.ttl <= 0 {
		return usageError{fmt.Errorf("--ttl %s is not positive", t.ttl)}
	}
	if strings.TrimSpace(t.subject) == "" {
		return usageError{errors.New("--subject is empty")}
	}
	var scopes []string
	for _, s := range t.scopes {
		scopes = append(scopes, strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' || r == '\n' })...)
	}
	dir, contract, err := t.find(dir)
	if err != nil {
		return err
	}
	kit, err := development.Open(dir, filepath.Base(dir), contract, os.Getenv)
	if err != nil {
		return err
	}
	if !kit.MakesTokens() {
		return t.noTokens(contract)
	}
	for _, s := range scopes {
		if !slices.Contains(kit.Scopes(), s) {
			t.out.Printf("warning: no security scheme of the design declares the scope %q", s)
		}
	}
	expires := time.Now().Add(t.ttl).UTC().Truncate(time.Second)
	token, err := kit.Token(t.subject, scopes, t.ttl)
	if err != nil {
		return err
	}
	if t.asJSON {
		return writeJSON(t.stdout, struct {
			Token     string    `json:"token"`
			Subject   string    `json:"subject"`
			Scopes    []string  `json:"scopes"`
			ExpiresAt time.Time `json:"expires_at"`
		}{token, t.subject, append([]string{}, scopes...), expires})
	}
	t.out.Printf("for development on this machine only; subject %s, scopes [%s], good until %s",
		t.subject, strings.Join(scopes, " "), expires.Format(time.RFC3339))
	if _, err := fmt.Fprintln(t.stdout, token); err != nil {
		return fmt.Errorf("print token: %w", err)
	}
	return nil
}

func (t *tokens) noTokens(c *policy.Contract) error {
	for _, s := range c.Schemes {
		switch s.Kind {
		case policy.JWT, policy.OAuth2, policy.Bearer:
			return errors.New("make token: AUTH_ISSUER, AUTH_JWKS_FILE, AUTH_JWKS_URL or AUTH_INTROSPECTION_URL is set, so that the service does not trust the development issuer")
		case policy.Basic, policy.APIKey:
		}
	}
	return errors.New("make token: no method of the design takes a token")
}

// find returns the service's folder and contract. A working folder that is not
// a service stands for the only one below it that was run.
func (t *tokens) find(dir string) (string, *policy.Contract, error) {
	c, err := project.Contract(dir)
	if err == nil {
		dir, err = filepath.Abs(dir)
		return dir, c, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", nil, err
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", nil, fmt.Errorf("find service in %s: no such folder", dir)
	}
	if dir == "." {
		if found := everRun(dir); len(found) == 1 {
			t.out.Printf("the working folder is not a service; taking %s", found[0])
			return t.find(found[0])
		} else if len(found) > 1 {
			return "", nil, usageError{fmt.Errorf("several services were run below the working folder; name one: %s", strings.Join(found, ", "))}
		}
	}
	return "", nil, fmt.Errorf("find service in %s: no gen/production/contract.json; where a service is, this makes it: %s gen %s", dir, invocation(), curl.Quote(dir))
}

// everRun returns the folders up to three levels below dir that hold the state of
// a service.
func everRun(dir string) []string {
	var found []string
	for _, pattern := range []string{"*", "*/*", "*/*/*"} {
		states, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern), development.StateDir))
		if err != nil {
			continue
		}
		for _, s := range states {
			found = append(found, filepath.Dir(s))
		}
	}
	return found
}
