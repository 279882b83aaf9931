package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/aguada-dev/aguada/auth/basic"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/terminal"
)

// lockPatience is how long another who changes the users file is waited for.
const lockPatience = 10 * time.Second

func newUsers(out *terminal.Output, stdout io.Writer) *cobra.Command {
	u := &users{out: out, stdout: stdout}
	cmd := &cobra.Command{
		Use:   "users",
		Short: "Add, change, remove and list the users of Basic authentication",
		Long: `users works on the file of user names and password hashes that a service reads
by AUTH_USERS_FILE. A running service follows the file. Comments, order, mode and
owner of the file stay as they are; it is replaced in one step, so that nobody
reads half of it.

A password is asked for twice at the terminal and not shown, or is one line of
standard input with --password-stdin; it is never an argument, which others on
the machine could see. It has at least 8 characters, whichever they are.`,
		Example: `  aguada users add --file users ann
  pwgen -s 20 1 | aguada users passwd --file users --password-stdin ann
  aguada users list --file users --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return usageError{errors.New("unknown command users " + args[0])}
		},
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("a command is needed: users add, passwd, rm or list")}
		},
	}
	cmd.PersistentFlags().StringVar(&u.file, "file", "", "the users file (default $AUTH_USERS_FILE)")
	cmd.AddCommand(
		u.command("add NAME", "Add a user, and make the file if it is missing", true, u.add),
		u.command("passwd NAME", "Give a user another password", true, u.passwd),
		u.command("rm NAME", "Remove a user", false, u.rm),
		u.listCommand(),
	)
	return cmd
}

type users struct {
	out    *terminal.Output
	stdout io.Writer
	file   string
	piped  bool
	asJSON bool
}

// command returns one that works on one user.
func (u *users) command(use, short string, password bool, run func(*cobra.Command, string) error) *cobra.Command {
	cmd := &cobra.Command{
		Use:     use,
		Short:   short,
		Example: "  aguada users " + use[:len(use)-len("NAME")] + "--file users ann",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("one NAME is needed; a password is never an argument")}
			}
			if err := basic.CheckName(args[0]); err != nil {
				return usageError{err}
			}
			return u.locate()
		},
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd, args[0]) },
	}
	if password {
		cmd.Flags().BoolVar(&u.piped, "password-stdin", false, "read the password from standard input, one line")
	}
	return cmd
}

func (u *users) listCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the users and how their passwords are hashed",
		Example: "  aguada users list --file users",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{errors.New("no arguments are accepted")}
			}
			return u.locate()
		},
		RunE: func(*cobra.Command, []string) error { return u.list() },
	}
	cmd.Flags().BoolVar(&u.asJSON, "json", false, "print the list as JSON")
	return cmd
}

// locate decides which file is meant.
func (u *users) locate() error {
	if u.file == "" {
		u.file = os.Getenv("AUTH_USERS_FILE")
	}
	if u.file == "" {
		return usageError{errors.New("no users file is named: give --file FILE or set AUTH_USERS_FILE")}
	}
	return nil
}

func (u *users) add(cmd *cobra.Command, name string) error {
	text, err := basic.ReadFile(u.file)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return err
	}
	if !missing {
		if err := u.absent(text, name); err != nil {
			return err
		}
	}
	hash, err := u.hash(cmd, name)
	if err != nil {
		return err
	}
	if missing {
		if err := createUsers(u.file); err != nil {
			return err
		}
		u.out.Printf("made %s, which only its owner can read", u.file)
	}
	return u.edit(cmd, "added "+name+" to", func(t *basic.FileText) error {
		if err := u.absent(t, name); err != nil { // as it may have changed meanwhile
			return err
		}
		return t.Set(name, hash)
	})
}

func (u *users) passwd(cmd *cobra.Command, name string) error {
	text, err := basic.ReadFile(u.file)
	if err != nil {
		return err
	}
	if err := u.present(text, name); err != nil {
		return err
	}
	hash, err := u.hash(cmd, name)
	if err != nil {
		return err
	}
	return u.edit(cmd, "changed the password of "+name+" in", func(t *basic.FileText) error {
		if err := u.present(t, name); err != nil {
			return err
		}
		return t.Set(name, hash)
	})
}

func (u *users) rm(cmd *cobra.Command, name string) error {
	return u.edit(cmd, "removed "+name+" from", func(t *basic.FileText) error {
		if !t.Remove(name) {
			return u.present(t, name)
		}
		return nil
	})
}

func (u *users) absent(t *basic.FileText, name string) error {
	if _, ok := t.Hash(name); ok {
		return fmt.Errorf("%s is in %s already; to change the password, run: aguada users passwd %s", name, u.file, name)
	}
	return nil
}

func (u *users) present(t *basic.FileText, name string) error {
	if _, ok := t.Hash(name); !ok {
		return fmt.Errorf("no user %s in %s", name, u.file)
	}
	return nil
}

// hash reads a password and hashes it.
func (u *users) hash(cmd *cobra.Command, name string) (string, error) {
	p := &passwordPrompt{in: cmd.InOrStdin(), out: u.out}
	read := p.ask
	if u.piped {
		read = p.line
	}
	password, err := read(name)
	if err != nil {
		return "", err
	}
	return basic.HashPassword(password)
}

// createUsers makes an empty file, unless another has made it meanwhile.
func createUsers(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make users file: %w", err)
	}
	return f.Close()
}

// edit changes the file, and says what it did and what is wrong with the file.
func (u *users) edit(cmd *cobra.Command, done string, change func(*basic.FileText) error) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), lockPatience)
	defer cancel()
	var all []basic.FileUser
	err := basic.EditFile(ctx, u.file, func(t *basic.FileText) error {
		err := change(t)
		all = t.Users()
		return err
	})
	if err != nil {
		return err
	}
	u.out.Printf("%s %s", done, u.file)
	for _, user := range all {
		if user.Err != nil {
			u.out.Printf("warning: a service refuses the file because of the user %s: %s", user.Name, user.Err)
		}
	}
	return nil
}

func (u *users) list() error {
	text, err := basic.ReadFile(u.file)
	if err != nil {
		return err
	}
	type user struct {
		Name      string `json:"name"`
		Algorithm string `json:"algorithm,omitempty"`
		Cost      string `json:"cost,omitempty"`
		Problem   string `json:"problem,omitempty"`
	}
	all := []user{}
	for _, f := range text.Users() {
		one := user{Name: f.Name, Algorithm: f.Algorithm, Cost: f.Cost}
		if f.Err != nil {
			one.Problem = f.Err.Error()
		}
		all = append(all, one)
	}
	if u.asJSON {
		return writeJSON(u.stdout, struct {
			Users []user `json:"users"`
		}{all})
	}
	w := tabwriter.NewWriter(u.stdout, 0, 0, 2, ' ', 0)
	for _, one := range all {
		if one.Problem != "" {
			fmt.Fprintf(w, "%s\trefused: %s\n", one.Name, one.Problem)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", one.Name, one.Algorithm, one.Cost)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print users: %w", err)
	}
	return nil
}
