package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aguada-dev/aguada/auth/apikey"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/keystore"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/terminal"
)

// keysPatience is how long a database may take.
const keysPatience = 30 * time.Second

func newKeys(out *terminal.Output, stdout io.Writer) *cobra.Command {
	k := &keys{out: out, stdout: stdout}
	cmd := &cobra.Command{
		Use:   "keys COMMAND",
		Short: "Make, list, rotate and revoke API keys",
		Long: `keys works on the API keys of a service: in a file (--file, or AUTH_API_KEYS_FILE),
or in the service's database (--database, or DATABASE_URL). A running service
follows: within 2 seconds for a file, within 10 for a database.

Only an HMAC of each key is stored. Its pepper is read from AUTH_API_KEYS_PEPPER,
or from the file that AUTH_API_KEYS_PEPPER_FILE names; it is never an argument.`,
		Example: `  export AUTH_API_KEYS_FILE=keys.json AUTH_API_KEYS_PEPPER_FILE=pepper
  KEY=$(aguada keys create --owner partner --scope orders:read)
  aguada keys rotate ID --grace 48h
  aguada keys revoke ID`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{errors.New("unknown command: want create, list, show, rotate or revoke")}
			}
			return nil
		},
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("a command is needed: create, list, show, rotate or revoke")}
		},
	}
	flags := cmd.PersistentFlags()
	flags.StringVar(&k.file, "file", "", "the file that holds the keys (default $AUTH_API_KEYS_FILE)")
	flags.StringVar(&k.database, "database", "", "the database that holds the keys, sqlite:FILE or postgres://USER@HOST/NAME without a password (default $DATABASE_URL)")
	flags.BoolVar(&k.asJSON, "json", false, "print JSON")
	cmd.AddCommand(k.newCreate(), k.newList(), k.newShow(), k.newRotate(), k.newRevoke())
	return cmd
}

// keys is the group of commands; its fields are flags.
type keys struct {
	out            *terminal.Output
	stdout         io.Writer
	file, database string
	asJSON         bool
}

func (k *keys) newCreate() *cobra.Command {
	var owner, label, expires string
	var scopes []string
	cmd := &cobra.Command{
		Use:   "create --owner OWNER",
		Short: "Make a key and print it, this once",
		Long: `create makes a key, stores its HMAC and prints the key, alone on standard output.
It cannot be printed again.

A key ends after 90 days unless --expires says otherwise.`,
		Example: `  KEY=$(aguada keys create --owner partner --scope orders:read --scope orders:write)
  aguada keys create --owner ci --expires 2027-01-01T00:00:00Z --label "release pipeline"`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			end, err := parseExpiry(expires, time.Now())
			if err != nil {
				return err
			}
			if strings.TrimSpace(owner) == "" {
				return usageError{errors.New("--owner is needed: whom the key stands for")}
			}
			q := apikey.Request{Owner: owner, Scopes: words(scopes), Label: label, ExpiresAt: end}
			return k.with(cmd.Context(), true, true, func(ctx context.Context, s *openKeys) error {
				key, r, err := s.registry.Create(ctx, q)
				if err != nil {
					return err
				}
				return k.printKey(s, key, r, nil)
			})
		},
	}
	cmd.Flags().StringVar(&owner, "owner", "", "whom the key stands for: the subject that the service sees (required)")
	cmd.Flags().StringArrayVar(&scopes, "scope", nil, "scopes, separated by spaces or commas; may be repeated (default none)")
	cmd.Flags().StringVar(&expires, "expires", "90d", "when the key ends: 90d, 12h, a time as 2027-01-01T00:00:00Z, or never")
	cmd.Flags().StringVar(&label, "label", "", "a note on what the key is for")
	return cmd
}

func (k *keys) newList() *cobra.Command {
	var owner string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the keys, the oldest first",
		Args:  nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return k.with(cmd.Context(), false, false, func(ctx context.Context, s *openKeys) error {
				found, err := s.registry.List(ctx, apikey.Filter{Owner: owner})
				if err != nil {
					return err
				}
				return k.printList(s, found)
			})
		},
	}
	cmd.Flags().StringVar(&owner, "owner", "", "only the keys of this owner")
	return cmd
}

func (k *keys) newShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show what is known of a key, but never the key",
		Args:  idArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			return k.with(cmd.Context(), false, false, func(ctx context.Context, s *openKeys) error {
				r, err := s.registry.Find(ctx, args[0])
				if err != nil {
					return s.explain(args[0], err)
				}
				return k.printRecord(s, r)
			})
		},
	}
}

func (k *keys) newRotate() *cobra.Command {
	var grace, expires string
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Make a key's successor and print it, this once",
		Long: `rotate makes a key with the owner, scopes and label of another, and prints it,
alone on standard output. The old key is accepted until the grace period ends.

The new key is given as long a life as the old one was, unless --expires says
otherwise.`,
		Example: `  KEY=$(aguada keys rotate mhc4ncqyy2vvp33b --grace 48h)`,
		Args:    idArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			how := apikey.Rotation{}
			var err error
			if how.Grace, err = parseDuration(grace); err != nil || how.Grace < 0 {
				return usageError{fmt.Errorf("--grace %s is not a duration: write 24h, 7d or 0", grace)}
			}
			if cmd.Flags().Changed("expires") {
				if how.ExpiresAt, err = parseExpiry(expires, time.Now()); err != nil {
					return err
				}
				if how.ExpiresAt.IsZero() {
					return usageError{errors.New("--expires never: a successor is not given a longer life than that; make a new key with aguada keys create")}
				}
			}
			return k.with(cmd.Context(), true, false, func(ctx context.Context, s *openKeys) error {
				key, next, old, err := s.registry.Rotate(ctx, args[0], how)
				if err != nil {
					return s.explain(args[0], err)
				}
				return k.printKey(s, key, next, &old)
			})
		},
	}
	cmd.Flags().StringVar(&grace, "grace", "24h", "how long the old key is still accepted: 24h, 7d, 0 for not at all")
	cmd.Flags().StringVar(&expires, "expires", "", "when the new key ends: 90d, 12h or a time (default: after as long a life as the old one's)")
	return cmd
}

