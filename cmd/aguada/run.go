package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/aguada-dev/aguada/cmd/aguada/internal/development"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/project"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/terminal"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/watch"
	"github.com/aguada-dev/aguada/console"
)

func newRun(out *terminal.Output, stdout io.Writer) *cobra.Command {
	r := &runner{out: out, stdout: stdout, lookup: os.Getenv}
	cmd := &cobra.Command{
		Use:   "run [DIR]",
		Short: "Build and run a service for development, again after each change",
		Long: `run generates the code of the service in DIR (the working folder by default) when
its design has changed, builds it and starts it on defaults for development: an
SQLite file, an issuer of tokens that runs beside it on loopback, and credentials,
all kept in DIR/.aguada and made only once. It prints a first request to paste, and
builds and starts the service again when a Go file changes. A build that fails
leaves the running service alone.

Beside it runs the console (aguada console), to which the service sends its traces,
metrics and logs, unless the environment says where else (OTEL_EXPORTER_OTLP_ENDPOINT
and the like).

With --tls it serves TLS, with a certificate for localhost that it makes, and
keeps beside the authority that signed it: have clients trust that one.

Variables of the environment (HTTP_ADDR, DATABASE_URL, LOG_LEVEL, AUTH_ISSUER, …)
win over the defaults. The service's own output is passed on as it is; everything
that run itself says goes to standard error.

Ctrl-C lets the service finish its requests; a second Ctrl-C kills it.`,
		Example: `  aguada run ./examples/orders
  aguada run --addr 127.0.0.1:9000 .
  aguada run --tls`,
		Args: dirArgument,
		RunE: func(cmd *cobra.Command, args []string) error {
			defer takeForeground()()
			ctx, again, release := stopOnSignal(cmd.Context())
			defer release()
			r.dir, r.again = dirOf(args), again
			err := r.run(ctx)
			if ctx.Err() != nil && errors.Is(err, context.Canceled) {
				r.out.Println("stopped")
				return nil
			}
			return err
		},
	}
	cmd.Flags().StringVar(&r.cfg.Design, "design", "", "design package: a folder below DIR or an import path (default DIR/design)")
	cmd.Flags().StringVar(&r.cfg.Main, "main", "", "main package: a folder below DIR (default the only one below DIR/cmd)")
	cmd.Flags().StringVar(&r.addr, "addr", "", "address to listen on, port 0 for any free one (default HTTP_ADDR, else "+defaultAddr+")")
	cmd.Flags().BoolVar(&r.tls, "tls", false, "serve TLS, with a certificate for localhost made and kept in DIR/.aguada")
	cmd.Flags().BoolVar(&r.once, "no-watch", false, "do not build again when files change")
	cmd.Flags().BoolVar(&r.noConsole, "no-console", false, "do not start the console beside the service")
	cmd.Flags().StringVar(&r.consoleAddr, "console-addr", "", "address of the console's pages (default "+console.DefaultAddr+", or any free port)")
	cmd.Flags().DurationVar(&r.patience, "ready-timeout", time.Minute, "how long the service may take to become ready")
	return cmd
}

// runner runs one service until it is told to stop.
type runner struct {
	out      *terminal.Output
	stdout   io.Writer
	lookup   func(string) string
	dir      string
	cfg      project.Config
	addr     string
	tls      bool // serve TLS with a certificate of our own
	once     bool
	patience time.Duration

	noConsole   bool
	consoleAddr string

	again <-chan struct{} // closed by the second signal

	project *project.Project
	address address
	admin   string // the address of the private port
	grpc    string // the address of the gRPC listener, where there is one
	built   string // snapshot of the sources that were last built, or tried
}

func (r *runner) run(ctx context.Context) (err error) {
	if r.patience <= 0 {
		return usageError{errors.New("--ready-timeout must be positive")}
	}
	if r.address, err = newAddress(ctx, r.addr, r.tls, r.lookup); err != nil {
		return err
	}
	if err := r.checkTLS(); err != nil {
		return err
	}
	// Before a build that may take a minute, and again before each start.
	if err := r.address.check(ctx); err != nil {
		return err
	}
	if r.admin, err = beside(ctx, r.lookup, "ADMIN_ADDR", defaultAdmin); err != nil {
		return err
	}
	if r.grpc, err = beside(ctx, r.lookup, "GRPC_ADDR", defaultGRPC); err != nil {
		return err
	}
	if r.project, err = project.Find(ctx, r.dir, r.cfg); err != nil {
		return err
	}
	var changes <-chan struct{}
	if !r.once {
		w, err := watch.New(r.project.Dir, watch.Config{IgnoreDir: project.Ignored, Match: project.Source})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, w.Close()) }()
		changes = w.Changes()
	}
	if err := r.prepare(ctx); err != nil {
		return err
	}
	s := &session{runner: r, changes: changes}
	return s.run(ctx)
}

// prepare generates what is stale and builds. It remembers the sources that it
// started from, so that changes made meanwhile are seen.
func (r *runner) prepare(ctx context.Context) error {
	p := r.project
	if _, err := development.MakeState(p.Dir); err != nil {
		return err
	}
	reason, err := p.Stale(generatorVersion, hashDesign)
	if err != nil {
		return err
	}
	if reason != "" {
		before, err := p.Snapshot()
		if err != nil {
			return err
		}
		r.built = before
		if _, err := generate(ctx, r.out, p, "generating ("+reason+")", ""); err != nil {
			return err
		}
	}
	if r.built, err = p.Snapshot(); err != nil {
		return err
	}
	done := r.out.Progress("building "+p.Main, firstBuild)
	err = p.Build(ctx, p.Binary())
	done(err)
	return err
}

// changed reports whether the sources differ from those last built.
func (r *runner) changed() bool {
	now, err := r.project.Snapshot()
	return err != nil || now != r.built
}

// budget is how long the service may take to stop: its own budget and a
// margin.
func (r *runner) budget() time.Duration {
	const margin = 5 * time.Second
	own, err := time.ParseDuration(r.lookup("SHUTDOWN_TIMEOUT"))
	if err != nil || own <= 0 {
		own = 30 * time.Second
	}
	return own + margin
}

// stopped turns the end that was asked for into the command's own.
func (r *runner) stopped(exit fmt.Stringer, clean bool) error {
	if clean {
		r.out.Println("stopped")
		return nil
	}
	return fmt.Errorf("the service did not stop cleanly: %s", exit)
}
