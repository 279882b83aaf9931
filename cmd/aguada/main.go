// Command aguada works on Goa services that use Aguada: it generates their
// code, runs them for development and makes tokens for them.
//
//	aguada run ./examples/orders
//
// What it sets up is for development on one machine. It deploys nothing, and a
// service never needs it: go build makes the whole of a production binary.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aguada-dev/aguada/cmd/aguada/internal/project"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/protoc"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/terminal"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	if calledAsProtoc(os.Args[0]) {
		os.Exit(protoc.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// usageError is a command line that cannot be understood, as opposed to work
// that failed.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// execute runs the command line and returns the exit code. Data goes to
// stdout, everything else to stderr.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	out := terminal.New(stderr, os.LookupEnv)
	root := newRoot(out, stdout)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	var usage usageError
	if errors.As(err, &usage) {
		out.Error(err)
		out.Printf("Run %s for help.", out.Bold(cmd.CommandPath()+" --help"))
		return exitUsage
	}
	if !errors.Is(err, errNotProved) { // which has been said, at length
		tell(out, err)
	}
	return exitFailed
}

// tell prints an error; what a tool said is printed as the tool said it.
func tell(out *terminal.Output, err error) {
	if tool, ok := err.(*project.ToolError); ok { //nolint:errorlint // a wrapped one has more to say
		out.Println(tool.Error())
		return
	}
	out.Error(err)
}

func newRoot(out *terminal.Output, stdout io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "aguada",
		Short: "The production chassis for Goa services",
		Long: `aguada generates, builds and runs Goa services for development.

A service is a folder with a go.mod, a design package in design/ and one main
package below cmd/.`,
		Example: `  aguada run ./examples/orders
  aguada token --scope "api:read api:write" ./examples/orders`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              knownCommand,
		RunE:              func(cmd *cobra.Command, _ []string) error { return commandNeeded(cmd) },
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newGen(out, stdout), newIssuer(out, stdout), newProve(out, stdout), newRun(out, stdout), newToken(out, stdout), newKeys(out, stdout), newVersion(stdout))
	root.AddCommand(newUsers(out, stdout), newConsole(out))
	return root
}

// knownCommand refuses the name of a command that a group of commands lacks.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := "unknown command " + args[0]
	if close := cmd.SuggestionsFor(args[0]); len(close) > 0 {
		text += "; did you mean " + strings.Join(close, " or ") + "?"
	}
	return usageError{errors.New(text)}
}

// commandNeeded is the error of a group of commands that is called alone.
func commandNeeded(cmd *cobra.Command) error {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() && c.Name() != "help" {
			names = append(names, c.Name())
		}
	}
	last := len(names) - 1
	return usageError{errors.New("a command is needed: " + strings.Join(names[:last], ", ") + " or " + names[last])}
}

// dirArgument accepts at most one argument, the service's folder.
func dirArgument(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usageError{errors.New("at most one DIR is accepted, got " + strings.Join(args, " "))}
	}
	return nil
}

// dirOf returns the service's folder: the argument, or the working folder.
func dirOf(args []string) string {
	if len(args) == 0 || args[0] == "" {
		return "."
	}
	return args[0]
}