func (k *keys) newRevoke() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "End a key at once",
		Long: `revoke ends a key at once, without asking. A key that is revoked already stays
so, which is no error.`,
		Args: idArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			return k.with(cmd.Context(), false, false, func(ctx context.Context, s *openKeys) error {
				r, err := s.registry.Revoke(ctx, args[0])
				if err != nil {
					return s.explain(args[0], err)
				}
				k.out.Printf("%s of %s is revoked: refused everywhere within %s", r.ID, r.Owner, s.keys.Delay)
				s.warnOfPredecessor(ctx, k.out, r)
				if k.asJSON {
					return k.printRecord(s, r)
				}
				return nil
			})
		},
	}
}

// openKeys is one use of the keys.
type openKeys struct {
	keys         *keystore.Keys
	registry     *apikey.Registry
	current, old string // ids of peppers, if known
}

// with opens the keys for some work; create makes what is missing.
func (k *keys) with(ctx context.Context, mints, create bool, work func(context.Context, *openKeys) error) (err error) {
	where, err := keystore.Find(k.file, k.database, os.Getenv)
	if usage, ok := errors.AsType[*keystore.UsageError](err); ok {
		return usageError{usage}
	}
	if err != nil {
		return err
	}
	s := &openKeys{}
	pepper, old, err := keystore.Peppers(os.Getenv)
	switch {
	case mints && err == nil && pepper == "":
		err = fmt.Errorf("the key of the HMACs is not set: set %[1]s, or %[1]s_FILE to a file that holds it; openssl rand -base64 32 makes a new one", keystore.PepperVariable)
	case mints && err == nil && len(pepper) < apikey.MinPepper:
		err = fmt.Errorf("%s is shorter than %d bytes: openssl rand -base64 32 makes a new one", keystore.PepperVariable, apikey.MinPepper)
	}
	if err != nil && mints {
		return err
	}
	if pepper != "" {
		s.current = apikey.PepperID(pepper)
	}
	if old != "" {
		s.old = apikey.PepperID(old)
	}
	ctx, cancel := context.WithTimeout(ctx, keysPatience)
	defer cancel()
	if s.keys, err = where.Open(ctx, create); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.keys.Close()) }()
	s.registry = apikey.NewRegistry(s.keys, func() string { return pepper })
	return work(ctx, s)
}

// explain says what to do about an id that is not there.
func (s *openKeys) explain(id string, err error) error {
	if errors.Is(err, apikey.ErrNotFound) {
		return fmt.Errorf("no key has the id %s in %s: aguada keys list shows them", id, s.keys.Text)
	}
	return err
}

// warnOfPredecessor says that revoking a key leaves the one that it replaced.
func (s *openKeys) warnOfPredecessor(ctx context.Context, out *terminal.Output, r apikey.Record) {
	if r.Replaces == "" {
		return
	}
	if p, err := s.registry.Find(ctx, r.Replaces); err == nil && p.State(time.Now()) == apikey.Retiring {
		out.Printf("%s, which it replaced, is still accepted until %s: revoke that one too if it should not be", p.ID, moment(p.End()))
	}
}

// nothing accepts no argument, and does not repeat one: it may be a key.
func nothing(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("no argument is accepted, got %d", len(args))}
	}
	return nil
}

// maxID is the longest id of a key. What is secret in a key, and the check after
// it, is longer.
const maxID = 32

// idArgument accepts one id. Somebody may give the key itself, which must not
// be repeated.
func idArgument(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError{fmt.Errorf("one ID is needed, got %d", len(args))}
	}
	if id, err := apikey.ID(args[0]); err == nil {
		return usageError{fmt.Errorf("that is a key, and its id is %s. The shell's history may have it now: rotate it", id)}
	}
	if len(args[0]) > maxID || strings.ContainsFunc(args[0], func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }) {
		return usageError{errors.New("that is not the id of a key")}
	}
	return nil
}

// parseExpiry returns when a key ends; zero for never.
func parseExpiry(text string, now time.Time) (time.Time, error) {
	if text == "never" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		if !t.After(now) {
			return time.Time{}, usageError{fmt.Errorf("--expires %s is over", text)}
		}
		return t, nil
	}
	d, err := parseDuration(text)
	if err != nil || d <= 0 {
		return time.Time{}, usageError{fmt.Errorf("--expires %q: write 90d, 12h, a time as 2027-01-01T00:00:00Z, or never", text)}
	}
	return now.Add(d), nil
}

// parseDuration reads a duration in Go's form or in days.
func parseDuration(text string) (time.Duration, error) {
	days, ok := strings.CutSuffix(text, "d")
	if !ok {
		return time.ParseDuration(text)
	}
	n, err := strconv.Atoi(days)
	if err != nil || n < 0 || n > 36500 {
		return 0, fmt.Errorf("parse duration %q", text)
	}
	return time.Duration(n) * 24 * time.Hour, nil
}

// words splits what flags may hold several of.
func words(list []string) []string {
	var all []string
	for _, s := range list {
		all = append(all, strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' || r == '\n' })...)
	}
	return all
}
