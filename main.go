package aguada

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"go.opentelemetry.io/otel"

	"github.com/aguada-dev/aguada/config"
)

// Main runs the service as a process: it reads the command line and the
// environment, stops in order on SIGINT or SIGTERM, at once on a second one,
// and exits with 0 if nothing was cut, 1 if something failed, 2 for a wrong
// command line.
func Main(a *App) {
	ctx, force, release := signals()
	code := a.command(ctx, force, os.Args, os.Environ(), os.Stdout, os.Stderr)
	release()
	os.Exit(code)
}

// signals returns a context that the first SIGINT or SIGTERM ends, and one that
// the second does.
func signals() (ctx, force context.Context, release func()) {
	ctx, cancel := context.WithCancel(context.Background())
	force, kill := context.WithCancel(context.Background())
	signal.Ignore(syscall.SIGPIPE) // whoever reads the log may go; the service stays
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ch
		cancel()
		<-ch
		kill()
	}()
	return ctx, force, func() { signal.Stop(ch); cancel(); kill() }
}

// adopt makes the log and the telemetry of the service those of the process,
// for libraries that know no other.
func adopt(o *operation) {
	slog.SetDefault(o.logger)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(o.telemetry.HandleError))
	otel.SetTracerProvider(o.telemetry.TracerProvider())
	otel.SetMeterProvider(o.telemetry.MeterProvider())
	otel.SetTextMapPropagator(o.telemetry.Propagator())
}

// command is Main without the process.
func (a *App) command(ctx, force context.Context, args, environ []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(stderr)
	reference := flags.Bool("config", false, "print the configuration with its present values and exit")
	check := flags.Bool("check", false, "with -config: say whether the service could start with it, and exit with 1 if not")
	asJSON := flags.Bool("json", false, "with -config: print JSON")
	version := flags.Bool("version", false, "print the version and exit")
	flags.Usage = func() {
		fmt.Fprintf(stderr, "%s serves the %s API. It is configured by environment variables; see -config.\n\n", args[0], a.contract.API.Name)
		flags.PrintDefaults()
	}
	switch err := flags.Parse(args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "%s takes no arguments, but got %q; see -help\n", args[0], flags.Arg(0))
		return 2
	case *version:
		fmt.Fprintf(stdout, "%s %s (aguada %s)\n", a.contract.API.Name, a.contract.API.Version, Version)
		return 0
	case *reference && *check:
		return a.checkConfig(environ, stdout, stderr)
	case *reference:
		return a.printConfig(environ, *asJSON, stdout, stderr)
	}
	err := a.Run(ctx, force, Process{Environ: environ, Stdout: stdout, adopt: adopt})
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", a.contract.API.Name, err)
		return 1
	}
	return 0
}

func (a *App) printConfig(environ []string, asJSON bool, stdout, stderr io.Writer) int {
	rows := config.Reference(environ, a.needs(), a.settings...)
	write := config.WriteTable
	if asJSON {
		write = config.WriteJSON
	}
	if err := write(stdout, rows); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

func (a *App) checkConfig(environ []string, stdout, stderr io.Writer) int {
	if _, err := a.load(environ); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	fmt.Fprintln(stdout, "the configuration is valid")
	return 0
}
